//! Rehearsal: another version of a function runs with a recording as its world.
//!
//! ```text
//!   recording ──► replay of the recorded version, watched ──► Scene: what went in, and what was
//!                                                                │   asked, with arguments and answers
//!   the other version ◄── answers ── Script ◄────────────────────┘
//!        └── what it asked: answered from the recording, or new (and never performed)
//! ```
//!
//! The other version may read clocks more often, ask in another order, or ask for something else.
//! So it is not held to the journal entry by entry: a [`Script`] finds the answer to what is asked
//! by function, target and arguments, and keeps how well each question was known.

mod scene;
mod script;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use scene::{Frame, Scene};
pub use script::Script;

use crate::Ended;
use crate::journal::{Function, Outcome};

/// What an invocation asked of the world, and what it got.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// The number of its operation: its place among the others.
    pub operation: u32,
    /// The host function.
    pub function: Function,
    /// What it was aimed at: `GET https://…`, a function's name, a key, types of events.
    pub target: String,
    /// The arguments as JSON: headers and body of a request, payloads, values.
    pub details: Value,
    /// What came back; [`Outcome::Pending`] where nothing did.
    pub outcome: Outcome,
    /// The operation in which the guest had the answer; nothing where it never came, or came at once.
    pub answered: Option<u32>,
    /// Whether all of the answer is known: a guest may have left the rest of a body unread.
    pub whole: bool,
}

impl Effect {
    /// Whether it may change the world. What only reads may happen in any order and any number of
    /// times.
    pub fn changes_the_world(&self) -> bool {
        match self.function {
            Function::HttpHandle => {
                let method = self.target.split(' ').next().unwrap_or_default();
                !matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
            }
            Function::StateGet
            | Function::StateScan
            | Function::StreamRead
            | Function::CallOutcome
            | Function::WaitSignal
            | Function::Sleep => false,
            _ => true,
        }
    }
}

/// How a question was answered. The numbers are places in the recorded effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The recording has it with the same arguments.
    Exactly(usize),
    /// The recording has it with other arguments; its answer was given.
    Otherwise(usize),
    /// It only reads and was asked more often than it was recorded; the same answer was given.
    Again(usize),
    /// The recording does not have it. It was not performed, and the guest got a failure.
    New,
}

/// One question of a rehearsal.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// What was asked, with the answer that was given.
    pub effect: Effect,
    /// Where the answer came from.
    pub answered: Answered,
}

/// The result of a rehearsal.
#[derive(Debug)]
pub struct Rehearsed {
    /// How it ended.
    pub ended: Ended,
    /// What it asked, in order.
    pub asked: Vec<Asked>,
    /// What the recording has, to which the places in `asked` and `missed` refer. Besides the effects
    /// that a replay has shown it holds sleeps and waits for signals.
    pub recorded: Vec<Effect>,
    /// Places of recorded effects that it did not ask for.
    pub missed: Vec<usize>,
}
