//! One invocation as values: what goes in, what comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use nexus_model::record::{
    self, Failure, Header, LogLine, Meter, Output, Status, StoredEvent, Timings,
};
use nexus_model::{Event, InvocationId, Name, Timestamp, VersionId};
use tokio::sync::{Notify, oneshot};

/// Why a body broke off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// A streaming HTTP body.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, BodyError>;

/// A body without bytes.
pub fn empty_body() -> Body {
    http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body of one piece.
pub fn full_body(bytes: impl Into<Bytes>) -> Body {
    http_body_util::Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Recorded header fields as a map. A field that is none for HTTP is left out.
pub fn header_map(fields: &[(String, Bytes)]) -> http::HeaderMap {
    let mut map = http::HeaderMap::with_capacity(fields.len());
    for (name, value) in fields {
        let name = http::HeaderName::from_bytes(name.as_bytes());
        let value = http::HeaderValue::from_maybe_shared(value.clone());
        if let (Ok(name), Ok(value)) = (name, value) {
            map.append(name, value);
        }
    }
    map
}

/// Facts about an invocation that host calls and log lines need. Cheap to clone behind an `Arc`.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// The invocation.
    pub id: InvocationId,
    /// Its project.
    pub project: Name,
    /// Its function.
    pub function: Name,
    /// The function's version.
    pub version: VersionId,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// W3C `traceparent` of this invocation.
    pub traceparent: Arc<str>,
    /// W3C `tracestate` of the caller, which goes on with the trace.
    pub tracestate: Option<Arc<str>>,
    /// When Nexus accepted it.
    pub accepted: Timestamp,
    /// The wall-clock moment at which it is stopped.
    pub deadline: Timestamp,
    /// How many functions called one another down to this one: 0 for what nobody's function called.
    pub depth: u32,
}

/// A value with its media type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// The media type.
    pub content_type: String,
    /// The bytes.
    pub data: Bytes,
}

/// A word from outside for a durable invocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signal {
    /// The id of its record. The piece of the journal that holds it names it
    /// too ([`Piece::signals`]).
    pub id: [u8; 16],
    /// What it says.
    pub payload: Payload,
}

/// A piece of the journal of a durable invocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// The encoded piece.
    pub bytes: Bytes,
    /// The signals that the invocation has got in it: once it is kept, they are taken.
    pub signals: Vec<[u8; 16]>,
}

/// What a suspended invocation was waiting for, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wake {
    /// It slept long enough.
    Timer,
    /// The signal came: the one that [`Host::signal`](crate::Host::signal) gives.
    Signal(Signal),
    /// The signal did not come in time.
    TimedOut,
}

/// What a suspended invocation waits for: whichever comes first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suspension {
    /// The moment at which it goes on in any case.
    pub until: Option<Timestamp>,
    /// The name of the signal that it waits for. It may have come meanwhile: whoever keeps the
    /// suspension looks for it afterwards.
    pub signal: Option<String>,
    /// How long it has run so far; waiting for this does not count.
    pub ran: Duration,
}

/// What goes in.
pub enum CallInput {
    /// An HTTP request; the answer goes through [`Call::respond`] as soon as its head is known.
    Http(http::Request<Body>),
    /// An event for `nexus:function/handler`, or as a binary-mode CloudEvent for an HTTP guest, or as
    /// structured JSON on standard input of a command.
    Event(Event),
    /// A command with standard input.
    Command {
        /// Arguments after the program's name.
        arguments: Vec<String>,
        /// Standard input.
        stdin: Bytes,
    },
}

/// How much of an invocation is kept while it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recording {
    /// Everything: a replay is possible.
    Full,
    /// Only logs, timings and meters: bodies and journal are not collected.
    RowOnly,
    /// Everything, and a hash of the final linear memory (a slower engine; decision 26).
    Verify,
}

/// Stops an invocation from outside: the client went away, or somebody cancelled it.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<CancelState>);

#[derive(Debug, Default)]
struct CancelState {
    struck: AtomicBool,
    notify: Notify,
}

impl Cancel {
    /// Asks the invocation to stop. Idempotent, never blocks.
    pub fn cancel(&self) {
        self.0.struck.store(true, Ordering::Release);
        self.0.notify.notify_waiters();
    }

    /// Whether somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.struck.load(Ordering::Acquire)
    }

    /// Waits until somebody asks. Cancel safe.
    pub async fn cancelled(&self) {
        loop {
            let notified = self.0.notify.notified();
            if self.is_cancelled() {
                return;
            }
            notified.await;
        }
    }
}

/// One attempt to run a function.
pub struct Call {
    /// Who, what, when.
    pub context: Arc<CallContext>,
    /// What goes in.
    pub input: CallInput,
    /// Where the head of an HTTP answer goes, with its streaming body. Dropped without an answer
    /// when the guest gives none; [`Ended::status`] then says why.
    pub respond: Option<oneshot::Sender<http::Response<Body>>>,
    /// How long it may run, from the call of `invoke`.
    pub timeout: Duration,
    /// The moment from which timings count (acceptance).
    pub started: Instant,
    /// Stops it from outside.
    pub cancel: Cancel,
    /// How much is kept.
    pub recording: Recording,
    /// Whether it is a durable invocation: its journal goes to [`Host::persist`] while it runs, and
    /// it may suspend. An HTTP answer is then given as a whole at its end. Its journal is collected
    /// whatever `recording` says.
    ///
    /// [`Host::persist`]: crate::Host::persist
    pub durable: bool,
    /// All pieces that were persisted, in order: the invocation repeats them in a fresh instance and
    /// goes on where they end. `None` to begin. The context's id and the input must be the same as
    /// before; attempt, trace and environment are taken from the journal.
    pub resume: Option<Bytes>,
    /// What the operation gets that it waited in when it was suspended. Without it the operation
    /// looks for itself, and suspends again when nothing has happened; so it is safe to resume too
    /// often. It has to be given again until a further piece was persisted.
    pub wake: Option<Wake>,
}

/// A body as it passed: its bytes up to the record limit, and how long its pieces were.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CapturedBody {
    /// The bytes; empty when `dropped`.
    pub bytes: Bytes,
    /// The lengths of the pieces.
    pub pieces: Vec<u32>,
    /// The length of all that passed.
    pub size: u64,
    /// It exceeded `limits::RECORD_BODY_BYTES_MAX` and was not kept.
    pub dropped: bool,
}

/// How an invocation ended, with everything that was kept of it.
#[derive(Debug, Default)]
pub struct Ended {
    /// How it ended.
    pub status: Status,
    /// Why it did not succeed.
    pub failure: Option<Failure>,
    /// What it waits for, where the status is [`Status::Suspended`]: nothing else is set then, and
    /// everything is persisted.
    pub suspension: Option<Suspension>,
    /// The HTTP request's body, the event's data or the standard input as the guest saw it.
    pub input_body: CapturedBody,
    /// Trailers of the HTTP request.
    pub input_trailers: Vec<(String, Bytes)>,
    /// The HTTP status, 0 where there is none.
    pub http_status: u16,
    /// Response headers in order.
    pub headers: Vec<(String, Bytes)>,
    /// Response trailers.
    pub trailers: Vec<(String, Bytes)>,
    /// Response body, result or standard output.
    pub output: CapturedBody,
    /// The media type of a result.
    pub content_type: String,
    /// Events that the function returned (not those it emitted while running).
    pub events: Vec<StoredEvent>,
    /// A command's exit code.
    pub exit_code: Option<i32>,
    /// The journal, encoded; empty when not recorded.
    pub journal: Bytes,
    /// Why it cannot be replayed although recording was asked for, or empty.
    pub not_replayable: String,
    /// What the guest wrote.
    pub logs: Vec<LogLine>,
    /// Log lines beyond the limit.
    pub logs_dropped: u64,
    /// Why its code had to be loaded first (`first call`, `evicted`), or empty when it was warm.
    pub cold: &'static str,
    /// Fetch, load, instantiate, first answer, guest: the parts that the runtime knows.
    pub timings: Timings,
    /// What it used.
    pub meter: Meter,
    /// The hash of the final linear memory ([`Recording::Verify`] only).
    pub memory_hash: Option<[u8; 32]>,
}

/// What an invocation gave, as a record keeps it.
impl From<Ended> for Output {
    fn from(ended: Ended) -> Self {
        let header = |(name, value)| Header { name, value, ..Header::default() };
        Output {
            http_status: ended.http_status.into(),
            headers: ended.headers.into_iter().map(header).collect(),
            body: Some(record::Body {
                inline: ended.output.bytes,
                size: ended.output.size,
                dropped: ended.output.dropped,
                ..record::Body::default()
            }),
            content_type: ended.content_type,
            events: ended.events,
            exit_code: ended.exit_code,
            trailers: ended.trailers.into_iter().map(header).collect(),
        }
    }
}
