//! Triggers, schedules, results, dead letters, and why things are as they are.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::EventView;
use crate::record::Status;
use crate::resource::{Compatibility, SchemaMode, TriggerSpec};
use crate::{Event, EventId, InvocationId, Name, Timestamp};

/// A trigger: a resource of its own, or one that a function states itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TriggerView {
    /// The project.
    pub project: Name,
    /// The Trigger resource's name; absent for what a function states itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// What it is.
    #[serde(flatten)]
    pub spec: TriggerSpec,
    /// Where a route or webhook answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// When a cron trigger fires next, jitter left aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
    /// What it set off last, as far as the limit `last-calls-max` reaches back. The routes of a
    /// function share it, and so do the events, times and webhooks that the function states itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastCall>,
    /// Unfinished deliveries of a Trigger resource.
    #[serde(default)]
    pub pending: u64,
    /// The store's revision of the Trigger resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// What a trigger set off last.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LastCall {
    /// When it was accepted.
    pub at: Timestamp,
    /// The invocation.
    pub invocation: InvocationId,
    /// How it ended.
    pub status: Status,
}

/// An event that happens later.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ScheduleView {
    /// The schedule's id.
    pub id: EventId,
    /// The project.
    pub project: String,
    /// When it happens.
    pub due: Timestamp,
    /// Who scheduled it.
    pub principal: String,
    /// When it was accepted.
    pub received: Timestamp,
    /// The only function that gets it, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// The event; without its data where the caller lacks the scope `read-payload`.
    pub event: Event,
}

/// How far an asynchronous invocation is, before it has a result.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PendingView {
    /// The invocation.
    pub invocation: InvocationId,
    /// `queued`, `running` or `suspended`.
    pub status: Status,
    /// The attempt that runs or comes next.
    #[serde(default)]
    pub attempt: u32,
    /// Why it is where it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// How far a running invocation says it is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProgressView {
    /// The invocation.
    pub invocation: InvocationId,
    /// When it said so.
    pub at: Timestamp,
    /// 0 to 100; absent where it cannot say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
    /// For people.
    pub message: String,
}

/// One attempt to deliver an event.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttemptView {
    /// The invocation.
    pub invocation: InvocationId,
    /// Its number, from 1; a redriven delivery begins again.
    pub attempt: u32,
    /// How it ended.
    pub status: Status,
    /// When it was accepted.
    pub at: Timestamp,
    /// How long it took.
    pub duration_ns: u64,
    /// The stable code of the failure, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// Why it failed, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A delivery that was given up.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DeadLetterView {
    /// The event.
    pub event: EventId,
    /// The project.
    pub project: String,
    /// The function that was to handle it.
    pub function: String,
    /// The Trigger resource, or empty for the function's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trigger: String,
    /// The event's type.
    #[serde(rename = "type")]
    pub ty: String,
    /// Why it was given up.
    pub reason: String,
    /// The stable code of the reason, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// How many attempts were made.
    pub attempts: u32,
    /// When it was given up.
    pub at: Timestamp,
}

/// A dead letter with everything that led to it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DeadLetterDetail {
    /// What lists show.
    #[serde(flatten)]
    pub letter: DeadLetterView,
    /// Every attempt, the first one first.
    pub history: Vec<AttemptView>,
    /// The event, where retention has not removed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<EventView>,
}

/// How many dead letters there are of one kind.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DeadLetterCount {
    /// The project.
    pub project: String,
    /// The function.
    pub function: String,
    /// The Trigger resource, or empty for the function's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trigger: String,
    /// The stable code of the reason, or empty.
    pub code: String,
    /// How many.
    pub count: u64,
}

/// What a redrive or drop of dead letters came to.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BulkView {
    /// Dead letters that the filter means, at most `dead-letters-bulk-max` of `nexus limits`.
    pub matched: u64,
    /// Those that were redriven or dropped.
    pub done: u64,
    /// When the last one begins, where a rate was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The event that took the place of the original, where other data was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<EventId>,
}

/// Why something is as it is, in plain words.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WhyView {
    /// What it is about: an event's or an invocation's id.
    pub about: String,
    /// How it stands: `queued`, `waiting`, `running`, `suspended`, `succeeded`, `dead`, `cancelled`,
    /// `fell-back`, `dropped`, `replaced`, `duplicate`, …
    pub state: String,
    /// One sentence.
    pub answer: String,
    /// Until when it stays so by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Further facts, the most important first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
    /// What can be done about it, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
    /// The function, where it is about one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub function: String,
}

/// The schemas of one event type.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SchemaView {
    /// The project.
    pub project: Name,
    /// The Schema resource's name.
    pub name: Name,
    /// The event type.
    #[serde(rename = "type")]
    pub ty: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Which changes are allowed.
    pub compatibility: Compatibility,
    /// The versions, the oldest first.
    pub versions: Vec<u32>,
    /// What happens to events that break it.
    pub mode: SchemaMode,
}

/// Whether an event follows the schema of its type.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SchemaCheck {
    /// Whether it does; also where its type has no schema.
    pub valid: bool,
    /// The schema, where its type has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Name>,
    /// How it breaks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breach: Option<String>,
    /// What happens to such events in this project.
    pub mode: SchemaMode,
}

/// A schema that recorded events suggest.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InferredSchema {
    /// The event type.
    #[serde(rename = "type")]
    pub ty: String,
    /// How many events were looked at.
    pub events: u64,
    /// The JSON Schema.
    pub schema: Value,
}
