//! The log's tests: one binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod conformance;
mod crash;
mod damage;
mod history;
mod kit;
mod lists;
mod mark;
