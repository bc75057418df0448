import { Link } from "@tanstack/react-router";
import { Globe, Repeat2, Snowflake, SquareTerminal, Zap, type LucideIcon } from "lucide-react";

import type { InvocationRow, TriggerKind } from "~/api/types";
import { Chip, StatusMark, toneOf } from "~/components/StatusMark";
import { Clock } from "~/components/Time";
import { ROW_LINK, type Column } from "~/components/VirtualTable";
import { formatDuration } from "~/lib/time";
import { shortId } from "~/lib/format";
import { cx } from "~/ui/cx";

export const COLUMNS: readonly Column[] = [
  { label: "Status" },
  { label: "Function" },
  { label: "Called by", wide: true },
  { label: "Notes", wide: true },
  { label: "Took", right: true },
  { label: "Started", right: true },
  { label: "Id", right: true, wide: true },
];

export const GRID =
  "grid-cols-[1rem_minmax(0,1fr)_4.5rem_auto] md:grid-cols-[8rem_minmax(8rem,1.4fr)_5.5rem_minmax(7rem,1fr)_8.5rem_8.5rem_5rem]";

const TRIGGERS: Record<TriggerKind, [string, LucideIcon]> = {
  http: ["HTTP", Globe],
  event: ["Event", Zap],
  invoke: ["Call", SquareTerminal],
};

export function InvocationCells({ row, project }: { row: InvocationRow; project: string }) {
  const [trigger, TriggerIcon] = TRIGGERS[row.trigger];
  return (
    <>
      <span role="cell" className="truncate">
        <StatusMark short status={row.status} detail={row.http_status ? String(row.http_status) : undefined} />
      </span>
      <span role="cell" className="truncate font-medium">
        <Link
          to="/p/$project/invocations/$invocation"
          params={{ project, invocation: row.id }}
          data-row-link
          className={ROW_LINK}
        >
          {row.function}
        </Link>
      </span>
      <span role="cell" className="hidden items-center gap-1.5 text-ink-2 md:flex">
        <TriggerIcon aria-hidden className="size-3.5 text-ink-3" />
        {trigger}
      </span>
      <span role="cell" className="hidden gap-1 md:flex">
        {row.attempt > 1 && <Chip icon={Repeat2} tone="warn">{`attempt ${row.attempt}`}</Chip>}
        {row.cold && <Chip icon={Snowflake}>cold</Chip>}
      </span>
      <span role="cell" className="flex items-center justify-end gap-2.5">
        <span className="nums whitespace-nowrap">{row.status === "queued" ? "" : formatDuration(row.duration_ns)}</span>
        <DurationBar ns={row.duration_ns} bad={toneOf(row.status) === "bad"} />
      </span>
      <span role="cell" className="truncate text-right text-ink-2">
        <Clock at={row.accepted} />
      </span>
      <span role="cell" className="hidden truncate text-right font-mono text-2xs text-ink-3 md:block">
        {shortId(row.id).slice(4)}
      </span>
    </>
  );
}

/** From 100 µs to 10 s on a logarithmic scale: each quarter is about eighteen times longer than the one before. */
function DurationBar({ ns, bad }: { ns: number; bad: boolean }) {
  const share = Math.min(Math.max((Math.log10(Math.max(ns, 1)) - 5) / 5, 0.02), 1);
  return (
    <span aria-hidden className="hidden h-1 w-12 shrink-0 overflow-hidden rounded-full bg-pressed md:block">
      <span className={cx("block h-full rounded-full", bad ? "bg-bad" : "bg-bar-guest")} style={{ width: `${share * 100}%` }} />
    </span>
  );
}
