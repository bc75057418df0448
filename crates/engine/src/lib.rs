//! x
#![allow(dead_code, unused, unreachable_pub)]
mod content;
mod cron;
mod dedup;
mod error;
mod lanes;
mod retry;
mod scheduler;
mod settings;
mod shard;
mod table;
mod outgoing { pub(crate) const INVOKE_TYPE: &str = "dev.nexus.invoke"; }
pub use error::Error;
