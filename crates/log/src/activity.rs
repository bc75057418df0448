//! How much ran in a stretch of time, how it ended and how long it took: counted from catalogue rows
//! alone.

use std::collections::HashMap;
use std::sync::Arc;

use nexus_model::record::{RecordKind, Status};
use nexus_model::{TimeRange, Timestamp};

use crate::Error;
use crate::filter::{index_of, overlaps};
use crate::row::Row;
use crate::segment::Segment;
use crate::tail_segment::NameTable;

/// Durations below this are not told apart, as a power of two: about 1 µs.
const SHORTEST_BITS: u32 = 10;
/// How finely durations are told apart, as a power of two: 32 steps from one doubling to the next.
const STEP_BITS: u32 = 5;
/// Threads that count together.
const THREADS_MAX: usize = 4;
/// Statuses that rows can have; others count as unknown.
const STATUSES: usize = 16;

/// Which activity.
#[derive(Clone, PartialEq, Debug)]
pub struct ActivityQuery {
    /// The project; `None` for all.
    pub project: Option<String>,
    /// The function; `None` for all. Events are counted only then.
    pub function: Option<String>,
    /// The first moment.
    pub since: Timestamp,
    /// The moment after the last.
    pub until: Timestamp,
    /// Into how many equal stretches the time is cut; at least 1.
    pub buckets: usize,
}

/// What happened in a stretch of time.
#[derive(Clone, Default, Debug)]
pub struct Activity {
    /// The length of each stretch, in nanoseconds.
    pub bucket_ns: u64,
    /// The stretches, the first one first.
    pub buckets: Vec<ActivityBucket>,
    /// Everything together.
    pub total: Tally,
    /// For each function that ran: project, name, and what it did. In no order.
    pub functions: Vec<(String, String, Tally)>,
}

/// One stretch.
#[derive(Clone, Default, Debug)]
pub struct ActivityBucket {
    /// Invocations that were accepted in it.
    pub calls: Tally,
    /// Events that were accepted in it.
    pub events: u64,
}

/// A number of invocations.
#[derive(Clone, Default, Debug)]
pub struct Tally {
    by_status: [u64; STATUSES],
    /// Those whose code had to be loaded first.
    pub cold: u64,
    /// The longest, in nanoseconds.
    pub duration_ns_max: u64,
    durations: Histogram,
}

impl Tally {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.by_status.iter().sum()
    }

    /// How many ended so.
    pub fn of(&self, status: Status) -> u64 {
        self.by_status.get(status as usize).copied().unwrap_or_default()
    }

    /// The duration that the share `part` of them did not exceed, in nanoseconds, within 2 %. `None`
    /// when there were none.
    pub fn duration_ns(&self, part: f64) -> Option<u64> {
        Some(self.durations.quantile(part)?.min(self.duration_ns_max))
    }

    /// `step` is that of the row's duration.
    fn add(&mut self, row: &Row, step: usize) {
        let status = usize::from(row.status_number());
        self.by_status[if status < STATUSES { status } else { 0 }] += 1;
        self.cold += u64::from(row.cold());
        self.duration_ns_max = self.duration_ns_max.max(row.duration_ns());
        *self.durations.slot(step) += 1;
    }

    fn merge(&mut self, other: &Tally) {
        for (own, more) in self.by_status.iter_mut().zip(other.by_status) {
            *own += more;
        }
        self.cold += other.cold;
        self.duration_ns_max = self.duration_ns_max.max(other.duration_ns_max);
        self.durations.merge(&other.durations);
    }
}

/// Counts of durations on a logarithmic scale. Holds only the range that occurred: the calls of one
/// function lie close together.
#[derive(Clone, Default, Debug)]
struct Histogram {
    /// The step of the first count.
    first: usize,
    counts: Vec<u32>,
}

impl Histogram {
    fn step(duration_ns: u64) -> usize {
        let scaled = duration_ns >> SHORTEST_BITS;
        if scaled < 1 << STEP_BITS {
            return scaled as usize;
        }
        let doublings = scaled.ilog2() - STEP_BITS;
        (((doublings as usize) << STEP_BITS) + (scaled >> doublings) as usize).min(usize::MAX)
    }

    /// The middle of a step, in nanoseconds.
    fn middle(step: usize) -> u64 {
        let doublings = (step >> STEP_BITS).saturating_sub(1) as u32;
        let from = (step - ((doublings as usize) << STEP_BITS)) as u64;
        let width = 1u64 << (doublings + SHORTEST_BITS);
        (from << (doublings + SHORTEST_BITS)).saturating_add(width / 2)
    }

    fn slot(&mut self, step: usize) -> &mut u32 {
        if self.counts.is_empty() {
            self.first = step;
        }
        if step < self.first {
            let missing = self.first - step;
            self.counts.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = step;
        }
        let at = step - self.first;
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        &mut self.counts[at]
    }

    fn merge(&mut self, other: &Histogram) {
        for (at, count) in other.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            *self.slot(other.first + at) += count;
        }
    }

    fn quantile(&self, part: f64) -> Option<u64> {
        let total: u64 = self.counts.iter().map(|count| u64::from(*count)).sum();
        if total == 0 {
            return None;
        }
        let rank = ((total as f64 * part).ceil() as u64).clamp(1, total);
        let mut passed = 0;
        let step = self.counts.iter().position(|count| {
            passed += u64::from(*count);
            passed >= rank
        })?;
        Some(Histogram::middle(self.first + step))
    }
}

/// Counts the activity of a stretch of time, on several threads where there are many segments.
pub(crate) fn activity(segments: &[Segment], query: &ActivityQuery) -> Result<Activity, Error> {
    let range = TimeRange { since: Some(query.since), until: Some(query.until) };
    let relevant: Vec<&Segment> =
        segments.iter().filter(|segment| overlaps(&range, &segment.bounds())).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let share = relevant.len().div_ceil(threads).max(1);
    let mut parts = relevant.chunks(share);
    let first = parts.next().unwrap_or_default();
    let counted: Result<Vec<Counting<'_>>, Error> = std::thread::scope(|scope| {
        let others: Vec<_> =
            parts.map(|part| scope.spawn(move || Counting::of(part, query))).collect();
        let first = std::iter::once(Counting::of(first, query));
        let others = others.into_iter().map(|other| match other.join() {
            Ok(counted) => counted,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        first.chain(others).collect()
    });
    let mut counted = counted?.into_iter();
    let Some(mut all) = counted.next() else { return Ok(Activity::default()) };
    counted.for_each(|part| all.merge(part));
    Ok(all.finish())
}

type Name = Arc<[u8]>;

struct Counting<'a> {
    query: &'a ActivityQuery,
    range: TimeRange,
    bucket_ns: u64,
    buckets: Vec<ActivityBucket>,
    /// Places in `tallies` by project and function.
    functions: HashMap<(Name, Name), usize>,
    tallies: Vec<Tally>,
}

impl<'a> Counting<'a> {
    fn of(segments: &[&Segment], query: &'a ActivityQuery) -> Result<Self, Error> {
        let buckets = query.buckets.max(1);
        let span = u64::try_from(query.until.unix_ns().saturating_sub(query.since.unix_ns()));
        let mut counting = Counting {
            query,
            range: TimeRange { since: Some(query.since), until: Some(query.until) },
            bucket_ns: span.unwrap_or_default().div_ceil(buckets as u64).max(1),
            buckets: vec![ActivityBucket::default(); buckets],
            functions: HashMap::new(),
            tallies: Vec::new(),
        };
        segments.iter().try_for_each(|segment| counting.segment(segment))?;
        Ok(counting)
    }

    fn merge(&mut self, other: Counting<'_>) {
        for (own, more) in self.buckets.iter_mut().zip(&other.buckets) {
            own.calls.merge(&more.calls);
            own.events += more.events;
        }
        for (function, place) in other.functions {
            let own = self.place(function);
            self.tallies[own].merge(&other.tallies[place]);
        }
    }

    fn segment(&mut self, segment: &Segment) -> Result<(), Error> {
        let names = segment.names();
        let wanted = |name: &Option<String>| match name {
            None => Some(None),
            Some(name) => index_of(&names, name.as_bytes()).map(Some),
        };
        let (Some(project), Some(function)) =
            (wanted(&self.query.project), wanted(&self.query.function))
        else {
            return Ok(());
        };
        let (invocation, event) = (RecordKind::Invocation as u8, RecordKind::Event as u8);
        let mut places = Places::new(&names);
        for number in 0..segment.page_count() {
            if segment.page_bounds(number).is_some_and(|bounds| !overlaps(&self.range, &bounds)) {
                continue;
            }
            for placed in segment.page(number)?.iter() {
                let row = &placed.row;
                let kind = row.kind_number();
                let relevant = (kind == invocation || kind == event)
                    && project.is_none_or(|project| row.project() == project)
                    && self.range.contains(Timestamp::from_unix_ns(row.time_ns()));
                if !relevant {
                    continue;
                }
                if kind == event {
                    self.bucket(row).events += u64::from(function.is_none());
                } else if function.is_none_or(|function| row.name() == function) {
                    let step = Histogram::step(row.duration_ns());
                    self.bucket(row).calls.add(row, step);
                    let place = places.of(row, |key| self.place(key));
                    self.tallies[place].add(row, step);
                }
            }
        }
        Ok(())
    }

    fn bucket(&mut self, row: &Row) -> &mut ActivityBucket {
        let offset = row.time_ns().saturating_sub(self.query.since.unix_ns());
        let index = u64::try_from(offset).unwrap_or_default() / self.bucket_ns;
        let last = self.buckets.len() - 1;
        &mut self.buckets[usize::try_from(index).unwrap_or(last).min(last)]
    }

    /// The place of a function's tally; a new one where it has none.
    fn place(&mut self, function: (Name, Name)) -> usize {
        let next = self.tallies.len();
        let place = *self.functions.entry(function).or_insert(next);
        if place == next {
            self.tallies.push(Tally::default());
        }
        place
    }

    fn finish(self) -> Activity {
        let mut total = Tally::default();
        self.buckets.iter().for_each(|bucket| total.merge(&bucket.calls));
        let text = |name: &Name| String::from_utf8_lossy(name).into_owned();
        let mut tallies = self.tallies;
        let function = |((project, name), place): (&(Name, Name), &usize)| {
            (text(project), text(name), std::mem::take(&mut tallies[*place]))
        };
        let functions = self.functions.iter().map(function).collect();
        Activity { bucket_ns: self.bucket_ns, buckets: self.buckets, total, functions }
    }
}

/// Where the tallies of a segment's functions are, found without hashing: by the index of the
/// function's name, and then by that of the project, of which there is mostly one.
struct Places<'a> {
    names: &'a NameTable,
    by_name: Vec<Vec<(u16, usize)>>,
}

impl<'a> Places<'a> {
    fn new(names: &'a NameTable) -> Self {
        Places { names, by_name: vec![Vec::new(); names.len() + 1] }
    }

    fn of(&mut self, row: &Row, place: impl FnOnce((Name, Name)) -> usize) -> usize {
        let (project, name) = (row.project(), row.name());
        let unnamed = self.by_name.len() - 1;
        let known = &mut self.by_name[usize::from(name).min(unnamed)];
        if let Some((_, place)) = known.iter().find(|(at, _)| *at == project) {
            return *place;
        }
        let text = |index: u16| self.names.get(usize::from(index)).cloned().unwrap_or_default();
        let place = place((text(project), text(name)));
        known.push((project, place));
        place
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn steps_are_in_order_and_close_together() {
        let mut last = None;
        for exponent in 0..60 {
            for part in 0..8 {
                let value = (1u64 << exponent) + (part << exponent) / 8;
                let step = Histogram::step(value);
                assert!(last.is_none_or(|last| last <= step), "{value}");
                last = Some(step);
                let middle = Histogram::middle(step);
                let off = middle.abs_diff(value) as f64;
                assert!(off <= (value as f64 * 0.02).max(1024.0), "{value} is shown as {middle}");
            }
        }
        Histogram::step(u64::MAX);
    }

    proptest! {
        #[test]
        fn quantiles_are_those_of_the_sorted_values(
            mut values in prop::collection::vec(1_000u64..1 << 45, 1..200),
            part in 0.01f64..1.0,
        ) {
            let (mut one, mut other) = (Histogram::default(), Histogram::default());
            let half = values.len() / 2;
            let add = |to: &mut Histogram, value| *to.slot(Histogram::step(value)) += 1;
            values[..half].iter().for_each(|value| add(&mut one, *value));
            values[half..].iter().for_each(|value| add(&mut other, *value));
            one.merge(&other);
            values.sort_unstable();
            let rank = (values.len() as f64 * part).ceil() as usize;
            let exact = values[rank.clamp(1, values.len()) - 1];
            let found = one.quantile(part).unwrap();
            prop_assert!(found.abs_diff(exact) as f64 <= (exact as f64 * 0.02).max(1024.0));
        }
    }
}
