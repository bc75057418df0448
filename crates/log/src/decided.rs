//! What became of an event: the decisions about its deliveries, and the event that a schedule became.
//!
//! Decisions come after what they are about, so both are one pass forward over rows, from the moment
//! that the id says. A row holds a hash of the event; of sealed segments those without a decision are
//! passed over by their summaries.

use nexus_model::record::{DeliveryRecord, EventRecord, Record, RecordKind, ScheduleRecord};

use crate::filter::index_of;
use crate::query::{Go, decode};
use crate::recover::position;
use crate::row::{hash_of, id_ms};
use crate::segment::Segment;
use crate::tail_segment::{PAGE_ROWS, Placed};
use crate::{Error, Position};

/// Decisions about one event that are found: each redrive of a dead letter makes one or two.
const FOUND_MAX: usize = 1_000;

/// What [`Log::decisions`](crate::Log::decisions) found.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Decisions {
    /// In the order of the log, each with its place. An event that follows from one stands right
    /// before it.
    pub records: Vec<(Position, DeliveryRecord)>,
    /// A limit was reached before the end of the log: there may be more.
    pub cut: bool,
}

/// The decisions about an event or a schedule.
pub(crate) fn decisions(
    segments: &[Segment],
    id: [u8; 16],
    rows_max: u64,
) -> Result<Decisions, Error> {
    let mut found = Decisions::default();
    let kind = RecordKind::Delivery;
    let has_some = |segment: &Segment| match segment {
        Segment::Sealed(sealed) => {
            let mut counts = sealed.footer.counts.iter();
            counts.any(|entry| entry.kind == kind as u32).then_some(())
        }
        Segment::Tail(_) => Some(()),
    };
    let hash = hash_of(&id);
    let pass = Pass { since_ms: id_ms(&id), rows_max };
    found.cut = pass.each(segments, has_some, |segment, (), placed, sequence| {
        if placed.row.kind_number() != kind as u8 || placed.row.cause() != hash {
            return Ok(Go::On);
        }
        let record = decode(&placed.row, segment.payload(placed)?, sequence)?;
        if let Record::Delivery(record) = record
            && record.event[..] == id
        {
            if found.records.len() == FOUND_MAX {
                return Ok(Go::Enough);
            }
            found.records.push((position(sequence), record));
        }
        Ok(Go::On)
    })?;
    Ok(found)
}

/// The event that a schedule became, at its time or when the server was there again.
pub(crate) fn happened(
    segments: &[Segment],
    schedule: &ScheduleRecord,
    rows_max: u64,
) -> Result<Option<EventRecord>, Error> {
    let mut found = None;
    let (project, ty) = (schedule.meta.project.as_bytes(), schedule.event.ty.as_bytes());
    let source = hash_of(schedule.event.source.as_bytes());
    let since_ns = schedule.due_ns.max(schedule.received_ns);
    let since_ms = u64::try_from(since_ns / 1_000_000).unwrap_or(0);
    let names = |segment: &Segment| {
        let names = segment.names();
        Some((index_of(&names, project)?, index_of(&names, ty)?))
    };
    Pass { since_ms, rows_max }.each(segments, names, |segment, names, placed, sequence| {
        let row = &placed.row;
        let meant = row.kind_number() == RecordKind::Event as u8
            && row.source() == source
            && (row.project(), row.name()) == *names;
        if !meant {
            return Ok(Go::On);
        }
        let record = decode(row, segment.payload(placed)?, sequence)?;
        if let Record::Event(record) = record
            && record.schedule == schedule.id
        {
            found = Some(record);
            return Ok(Go::Enough);
        }
        Ok(Go::On)
    })?;
    Ok(found)
}

/// A pass forward over the rows of segments.
struct Pass {
    /// Rows whose ids are older are not wanted.
    since_ms: u64,
    /// Rows that are looked at.
    rows_max: u64,
}

impl Pass {
    /// Shows the rows of segments of which `translate` makes something to `visit`, until that has
    /// enough or a limit is reached: then `true`.
    fn each<T>(
        &self,
        segments: &[Segment],
        translate: impl Fn(&Segment) -> Option<T>,
        mut visit: impl FnMut(&Segment, &T, &Placed, u64) -> Result<Go, Error>,
    ) -> Result<bool, Error> {
        let mut rows = 0;
        for segment in segments {
            if segment.bounds().id_ms_max < self.since_ms {
                continue;
            }
            let Some(translated) = translate(segment) else { continue };
            for number in 0..segment.page_count() {
                let bounds = segment.page_bounds(number);
                if bounds.is_some_and(|bounds| bounds.id_ms_max < self.since_ms) {
                    continue;
                }
                if rows >= self.rows_max {
                    return Ok(true);
                }
                let first = segment.first_sequence() + (number * PAGE_ROWS) as u64;
                let page = segment.page(number)?;
                rows += page.len() as u64;
                for (index, placed) in page.iter().enumerate() {
                    if let Go::Enough = visit(segment, &translated, placed, first + index as u64)? {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }
}
