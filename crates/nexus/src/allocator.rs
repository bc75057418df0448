//! The allocator of the whole process, and how memory that is free goes back to the system.
//!
//! The allocator keeps what was freed for a moment and gives it back when it is used next. A server
//! that has started, or has had much to do, and then is idle would keep it for ever.

use std::time::Duration;

/// How often memory that is free is looked for.
const GIVE_BACK_INTERVAL: Duration = Duration::from_secs(5);

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Gives back what this thread has left free, and what has lain free anywhere.
pub(crate) fn give_back() {
    collect(true);
}

/// Gives back what has lain free for a moment, now and then. Ends with the process.
pub(crate) async fn give_back_always() {
    loop {
        tokio::time::sleep(GIVE_BACK_INTERVAL).await;
        collect(false);
    }
}

#[expect(unsafe_code, reason = "calls into the allocators, which ask for nothing")]
fn collect(all: bool) {
    unsafe {
        libmimalloc_sys::mi_collect(all);
    }
    // What SQLite frees goes to the C library.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
