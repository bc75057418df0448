import type { Status, TriggerKind } from "~/api/types";
import { parseSpan } from "./time";

/** What the URL of the list of invocations says. What is not said filters nothing. */
export interface InvocationFilters {
  function?: string;
  version?: string;
  /** Several, separated by commas. */
  status?: string;
  trigger?: string;
  min_duration?: string;
  max_duration?: string;
  cold?: boolean;
  trace?: string;
  event?: string;
  /** A span before now (`15m`) or a moment. */
  since?: string;
  until?: string;
  /** Text in payloads, logs and failures. */
  text?: string;
  /** A jq expression over the invocation. */
  where?: string;
}

/** What the URL of the list of events says. */
export interface EventFilters {
  type?: string;
  source?: string;
  subject?: string;
  cause?: string;
  since?: string;
  until?: string;
  text?: string;
  where?: string;
  /** Events of Nexus itself (`dev.nexus.*`), which are left out otherwise. */
  system?: boolean;
}

/** What the URL of the dead letters says. */
export interface DeadFilters {
  function?: string;
  trigger?: string;
  code?: string;
  type?: string;
  since?: string;
  until?: string;
}

export const STATUSES = [
  "running",
  "queued",
  "suspended",
  "succeeded",
  "failed",
  "refused",
  "trapped",
  "timed-out",
  "out-of-memory",
  "cancelled",
  "crashed",
  "rejected",
] as const satisfies readonly Status[];

export const TRIGGERS = ["http", "event", "invoke"] as const satisfies readonly TriggerKind[];

/** How invocations end that did not do what they should. */
export const FAILURES = ["failed", "refused", "trapped", "timed-out", "out-of-memory", "crashed", "rejected"] as const;

/** Those that have not ended: they are listed only when they are asked for. */
export const UNFINISHED = ["running", "queued", "suspended"] as const;

export type Unfinished = (typeof UNFINISHED)[number];

/** Whether something waits, sleeps or runs. */
export const isUnfinished = (status: Status): status is Unfinished => (UNFINISHED as readonly Status[]).includes(status);

type Search = Record<string, unknown>;

/** Reads a search; whatever makes no sense is dropped, because a URL may come from anywhere. */
export function invocationFilters(search: Search): InvocationFilters {
  return compact({
    function: text(search["function"]),
    version: text(search["version"]),
    status: listed(search["status"], STATUSES),
    trigger: listed(search["trigger"], TRIGGERS),
    min_duration: duration(search["min_duration"]),
    max_duration: duration(search["max_duration"]),
    cold: flag(search["cold"]),
    trace: matching(search["trace"], /^[0-9a-f]{32}$/),
    event: matching(search["event"], /^evt_\w+$/),
    since: bound(search["since"]),
    until: bound(search["until"]),
    text: text(search["text"]),
    where: text(search["where"]),
  });
}

export function eventFilters(search: Search): EventFilters {
  return compact({
    type: text(search["type"]),
    source: text(search["source"]),
    subject: text(search["subject"]),
    cause: matching(search["cause"], /^inv_\w+$/),
    since: bound(search["since"]),
    until: bound(search["until"]),
    text: text(search["text"]),
    where: text(search["where"]),
    system: flag(search["system"]),
  });
}

export function deadFilters(search: Search): DeadFilters {
  return compact({
    function: text(search["function"]),
    trigger: text(search["trigger"]),
    code: matching(search["code"], /^NX\d{4}$/),
    type: text(search["type"]),
    since: bound(search["since"]),
    until: bound(search["until"]),
  });
}

/** What is open on the page of a function. */
export interface FunctionSearch {
  tab?: string;
  /** State that functions share under this name, in the place of the function's own. */
  shared?: string;
  /** What this function has left, which was deleted. */
  left?: string;
  /** Streams in the place of keys. */
  streams?: boolean;
  prefix?: string;
  key?: string;
  stream?: string;
}

export function functionSearch(search: Search): FunctionSearch {
  return compact({
    tab: text(search["tab"]),
    shared: name(search["shared"]),
    left: name(search["left"]),
    streams: flag(search["streams"]),
    prefix: name(search["prefix"]),
    key: name(search["key"]),
    stream: name(search["stream"]),
  });
}

/** A name that may be any text, also one of spaces. */
function name(value: unknown): string | undefined {
  return typeof value === "string" ? value : text(value);
}

function text(value: unknown): string | undefined {
  if (typeof value === "number") return String(value);
  return typeof value === "string" && value.trim() ? value : undefined;
}

function matching(value: unknown, pattern: RegExp): string | undefined {
  const found = text(value);
  return found && pattern.test(found) ? found : undefined;
}

function flag(value: unknown): boolean | undefined {
  if (value === true || value === "true") return true;
  return value === false || value === "false" ? false : undefined;
}

function listed(value: unknown, known: readonly string[]): string | undefined {
  const found = text(value)?.split(",").filter((word) => known.includes(word));
  return found?.length ? found.join(",") : undefined;
}

function duration(value: unknown): string | undefined {
  return matching(value, /^\d+(\.\d+)?(ns|us|µs|ms|s|m|h)$/);
}

function bound(value: unknown): string | undefined {
  const found = text(value);
  if (!found) return undefined;
  return parseSpan(found) !== undefined || !Number.isNaN(Date.parse(found)) ? found : undefined;
}

/** Without the keys that have no value, so that equal filters make equal URLs and equal cache keys. */
export function compact<T extends object>(value: T): Partial<T> {
  return Object.fromEntries(Object.entries(value).filter(([, it]) => it !== undefined)) as Partial<T>;
}

/** A list in the form of the URL with one word in or out. */
export function toggled(list: string | undefined, word: string): string | undefined {
  const words = new Set(list?.split(",") ?? []);
  if (!words.delete(word)) words.add(word);
  return words.size ? [...words].join(",") : undefined;
}
