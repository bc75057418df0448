import { send } from "./client";
import type { EventRow, InvocationRow, Status, TriggerKind } from "./types";

export interface Totals {
  invocations: number;
  failed: number;
  cold: number;
  by_status: Record<string, number>;
  p50_ns?: number;
  p95_ns?: number;
  p99_ns?: number;
  max_ns?: number;
}
export type StatsBucket = { at: string; events: number } & Totals;
export interface Stats {
  since: string;
  until: string;
  bucket_ns: number;
  totals: Totals;
  events?: number;
  buckets: StatsBucket[];
  functions: ({ project: string; function: string } & Totals)[];
  functions_omitted: number;
  now: {
    deliveries: { queued: number; retrying: number; running: number; suspended: number };
    dead_letters: number;
    server?: { instances_running: number; calls_waiting: number };
  };
}
export type GraphNode =
  | { kind: "event"; id: string; depth: number; type: string; source: string; subject?: string; at: string }
  | { kind: "invocation"; id: string; depth: number; function: string; status: Status; attempt: number; trigger: TriggerKind; at: string; duration_ns: number }
  | { kind: "delivery"; id: string; depth: number; function: string; trigger: string; state: "queued" | "retrying" | "running" | "suspended" | "dead"; attempts: number; code?: string; reason?: string; at: string };
export interface Graph {
  root: string;
  nodes: GraphNode[];
  edges: { from: string; to: string }[];
  truncated?: string;
}
export interface Change {
  at: string;
  event: string;
  principal: string;
  action: string;
  kind: string;
  project?: string;
  name: string;
  revision?: number;
}
export interface SearchPage<T> {
  items: T[];
  next?: string;
  looked_at: number;
  back_to?: string;
}
export type InvocationSearch = SearchPage<InvocationRow>;
export type EventSearch = SearchPage<EventRow>;
export interface NodeView {
  name: string;
  version: string;
  mode: string;
  started: string;
  uptime_ns: number;
  os: string;
  arch: string;
  cpus: number;
  memory_bytes?: number;
  memory_total_bytes?: number;
  disk?: { data_bytes: number; free_bytes: number; total_bytes: number };
  load: { instances_running: number; calls_waiting: number };
  components_loaded: number;
  deliveries_pending: number;
  limits: Record<string, number>;
  ready: boolean;
  compiling: number;
  reasons: string[];
  log: Record<string, unknown>;
}
export interface Session {
  principal: string;
  kind: "session" | "token";
  scopes: string[];
  project?: string;
  expires?: string;
}

export async function getJson<T>(path: string): Promise<T> {
  return (await (await send(path)).json()) as T;
}
