//! How Nexus is watched: log lines ([`telemetry`]) and numbers ([`Metrics`]).
//!
//! Nothing here takes a lock on the request path: counters and histograms are split over a few
//! cache lines, and each thread adds to its own.

mod export;
mod functions;
mod http;
mod metrics;
mod process;
mod sharded;
pub mod telemetry;
mod text;

pub use functions::{Ended, FUNCTIONS_MAX, FunctionMetrics};
pub use http::{AuthFailure, HttpMetrics, Listener};
pub use metrics::Metrics;
pub use process::{memory_total_bytes, resident_bytes};
pub use sharded::{Counter, Histogram};
pub use text::Format;
