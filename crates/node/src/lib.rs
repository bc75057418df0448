//! The application layer: one method per use case, and the only implementer of [`nexus_exec::Host`].
//!
//! It never sees a web framework: requests come as `http` types, errors leave as [`Error`] with a
//! stable code. The [`OpContext`](nexus_model::OpContext) is the first parameter of every use case,
//! and authorisation is its first step.

mod config;
mod error;
mod keys;
mod node;
mod types;

pub use config::{Mode, NodeConfig, Parts};
pub use error::Error;
pub use keys::MasterKey;
pub use node::{Node, PageOptions, Route};
pub use types::{
    AppliedView, CreatedToken, DeadLetter, Deploy, Followed, Identity, InvokeInput, InvokeOutput,
    LogFilter, NewToken, Readiness, ReplayOptions,
};
