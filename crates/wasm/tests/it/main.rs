//! Guests recorded and replayed through the public seam.

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
