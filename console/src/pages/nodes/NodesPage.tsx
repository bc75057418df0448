import { useQuery } from "@tanstack/react-query";
import { CircleAlert, CircleCheck, Server } from "lucide-react";

import { queries } from "~/api/queries";
import type { NodeView } from "~/api/types";
import { CliButton } from "~/components/CliButton";
import { ProblemView } from "~/components/ProblemView";
import { Ago, Moment } from "~/components/Time";
import { curl } from "~/lib/cli";
import { formatBytes, formatCount, formatShare } from "~/lib/format";
import { formatDuration } from "~/lib/time";
import { cx } from "~/ui/cx";
import { Card, Facts, Loading, Page } from "~/ui/layout";

export function NodesPage() {
  const nodes = useQuery(queries.nodes());
  return (
    <Page
      title="Nodes"
      about="The servers of this installation, and how they are."
      actions={<CliButton command="nexus status" request={curl(location.origin, "/api/v1/nodes")} />}
    >
      {nodes.isPending && <Loading />}
      {nodes.isError && <ProblemView error={nodes.error} onRetry={() => void nodes.refetch()} />}
      {nodes.data?.items.map((node) => (
        <Node key={node.name} node={node} />
      ))}
    </Page>
  );
}

function Node({ node }: { node: NodeView }) {
  const good = node.ready && node.reasons.length === 0;
  const Icon = good ? CircleCheck : CircleAlert;
  return (
    <Card className="flex flex-col gap-5 p-5">
      <header className="flex flex-wrap items-center gap-x-3 gap-y-1">
        <Server aria-hidden className="size-4.5 text-ink-3" />
        <h2 className="text-base font-semibold">{node.name}</h2>
        <span className={cx("flex items-center gap-1.5 text-sm", good ? "text-ok" : "text-warn")}>
          <Icon aria-hidden className="size-4" />
          {node.ready ? "ready" : "not ready"}
        </span>
        <span className="ml-auto text-xs text-ink-3">
          Nexus {node.version}, {node.mode}, {node.os} {node.arch}, started <Ago at={node.started} />
        </span>
      </header>
      {node.reasons.length > 0 && (
        <ul className="rounded-md bg-warn-soft px-3 py-2 text-sm text-warn">
          {node.reasons.map((reason) => (
            <li key={reason}>{reason}</li>
          ))}
        </ul>
      )}
      <div className="grid gap-x-8 gap-y-4 sm:grid-cols-2 xl:grid-cols-4">
        <Gauge name="Instances" value={node.load.instances_running} max={node.limits.instances} format={formatCount} />
        <Gauge name="Calls that wait" value={node.load.calls_waiting} max={node.limits.calls_waiting} format={formatCount} />
        {node.memory_bytes !== undefined && node.memory_bytes !== null && (
          <Gauge name="Memory of the process" value={node.memory_bytes} max={node.memory_total_bytes ?? undefined} format={formatBytes} />
        )}
        {node.disk && (
          <Gauge name="Disk of the data" value={node.disk.total_bytes - node.disk.free_bytes} max={node.disk.total_bytes} format={formatBytes} />
        )}
      </div>
      <div className="grid gap-x-10 lg:grid-cols-2">
        <Facts
          items={[
            ["Running for", formatDuration(node.uptime_ns)],
            ["Processors", node.cpus],
            ["Components", `${formatCount(node.components_loaded)} loaded, ${formatCount(node.compiling)} being compiled`],
            ["Deliveries", `${formatCount(node.deliveries_pending)} unfinished, ${formatCount(node.limits.deliveries)} at a time`],
          ]}
        />
        <Facts
          items={[
            ["Log", `${formatCount(node.log.records)} records, ${formatBytes(node.log.disk_bytes)}`],
            ["Oldest", node.log.oldest && <Moment key="oldest" at={node.log.oldest} />],
            ["Lost", node.log.recordings_lost ? `${formatCount(node.log.recordings_lost)} recordings, under pressure` : "nothing"],
            ["Log restarts", formatCount(node.log.restarts)],
          ]}
        />
      </div>
    </Card>
  );
}

/** A share above this is worth a look. */
const FULL = 0.85;

function Gauge({ name, value, max, format }: { name: string; value: number; max: number | undefined; format: (value: number) => string }) {
  const share = max ? Math.min(value / max, 1) : 0;
  return (
    <div>
      <div className="flex items-baseline justify-between gap-2 text-xs text-ink-3">
        {name}
        {max !== undefined && <span className="nums">{formatShare(share)}</span>}
      </div>
      <div className="nums mt-0.5 text-lg font-semibold">
        {format(value)} {max !== undefined && <span className="text-sm font-normal text-ink-3">of {format(max)}</span>}
      </div>
      <div aria-hidden className="mt-1.5 h-1 overflow-hidden rounded-full bg-pressed">
        <div className={cx("h-full rounded-full", share > FULL ? "bg-bad" : "bg-bar-guest")} style={{ width: `${Math.max(share * 100, value ? 1 : 0)}%` }} />
      </div>
    </div>
  );
}
