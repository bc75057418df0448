//! Reading many records: page by page for searches that look into payloads, and forward for what an
//! event or invocation led to.

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use nexus_model::record::{EventRecord, InvocationRecord, Record, RecordKind};
use nexus_model::{Cursor, EventFilter, InvocationFilter};

use crate::Error;
use crate::filter::{EventTest, InvocationTest, Test, event_matches, invocation_matches};
use crate::query::{Go, decode, walk};
use crate::recover::position;
use crate::row::{Row, handled_event, hash_of, id_ms};
use crate::segment::Segment;
use crate::tail_segment::Placed;

/// Records with their places, newest first.
#[derive(Clone, PartialEq, Debug)]
pub struct Scanned<T> {
    /// Each with the cursor behind it.
    pub items: Vec<(Cursor, T)>,
    /// Whether there are older ones.
    pub more: bool,
}

/// Up to `limit` whole records of events that pass.
pub(crate) fn events(
    segments: &[Segment],
    filter: &EventFilter,
    (cursor, limit): (Option<Cursor>, usize),
) -> Result<Scanned<EventRecord>, Error> {
    scan(segments, &EventTest::new(filter), (cursor, limit), |record| match record {
        Record::Event(record) if event_matches(filter, &record) => Some(record),
        _ => None,
    })
}

/// Up to `limit` whole records of invocations that pass.
pub(crate) fn invocations(
    segments: &[Segment],
    filter: &InvocationFilter,
    (cursor, limit): (Option<Cursor>, usize),
) -> Result<Scanned<InvocationRecord>, Error> {
    scan(segments, &InvocationTest::new(filter), (cursor, limit), |record| match record {
        Record::Invocation(record) if invocation_matches(filter, &record) => Some(*record),
        _ => None,
    })
}

fn scan<T>(
    segments: &[Segment],
    test: &dyn Test,
    (cursor, limit): (Option<Cursor>, usize),
    wanted: impl Fn(Record) -> Option<T>,
) -> Result<Scanned<T>, Error> {
    let mut scanned = Scanned { items: Vec::new(), more: false };
    walk(segments, cursor)?.each(test, |segment, _, placed, sequence| {
        if scanned.items.len() == limit {
            scanned.more = true;
            return Ok(Go::Enough);
        }
        let record = decode(&placed.row, segment.payload(placed)?, sequence)?;
        scanned.items.extend(wanted(record).map(|at| (position(sequence).cursor(), at)));
        Ok(Go::On)
    })?;
    Ok(scanned)
}

/// How far [`Log::effects`](crate::Log::effects) looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EffectLimits {
    /// Steps from an event to its invocations or from an invocation to its events.
    pub depth: u32,
    /// Events and invocations together.
    pub nodes: usize,
    /// Rows that are looked at.
    pub rows: u64,
    /// Records that are read because their rows may be meant.
    pub reads: u64,
}

/// What [`Log::effects`](crate::Log::effects) found.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Effects {
    /// In the order of the log, each with its distance from the beginning. Invocations that began and
    /// have not ended are [`Record::Started`].
    pub records: Vec<(u32, Record)>,
    /// The limit that cut it off, if one did.
    pub cut: Option<EffectLimit>,
}

/// A limit of [`EffectLimits`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EffectLimit {
    /// [`EffectLimits::depth`].
    Depth,
    /// [`EffectLimits::nodes`].
    Nodes,
    /// [`EffectLimits::rows`] or [`EffectLimits::reads`].
    Rows,
}

/// Where [`Log::effects`](crate::Log::effects) begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The id of the event or invocation.
    pub id: [u8; 16],
    /// Its W3C trace id; zeros for none. Calls from function to function are found by it.
    pub trace: [u8; 16],
}

/// What an event or invocation led to, over any number of steps: one pass forward from where it was
/// accepted. Effects come after their causes: events after the `started` record of the invocation
/// that emitted them, or after its id was given.
pub(crate) fn effects(
    segments: &[Segment],
    origin: Origin,
    limits: EffectLimits,
) -> Result<Effects, Error> {
    let mut pass = Pass {
        limits,
        trace: origin.trace,
        depths: HashMap::from([(origin.id, 0)]),
        hashes: HashSet::from([hash_of(&origin.id)]),
        times: BTreeSet::from([id_ms(&origin.id)]),
        places: HashMap::new(),
        found: Effects::default(),
        rows: 0,
        reads: 0,
    };
    let begin = id_ms(&origin.id);
    for segment in segments {
        if segment.bounds().id_ms_max < begin {
            continue;
        }
        for number in 0..segment.page_count() {
            if segment.page_bounds(number).is_some_and(|bounds| bounds.id_ms_max < begin) {
                continue;
            }
            let first = segment.first_sequence() + (number * crate::tail_segment::PAGE_ROWS) as u64;
            for (index, placed) in segment.page(number)?.iter().enumerate() {
                if !pass.may_be_meant(&placed.row) {
                    continue;
                }
                if let Go::Enough = pass.read(segment, placed, first + index as u64)? {
                    return Ok(pass.found);
                }
            }
            if pass.rows > limits.rows {
                pass.found.cut = Some(EffectLimit::Rows);
                return Ok(pass.found);
            }
        }
    }
    Ok(pass.found)
}

struct Pass {
    limits: EffectLimits,
    trace: [u8; 16],
    /// What is known, with its distance from the beginning.
    depths: HashMap<[u8; 16], u32>,
    hashes: HashSet<u32>,
    /// The times of the ids: batches say between which times their events came.
    times: BTreeSet<u64>,
    /// Where invocations that began lie in what was found: their end takes their place.
    places: HashMap<[u8; 16], usize>,
    found: Effects,
    rows: u64,
    reads: u64,
}

impl Pass {
    fn may_be_meant(&mut self, row: &Row) -> bool {
        self.rows += 1;
        let kinds = [RecordKind::Event, RecordKind::Started, RecordKind::Invocation];
        if !kinds.iter().any(|kind| row.kind_number() == *kind as u8) {
            return false;
        }
        (row.cause() != 0 && self.hashes.contains(&row.cause()))
            || row.batch_ms().is_some_and(|times| self.times.range(times).next().is_some())
            || (self.trace != [0; 16] && row.trace_id() == self.trace)
    }

    fn read(&mut self, segment: &Segment, placed: &Placed, sequence: u64) -> Result<Go, Error> {
        self.reads += 1;
        if self.reads > self.limits.reads {
            self.found.cut = Some(EffectLimit::Rows);
            return Ok(Go::Enough);
        }
        let record = decode(&placed.row, segment.payload(placed)?, sequence)?;
        let id = placed.row.id();
        let Some(depth) = self.depth(&record).filter(|_| self.depths.get(&id) != Some(&0)) else {
            return Ok(Go::On);
        };
        if depth > self.limits.depth {
            self.found.cut = Some(EffectLimit::Depth);
            return Ok(Go::On);
        }
        if let Some(place) = self.places.get(&id) {
            self.found.records[*place] = (depth, record);
            return Ok(Go::On);
        }
        if self.found.records.len() >= self.limits.nodes {
            self.found.cut = Some(EffectLimit::Nodes);
            return Ok(Go::Enough);
        }
        self.depths.insert(id, depth);
        self.hashes.insert(hash_of(&id));
        self.times.insert(id_ms(&id));
        self.places.insert(id, self.found.records.len());
        self.found.records.push((depth, record));
        Ok(Go::On)
    }

    /// How far a record is from the beginning; `None` when nothing known led to it.
    fn depth(&self, record: &Record) -> Option<u32> {
        let known = |id: &[u8]| self.depths.get(<&[u8; 16]>::try_from(id).ok()?);
        let first_known = |batch: &[Bytes]| batch.iter().find_map(|id| known(id));
        let cause = match record {
            Record::Event(event) => {
                known(&event.meta.cause_invocation).or_else(|| known(&event.meta.cause_event))
            }
            Record::Started(started) => known(&started.meta.cause_event)
                .or_else(|| known(&started.meta.cause_invocation))
                .or_else(|| first_known(&started.batch)),
            Record::Invocation(ended) => known(handled_event(ended))
                .or_else(|| known(&ended.meta.cause_invocation))
                .or_else(|| first_known(&ended.batch)),
            _ => None,
        };
        cause.map(|depth| depth + 1)
    }
}
