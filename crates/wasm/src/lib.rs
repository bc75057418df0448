//! WebAssembly components on Wasmtime, recorded at one host boundary and replayed bit by bit.
//!
//! ```text
//!   inspect ─► compile ─► code cache ─► load (mapped, least recently used goes) ─► fresh instance
//!                                                                     │
//!        guest ◄──────────────── host functions ◄── ledger ──► exec::Host (http, emit)
//!                                                   journal          absent in a replay
//! ```

mod answer;
mod code;
mod config;
mod debug;
mod drive;
mod durable;
mod engine;
mod event;
mod finish;
mod fs;
mod function_cache;
mod host;
mod input;
mod inspect;
mod invoke;
mod ledger;
mod load;
mod logs;
mod memory;
mod random;
mod rehearse;
mod replay;
mod runtime;
mod split;
mod state;
mod witness;

pub use config::{Config, Error};
pub use fs::check_bundle;
pub use runtime::Runtime;
