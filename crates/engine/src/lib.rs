//! From events to functions: matching, delivery, retries, dead letters, deduplication.
//!
//! ```text
//!            accept                    read                    apply
//!  node ──────────────► log ─────────────────────► driver ───────────────► Shard (pure)
//!                        ▲                           │  ◄─────────────────  actions
//!                        │ started, ended, dead      │ deliver
//!                        └───────────────────────────┴────────► Worker (node)
//! ```
//!
//! Nothing but a record of the log changes a [`Shard`]; a crash anywhere is a replay of the log from
//! the last checkpoint. Delivery is at least once: an attempt that was started and never ended
//! counts as failed.

mod backoff;
mod checkpoint;
mod dedup;
mod driver;
mod engine;
mod error;
mod shard;
mod subscriptions;

pub use backoff::retry_delay;
pub use engine::{
    Accepted, DeadLetter, Engine, EngineConfig, EngineParts, PendingDelivery, Worker,
};
pub use error::Error;
pub use shard::{Action, Delivery, DeliveryKey, DeliveryState, Shard};
