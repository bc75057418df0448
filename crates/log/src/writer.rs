//! The writer: one thread that turns whatever waits into one group, one write and one sync.
//!
//! ```text
//!  append ──► queue ──┐                 ┌──► rows in memory ──► durable ──► replies
//!                     ├─► group ─► sync ┤
//!  record ──► buffer ─┘                 └──► failed: stop, fail all, start again in a new file
//! ```
//!
//! While one group is being synced, the next one gathers: no timer is needed. Recordings wait for
//! company up to half their delay, because nobody waits for them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nexus_model::record::RECORD_VERSION;

use crate::batch::{Batch, Builder};
use crate::disk::DiskFile;
use crate::group::{
    FLAG_CLOSED, GROUP_ALIGN, GROUP_HEADER_BYTES, GroupHeader, Link, SEGMENT_HEADER_BYTES,
    encode_name, encode_run,
};
use crate::recordings::Recordings;
use crate::row::{NAMES_MAX, NO_NAME};
use crate::segment::Segment;
use crate::shared::{Pending, Queue, Shared, State, lock};
use crate::tail_segment::{Placed, TailSegment};
use crate::{Error, Reached, files, mark, new_segment};

/// Payloads and rows in one group at most, unless a single append is larger, in bytes.
const GROUP_BYTES_MAX: usize = 8 << 20;
/// One append with its rows at most, in bytes.
const APPEND_BYTES_MAX: u64 = 32 << 20;
/// Recordings in one group at most: they need a third of a string table when all names differ.
const RECORDINGS_MAX: usize = NAMES_MAX / 9;
/// How long the writer waits between attempts to start again, at first and at most.
const RESTART_WAIT_MIN: Duration = Duration::from_millis(50);
const RESTART_WAIT_MAX: Duration = Duration::from_secs(5);

/// The largest append that fits into a segment of this size.
pub(crate) fn append_bytes_max(segment_bytes: u64) -> u64 {
    // Header, group header, padding, and the empty group of a clean end.
    let overhead = (SEGMENT_HEADER_BYTES + 2 * GROUP_HEADER_BYTES + 2 * GROUP_ALIGN) as u64;
    segment_bytes.saturating_sub(overhead).min(APPEND_BYTES_MAX)
}

/// The segment that is being written.
pub(crate) struct Active {
    pub(crate) segment: Arc<TailSegment>,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Where the next group goes.
    pub(crate) offset: u64,
    /// The names in its table.
    pub(crate) names: HashMap<Vec<u8>, u16>,
}

pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    /// `None` after the last segment was given up (full, or a failed write) until a new one is there.
    pub(crate) active: Option<Active>,
    pub(crate) next_segment: u64,
    pub(crate) next_sequence: u64,
    pub(crate) link: Link,
    /// The last group is the one of a clean end.
    pub(crate) clean: bool,
    /// Recordings whose group failed, with the bytes to release: they go first.
    pub(crate) carried: Option<(Batch, u64)>,
    /// How many lost recordings the log has a note of.
    pub(crate) lost_noted: u64,
    /// The emptied buffer of recordings that takes the next turn.
    pub(crate) spare: Recordings,
}

/// What one round writes.
#[derive(Default)]
struct Round {
    pending: Vec<Pending>,
    recordings: Option<(Batch, u64)>,
    closing: bool,
}

impl Writer {
    /// Runs until the log is closed.
    pub(crate) fn run(mut self) {
        loop {
            let round = self.next_round();
            let closing = round.closing;
            let several = round.pending.len() > 1;
            let done = self.commit_round(round);
            if several {
                // Those who were answered may have more to append. Where the processors are busy a sync
                // costs them more than it costs anybody to wait for a few of them; where one is idle this
                // returns at once.
                std::thread::yield_now();
            }
            if closing || (!done && self.closing()) {
                break;
            }
        }
        self.end();
    }

    fn closing(&self) -> bool {
        matches!(lock(&self.shared.queue).state, State::Closing)
    }

    fn next_round(&mut self) -> Round {
        let shared = self.shared.clone();
        let mut queue = lock(&shared.queue);
        loop {
            if matches!(queue.state, State::Closing) && queue.pending.is_empty() {
                drop(queue);
                let recordings = self.take_recordings();
                let more = !lock(&shared.recordings).is_empty();
                return Round { recordings, closing: !more, ..Round::default() };
            }
            let due = queue.recordings_due.is_some_and(|due| due <= Instant::now());
            if !queue.pending.is_empty() || due {
                let limit = append_bytes_max(shared.config.segment_bytes);
                let (pending, alone) = take_pending(&mut queue, limit);
                if alone {
                    return Round { pending, ..Round::default() };
                }
                queue.recordings_due = None;
                drop(queue);
                let recordings = self.take_recordings();
                return Round { pending, recordings, closing: false };
            }
            queue = match queue.recordings_due {
                Some(due) => {
                    let wait = due.saturating_duration_since(Instant::now());
                    shared.wake.wait_timeout(queue, wait).map_or_else(|e| e.into_inner().0, |r| r.0)
                }
                None => shared.wake.wait(queue).unwrap_or_else(|e| e.into_inner()),
            };
        }
    }

    /// Encodes what the recording buffer has, as far as it fits into one group.
    fn take_recordings(&mut self) -> Option<(Batch, u64)> {
        if let Some(carried) = self.carried.take() {
            // The round took the due time of those behind it too.
            if !lock(&self.shared.recordings).is_empty() {
                lock(&self.shared.queue).recordings_due = Some(Instant::now());
            }
            return Some(carried);
        }
        let shared = self.shared.clone();
        let spare = std::mem::take(&mut self.spare);
        let mut recordings = std::mem::replace(&mut *lock(&shared.recordings), spare);
        if recordings.is_empty() {
            self.spare = recordings;
            return None;
        }
        let limit = append_bytes_max(self.shared.config.segment_bytes).min(GROUP_BYTES_MAX as u64);
        let mut builder = Builder::new(&shared.key, recordings.len() + 1, 0);
        self.note_losses(&mut builder);
        let bytes = recordings.drain_into(&mut builder, (RECORDINGS_MAX, limit / 2));
        if recordings.is_empty() {
            self.spare = recordings;
        } else {
            lock(&self.shared.recordings).put_back(recordings);
            lock(&self.shared.queue).recordings_due = Some(Instant::now());
        }
        Some((builder.finish(), bytes))
    }

    /// Puts a note in front when recordings were lost since the last one.
    fn note_losses(&mut self, builder: &mut Builder<'_>) {
        let lost = self.shared.counters.lost.load(Ordering::Relaxed);
        let count = lost - self.lost_noted;
        if count == 0 {
            return;
        }
        self.lost_noted = lost;
        let message = format!("{count} recordings were lost: the disk was slower than the calls");
        builder.push(&new_segment::note(&*self.shared.clock, "recordings-lost", message, count));
    }

    /// Writes a round and answers its callers; `false` when it failed.
    fn commit_round(&mut self, round: Round) -> bool {
        let Round { mut pending, recordings, .. } = round;
        pending.retain_mut(|one| one.epoch == self.shared.epoch || fence(one, self.shared.epoch));
        let has_records = recordings.is_some() || pending.iter().any(|one| !one.batch.is_empty());
        if !has_records {
            pending.into_iter().for_each(|one| answer(one, Ok(self.next_sequence)));
            return true;
        }
        let first = self.next_sequence;
        let batches: Vec<&Batch> = pending
            .iter()
            .map(|one| &one.batch)
            .chain(recordings.as_ref().map(|(batch, _)| batch))
            .collect();
        match self.commit(&batches, 0) {
            Ok(()) => {
                if let Some((_, bytes)) = recordings {
                    self.shared.release(bytes);
                }
                let mut sequence = first;
                for one in pending {
                    let count = one.batch.len() as u64;
                    answer(one, Ok(sequence));
                    sequence += count;
                }
                true
            }
            Err(error) => {
                self.carried = recordings;
                pending.into_iter().for_each(|one| answer(one, Err(error.clone())));
                self.go_on_after(&error);
                false
            }
        }
    }

    /// Writes one group: all batches or none.
    pub(crate) fn commit(&mut self, batches: &[&Batch], flags: u16) -> Result<(), Error> {
        let names: usize = batches.iter().map(|batch| batch.names.len()).sum();
        let bytes: usize = batches.iter().map(|batch| batch.group_bytes()).sum();
        let needed = (2 * GROUP_HEADER_BYTES + bytes + 2 * GROUP_ALIGN) as u64;
        let fits = self.active.as_ref().is_some_and(|active| {
            active.offset + needed <= active.segment.header.capacity
                && active.names.len() + names <= NAMES_MAX
        });
        if !fits {
            self.roll_over()?;
        }
        let Some(active) = &mut self.active else { return Err(Error::Closed) };
        let group = Assembled::new(active, batches);
        let mut header = GroupHeader {
            salt: active.segment.header.salt,
            first_sequence: self.next_sequence,
            committed_ns: self.shared.clock.now().unix_ns(),
            count: group.placed.len() as u32,
            epoch: self.shared.epoch,
            runs: group.runs,
            names: group.new_names.len() as u32,
            names_len: group.names_len,
            payloads_len: group.payloads_len,
            heads_crc: crc32c::crc32c(&group.heads),
            flags,
            record_version: RECORD_VERSION,
            link: self.link,
        };
        let chained = &group.heads[..header.chained_len() as usize];
        header.link = header.next_link(&self.link, &[chained]);
        let encoded = header.encode();
        let end = GROUP_HEADER_BYTES + group.heads.len() + group.payloads_len as usize;
        let padding = [0; GROUP_ALIGN];
        let mut slices: Vec<&[u8]> = vec![&encoded, &group.heads];
        slices.extend(batches.iter().map(|batch| &batch.payloads[..]).filter(|it| !it.is_empty()));
        slices.push(&padding[..end.next_multiple_of(GROUP_ALIGN) - end]);
        write_and_sync(active, &slices)?;
        self.finish(group, &header, batches);
        Ok(())
    }

    fn finish(&mut self, group: Assembled, header: &GroupHeader, batches: &[&Batch]) {
        let Some(active) = &mut self.active else { return };
        for name in &group.new_names {
            let index = active.names.len() as u16;
            active.names.insert(name.clone(), index);
        }
        let payloads = batches.iter().map(|batch| batch.payloads.clone()).collect();
        active.segment.publish(group.new_names, &group.placed, payloads);
        active.offset += header.total_len();
        self.next_sequence += u64::from(header.count);
        self.link = header.link;
        self.clean = header.flags & FLAG_CLOSED != 0;
        let counters = &self.shared.counters;
        counters.commits.fetch_add(1, Ordering::Relaxed);
        counters.commit_records.fetch_add(u64::from(header.count), Ordering::Relaxed);
        self.shared.durable.send_replace(self.next_sequence - 1);
    }

    /// Begins a new segment. The old one takes no more groups, even when this fails half way: a new
    /// file of that number may be on the disk already, and it says where the old one ends.
    fn roll_over(&mut self) -> Result<(), Error> {
        if let Some(active) = self.active.take() {
            self.shared.wait_for_sealer();
            self.shared.seal_later(active.segment, self.link);
        }
        self.begin_segment(self.shared.config.segment_bytes)
    }

    /// Makes a new segment the active one.
    pub(crate) fn begin_segment(&mut self, capacity: u64) -> Result<(), Error> {
        let spec = new_segment::Spec {
            segment: self.next_segment,
            first_sequence: self.next_sequence,
            link: self.link,
            capacity,
        };
        let full_size = capacity == self.shared.config.segment_bytes;
        let spare = if full_size { self.shared.take_spare() } else { None };
        let active = new_segment::begin(&self.shared, &spec, spare)?;
        let segment = Segment::Tail(active.segment.clone());
        self.shared.change_segments(|segments| segments.push(segment));
        self.active = Some(active);
        self.next_segment += 1;
        self.clean = false;
        self.note_mark(spec.segment);
        Ok(())
    }

    /// Says outside of the log how far it goes: up to this segment, and all that was acknowledged.
    pub(crate) fn note_mark(&self, segment: u64) {
        let reached = Reached { segment, sequence: self.next_sequence - 1 };
        mark::put(&*self.shared.disk, self.shared.config.mark.as_deref(), reached);
    }

    /// Begins a new segment after an error, however long that takes.
    ///
    /// After a failed write or sync nobody knows what the disk has beyond the last acknowledged
    /// group: it is checked that everything acknowledged is there, and the file is given up; the new
    /// one says where it ends. The same file is never synced again. After a roll-over for which
    /// there was no room nothing is in doubt: all that is missing is the new segment.
    fn go_on_after(&mut self, error: &Error) {
        if matches!(error, Error::Stopped { .. }) {
            self.shared.counters.restarts.fetch_add(1, Ordering::Relaxed);
        } else if self.active.is_some() {
            return;
        }
        tracing::error!(error = error as &dyn std::error::Error, "the log takes no appends");
        let mut wait = RESTART_WAIT_MIN;
        let mut suspect = self.active.take().map(|active| active.segment);
        // At once after a broken file; a full disk needs time.
        let mut at_once = matches!(error, Error::Stopped { .. });
        let mut latest = error.clone();
        loop {
            if !at_once {
                if !self.wait_stopped(&latest, wait) {
                    return;
                }
                wait = (wait * 2).min(RESTART_WAIT_MAX);
            }
            at_once = false;
            match self.begin_after(&mut suspect) {
                Ok(()) => break,
                Err(error) => latest = error,
            }
        }
        let mut queue = lock(&self.shared.queue);
        if matches!(queue.state, State::Stopped(_)) {
            queue.state = State::Open;
        }
        if self.carried.is_some() {
            queue.recordings_due = Some(Instant::now());
        }
        tracing::info!(segment = self.next_segment - 1, "the log goes on");
    }

    fn begin_after(&mut self, suspect: &mut Option<Arc<TailSegment>>) -> Result<(), Error> {
        if let Some(segment) = suspect {
            self.check_acknowledged(segment)?;
        }
        if let Some(segment) = suspect.take() {
            self.shared.seal_later(segment, self.link);
        }
        self.roll_over()
    }

    /// Refuses appends for a while; `false` when the log is being closed meanwhile.
    fn wait_stopped(&self, error: &Error, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        let mut queue = lock(&self.shared.queue);
        loop {
            if matches!(queue.state, State::Closing) {
                return false;
            }
            queue.state = State::Stopped(error.clone());
            for one in std::mem::take(&mut queue.pending) {
                answer(one, Err(error.clone()));
            }
            queue.bytes = 0;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            queue = self
                .shared
                .wake
                .wait_timeout(queue, left)
                .map_or_else(|e| e.into_inner().0, |r| r.0);
        }
    }

    fn check_acknowledged(&self, segment: &TailSegment) -> Result<(), Error> {
        let number = segment.header.segment;
        let file = self
            .shared
            .disk
            .open(&segment.path)
            .map_err(|source| Error::io("open", &segment.path, source))?;
        let mut reader = crate::tail_reader::TailReader::open(file, segment.path.clone(), number)?;
        while reader.next_sequence() < self.next_sequence {
            if !matches!(reader.step()?, crate::tail_reader::Step::Group(_)) {
                return Err(reader.corrupt("acknowledged records are missing after a failed sync"));
            }
        }
        Ok(())
    }

    fn end(mut self) {
        if self.active.is_some() && !self.clean {
            // A failure here loses nothing: the next start scans the tail as after a crash.
            if let Err(error) = self.commit(&[], FLAG_CLOSED) {
                tracing::warn!(error = &error as &dyn std::error::Error, "no clean end of the log");
            }
        }
        if self.active.is_some() {
            self.note_mark(self.next_segment - 1);
        }
        let mut queue = lock(&self.shared.queue);
        queue.state = State::Closed;
        for one in std::mem::take(&mut queue.pending) {
            answer(one, Err(Error::Closed));
        }
        drop(queue);
        self.shared.stop_sealer();
        lock(&self.shared.lock).take();
        self.shared.closed.send_replace(true);
        self.shared.recorded.notify_waiters();
    }
}

/// Takes what fits into one group beside a batch of recordings; `true` when it is so much that the
/// recordings must wait for the next one.
fn take_pending(queue: &mut Queue, append_bytes_max: u64) -> (Vec<Pending>, bool) {
    let mut taken: Vec<Pending> = Vec::new();
    let bytes_max = GROUP_BYTES_MAX.min(append_bytes_max as usize / 2);
    let (mut bytes, mut names, mut alone) = (0, 0, false);
    while let Some(next) = queue.pending.front() {
        let (size, new_names) = (next.batch.group_bytes(), next.batch.names.len());
        alone = bytes + size > bytes_max || names + new_names > NAMES_MAX / 3;
        if alone && !taken.is_empty() {
            return (taken, false);
        }
        bytes += size;
        names += new_names;
        queue.bytes = queue.bytes.saturating_sub(size as u64);
        taken.extend(queue.pending.pop_front());
        if alone {
            break;
        }
    }
    (taken, alone)
}

fn fence(pending: &mut Pending, current: u32) -> bool {
    let (reply, _) = tokio::sync::oneshot::channel();
    let reply = std::mem::replace(&mut pending.reply, reply);
    let _ = reply.send(Err(Error::Fenced { epoch: pending.epoch, current }));
    false
}

fn answer(pending: Pending, result: Result<u64, Error>) {
    // Whoever stopped waiting has its records on the disk all the same.
    let _ = pending.reply.send(result);
}

fn write_and_sync(active: &Active, slices: &[&[u8]]) -> Result<(), Error> {
    let segment = active.segment.header.segment;
    let stopped =
        |operation, source| Error::Stopped { operation, segment, source: Arc::new(source) };
    active.file.write_at(active.offset, slices).map_err(|source| stopped("write", source))?;
    active.file.sync().map_err(|source| stopped("sync", source))
}

/// A group's parts with all names translated to the segment's table.
struct Assembled {
    heads: Vec<u8>,
    runs: u32,
    names_len: u32,
    payloads_len: u32,
    new_names: Vec<Vec<u8>>,
    placed: Vec<Placed>,
}

impl Assembled {
    fn new(active: &Active, batches: &[&Batch]) -> Self {
        let mut new_names: Vec<Vec<u8>> = Vec::new();
        let mut fresh: HashMap<&[u8], u16> = HashMap::new();
        let mut translated: Vec<Vec<u16>> = Vec::with_capacity(batches.len());
        for batch in batches {
            let indexes = batch.names.iter().map(|name| {
                let known = active.names.get(name).or_else(|| fresh.get(&name[..])).copied();
                known.unwrap_or_else(|| {
                    let index = (active.names.len() + new_names.len()) as u16;
                    new_names.push(name.clone());
                    fresh.insert(name, index);
                    index
                })
            });
            translated.push(indexes.collect());
        }
        let bytes: usize = batches.iter().map(|b| b.group_bytes() - b.payloads.len()).sum();
        let mut heads = Vec::with_capacity(bytes);
        batches.iter().flat_map(|b| &b.runs).for_each(|run| encode_run(run, &mut heads));
        let runs = batches.iter().map(|batch| batch.runs.len() as u32).sum();
        let names_from = heads.len();
        new_names.iter().for_each(|name| encode_name(name, &mut heads));
        let names_len = (heads.len() - names_from) as u32;
        let placed = place_rows(batches, &translated, &mut heads);
        let crcs = placed.iter().map(|placed| placed.detail.to_le_bytes());
        crcs.for_each(|crc| heads.extend_from_slice(&crc));
        let payloads: usize = batches.iter().map(|batch| batch.payloads.len()).sum();
        let mut group =
            Assembled { heads, runs, names_len, payloads_len: payloads as u32, new_names, placed };
        let mut offset = active.offset as u32 + (GROUP_HEADER_BYTES + group.heads.len()) as u32;
        for placed in &mut group.placed {
            placed.place = offset;
            offset += placed.row.payload_len();
        }
        group
    }
}

fn place_rows(batches: &[&Batch], translated: &[Vec<u16>], heads: &mut Vec<u8>) -> Vec<Placed> {
    let mut placed = Vec::with_capacity(batches.iter().map(|batch| batch.len()).sum());
    for (batch, indexes) in batches.iter().zip(translated) {
        let translate = |index: u16| indexes.get(usize::from(index)).copied().unwrap_or(NO_NAME);
        for (row, crc) in batch.rows.iter().zip(&batch.crcs) {
            let mut row = *row;
            row.set_names(
                translate(row.project()),
                translate(row.name()),
                translate(row.version()),
            );
            heads.extend_from_slice(&row.0);
            placed.push(Placed { row, place: 0, detail: *crc });
        }
    }
    placed
}

/// Spawns the writer's thread.
pub(crate) fn spawn(writer: Writer) -> Result<(), Error> {
    let dir = writer.shared.config.dir.clone();
    std::thread::Builder::new()
        .name("nexus-log-writer".into())
        .spawn(move || writer.run())
        .map(|_| ())
        .map_err(|source| Error::io("start the writer of", files::key_path(&dir), source))
}
