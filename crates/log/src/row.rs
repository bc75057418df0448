//! The catalogue: one fixed-width row per record, the same bytes in the tail, in the hash chain and
//! in the footer of a sealed segment.

use bytes::Bytes;
use nexus_model::record::{
    EventRecord, InvocationRecord, Level, Meta, Record, RecordKind, Status, Trigger, input,
};

/// The size of a row in bytes.
pub(crate) const ROW_BYTES: usize = 80;
/// "No string": the record has none of this kind.
pub(crate) const NO_NAME: u16 = u16::MAX;
/// Strings in the table of one segment; a segment is closed early when it would need more.
pub(crate) const NAMES_MAX: usize = NO_NAME as usize;
/// Strings are kept up to this length in bytes; longer ones as a prefix and a hash.
pub(crate) const NAME_BYTES_MAX: usize = 255;
const NAME_PREFIX_BYTES: usize = 223;
/// The bit of `flags` that says that an attempt delivered a batch.
const BATCH: u8 = 1 << 5;

/// One row. The fields, little-endian:
///
/// ```text
///  0  id            16    48  project   u16    60  cause        u32  hash of an id
/// 16  time_ns      i64    50  name      u16    64  source       u32  hash
/// 24  duration_ns  u64    52  version   u16    68  subject      u32  hash
/// 32  trace id      16    54  http      u16    72  payload_len  u32
///                         56  kind      u8     76  key id       u32
///                         57  status    u8
///                         58  flags     u8
///                         59  attempt   u8
/// ```
///
/// Of an attempt to deliver a batch, bytes 64 to 71 say between which times its events came: the
/// latest in milliseconds before `time_ns` (i32), and by how much the earliest was before that (u32).
/// The ends of these types stand for anything beyond.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row(pub(crate) [u8; ROW_BYTES]);

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Row(kind {}, time {})", self.kind_number(), self.time_ns())
    }
}

/// The names of a record that the catalogue keeps in its string table.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Names<'a> {
    pub(crate) project: &'a str,
    pub(crate) name: &'a str,
    pub(crate) version: &'a [u8],
}

impl Row {
    fn u16_at(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.0[at], self.0[at + 1]])
    }

    fn u32_at(&self, at: usize) -> u32 {
        u32::from_le_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }

    fn u64_at(&self, at: usize) -> u64 {
        u64::from(self.u32_at(at)) | u64::from(self.u32_at(at + 4)) << 32
    }

    fn bytes_at(&self, at: usize) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.0[at..at + 16]);
        bytes
    }

    pub(crate) fn id(&self) -> [u8; 16] {
        self.bytes_at(0)
    }
    /// The milliseconds at the front of the id.
    pub(crate) fn id_ms(&self) -> u64 {
        id_ms(&self.id())
    }
    pub(crate) fn time_ns(&self) -> i64 {
        self.u64_at(16) as i64
    }
    pub(crate) fn duration_ns(&self) -> u64 {
        self.u64_at(24)
    }
    pub(crate) fn trace_id(&self) -> [u8; 16] {
        self.bytes_at(32)
    }
    pub(crate) fn project(&self) -> u16 {
        self.u16_at(48)
    }
    pub(crate) fn name(&self) -> u16 {
        self.u16_at(50)
    }
    pub(crate) fn version(&self) -> u16 {
        self.u16_at(52)
    }
    pub(crate) fn http_status(&self) -> u16 {
        self.u16_at(54)
    }
    pub(crate) fn kind_number(&self) -> u8 {
        self.0[56]
    }
    pub(crate) fn kind(&self) -> Option<RecordKind> {
        RecordKind::from_number(self.0[56])
    }
    pub(crate) fn status_number(&self) -> u8 {
        self.0[57]
    }
    pub(crate) fn status(&self) -> Status {
        Status::try_from(i32::from(self.0[57])).unwrap_or(Status::Unknown)
    }
    pub(crate) fn cold(&self) -> bool {
        self.0[58] & 1 != 0
    }
    pub(crate) fn trigger(&self) -> Trigger {
        Trigger::try_from(i32::from(self.0[58] >> 1 & 3)).unwrap_or(Trigger::Http)
    }
    pub(crate) fn level(&self) -> Level {
        Level::try_from(i32::from(self.0[58] >> 3 & 3)).unwrap_or(Level::None)
    }
    pub(crate) fn attempt(&self) -> u32 {
        u32::from(self.0[59])
    }
    pub(crate) fn cause(&self) -> u32 {
        self.u32_at(60)
    }
    pub(crate) fn source(&self) -> u32 {
        self.u32_at(64)
    }
    pub(crate) fn subject(&self) -> u32 {
        self.u32_at(68)
    }
    /// Between which times (milliseconds of ids) the events of a batch came; `None` where there is no
    /// batch. Rows of older builds say nothing of it.
    pub(crate) fn batch_ms(&self) -> Option<std::ops::RangeInclusive<u64>> {
        if self.0[58] & BATCH == 0 {
            return None;
        }
        let (late, span) = (self.u32_at(64) as i32, self.u32_at(68));
        let last = unix_ms(self.time_ns()).saturating_add_signed(-i64::from(late));
        let latest = if late == i32::MIN { u64::MAX } else { last };
        let open = late == i32::MAX || span == u32::MAX;
        let earliest = if open { 0 } else { last.saturating_sub(u64::from(span)) };
        Some(earliest..=latest)
    }

    /// Whether an event with an id of this time may have been in a batch of this attempt.
    pub(crate) fn may_have_delivered(&self, event_ms: u64) -> bool {
        self.batch_ms().is_some_and(|times| times.contains(&event_ms))
    }

    pub(crate) fn payload_len(&self) -> u32 {
        self.u32_at(72)
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Sets the indexes into the segment's string table.
    pub(crate) fn set_names(&mut self, project: u16, name: u16, version: u16) {
        self.put(48, &project.to_le_bytes());
        self.put(50, &name.to_le_bytes());
        self.put(52, &version.to_le_bytes());
    }

    pub(crate) fn set_payload_len(&mut self, length: u32) {
        self.put(72, &length.to_le_bytes());
    }

    /// The row of a record, without its names' indexes and its payload's length.
    pub(crate) fn of(record: &Record) -> Row {
        let mut row = Row([0; ROW_BYTES]);
        let id = record.id();
        if id.len() == 16 {
            row.put(0, id);
        }
        row.set_names(NO_NAME, NO_NAME, NO_NAME);
        row.0[56] = record.kind() as u8;
        match record {
            Record::Event(record) => row.fill_event(record),
            Record::Invocation(record) => row.fill_invocation(record),
            Record::Started(record) => {
                row.put(16, &record.started_ns.to_le_bytes());
                row.put(32, &trace_id(&record.meta));
                row.0[57] = Status::Running as u8;
                row.0[59] = record.attempt.min(255) as u8;
                row.put(60, &hash_of(&record.meta.cause_event).to_le_bytes());
                row.put_batch((&record.meta.cause_event, &record.batch), record.started_ns);
            }
            Record::Config(record) => row.put(16, &record.at_ns.to_le_bytes()),
            Record::Delivery(record) => {
                row.put(16, &record.at_ns.to_le_bytes());
                row.0[57] = record.decision.clamp(0, 255) as u8;
                row.0[59] = record.attempts.min(255) as u8;
                row.put(60, &hash_of(&record.event).to_le_bytes());
            }
            Record::Note(record) => row.put(16, &record.at_ns.to_le_bytes()),
            Record::Schedule(record) => {
                row.put(16, &record.received_ns.to_le_bytes());
                row.put(32, &trace_id(&record.meta));
                row.put(60, &hash_of(&record.meta.cause_invocation).to_le_bytes());
            }
            Record::Journal(record) => row.about(record.at_ns, &record.invocation),
            Record::Suspended(record) => {
                row.about(record.at_ns, &record.invocation);
                row.0[57] = Status::Suspended as u8;
            }
            Record::Signal(record) => row.about(record.at_ns, &record.invocation),
            Record::Progress(record) => row.about(record.at_ns, &record.invocation),
        }
        row
    }

    /// For records about an invocation that still runs.
    fn about(&mut self, at_ns: i64, invocation: &[u8]) {
        self.put(16, &at_ns.to_le_bytes());
        self.put(60, &hash_of(invocation).to_le_bytes());
    }

    fn fill_event(&mut self, record: &EventRecord) {
        self.put(16, &record.received_ns.to_le_bytes());
        self.put(32, &trace_id(&record.meta));
        self.put(60, &hash_of(&record.meta.cause_invocation).to_le_bytes());
        self.put(64, &hash_of(record.event.source.as_bytes()).to_le_bytes());
        let subject = record.event.subject.as_deref().unwrap_or("");
        self.put(68, &hash_of(subject.as_bytes()).to_le_bytes());
    }

    fn fill_invocation(&mut self, record: &InvocationRecord) {
        let duration_ns = match record.timings.total_ns {
            // Nothing ran.
            0 if !record.was_tried() => 0,
            0 => u64::try_from(record.ended_ns.saturating_sub(record.accepted_ns)).unwrap_or(0),
            total_ns => total_ns,
        };
        self.put(16, &record.accepted_ns.to_le_bytes());
        self.put(24, &duration_ns.to_le_bytes());
        self.put(32, &trace_id(&record.meta));
        let http = record.output.as_ref().map_or(0, |output| output.http_status);
        self.put(54, &u16::try_from(http).unwrap_or(0).to_le_bytes());
        self.0[57] = record.status.clamp(0, 255) as u8;
        self.0[58] = u8::from(!record.cold.is_empty())
            | (record.trigger.clamp(0, 3) as u8) << 1
            | (record.level.clamp(0, 3) as u8) << 3;
        self.0[59] = record.attempt.min(255) as u8;
        self.put(60, &hash_of(handled_event(record)).to_le_bytes());
        self.put_batch((&record.meta.cause_event, &record.batch), record.accepted_ns);
    }

    fn put_batch(&mut self, (first, others): (&[u8], &[Bytes]), at_ns: i64) {
        if others.is_empty() {
            return;
        }
        let ids = std::iter::once(first).chain(others.iter().map(|id| &id[..]));
        let times = ids.filter_map(|id| Some(id_ms(id.try_into().ok()?)));
        let (earliest, latest) =
            times.fold((u64::MAX, 0), |(low, high), ms| (low.min(ms), high.max(ms)));
        // The clock may have been set back in between: then it is negative.
        let late = unix_ms(at_ns).cast_signed().saturating_sub(latest.cast_signed());
        let late = late.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
        let span = u32::try_from(latest.saturating_sub(earliest)).unwrap_or(u32::MAX);
        self.0[58] |= BATCH;
        self.put(64, &late.to_le_bytes());
        self.put(68, &span.to_le_bytes());
    }
}

/// The event that an invocation handled; empty when it handled none of the log's.
pub(crate) fn handled_event(record: &InvocationRecord) -> &[u8] {
    match record.input.as_ref().and_then(|input| input.form.as_ref()) {
        Some(input::Form::EventRef(id)) if record.meta.cause_event.is_empty() => id,
        _ => &record.meta.cause_event,
    }
}

/// What of a record goes into the string table.
pub(crate) fn names(record: &Record) -> Names<'_> {
    let (name, version): (&str, &[u8]) = match record {
        Record::Event(record) => (&record.event.ty, &[]),
        Record::Invocation(record) => (&record.function, &record.version),
        Record::Started(record) => (&record.function, &record.version),
        Record::Config(record) => (&record.name, &[]),
        Record::Delivery(record) => (&record.function, &[]),
        Record::Note(record) => (&record.kind, &[]),
        Record::Schedule(record) => (&record.event.ty, &[]),
        Record::Signal(record) => (&record.name, &[]),
        Record::Journal(_) | Record::Suspended(_) | Record::Progress(_) => ("", &[]),
    };
    Names { project: record.project(), name, version }
}

/// The milliseconds at the front of an id.
pub(crate) fn id_ms(id: &[u8; 16]) -> u64 {
    u64::from_be_bytes([0, 0, id[0], id[1], id[2], id[3], id[4], id[5]])
}

fn unix_ms(ns: i64) -> u64 {
    u64::try_from(ns / 1_000_000).unwrap_or(0)
}

/// A short hash that stands for a value in rows: equal values have equal hashes, and a hit is
/// confirmed on the record. 0 stands for "none".
pub(crate) fn hash_of(bytes: &[u8]) -> u32 {
    if bytes.is_empty() { 0 } else { crc32c::crc32c(bytes).max(1) }
}

/// The form in which a name stands in the string table.
pub(crate) fn table_form(name: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    if name.len() <= NAME_BYTES_MAX {
        return name.into();
    }
    let hash = blake3::hash(name);
    let mut form = name[..NAME_PREFIX_BYTES].to_vec();
    form.extend_from_slice(&hash.to_hex().as_bytes()[..NAME_BYTES_MAX - NAME_PREFIX_BYTES]);
    form.into()
}

/// Whether a name of the table may begin with `prefix`. Never wrongly "no".
pub(crate) fn may_begin_with(form: &[u8], prefix: &[u8]) -> bool {
    if form.len() < NAME_BYTES_MAX {
        return form.starts_with(prefix);
    }
    let known = prefix.len().min(NAME_PREFIX_BYTES);
    form.starts_with(&prefix[..known])
}

fn trace_id(meta: &Meta) -> [u8; 16] {
    let mut id = [0; 16];
    let Some(digits) = meta.traceparent.as_bytes().get(3..35) else { return id };
    for (index, pair) in digits.chunks_exact(2).enumerate() {
        let (Some(high), Some(low)) = (hex(pair[0]), hex(pair[1])) else { return [0; 16] };
        id[index] = high << 4 | low;
    }
    id
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// A trace id as 32 hexadecimal digits; empty when there is none.
pub(crate) fn trace_text(id: &[u8; 16]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    if *id == [0; 16] {
        return String::new();
    }
    id.iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}
