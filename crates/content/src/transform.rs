//! Transformations: a delivery's data is made from the event by a jq expression.
//!
//! jq can loop without end and grow values without bound, so only a part of it is allowed: no
//! recursion, no folds, no definitions, and of the functions those of [`functions`]. What is left is
//! *estimated* before it runs: from the size of the event follows how much each step can touch, and
//! an expression that could touch too much is refused, at validation for an event of common size, and
//! for larger events when they come.

mod admit;
mod estimate;
mod functions;
mod run;

use jaq_core::data::JustLut;
use jaq_core::load::parse::Term;
use jaq_json::Val;
use nexus_model::limits;

use crate::Content;
use estimate::Flow;

/// The size of the event that validation estimates with, in bytes of JSON and values.
const COMMON_BYTES: f64 = 16_384.0;
const COMMON_ITEMS: f64 = 512.0;

/// A checked and compiled expression.
pub struct Transformation {
    /// As written.
    text: String,
    filter: jaq_core::Filter<JustLut<Val>>,
}

/// Why an expression cannot be used, or cannot be applied to an event.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TransformError {
    /// It is no jq expression.
    #[error("at character {position}: expected {expected}, found {found}")]
    Syntax {
        /// Where, in characters from 1.
        position: usize,
        /// What could have stood there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// It uses a part of jq that is not allowed here.
    #[error("{what} is not allowed: {reason}")]
    NotAllowed {
        /// The construct or function.
        what: String,
        /// Why, and what to write instead.
        reason: String,
    },
    /// A function or variable does not exist.
    #[error("there is no {what}")]
    Unknown {
        /// What was named.
        what: String,
    },
    /// More text than allowed.
    #[error("the expression has {size} bytes, the limit is {limit}", limit = limits::TRANSFORM_BYTES_MAX)]
    TooLong {
        /// Its size in bytes.
        size: usize,
    },
    /// More nesting than allowed.
    #[error("the expression has more than {limit} levels of nesting", limit = limits::TRANSFORM_DEPTH_MAX)]
    TooDeep,
    /// It could touch too much.
    #[error(
        "the expression could touch more than {limit} bytes for an event of {event_bytes} bytes: loops inside loops and repeated doubling multiply",
        limit = limits::TRANSFORM_WORK_BYTES_MAX
    )]
    TooMuchWork {
        /// The size of the event.
        event_bytes: u64,
    },
    /// It failed on this event.
    #[error("the expression failed: {reason}")]
    Failed {
        /// What jq says.
        reason: String,
    },
    /// It yields nothing for this event.
    #[error("the expression yields no value")]
    NoOutput,
    /// Its output is larger than an event may be.
    #[error("the output has more than {limit} bytes", limit = limits::EVENT_BYTES_MAX)]
    OutputTooLarge,
}

impl std::fmt::Debug for Transformation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Transformation").field(&self.text).finish()
    }
}

impl Transformation {
    /// Checks and compiles an expression.
    ///
    /// # Errors
    /// It is no jq, uses what is not allowed (named), or could touch too much.
    pub fn parse(text: &str) -> Result<Self, TransformError> {
        let term = admitted(text)?;
        let common = Flow { count: 1.0, items: COMMON_ITEMS, bytes: COMMON_BYTES };
        estimate::check(&term, common)?;
        let filter = run::compile(text, term)?;
        Ok(Transformation { text: text.to_owned(), filter })
    }

    /// The expression as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The new data for an event: the first output of the expression for the event in the JSON
    /// format of CloudEvents. An event with other data than JSON has it as a string, or as
    /// `data_base64` when it is no text.
    ///
    /// # Errors
    /// The expression fails on this event, yields nothing, or would touch or yield too much.
    pub fn apply(&self, content: &Content<'_>) -> Result<serde_json::Value, TransformError> {
        self.apply_to(run::event(content))
    }

    /// The first output of the expression for any value.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn apply_to(&self, value: serde_json::Value) -> Result<serde_json::Value, TransformError> {
        let term = admitted(&self.text)?;
        estimate::check(&term, run::size(&value))?;
        run::run(&self.filter, value)
    }
}

/// The expression as a tree that has only what is allowed.
fn admitted(text: &str) -> Result<Term<&str>, TransformError> {
    if text.len() > limits::TRANSFORM_BYTES_MAX {
        return Err(TransformError::TooLong { size: text.len() });
    }
    admit::parse(text)
}
