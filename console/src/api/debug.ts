import { send } from "./client";
import type { LogLine, Status } from "./types";
import type { Json } from "~/lib/diff";

export interface Operation {
  operation: number;
  function: string;
  arguments: string;
  summary: string;
  result: Json;
  at_ns: number;
  duration_ns: number;
  edited?: boolean;
  new?: boolean;
}

export type TimelineEntry = ({ kind: "operation" } & Operation) | { kind: "log"; after: number; log: LogLine };

export interface Variable {
  name: string;
  type: string;
  value: string;
}

export interface Frame {
  function: string;
  module?: string;
  file?: string;
  line?: number;
  column?: number;
  inlined?: boolean;
  offset: number;
  locals?: Variable[];
}

export interface DebugState {
  reason: "entry" | "operation" | "breakpoint" | "step" | "pause" | "trap" | "new-effect" | "diverged" | "end";
  description: string;
  operation: number;
  operations: number;
  current?: Operation;
  frames: Frame[];
  globals: Variable[];
  memories: { memory: number; module: string; bytes: number }[];
  logs: LogLine[];
  what_if: Operation[];
  breakpoints: { file: string; line: number; verified: boolean; message?: string }[];
  ended?: { status: Status; failure?: string; output: Json; difference?: string };
  memory?: { memory: number; address: number; base64: string };
}

export interface DebugOpened {
  session: string;
  function: string;
  timeline: TimelineEntry[];
  sources: string[];
  has_lines: boolean;
  compile_ms: number;
  idle_seconds: number;
  state: DebugState;
}

export type StepBy = "operation" | "line" | "over" | "out" | "instruction";

export type DebugCommand =
  | { command: "continue"; back: boolean }
  | { command: "run-to"; operation: number }
  | { command: "step"; by: StepBy; back: boolean }
  | { command: "breakpoints"; operations: string[]; lines: { file: string; line: number }[] }
  | { command: "edit"; operation: number; result: Json }
  | { command: "memory"; memory: number; address: number; length: number };

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
