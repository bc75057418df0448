//! Reading the events of a backlog: whoever needs one that is not at hand any more reads those
//! behind it too, because these are needed next.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nexus_log::{Log, Position};
use nexus_model::EventId;
use nexus_model::record::{EventRecord, Record};
use tokio::sync::Semaphore;

use crate::cache::Events;

/// Events that were read before they were asked for, in bytes.
const EVENTS_BYTES_MAX: usize = 16 << 20;
/// Records that one read looks at, at first and at most.
const ROWS_MIN: usize = 16;
const ROWS_MAX: usize = 1024;
/// Places from which the log is read onwards at the same time.
const STREAMS_MAX: usize = 32;
/// Reads of the log at the same time. Each may take a thread that reads, and memory with it: deliveries
/// that have to read wait for their turn.
const READS_MAX: usize = 4;
/// An event lies next in a stream when it is not further than this behind what was read.
const NEAR: u64 = 4096;

/// Reads events by their places in the log.
pub(crate) struct ReadAhead {
    log: Log,
    events: Mutex<Events>,
    /// The newest first.
    streams: Mutex<VecDeque<Arc<Stream>>>,
    turns: Semaphore,
}

/// A stretch of the log that is read onwards.
struct Stream {
    begin: u64,
    /// The first record that was not read.
    end: AtomicU64,
    /// How many records the next read looks at. Whoever reads holds the lock: the others find what
    /// they wait for when they have it.
    rows: tokio::sync::Mutex<usize>,
}

impl ReadAhead {
    pub(crate) fn new(log: Log) -> Self {
        ReadAhead {
            log,
            events: Mutex::new(Events::new(EVENTS_BYTES_MAX)),
            streams: Mutex::default(),
            turns: Semaphore::new(READS_MAX),
        }
    }

    /// The event that stands at `sequence`; `None` where it does not stand there (any more).
    ///
    /// # Errors
    /// The log cannot be read.
    pub(crate) async fn event(
        &self,
        id: EventId,
        sequence: u64,
    ) -> Result<Option<Arc<EventRecord>>, nexus_log::Error> {
        if let Some(known) = self.known(id) {
            return Ok(Some(known));
        }
        let stream = self.stream(sequence);
        let mut rows = stream.rows.lock().await;
        if let Some(known) = self.known(id) {
            return Ok(Some(known));
        }
        let mut end = stream.end.load(Ordering::Relaxed);
        if sequence < end {
            // It was read and forgotten again: no sign that its neighbours are needed.
            drop(rows);
            self.read(sequence, 1).await?;
            return Ok(self.known(id));
        }
        // Deliveries do not ask in the order of the log: those between the end and this one come too.
        while sequence >= end {
            let through = self.read(end, *rows).await?;
            if through < end {
                break;
            }
            end = through + 1;
            stream.end.store(end, Ordering::Relaxed);
            *rows = (*rows * 2).min(ROWS_MAX);
        }
        Ok(self.known(id))
    }

    fn known(&self, id: EventId) -> Option<Arc<EventRecord>> {
        lock(&self.events).get(id)
    }

    /// The stream in which a place comes next, or a new one.
    fn stream(&self, sequence: u64) -> Arc<Stream> {
        let mut streams = lock(&self.streams);
        let is_next = |stream: &&Arc<Stream>| {
            let end = stream.end.load(Ordering::Relaxed);
            (stream.begin..=end.saturating_add(NEAR)).contains(&sequence)
        };
        if let Some(known) = streams.iter().find(is_next) {
            return Arc::clone(known);
        }
        let (begin, end) = (sequence, AtomicU64::new(sequence));
        let stream = Arc::new(Stream { begin, end, rows: tokio::sync::Mutex::new(ROWS_MIN) });
        streams.truncate(STREAMS_MAX - 1);
        streams.push_front(Arc::clone(&stream));
        stream
    }

    /// Reads the events among `rows` records; the last record that was looked at.
    async fn read(&self, sequence: u64, rows: usize) -> Result<u64, nexus_log::Error> {
        let after = Position { shard: 0, sequence: sequence.saturating_sub(1) };
        // Never closed.
        let _turn = self.turns.acquire().await;
        let (entries, through) = match self.log.events_from(after, rows).await {
            // It is found missing then.
            Err(nexus_log::Error::Retained { first }) => return Ok(first - 1),
            read => read?,
        };
        let mut events = lock(&self.events);
        for entry in entries {
            if let Record::Event(record) = entry.record {
                events.insert(record);
            }
        }
        Ok(through.sequence)
    }
}

/// Locks; a panic of another thread leaves plain values behind, which stay usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
