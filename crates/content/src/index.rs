//! Which of many subscriptions an event meets, without asking each one.
//!
//! For every subscription the index derives *necessary conditions*: things that hold for each event
//! it can match, such as "the type is one of these" or "the field `customer.id` of the data is 7".
//! The subscription is filed under one of them, in a hash table (equality) or a sorted table
//! (prefixes). An event looks up its own attributes and fields, which finds the few subscriptions
//! that can match at all, and only those are evaluated.
//!
//! Where many subscriptions share a place (the same type, say), the place becomes an index of its
//! own over their remaining conditions:
//!
//! ```text
//! root ── type = "order.created" ── subject = "order/1" ── one subscription
//!     │                          └─ subject = "order/2" ── one subscription
//!     ├── type begins with "com." ── …
//!     └── (no condition) ── evaluated for each event
//! ```
//!
//! Removing leaves a stale entry behind; when there are more of them than live ones, everything is
//! filed anew.

mod conditions;
mod node;
mod selector;

use std::collections::HashMap;
use std::hash::Hash;

pub use selector::{CompiledSelector, Selector};

use crate::Content;
use conditions::Condition;
use node::Node;

/// Stale entries are tolerated up to this number before anything is filed anew.
const STALE_MIN: usize = 64;

/// Selectors by key, found by the events that they match.
#[derive(Debug)]
pub struct Index<K> {
    root: Node,
    /// By slot; `None` where it was removed.
    entries: Vec<Option<Entry<K>>>,
    slots: HashMap<K, usize>,
}

#[derive(Debug)]
struct Entry<K> {
    key: K,
    selector: CompiledSelector,
    conditions: Vec<Condition>,
}

impl<K> Default for Index<K> {
    fn default() -> Self {
        Index { root: Node::default(), entries: Vec::new(), slots: HashMap::new() }
    }
}

impl<K: Clone + Ord + Hash> Index<K> {
    /// Without any selector.
    pub fn new() -> Self {
        Index::default()
    }

    /// The number of selectors.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no selector.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Files a selector under a key; one that the key had before is replaced.
    pub fn insert(&mut self, key: K, selector: CompiledSelector) {
        self.remove(&key);
        let slot = self.entries.len();
        let conditions = conditions::of(&selector);
        self.slots.insert(key.clone(), slot);
        self.entries.push(Some(Entry { key, selector, conditions }));
        self.file(slot);
    }

    /// Takes the selector of a key out, and says whether there was one.
    pub fn remove(&mut self, key: &K) -> bool {
        let Some(slot) = self.slots.remove(key) else { return false };
        self.entries[slot] = None;
        let stale = self.entries.len() - self.slots.len();
        if stale > STALE_MIN && stale > self.slots.len() {
            self.rebuild();
        }
        true
    }

    /// The keys whose selectors match, in order, each once.
    pub fn matching(&self, content: &Content<'_>) -> Vec<K> {
        let mut keys: Vec<K> = self
            .candidates(content)
            .into_iter()
            .filter_map(|slot| self.entries[slot].as_ref())
            .filter(|entry| entry.selector.matches(content))
            .map(|entry| entry.key.clone())
            .collect();
        keys.sort_unstable();
        keys
    }

    /// How many selectors [`matching`](Self::matching) evaluates for this event.
    pub fn evaluations(&self, content: &Content<'_>) -> usize {
        let slots = self.candidates(content);
        slots.into_iter().filter(|slot| self.entries[*slot].is_some()).count()
    }

    fn candidates(&self, content: &Content<'_>) -> Vec<usize> {
        let mut slots = Vec::new();
        self.root.find(content, &mut slots);
        // One selector may lie in several places ("one of these types").
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    fn file(&mut self, slot: usize) {
        let entries = &self.entries;
        let conditions_of = |slot: usize| {
            entries[slot].as_ref().map(|entry| &entry.conditions[..]).unwrap_or_default()
        };
        self.root.insert(slot, &conditions_of);
    }

    fn rebuild(&mut self) {
        self.root = Node::default();
        self.entries.retain(Option::is_some);
        self.slots.clear();
        for slot in 0..self.entries.len() {
            if let Some(entry) = &self.entries[slot] {
                self.slots.insert(entry.key.clone(), slot);
            }
            self.file(slot);
        }
    }
}
