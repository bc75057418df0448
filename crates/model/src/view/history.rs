//! History as a whole: counts, percentiles, searches, what led to what, what changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{EventView, InvocationRow};
use crate::record::{Status, Trigger};
use crate::{EventId, InvocationId, Name, Timestamp};

/// What ran in a stretch of time.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StatsView {
    /// The first moment.
    pub since: Timestamp,
    /// The moment after the last.
    pub until: Timestamp,
    /// The length of each stretch, in nanoseconds.
    pub bucket_ns: u64,
    /// Everything together.
    pub totals: TotalsView,
    /// Events that were accepted; absent when only one function was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
    /// The stretches, the first one first.
    pub buckets: Vec<StatsBucket>,
    /// Functions that ran, the busiest first.
    pub functions: Vec<FunctionStats>,
    /// Further functions that ran and are not listed.
    pub functions_omitted: u64,
    /// What is going on at this moment.
    pub now: NowView,
}

/// A number of invocations, by when they were accepted.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TotalsView {
    /// How many there were.
    pub invocations: u64,
    /// How many of them did not succeed.
    pub failed: u64,
    /// How many of them had to load their code first.
    pub cold: u64,
    /// How many ended in each way; ways that did not occur are left out.
    pub by_status: BTreeMap<String, u64>,
    /// Half of them took at most this long, in nanoseconds; percentiles are exact to 2 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ns: Option<u64>,
    /// 95 % of them took at most this long, in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_ns: Option<u64>,
    /// 99 % of them took at most this long, in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ns: Option<u64>,
    /// The longest took this long, in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ns: Option<u64>,
}

/// One stretch of time.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StatsBucket {
    /// Its first moment.
    pub at: Timestamp,
    /// Events that were accepted in it.
    pub events: u64,
    /// Invocations that were accepted in it.
    #[serde(flatten)]
    pub totals: TotalsView,
}

/// What one function did.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FunctionStats {
    /// The project.
    pub project: String,
    /// The function.
    pub function: String,
    /// Its invocations.
    #[serde(flatten)]
    pub totals: TotalsView,
}

/// What is going on at this moment.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NowView {
    /// Deliveries that are not finished.
    pub deliveries: DeliveryCounts,
    /// Deliveries that were given up and wait for somebody to look at them.
    pub dead_letters: u64,
    /// The whole server; absent for callers that reach one project only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<LoadView>,
}

/// How many deliveries are in each state.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct DeliveryCounts {
    /// They wait for their first turn.
    pub queued: u64,
    /// They failed and wait for their next attempt.
    pub retrying: u64,
    /// They run.
    pub running: u64,
    /// They sleep or wait for a signal.
    pub suspended: u64,
}

/// What a server does at this moment.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct LoadView {
    /// Instances that run.
    pub instances_running: u64,
    /// Calls that wait for a slot.
    pub calls_waiting: u64,
}

/// How many there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CountView {
    /// How many.
    pub count: u64,
}

/// A part of a search. Looking into payloads takes time, so each request looks at a bounded number
/// of records: a part may have few hits, or none, while the search is not at its end.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "{T}Search")]
pub struct SearchPage<T> {
    /// The hits, newest first.
    pub items: Vec<T>,
    /// Where the search goes on; absent at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Records that this request looked into.
    pub looked_at: u64,
    /// The search has come back to this moment; absent when it looked into nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<Timestamp>,
}

/// What an event or invocation led to.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GraphView {
    /// The id of the node where it begins.
    pub root: String,
    /// The nodes, causes before effects.
    pub nodes: Vec<GraphNode>,
    /// What led to what.
    pub edges: Vec<GraphEdge>,
    /// Why it is not whole; absent when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<String>,
}

/// Something that happened, ran, or is to run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum GraphNode {
    /// An event.
    Event {
        /// Its id.
        id: EventId,
        /// Steps from the beginning.
        depth: u32,
        /// The project.
        project: String,
        /// The type.
        #[serde(rename = "type")]
        ty: String,
        /// The source.
        source: String,
        /// The subject.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
        /// When Nexus accepted it.
        at: Timestamp,
    },
    /// An invocation that has begun.
    Invocation {
        /// Its id.
        id: InvocationId,
        /// Steps from the beginning.
        depth: u32,
        /// The project.
        project: String,
        /// The function.
        function: String,
        /// How it ended, or `running`.
        status: Status,
        /// The attempt: 1 for the first.
        attempt: u32,
        /// What set it off.
        trigger: Trigger,
        /// When Nexus accepted it.
        at: Timestamp,
        /// From acceptance to the end; 0 while it runs.
        duration_ns: u64,
    },
    /// A delivery that is not finished, or was given up.
    Delivery {
        /// The event, the function and the trigger: `evt_…/orders/`.
        id: String,
        /// Steps from the beginning.
        depth: u32,
        /// The function.
        function: String,
        /// The Trigger resource, or empty for the function's own.
        trigger: String,
        /// Where it stands.
        state: DeliveryWord,
        /// Attempts that were made or are being made.
        attempts: u32,
        /// The stable code of the reason, for one that was given up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        /// Why it waits or was given up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Since when.
        at: Timestamp,
    },
}

/// Where a delivery stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryWord {
    /// It waits for its first turn.
    Queued,
    /// It failed and waits for its next attempt.
    Retrying,
    /// It runs.
    Running,
    /// It sleeps or waits for a signal.
    Suspended,
    /// It was given up.
    Dead,
}

/// One node led to another.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GraphEdge {
    /// The cause.
    pub from: String,
    /// The effect.
    pub to: String,
}

/// A change of what is declared.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ChangeView {
    /// When.
    pub at: Timestamp,
    /// The event that says so.
    pub event: EventId,
    /// Who.
    pub principal: String,
    /// `created`, `updated` or `deleted`.
    pub action: String,
    /// The kind of the resource: `Function`.
    pub kind: String,
    /// The project of the resource; absent for kinds outside projects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Name>,
    /// The name of the resource.
    pub name: String,
    /// The store's revision after the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// Hits of a search for events.
pub type EventSearch = SearchPage<EventView>;
/// Hits of a search for invocations.
pub type InvocationSearch = SearchPage<InvocationRow>;
