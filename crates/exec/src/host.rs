//! What a guest may ask of the world. The journal sits above this trait: a replay has no `Host`.

use async_trait::async_trait;
use nexus_model::{Event, EventId};

use crate::{Body, CallContext};

/// Capabilities of a running invocation: each call is authorised, limited and audited by the
/// implementer (`node`) like a call of the API. Clock, random, environment and standard streams
/// are not here: they stay inside the runtime (decision 31).
///
/// - Called from many invocations at once; must not block a thread.
/// - Cancel safe: a dropped future means that the invocation ended; effects may have happened.
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// Sends an HTTP request under the egress rule (decision 21). The body streams both ways.
    ///
    /// # Errors
    /// The address is denied, or the exchange failed before a response head.
    async fn http(
        &self,
        context: &CallContext,
        request: http::Request<Body>,
        timeouts: HttpTimeouts,
    ) -> Result<http::Response<Body>, HttpError>;

    /// Appends events to the project's log: durable, all or none, when it returns.
    ///
    /// # Errors
    /// An event is invalid, or the log cannot take it.
    async fn emit(
        &self,
        context: &CallContext,
        events: Vec<Event>,
    ) -> Result<Vec<EventId>, EmitError>;
}

/// How long an outbound request may take (`wasi:http/types.request-options`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpTimeouts {
    /// Until the connection stands.
    pub connect: std::time::Duration,
    /// Until the first byte of the response.
    pub first_byte: std::time::Duration,
    /// Between two pieces of the response body.
    pub between_bytes: std::time::Duration,
}

/// Why an outbound request gave no response head. The variants are those of
/// `wasi:http/types.error-code` that can happen here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The egress rule forbids the address: `destination-IP-prohibited`.
    #[error("{0}")]
    Denied(String),
    /// The request cannot be sent as it is: `HTTP-request-URI-invalid`.
    #[error("{0}")]
    Invalid(String),
    /// The name could not be resolved: `DNS-error`.
    #[error("{0}")]
    Dns(String),
    /// Nobody accepts connections there: `connection-refused`.
    #[error("{0}")]
    Refused(String),
    /// The TLS handshake or certificate failed: `TLS-protocol-error`.
    #[error("{0}")]
    Tls(String),
    /// It took too long: `connection-timeout` or `HTTP-response-timeout`.
    #[error("{0}")]
    TimedOut(String),
    /// The connection broke: `connection-terminated`.
    #[error("{0}")]
    Broken(String),
    /// A limit of the invocation: `configuration-error`.
    #[error("{0}")]
    Limit(String),
}

/// Why events were not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmitError {
    /// An event breaks a rule or a limit.
    #[error("{0}")]
    Invalid(String),
    /// The log cannot take it now.
    #[error("{0}")]
    Unavailable(String),
}
