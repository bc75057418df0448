import type { components } from "./schema";

type Schemas = components["schemas"];

export type Status = Schemas["Status"];
export type TriggerKind = Schemas["Trigger"];
export type InvocationRow = Schemas["InvocationRow"];
export type Invocation = Schemas["InvocationView"];
export type JournalEntry = Schemas["JournalEntryView"];
export type LogLine = Schemas["LogView"];
export type Failure = Schemas["FailureView"];
export type Replay = Schemas["ReplayView"];
export type EventRow = Schemas["EventView"];
export type CloudEvent = Schemas["CloudEvent"];
export type FunctionView = Schemas["FunctionView"];
export type VersionView = Schemas["VersionView"];
export type TriggerView = Schemas["TriggerView"];
export type DeadLetter = Schemas["DeadLetterView"];
export type DeadLetterCount = Schemas["DeadLetterCount"];
export type DeadLetterDetail = Schemas["DeadLetterDetail"];
export type DeadQuery = Schemas["DeadQuery"];
export type RedriveRequest = Schemas["RedriveRequest"];
export type Why = Schemas["WhyView"];
export type Resource = Schemas["Resource"];
export type SchemaView = Schemas["SchemaView"];
export type Scope = Schemas["Scope"];
export type Limit = Schemas["Limit"];
export type World = Schemas["World"];
export type Deployed = Schemas["Deployed"];
