//! A profile as data, for those who draw it themselves.

use serde::{Deserialize, Serialize};

use crate::InvocationId;

/// Where a past invocation spent its time and memory, from replays of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProfileView {
    /// The invocation.
    pub invocation: InvocationId,
    /// The function.
    pub function: String,
    /// How often it was replayed.
    pub replays: u32,
    /// Samples of all replays.
    pub samples: u64,
    /// How long the guest computed in one run, on average, in nanoseconds.
    pub run_ns: u64,
    /// The functions that were seen.
    pub frames: Vec<ProfileFrameView>,
    /// What was seen, and how often.
    pub stacks: Vec<ProfileStackView>,
    /// Linear memory of one replay.
    pub memory: Vec<ProfileMemoryView>,
    /// What the recorded run waited for.
    pub waits: Vec<ProfileWaitView>,
}

/// A function in a profile.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProfileFrameView {
    /// The function, demangled.
    pub function: String,
    /// The core module of the component.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub module: String,
    /// The source file as the compiler named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The same file's path in the [`Sources`](crate::Sources) of the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The line that ran, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Whether it is the user's own code, as far as the debug information tells.
    pub own: bool,
}

/// A stack that was seen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProfileStackView {
    /// Numbers of frames, the outermost first.
    pub frames: Vec<u32>,
    /// In how many samples.
    pub samples: u64,
}

/// How much memory a guest had from a moment on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProfileMemoryView {
    /// Since the guest was called, in the replay, in nanoseconds.
    pub at_ns: u64,
    /// Operations that had been answered.
    pub operation: u32,
    /// All linear memories together.
    pub bytes: u64,
}

/// Something that the guest waited for in the recorded run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProfileWaitView {
    /// The operation's number, from 0.
    pub operation: u32,
    /// What it called.
    pub function: String,
    /// Its target or arguments, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub what: String,
    /// When it ended, in nanoseconds since the guest was called.
    pub at_ns: u64,
    /// How long it took.
    pub duration_ns: u64,
}
