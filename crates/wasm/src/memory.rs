//! Linear memories of verifying engines: plain mappings whose content can be hashed at the end.
//!
//! Wasmtime gives no way to read a memory that a component does not export, so a verifying engine
//! brings its own memories and notes each one in the collection of the instance that is being made
//! on this thread.

use std::cell::RefCell;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};
use wasmtime::{LinearMemory, MemoryCreator, MemoryType};

/// The memories of one instance.
pub(crate) type Memories = Arc<Mutex<Vec<Arc<Region>>>>;

thread_local! {
    static COLLECTION: RefCell<Option<Memories>> = const { RefCell::new(None) };
}

/// Runs `work`; memories that it makes are noted in `memories`.
pub(crate) fn collecting<R>(memories: Option<&Memories>, work: impl FnOnce() -> R) -> R {
    let Some(memories) = memories else { return work() };
    let outer = COLLECTION.with(|slot| slot.replace(Some(memories.clone())));
    let result = work();
    COLLECTION.with(|slot| slot.replace(outer));
    result
}

/// The hash of all memories in the order in which they were made. The instance must not run.
pub(crate) fn hash(memories: &Memories) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for region in memories.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let length = region.accessible.load(Ordering::Acquire);
        hasher.update(&(length as u64).to_le_bytes());
        #[expect(unsafe_code, reason = "reading a memory that no safe interface shows")]
        // SAFETY: the first `accessible` bytes of the mapping are readable, the region is kept
        // alive by the Arc, and nothing writes to it because the instance does not run.
        let bytes = unsafe { std::slice::from_raw_parts(region.base as *const u8, length) };
        hasher.update(bytes);
    }
    *hasher.finalize().as_bytes()
}

/// One mapping: reserved as a whole, accessible at its beginning.
pub(crate) struct Region {
    base: usize,
    reserved: usize,
    capacity: usize,
    accessible: AtomicUsize,
}

impl Drop for Region {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "unmapping what `new_memory` mapped")]
        // SAFETY: the mapping was made with this base and length and nobody else unmaps it; the
        // instance that used it is gone, since it holds a clone of the Arc.
        let _ = unsafe { rustix::mm::munmap(self.base as *mut _, self.reserved) };
    }
}

struct Linear(Arc<Region>);

#[expect(unsafe_code, reason = "the trait is unsafe: the mapping must be what it says")]
// SAFETY: `as_ptr` stays the same for the life of the mapping, `byte_size` bytes of it are
// accessible, and the rest of the reservation with its guard is mapped without access.
unsafe impl LinearMemory for Linear {
    fn byte_size(&self) -> usize {
        self.0.accessible.load(Ordering::Acquire)
    }

    fn byte_capacity(&self) -> usize {
        self.0.capacity
    }

    fn grow_to(&mut self, size: usize) -> wasmtime::Result<()> {
        if size > self.0.capacity {
            wasmtime::bail!("{size} bytes exceed the reserved {}", self.0.capacity);
        }
        make_accessible(self.0.base, size)
            .map_err(|errno| wasmtime::format_err!("failed to grow a memory: {errno}"))?;
        self.0.accessible.store(size, Ordering::Release);
        Ok(())
    }

    fn as_ptr(&self) -> *mut u8 {
        self.0.base as *mut u8
    }
}

fn make_accessible(base: usize, size: usize) -> Result<(), rustix::io::Errno> {
    if size == 0 {
        return Ok(());
    }
    #[expect(unsafe_code, reason = "changing the protection of our own mapping")]
    // SAFETY: the range lies inside a mapping that belongs to the caller.
    unsafe {
        rustix::mm::mprotect(base as *mut _, size, MprotectFlags::READ | MprotectFlags::WRITE)
    }
}

/// Makes the memories of a verifying engine.
pub(crate) struct Creator;

#[expect(unsafe_code, reason = "the trait is unsafe: memories must have the asked-for guard")]
// SAFETY: each memory is a fresh anonymous mapping, zero-filled, of the reserved size followed by
// the guard, without access beyond the minimum.
unsafe impl MemoryCreator for Creator {
    fn new_memory(
        &self,
        _: MemoryType,
        minimum: usize,
        maximum: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        const PAGE: usize = 64 << 10;
        let capacity = reserved.or(maximum).unwrap_or(minimum).max(minimum).next_multiple_of(PAGE);
        let whole = (capacity + guard).max(PAGE);
        #[expect(unsafe_code, reason = "an anonymous mapping at an address of the system's choice")]
        // SAFETY: a new private mapping touches no existing memory.
        let base = unsafe {
            rustix::mm::mmap_anonymous(
                ptr::null_mut(),
                whole,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        }
        .map_err(|errno| format!("failed to reserve {whole} bytes: {errno}"))?;
        let region = Arc::new(Region {
            base: base as usize,
            reserved: whole,
            capacity,
            accessible: AtomicUsize::new(minimum),
        });
        make_accessible(region.base, minimum)
            .map_err(|errno| format!("failed to open {minimum} bytes: {errno}"))?;
        COLLECTION.with(|slot| {
            if let Some(memories) = &*slot.borrow() {
                memories.lock().unwrap_or_else(PoisonError::into_inner).push(region.clone());
            }
        });
        Ok(Box::new(Linear(region)))
    }
}
