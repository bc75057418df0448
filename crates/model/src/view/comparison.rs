//! One version of a function held against another, with a recording as the world of both.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::VersionView;
use crate::{InvocationId, Name, VersionId};

/// What does not matter in a comparison. By default everything does but log lines.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CompareRules {
    /// JSONPaths (RFC 9535) of what is ignored in every JSON document that is compared: output,
    /// events, bodies of requests, values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// Names of header fields that are ignored, in any case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore_headers: Vec<String>,
    /// Texts that are moments in time (RFC 3339) may differ.
    pub timestamps: bool,
    /// Texts that look like generated ids (UUID, ULID, 16 or more hexadecimal digits) may differ.
    pub ids: bool,
    /// Log lines count as well.
    pub logs: bool,
}

/// Whether two versions did the same.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Sameness {
    /// The same output, the same effects.
    Identical,
    /// Only what the rules ignore differs.
    Equivalent,
    /// Something that matters differs.
    Different,
    /// The recording does not allow to say.
    CannotTell,
}

impl Sameness {
    /// The word that the API and the CLI use.
    pub const fn word(self) -> &'static str {
        match self {
            Sameness::Identical => "identical",
            Sameness::Equivalent => "equivalent",
            Sameness::Different => "different",
            Sameness::CannotTell => "cannot-tell",
        }
    }
}

/// A version by all its names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct VersionRef {
    /// The id.
    pub id: VersionId,
    /// 1 for the function's first.
    pub number: u64,
    /// What its manifest called it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
}

/// Which part of what an invocation does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// How it ended, or the status of its HTTP answer.
    Status,
    /// A header field of its HTTP answer.
    Header,
    /// Its answer, result or standard output.
    Output,
    /// Why it failed.
    Failure,
    /// An event that it returned.
    Event,
    /// A command's exit code.
    ExitCode,
    /// Its log lines.
    Logs,
    /// The arguments of an effect.
    Request,
    /// Limits, environment, recording.
    Config,
}

/// One difference.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DifferenceView {
    /// Of what.
    pub part: Part,
    /// Where in it: a JSON Pointer, a header's name, or empty for all of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// What the recorded version did, if it did anything there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What the other version does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// The rule by which it does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored: Option<String>,
}

/// What became of an effect.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EffectChange {
    /// The other version asks for it, the recorded one did not. It was not performed.
    Added,
    /// The other version does not ask for it.
    Removed,
    /// It asks for the same with other arguments, and got the recorded answer.
    Changed,
    /// It asks more often for what only reads.
    Repeated,
    /// It changes the world in another order.
    Reordered,
}

/// One effect that differs.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EffectView {
    /// In what way.
    pub kind: EffectChange,
    /// The host function.
    pub function: String,
    /// What it is aimed at: `POST https://…`, a function's name, a key.
    pub target: String,
    /// Its place among the operations of the version that has it.
    pub operation: u32,
    /// What changed in its arguments; for one that was added or removed all of them.
    pub changes: Vec<DifferenceView>,
    /// The rule by which it does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored: Option<String>,
}

/// What a run cost. Both are measured in the comparison itself, where nothing waits.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Cost {
    /// Time in the guest, in nanoseconds. One run says little about it.
    pub guest_ns: u64,
    /// All linear memories together, in bytes.
    pub memory_peak_bytes: u64,
    /// Host calls.
    pub host_calls: u64,
    /// WebAssembly instructions, where they were asked for: the same in every run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<u64>,
}

/// One invocation of one version held against another version.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Comparison {
    /// What was recorded.
    pub invocation: InvocationId,
    /// Its function.
    pub function: String,
    /// The version that made the recording.
    pub recorded: VersionRef,
    /// The version that it was held against.
    pub against: VersionRef,
    /// Whether they did the same.
    pub verdict: Sameness,
    /// For people: one sentence.
    pub summary: String,
    /// What differs in how it ended.
    pub changes: Vec<DifferenceView>,
    /// What differs in what it asked of the world.
    pub effects: Vec<EffectView>,
    /// Changes beyond the limit `comparison-changes-max`.
    pub changes_omitted: u64,
    /// What the recorded version cost.
    pub recorded_cost: Cost,
    /// What the other version cost.
    pub against_cost: Cost,
    /// What the other version answered, in the form of [`InvocationView::output`]; null where the
    /// caller lacks the scope `read-payload`.
    ///
    /// [`InvocationView::output`]: crate::view::InvocationView::output
    pub output: Value,
}

/// What changed between two versions of a function, apart from what their code does.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct VersionDiff {
    /// The function.
    pub function: Name,
    /// The first version.
    pub from: VersionView,
    /// The second version.
    pub to: VersionView,
    /// Whether both run the same component.
    pub same_code: bool,
    /// Imports that only the second has: what it may do more.
    pub imports_added: Vec<String>,
    /// Imports that only the first has.
    pub imports_removed: Vec<String>,
    /// Changes of limits, environment, recording and allowed hosts.
    pub config: Vec<DifferenceView>,
}
