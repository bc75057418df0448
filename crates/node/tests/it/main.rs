//! The application layer over a real log and store and a fake runtime.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod calls;
mod cases;
mod chains;
mod collect;
mod declare;
mod deliver;
mod deployments;
mod durable;
mod guarded;
mod kept;
mod lists;
mod replays;
mod serve;
mod tokens;
mod traces;
mod triggers;
mod versions;
mod why;
mod world;
