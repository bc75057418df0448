import type { Invocation, JournalEntry, LogLine } from "~/api/types";

export type SpanKind = "queue" | "load" | "guest" | "http" | "call" | "state" | "event" | "wait" | "io" | "read";

/** Something that took time, in nanoseconds since the invocation was accepted. */
export interface Span {
  id: string;
  kind: SpanKind;
  label: string;
  detail: string;
  start: number;
  end: number;
  /** The number of the operation in the journal. */
  operation?: number;
}

export interface LogMark {
  id: string;
  at: number;
  line: LogLine;
}

/** A row of the waterfall: the phases first, then calls and log lines as they came. */
export type WaterfallRow = { type: "span"; span: Span; depth: number } | { type: "log"; mark: LogMark };

export interface Waterfall {
  rows: WaterfallRow[];
  total: number;
  /** Calls that brought something in at once, such as clocks: rows only when asked for. */
  instant: number;
}

export interface WaterfallOptions {
  /** Rows for calls that took no time as well. */
  instant: boolean;
  logs: boolean;
}

/** The rows of an invocation. */
export function waterfallOf(view: Invocation, options: WaterfallOptions): Waterfall {
  const { timings } = view;
  const prepared = timings.queue_ns + timings.fetch_ns + timings.load_ns + timings.instantiate_ns;
  // It ends with the end of its answer; what is not accounted for lies before the instance was made.
  const began = Math.max(timings.total_ns - timings.guest_ns, prepared);
  const accepted = Date.parse(view.accepted) * 1e6 + subMillisecond(view.accepted);
  const calls = exchangesOf(view.journal.map((entry) => spanOf(entry, began)));
  const total = Math.max(timings.total_ns, view.duration_ns, began + timings.guest_ns, ...calls.map((it) => it.end), 1);
  const shown = calls.filter((span) => options.instant || span.end > span.start || isEffect(span.kind));
  const logs = options.logs ? view.logs.map((line, index) => markOf(line, index, accepted, total)) : [];
  const inside = [
    ...shown.map((span): [number, WaterfallRow] => [span.start, { type: "span", span, depth: 1 }]),
    ...logs.map((mark): [number, WaterfallRow] => [mark.at, { type: "log", mark }]),
  ].toSorted(([one], [other]) => one - other);
  const phases = phasesOf(view, began).map((span): WaterfallRow => ({ type: "span", span, depth: 0 }));
  return { rows: [...phases, ...inside.map(([, row]) => row)], total, instant: calls.length - shown.length };
}

function phasesOf(view: Invocation, began: number): Span[] {
  const { queue_ns, fetch_ns, load_ns, instantiate_ns, guest_ns } = view.timings;
  const fetched = began - instantiate_ns - load_ns - fetch_ns;
  const waited = view.waited_for?.join(", ");
  const phase = (kind: SpanKind, label: string, detail: string, start: number, took: number): Span => ({
    id: label,
    kind,
    label,
    detail,
    start,
    end: start + took,
  });
  return [
    phase("queue", "Queue", waited || "waiting for a slot", 0, queue_ns),
    phase("queue", "Set up", "its start is written down", queue_ns, fetched - queue_ns),
    phase("load", "Fetch code", view.cold_reason ?? "", fetched, fetch_ns),
    phase("load", "Load code", view.cold_reason ?? "", fetched + fetch_ns, load_ns),
    phase("load", "Make instance", "", began - instantiate_ns, instantiate_ns),
    phase("guest", "Run", view.function, began, guest_ns),
  ].filter((span) => span.end > span.start);
}

/** An entry's time is when it ended, counted from when the guest was called. */
function spanOf(entry: JournalEntry, began: number): Span {
  const end = began + entry.at_ns;
  return {
    id: `operation-${entry.operation}`,
    kind: kindOf(entry.function),
    label: nameOf(entry.function),
    detail: entry.summary,
    start: end - entry.duration_ns,
    end,
    operation: entry.operation,
  };
}

/**
 * A request and its answer are two entries of the journal. They become one span where it is certain that they belong
 * together: while no other request is under way. Waiting in between is part of the span then.
 */
function exchangesOf(calls: Span[]): Span[] {
  const spans: Span[] = [];
  let open: Span[] = [];
  let uncertain = 0;
  for (const call of calls) {
    const answered = call.label.endsWith("future-incoming-response.get") && /^(\d{3},|failed)/.test(call.detail);
    const [request] = open;
    if (call.kind === "http") {
      open.push(call);
      spans.push(call);
    } else if (answered && request && open.length === 1 && uncertain === 0) {
      request.end = Math.max(call.end, request.start);
      request.detail += ` → ${call.detail.replace(/, \d+ headers$/, "")}`;
      open = [];
      const within = (span: Span) => span.kind === "wait" && span.start >= request.start && span.end <= request.end;
      for (let index = spans.indexOf(request) + 1; index < spans.length; index += 1) {
        const span = spans[index];
        if (span && within(span)) spans.splice(index--, 1);
      }
    } else {
      if (answered) {
        uncertain = Math.max(uncertain + open.length - 1, 0);
        open = [];
      }
      spans.push(call);
    }
  }
  return spans;
}

/** What a host call is, by the interface it belongs to. */
export function kindOf(name: string): SpanKind {
  const [, interfaceName = "", call = ""] = /^[^/]*\/([^.]*)\.?(.*)$/.exec(name) ?? [];
  if (interfaceName === "outgoing-handler") return "http";
  if (interfaceName.startsWith("state")) return "state";
  if (interfaceName === "calls") return "call";
  if (interfaceName === "events") return "event";
  if (interfaceName === "durable" || interfaceName === "poll" || call.startsWith("subscribe")) return "wait";
  if (interfaceName === "types" || interfaceName === "streams") return "io";
  return "read";
}

function isEffect(kind: SpanKind): boolean {
  return kind === "http" || kind === "call" || kind === "state" || kind === "event";
}

/** `nexus:function/state.get` → `state.get` */
export function nameOf(name: string): string {
  return name.slice(name.indexOf("/") + 1);
}

function markOf(line: LogLine, index: number, accepted: number, total: number): LogMark {
  const at = Date.parse(line.at) * 1e6 + subMillisecond(line.at) - accepted;
  return { id: `log-${index}`, at: Math.min(Math.max(at, 0), total), line };
}

/** The nanoseconds below the millisecond of a timestamp: JavaScript's dates do not hold them. */
function subMillisecond(timestamp: string): number {
  const digits = /\.(\d+)/.exec(timestamp)?.[1] ?? "";
  return Number(digits.padEnd(9, "0").slice(3, 9)) || 0;
}

/** A part of the axis: times from `from` to `to` are drawn between `left` and `right` (0 to 1). */
export interface Piece {
  from: number;
  to: number;
  left: number;
  right: number;
  folded: boolean;
}

/** A time axis on which stretches of waiting may be folded. */
export interface Axis {
  total: number;
  pieces: Piece[];
}

/** Waiting that takes more of the whole than this is folded, */
const FOLD_SHARE = 0.3;
/** and longer than this: the wait for an answer of the network is part of the story. */
const FOLD_NS = 500e6;
/** The width of a folded stretch. */
const FOLDED_WIDTH = 0.05;

/** The axis of a waterfall. Only waiting is folded (queue, sleep, signals): where time was used, it is shown. */
export function axisOf(waterfall: Waterfall, fold: boolean): Axis {
  const { total } = waterfall;
  const idle = fold ? idleOf(waterfall).filter(([from, to]) => to - from > Math.max(FOLD_NS, total * FOLD_SHARE)) : [];
  const cuts = [...new Set([0, ...idle.flat(), total])].toSorted((one, other) => one - other);
  const isFolded = (from: number) => idle.some(([start]) => start === from);
  const shown = total - idle.reduce((sum, [from, to]) => sum + to - from, 0);
  const room = 1 - idle.length * FOLDED_WIDTH;
  const pieces: Piece[] = [];
  let left = 0;
  for (let index = 0; index + 1 < cuts.length; index += 1) {
    const [from = 0, to = 0] = [cuts[index], cuts[index + 1]];
    const folded = isFolded(from);
    const right = left + (folded ? FOLDED_WIDTH : (room * (to - from)) / Math.max(shown, 1));
    pieces.push({ from, to, left, right, folded });
    left = right;
  }
  return { total, pieces };
}

/** Stretches in which the invocation only waited, and nothing began or ended. */
function idleOf({ rows, total }: Waterfall): [number, number][] {
  const spans = rows.flatMap((row) => (row.type === "span" ? [row.span] : []));
  const waits = spans.filter((span) => span.kind === "queue" || span.kind === "wait");
  const edges = rows.flatMap((row) =>
    row.type === "log" ? [row.mark.at] : row.span.kind === "guest" ? [] : [row.span.start, row.span.end],
  );
  const cuts = [...new Set([0, ...edges, total])].toSorted((one, other) => one - other);
  const found: [number, number][] = [];
  for (let index = 0; index + 1 < cuts.length; index += 1) {
    const [from = 0, to = 0] = [cuts[index], cuts[index + 1]];
    if (waits.some((wait) => wait.start <= from && wait.end >= to)) found.push([from, to]);
  }
  return found;
}

/** Where a time is drawn, from 0 to 1. */
export function placeOf(axis: Axis, time: number): number {
  const piece = axis.pieces.find(({ to }) => time <= to) ?? axis.pieces.at(-1);
  if (!piece || piece.to === piece.from) return 0;
  const share = Math.min(Math.max((time - piece.from) / (piece.to - piece.from), 0), 1);
  return piece.left + share * (piece.right - piece.left);
}

/** The time that is drawn at a place. */
export function timeAt(axis: Axis, place: number): number {
  const piece = axis.pieces.find(({ right }) => place <= right) ?? axis.pieces.at(-1);
  if (!piece || piece.right === piece.left) return 0;
  return piece.from + ((place - piece.left) / (piece.right - piece.left)) * (piece.to - piece.from);
}

/** The part of the axis that is looked at, from 0 to 1. */
export interface Window {
  left: number;
  right: number;
}

export const WHOLE: Window = { left: 0, right: 1 };
const WINDOW_MIN = 0.0005;

/** The window after zooming by a factor around a place of it (0 to 1). */
export function zoom(window: Window, factor: number, around: number): Window {
  const width = window.right - window.left;
  const next = Math.min(Math.max(width / factor, WINDOW_MIN), 1);
  const fixed = window.left + width * around;
  return pan({ left: fixed - next * around, right: fixed + next * (1 - around) }, 0);
}

/** The window moved by a share of its width, and kept inside of the axis. */
export function pan(window: Window, by: number): Window {
  const width = Math.min(window.right - window.left, 1);
  const left = Math.min(Math.max(window.left + by * width, 0), 1 - width);
  return { left, right: left + width };
}

/** Round times for the marks of an axis: at most `count` of them in what is looked at. */
export function ticks(axis: Axis, window: Window, count: number): number[] {
  const marks: number[] = [];
  for (const piece of axis.pieces) {
    const [from, to] = [Math.max(piece.left, window.left), Math.min(piece.right, window.right)];
    if (piece.folded || to <= from) continue;
    const room = Math.max(Math.round((count * (to - from)) / (window.right - window.left)), 1);
    const [start, end] = [timeAt(axis, from), timeAt(axis, to)];
    const step = roundStep((end - start) / room);
    for (let mark = Math.ceil(start / step) * step; mark <= end; mark += step) marks.push(mark);
  }
  return marks;
}

function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(step, 1)));
  const digit = [1, 2, 5].find((candidate) => candidate * power >= step) ?? 10;
  return digit * power;
}
