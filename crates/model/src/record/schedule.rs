//! What waits for its time or for a word from outside: schedules, pieces of durable journals,
//! suspensions, signals, progress.

use bytes::Bytes;
use prost::Message;

use super::{Body, Meta, StoredEvent};

/// An event that happens later. When its time has come an [`EventRecord`](super::EventRecord) with
/// [`schedule`](super::EventRecord::schedule) set is appended; until then it can be cancelled by a
/// [`DeliveryRecord`](super::DeliveryRecord).
#[derive(Clone, PartialEq, Message)]
pub struct ScheduleRecord {
    /// The schedule's id ([`EventId`](crate::EventId)), 16 bytes. The event gets one of its own.
    /// A schedule that is carried forward, so that retention can remove where it stood, keeps it.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// Project, principal, cause, trace.
    #[prost(message, required, tag = "2")]
    pub meta: Meta,
    /// When Nexus accepted it.
    #[prost(int64, tag = "3")]
    pub received_ns: i64,
    /// When it happens.
    #[prost(int64, tag = "4")]
    pub due_ns: i64,
    /// The event.
    #[prost(message, required, tag = "5")]
    pub event: StoredEvent,
    /// The only function that gets it, or empty.
    #[prost(string, tag = "6")]
    pub target: String,
    /// The cron trigger that made it (`function` or `function/trigger`), or empty.
    #[prost(string, tag = "7")]
    pub cron: String,
    /// As in [`EventRecord`](super::EventRecord::chain).
    #[prost(uint32, tag = "8")]
    pub chain: u32,
}

/// A piece of the journal of a durable invocation that still runs.
#[derive(Clone, PartialEq, Message)]
pub struct JournalRecord {
    /// The record's own id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// The project.
    #[prost(string, tag = "2")]
    pub project: String,
    /// [`InvocationId`](crate::InvocationId), 16 bytes.
    #[prost(bytes = "bytes", tag = "3")]
    pub invocation: Bytes,
    /// 0 for the first piece.
    #[prost(uint32, tag = "4")]
    pub number: u32,
    /// The bytes, which continue those of the piece before; a piece 0 begins anew.
    #[prost(message, required, tag = "5")]
    pub bytes: Body,
    /// When.
    #[prost(int64, tag = "6")]
    pub at_ns: i64,
    /// The signals that the invocation took in this piece ([`SignalRecord::id`]), 16 bytes each:
    /// from here on they do not wait any more.
    #[prost(bytes = "bytes", repeated, tag = "7")]
    pub signals: Vec<Bytes>,
    /// The bytes are encrypted under the project's replay key.
    #[prost(bool, tag = "8")]
    pub sealed: bool,
}

/// A durable invocation sleeps or waits for a signal. Nothing of it is in memory.
#[derive(Clone, PartialEq, Message)]
pub struct SuspendedRecord {
    /// The record's own id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// The project.
    #[prost(string, tag = "2")]
    pub project: String,
    /// [`InvocationId`](crate::InvocationId), 16 bytes.
    #[prost(bytes = "bytes", tag = "3")]
    pub invocation: Bytes,
    /// When it goes on at the latest, or 0 for never by itself.
    #[prost(int64, tag = "4")]
    pub until_ns: i64,
    /// The name of the signal it waits for, or empty.
    #[prost(string, tag = "5")]
    pub signal: String,
    /// When.
    #[prost(int64, tag = "6")]
    pub at_ns: i64,
    /// How long it has run so far, sleeping not counted.
    #[prost(uint64, tag = "7")]
    pub ran_ns: u64,
}

/// A word from outside for a durable invocation.
#[derive(Clone, PartialEq, Message)]
pub struct SignalRecord {
    /// The record's own id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// The project.
    #[prost(string, tag = "2")]
    pub project: String,
    /// [`InvocationId`](crate::InvocationId), 16 bytes.
    #[prost(bytes = "bytes", tag = "3")]
    pub invocation: Bytes,
    /// The signal's name.
    #[prost(string, tag = "4")]
    pub name: String,
    /// The media type of the data.
    #[prost(string, tag = "5")]
    pub content_type: String,
    /// The data.
    #[prost(message, required, tag = "6")]
    pub data: Body,
    /// Who sent it, as printed by [`Principal`](crate::Principal).
    #[prost(string, tag = "7")]
    pub principal: String,
    /// When.
    #[prost(int64, tag = "8")]
    pub at_ns: i64,
}

/// How far a running invocation says it is. Not synced: the last ones may be lost.
#[derive(Clone, PartialEq, Message)]
pub struct ProgressRecord {
    /// The record's own id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// The project.
    #[prost(string, tag = "2")]
    pub project: String,
    /// [`InvocationId`](crate::InvocationId), 16 bytes.
    #[prost(bytes = "bytes", tag = "3")]
    pub invocation: Bytes,
    /// 0 to 100, or absent where it cannot say.
    #[prost(uint32, optional, tag = "4")]
    pub percent: Option<u32>,
    /// For people.
    #[prost(string, tag = "5")]
    pub message: String,
    /// When.
    #[prost(int64, tag = "6")]
    pub at_ns: i64,
}
