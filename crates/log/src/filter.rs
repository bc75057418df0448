//! Filters as tests on catalogue rows: prepared once per query, translated once per segment.

use nexus_model::record::{EventRecord, InvocationRecord, RecordKind};
use nexus_model::{EventFilter, InvocationFilter, TimeRange, Timestamp};

use crate::row::{Row, handled_event, hash_of, id_ms, may_begin_with, table_form};
use crate::sealed::SealedSegment;
use crate::segment::Segment;
use crate::tail_segment::{Bounds, NameTable};

/// A test of rows. It never refuses a row that the filter accepts.
pub(crate) trait Test {
    /// Whether rows between these bounds may pass.
    fn may_have(&self, bounds: &Bounds) -> bool;

    /// The test for the rows of one segment; `None` when none of them can pass.
    fn for_segment<'a>(&'a self, segment: &Segment, names: &NameTable) -> Option<RowTest<'a>>;
}

/// A test with names translated to a segment's table.
pub(crate) struct RowTest<'a> {
    range: TimeRange,
    kind: RecordKind,
    project: Option<u16>,
    name: NameTest,
    more: More<'a>,
}

enum NameTest {
    Any,
    Exactly(u16),
    /// One flag per name of the table.
    OneOf(Vec<bool>),
}

impl NameTest {
    fn is(&self, name: u16) -> bool {
        match self {
            NameTest::Any => true,
            NameTest::Exactly(only) => name == *only,
            NameTest::OneOf(flags) => flags.get(usize::from(name)).copied().unwrap_or(false),
        }
    }
}

/// Conditions that need no translation.
enum More<'a> {
    Event(&'a EventTest<'a>),
    Invocation(&'a InvocationTest<'a>, Option<u16>),
}

impl RowTest<'_> {
    pub(crate) fn may_have(&self, bounds: &Bounds) -> bool {
        overlaps(&self.range, bounds)
    }

    pub(crate) fn row(&self, row: &Row) -> bool {
        row.kind_number() == self.kind as u8
            && self.project.is_none_or(|project| row.project() == project)
            && self.name.is(row.name())
            && self.range.contains(Timestamp::from_unix_ns(row.time_ns()))
            && match self.more {
                More::Event(test) => test.row(row),
                More::Invocation(test, version) => test.row(row, version),
            }
    }
}

pub(crate) fn overlaps(range: &TimeRange, bounds: &Bounds) -> bool {
    range.since.is_none_or(|since| since.unix_ns() <= bounds.time_max)
        && range.until.is_none_or(|until| bounds.time_min < until.unix_ns())
}

/// Whether everything between the bounds lies in the range.
fn covers(range: &TimeRange, bounds: &Bounds) -> bool {
    range.since.is_none_or(|since| since.unix_ns() <= bounds.time_min)
        && range.until.is_none_or(|until| bounds.time_max < until.unix_ns())
}

/// The index of a name in a table.
pub(crate) fn index_of(names: &NameTable, name: &[u8]) -> Option<u16> {
    let form = table_form(name);
    names.iter().position(|known| known[..] == *form).map(|index| index as u16)
}

/// `Some(None)` without a condition, `None` when the table lacks the name.
fn translate(names: &NameTable, name: Option<&[u8]>) -> Option<Option<u16>> {
    match name {
        None => Some(None),
        Some(name) => index_of(names, name).map(Some),
    }
}

/// An [`EventFilter`] ready for rows.
pub(crate) struct EventTest<'a> {
    filter: &'a EventFilter,
    source: Option<u32>,
    subject: Option<u32>,
    cause: Option<u32>,
}

impl<'a> EventTest<'a> {
    pub(crate) fn new(filter: &'a EventFilter) -> Self {
        let hash = |text: &Option<String>| text.as_ref().map(|text| hash_of(text.as_bytes()));
        EventTest {
            filter,
            source: hash(&filter.source),
            subject: hash(&filter.subject),
            cause: filter.cause.map(|id| hash_of(id.as_bytes())),
        }
    }

    fn row(&self, row: &Row) -> bool {
        self.source.is_none_or(|source| row.source() == source)
            && self.subject.is_none_or(|subject| row.subject() == subject)
            && self.cause.is_none_or(|cause| row.cause() == cause)
    }

    /// The number of hits in a sealed segment, where its summary can tell.
    pub(crate) fn count_from_summary(&self, sealed: &SealedSegment) -> Option<u64> {
        let filter = self.filter;
        let bounds = &sealed.bounds;
        if !overlaps(&filter.range, bounds) {
            return Some(0);
        }
        let only_names = self.source.is_none() && self.subject.is_none() && self.cause.is_none();
        if !only_names || !covers(&filter.range, bounds) {
            return None;
        }
        let names = &sealed.names;
        let project = translate(names, filter.project.as_deref().map(str::as_bytes));
        let (Some(project), Some(name)) = (project, self.name_test(names)) else { return Some(0) };
        let hits = sealed.footer.counts.iter().filter(|entry| {
            entry.kind == RecordKind::Event as u32
                && project.is_none_or(|project| entry.project == u32::from(project))
                && u16::try_from(entry.name).is_ok_and(|at| name.is(at))
        });
        Some(hits.map(|entry| entry.count).sum())
    }

    fn name_test(&self, names: &NameTable) -> Option<NameTest> {
        let Some(ty) = &self.filter.ty else { return Some(NameTest::Any) };
        let Some(prefix) = ty.strip_suffix('*') else {
            return index_of(names, ty.as_bytes()).map(NameTest::Exactly);
        };
        let begins = |name: &std::sync::Arc<[u8]>| may_begin_with(name, prefix.as_bytes());
        let flags: Vec<bool> = names.iter().map(begins).collect();
        flags.contains(&true).then_some(NameTest::OneOf(flags))
    }
}

impl Test for EventTest<'_> {
    fn may_have(&self, bounds: &Bounds) -> bool {
        overlaps(&self.filter.range, bounds)
    }

    fn for_segment<'a>(&'a self, _: &Segment, names: &NameTable) -> Option<RowTest<'a>> {
        let project = self.filter.project.as_deref().map(str::as_bytes);
        Some(RowTest {
            range: self.filter.range,
            kind: RecordKind::Event,
            project: translate(names, project)?,
            name: self.name_test(names)?,
            more: More::Event(self),
        })
    }
}

/// Whether the record of a row that passed is meant by the filter.
pub(crate) fn event_matches(filter: &EventFilter, record: &EventRecord) -> bool {
    let ty = match &filter.ty {
        None => true,
        Some(ty) => match ty.strip_suffix('*') {
            Some(prefix) => record.event.ty.starts_with(prefix),
            None => record.event.ty == *ty,
        },
    };
    ty && filter.project.as_ref().is_none_or(|project| record.meta.project == *project)
        && filter.range.contains(Timestamp::from_unix_ns(record.received_ns))
        && filter.source.as_ref().is_none_or(|source| record.event.source == *source)
        && filter
            .subject
            .as_ref()
            .is_none_or(|subject| record.event.subject.as_ref() == Some(subject))
        && filter.cause.is_none_or(|cause| record.meta.cause_invocation[..] == cause.as_bytes()[..])
}

/// An [`InvocationFilter`] ready for rows.
pub(crate) struct InvocationTest<'a> {
    filter: &'a InvocationFilter,
    /// One bit per status; all set without a condition.
    statuses: u32,
    /// The hash of the event's id and its time.
    event: Option<(u32, u64)>,
}

impl<'a> InvocationTest<'a> {
    pub(crate) fn new(filter: &'a InvocationFilter) -> Self {
        let statuses = match &filter.statuses[..] {
            [] => u32::MAX,
            some => some.iter().fold(0, |bits, status| bits | 1 << (*status as u32)),
        };
        let event = filter.event.map(|id| (hash_of(id.as_bytes()), id_ms(id.as_bytes())));
        InvocationTest { filter, statuses, event }
    }

    fn has_status(&self, status: u8) -> bool {
        self.statuses >> u32::from(status).min(31) & 1 != 0
    }

    fn row(&self, row: &Row, version: Option<u16>) -> bool {
        self.has_status(row.status_number())
            && version.is_none_or(|version| row.version() == version)
            && self.filter.duration_ns_min.is_none_or(|min| row.duration_ns() >= min)
            && self.filter.duration_ns_max.is_none_or(|max| row.duration_ns() <= max)
            && self.filter.cold.is_none_or(|cold| row.cold() == cold)
            && self.filter.trace.is_none_or(|trace| row.trace_id() == trace)
            && (self.filter.triggers.is_empty() || self.filter.triggers.contains(&row.trigger()))
            && self.event.is_none_or(|(hash, ms)| row.cause() == hash || row.may_have_delivered(ms))
    }

    /// The number of hits in a sealed segment, where its summary can tell.
    pub(crate) fn count_from_summary(&self, sealed: &SealedSegment) -> Option<u64> {
        let filter = self.filter;
        let bounds = &sealed.bounds;
        if !overlaps(&filter.range, bounds) {
            return Some(0);
        }
        let summarised = filter.version.is_none()
            && filter.duration_ns_min.is_none()
            && filter.duration_ns_max.is_none()
            && filter.cold.is_none()
            && filter.trace.is_none()
            && filter.triggers.is_empty()
            && filter.event.is_none();
        if !summarised || !covers(&filter.range, bounds) {
            return None;
        }
        let names = &sealed.names;
        let project = translate(names, filter.project.as_deref().map(str::as_bytes));
        let function = translate(names, filter.function.as_deref().map(str::as_bytes));
        let (Some(project), Some(function)) = (project, function) else { return Some(0) };
        let hits = sealed.footer.counts.iter().filter(|entry| {
            entry.kind == RecordKind::Invocation as u32
                && project.is_none_or(|project| entry.project == u32::from(project))
                && function.is_none_or(|function| entry.name == u32::from(function))
                && u8::try_from(entry.status).is_ok_and(|status| self.has_status(status))
        });
        Some(hits.map(|entry| entry.count).sum())
    }
}

impl Test for InvocationTest<'_> {
    fn may_have(&self, bounds: &Bounds) -> bool {
        overlaps(&self.filter.range, bounds)
    }

    fn for_segment<'a>(&'a self, segment: &Segment, names: &NameTable) -> Option<RowTest<'a>> {
        let filter = self.filter;
        if let Segment::Sealed(sealed) = segment
            && self.count_from_summary(sealed) == Some(0)
        {
            return None;
        }
        let version = filter.version.as_ref().map(|version| &version.as_bytes()[..]);
        let name = match translate(names, filter.function.as_deref().map(str::as_bytes))? {
            None => NameTest::Any,
            Some(index) => NameTest::Exactly(index),
        };
        Some(RowTest {
            range: filter.range,
            kind: RecordKind::Invocation,
            project: translate(names, filter.project.as_deref().map(str::as_bytes))?,
            name,
            more: More::Invocation(self, translate(names, version)?),
        })
    }
}

/// Whether an invocation handled the filter's event, alone or in a batch.
pub(crate) fn invocation_matches(filter: &InvocationFilter, record: &InvocationRecord) -> bool {
    filter.event.is_none_or(|event| {
        let own = event.as_bytes();
        handled_event(record) == own || record.batch.iter().any(|id| id[..] == own[..])
    })
}
