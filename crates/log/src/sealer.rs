//! The sealer: one thread of low priority that turns full tails into sealed segments, keeps a
//! zero-filled file ready, and takes used files again.
//!
//! A crash at any moment is safe: the sealed file gets its name after its bytes are on the disk, and
//! the tail is given up after that.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::group::Link;
use crate::seal::seal;
use crate::sealed::SealedSegment;
use crate::segment::Segment;
use crate::shared::{SealerState, Shared, lock};
use crate::tail_segment::TailSegment;
use crate::{Error, new_segment};

/// Full segments that may wait for sealing before the writer waits as well. Each has its rows in
/// memory.
const BACKLOG_MAX: usize = 8;
/// Files kept ready.
const SPARES_MAX: usize = 2;
/// How long the sealer waits after a failure, or for readers of a sealed tail to finish.
const WAIT: Duration = Duration::from_millis(500);
/// The nice value of the sealer's thread: below everything that serves calls.
const NICE: i32 = 10;
/// Spare files made ahead are numbered from here, so that they never meet a segment's number.
pub(crate) const SPARE_NUMBERS: u64 = 1 << 62;

/// A segment that takes no more groups.
pub(crate) struct Full {
    pub(crate) segment: Arc<TailSegment>,
    /// The last link of its chain.
    pub(crate) link: Link,
}

impl Shared {
    /// Hands a full segment to the sealer.
    pub(crate) fn seal_later(&self, segment: Arc<TailSegment>, link: Link) {
        lock(&self.sealer).full.push_back(Full { segment, link });
        self.sealer_wake.notify_all();
    }

    /// Waits while too many segments wait for sealing. Gives up when the sealer cannot go on: a
    /// full disk must not stop appends that still find room.
    pub(crate) fn wait_for_sealer(&self) {
        let mut state = lock(&self.sealer);
        while state.full.len() >= BACKLOG_MAX && !state.failing && !state.stopping && !state.ended {
            state = self.sealer_wake.wait(state).unwrap_or_else(|e| e.into_inner());
        }
    }

    /// A file that is ready to become a tail; asks for the next one.
    pub(crate) fn take_spare(&self) -> Option<std::path::PathBuf> {
        let mut state = lock(&self.sealer);
        let spare = state.spares.pop();
        state.spare_wanted = true;
        self.sealer_wake.notify_all();
        spare
    }

    /// Ends the sealer after what it is doing, and waits for that.
    pub(crate) fn stop_sealer(&self) {
        let mut state = lock(&self.sealer);
        state.stopping = true;
        self.sealer_wake.notify_all();
        while !state.ended {
            state = self.sealer_wake.wait(state).unwrap_or_else(|e| e.into_inner());
        }
    }
}

/// Spawns the sealer's thread.
pub(crate) fn spawn(shared: Arc<Shared>) -> Result<(), Error> {
    let dir = shared.config.dir.clone();
    std::thread::Builder::new()
        .name("nexus-log-sealer".into())
        .spawn(move || Sealer { shared, retired: Vec::new() }.run())
        .map(|_| ())
        .map_err(|source| Error::io("start the sealer of", dir, source))
}

struct Sealer {
    shared: Arc<Shared>,
    /// Tails whose sealed segments are in place, and which readers may still be reading.
    retired: Vec<Arc<TailSegment>>,
}

enum Job {
    Spare,
    Seal(Arc<TailSegment>, Link),
    Recycle,
    Stop,
}

impl Sealer {
    fn run(mut self) {
        // Without the right to be nicer it seals at normal priority: slower calls, nothing else.
        let thread = rustix::thread::gettid();
        let _ = rustix::process::setpriority_process(Some(thread), NICE);
        loop {
            match self.next_job() {
                Job::Stop => break,
                Job::Spare => self.make_spare(),
                Job::Seal(segment, link) => self.seal(segment, &link),
                Job::Recycle => self.recycle(),
            }
        }
        self.recycle();
        lock(&self.shared.sealer).ended = true;
        self.shared.sealer_wake.notify_all();
    }

    fn next_job(&self) -> Job {
        let mut state = lock(&self.shared.sealer);
        loop {
            if state.stopping {
                return Job::Stop;
            }
            if !state.failing {
                if state.spare_wanted && state.spares.is_empty() {
                    return Job::Spare;
                }
                if let Some(full) = state.full.front() {
                    return Job::Seal(full.segment.clone(), full.link);
                }
            }
            if self.retired.iter().any(|segment| Arc::strong_count(segment) == 1) {
                return Job::Recycle;
            }
            let waiting = state.failing || !self.retired.is_empty();
            state = if waiting {
                let (mut state, waited) = self
                    .shared
                    .sealer_wake
                    .wait_timeout(state, WAIT)
                    .unwrap_or_else(|e| e.into_inner());
                if waited.timed_out() {
                    state.failing = false;
                }
                state
            } else {
                self.shared.sealer_wake.wait(state).unwrap_or_else(|e| e.into_inner())
            };
        }
    }

    fn make_spare(&mut self) {
        let path = lock(&self.shared.sealer).name_spare(&self.shared.config.dir);
        let bytes = self.shared.config.segment_bytes;
        let made = new_segment::create_spare(&*self.shared.disk, &path, bytes);
        let mut state = lock(&self.shared.sealer);
        match made {
            Ok(_) => {
                state.spares.push(path);
                state.spare_wanted = false;
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "no spare segment");
                // The writer makes its own when it needs one, and reports why it cannot.
                state.spare_wanted = false;
            }
        }
    }

    fn seal(&mut self, segment: Arc<TailSegment>, link: &Link) {
        let shared = self.shared.clone();
        let sealed = seal(&shared, &segment, link);
        let mut state = lock(&shared.sealer);
        match sealed {
            Ok(sealed) => {
                replace(&shared, sealed);
                state.full.pop_front();
                self.retired.push(segment);
            }
            Err(error @ (Error::Corrupt { .. } | Error::NewerFormat { .. })) => {
                // It stays readable record by record as a tail; `verify` names the damage.
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a segment stays unsealed"
                );
                state.full.pop_front();
            }
            Err(error) => {
                if !state.stopping {
                    tracing::warn!(error = &error as &dyn std::error::Error, "sealing waits");
                }
                state.failing = true;
            }
        }
        shared.sealer_wake.notify_all();
    }

    /// Takes the files of sealed tails again, once nobody reads them.
    fn recycle(&mut self) {
        let free = std::mem::take(&mut self.retired);
        for segment in free {
            if Arc::strong_count(&segment) > 1 {
                self.retired.push(segment);
                continue;
            }
            let spares = &mut lock(&self.shared.sealer);
            recycle_file(&self.shared, &segment.path, spares);
        }
    }
}

/// Makes a used tail file a spare one, or removes it when there are enough.
pub(crate) fn recycle_file(shared: &Shared, path: &Path, state: &mut SealerState) {
    let disk = &*shared.disk;
    let fits = disk
        .open(path)
        .and_then(|file| file.size())
        .is_ok_and(|size| size == shared.config.segment_bytes);
    let spare = state.name_spare(&shared.config.dir);
    let done = if fits && state.spares.len() < SPARES_MAX {
        disk.rename(path, &spare).map(|()| state.spares.push(spare))
    } else {
        disk.remove(path)
    };
    // A tail beside its sealed segment is met again at the next start.
    if let Err(source) = done {
        tracing::warn!(path = %path.display(), error = %source, "a used segment file stays");
    }
}

/// Puts the sealed segment into the place of its tail.
fn replace(shared: &Shared, sealed: SealedSegment) {
    let number = sealed.footer.segment;
    let sealed = Segment::Sealed(Arc::new(sealed));
    shared.change_segments(|segments| {
        if let Some(place) = segments.iter_mut().find(|segment| segment.number() == number) {
            *place = sealed;
        }
    });
    shared.counters.sealed.fetch_add(1, Ordering::Relaxed);
}
