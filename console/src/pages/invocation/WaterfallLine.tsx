import {
  Clock,
  Cpu,
  Database,
  Download,
  Globe,
  Hourglass,
  ListTree,
  MessageSquareText,
  Moon,
  Waypoints,
  type LucideIcon,
} from "lucide-react";

import { LogText } from "~/components/LogLines";
import { formatDuration } from "~/lib/time";
import { placeOf, type Axis, type Span, type SpanKind, type WaterfallRow, type Window } from "~/lib/waterfall";
import { cx } from "~/ui/cx";

const LOOKS: Record<SpanKind, { icon: LucideIcon; bar: string }> = {
  queue: { icon: Hourglass, bar: "bg-bar-queue" },
  load: { icon: Download, bar: "bg-bar-load" },
  guest: { icon: Cpu, bar: "bg-bar-guest" },
  http: { icon: Globe, bar: "bg-bar-call" },
  call: { icon: Waypoints, bar: "bg-bar-call" },
  state: { icon: Database, bar: "bg-bar-effect" },
  event: { icon: ListTree, bar: "bg-bar-effect" },
  wait: { icon: Moon, bar: "bg-bar-queue" },
  io: { icon: Clock, bar: "bg-bar-queue" },
  read: { icon: Clock, bar: "bg-bar-queue" },
};

const WORDS: Record<string, string> = {
  "poll.poll": "Wait for answers",
  "durable.sleep": "Sleep",
  "durable.sleep (end)": "Awake",
  "durable.wait-signal": "Wait for a signal",
  "durable.wait-signal (end)": "Signal",
};

/** A row of the waterfall: its name on the left, its time on the axis, and how long it took. */
export function WaterfallLine({ row, axis, seen }: { row: WaterfallRow; axis: Axis; seen: Window }) {
  const screen = (time: number) => (placeOf(axis, time) - seen.left) / (seen.right - seen.left);
  if (row.type === "log") {
    const { line } = row.mark;
    const ink = line.level === "error" ? "text-bad" : line.level === "warn" ? "text-warn" : "text-ink-2";
    return (
      <div className={cx("flex h-full items-center text-xs hover:bg-hover", line.level === "error" && "bg-bad-soft")}>
        <div className={cx("flex w-2/5 max-w-104 min-w-40 items-center gap-2 overflow-hidden pr-2 pl-8", ink)}>
          <MessageSquareText aria-hidden className="size-3.5 shrink-0" strokeWidth={1.75} />
          <span className="truncate font-mono text-2xs" title={line.text}>
            <LogText line={{ ...line, text: line.text.split("\n")[0] ?? "" }} inline />
          </span>
        </div>
        <Bars>
          <span className={cx("absolute top-1/2 size-1.5 -translate-1/2 rotate-45 bg-current", ink)} style={{ left: `${screen(row.mark.at) * 100}%` }} />
        </Bars>
        <span className="w-16" />
      </div>
    );
  }
  const { span, depth } = row;
  const { icon: Icon, bar } = LOOKS[span.kind];
  const [left, right] = [screen(span.start), screen(span.end)];
  return (
    <div className="flex h-full items-center text-xs hover:bg-hover" title={`${span.label} ${span.detail}`}>
      <div className={cx("flex w-2/5 max-w-104 min-w-40 items-center gap-2 overflow-hidden pr-2", depth ? "pl-8" : "pl-3")}>
        <Icon aria-hidden className="size-3.5 shrink-0 text-ink-3" strokeWidth={1.75} />
        <Name span={span} strong={depth === 0} />
      </div>
      <Bars>
        <span
          className={cx("absolute top-1/2 h-2.5 min-w-0.5 -translate-y-1/2 rounded-[3px]", bar, span.kind === "guest" && "h-3.5 opacity-90")}
          style={{ left: `${left * 100}%`, width: `${Math.max(right - left, 0) * 100}%` }}
        />
      </Bars>
      <span className="nums w-16 pr-3 text-right text-2xs whitespace-nowrap text-ink-2">
        {span.end > span.start ? formatDuration(span.end - span.start) : ""}
      </span>
    </div>
  );
}

function Name({ span, strong }: { span: Span; strong: boolean }) {
  const word = WORDS[span.label];
  const isRequest = span.kind === "http";
  return (
    <span className="flex min-w-0 items-baseline gap-2">
      {!isRequest && <span className={cx("shrink-0", strong ? "font-medium" : word ? "" : "font-mono text-2xs")}>{word ?? span.label}</span>}
      <span className={cx("truncate", isRequest ? "font-mono text-2xs text-ink" : "text-2xs text-ink-3")}>{span.detail}</span>
    </span>
  );
}

function Bars({ children }: { children: React.ReactNode }) {
  return (
    <div data-bars className="relative h-full min-w-0 flex-1 overflow-hidden">
      {children}
    </div>
  );
}
