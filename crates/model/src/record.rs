//! What is written to the log: one protobuf message per kind of record.
//!
//! Protobuf because its field numbers let old data stay readable: a number is never reused, a field
//! never changes its meaning, unknown fields are skipped. The frame around a record (length,
//! checksum, chain) belongs to `log`; the bytes inside a journal belong to `exec`.
//!
//! All times are UTC nanoseconds since the epoch; all durations are nanoseconds.

use bytes::Bytes;
use prost::Message;

use crate::{AttributeValue, Event, EventId, InvocationId, Timestamp, VersionId};

/// The version of the record encoding that this build writes. Older ones stay readable.
pub const RECORD_VERSION: u16 = 1;

/// One entry of the log.
#[derive(Clone, PartialEq, Debug)]
pub enum Record {
    /// An event happened.
    Event(EventRecord),
    /// An invocation ended.
    Invocation(Box<InvocationRecord>),
    /// A durable or asynchronous invocation began.
    Started(StartedRecord),
    /// A resource that the engine depends on changed.
    Config(ConfigRecord),
    /// The engine gave up on a delivery, or somebody dropped or redrove it.
    Delivery(DeliveryRecord),
    /// Something about the log itself: recordings lost under pressure, a torn tail cut off.
    Note(NoteRecord),
}

/// The kind of a record, as stored in frame headers and catalogues. Numbers are never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum RecordKind {
    /// [`Record::Event`].
    Event = 1,
    /// [`Record::Invocation`].
    Invocation = 2,
    /// [`Record::Started`].
    Started = 3,
    /// [`Record::Config`].
    Config = 4,
    /// [`Record::Delivery`].
    Delivery = 5,
    /// [`Record::Note`].
    Note = 6,
}

impl RecordKind {
    /// The kind with this number.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => RecordKind::Event,
            2 => RecordKind::Invocation,
            3 => RecordKind::Started,
            4 => RecordKind::Config,
            5 => RecordKind::Delivery,
            6 => RecordKind::Note,
            _ => return None,
        })
    }
}

/// Why bytes are not a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The bytes do not follow the encoding of their kind.
    #[error("failed to decode a record of kind {kind:?}")]
    Decode {
        /// The kind that the header named.
        kind: RecordKind,
        /// What the decoder says.
        #[source]
        source: prost::DecodeError,
    },
}

impl Record {
    /// The kind.
    pub fn kind(&self) -> RecordKind {
        match self {
            Record::Event(_) => RecordKind::Event,
            Record::Invocation(_) => RecordKind::Invocation,
            Record::Started(_) => RecordKind::Started,
            Record::Config(_) => RecordKind::Config,
            Record::Delivery(_) => RecordKind::Delivery,
            Record::Note(_) => RecordKind::Note,
        }
    }

    /// The id of what the record is about: an event's for events, an invocation's for invocations
    /// and their starts, otherwise the record's own. 16 bytes, time-ordered.
    pub fn id(&self) -> &[u8] {
        match self {
            Record::Event(record) => &record.id,
            Record::Invocation(record) => &record.id,
            Record::Started(record) => &record.id,
            Record::Config(record) => &record.id,
            Record::Delivery(record) => &record.id,
            Record::Note(record) => &record.id,
        }
    }

    /// The project it belongs to; empty for the log's own notes.
    pub fn project(&self) -> &str {
        match self {
            Record::Event(record) => &record.meta.project,
            Record::Invocation(record) => &record.meta.project,
            Record::Started(record) => &record.meta.project,
            Record::Config(record) => &record.project,
            Record::Delivery(record) => &record.project,
            Record::Note(_) => "",
        }
    }

    /// The size of [`encode`](Self::encode)'s output in bytes.
    pub fn encoded_len(&self) -> usize {
        match self {
            Record::Event(record) => record.encoded_len(),
            Record::Invocation(record) => record.encoded_len(),
            Record::Started(record) => record.encoded_len(),
            Record::Config(record) => record.encoded_len(),
            Record::Delivery(record) => record.encoded_len(),
            Record::Note(record) => record.encoded_len(),
        }
    }

    /// Appends the encoding to `buffer`.
    pub fn encode(&self, buffer: &mut Vec<u8>) {
        buffer.reserve(self.encoded_len());
        // Encoding into a vector fails only when its capacity is exhausted, and vectors grow.
        let _ = match self {
            Record::Event(record) => record.encode(buffer),
            Record::Invocation(record) => record.encode(buffer),
            Record::Started(record) => record.encode(buffer),
            Record::Config(record) => record.encode(buffer),
            Record::Delivery(record) => record.encode(buffer),
            Record::Note(record) => record.encode(buffer),
        };
    }

    /// Decodes a record. Byte fields share `bytes`; nothing is copied.
    ///
    /// # Errors
    /// The bytes do not follow the encoding.
    pub fn decode(kind: RecordKind, bytes: Bytes) -> Result<Self, RecordError> {
        let decoded = match kind {
            RecordKind::Event => EventRecord::decode(bytes).map(Record::Event),
            RecordKind::Invocation => {
                InvocationRecord::decode(bytes).map(|record| Record::Invocation(Box::new(record)))
            }
            RecordKind::Started => StartedRecord::decode(bytes).map(Record::Started),
            RecordKind::Config => ConfigRecord::decode(bytes).map(Record::Config),
            RecordKind::Delivery => DeliveryRecord::decode(bytes).map(Record::Delivery),
            RecordKind::Note => NoteRecord::decode(bytes).map(Record::Note),
        };
        decoded.map_err(|source| RecordError::Decode { kind, source })
    }
}

/// What every event and invocation carries from the first format on (decision 22).
#[derive(Clone, PartialEq, Message)]
pub struct Meta {
    /// The project.
    #[prost(string, tag = "1")]
    pub project: String,
    /// Who caused it, as printed by [`Principal`](crate::Principal).
    #[prost(string, tag = "2")]
    pub principal: String,
    /// The event that led to it; 16 bytes, or empty.
    #[prost(bytes = "bytes", tag = "3")]
    pub cause_event: Bytes,
    /// The invocation that led to it; 16 bytes, or empty.
    #[prost(bytes = "bytes", tag = "4")]
    pub cause_invocation: Bytes,
    /// W3C Trace Context `traceparent`.
    #[prost(string, tag = "5")]
    pub traceparent: String,
    /// The ordering key (`partitioning` extension of CloudEvents), or empty.
    #[prost(string, tag = "6")]
    pub ordering_key: String,
    /// The moment after which nobody waits for it any more, or 0.
    #[prost(int64, tag = "7")]
    pub deadline_ns: i64,
}

/// A CloudEvent as stored.
#[derive(Clone, PartialEq, Message)]
pub struct EventRecord {
    /// The id in the log ([`EventId`]), 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// Project, principal, cause, trace.
    #[prost(message, required, tag = "2")]
    pub meta: Meta,
    /// When Nexus accepted it.
    #[prost(int64, tag = "3")]
    pub received_ns: i64,
    /// The event itself.
    #[prost(message, required, tag = "4")]
    pub event: StoredEvent,
}

/// The attributes and data of a CloudEvent.
#[derive(Clone, PartialEq, Message)]
pub struct StoredEvent {
    /// `id`.
    #[prost(string, tag = "1")]
    pub id: String,
    /// `source`.
    #[prost(string, tag = "2")]
    pub source: String,
    /// `type`.
    #[prost(string, tag = "3")]
    pub ty: String,
    /// `subject`.
    #[prost(string, optional, tag = "4")]
    pub subject: Option<String>,
    /// `time`.
    #[prost(int64, optional, tag = "5")]
    pub time_ns: Option<i64>,
    /// `datacontenttype`.
    #[prost(string, optional, tag = "6")]
    pub datacontenttype: Option<String>,
    /// `dataschema`.
    #[prost(string, optional, tag = "7")]
    pub dataschema: Option<String>,
    /// Extension attributes.
    #[prost(message, repeated, tag = "8")]
    pub extensions: Vec<Extension>,
    /// `data`; `None` where the event has none.
    #[prost(message, optional, tag = "9")]
    pub data: Option<Body>,
}

/// One extension attribute; exactly one value field is set.
#[derive(Clone, PartialEq, Message)]
pub struct Extension {
    /// The attribute's name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// A string value.
    #[prost(string, optional, tag = "2")]
    pub string: Option<String>,
    /// An integer value.
    #[prost(sint32, optional, tag = "3")]
    pub integer: Option<i32>,
    /// A boolean value.
    #[prost(bool, optional, tag = "4")]
    pub boolean: Option<bool>,
}

/// Bytes inside the record, or in the blob store when they are large.
#[derive(Clone, PartialEq, Message)]
pub struct Body {
    /// The bytes, when they are in the record.
    #[prost(bytes = "bytes", tag = "1")]
    pub inline: Bytes,
    /// The digest of the blob that holds them (32 bytes), otherwise empty.
    #[prost(bytes = "bytes", tag = "2")]
    pub blob: Bytes,
    /// The length of the whole body, also when it was not kept.
    #[prost(uint64, tag = "3")]
    pub size: u64,
    /// The lengths of the pieces in which it came, when more than one.
    #[prost(uint32, repeated, tag = "4")]
    pub pieces: Vec<u32>,
    /// The body exceeded the record limit and was not kept.
    #[prost(bool, tag = "5")]
    pub dropped: bool,
    /// The original bytes where redaction replaced parts of them: encrypted under the project's
    /// replay key (mode `seal`), otherwise empty.
    #[prost(bytes = "bytes", tag = "6")]
    pub sealed: Bytes,
}

impl Body {
    /// A body kept inside the record.
    pub fn inline(bytes: Bytes) -> Self {
        Body { size: bytes.len() as u64, inline: bytes, ..Body::default() }
    }
}

/// One header field. Values are bytes: HTTP allows more than UTF-8.
#[derive(Clone, PartialEq, Message)]
pub struct Header {
    /// The lowercase name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The value, or the redaction token.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
    /// The encrypted original of a redacted value, or empty.
    #[prost(bytes = "bytes", tag = "3")]
    pub sealed: Bytes,
}

/// What went in.
#[derive(Clone, PartialEq, Message)]
pub struct Input {
    /// Exactly one of the forms.
    #[prost(oneof = "input::Form", tags = "1, 2, 3, 4")]
    pub form: Option<input::Form>,
}

/// The forms of [`Input`].
pub mod input {
    /// Exactly one of these.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Form {
        /// An HTTP request.
        #[prost(message, tag = "1")]
        Http(super::HttpInput),
        /// An event of the log, by its id: its bytes are not stored twice.
        #[prost(bytes = "bytes", tag = "2")]
        EventRef(bytes::Bytes),
        /// An event that is in no log: a direct call of an event function.
        #[prost(message, tag = "3")]
        Event(super::StoredEvent),
        /// A command: arguments and standard input.
        #[prost(message, tag = "4")]
        Command(super::CommandInput),
    }
}

/// An HTTP request as the guest saw it.
#[derive(Clone, PartialEq, Message)]
pub struct HttpInput {
    /// The method.
    #[prost(string, tag = "1")]
    pub method: String,
    /// `http` or `https`.
    #[prost(string, tag = "2")]
    pub scheme: String,
    /// Host and port.
    #[prost(string, tag = "3")]
    pub authority: String,
    /// Path and query.
    #[prost(string, tag = "4")]
    pub path_and_query: String,
    /// Header fields in order.
    #[prost(message, repeated, tag = "5")]
    pub headers: Vec<Header>,
    /// The body.
    #[prost(message, required, tag = "6")]
    pub body: Body,
    /// Trailer fields, if the request had any.
    #[prost(message, repeated, tag = "7")]
    pub trailers: Vec<Header>,
}

/// A command's input.
#[derive(Clone, PartialEq, Message)]
pub struct CommandInput {
    /// Arguments after the program's name.
    #[prost(string, repeated, tag = "1")]
    pub arguments: Vec<String>,
    /// Standard input.
    #[prost(message, required, tag = "2")]
    pub stdin: Body,
}

/// What came out.
#[derive(Clone, PartialEq, Message)]
pub struct Output {
    /// The HTTP status, or 0 where the function gave no HTTP response.
    #[prost(uint32, tag = "1")]
    pub http_status: u32,
    /// Response header fields.
    #[prost(message, repeated, tag = "2")]
    pub headers: Vec<Header>,
    /// The response body, the result's data, or standard output.
    #[prost(message, optional, tag = "3")]
    pub body: Option<Body>,
    /// The media type of a result.
    #[prost(string, tag = "4")]
    pub content_type: String,
    /// The events that the function returned.
    #[prost(message, repeated, tag = "5")]
    pub events: Vec<StoredEvent>,
    /// A command's exit code.
    #[prost(int32, optional, tag = "6")]
    pub exit_code: Option<i32>,
    /// Response trailer fields.
    #[prost(message, repeated, tag = "7")]
    pub trailers: Vec<Header>,
}

/// How an invocation ended. Numbers are never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Status {
    /// Not known: written by a newer version.
    Unknown = 0,
    /// The function answered. For HTTP this holds for every status code it chose.
    Succeeded = 1,
    /// The function returned a transient error: a retry may help.
    Failed = 2,
    /// The function returned a permanent error: a retry does not help.
    Refused = 3,
    /// The guest trapped: `unreachable`, out of bounds, stack overflow.
    Trapped = 4,
    /// The deadline struck.
    TimedOut = 5,
    /// The guest asked for more memory than its limit and gave up.
    OutOfMemory = 6,
    /// The caller went away or somebody cancelled it.
    Cancelled = 7,
    /// The node died while it ran (found on restart).
    Crashed = 8,
    /// It never ran: a limit, a missing function, a component that could not be loaded.
    Rejected = 9,
    /// It has begun and not ended: only ever seen in views, never stored as an end.
    Running = 10,
}

/// Where the time went. Zero means "did not happen".
#[derive(
    Clone, Copy, PartialEq, Eq, Message, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
pub struct Timings {
    /// Waiting for admission or a slot.
    #[prost(uint64, tag = "1")]
    pub queue_ns: u64,
    /// Fetching the precompiled code from the blob store.
    #[prost(uint64, tag = "2")]
    pub fetch_ns: u64,
    /// Mapping and preparing it.
    #[prost(uint64, tag = "3")]
    pub load_ns: u64,
    /// Making the instance.
    #[prost(uint64, tag = "4")]
    pub instantiate_ns: u64,
    /// From the call until the first answer (response head or result).
    #[prost(uint64, tag = "5")]
    pub first_answer_ns: u64,
    /// From the call until the end of the answer.
    #[prost(uint64, tag = "6")]
    pub guest_ns: u64,
    /// From acceptance to the end.
    #[prost(uint64, tag = "7")]
    pub total_ns: u64,
}

/// What it used (decision 22).
#[derive(
    Clone, Copy, PartialEq, Eq, Message, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
pub struct Meter {
    /// Processor time spent inside the guest and its host calls.
    #[prost(uint64, tag = "1")]
    pub cpu_ns: u64,
    /// The largest linear memory, in bytes.
    #[prost(uint64, tag = "2")]
    pub memory_peak_bytes: u64,
    /// By how many 64 KiB pages memory grew after instantiation.
    #[prost(uint64, tag = "3")]
    pub memory_grown_pages: u64,
    /// Bytes of the input.
    #[prost(uint64, tag = "4")]
    pub bytes_in: u64,
    /// Bytes of the output.
    #[prost(uint64, tag = "5")]
    pub bytes_out: u64,
    /// Host calls that were journaled.
    #[prost(uint64, tag = "6")]
    pub host_calls: u64,
    /// Fuel consumed, where fuel is on.
    #[prost(uint64, tag = "7")]
    pub fuel: u64,
}

/// One line that the guest wrote.
#[derive(Clone, PartialEq, Message)]
pub struct LogLine {
    /// When the host saw it.
    #[prost(int64, tag = "1")]
    pub at_ns: i64,
    /// Where it came from and how serious it is.
    #[prost(enumeration = "Stream", tag = "2")]
    pub stream: i32,
    /// The text without the line end.
    #[prost(string, tag = "3")]
    pub text: String,
    /// The level of a structured line: `trace` to `error`; empty for plain ones.
    #[prost(string, tag = "4")]
    pub level: String,
    /// Structured fields as a JSON object, or empty.
    #[prost(string, tag = "5")]
    pub fields: String,
    /// How many journal entries had been made before it.
    #[prost(uint32, tag = "6")]
    pub after_operation: u32,
}

/// Where a log line came from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Stream {
    /// Standard output.
    Stdout = 0,
    /// Standard error.
    Stderr = 1,
    /// `wasi:logging` or our own log interface.
    Log = 2,
}

/// Why it did not succeed.
#[derive(Clone, PartialEq, Message)]
pub struct Failure {
    /// A stable code (`NX1234`).
    #[prost(string, tag = "1")]
    pub code: String,
    /// For people.
    #[prost(string, tag = "2")]
    pub message: String,
    /// The guest's stack, innermost frame first, where there is one.
    #[prost(string, repeated, tag = "3")]
    pub backtrace: Vec<String>,
}

/// One attempt to handle one event or request with one function version.
#[derive(Clone, PartialEq, Message)]
pub struct InvocationRecord {
    /// [`InvocationId`], 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// Project, principal, cause, trace.
    #[prost(message, required, tag = "2")]
    pub meta: Meta,
    /// The function's name.
    #[prost(string, tag = "3")]
    pub function: String,
    /// [`VersionId`], 16 bytes.
    #[prost(bytes = "bytes", tag = "4")]
    pub version: Bytes,
    /// The digest of the component as deployed, 32 bytes.
    #[prost(bytes = "bytes", tag = "5")]
    pub component: Bytes,
    /// The digest of the component as executed (adapted), 32 bytes; empty when the same.
    #[prost(bytes = "bytes", tag = "6")]
    pub executed: Bytes,
    /// The hash of the engine's semantics (decision 25).
    #[prost(bytes = "bytes", tag = "7")]
    pub semantics: Bytes,
    /// 1 for the first attempt.
    #[prost(uint32, tag = "8")]
    pub attempt: u32,
    /// What set it off.
    #[prost(enumeration = "Trigger", tag = "9")]
    pub trigger: i32,
    /// How it ended.
    #[prost(enumeration = "Status", tag = "10")]
    pub status: i32,
    /// When Nexus accepted it.
    #[prost(int64, tag = "11")]
    pub accepted_ns: i64,
    /// When it ended.
    #[prost(int64, tag = "12")]
    pub ended_ns: i64,
    /// Where the time went.
    #[prost(message, required, tag = "13")]
    pub timings: Timings,
    /// What it used.
    #[prost(message, required, tag = "14")]
    pub meter: Meter,
    /// What went in. `None` where the recording policy kept only this row.
    #[prost(message, optional, tag = "15")]
    pub input: Option<Input>,
    /// What came out.
    #[prost(message, optional, tag = "16")]
    pub output: Option<Output>,
    /// The journal in `exec`'s format.
    #[prost(message, optional, tag = "17")]
    pub journal: Option<Body>,
    /// What the guest wrote.
    #[prost(message, repeated, tag = "18")]
    pub logs: Vec<LogLine>,
    /// Log lines beyond the limit, which were not kept.
    #[prost(uint64, tag = "19")]
    pub logs_dropped: u64,
    /// Why it did not succeed.
    #[prost(message, optional, tag = "20")]
    pub failure: Option<Failure>,
    /// How exactly it can be replayed.
    #[prost(enumeration = "Level", tag = "21")]
    pub level: i32,
    /// Why it cannot be replayed (`body > 1 MiB`, `recording off`), or empty.
    #[prost(string, tag = "22")]
    pub not_replayable: String,
    /// Why it was cold (`first call`, `evicted`, `new version`), or empty when warm.
    #[prost(string, tag = "23")]
    pub cold: String,
    /// The hash of the final linear memory, in verifying recordings only.
    #[prost(bytes = "bytes", tag = "24")]
    pub memory_hash: Bytes,
    /// What redaction did to this record.
    #[prost(string, repeated, tag = "25")]
    pub redacted: Vec<String>,
}

impl InvocationRecord {
    /// The id, where it has its 16 bytes.
    pub fn invocation_id(&self) -> Option<InvocationId> {
        InvocationId::try_from(&self.id[..]).ok()
    }

    /// The version, where it has its 16 bytes.
    pub fn version_id(&self) -> Option<VersionId> {
        VersionId::try_from(&self.version[..]).ok()
    }
}

/// What set an invocation off.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Trigger {
    /// A request on the ingress.
    Http = 0,
    /// An event of the log.
    Event = 1,
    /// A direct call through the API or CLI.
    Invoke = 2,
}

/// How exactly an invocation can be replayed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Level {
    /// Bit-exactly.
    Exact = 0,
    /// Input, output and proxied calls are recorded; a replay reports where it differs.
    Io = 1,
    /// Only the row was kept.
    None = 2,
}

/// A durable or asynchronous invocation began.
#[derive(Clone, PartialEq, Message)]
pub struct StartedRecord {
    /// [`InvocationId`], 16 bytes: the same as in the record of its end.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// Project, principal, cause, trace.
    #[prost(message, required, tag = "2")]
    pub meta: Meta,
    /// The function's name.
    #[prost(string, tag = "3")]
    pub function: String,
    /// [`VersionId`], 16 bytes.
    #[prost(bytes = "bytes", tag = "4")]
    pub version: Bytes,
    /// 1 for the first attempt.
    #[prost(uint32, tag = "5")]
    pub attempt: u32,
    /// When it began.
    #[prost(int64, tag = "6")]
    pub started_ns: i64,
}

/// A resource that the engine depends on (a function with its triggers) as of one revision.
#[derive(Clone, PartialEq, Message)]
pub struct ConfigRecord {
    /// The record's own id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// The project.
    #[prost(string, tag = "2")]
    pub project: String,
    /// The resource's kind.
    #[prost(string, tag = "3")]
    pub kind: String,
    /// The resource's name.
    #[prost(string, tag = "4")]
    pub name: String,
    /// The resource's revision: a config record with an older one than known changes nothing.
    #[prost(uint64, tag = "5")]
    pub revision: u64,
    /// The spec as JSON; empty when the resource was deleted.
    #[prost(string, tag = "6")]
    pub spec: String,
    /// When it was appended.
    #[prost(int64, tag = "7")]
    pub at_ns: i64,
}

/// What the engine, or somebody, decided about the delivery of one event to one function.
#[derive(Clone, PartialEq, Message)]
pub struct DeliveryRecord {
    /// The record's own id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// The project.
    #[prost(string, tag = "2")]
    pub project: String,
    /// [`EventId`], 16 bytes.
    #[prost(bytes = "bytes", tag = "3")]
    pub event: Bytes,
    /// The function that was to handle it.
    #[prost(string, tag = "4")]
    pub function: String,
    /// What was decided.
    #[prost(enumeration = "DeliveryDecision", tag = "5")]
    pub decision: i32,
    /// Why, for people.
    #[prost(string, tag = "6")]
    pub reason: String,
    /// How many attempts had been made.
    #[prost(uint32, tag = "7")]
    pub attempts: u32,
    /// Who decided, as printed by [`Principal`](crate::Principal).
    #[prost(string, tag = "8")]
    pub principal: String,
    /// When.
    #[prost(int64, tag = "9")]
    pub at_ns: i64,
}

/// What was decided about a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum DeliveryDecision {
    /// Not known: written by a newer version.
    Unknown = 0,
    /// No further attempts: it lies in the dead letters.
    Dead = 1,
    /// Taken out of the dead letters and tried again from the first attempt.
    Redriven = 2,
    /// Taken out of the dead letters for good.
    Dropped = 3,
}

/// Something about the log itself.
#[derive(Clone, PartialEq, Message)]
pub struct NoteRecord {
    /// The record's own id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// What happened: `torn-tail`, `recordings-lost`, `upgrade`.
    #[prost(string, tag = "2")]
    pub kind: String,
    /// For people.
    #[prost(string, tag = "3")]
    pub message: String,
    /// How many records it is about.
    #[prost(uint64, tag = "4")]
    pub count: u64,
    /// When.
    #[prost(int64, tag = "5")]
    pub at_ns: i64,
}

impl EventRecord {
    /// The id, where it has its 16 bytes.
    pub fn event_id(&self) -> Option<EventId> {
        EventId::try_from(&self.id[..]).ok()
    }
}

impl From<&Event> for StoredEvent {
    fn from(event: &Event) -> Self {
        StoredEvent {
            id: event.id.clone(),
            source: event.source.clone(),
            ty: event.ty.clone(),
            subject: event.subject.clone(),
            time_ns: event.time.map(Timestamp::unix_ns),
            datacontenttype: event.datacontenttype.clone(),
            dataschema: event.dataschema.clone(),
            extensions: event.extensions.iter().map(Extension::from).collect(),
            data: event.data.clone().map(Body::inline),
        }
    }
}

impl From<&(String, AttributeValue)> for Extension {
    fn from((name, value): &(String, AttributeValue)) -> Self {
        let mut stored = Extension { name: name.clone(), ..Extension::default() };
        match value {
            AttributeValue::Boolean(value) => stored.boolean = Some(*value),
            AttributeValue::Integer(value) => stored.integer = Some(*value),
            AttributeValue::String(value) => stored.string = Some(value.clone()),
        }
        stored
    }
}

impl StoredEvent {
    /// The event; `data` must have been fetched from the blob store where it was there.
    pub fn to_event(&self) -> Event {
        Event {
            id: self.id.clone(),
            source: self.source.clone(),
            ty: self.ty.clone(),
            subject: self.subject.clone(),
            time: self.time_ns.map(Timestamp::from_unix_ns),
            datacontenttype: self.datacontenttype.clone(),
            dataschema: self.dataschema.clone(),
            extensions: self.extensions.iter().map(Extension::to_attribute).collect(),
            data: self.data.as_ref().map(|body| body.inline.clone()),
        }
    }
}

impl Extension {
    fn to_attribute(&self) -> (String, AttributeValue) {
        let value = match (self.boolean, self.integer, &self.string) {
            (Some(value), _, _) => AttributeValue::Boolean(value),
            (_, Some(value), _) => AttributeValue::Integer(value),
            (_, _, text) => AttributeValue::String(text.clone().unwrap_or_default()),
        };
        (self.name.clone(), value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_event_survives_storing() {
        let mut event = Event::new("1", "/s", "t");
        event.extensions.push(("a".into(), AttributeValue::Boolean(true)));
        event.extensions.push(("b".into(), AttributeValue::Integer(-3)));
        event.extensions.push(("c".into(), AttributeValue::String("x".into())));
        event.data = Some(Bytes::from_static(b"{}"));
        event.time = Some(Timestamp::from_unix_ns(5));
        let stored = StoredEvent::from(&event);
        assert_eq!(stored.to_event(), event);
        let record = Record::Event(EventRecord { event: stored, ..EventRecord::default() });
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        assert_eq!(bytes.len(), record.encoded_len());
        assert_eq!(Record::decode(RecordKind::Event, bytes.into()).unwrap(), record);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(kind in 1u8..7, bytes: Vec<u8>) {
            let kind = RecordKind::from_number(kind).unwrap();
            let _ = Record::decode(kind, bytes.into());
        }
    }
}
