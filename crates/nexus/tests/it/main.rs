//! The real binary in folders of its own: the daily loop, and wrong ways.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod api;
mod crash;
mod daily_loop;
mod data_folder;
mod debugging;
mod durable;
mod guests;
mod harness;
mod lost;
mod production;
mod recorded;
mod tokens;
mod wrong_ways;
