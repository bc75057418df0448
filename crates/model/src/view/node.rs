//! Servers as people see them.

use serde::{Deserialize, Serialize};

use super::history::LoadView;
use crate::Timestamp;

/// One server of the installation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NodeView {
    /// The name of its machine.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `dev` or `serve`.
    pub mode: String,
    /// When it started.
    pub started: Timestamp,
    /// For how long it has been running, in nanoseconds.
    pub uptime_ns: u64,
    /// The operating system.
    pub os: String,
    /// The architecture of the processor.
    pub arch: String,
    /// Processors that it may use.
    pub cpus: u64,
    /// Memory of the process, in bytes; absent where the system does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Memory of the machine, in bytes; absent where the system does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_total_bytes: Option<u64>,
    /// The disk of the data folder; absent where the system does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskView>,
    /// What it does at this moment.
    pub load: LoadView,
    /// Components that are loaded.
    pub components_loaded: u64,
    /// Deliveries that are not finished.
    pub deliveries_pending: u64,
    /// What bounds it.
    pub limits: NodeLimits,
    /// Whether every function can be called.
    pub ready: bool,
    /// Components that are being compiled.
    pub compiling: u64,
    /// Why it is not ready, or not well.
    pub reasons: Vec<String>,
    /// What the log holds.
    pub log: NodeLog,
}

/// A disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DiskView {
    /// Bytes that are free for the server.
    pub free_bytes: u64,
    /// Its size in bytes.
    pub total_bytes: u64,
}

/// What a server was configured with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NodeLimits {
    /// Instances at the same time.
    pub instances: u64,
    /// Calls that may wait for a slot.
    pub calls_waiting: u64,
    /// Deliveries of events at the same time.
    pub deliveries: u64,
}

/// What the log of a server holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NodeLog {
    /// Records.
    pub records: u64,
    /// Bytes of its files.
    pub disk_bytes: u64,
    /// Accepted time of the oldest record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Timestamp>,
    /// Accepted time of the newest record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Timestamp>,
    /// Recordings lost under pressure since the start.
    pub recordings_lost: u64,
    /// How often a failed write stopped the log since the start.
    pub restarts: u64,
}
