//! What the engine writes for itself: starts, configuration, decisions, notes.

use bytes::Bytes;
use prost::Message;

use super::{InvocationRecord, Level, Meta, Trigger};

/// A durable or asynchronous invocation began.
#[derive(Clone, PartialEq, Message)]
pub struct StartedRecord {
    /// [`InvocationId`](crate::InvocationId), 16 bytes: the same as in the record of its end.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// Project, principal, cause, trace.
    #[prost(message, required, tag = "2")]
    pub meta: Meta,
    /// The function's name.
    #[prost(string, tag = "3")]
    pub function: String,
    /// [`VersionId`](crate::VersionId), 16 bytes.
    #[prost(bytes = "bytes", tag = "4")]
    pub version: Bytes,
    /// 1 for the first attempt.
    #[prost(uint32, tag = "5")]
    pub attempt: u32,
    /// When it began.
    #[prost(int64, tag = "6")]
    pub started_ns: i64,
    /// The trigger: a Trigger's name, or empty for the function's own.
    #[prost(string, tag = "7")]
    pub trigger: String,
    /// Its journal is kept in pieces while it runs; it goes on after a crash.
    #[prost(bool, tag = "8")]
    pub durable: bool,
    /// How often it has gone on from its journal: after a crash, a sleep or a signal. 0 for the
    /// record of the attempt's begin.
    #[prost(uint32, tag = "9")]
    pub resumes: u32,
    /// The further events of a batch, 16 bytes each; `meta.cause_event` is the first.
    #[prost(bytes = "bytes", repeated, tag = "10")]
    pub batch: Vec<Bytes>,
    /// Of a durable invocation: the jq expression that made the data of its input, or empty. The
    /// trigger may say something else by the time it goes on.
    #[prost(string, tag = "11")]
    pub transform: String,
    /// Of a durable invocation: its input is a batch, even of one event.
    #[prost(bool, tag = "12")]
    pub batched: bool,
}

impl StartedRecord {
    /// What this says of the invocation, as its record at `at_ns`: without a status, an input and
    /// everything that only its run would tell.
    pub fn invocation(&self, at_ns: i64) -> InvocationRecord {
        InvocationRecord {
            id: self.id.clone(),
            meta: self.meta.clone(),
            function: self.function.clone(),
            version: self.version.clone(),
            attempt: self.attempt,
            trigger: Trigger::Event.into(),
            trigger_name: self.trigger.clone(),
            resumes: self.resumes,
            batch: self.batch.clone(),
            accepted_ns: self.started_ns,
            ended_ns: at_ns,
            level: Level::None.into(),
            ..InvocationRecord::default()
        }
    }
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
    /// [`EventId`](crate::EventId), 16 bytes.
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
    /// The trigger: a Trigger's name, or empty for the function's own.
    #[prost(string, tag = "10")]
    pub trigger: String,
    /// For [`Redriven`](DeliveryDecision::Redriven): the event that replaces the original one (an
    /// edited payload), 16 bytes, or empty.
    #[prost(bytes = "bytes", tag = "11")]
    pub replaced_by: Bytes,
    /// For [`Redriven`](DeliveryDecision::Redriven): when the first attempt may begin, or 0 for now.
    #[prost(int64, tag = "12")]
    pub due_ns: i64,
    /// The stable code of the reason.
    #[prost(string, tag = "13")]
    pub code: String,
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
    /// Somebody cancelled it before it ended: a delivery, or (without a function) a schedule.
    Cancelled = 4,
    /// The attempts are used up and the event went to the fallback function instead.
    FellBack = 5,
    /// It counts as handled already: another event with the same deduplication key was there.
    Duplicate = 6,
    /// It succeeded, and its outcome went where `on-success` says: the event stands in the same
    /// append.
    Reported = 7,
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
