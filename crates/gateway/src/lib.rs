//! The faces that speak HTTP: the ingress for functions and the API for people and tools. The only
//! crate that knows a web framework, and the only place where errors become statuses.
//!
//! ```text
//!             ┌─ ingress ─ route ─► node.serve_http ─► streamed answer      (hyper alone)
//! listeners ──┤
//!             └─ admin ─── token ─► one call of the node ─► JSON, SSE       (axum)
//!                     └── pages of the console
//! ```

mod api;
mod body;
mod cloudevents;
mod console;
mod cookie;
mod denied;
mod fault;
mod forwarded;
mod gateway;
mod ingress;
mod request;
mod server;
mod task;

pub use api::openapi;
pub use console::{Page, PageRequest, Pages};
pub use gateway::{Config, Drained, Gateway, Listener, StartError};
pub use server::{ListenError, ServerLimits, TlsError, TlsFiles};
