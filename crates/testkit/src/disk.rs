//! A disk in memory that loses what was not synced, under a seed.
//!
//! What a crash leaves of every unsynced write is decided sector by sector: written, not written, in
//! any order. Names that were created, renamed or removed without a sync of their folder may be
//! forgotten, in order from some point on. Faults (a full disk, failing writes and syncs) are
//! switched on by tests, once or often.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nexus_log::{Disk, DiskFile, DiskLock, SECTOR_BYTES};

/// A pseudo-random sequence (SplitMix64): the same seed gives the same faults.
#[derive(Clone, Debug)]
pub struct Seeded(u64);

impl Seeded {
    /// A sequence for this seed.
    pub fn new(seed: u64) -> Self {
        Seeded(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound.max(1)
    }

    /// `true` once in `times`.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// What goes wrong while the disk runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// One write in so many fails with `EIO`; 0 for never.
    pub write_one_in: u64,
    /// One sync in so many fails with `EIO`, and what it was to sync stays unsynced; 0 for never.
    pub sync_one_in: u64,
    /// Bytes that all files together may have; `None` for no limit. Beyond it writes fail with
    /// `ENOSPC`.
    pub capacity: Option<u64>,
    /// The power fails at the operation (write, sync, rename, create, remove) after so many more: it
    /// and everything later fails.
    pub power_after: Option<u64>,
}

/// The simulated disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

struct State {
    random: Seeded,
    faults: Faults,
    /// Names as the process sees them.
    names: BTreeMap<PathBuf, usize>,
    /// Names as a crash leaves them at least.
    durable_names: BTreeMap<PathBuf, usize>,
    /// Changes of names that no folder sync has made durable, in order.
    pending_names: Vec<NameChange>,
    files: Vec<FileState>,
    locks: BTreeMap<PathBuf, u64>,
    next_lock: u64,
    /// Handles of an earlier life of the machine no longer work.
    life: u64,
    dead: bool,
    operations: u64,
}

#[derive(Clone)]
enum NameChange {
    Link(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

#[derive(Default)]
struct FileState {
    /// What the process reads.
    seen: Vec<u8>,
    /// What is on the disk for certain.
    durable: Vec<u8>,
    /// Writes since the last sync: offset and length.
    unsynced: Vec<(usize, usize)>,
}

impl SimDisk {
    /// An empty disk without faults.
    pub fn new(seed: u64) -> Self {
        let state = State {
            random: Seeded::new(seed),
            faults: Faults::default(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending_names: Vec::new(),
            files: Vec::new(),
            locks: BTreeMap::new(),
            next_lock: 0,
            life: 0,
            dead: false,
            operations: 0,
        };
        SimDisk { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Switches faults on or, with the default, off.
    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// How many operations that change something were made.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Whether the power has failed.
    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// Cuts the power: every open handle fails from now on.
    pub fn cut_power(&self) {
        self.state().dead = true;
    }

    /// Starts the machine again after a power failure: what was not synced is kept, lost or torn.
    pub fn restart(&self) {
        let mut state = self.state();
        state.lose_unsynced();
        state.begin_life();
    }

    /// Starts the process again on a machine that kept running: nothing written is lost.
    pub fn restart_process(&self) {
        self.state().begin_life();
    }

    /// The paths of all files.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    /// The contents of a file.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(path).map(|index| state.files[*index].seen.clone())
    }

    /// Replaces the contents of a file, as a failing medium or an intruder would.
    pub fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let Some(index) = state.names.get(path).copied() else { return };
        let file = &mut state.files[index];
        change(&mut file.seen);
        file.durable = file.seen.clone();
        file.unsynced.clear();
    }

    /// A copy of what is on it now: damage done to the copy leaves the original alone.
    pub fn copy(&self, seed: u64) -> SimDisk {
        let copy = SimDisk::new(seed);
        let state = self.state();
        let mut other = copy.state();
        for (path, index) in &state.names {
            let seen = state.files[*index].seen.clone();
            let number = other.files.len();
            other.files.push(FileState { durable: seen.clone(), seen, unsynced: Vec::new() });
            other.names.insert(path.clone(), number);
            other.durable_names.insert(path.clone(), number);
        }
        drop(other);
        copy
    }
}

impl State {
    fn begin_life(&mut self) {
        self.life += 1;
        self.dead = false;
        self.faults = Faults::default();
        self.locks.clear();
    }

    /// Counts an operation that changes something; fails when the power does.
    fn operate(&mut self) -> io::Result<()> {
        if self.dead {
            return Err(power_failed());
        }
        self.operations += 1;
        if let Some(left) = &mut self.faults.power_after {
            if *left == 0 {
                self.dead = true;
                return Err(power_failed());
            }
            *left -= 1;
        }
        Ok(())
    }

    fn alive(&self, life: u64) -> io::Result<()> {
        if self.dead || self.life != life { Err(power_failed()) } else { Ok(()) }
    }

    fn change_name(&mut self, change: NameChange) {
        apply(&mut self.names, &change);
        self.pending_names.push(change);
    }

    fn lose_unsynced(&mut self) {
        let kept = self.random.below(self.pending_names.len() as u64 + 1) as usize;
        for change in self.pending_names.drain(..).take(kept) {
            apply(&mut self.durable_names, &change);
        }
        self.names = self.durable_names.clone();
        let random = &mut self.random;
        for file in &mut self.files {
            for (offset, length) in std::mem::take(&mut file.unsynced) {
                tear(file, offset, length, random);
            }
            file.seen = file.durable.clone();
        }
    }

    fn used_bytes(&self) -> u64 {
        self.names.values().map(|index| self.files[*index].seen.len() as u64).sum()
    }

    fn write(&mut self, index: usize, offset: u64, slices: &[&[u8]]) -> io::Result<()> {
        let failing = self.faults.write_one_in;
        let bytes: Vec<u8> = slices.concat();
        let offset = offset as usize;
        let grows = (offset + bytes.len()).saturating_sub(self.files[index].seen.len()) as u64;
        let full =
            self.faults.capacity.is_some_and(|capacity| self.used_bytes() + grows > capacity);
        let broken = failing > 0 && self.random.one_in(failing);
        let dies = self.operate().is_err();
        let count = if full || broken || dies {
            // Any part of it may have been done.
            self.random.below(bytes.len() as u64 + 1) as usize
        } else {
            bytes.len()
        };
        if !full {
            self.put(index, offset, &bytes[..count]);
        }
        match (dies, full, broken) {
            (true, _, _) => Err(power_failed()),
            (_, true, _) => Err(io::ErrorKind::StorageFull.into()),
            (_, _, true) => Err(io::Error::other("simulated write error")),
            _ => Ok(()),
        }
    }

    fn put(&mut self, index: usize, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let file = &mut self.files[index];
        let end = offset + bytes.len();
        if file.seen.len() < end {
            file.seen.resize(end, 0);
        }
        file.seen[offset..end].copy_from_slice(bytes);
        file.unsynced.push((offset, bytes.len()));
    }

    fn sync(&mut self, index: usize) -> io::Result<()> {
        self.operate()?;
        let failing = self.faults.sync_one_in;
        if failing > 0 && self.random.one_in(failing) {
            // As Linux does: the pages count as clean from now on, whatever the disk has of them.
            let random = &mut self.random;
            let file = &mut self.files[index];
            for (offset, length) in std::mem::take(&mut file.unsynced) {
                tear(file, offset, length, random);
            }
            return Err(io::Error::other("simulated sync error"));
        }
        let file = &mut self.files[index];
        for (offset, length) in std::mem::take(&mut file.unsynced) {
            let end = offset + length;
            if file.durable.len() < end {
                file.durable.resize(end, 0);
            }
            file.durable[offset..end].copy_from_slice(&file.seen[offset..end]);
        }
        Ok(())
    }
}

/// Lets each sector of a write reach the disk or not.
fn tear(file: &mut FileState, offset: usize, length: usize, random: &mut Seeded) {
    let mut at = offset;
    let end = offset + length;
    // Now and then the whole write is there, or nothing of it.
    let mode = random.below(4);
    while at < end {
        let next = ((at / SECTOR_BYTES + 1) * SECTOR_BYTES).min(end);
        let kept = mode == 0 || (mode != 1 && random.one_in(2));
        if kept {
            if file.durable.len() < next {
                file.durable.resize(next, 0);
            }
            file.durable[at..next].copy_from_slice(&file.seen[at..next]);
        }
        at = next;
    }
}

fn apply(names: &mut BTreeMap<PathBuf, usize>, change: &NameChange) {
    match change {
        NameChange::Link(path, index) => {
            names.insert(path.clone(), *index);
        }
        NameChange::Rename(from, to) => {
            if let Some(index) = names.remove(from) {
                names.insert(to.clone(), index);
            }
        }
        NameChange::Remove(path) => {
            names.remove(path);
        }
    }
}

fn power_failed() -> io::Error {
    io::Error::other("simulated power failure")
}

impl Disk for SimDisk {
    fn create_dir_all(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        state.alive(state.life)?;
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state();
        state.alive(state.life)?;
        let index = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { disk: self.clone(), index, life: state.life }))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.operate()?;
        let index = state.files.len();
        state.files.push(FileState::default());
        state.change_name(NameChange::Link(path.to_owned(), index));
        Ok(Arc::new(SimFile { disk: self.clone(), index, life: state.life }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        if !state.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change_name(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        if !state.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change_name(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        for change in std::mem::take(&mut state.pending_names) {
            apply(&mut state.durable_names, &change);
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let mut state = self.state();
        state.alive(state.life)?;
        if state.locks.contains_key(path) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.next_lock += 1;
        let number = state.next_lock;
        state.locks.insert(path.to_owned(), number);
        Ok(Box::new(SimLock { disk: self.clone(), path: path.to_owned(), number }))
    }
}

struct SimFile {
    disk: SimDisk,
    index: usize,
    life: u64,
}

impl DiskFile for SimFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.state();
        state.alive(self.life)?;
        let bytes = &state.files[self.index].seen;
        let from = (offset as usize).min(bytes.len());
        let count = buffer.len().min(bytes.len() - from);
        buffer[..count].copy_from_slice(&bytes[from..from + count]);
        Ok(count)
    }

    fn write_at(&self, offset: u64, slices: &[&[u8]]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.alive(self.life)?;
        state.write(self.index, offset, slices)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.alive(self.life)?;
        state.sync(self.index)
    }

    fn size(&self) -> io::Result<u64> {
        let state = self.disk.state();
        state.alive(self.life)?;
        Ok(state.files[self.index].seen.len() as u64)
    }
}

struct SimLock {
    disk: SimDisk,
    path: PathBuf,
    number: u64,
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.locks.get(&self.path) == Some(&self.number) {
            state.locks.remove(&self.path);
        }
    }
}
