//! What a checkpoint consists of. Field numbers are never reused.

use bytes::Bytes;
use nexus_model::record::StartedRecord;
use prost::Message;

/// The number of [`Body::dedup`].
pub(super) const DEDUP_TAG: u32 = 10;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Body {
    #[prost(uint64, tag = "1")]
    pub(super) position: u64,
    /// In the order of their numbers.
    #[prost(message, repeated, tag = "2")]
    pub(super) lanes: Vec<LaneRow>,
    #[prost(message, repeated, tag = "3")]
    pub(super) declared: Vec<DeclaredRow>,
    #[prost(message, repeated, tag = "4")]
    pub(super) deliveries: Vec<DeliveryRow>,
    #[prost(message, repeated, tag = "5")]
    pub(super) runs: Vec<RunRow>,
    #[prost(message, repeated, tag = "6")]
    pub(super) early: Vec<EarlyRow>,
    #[prost(message, repeated, tag = "7")]
    pub(super) schedules: Vec<ScheduleRow>,
    #[prost(message, repeated, tag = "8")]
    pub(super) dead: Vec<DeadRow>,
    #[prost(message, repeated, tag = "9")]
    pub(super) seen: Vec<SeenRow>,
    #[prost(message, repeated, tag = "10")]
    pub(super) dedup: Vec<DedupRow>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LaneRow {
    #[prost(string, tag = "1")]
    pub(super) project: String,
    #[prost(string, tag = "2")]
    pub(super) function: String,
    #[prost(string, tag = "3")]
    pub(super) trigger: String,
    /// Failures in a row.
    #[prost(uint32, tag = "4")]
    pub(super) failures: u32,
    /// Until when the breaker is open, or 0 where it is closed.
    #[prost(int64, tag = "5")]
    pub(super) open_until_ns: i64,
    #[prost(int64, tag = "6")]
    pub(super) spent_until_ns: i64,
    #[prost(message, repeated, tag = "7")]
    pub(super) fired: Vec<FiredRow>,
    /// Where its trigger is gone. Since version 3.
    #[prost(message, optional, tag = "8")]
    pub(super) gone: Option<GoneRow>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GoneRow {
    #[prost(string, tag = "1")]
    pub(super) spec: String,
    #[prost(uint64, optional, tag = "2")]
    pub(super) given_up_through: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FiredRow {
    #[prost(fixed64, tag = "1")]
    pub(super) cron: u64,
    #[prost(int64, tag = "2")]
    pub(super) at_ns: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DeclaredRow {
    #[prost(string, tag = "1")]
    pub(super) kind: String,
    #[prost(string, tag = "2")]
    pub(super) project: String,
    #[prost(string, tag = "3")]
    pub(super) name: String,
    #[prost(uint64, tag = "4")]
    pub(super) revision: u64,
    #[prost(string, tag = "5")]
    pub(super) spec: String,
    #[prost(int64, tag = "6")]
    pub(super) at_ns: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DeliveryRow {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) event: Bytes,
    #[prost(uint32, tag = "2")]
    pub(super) lane: u32,
    #[prost(uint64, tag = "3")]
    pub(super) sequence: u64,
    #[prost(uint64, tag = "4")]
    pub(super) order: u64,
    #[prost(int64, tag = "5")]
    pub(super) since_ns: i64,
    #[prost(string, optional, tag = "6")]
    pub(super) key: Option<String>,
    #[prost(string, tag = "7")]
    pub(super) ty: String,
    #[prost(uint32, tag = "8")]
    pub(super) attempt: u32,
    #[prost(bool, tag = "9")]
    pub(super) named: bool,
    #[prost(int64, tag = "10")]
    pub(super) due_ns: i64,
    #[prost(string, optional, tag = "11")]
    pub(super) failed: Option<String>,
    /// The invocation that runs, or empty.
    #[prost(bytes = "bytes", tag = "12")]
    pub(super) run: Bytes,
    #[prost(bool, tag = "13")]
    pub(super) cancelled: bool,
    #[prost(message, optional, tag = "14")]
    pub(super) verdict: Option<VerdictRow>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct VerdictRow {
    #[prost(int32, tag = "1")]
    pub(super) decision: i32,
    #[prost(string, tag = "2")]
    pub(super) reason: String,
    #[prost(string, tag = "3")]
    pub(super) code: String,
    #[prost(int32, tag = "4")]
    pub(super) status: i32,
    #[prost(bytes = "bytes", tag = "5")]
    pub(super) invocation: Bytes,
    #[prost(uint32, tag = "6")]
    pub(super) attempts: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RunRow {
    #[prost(message, required, tag = "1")]
    pub(super) started: StartedRecord,
    #[prost(uint64, tag = "2")]
    pub(super) sequence: u64,
    #[prost(uint32, tag = "3")]
    pub(super) lane: u32,
    #[prost(bytes = "bytes", repeated, tag = "4")]
    pub(super) members: Vec<Bytes>,
    #[prost(uint64, repeated, tag = "5")]
    pub(super) pieces: Vec<u64>,
    #[prost(uint32, tag = "6")]
    pub(super) stalled: u32,
    #[prost(message, optional, tag = "7")]
    pub(super) suspension: Option<SuspensionRow>,
    #[prost(message, repeated, tag = "8")]
    pub(super) signals: Vec<SignalRow>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SuspensionRow {
    #[prost(int64, tag = "1")]
    pub(super) until_ns: i64,
    #[prost(string, tag = "2")]
    pub(super) signal: String,
    #[prost(uint64, tag = "3")]
    pub(super) ran_ns: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SignalRow {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) id: Bytes,
    #[prost(uint64, tag = "2")]
    pub(super) sequence: u64,
    #[prost(string, tag = "3")]
    pub(super) name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EarlyRow {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) invocation: Bytes,
    #[prost(message, repeated, tag = "2")]
    pub(super) signals: Vec<SignalRow>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ScheduleRow {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) id: Bytes,
    #[prost(string, tag = "2")]
    pub(super) project: String,
    #[prost(int64, tag = "3")]
    pub(super) due_ns: i64,
    #[prost(uint64, tag = "4")]
    pub(super) sequence: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DeadRow {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) event: Bytes,
    #[prost(uint32, tag = "2")]
    pub(super) lane: u32,
    #[prost(uint64, tag = "3")]
    pub(super) sequence: u64,
    #[prost(string, optional, tag = "4")]
    pub(super) key: Option<String>,
    #[prost(string, tag = "5")]
    pub(super) ty: String,
    #[prost(uint32, tag = "6")]
    pub(super) attempts: u32,
    #[prost(string, tag = "7")]
    pub(super) reason: String,
    #[prost(string, tag = "8")]
    pub(super) code: String,
    #[prost(int64, tag = "9")]
    pub(super) at_ns: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SeenRow {
    #[prost(uint32, tag = "1")]
    pub(super) lane: u32,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) key: Bytes,
    #[prost(int64, tag = "3")]
    pub(super) at_ns: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DedupRow {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) event: Vec<u8>,
    #[prost(int64, tag = "3")]
    pub(super) at_ns: i64,
}
