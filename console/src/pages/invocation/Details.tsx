import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";

import type { Invocation } from "~/api/types";
import { Moment } from "~/components/Time";
import { formatBytes, formatCount } from "~/lib/format";
import { formatDuration } from "~/lib/time";
import { CopyButton } from "~/ui/Copy";
import { Facts } from "~/ui/layout";

export function Details({ project, view }: { project: string; view: Invocation }) {
  const { timings, meter } = view;
  return (
    <div className="grid gap-x-10 gap-y-6 lg:grid-cols-2">
      <Facts
        items={[
          ["Id", <Id key="id" text={view.id} />],
          ["Accepted", <Moment key="at" at={view.accepted} />],
          ["Deadline", view.deadline && <Moment key="deadline" at={view.deadline} />],
          ["Caller", view.principal],
          ["Trigger", view.trigger_name ?? view.trigger],
          ["Version", view.version && <Id key="version" text={view.version} />],
          ["Component", view.component && <Id key="component" text={view.component} />],
          ["Executed", view.executed && <Id key="executed" text={view.executed} />],
          [
            "Trace",
            <span key="trace" className="flex items-center gap-1">
              <Link
                to="/p/$project/invocations"
                params={{ project }}
                search={{ trace: view.trace_id }}
                className="truncate font-mono text-xs text-accent hover:underline"
              >
                {view.trace_id}
              </Link>
              <CopyButton text={view.traceparent} label="Copy the traceparent" />
            </span>,
          ],
          ["Resumed", view.resumes ? `${view.resumes} times` : undefined],
          ["Replay", view.not_replayable || `level ${view.level}`],
          ["Redacted", view.redacted?.join(", ")],
          ["Answer from", view.cached_from && <Id key="cached" text={view.cached_from} />],
        ]}
      />
      <Facts
        items={[
          ["Queue", formatDuration(timings.queue_ns)],
          ["Fetch code", formatDuration(timings.fetch_ns)],
          ["Load code", formatDuration(timings.load_ns)],
          ["Make instance", formatDuration(timings.instantiate_ns)],
          ["First answer", formatDuration(timings.first_answer_ns)],
          ["Run", formatDuration(timings.guest_ns)],
          ["All", formatDuration(timings.total_ns)],
          ["Processor", formatDuration(meter.cpu_ns)],
          ["Memory", `${formatBytes(meter.memory_peak_bytes)}${grown(meter.memory_grown_pages)}`],
          ["In and out", `${formatBytes(meter.bytes_in)} in, ${formatBytes(meter.bytes_out)} out`],
          ["Host calls", formatCount(meter.host_calls)],
          ["Fuel", meter.fuel ? formatCount(meter.fuel) : undefined],
          ["Waited for", view.waited_for?.join(", ")],
        ]}
      />
    </div>
  );
}

function grown(pages: number): string {
  return pages ? `, grew by ${formatBytes(pages * 65_536)}` : "";
}

function Id({ text }: { text: string }): ReactNode {
  return (
    <span className="flex items-center gap-1">
      <span className="truncate font-mono text-xs">{text}</span>
      <CopyButton text={text} label="Copy" />
    </span>
  );
}
