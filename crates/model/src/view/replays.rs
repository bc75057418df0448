//! Many invocations replayed at once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::CompareRules;
use crate::record::Status;
use crate::{InvocationId, Name, Timestamp};

/// Which invocations. Everything that is stated must hold.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ReplaySelection {
    /// The function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<Name>,
    /// How they ended; empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<Status>,
    /// Accepted at or after this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Accepted before this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// They handled an event of this type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub ty: Option<String>,
    /// A text in what was recorded of them, in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// A jq expression over an invocation as the API shows it: `.input.body.json.total > 100`.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// These; nothing else may be stated then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<InvocationId>,
    /// Those of a suite; nothing else may be stated then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suite: Option<Name>,
    /// The newest so many. Default and most: the limit `replay-invocations-max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// A batch of replays to be made.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ReplayRequest {
    /// Which invocations.
    pub select: ReplaySelection,
    /// The version to hold them against: a number, label, id or alias. Absent: each is replayed with
    /// the version that made it, exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// What does not matter in comparisons. Absent for a suite: the suite's own rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<CompareRules>,
    /// How many at the same time. Default and most: the processors of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel: Option<u32>,
}

/// How a batch of replays is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayState {
    /// It runs.
    Running,
    /// Somebody stopped it for now.
    Paused,
    /// Every invocation was looked at.
    Done,
    /// Somebody ended it before.
    Cancelled,
    /// It could not go on.
    Failed,
}

/// A batch of replays: what it does and how far it is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ReplayBatch {
    /// Its name.
    pub id: Name,
    /// The project.
    pub project: Name,
    /// When it was made.
    pub created: Timestamp,
    /// Who made it.
    pub principal: String,
    /// What was asked for.
    pub request: ReplayRequest,
    /// How it is.
    pub state: ReplayState,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Invocations that were selected; grows while `selecting`.
    pub selected: u64,
    /// Whether more are still being selected.
    pub selecting: bool,
    /// Invocations that were looked at.
    pub done: u64,
    /// How many of them came to what: `identical`, `identical-up-to`, `equivalent`, `different`,
    /// `diverged`, `cannot-tell`.
    pub verdicts: BTreeMap<String, u64>,
    /// How long it has taken, pauses not counted.
    pub took_ns: u64,
    /// How long the invocations took when they were recorded, together.
    pub original_ns: u64,
    /// The second divided by the first: how much faster than life it is.
    pub times_real_time: f64,
}

/// One invocation of a batch.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ReplayRow {
    /// The invocation.
    pub invocation: InvocationId,
    /// Its function.
    pub function: String,
    /// What came of it: see [`ReplayBatch::verdicts`].
    pub verdict: String,
    /// For people: one sentence.
    pub summary: String,
    /// How long the replay took; with a comparison, that of both versions.
    pub took_ns: u64,
    /// How long the invocation took when it was recorded.
    pub original_ns: u64,
}

/// Some rows of a batch.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ReplayRows {
    /// The rows, in the order in which they came in.
    pub items: Vec<ReplayRow>,
    /// Pass it as `after` for those that follow; absent at the end of what there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// Recordings that are kept as tests.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SuiteView {
    /// Its name.
    pub name: Name,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What does not matter when a version is held against it.
    pub rules: CompareRules,
    /// The functions whose recordings it has.
    pub functions: Vec<Name>,
    /// The invocations.
    pub cases: Vec<InvocationId>,
    /// When it was last saved.
    pub updated: Timestamp,
}

/// A suite to be saved.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SuiteRequest {
    /// For people.
    pub description: String,
    /// What does not matter when a version is held against it.
    pub rules: CompareRules,
    /// Which recordings.
    pub select: ReplaySelection,
}
