//! What a guest may ask of the world. The journal sits above this trait: a replay has no `Host`.

use async_trait::async_trait;
use nexus_model::{Event, EventId, InvocationId};

use crate::{
    Body, CallContext, CallError, FunctionCall, Keyed, Payload, Piece, Progress, Signal,
    StartOptions, Started, StateAppend, StateError, StateKey, StateScan, StateWrite,
};

/// Capabilities of a running invocation: each call is authorised, limited and audited by the
/// implementer (`node`) like a call of the API. Clock, random, environment and standard streams
/// are not here: they stay inside the runtime (decision 31).
///
/// - Called from many invocations at once; must not block a thread.
/// - Cancel safe: a dropped future means that the invocation ended; effects may have happened.
/// - A host that lacks a capability beyond HTTP and events says so as `Unavailable`.
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

    /// Appends events to the project's log: durable, all or none, when it returns. A durable
    /// invocation may repeat it with the same sources and ids; they are duplicates then.
    ///
    /// # Errors
    /// An event is invalid, or the log cannot take it.
    async fn emit(
        &self,
        context: &CallContext,
        events: Vec<Event>,
    ) -> Result<Vec<EventId>, EmitError>;

    /// Tells those who watch how far the invocation is. Nothing is kept; may be called often.
    fn progress(&self, context: &CallContext, progress: Progress) {
        let _ = (context, progress);
    }

    /// Appends a piece of a durable invocation's journal: synced to disk when it returns. Pieces of
    /// one invocation come one after the other, never two at the same time; all of them, in order,
    /// are what [`Call::resume`](crate::Call::resume) takes. A piece that was appended twice does no
    /// harm, a missing one ends the invocation.
    ///
    /// # Errors
    /// It is not on disk: the invocation stops, to be resumed from what is.
    async fn persist(&self, context: &CallContext, piece: Piece) -> Result<(), Unavailable> {
        let _ = (context, piece);
        Err(Unavailable(lacks("journals")))
    }

    /// The oldest signal of this name to the invocation that is not taken. Asking takes nothing: a
    /// signal is taken when a piece that names it was persisted, and is given again until then.
    ///
    /// # Errors
    /// It cannot be found out now.
    async fn signal(
        &self,
        context: &CallContext,
        name: &str,
    ) -> Result<Option<Signal>, Unavailable> {
        let _ = (context, name);
        Err(Unavailable(lacks("signals")))
    }

    /// Calls a function of the same project and waits for its result. From a durable invocation it
    /// may come again with the same key: the function has then run once, and the same result is
    /// given.
    ///
    /// # Errors
    /// The function does not exist, does not succeed, or a limit strikes.
    async fn call(&self, context: &CallContext, call: FunctionCall) -> Result<Payload, CallError> {
        let _ = (context, call);
        Err(CallError::Unavailable(lacks("calls")))
    }

    /// Makes an invocation of a function of the same project that nobody waits for: durable when it
    /// returns. The same key again gives the same invocation.
    ///
    /// # Errors
    /// The function does not exist, or a limit strikes.
    async fn start(
        &self,
        context: &CallContext,
        call: FunctionCall,
        options: StartOptions,
    ) -> Result<InvocationId, CallError> {
        let _ = (context, call, options);
        Err(CallError::Unavailable(lacks("calls")))
    }

    /// What became of an invocation of the same project.
    ///
    /// # Errors
    /// There is no such invocation, or its result was not kept.
    async fn outcome(&self, context: &CallContext, id: InvocationId) -> Result<Started, CallError> {
        let _ = (context, id);
        Err(CallError::Unavailable(lacks("calls")))
    }

    /// The value of a key.
    ///
    /// # Errors
    /// The key breaks a rule, or the store cannot be read.
    async fn state_get(
        &self,
        context: &CallContext,
        key: StateKey,
    ) -> Result<Option<Keyed>, StateError> {
        let _ = (context, key);
        Err(StateError::Unavailable(lacks("state")))
    }

    /// Writes or deletes a key: durable when it returns. Gives its new version, or 0 where nothing
    /// is left. The same operation again does nothing and gives the same answer.
    ///
    /// # Errors
    /// [`StateError::Conflict`] when the key has another version than expected; a limit; the store
    /// cannot be written.
    async fn state_write(
        &self,
        context: &CallContext,
        write: StateWrite,
    ) -> Result<u64, StateError> {
        let _ = (context, write);
        Err(StateError::Unavailable(lacks("state")))
    }

    /// Keys with their values, by key.
    ///
    /// # Errors
    /// The prefix breaks a rule, or the store cannot be read.
    async fn state_scan(
        &self,
        context: &CallContext,
        scan: StateScan,
    ) -> Result<Vec<Keyed>, StateError> {
        let _ = (context, scan);
        Err(StateError::Unavailable(lacks("state")))
    }

    /// Appends events to a stream, all or none: durable when it returns. Gives the version after
    /// them. The same operation again does nothing and gives the same answer.
    ///
    /// # Errors
    /// [`StateError::Conflict`] when the stream has another version than expected; a limit; the
    /// store cannot be written.
    async fn stream_append(
        &self,
        context: &CallContext,
        append: StateAppend,
    ) -> Result<u64, StateError> {
        let _ = (context, append);
        Err(StateError::Unavailable(lacks("state")))
    }

    /// Up to `max` events of a stream that follow version `after`, oldest first.
    ///
    /// # Errors
    /// The name breaks a rule, or the store cannot be read.
    async fn stream_read(
        &self,
        context: &CallContext,
        stream: StateKey,
        (after, max): (u64, u32),
    ) -> Result<Vec<Keyed>, StateError> {
        let _ = (context, stream, after, max);
        Err(StateError::Unavailable(lacks("state")))
    }
}

fn lacks(what: &str) -> String {
    format!("this host has no {what}")
}

/// Why something could not be kept or looked up; trying again later may help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

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
