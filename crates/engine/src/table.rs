//! A hash table whose copy costs next to nothing: the entries lie in many small maps that a copy
//! shares, and the first change of a small map after a copy copies that one only. So a checkpoint
//! of a million deliveries never stops the driver for longer than one small map takes.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

/// How many small maps there are. A million entries make 250 in each.
const PARTS: usize = 4_096;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Table<K, V> {
    /// Empty until the first entry comes: most tables stay empty.
    parts: Vec<Arc<HashMap<K, V>>>,
    hasher: RandomState,
    len: usize,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Table { parts: Vec::new(), hasher: RandomState::new(), len: 0 }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Table<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn part(&self, key: &K) -> usize {
        self.hasher.hash_one(key) as usize % PARTS
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.parts.get(self.part(key))?.get(key)
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// The value to be changed; only where there is one a shared map is copied.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.part(key);
        let part = self.parts.get_mut(at)?;
        if !part.contains_key(key) {
            return None;
        }
        Arc::make_mut(part).get_mut(key)
    }

    /// The value to be changed; a default one is made where there is none.
    pub(crate) fn entry(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        if self.parts.is_empty() {
            self.parts = vec![Arc::default(); PARTS];
        }
        let at = self.part(&key);
        let part = Arc::make_mut(&mut self.parts[at]);
        self.len += usize::from(!part.contains_key(&key));
        part.entry(key).or_default()
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        if self.parts.is_empty() {
            self.parts = vec![Arc::default(); PARTS];
        }
        let at = self.part(&key);
        let before = Arc::make_mut(&mut self.parts[at]).insert(key, value);
        self.len += usize::from(before.is_none());
        before
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.part(key);
        let part = self.parts.get_mut(at)?;
        if !part.contains_key(key) {
            return None;
        }
        let removed = Arc::make_mut(part).remove(key);
        self.len -= usize::from(removed.is_some());
        removed
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.parts.iter().flat_map(|part| part.iter())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_table_is_a_map_and_its_copies_stay_as_they_are(
            changes in prop::collection::vec((0u8..20, any::<Option<u8>>()), 0..80),
            copied_at in 0usize..80,
        ) {
            let (mut table, mut plain) = (Table::default(), HashMap::new());
            let mut copies = None;
            for (index, (key, value)) in changes.into_iter().enumerate() {
                if index == copied_at {
                    copies = Some((table.clone(), plain.clone()));
                }
                match value {
                    Some(value) => prop_assert_eq!(table.insert(key, value), plain.insert(key, value)),
                    None => prop_assert_eq!(table.remove(&key), plain.remove(&key)),
                }
                prop_assert_eq!(table.len(), plain.len());
                prop_assert_eq!(table.get(&key), plain.get(&key));
            }
            for (table, plain) in [Some((table, plain)), copies].into_iter().flatten() {
                let found: HashMap<u8, u8> = table.iter().map(|(key, value)| (*key, *value)).collect();
                prop_assert_eq!(found, plain);
            }
        }
    }
}
