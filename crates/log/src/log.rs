//! The handle: what the engine and the node call.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nexus_model::record::{
    EventRecord, InvocationRecord, Record, RecordKind, ScheduleRecord, Trigger,
};
use nexus_model::view::InvocationRow;
use nexus_model::{
    Clock, Cursor, Digest, EventFilter, EventId, InvocationFilter, InvocationId, Page, Timestamp,
};

use crate::activity::{self, Activity, ActivityQuery};
use crate::decided::{self, Decisions};
use crate::query::{self, blocking};
use crate::recordings::{self, Encoded};
use crate::recover::position;
use crate::report::{LogCounts, LogStats, Opened, RetentionReport, VerifyReport};
use crate::row::Row;
use crate::scan::{self, EffectLimits, Effects, Origin, Scanned};
use crate::segment::Segment;
use crate::shared::{Shared, State, lock};
use crate::tail::{LocalTail, Tail};
use crate::writer::append_bytes_max;
use crate::{
    Disk, Entry, Error, LogConfig, OnPressure, Position, Pressure, open, retention, stats, verify,
};

/// The event log. Cheap to clone; all clones are the same log. When the last one is dropped, the log
/// is closed in the background as by [`close`](Self::close).
#[derive(Clone)]
pub struct Log {
    handle: Arc<Handle>,
}

struct Handle {
    tail: LocalTail,
}

impl Drop for Handle {
    fn drop(&mut self) {
        begin_closing(&self.tail.shared);
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("dir", &self.shared().config.dir).finish_non_exhaustive()
    }
}

impl Log {
    /// Opens the log in `config.dir`, which is created where it is missing, and cuts off what a crash
    /// left half written.
    ///
    /// Blocks: it reads the segment that was being written. Needs no runtime.
    ///
    /// # Errors
    /// [`Error::Locked`] while another process has it open, [`Error::Corrupt`] when acknowledged
    /// records are damaged, [`Error::NewerFormat`] after a newer build.
    pub fn open(
        config: LogConfig,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Log, Opened), Error> {
        let (shared, opened) = open::open(config, disk, clock)?;
        Ok((Log { handle: Arc::new(Handle { tail: LocalTail { shared } }) }, opened))
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.tail.shared
    }

    /// The seam to the shard's tail.
    pub fn tail(&self) -> Arc<dyn Tail> {
        Arc::new(self.handle.tail.clone())
    }

    /// Appends records: durable when it returns, all or none, in this order and next to each other.
    /// Appends that wait at the same time share one sync. Cancel safe: dropping the future loses
    /// the answer, not the records.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::TooMany`] and [`Error::Id`] for records that can never be
    /// stored; [`Error::NoSpace`], [`Error::Stopped`] and [`Error::Busy`] may pass by themselves.
    pub async fn append(&self, records: Vec<Record>) -> Result<Vec<Position>, Error> {
        let first = self.append_all(&records).await?;
        Ok((first..first + records.len() as u64).map(position).collect())
    }

    /// Records behind the response: never blocks, costs a push onto a list. The record is on disk
    /// within [`LogConfig::recording_delay`]; a crash may lose it before that.
    ///
    /// # Errors
    /// The buffer is full and nothing was recorded. With [`OnPressure::Drop`] the loss is counted
    /// instead.
    pub fn record(&self, record: &Record) -> Result<(), Pressure> {
        recordings::encoded(record, |encoded| self.record_encoded(record, &encoded))
    }

    fn record_encoded(&self, record: &Record, encoded: &Encoded<'_>) -> Result<(), Pressure> {
        let shared = self.shared();
        let size = encoded.size();
        let limit_bytes = shared.config.recording_buffer_bytes as u64;
        // Room for names and run, so that it fits into a segment for certain.
        if size + 1024 > append_bytes_max(shared.config.segment_bytes) || record.id().len() != 16 {
            shared.counters.lost.fetch_add(1, Ordering::Relaxed);
            tracing::error!(size, limit_bytes, "a record that no segment can hold was not kept");
            return Ok(());
        }
        let before = shared.buffered.fetch_add(size, Ordering::AcqRel);
        // A half empty buffer takes any record, so that whoever waits for one to be ready gets on.
        if before > limit_bytes / 2 && before + size > limit_bytes {
            shared.buffered.fetch_sub(size, Ordering::AcqRel);
            if shared.config.on_pressure == OnPressure::Drop {
                shared.counters.lost.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            return Err(Pressure { buffered_bytes: before, limit_bytes });
        }
        let first = {
            let mut recordings = lock(&shared.recordings);
            recordings.push(encoded);
            recordings.len() == 1
        };
        let quarter = limit_bytes / 4;
        let much = before < quarter && before + size >= quarter;
        if first || much {
            let mut due = Instant::now();
            if !much {
                due += shared.config.recording_delay / 2;
            }
            let mut queue = lock(&shared.queue);
            queue.recordings_due = Some(queue.recordings_due.map_or(due, |known| known.min(due)));
            drop(queue);
            shared.wake.notify_one();
        }
        Ok(())
    }

    /// Returns when the recording buffer is at least half empty, so that the next record is taken, or
    /// when the log is closed. Cancel safe.
    pub async fn ready_to_record(&self) {
        let shared = self.shared();
        let limit = shared.config.recording_buffer_bytes as u64;
        loop {
            let recorded = shared.recorded.notified();
            tokio::pin!(recorded);
            recorded.as_mut().enable();
            let half_empty = shared.buffered.load(Ordering::Acquire) <= limit / 2;
            if half_empty || *shared.closed.borrow() {
                return;
            }
            recorded.await;
        }
    }

    /// Appends one record: durable when it returns.
    ///
    /// # Errors
    /// Like [`append`](Self::append).
    pub async fn append_one(&self, record: &Record) -> Result<Position, Error> {
        Ok(position(self.append_all(std::slice::from_ref(record)).await?))
    }

    async fn append_all(&self, records: &[Record]) -> Result<u64, Error> {
        let tail = &self.handle.tail;
        let batch = tail.prepare(records)?;
        tail.append(batch, tail.epoch()).await
    }

    /// Returns when every recording that was buffered before the call is on disk.
    ///
    /// # Errors
    /// [`Error::Stopped`] or [`Error::NoSpace`]: they are still buffered, and tried again by
    /// themselves.
    pub async fn flush(&self) -> Result<(), Error> {
        let tail = &self.handle.tail;
        // A group takes a part of a full buffer, so that it may need several.
        loop {
            tail.append(crate::Batch::default(), tail.epoch()).await?;
            if lock(&self.shared().recordings).is_empty() {
                return Ok(());
            }
        }
    }

    /// As [`flush`](Self::flush) where anything is buffered: what a caller has just done is found by
    /// the queries that follow. What cannot be written now is left where it is.
    pub async fn settle(&self) {
        if self.shared().buffered.load(Ordering::Acquire) == 0 {
            return;
        }
        if let Err(error) = self.flush().await {
            tracing::debug!(%error, "a query goes on without what is buffered");
        }
    }

    /// The event with this id.
    ///
    /// # Errors
    /// Stored bytes are damaged, or cannot be read.
    pub async fn event(&self, id: EventId) -> Result<Option<EventRecord>, Error> {
        let segments = self.shared().segments();
        Ok(match query::newest(segments, *id.as_bytes(), RecordKind::Event).await? {
            Some(Record::Event(record)) => Some(record),
            _ => None,
        })
    }

    /// The end of the invocation with this id. Buffered recordings are not found yet.
    ///
    /// # Errors
    /// Stored bytes are damaged, or cannot be read.
    pub async fn invocation(&self, id: InvocationId) -> Result<Option<InvocationRecord>, Error> {
        let segments = self.shared().segments();
        Ok(match query::newest(segments, *id.as_bytes(), RecordKind::Invocation).await? {
            Some(Record::Invocation(record)) => Some(*record),
            _ => None,
        })
    }

    /// A page of events, newest first. Payloads are read for hits only. `limit` is at least 1.
    ///
    /// # Errors
    /// [`Error::CursorExpired`], or stored bytes are damaged.
    pub async fn events(
        &self,
        filter: &EventFilter,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<EventRecord>, Error> {
        let (segments, filter) = (self.shared().segments(), filter.clone());
        blocking(move || query::events(&segments, &filter, cursor, limit)).await
    }

    /// A page of invocations, newest first, from the catalogues alone. `limit` is at least 1.
    ///
    /// # Errors
    /// [`Error::CursorExpired`], or stored bytes are damaged.
    pub async fn invocations(
        &self,
        filter: &InvocationFilter,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<InvocationRow>, Error> {
        let (segments, filter) = (self.shared().segments(), filter.clone());
        blocking(move || query::invocations(&segments, &filter, cursor, limit)).await
    }

    /// Of each of these functions of a project the newest invocation that such a trigger set off.
    /// Looks at the newest `rows_max` invocations of the project; what lies before is not found.
    ///
    /// # Errors
    /// Stored bytes are damaged.
    pub async fn newest_calls(
        &self,
        project: &str,
        wanted: HashSet<(String, Trigger)>,
        rows_max: usize,
    ) -> Result<Vec<InvocationRow>, Error> {
        let (segments, project) = (self.shared().segments(), project.to_owned());
        blocking(move || query::newest_calls(&segments, &project, wanted, rows_max)).await
    }

    /// How many invocations match.
    ///
    /// # Errors
    /// Stored bytes are damaged.
    pub async fn count_invocations(&self, filter: &InvocationFilter) -> Result<u64, Error> {
        let (segments, filter) = (self.shared().segments(), filter.clone());
        blocking(move || query::count_invocations(&segments, &filter)).await
    }

    /// How many events match. Cheap: sources, subjects and causes are compared by 32-bit hashes.
    ///
    /// # Errors
    /// Stored bytes are damaged.
    pub async fn count_events(&self, filter: &EventFilter) -> Result<u64, Error> {
        let (segments, filter) = (self.shared().segments(), filter.clone());
        blocking(move || query::count_events(&segments, &filter)).await
    }

    /// Up to `limit` whole records of events, newest first, each with its place.
    ///
    /// # Errors
    /// [`Error::CursorExpired`], or stored bytes are damaged.
    pub async fn event_records(
        &self,
        filter: &EventFilter,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Scanned<EventRecord>, Error> {
        let (segments, filter) = (self.shared().segments(), filter.clone());
        blocking(move || scan::events(&segments, &filter, (cursor, limit))).await
    }

    /// Up to `limit` whole records of invocations, newest first, each with its place.
    ///
    /// # Errors
    /// [`Error::CursorExpired`], or stored bytes are damaged.
    pub async fn invocation_records(
        &self,
        filter: &InvocationFilter,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Scanned<InvocationRecord>, Error> {
        let (segments, filter) = (self.shared().segments(), filter.clone());
        blocking(move || scan::invocations(&segments, &filter, (cursor, limit))).await
    }

    /// What an event or invocation led to, directly and further on, within limits.
    ///
    /// # Errors
    /// Stored bytes are damaged.
    pub async fn effects(&self, origin: Origin, limits: EffectLimits) -> Result<Effects, Error> {
        let segments = self.shared().segments();
        blocking(move || scan::effects(&segments, origin, limits)).await
    }

    /// The schedule with this id, also when it has happened or was taken back.
    ///
    /// # Errors
    /// Stored bytes are damaged, or cannot be read.
    pub async fn schedule(&self, id: EventId) -> Result<Option<ScheduleRecord>, Error> {
        let segments = self.shared().segments();
        Ok(match query::newest(segments, *id.as_bytes(), RecordKind::Schedule).await? {
            Some(Record::Schedule(record)) => Some(record),
            _ => None,
        })
    }

    /// What was decided about the deliveries of an event, or about a schedule. Looks at the
    /// `rows_max` rows after it at most, those of segments without decisions not counted.
    ///
    /// # Errors
    /// Stored bytes are damaged.
    pub async fn decisions(&self, about: EventId, rows_max: u64) -> Result<Decisions, Error> {
        let segments = self.shared().segments();
        blocking(move || decided::decisions(&segments, *about.as_bytes(), rows_max)).await
    }

    /// The event that a schedule became, where it has one of the `rows_max` rows after its time.
    ///
    /// # Errors
    /// Stored bytes are damaged.
    pub async fn happened(
        &self,
        schedule: &ScheduleRecord,
        rows_max: u64,
    ) -> Result<Option<EventRecord>, Error> {
        let (segments, schedule) = (self.shared().segments(), schedule.clone());
        blocking(move || decided::happened(&segments, &schedule, rows_max)).await
    }

    /// What happened in a stretch of time, counted from the catalogues alone.
    ///
    /// # Errors
    /// Stored bytes are damaged.
    pub async fn activity(&self, query: &ActivityQuery) -> Result<Activity, Error> {
        let (segments, query) = (self.shared().segments(), query.clone());
        blocking(move || activity::activity(&segments, &query)).await
    }

    /// Up to `max` durable records after a position, in order; fewer when they are large. Empty at
    /// the end of the log: then wait with [`wait_past`](Self::wait_past).
    ///
    /// # Errors
    /// [`Error::Retained`] when records after `after` were removed; [`Error::Corrupt`] when stored
    /// bytes are damaged.
    pub async fn read_from(&self, after: Position, max: usize) -> Result<Vec<Entry>, Error> {
        self.handle.tail.read(after.sequence, max).await
    }

    /// What [`read_from`](Self::read_from) gives, without the records of calls that no event led to
    /// (they are not even decoded), and the position up to which records were looked at.
    ///
    /// # Errors
    /// Like [`read_from`](Self::read_from).
    pub async fn work_from(
        &self,
        after: Position,
        max: usize,
    ) -> Result<(Vec<Entry>, Position), Error> {
        self.read_where((after, max), query::is_work).await
    }

    /// The events among the next `max` durable records after a position, and the position up to
    /// which records were looked at.
    ///
    /// # Errors
    /// Like [`read_from`](Self::read_from).
    pub async fn events_from(
        &self,
        after: Position,
        max: usize,
    ) -> Result<(Vec<Entry>, Position), Error> {
        self.read_where((after, max), query::is_event).await
    }

    async fn read_where(
        &self,
        (after, max): (Position, usize),
        wanted: fn(&Row) -> bool,
    ) -> Result<(Vec<Entry>, Position), Error> {
        let shared = self.shared().clone();
        let (entries, through) = query::read_from(shared, (after.sequence, max), wanted).await?;
        Ok((entries, position(through)))
    }

    /// The newest durable record.
    pub fn durable(&self) -> Position {
        position(*self.shared().durable.borrow())
    }

    /// A moment before which none of the records that are there was appended; `None` where there
    /// are none.
    pub fn oldest(&self) -> Option<Timestamp> {
        let segments = self.shared().segments();
        let first = segments.iter().find(|segment| segment.len() > 0)?;
        Some(Timestamp::from_unix_ns(first.bounds().time_min))
    }

    /// The moment before which nothing is left because retention removed it; `None` while it has
    /// removed nothing.
    pub fn removed_before(&self) -> Option<Timestamp> {
        match self.shared().first_sequence() {
            1 => None,
            _ => self.oldest(),
        }
    }

    /// Returns when a durable record lies after `position`, or the log is closed. Cancel safe.
    pub async fn wait_past(&self, position: Position) {
        let mut durable = self.shared().durable.subscribe();
        let mut closed = self.shared().closed.subscribe();
        tokio::select! {
            _ = durable.wait_for(|last| *last > position.sequence) => {}
            _ = closed.wait_for(|closed| *closed) => {}
        }
    }

    /// Removes the oldest segments as [`LogConfig::retention`] says, but none that holds a record
    /// from `floor` on: what unfinished work still needs stays.
    ///
    /// # Errors
    /// A file cannot be removed; what was removed before stays removed.
    pub async fn enforce_retention(&self, floor: u64) -> Result<RetentionReport, Error> {
        let shared = self.shared().clone();
        blocking(move || retention::enforce(&shared, floor)).await
    }

    /// Reads everything and recomputes every checksum, hash and link of the chain; `blob` looks at
    /// the large bodies that records refer to, each once, on a thread that may block.
    ///
    /// # Errors
    /// A file cannot be read at all. Damage is no error: it is in the report.
    pub async fn verify(
        &self,
        blob: impl Fn(Digest) -> Result<u64, String> + Send + 'static,
    ) -> Result<VerifyReport, Error> {
        let shared = self.shared().clone();
        blocking(move || verify::verify(&shared.segments(), Some(&shared.key), &blob)).await
    }

    /// What was counted since the log was opened. Reads no file.
    pub fn counts(&self) -> LogCounts {
        self.shared().counts()
    }

    /// Bytes of the files that hold records; those of the tail are preallocated.
    pub fn file_bytes(&self) -> u64 {
        let bytes = |segment: &Segment| match segment {
            Segment::Tail(tail) => tail.header.capacity,
            Segment::Sealed(sealed) => sealed.file_bytes,
        };
        self.shared().segments().iter().map(bytes).sum()
    }

    /// Why the log takes no appends now; it tries to start again by itself.
    pub fn trouble(&self) -> Option<Error> {
        match &lock(&self.shared().queue).state {
            State::Stopped(error) => Some(error.clone()),
            _ => None,
        }
    }

    /// Has `observer` hear how long each append took, until it was durable. It must not block; the
    /// first one stays.
    pub fn observe_appends(&self, observer: impl Fn(Duration) + Send + Sync + 'static) {
        let _ = self.shared().observer.set(Box::new(observer));
    }

    /// Numbers about the log.
    ///
    /// # Errors
    /// A file cannot be read.
    pub async fn stats(&self) -> Result<LogStats, Error> {
        let shared = self.shared().clone();
        blocking(move || stats::stats(&shared)).await
    }

    /// Writes what is buffered, ends the files cleanly and releases the folder. Waits for an ongoing
    /// block of sealing, not for its end. Calling it again waits for the same.
    ///
    /// # Errors
    /// None at present: what could not be written is lost as in a crash, and reported in the log's
    /// output.
    pub async fn close(&self) -> Result<(), Error> {
        let mut closed = self.shared().closed.subscribe();
        begin_closing(self.shared());
        let _ = closed.wait_for(|closed| *closed).await;
        Ok(())
    }
}

fn begin_closing(shared: &Shared) {
    let mut queue = lock(&shared.queue);
    if !matches!(queue.state, State::Closed) {
        queue.state = State::Closing;
    }
    drop(queue);
    lock(&shared.sealer).stopping = true;
    shared.wake.notify_all();
    shared.sealer_wake.notify_all();
}

/// Looks at the file of a large body: its size where it is sound, otherwise what is wrong with it.
pub type BlobCheck<'a> = &'a dyn Fn(Digest) -> Result<u64, String>;

/// Checks every file of the log in `dir`, which no process may have open, and by `blob` the large
/// bodies that its records refer to.
///
/// # Errors
/// The folder is locked or cannot be read. Damage is no error: it is in the report.
pub fn verify_dir(
    dir: &Path,
    disk: Arc<dyn Disk>,
    blob: BlobCheck<'_>,
) -> Result<VerifyReport, Error> {
    verify::verify_dir(dir, disk, blob)
}

/// Numbers about the log in `dir`, which no process may have open. Changes nothing.
///
/// # Errors
/// The folder is locked, a file cannot be read, or acknowledged records are damaged.
pub fn stats_dir(dir: &Path, disk: Arc<dyn Disk>) -> Result<LogStats, Error> {
    stats::stats_dir(dir, disk)
}
