//! Guests recorded and replayed through the public seam.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod components;
mod debug;
mod durable;
mod functions;
mod guests;
mod hostile;
mod inspect;
mod journal;
mod limits;
mod outside;
mod rehearse;
mod replay;
mod secrets;
mod streaming;
mod world;
