//! The runtime seam: what a runtime is asked to do ([`Runtime`], [`Prepared`]), what it may ask for
//! ([`Host`]), and the journal that lies between a guest and the world.
//!
//! ```text
//!   node ── Call ──►  Prepared::invoke  ──►  guest
//!                        │      ▲
//!                     journal   │ host calls
//!                        │      ▼
//!   node ◄─ Ended ──  Runtime ──► Host (http, emit)        a replay has no Host
//! ```

mod call;
mod host;
pub mod journal;
mod runtime;

pub use call::{
    Body, BodyError, Call, CallContext, CallInput, Cancel, CapturedBody, Ended, Recording,
    empty_body, full_body,
};
pub use host::{EmitError, Host, HttpError, HttpTimeouts};
pub use runtime::{
    Artifacts, Compiled, EnvVar, Error, Inspected, Prepared, Replayed, Runtime, RuntimeStats, Unit,
    UnitLimits,
};
