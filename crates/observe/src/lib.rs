//! How Nexus is watched: log lines ([`telemetry`]) and numbers ([`Metrics`]).
//!
//! Nothing here takes a lock on the request path: counters and histograms are split over a few
//! cache lines, and each thread adds to its own.

mod metrics;
mod sharded;
pub mod telemetry;

pub use metrics::{
    AuthFailure, FUNCTIONS_MAX, FunctionMetrics, HttpMetrics, Listener, Metrics,
    memory_total_bytes, resident_bytes,
};
pub use sharded::{Counter, Histogram};
