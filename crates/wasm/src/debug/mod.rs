//! Looking into invocations of the past: symbols of components, a debugger that goes both ways, and
//! profiles.
//!
//! ```text
//!   command ─► control ◄── hooks: operation answered, instruction reached, trap, tick ─── guest
//!                 │  course: on, stop, or run again?                                        ▲
//!                 │  inspect: stack, variables, memory                                      │
//!                 ▼                                                                         │
//!               state                                   tape: the recording, with edits ────┘
//! ```
//!
//! The guest runs on a thread of its own, on an engine whose code is instrumented. To stand still is
//! to block that thread in a hook; to go back is to run again from the beginning.

mod control;
mod course;
mod dwarf;
mod inspect;
mod lines;
mod profile;
mod session;
mod state;
mod symbols;
mod tape;

use wasmtime::Store;

pub(crate) use profile::profile;
pub(crate) use session::debug;
pub(crate) use symbols::{Symbols, demangle};
pub(crate) use tape::Explorer;

use crate::state::State;

/// Who looks on while a guest runs.
#[derive(Clone)]
pub(crate) enum Watch {
    Debugger(control::Debuggee),
    Sampler(profile::Sampler),
}

impl Watch {
    /// Before the guest is made.
    pub(crate) fn attach(&self, store: &mut Store<State>) {
        match self {
            Watch::Debugger(debuggee) => debuggee.attach(store),
            Watch::Sampler(sampler) => sampler.attach(store),
        }
    }

    /// Before the guest is called.
    pub(crate) fn instantiated(&self, store: &mut Store<State>) -> wasmtime::Result<()> {
        match self {
            Watch::Debugger(debuggee) => debuggee.instantiated(store),
            Watch::Sampler(_) => Ok(()),
        }
    }
}
