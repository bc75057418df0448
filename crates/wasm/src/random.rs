//! Seeds for guests.

use std::cell::RefCell;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

thread_local! {
    static SEEDS: RefCell<Option<ChaCha20Rng>> = const { RefCell::new(None) };
}

/// A fresh seed, from a generator of this thread that was seeded by the system: a system call for
/// each invocation would cost more than all other bookkeeping.
pub(crate) fn seed() -> [u8; 32] {
    SEEDS.with_borrow_mut(|generator| {
        let generator = generator.get_or_insert_with(|| {
            let mut system = [0; 32];
            if let Err(error) = getrandom::fill(&mut system) {
                // The call exists on every system that Nexus runs on and fails only when none of
                // its sources is there; going on would make guests' secrets guessable.
                tracing::error!(%error, "the system gives no random bytes");
                std::process::abort();
            }
            ChaCha20Rng::from_seed(system)
        });
        let mut seed = [0; 32];
        generator.fill_bytes(&mut seed);
        seed
    })
}
