//! The runtime seam: what a runtime is asked to do ([`Runtime`], [`Prepared`]), what it may ask for
//! ([`Host`]), and the journal that lies between a guest and the world.
//!
//! ```text
//!   node ── Call ──►  Prepared::invoke  ──►  guest
//!                        │      ▲
//!                     journal   │ host calls
//!                        │      ▼
//!   node ◄─ Ended ──  Runtime ──► Host (http, emit, calls, state)        a replay has no Host
//! ```

mod call;
mod calls;
mod debug;
mod host;
pub mod journal;
mod masks;
pub mod rehearsal;
mod runtime;
mod state;

pub use call::{
    Body, BodyError, Call, CallContext, CallInput, Cancel, CapturedBody, Ended, Payload, Piece,
    Recording, Signal, Suspension, Wake, empty_body, full_body, header_map,
};
pub use calls::{CallError, CallFailure, FunctionCall, Progress, StartOptions, Started};
pub use debug::{
    DebugRefused, DebugRequest, Debugged, Debugger, MemoryPoint, Profile, ProfileFrame,
    ProfileOptions,
};
pub use host::{EmitError, Host, HttpError, HttpTimeouts, Unavailable};
pub use masks::{mask_input, unmask_input};
pub use runtime::{
    Artifacts, Compiled, EnvVar, Error, Inspected, Prepared, Replayed, Runtime, RuntimeStats, Unit,
    UnitLimits,
};
pub use state::{Keyed, Namespace, StateAppend, StateError, StateKey, StateScan, StateWrite};
