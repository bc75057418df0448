//! What the handle, the writer and the sealer share.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use nexus_model::Clock;
use tokio::sync::{Notify, oneshot, watch};

use crate::batch::{Batch, PayloadKey};
use crate::files::{FileKind, path_of};
use crate::recordings::Recordings;
use crate::segment::Segment;
use crate::{Disk, Error, FolderLock, LogConfig, LogCounts};

/// Appends that wait for the writer, in bytes: the callers' memory is bounded by this.
pub(crate) const QUEUE_BYTES_MAX: u64 = 256 << 20;

/// Something for the writer to do.
pub(crate) struct Pending {
    pub(crate) batch: Batch,
    pub(crate) epoch: u32,
    /// Gets the sequence of the first record.
    pub(crate) reply: oneshot::Sender<Result<u64, Error>>,
}

/// Whether the log takes appends.
#[derive(Clone, Debug, Default)]
pub(crate) enum State {
    #[default]
    Open,
    /// A write or sync failed; the writer tries to start again.
    Stopped(Error),
    /// Somebody asked to close it.
    Closing,
    Closed,
}

#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) pending: VecDeque<Pending>,
    pub(crate) bytes: u64,
    pub(crate) state: State,
    /// When the oldest buffered recording must be written.
    pub(crate) recordings_due: Option<Instant>,
}

/// Hears how long an append took, from its begin until it was durable.
pub(crate) type AppendObserver = Box<dyn Fn(Duration) + Send + Sync>;

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) lost: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) commit_records: AtomicU64,
    pub(crate) restarts: AtomicU64,
    pub(crate) sealed: AtomicU64,
}

/// What is being sealed and kept ready.
#[derive(Default)]
pub(crate) struct SealerState {
    pub(crate) full: VecDeque<crate::sealer::Full>,
    /// The last attempt failed: the next one comes after a while.
    pub(crate) failing: bool,
    pub(crate) spares: Vec<PathBuf>,
    /// The highest number that a spare file has, or had in this process.
    pub(crate) spare_number: u64,
    pub(crate) spare_wanted: bool,
    pub(crate) stopping: bool,
    pub(crate) ended: bool,
}

impl SealerState {
    /// A name for a spare file. None is used twice: one that the writer has taken keeps its name until
    /// it is a tail, and a file made under the same name would write over it.
    pub(crate) fn name_spare(&mut self, dir: &Path) -> PathBuf {
        self.spare_number += 1;
        path_of(dir, FileKind::Spare, self.spare_number)
    }
}

pub(crate) struct Shared {
    pub(crate) config: LogConfig,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) key: PayloadKey,
    pub(crate) epoch: u32,
    pub(crate) queue: Mutex<Queue>,
    pub(crate) wake: Condvar,
    pub(crate) recordings: Mutex<Recordings>,
    /// Bytes of recordings that are not on disk.
    pub(crate) buffered: AtomicU64,
    /// Told whenever recordings reached the disk.
    pub(crate) recorded: Notify,
    pub(crate) segments: RwLock<Arc<Vec<Segment>>>,
    pub(crate) durable: watch::Sender<u64>,
    pub(crate) closed: watch::Sender<bool>,
    pub(crate) counters: Counters,
    /// Told how long each append took.
    pub(crate) observer: OnceLock<AppendObserver>,
    pub(crate) sealer: Mutex<SealerState>,
    pub(crate) sealer_wake: Condvar,
    pub(crate) lock: Mutex<Option<FolderLock>>,
}

/// Locks; a panic of another thread leaves plain values behind, which stay usable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// The segments as they are now, the oldest first.
    pub(crate) fn segments(&self) -> Arc<Vec<Segment>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the list of segments.
    pub(crate) fn change_segments(&self, change: impl FnOnce(&mut Vec<Segment>)) {
        let mut guard = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut guard));
    }

    /// The oldest record that is kept.
    pub(crate) fn first_sequence(&self) -> u64 {
        self.segments().first().map_or(1, Segment::first_sequence)
    }

    /// What was counted since the log was opened.
    pub(crate) fn counts(&self) -> LogCounts {
        let counters = &self.counters;
        LogCounts {
            commits: counters.commits.load(Ordering::Relaxed),
            records: counters.commit_records.load(Ordering::Relaxed),
            recordings_lost: counters.lost.load(Ordering::Relaxed),
            restarts: counters.restarts.load(Ordering::Relaxed),
        }
    }

    /// Recordings of this size reached the disk or were lost.
    pub(crate) fn release(&self, bytes: u64) {
        self.buffered.fetch_sub(bytes, Ordering::AcqRel);
        self.recorded.notify_waiters();
    }
}
