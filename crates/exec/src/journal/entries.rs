//! All entries of a journal at once, for those who do not only play them.

use super::view::described;
use super::{Error, Function, Journal, Outcome, Player};

/// One operation as it was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What the guest called.
    pub function: Function,
    /// A number or a hash ([`Function::hashes_arguments`]).
    pub arguments: u64,
    /// The arguments for people, where they are kept.
    pub text: String,
    /// What the world answered.
    pub outcome: Outcome,
    /// When it ended, in nanoseconds since the guest was called; 0 where not recorded.
    pub at_ns: u64,
    /// How long the guest waited for it.
    pub duration_ns: u64,
}

impl Entry {
    /// The arguments for people; empty where the journal has only a hash of them.
    pub fn described(&self) -> String {
        described(self.function, self.arguments, &self.text)
    }
}

impl Journal {
    /// All operations in order.
    ///
    /// # Errors
    /// The entries are malformed.
    pub fn read_entries(&self) -> Result<Vec<Entry>, Error> {
        let mut waits = self.waits.iter().copied().peekable();
        let mut player = Player::new(self.clone());
        let mut entries = Vec::with_capacity(self.operations.min(1 << 16) as usize);
        let mut last_ns = 0;
        for operation in 0..self.operations {
            let (function, arguments, text, outcome) =
                player.skip().ok_or(Error::Malformed { part: "entries" })?;
            let mut duration_ns = 0;
            if let Some((_, began, waited)) = waits.next_if(|(at, ..)| *at == operation) {
                last_ns = began.saturating_add(waited);
                duration_ns = waited;
            } else if let (Function::MonotonicNow, Outcome::Clock(ns)) = (function, &outcome) {
                last_ns = u64::try_from(*ns).unwrap_or(last_ns);
            }
            entries.push(Entry { function, arguments, text, outcome, at_ns: last_ns, duration_ns });
        }
        Ok(entries)
    }
}
