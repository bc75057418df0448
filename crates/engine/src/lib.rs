//! From events to functions: matching, order, limits, retries, batches, destinations, dead letters,
//! schedules, cron, and the durable invocations that sleep in between.
//!
//! ```text
//!            accept                    read                    apply
//!  node ──────────────► log ─────────────────────► driver ───────────────► Shard (pure)
//!                        ▲                           │  ◄─────────────────  actions
//!                        │ started, ended, dead      │ ◄───── what begins ─  Scheduler (pure)
//!                        └───────────────────────────┴────────► Worker (node)
//! ```
//!
//! Nothing but a record of the log changes the shard; a crash anywhere is a replay of the log from
//! the last checkpoint. The scheduler is volatile: it is built from the shard. Delivery is at least
//! once: an attempt that was started and never ended counts as failed, unless it is durable and goes
//! on from its journal.

mod batch_report;
mod begun;
mod cache;
mod checkpoint;
mod cron;
mod dedup;
mod driver;
mod engine;
mod error;
mod lanes;
mod outgoing;
mod queues;
mod read_ahead;
mod retry;
mod scheduler;
mod settings;
mod shard;
mod snapshot;
mod specs;
mod table;
mod unbegun;
mod worker;

#[cfg(test)]
mod simulation;

pub use batch_report::{batch_failures, reported as batch_reported};
pub use checkpoint::checkpoint_position;
pub use cron::{CRON_TYPE, CronError, CronSchedule};
pub use driver::{Cancellation, Why};
pub use engine::{
    Accepted, Early, Engine, EngineConfig, EngineParts, Lent, Outcome, Redrive, WaitingSignalAt,
};
pub use error::Error;
pub use lanes::DeclaredKey;
pub use outgoing::{
    BATCH_CONTENT_TYPE, BATCH_TYPE, FALLBACK_TYPE, INVOKE_TYPE, OUTCOME_TYPE, batch_event,
};
pub use retry::Retry;
pub use scheduler::Reason;
pub use shard::{DeliveryKey, DeliveryState, Ended};
pub use snapshot::{
    DeadCount, DeadFilter, DeadLetter, DeliveryCounts, DeliveryFilter, PendingDelivery,
    ScheduledEvent, Stands,
};
pub use worker::{Delivery, Made, Resume, Wake, Worker};
