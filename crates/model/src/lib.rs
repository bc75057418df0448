//! The three nouns of Nexus and what they are made of: resources, events, invocations; ids, times,
//! digests, limits, error codes. Pure values: no I/O, no clock of its own, no runtime.

pub mod case;
mod clock;
mod code;
mod digest;
pub mod document;
mod event;
mod filter;
mod id;
pub mod limits;
pub mod manifest;
mod name;
mod principal;
pub mod record;
pub mod resource;
mod sources;
pub mod trace;
pub mod units;
pub mod view;

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use code::{Code, Problem};
pub use digest::{Digest, DigestHasher};
pub use event::{AttributeValue, Event, EventError};
pub use filter::{
    Cursor, CursorError, EventFilter, InvocationFilter, Page, TimeRange, parse_trace_id,
};
pub use id::{
    EventId, IdError, IdMint, InvocationId, Partition, PrincipalId, ResourceUid, VersionId,
};
pub use name::{Name, NameError, check_signal_name};
pub use principal::{OpContext, Principal, PrincipalKind, Scope};
pub use sources::{Sources, SourcesError, is_own_source};
