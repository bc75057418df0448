//! The gateway over real sockets, with a real node on a real log and store and a runtime of the
//! test kit behind it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a failing test panics, and tests may spawn"
)]

mod access;
mod api;
mod deferred;
mod document;
mod events;
mod history;
mod hostile;
mod ingress;
mod live;
mod metrics;
mod sdks;
mod session;
mod state;
mod tls;
mod webhooks;
mod world;
