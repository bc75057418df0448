//! Aggregates: a thing with rules, rebuilt from the events that happened to it.
//!
//! ```ignore
//! #[derive(Default, Serialize, Deserialize)]
//! struct Account { balance: i64 }
//!
//! impl Aggregate for Account {
//!     type Event = Change;
//!     const NAME: &str = "account";
//!     fn apply(&mut self, change: &Change) { self.balance += change.amount; }
//! }
//!
//! let mut account = Loaded::<Account>::load("42")?;
//! if account.state.balance < amount { return Err(Error::permanent("not enough money")); }
//! account.commit(vec![Change { amount: -amount }])?;
//! ```
//!
//! Events of one aggregate are handled one after the other when the function's trigger orders them
//! by the same key; two writers that meet nevertheless get a conflict, and the retry loads again.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::state::{self, Key, StateError, Stream, Versioned};

/// Events between two snapshots.
const SNAPSHOT_EVERY: u64 = 100;
/// Events that are read at once.
const PAGE: u32 = 500;

/// A thing whose state follows from its events.
pub trait Aggregate: Default + Serialize + DeserializeOwned + 'static {
    /// What can happen to it.
    type Event: Serialize + DeserializeOwned + 'static;
    /// Its kind: part of the names of its stream and snapshot.
    const NAME: &'static str;
    /// What an event changes. Decides nothing and never fails: it has happened.
    fn apply(&mut self, event: &Self::Event);
}

/// An aggregate at a version.
#[derive(Debug)]
pub struct Loaded<A> {
    /// The state after all events.
    pub state: A,
    /// How many events happened to it.
    pub version: u64,
    stream: Stream,
    snapshot: Key,
}

impl<A: Aggregate> Loaded<A> {
    /// The newest state: the last snapshot, and the events after it.
    pub fn load(id: &str) -> Result<Self, Error> {
        let name = format!("{}/{id}", A::NAME);
        let (stream, snapshot) = (state::stream(name.clone()), state::key(format!("{name}#")));
        let (state, version) = match snapshot.get::<(u64, A)>()? {
            Some(Versioned { value: (version, state), .. }) => (state, version),
            None => (A::default(), 0),
        };
        let mut loaded = Loaded { state, version, stream, snapshot };
        loop {
            let events = loaded.stream.read::<A::Event>(loaded.version, PAGE)?;
            if events.is_empty() {
                return Ok(loaded);
            }
            for event in events {
                loaded.state.apply(&event.value);
                loaded.version = event.version;
            }
        }
    }

    /// Lets events happen, all or none. Fails with a conflict, which is transient, when others
    /// happened since it was loaded.
    pub fn commit(&mut self, events: Vec<A::Event>) -> Result<(), Error> {
        if events.is_empty() {
            return Ok(());
        }
        let before = self.version;
        self.version = self.stream.append(&events, Some(before))?;
        for event in &events {
            self.state.apply(event);
        }
        if before / SNAPSHOT_EVERY != self.version / SNAPSHOT_EVERY {
            // A snapshot only saves time: without it more events are read.
            match self.snapshot.put(&serde_json::to_vec(&(self.version, &self.state))?) {
                Ok(_) | Err(StateError::Unavailable(_) | StateError::Invalid(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
