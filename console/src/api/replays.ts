import type { Json } from "~/lib/diff";
import { send } from "./client";
import type { components } from "./schema";
import type { VersionView } from "./types";

type Schemas = components["schemas"];

/** What does not matter when two runs are compared. */
export type Rules = Schemas["CompareRules"];
export type DifferenceView = Schemas["DifferenceView"];
export type EffectView = Schemas["EffectView"];
export type VersionRef = Schemas["VersionRef"];
export type Cost = Schemas["Cost"];
export type Comparison = Omit<Schemas["Comparison"], "output"> & { output: Json };
export type Selection = Schemas["ReplaySelection"];
export type Batch = Schemas["ReplayBatch"];
export type BatchRow = Schemas["ReplayRow"];
export type Suite = Schemas["SuiteView"];
/** A version with its names. */
export type NamedVersion = VersionView;

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
