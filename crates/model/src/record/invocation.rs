//! Invocations as stored: what ran, with everything it took in and gave out.

use bytes::Bytes;
use prost::Message;

use super::{Body, Header, Meta, StoredEvent};
use crate::{InvocationId, VersionId};

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
    /// It sleeps or waits for a signal: only ever seen in views, never stored as an end.
    Suspended = 11,
    /// It waits for its turn: only ever seen in views, never stored as an end.
    Queued = 12,
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
    /// The level of a structured line, from the log interface or printed as a JSON object: `trace`
    /// to `error`; empty for plain ones.
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
    /// Where the instruction of each frame stands, in bytes from the beginning of the component as
    /// executed. Empty in records of older builds. Debug information turns it into file and line
    /// when somebody looks.
    #[prost(uint64, repeated, tag = "4")]
    pub offsets: Vec<u64>,
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
    /// 1 for the first attempt; 0 for a call that was decided without one: nothing ran.
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
    /// The trigger: a Trigger's name, or empty for the function's own.
    #[prost(string, tag = "26")]
    pub trigger_name: String,
    /// How often it went on from its journal.
    #[prost(uint32, tag = "27")]
    pub resumes: u32,
    /// The further events of a batch, 16 bytes each; `meta.cause_event` is the first.
    #[prost(bytes = "bytes", repeated, tag = "28")]
    pub batch: Vec<Bytes>,
    /// Those events of a batch that the function reported as failed, 16 bytes each. At the end may
    /// stand why all of them did: zeros where the report could not be read, ones where it named an
    /// event that is not in the batch.
    #[prost(bytes = "bytes", repeated, tag = "29")]
    pub batch_failed: Vec<Bytes>,
    /// The answer came from the result cache: the invocation that computed it, 16 bytes.
    #[prost(bytes = "bytes", tag = "30")]
    pub cached_from: Bytes,
    /// Why it waited before it began (`concurrency 3/3`, `rate 10/s`, `order behind evt_…`), the
    /// longest wait first.
    #[prost(string, repeated, tag = "31")]
    pub waited_for: Vec<String>,
    /// How many links led to it: see [`EventRecord::links`](super::EventRecord::links).
    #[prost(uint32, tag = "32")]
    pub chain: u32,
    /// Where the values of secrets were replaced in the input; those in the bodies of requests and in
    /// standard input stand in the journal.
    #[prost(message, repeated, tag = "33")]
    pub input_masks: Vec<InputMask>,
    /// Of a durable invocation that did not end by itself (cancelled while it slept, or its server
    /// stopped): the sequences of the [pieces](super::JournalRecord) of its journal.
    #[prost(uint64, repeated, tag = "34")]
    pub pieces: Vec<u64>,
}

/// Where in the recorded input the value of a secret was replaced by filler of the same length.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct InputMask {
    /// In what.
    #[prost(enumeration = "InputPart", tag = "1")]
    pub part: i32,
    /// In which of several, from 0.
    #[prost(uint32, tag = "2")]
    pub index: u32,
    /// From which byte.
    #[prost(uint32, tag = "3")]
    pub offset: u32,
    /// Which environment variable of the journal's header holds the secret.
    #[prost(uint32, tag = "4")]
    pub env: u32,
}

/// What an [`InputMask`] lies in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum InputPart {
    /// Path and query of a request.
    Path = 0,
    /// The authority of a request.
    Authority = 1,
    /// The value of a header field of a request.
    Header = 2,
    /// The value of a trailer field of a request.
    Trailer = 3,
    /// The data of an event.
    EventData = 4,
    /// An argument of a command.
    Argument = 5,
}

impl InvocationRecord {
    /// Whether an attempt was made. A call that was cancelled, dropped or given up before that has a
    /// record all the same, because its caller knows its id.
    pub fn was_tried(&self) -> bool {
        self.attempt > 0
    }

    /// The bodies that may lie in the blob store.
    pub fn bodies_mut(&mut self) -> impl Iterator<Item = &mut Body> {
        let input = match self.input.as_mut().and_then(|input| input.form.as_mut()) {
            Some(input::Form::Http(http)) => Some(&mut http.body),
            Some(input::Form::Command(command)) => Some(&mut command.stdin),
            Some(input::Form::Event(event)) => event.data.as_mut(),
            Some(input::Form::EventRef(_)) | None => None,
        };
        let output = self.output.as_mut().and_then(|output| output.body.as_mut());
        input.into_iter().chain(output).chain(self.journal.as_mut())
    }

    /// [`bodies_mut`](Self::bodies_mut) to look at, each with what it is of the record.
    pub fn bodies(&self) -> Vec<(&'static str, &Body)> {
        let input = match self.input.as_ref().and_then(|input| input.form.as_ref()) {
            Some(input::Form::Http(http)) => Some(&http.body),
            Some(input::Form::Command(command)) => Some(&command.stdin),
            Some(input::Form::Event(event)) => event.data.as_ref(),
            Some(input::Form::EventRef(_)) | None => None,
        };
        let output = self.output.as_ref().and_then(|output| output.body.as_ref());
        let parts = [("input", input), ("output", output), ("journal", self.journal.as_ref())];
        parts.into_iter().filter_map(|(part, body)| Some((part, body?))).collect()
    }

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
