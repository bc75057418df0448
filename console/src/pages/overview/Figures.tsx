import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";

import type { Stats } from "~/api/types";
import { FAILURES } from "~/lib/filters";
import { formatCompact, formatCount, formatRate, formatShare } from "~/lib/format";
import { formatDuration, parseSpan } from "~/lib/time";
import { cx } from "~/ui/cx";

/** The figures that say how a project does. Each leads to what it counts. */
export function Figures({ project, stats, range }: { project: string; stats: Stats; range: string }) {
  const { totals, now } = stats;
  const seconds = (parseSpan(range) ?? 1) / 1_000;
  const recent = stats.buckets.slice(-3).slice(0, 2);
  const recentSeconds = (recent.length * stats.bucket_ns) / 1e9;
  const rate = recent.reduce((sum, it) => sum + it.invocations, 0) / Math.max(recentSeconds, 1);
  const waiting = now.deliveries.queued + now.deliveries.retrying;
  const to = "/p/$project/invocations";
  const params = { project };
  return (
    <dl className="grid grid-cols-2 rounded-lg border border-line sm:grid-cols-3 xl:grid-cols-6 [&>*]:border-line [&>*:not(:first-child)]:xl:border-l">
      <Figure name="Rate" value={formatRate(rate)} note={`${formatRate(totals.invocations / seconds)} on average`}>
        <Link to={to} params={params} search={{ since: range }} className="absolute inset-0" aria-label="Show the invocations" />
      </Figure>
      <Figure
        name="Failed"
        value={totals.invocations ? formatShare(totals.failed / totals.invocations) : "0 %"}
        note={`${formatCount(totals.failed)} of ${formatCount(totals.invocations)}`}
        bad={totals.failed > 0}
      >
        <Link to={to} params={params} search={{ since: range, status: FAILURES.join(",") }} className="absolute inset-0" aria-label="Show the failures" />
      </Figure>
      <Figure
        name="Duration"
        value={totals.p50_ns ? formatDuration(totals.p50_ns) : "none"}
        note={totals.p99_ns ? `95 %: ${formatDuration(totals.p95_ns ?? 0)}, 99 %: ${formatDuration(totals.p99_ns)}` : "nothing ran"}
      />
      <Figure
        name="Cold starts"
        value={formatCount(totals.cold)}
        note={totals.invocations ? `${formatShare(totals.cold / totals.invocations)} of all` : ""}
      >
        <Link to={to} params={params} search={{ since: range, cold: true }} className="absolute inset-0" aria-label="Show the cold starts" />
      </Figure>
      <Figure
        name="Waiting"
        value={formatCompact(waiting)}
        note={`${now.deliveries.running} running, ${now.deliveries.suspended} asleep`}
      />
      <Figure name="Dead letters" value={formatCompact(now.dead_letters)} note="wait for a decision" bad={now.dead_letters > 0}>
        <Link to="/p/$project/dead-letters" params={params} className="absolute inset-0" aria-label="Show the dead letters" />
      </Figure>
    </dl>
  );
}

function Figure({ name, value, note, bad, children }: { name: string; value: string; note: string; bad?: boolean; children?: ReactNode }) {
  return (
    <div className={cx("relative min-w-0 px-4 py-3", children ? "hover:bg-hover" : "")}>
      <dt className="text-xs text-ink-3">{name}</dt>
      <dd className={cx("nums mt-0.5 text-2xl font-semibold tracking-tight", bad && "text-bad")}>{value}</dd>
      <dd className="nums truncate text-xs text-ink-3">{note}</dd>
      {children && <dd>{children}</dd>}
    </div>
  );
}
