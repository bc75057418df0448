import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";

import { api, take } from "~/api/client";
import { queries } from "~/api/queries";
import { Chart } from "~/components/chart/Chart";
import { durationSeries, invocationSeries, timesOf } from "~/components/chart/series";
import { ProblemLine } from "~/components/ProblemView";
import { StatusMark } from "~/components/StatusMark";
import { Ago } from "~/components/Time";
import { formatCompact, formatCount, formatShare } from "~/lib/format";
import { formatDuration } from "~/lib/time";
import { Card, Section } from "~/ui/layout";
import { Cell, Row, Table } from "~/ui/table";
import { Segmented } from "~/ui/Tabs";

const RANGES = ["1h", "6h", "24h", "7d"] as const;

/** What a function did lately. */
export function Behaviour({ project, name }: { project: string; name: string }) {
  const [range, setRange] = useState<(typeof RANGES)[number]>("1h");
  const stats = useQuery(queries.stats(project, { since: range, function: name, buckets: 60 }));
  const totals = stats.data?.totals;
  return (
    <div className="flex flex-col gap-6">
      <div className="flex flex-wrap items-center gap-4">
        {totals && (
          <p className="nums flex-1 text-sm text-ink-2">
            <b className="font-semibold text-ink">{formatCount(totals.invocations)}</b> invocations,{" "}
            <b className={totals.failed ? "font-semibold text-bad" : "font-semibold text-ink"}>
              {formatShare(totals.failed / Math.max(totals.invocations, 1))}
            </b>{" "}
            failed, {formatCount(totals.cold)} cold
            {totals.p50_ns ? `, half of them within ${formatDuration(totals.p50_ns)}` : ""}
            {totals.p99_ns ? ` and 99 % within ${formatDuration(totals.p99_ns)}` : ""}.
          </p>
        )}
        <Segmented label="Range" value={range} onChange={setRange} choices={RANGES.map((value) => ({ value, label: value }))} />
      </div>
      {stats.isError && <ProblemLine error={stats.error} />}
      {stats.data && (
        <div className="grid gap-4 lg:grid-cols-2">
          <Card className="px-4 pt-3 pb-2">
            <Section title="Invocations">
              <Chart label={`Invocations of ${name}`} times={timesOf(stats.data)} series={invocationSeries(stats.data)} format={formatCompact} height={150} />
            </Section>
          </Card>
          <Card className="px-4 pt-3 pb-2">
            <Section title="Duration">
              <Chart label={`Duration of ${name}`} times={timesOf(stats.data)} series={durationSeries(stats.data)} format={formatDuration} logarithmic height={150} />
            </Section>
          </Card>
        </div>
      )}
      <Latest project={project} name={name} />
    </div>
  );
}

function Latest({ project, name }: { project: string; name: string }) {
  const latest = useQuery({
    queryKey: [project, "functions", name, "latest"],
    refetchInterval: 3_000,
    queryFn: () =>
      take(api.GET("/api/v1/projects/{project}/invocations", { params: { path: { project }, query: { function: name, limit: 10 } } })),
  });
  return (
    <Section
      title="Latest invocations"
      actions={
        <Link to="/p/$project/invocations" params={{ project }} search={{ function: name }} className="text-xs text-accent hover:underline">
          All of them
        </Link>
      }
    >
      {latest.data?.items.length === 0 ? (
        <p className="text-sm text-ink-3">It was never called.</p>
      ) : (
        <Table label="Latest invocations" head={[{ label: "Status" }, { label: "Called by" }, { label: "Attempt", right: true }, { label: "Took", right: true }, { label: "When", right: true }]}>
          {latest.data?.items.map((row) => (
            <Row key={row.id} className="relative">
              <Cell className="w-full">
                <Link to="/p/$project/invocations/$invocation" params={{ project, invocation: row.id }} className="after:absolute after:inset-0">
                  <StatusMark status={row.status} detail={row.http_status ? String(row.http_status) : undefined} />
                </Link>
              </Cell>
              <Cell className="text-ink-2">{row.trigger}</Cell>
              <Cell right>{row.attempt}</Cell>
              <Cell right>{formatDuration(row.duration_ns)}</Cell>
              <Cell right className="text-ink-2">
                <Ago at={row.accepted} />
              </Cell>
            </Row>
          ))}
        </Table>
      )}
    </Section>
  );
}
