//! Guests recorded and replayed through the public seam.

#![expect(missing_docs, reason = "tests are read, not called")]

mod components;
mod functions;
mod guests;
mod inspect;
mod journal;
mod limits;
mod replay;
mod secrets;
mod streaming;
mod world;
