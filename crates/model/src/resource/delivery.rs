//! How events are delivered to a function: retries, order, limits, batches, what follows.

use serde::{Deserialize, Serialize};

use super::trigger::is_default;
use crate::Name;
use crate::units::Millis;

/// How events reach a function. What is absent has the default of `nexus limits`. A trigger's
/// settings replace those of its function one by one ([`DeliveryConfig::over`]).
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DeliveryConfig {
    /// What happens when an attempt fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// What keeps events in order: an attribute, a path into JSON data, or a template of these.
    /// Default: the `partitionkey` extension. Events without a key have no order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether a failing event holds up the later ones of its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// Attempts of this function (or trigger) that run at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Attempts of one key at the same time, where `order` is relaxed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_per_key: Option<u32>,
    /// Attempts that begin per time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Who goes first when slots are scarce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Several events in one call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
    /// Events with the same key within this age count once for this trigger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deduplicate: Option<Deduplicate>,
    /// A jq expression that makes the data that the function gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<String>,
    /// Stops calling a function that only fails, for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Breaker>,
    /// The function that gets the event when this one's attempts are used up or its breaker is
    /// open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Name>,
    /// Where the result of a delivery goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_success: Option<Destination>,
    /// Where the failure of a delivery goes, besides the dead letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<Destination>,
    /// How many deliveries may be unfinished, and what happens beyond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Queue>,
}

impl DeliveryConfig {
    /// These settings, and those of `base` where these say nothing.
    pub fn over(self, base: &DeliveryConfig) -> DeliveryConfig {
        DeliveryConfig {
            retry: self.retry.or_else(|| base.retry.clone()),
            key: self.key.or_else(|| base.key.clone()),
            order: self.order.or(base.order),
            concurrency: self.concurrency.or(base.concurrency),
            concurrency_per_key: self.concurrency_per_key.or(base.concurrency_per_key),
            rate: self.rate.or(base.rate),
            priority: self.priority.or(base.priority),
            batch: self.batch.or(base.batch),
            deduplicate: self.deduplicate.or_else(|| base.deduplicate.clone()),
            transform: self.transform.or_else(|| base.transform.clone()),
            breaker: self.breaker.or(base.breaker),
            fallback: self.fallback.or_else(|| base.fallback.clone()),
            on_success: self.on_success.or_else(|| base.on_success.clone()),
            on_failure: self.on_failure.or_else(|| base.on_failure.clone()),
            queue: self.queue.or(base.queue),
        }
    }
}

/// What happens when an attempt fails. The wait before attempt n+1 is
/// `first × factor^(n−1)`, at most `max`, spread by ± `jitter`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// The wait before the second attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Millis>,
    /// By how much each wait is longer than the one before (1 to 10). Default: 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// The longest wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Millis>,
    /// How much a wait may be longer or shorter (0 to 1). Default: 0.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<f64>,
    /// No attempt begins when the event is older than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Millis>,
    /// What is tried again. Default: everything but a permanent error (`refused`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<RetryOn>,
}

/// A way to fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RetryOn {
    /// The function returned a transient error, or an HTTP function answered 5xx, 408 or 429.
    Failed,
    /// The function returned a permanent error, or an HTTP function answered another 4xx.
    Refused,
    /// It trapped.
    Trapped,
    /// It took too long.
    TimedOut,
    /// It needed too much memory.
    OutOfMemory,
    /// The node stopped while it ran.
    Crashed,
    /// It could not be started.
    Rejected,
}

/// Whether a failing event holds up the later ones of its key.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The key waits until success or dead letter.
    #[default]
    Strict,
    /// Later events of the key go on; attempts of one key may run at the same time.
    Relaxed,
}

/// Attempts that begin per time: a token bucket.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rate {
    /// How many.
    pub limit: u32,
    /// Per how long.
    pub per: Millis,
    /// How many may begin at once after a quiet time. Default: `limit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
}

/// Who goes first when slots are scarce. Each class gets four times the share of the next one;
/// within a class projects take turns.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// First.
    High,
    /// The usual.
    #[default]
    Normal,
    /// What can wait.
    Low,
}

/// Several events in one call: the function gets one event of the type `dev.nexus.batch` whose
/// data is a CloudEvents batch (`application/cloudevents-batch+json`).
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Batch {
    /// Events at most.
    pub size: u32,
    /// How long the first one waits for others.
    pub wait: Millis,
}

/// Events with the same key count once.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Deduplicate {
    /// A key expression.
    pub key: String,
    /// For how long, at most `dedup-age` of `nexus limits`.
    pub age: Millis,
}

/// Stops calling a function that only fails: after `failures` in a row it is left alone for
/// `open`, then one attempt decides.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Breaker {
    /// Failures in a row.
    pub failures: u32,
    /// How long it is left alone.
    pub open: Millis,
}

/// Where an outcome goes: exactly one of the fields.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Destination {
    /// A function of the project, called asynchronously with the outcome as data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<Name>,
    /// An event of this type with the outcome as data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
}

/// How many deliveries may be unfinished.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Queue {
    /// How many.
    pub max: u32,
    /// What happens to more.
    #[serde(default, skip_serializing_if = "is_default")]
    pub full: QueueFull,
}

/// What happens when a queue is full. Nothing is ever dropped silently.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum QueueFull {
    /// An event that would go there is not accepted: 429 with `retry-after`.
    #[default]
    Reject,
    /// It goes to the dead letters with this reason, to be redriven later.
    Dead,
}

/// Results of a function that are kept for later calls with the same key: synchronous calls only.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cache {
    /// A key expression over the request as an event (`data.…`, `method`, `path`, `query.…`,
    /// `header.…`).
    pub key: String,
    /// For how long.
    pub age: Millis,
}
