//! A listener: accept, TLS, HTTP/1.1 and HTTP/2, limits, drain. Knows nothing of routes.
//!
//! ```text
//! accept ─► admit (limit) ─► TLS ─► HTTP/1.1 or 2? ─► requests ─► Handler
//!               │                                        │
//!           Registry ◄── sweeper: idle, slow heads ──────┘ atomics only
//! ```

mod connection;
mod listener;
mod registry;
mod stream;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests join what they spawn")]
mod tests;
mod tls;
mod turns;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

pub use listener::ListenError;
pub(crate) use listener::{ListenerParts, Server};
pub(crate) use registry::Peer;
pub use tls::{TlsError, TlsFiles};

/// A streaming body.
pub(crate) type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// What answers requests. Dropping the future means that the client went away.
pub(crate) trait Handler: Send + Sync + 'static {
    fn handle(
        self: Arc<Self>,
        peer: &Peer,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// What bounds the connections of a listener.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Open connections; more are answered 503 and closed.
    pub connections_max: usize,
    /// The head of one request, in bytes; larger ones are answered 431.
    pub header_bytes_max: usize,
    /// Requests at the same time on one HTTP/2 connection.
    pub streams_max: u32,
    /// From the first byte of a connection or request until its head (or the TLS handshake) is
    /// complete; slower ones are answered 408 and closed.
    pub header_timeout: Duration,
    /// Between two pieces of a request body; slower ones are answered 408.
    pub body_timeout: Duration,
    /// How long a connection may stand without a request.
    pub idle_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        ServerLimits {
            connections_max: 10_000,
            header_bytes_max: 64 << 10,
            streams_max: 256,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(75),
        }
    }
}

#[cfg(test)]
pub(crate) fn test_peer(ip: std::net::IpAddr) -> Peer {
    Peer::new(ip, false)
}
