//! Reading: forward by position, by id, and lists that walk the catalogues from the newest record.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use nexus_model::record::{EventRecord, Record, RecordKind, Trigger};
use nexus_model::view::InvocationRow;
use nexus_model::{
    Cursor, CursorError, EventFilter, InvocationFilter, InvocationId, Page, Timestamp, VersionId,
};

use crate::filter::{EventTest, InvocationTest, Test, event_matches, invocation_matches};
use crate::recover::position;
use crate::row::{Row, id_ms, trace_text};
use crate::segment::{Found, Limits, Segment};
use crate::shared::Shared;
use crate::tail_segment::{NameTable, PAGE_ROWS, Placed};
use crate::{Entry, Error};

/// Payload bytes that one forward read returns, about.
const READ_BYTES_MAX: u64 = 4 << 20;

/// Runs what may wait for the disk where waiting is allowed.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down.
        Err(_) => Err(Error::Closed),
    }
}

/// Durable records after `after` whose rows pass `wanted`, and the sequence up to which rows were
/// looked at: at most `max`, wanted or not.
pub(crate) async fn read_from(
    shared: Arc<Shared>,
    (after, max): (u64, usize),
    wanted: fn(&Row) -> bool,
) -> Result<(Vec<Entry>, u64), Error> {
    let segments = shared.segments();
    let durable = *shared.durable.borrow();
    let first = segments.first().map_or(1, Segment::first_sequence);
    if after + 1 < first {
        return Err(Error::Retained { first });
    }
    if after >= durable || max == 0 {
        return Ok((Vec::new(), after));
    }
    let index =
        segments.partition_point(|segment| segment.first_sequence() <= after + 1).max(1) - 1;
    // What was written just now lies in the page cache: going through another thread would cost more
    // than reading it.
    if matches!(&segments[index], Segment::Tail(_)) {
        return read_entries(&segments[index..], (after, max), wanted);
    }
    blocking(move || read_entries(&segments[index..], (after, max), wanted)).await
}

fn read_entries(
    segments: &[Segment],
    (after, max): (u64, usize),
    wanted: fn(&Row) -> bool,
) -> Result<(Vec<Entry>, u64), Error> {
    let mut entries = Vec::new();
    let mut next = after + 1;
    for segment in segments {
        let at = (next - segment.first_sequence()) as usize;
        let limits = Limits { rows: max, bytes: READ_BYTES_MAX };
        let Found { looked_at, found } = segment.rows_from(at, limits, wanted)?;
        for (index, placed, payload) in found {
            let sequence = segment.first_sequence() + index as u64;
            let record = decode(&placed.row, payload, sequence)?;
            entries.push(Entry { position: position(sequence), record });
        }
        next += looked_at as u64;
        if next > after + 1 {
            break;
        }
    }
    Ok((entries, next - 1))
}

/// Whether a record is about work: all but the records of calls that somebody waited for and that
/// no event led to. Most records of a busy server are such calls.
pub(crate) fn is_work(row: &Row) -> bool {
    row.kind() != Some(RecordKind::Invocation) || row.cause() != 0
}

/// Whether a record is an event.
pub(crate) fn is_event(row: &Row) -> bool {
    row.kind() == Some(RecordKind::Event)
}

/// A record of a known kind.
pub(crate) fn decode(row: &Row, payload: Bytes, sequence: u64) -> Result<Record, Error> {
    let kind = row.kind().unwrap_or(RecordKind::Note);
    Record::decode(kind, payload)
        .map_err(|source| Error::Record { sequence, source: Arc::new(source) })
}

/// Like [`find`], on a thread that may wait for the disk where that is needed. What was written
/// just now lies in memory and in the page cache: going through another thread would cost more than
/// reading it.
pub(crate) async fn newest(
    segments: Arc<Vec<Segment>>,
    id: [u8; 16],
    kind: RecordKind,
) -> Result<Option<Record>, Error> {
    let sealed = segments.iter().rposition(|segment| matches!(segment, Segment::Sealed(_)));
    let tails = sealed.map_or(0, |last| last + 1);
    let found = find(&segments[tails..], &id, kind)?;
    if found.is_some() || tails == 0 {
        return Ok(found);
    }
    blocking(move || find(&segments[..tails], &id, kind)).await
}

/// The newest record of this kind and id. Pages whose ids are of other times are not read.
pub(crate) fn find(
    segments: &[Segment],
    id: &[u8; 16],
    kind: RecordKind,
) -> Result<Option<Record>, Error> {
    let ms = id_ms(id);
    for segment in segments.iter().rev().filter(|segment| segment.bounds().has_id_ms(ms)) {
        if let Segment::Tail(tail) = segment {
            let Some((index, placed)) = tail.newest(id, kind as u8) else { continue };
            let sequence = segment.first_sequence() + index as u64;
            return decode(&placed.row, segment.payload(&placed)?, sequence).map(Some);
        }
        for number in (0..segment.page_count()).rev() {
            if segment.page_bounds(number).is_some_and(|bounds| !bounds.has_id_ms(ms)) {
                continue;
            }
            let page = segment.page(number)?;
            let hit = page.iter().rposition(|placed| {
                placed.row.0[..16] == *id && placed.row.kind_number() == kind as u8
            });
            if let Some(index) = hit {
                let sequence = segment.first_sequence() + (number * PAGE_ROWS + index) as u64;
                let payload = segment.payload(&page[index])?;
                return decode(&page[index].row, payload, sequence).map(Some);
            }
        }
    }
    Ok(None)
}

/// A list that is being walked, newest first.
pub(crate) struct Walk<'a> {
    segments: &'a [Segment],
    /// Records at and after this sequence were on earlier pages.
    before: u64,
}

/// What a visitor of a walk wants.
pub(crate) enum Go {
    On,
    Enough,
}

impl Walk<'_> {
    /// Shows every row that passes the test to `visit`, with its segment and sequence.
    pub(crate) fn each(
        &self,
        test: &dyn Test,
        mut visit: impl FnMut(&Segment, &NameTable, &Placed, u64) -> Result<Go, Error>,
    ) -> Result<(), Error> {
        for segment in self.segments.iter().rev() {
            let first = segment.first_sequence();
            if first >= self.before || !test.may_have(&segment.bounds()) {
                continue;
            }
            let names = segment.names();
            let Some(test) = test.for_segment(segment, &names) else { continue };
            let rows = (segment.len() as u64).min(self.before - first) as usize;
            for number in (0..rows.div_ceil(PAGE_ROWS)).rev() {
                if segment.page_bounds(number).is_some_and(|bounds| !test.may_have(&bounds)) {
                    continue;
                }
                let page = segment.page(number)?;
                let start = number * PAGE_ROWS;
                for index in (0..page.len().min(rows - start)).rev() {
                    let placed = &page[index];
                    if test.row(&placed.row) {
                        let sequence = first + (start + index) as u64;
                        if let Go::Enough = visit(segment, &names, placed, sequence)? {
                            return Ok(());
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn walk<'a>(segments: &'a [Segment], cursor: Option<Cursor>) -> Result<Walk<'a>, Error> {
    let first = segments.first().map_or(1, Segment::first_sequence);
    match cursor {
        Some(cursor) if cursor.sequence < first => {
            Err(Error::CursorExpired { cursor, source: CursorError::Expired })
        }
        Some(cursor) => Ok(Walk { segments, before: cursor.sequence }),
        None => Ok(Walk { segments, before: u64::MAX }),
    }
}

/// Collects up to `limit` items and where the next page begins.
struct Collector<T> {
    items: Vec<T>,
    limit: usize,
    last: u64,
    more: bool,
}

impl<T> Collector<T> {
    fn new(limit: usize) -> Self {
        Collector { items: Vec::new(), limit: limit.max(1), last: 0, more: false }
    }

    /// Takes an item, unless the page is full: then there is a next page.
    fn take(&mut self, sequence: u64, item: impl FnOnce() -> Option<T>) -> Go {
        if self.items.len() == self.limit {
            self.more = true;
            return Go::Enough;
        }
        if let Some(item) = item() {
            self.items.push(item);
            self.last = sequence;
        }
        Go::On
    }

    fn page(self) -> Page<T> {
        let next = self.more.then(|| position(self.last).cursor().to_string());
        Page { items: self.items, next }
    }
}

/// A page of events.
pub(crate) fn events(
    segments: &[Segment],
    filter: &EventFilter,
    cursor: Option<Cursor>,
    limit: usize,
) -> Result<Page<EventRecord>, Error> {
    let test = EventTest::new(filter);
    let mut collector = Collector::new(limit);
    walk(segments, cursor)?.each(&test, |segment, _, placed, sequence| {
        if collector.items.len() == collector.limit {
            return Ok(collector.take(sequence, || None));
        }
        let record = decode(&placed.row, segment.payload(placed)?, sequence)?;
        // Rows hold hashes of some conditions; the record has the last word.
        Ok(collector.take(sequence, || match record {
            Record::Event(event) if event_matches(filter, &event) => Some(event),
            _ => None,
        }))
    })?;
    Ok(collector.page())
}

/// A page of invocation rows.
pub(crate) fn invocations(
    segments: &[Segment],
    filter: &InvocationFilter,
    cursor: Option<Cursor>,
    limit: usize,
) -> Result<Page<InvocationRow>, Error> {
    let test = InvocationTest::new(filter);
    let mut collector = Collector::new(limit);
    walk(segments, cursor)?.each(&test, |segment, names, placed, sequence| {
        if filter.event.is_some() && !handled(segment, filter, placed, sequence)? {
            return Ok(Go::On);
        }
        Ok(collector.take(sequence, || Some(invocation_row(&placed.row, names))))
    })?;
    Ok(collector.page())
}

/// Of each of these functions the newest invocation that such a trigger set off, as far as the newest
/// `rows_max` invocations of the project tell.
pub(crate) fn newest_calls(
    segments: &[Segment],
    project: &str,
    mut wanted: HashSet<(String, Trigger)>,
    rows_max: usize,
) -> Result<Vec<InvocationRow>, Error> {
    let filter = InvocationFilter { project: Some(project.to_owned()), ..Default::default() };
    let test = InvocationTest::new(&filter);
    let (mut found, mut rows) = (Vec::new(), 0);
    walk(segments, None)?.each(&test, |_, names, placed, _| {
        rows += 1;
        if wanted.is_empty() || rows > rows_max {
            return Ok(Go::Enough);
        }
        let called = (text(names, placed.row.name()), placed.row.trigger());
        if wanted.remove(&called) {
            found.push(invocation_row(&placed.row, names));
        }
        Ok(Go::On)
    })?;
    Ok(found)
}

/// Whether the invocation handled the event of the filter: the row has a hash of it only.
fn handled(
    segment: &Segment,
    filter: &InvocationFilter,
    placed: &Placed,
    sequence: u64,
) -> Result<bool, Error> {
    let record = decode(&placed.row, segment.payload(placed)?, sequence)?;
    Ok(matches!(record, Record::Invocation(record) if invocation_matches(filter, &record)))
}

/// How many invocations match. Segments that lie wholly in the time range are counted from their
/// summaries where the filter asks for nothing else that the summary does not have.
pub(crate) fn count_invocations(
    segments: &[Segment],
    filter: &InvocationFilter,
) -> Result<u64, Error> {
    let test = InvocationTest::new(filter);
    let mut count = 0;
    for segment in segments {
        if let Segment::Sealed(sealed) = segment
            && let Some(counted) = test.count_from_summary(sealed)
        {
            count += counted;
            continue;
        }
        let one = std::slice::from_ref(segment);
        Walk { segments: one, before: u64::MAX }.each(&test, |segment, _, placed, sequence| {
            let hit = filter.event.is_none() || handled(segment, filter, placed, sequence)?;
            count += u64::from(hit);
            Ok(Go::On)
        })?;
    }
    Ok(count)
}

/// How many events match. Sources, subjects and causes are compared by the hashes in the rows.
pub(crate) fn count_events(segments: &[Segment], filter: &EventFilter) -> Result<u64, Error> {
    let test = EventTest::new(filter);
    let mut count = 0;
    for segment in segments {
        if let Segment::Sealed(sealed) = segment
            && let Some(counted) = test.count_from_summary(sealed)
        {
            count += counted;
            continue;
        }
        let one = std::slice::from_ref(segment);
        Walk { segments: one, before: u64::MAX }.each(&test, |_, _, _, _| {
            count += 1;
            Ok(Go::On)
        })?;
    }
    Ok(count)
}

fn text(names: &NameTable, index: u16) -> String {
    names
        .get(usize::from(index))
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .unwrap_or_default()
}

fn invocation_row(row: &Row, names: &NameTable) -> InvocationRow {
    let version = names.get(usize::from(row.version()));
    InvocationRow {
        id: InvocationId::from_bytes(row.id()),
        project: text(names, row.project()),
        function: text(names, row.name()),
        version: version.and_then(|version| VersionId::try_from(&version[..]).ok()),
        trigger: row.trigger(),
        status: row.status(),
        http_status: Some(row.http_status()).filter(|status| *status != 0),
        attempt: row.attempt(),
        accepted: Timestamp::from_unix_ns(row.time_ns()),
        duration_ns: row.duration_ns(),
        cold: row.cold(),
        level: row.level(),
        trace_id: trace_text(&row.trace_id()),
    }
}
