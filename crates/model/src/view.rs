//! What the API serves and the CLI and console show: JSON shapes shared by both ends.
//!
//! Nothing here is stored. Times are RFC 3339 in UTC, durations nanoseconds, bytes base 64 where
//! they are not text.

mod comparison;
mod debug;
mod delivery;
mod history;
mod node;
mod profile;
mod replays;
mod state;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use comparison::{
    CompareRules, Comparison, Cost, DifferenceView, EffectChange, EffectView, Part, Sameness,
    VersionDiff, VersionRef,
};
pub use debug::{
    BreakpointView, DebugCommand, DebugEnd, DebugFrame, DebugOpened, DebugState, FrameView,
    LineBreakpoint, MemoryInfo, MemoryView, OperationView, SourceFile, StepBy, StopReason,
    TimelineEntry, Variable, VariablesView,
};
pub use delivery::{
    AttemptView, BulkView, DeadLetterCount, DeadLetterDetail, DeadLetterView, InferredSchema,
    LastCall, PendingView, ProgressView, ScheduleView, SchemaCheck, SchemaView, TriggerView,
    WhyView,
};

pub use history::{
    ChangeView, CountView, DeliveryCounts, DeliveryWord, EventSearch, FunctionStats, GraphEdge,
    GraphNode, GraphView, InvocationSearch, LoadView, NowView, SearchPage, StatsBucket, StatsView,
    TotalsView,
};
pub use node::{DiskView, NodeLimits, NodeLog, NodeView};
pub use profile::{
    ProfileFrameView, ProfileMemoryView, ProfileStackView, ProfileView, ProfileWaitView,
};

use crate::record::{Level, Meter, Status, Stream, Timings, Trigger};
use crate::resource::{FunctionConfig, Triggers, World};
use crate::{Digest, Event, EventId, InvocationId, Name, Timestamp, VersionId};
pub use replays::{
    ReplayBatch, ReplayRequest, ReplayRow, ReplayRows, ReplaySelection, ReplayState, SuiteRequest,
    SuiteView,
};
pub use state::{
    StateClearedView, StateKeyView, StateNamespaceView, StateSetView, StateValue, StreamEventView,
    StreamView,
};

macro_rules! words {
    ($ty:ty, $($variant:ident = $word:literal),* $(,)?) => {
        impl $ty {
            /// The word that the API and the CLI use.
            pub const fn word(self) -> &'static str {
                match self { $(<$ty>::$variant => $word,)* }
            }

            /// The value with this word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(<$ty>::$variant),)* _ => None }
            }

            /// All words, for help texts and errors.
            pub const WORDS: &'static [&'static str] = &[$($word,)*];
        }

        impl Serialize for $ty {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }

        impl<'de> Deserialize<'de> for $ty {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = String::deserialize(deserializer)?;
                <$ty>::from_word(&word).ok_or_else(|| {
                    serde::de::Error::unknown_variant(&word, <$ty>::WORDS)
                })
            }
        }

        impl schemars::JsonSchema for $ty {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($ty).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "enum": <$ty>::WORDS })
            }
        }
    };
}

words!(
    Status,
    Unknown = "unknown",
    Succeeded = "succeeded",
    Failed = "failed",
    Refused = "refused",
    Trapped = "trapped",
    TimedOut = "timed-out",
    OutOfMemory = "out-of-memory",
    Cancelled = "cancelled",
    Crashed = "crashed",
    Rejected = "rejected",
    Running = "running",
    Suspended = "suspended",
    Queued = "queued",
);
words!(Trigger, Http = "http", Event = "event", Invoke = "invoke");
words!(Level, Exact = "exact", Io = "io", None = "none");
words!(Stream, Stdout = "stdout", Stderr = "stderr", Log = "log");

/// An event in a list or alone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EventView {
    /// The id in the log.
    pub id: EventId,
    /// The project.
    pub project: String,
    /// Who sent it.
    pub principal: String,
    /// When Nexus accepted it.
    pub received: Timestamp,
    /// The invocation that emitted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<InvocationId>,
    /// What it was scheduled as: the id by which it was known before it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<EventId>,
    /// How many links led to it, one after the other: events that functions send, calls, outcomes and
    /// fallbacks. 0 for an event that comes from outside.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub chain: u32,
    /// W3C `traceparent`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub traceparent: String,
    /// The event; without its data in lists, unless asked for, and where the caller lacks the scope
    /// `read-payload`.
    pub event: Event,
    /// The size of the data in bytes.
    pub data_bytes: u64,
    /// Why the data is not there although it was kept: its file is missing or damaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_problem: Option<String>,
}

/// One row of a list of invocations: what the catalogue of the log knows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InvocationRow {
    /// The id.
    pub id: InvocationId,
    /// The project.
    pub project: String,
    /// The function.
    pub function: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionId>,
    /// What set it off.
    pub trigger: Trigger,
    /// How it ended.
    pub status: Status,
    /// The HTTP status it answered, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// The attempt: 1 for the first; 0 for a call that was cancelled, given up or counted as handled
    /// before it began.
    pub attempt: u32,
    /// When Nexus accepted it.
    pub accepted: Timestamp,
    /// From acceptance to the end.
    pub duration_ns: u64,
    /// Whether its code had to be loaded first.
    pub cold: bool,
    /// How exactly it can be replayed.
    pub level: Level,
    /// 32 hexadecimal digits (W3C `trace-id`), or empty.
    pub trace_id: String,
}

/// Everything about one invocation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InvocationView {
    /// What lists show.
    #[serde(flatten)]
    pub row: InvocationRow,
    /// Who caused it.
    pub principal: String,
    /// The event that it handled or that led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause_event: Option<EventId>,
    /// The invocation that led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause_invocation: Option<InvocationId>,
    /// W3C `traceparent`.
    pub traceparent: String,
    /// When nobody waits any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// The component as deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<Digest>,
    /// The component as executed, where it was adapted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executed: Option<Digest>,
    /// Where the time went.
    pub timings: Timings,
    /// What it used.
    pub meter: Meter,
    /// Why it was cold, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cold_reason: String,
    /// Why it cannot be replayed, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub not_replayable: String,
    /// Why it did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureView>,
    /// What went in: an HTTP request, an event or a command; `null` where it was not kept.
    pub input: Value,
    /// What came out; `null` where it was not kept.
    pub output: Value,
    /// What it took in from outside, and what went out, in order.
    pub journal: Vec<JournalEntryView>,
    /// Why the journal is not shown although it was kept: its bytes cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_problem: Option<String>,
    /// What it wrote.
    pub logs: Vec<LogView>,
    /// Log lines that were not kept.
    pub logs_dropped: u64,
    /// What redaction replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<String>,
    /// Whether payloads were left out because the caller lacks the scope `read-payload`.
    #[serde(default)]
    pub payloads_hidden: bool,
    /// The Trigger resource that led to it, or empty for the function's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trigger_name: String,
    /// How often it went on from its journal.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resumes: u32,
    /// The answer came from the result cache: the invocation that computed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_from: Option<InvocationId>,
    /// Why it waited before it began, the longest wait first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waited_for: Vec<String>,
    /// Further events of a batch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub batch: Vec<EventId>,
    /// How many links led to it, one after the other: events that functions send, calls, outcomes and
    /// fallbacks.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub chain: u32,
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// Why an invocation did not succeed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FailureView {
    /// A stable code.
    pub code: String,
    /// For people.
    pub message: String,
    /// The guest's stack, innermost frame first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backtrace: Vec<String>,
    /// The same with source files and lines, where the component has debug information; functions
    /// that were inlined have frames of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<FrameView>,
}

/// One journal entry for people.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JournalEntryView {
    /// Its number, from 0.
    pub operation: u32,
    /// What the guest called: `wasi:clocks/wall-clock.now`.
    pub function: String,
    /// Arguments, result or both, for people; long values are shortened.
    pub summary: String,
    /// When it ended, in nanoseconds since the guest was called; 0 where not recorded.
    pub at_ns: u64,
    /// How long the guest waited for it.
    pub duration_ns: u64,
}

/// One log line.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LogView {
    /// When.
    pub at: Timestamp,
    /// Where it came from.
    pub stream: Stream,
    /// The level of structured lines, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub level: String,
    /// The text.
    pub text: String,
    /// Structured fields.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub fields: Value,
    /// The function; set in streams over several invocations.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub function: String,
    /// The invocation; set in streams over several invocations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<InvocationId>,
    /// 32 hexadecimal digits; set in streams over several invocations.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trace_id: String,
}

/// A function in a list or alone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FunctionView {
    /// The project.
    pub project: Name,
    /// The name.
    pub name: Name,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What calls it.
    pub on: Triggers,
    /// The URLs of its routes.
    pub urls: Vec<String>,
    /// The version that new calls run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionView>,
    /// Own names of versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub aliases: BTreeMap<Name, VersionId>,
    /// Limits, environment and recording of new deploys.
    pub config: FunctionConfig,
    /// The store's revision; send it back to guard a change.
    pub revision: u64,
    /// When it was last changed.
    pub updated: Timestamp,
}

/// A version.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct VersionView {
    /// The id.
    pub id: VersionId,
    /// 1 for the first.
    pub number: u64,
    /// What its manifest called it, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Whether new calls run it.
    #[serde(default)]
    pub live: bool,
    /// Own names of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<Name>,
    /// How it is called.
    pub world: World,
    /// What it was written in, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub language: String,
    /// The component.
    pub component: Digest,
    /// Its size.
    pub component_bytes: u64,
    /// What it imports.
    pub imports: Vec<String>,
    /// Whether the text of its code is kept beside it.
    #[serde(default)]
    pub sources: bool,
    /// When it was deployed.
    pub created: Timestamp,
}

/// The answer to a deploy.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Deployed {
    /// The function as it is now.
    pub function: FunctionView,
    /// The version that was made, or that was the same already.
    pub version: VersionView,
    /// Whether the same code and configuration were there already.
    pub unchanged: bool,
    /// How long compiling took in this deploy; 0 when the machine code was stored before.
    pub compile_ms: u64,
    /// What calls it: Trigger resources, and what it states itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<TriggerView>,
    /// What the user should know: code was reused, memory will grow in each call…
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The answer to events that were accepted: they are durable, not handled.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Accepted {
    /// One for each event, in order.
    pub events: Vec<AcceptedEvent>,
}

/// One accepted event.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AcceptedEvent {
    /// Its id in the log; that of the first one for a duplicate.
    pub id: EventId,
    /// An event of the same source and id was there already.
    pub duplicate: bool,
    /// How it breaks the schema of its type, in projects that only warn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// The result of a replay.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ReplayView {
    /// What was replayed.
    pub invocation: InvocationId,
    /// What came of it.
    pub verdict: Verdict,
    /// How many operations were replayed.
    pub operations: u32,
    /// For people: one sentence.
    pub summary: String,
    /// Where it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divergence: Option<DivergenceView>,
    /// How long the replay took.
    pub duration_ns: u64,
    /// How long the original took.
    pub original_ns: u64,
    /// The replayed output, in the form of [`InvocationView::output`].
    pub output: Value,
    /// Whether the final memory was compared as well.
    pub memory_compared: bool,
}

/// What came of a replay.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Same operations, same output, same end.
    Identical,
    /// The recording was cut at an arbitrary instruction (timeout, cancellation): identical up to
    /// the last recorded operation.
    IdenticalUpTo,
    /// It differs at a named operation.
    Diverged,
}

/// Where a replay differs from the recording.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DivergenceView {
    /// The number of the operation, or `None` when the output differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<u32>,
    /// What was being compared: a host function, `output body`, `status`, `memory`.
    pub what: String,
    /// What the recording has.
    pub expected: String,
    /// What the replay did.
    pub actual: String,
}
