import { api, send, take } from "./client";
import type { components } from "./schema";
import type { Json } from "~/lib/diff";

type Schemas = components["schemas"];

/** Values that a guest gave or got: any JSON. */
export type Operation = Omit<Schemas["OperationView"], "result"> & { result: Json };
export type TimelineEntry = ({ kind: "operation" } & Operation) | Extract<Schemas["TimelineEntry"], { kind: "log" }>;
export type Variable = Schemas["Variable"];
export type Frame = Schemas["DebugFrame"];
export type StepBy = Schemas["StepBy"];
export type DebugCommand = Schemas["DebugCommand"];
export type LineBreakpoint = Schemas["LineBreakpoint"];
export type Sources = Schemas["Sources"];

export type DebugState = Omit<Schemas["DebugState"], "current" | "what_if" | "ended"> & {
  current?: Operation | null;
  what_if: Operation[];
  ended?: (Omit<Schemas["DebugEnd"], "output"> & { output: Json }) | null;
};

export type DebugOpened = Omit<Schemas["DebugOpened"], "timeline" | "state"> & {
  timeline: TimelineEntry[];
  state: DebugState;
};

/** The text of a version's code. */
export function readSources(project: string, name: string, version: string): Promise<Sources> {
  const path = { project, function: name, version };
  return take(api.GET("/api/v1/projects/{project}/functions/{function}/versions/{version}/sources", { params: { path } }));
}

const pathOf = (project: string, invocation: string) => `/api/v1/projects/${project}/invocations/${invocation}/debug`;

export async function openDebugger(project: string, invocation: string): Promise<DebugOpened> {
  const response = await send(pathOf(project, invocation), { method: "POST" });
  return (await response.json()) as DebugOpened;
}

export async function tellDebugger(project: string, invocation: string, session: string, command: DebugCommand): Promise<DebugState> {
  const response = await send(`${pathOf(project, invocation)}/${session}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(command),
  });
  return (await response.json()) as DebugState;
}

export async function closeDebugger(project: string, invocation: string, session: string): Promise<void> {
  await send(`${pathOf(project, invocation)}/${session}`, { method: "DELETE", keepalive: true });
}
