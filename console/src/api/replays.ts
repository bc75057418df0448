import type { Json } from "~/lib/diff";
import { send } from "./client";
import type { Status, VersionView } from "./types";

/** What does not matter when two runs are compared. */
export interface Rules {
  ignore?: string[];
  "ignore-headers"?: string[];
  timestamps?: boolean;
  ids?: boolean;
  logs?: boolean;
}

export interface DifferenceView {
  part: string;
  path?: string;
  before?: Json;
  after?: Json;
  /** The rule because of which it does not count. */
  ignored?: string;
}

export interface EffectView {
  kind: "added" | "removed" | "changed" | "repeated" | "reordered";
  function: string;
  target: string;
  operation: number;
  changes: DifferenceView[];
  ignored?: string;
}

export interface VersionRef {
  id: string;
  number: number;
  label?: string;
}

export interface Cost {
  guest_ns: number;
  memory_peak_bytes: number;
  host_calls: number;
}

export interface Comparison {
  recorded: VersionRef;
  against: VersionRef;
  verdict: "identical" | "equivalent" | "different" | "cannot-tell";
  summary: string;
  changes: DifferenceView[];
  effects: EffectView[];
  changes_omitted: number;
  recorded_cost: Cost;
  against_cost: Cost;
  output: Json;
}

export interface Selection {
  function?: string;
  status?: Status[];
  since?: string;
  ids?: string[];
  suite?: string;
  limit?: number;
}

export interface Batch {
  id: string;
  created: string;
  principal: string;
  request: { select: Selection; against?: string };
  state: "running" | "paused" | "done" | "cancelled" | "failed";
  reason?: string;
  selected: number;
  selecting: boolean;
  done: number;
  verdicts: Record<string, number>;
  took_ns: number;
  original_ns: number;
  times_real_time: number;
}

export interface BatchRow {
  invocation: string;
  function: string;
  verdict: string;
  summary: string;
  took_ns: number;
  original_ns: number;
}

export interface Suite {
  name: string;
  description?: string;
  rules: Rules;
  functions: string[];
  cases: string[];
  updated: string;
}

/** A version with its names. */
export type NamedVersion = VersionView & { label?: string; aliases?: string[] };

async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await send(path, {
    method,
    ...(body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
  return (response.status === 204 ? undefined : await response.json()) as T;
}

const of = (project: string) => `/api/v1/projects/${project}`;

export const replays = {
  compare: (project: string, invocation: string, against: string, rules: Rules) =>
    ask<Comparison>("POST", `${of(project)}/invocations/${invocation}/compare`, { against, rules }),

  start: (project: string, request: { select: Selection; against?: string; rules?: Rules }) =>
    ask<Batch>("POST", `${of(project)}/replays`, request),
  list: (project: string) => ask<{ items: Batch[] }>("GET", `${of(project)}/replays`),
  show: (project: string, id: string) => ask<Batch>("GET", `${of(project)}/replays/${id}`),
  rows: (project: string, id: string, query: string) =>
    ask<{ items: BatchRow[]; next?: number }>("GET", `${of(project)}/replays/${id}/results${query}`),
  order: (project: string, id: string, order: "pause" | "resume" | "cancel") =>
    ask<Batch>("POST", `${of(project)}/replays/${id}/${order}`),

  suites: (project: string) => ask<{ items: Suite[] }>("GET", `${of(project)}/suites`),
  saveSuite: (project: string, name: string, request: { description?: string; rules?: Rules; select: Selection }) =>
    ask<Suite>("PUT", `${of(project)}/suites/${encodeURIComponent(name)}`, request),
  deleteSuite: (project: string, name: string) => ask<undefined>("DELETE", `${of(project)}/suites/${name}`),

  makeLive: (project: string, name: string, version?: string) =>
    ask<unknown>("POST", `${of(project)}/functions/${name}/live${version ? `?version=${version}` : ""}`),
  setAlias: (project: string, name: string, alias: string, version: string) =>
    ask<unknown>("PUT", `${of(project)}/functions/${name}/aliases/${encodeURIComponent(alias)}?version=${version}`),
};
