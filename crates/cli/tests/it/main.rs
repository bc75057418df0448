//! Commands against a server of a few lines: what is asked, what is printed.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod apply;
mod away;
mod commands;
mod engine;
mod errors;
mod history;
mod state;
mod stub;
mod tls;
