//! What is written to the log: one protobuf message per kind of record.
//!
//! Protobuf because its field numbers let old data stay readable: a number is never reused, a field
//! never changes its meaning, unknown fields are skipped. The frame around a record (length,
//! checksum, chain) belongs to `log`; the bytes inside a journal belong to `exec`.
//!
//! All times are UTC nanoseconds since the epoch; all durations are nanoseconds.

mod delivery;
mod event;
mod invocation;
mod schedule;

use bytes::Bytes;
use prost::Message;

pub use delivery::{ConfigRecord, DeliveryDecision, DeliveryRecord, NoteRecord, StartedRecord};
pub use event::{EventRecord, Extension, StoredEvent};
pub use invocation::{
    CommandInput, Failure, HttpInput, Input, InputMask, InputPart, InvocationRecord, Level,
    LogLine, Meter, Output, Status, Stream, Timings, Trigger, input,
};
pub use schedule::{JournalRecord, ProgressRecord, ScheduleRecord, SignalRecord, SuspendedRecord};

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
    /// An event that happens later.
    Schedule(ScheduleRecord),
    /// A piece of the journal of a durable invocation that still runs.
    Journal(JournalRecord),
    /// A durable invocation sleeps.
    Suspended(SuspendedRecord),
    /// A word from outside for a durable invocation.
    Signal(SignalRecord),
    /// How far a running invocation says it is.
    Progress(ProgressRecord),
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
    /// [`Record::Schedule`].
    Schedule = 7,
    /// [`Record::Journal`].
    Journal = 8,
    /// [`Record::Suspended`].
    Suspended = 9,
    /// [`Record::Signal`].
    Signal = 10,
    /// [`Record::Progress`].
    Progress = 11,
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
            7 => RecordKind::Schedule,
            8 => RecordKind::Journal,
            9 => RecordKind::Suspended,
            10 => RecordKind::Signal,
            11 => RecordKind::Progress,
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
            Record::Schedule(_) => RecordKind::Schedule,
            Record::Journal(_) => RecordKind::Journal,
            Record::Suspended(_) => RecordKind::Suspended,
            Record::Signal(_) => RecordKind::Signal,
            Record::Progress(_) => RecordKind::Progress,
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
            Record::Schedule(record) => &record.id,
            Record::Journal(record) => &record.id,
            Record::Suspended(record) => &record.id,
            Record::Signal(record) => &record.id,
            Record::Progress(record) => &record.id,
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
            Record::Schedule(record) => &record.meta.project,
            Record::Journal(record) => &record.project,
            Record::Suspended(record) => &record.project,
            Record::Signal(record) => &record.project,
            Record::Progress(record) => &record.project,
        }
    }

    /// The bodies that may lie in the blob store, each with what it is of the record.
    pub fn bodies(&self) -> Vec<(&'static str, &Body)> {
        match self {
            Record::Event(event) => event.event.data.iter().map(|data| ("data", data)).collect(),
            Record::Invocation(invocation) => invocation.bodies(),
            Record::Journal(piece) => vec![("piece of the journal", &piece.bytes)],
            Record::Signal(signal) => vec![("data of a signal", &signal.data)],
            _ => Vec::new(),
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
            Record::Schedule(record) => record.encoded_len(),
            Record::Journal(record) => record.encoded_len(),
            Record::Suspended(record) => record.encoded_len(),
            Record::Signal(record) => record.encoded_len(),
            Record::Progress(record) => record.encoded_len(),
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
            Record::Schedule(record) => record.encode(buffer),
            Record::Journal(record) => record.encode(buffer),
            Record::Suspended(record) => record.encode(buffer),
            Record::Signal(record) => record.encode(buffer),
            Record::Progress(record) => record.encode(buffer),
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
            RecordKind::Schedule => ScheduleRecord::decode(bytes).map(Record::Schedule),
            RecordKind::Journal => JournalRecord::decode(bytes).map(Record::Journal),
            RecordKind::Suspended => SuspendedRecord::decode(bytes).map(Record::Suspended),
            RecordKind::Signal => SignalRecord::decode(bytes).map(Record::Signal),
            RecordKind::Progress => ProgressRecord::decode(bytes).map(Record::Progress),
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
    /// W3C Trace Context `tracestate`, or empty.
    #[prost(string, tag = "8")]
    pub tracestate: String,
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{AttributeValue, Event, Timestamp};

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
        fn no_bytes_make_the_decoder_panic(kind in 1u8..12, bytes: Vec<u8>) {
            let kind = RecordKind::from_number(kind).unwrap();
            let _ = Record::decode(kind, bytes.into());
        }
    }
}
