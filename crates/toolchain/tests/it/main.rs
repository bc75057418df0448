//! Every language: from an empty folder to an answer.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod guests;
mod javascript;
mod platform;
mod project;
mod python;
mod replay;
mod runner;
mod sources;
mod templates;
mod upstream;
