//! An immutable map that is cheap to change by one entry: a snapshot shares all buckets but one with
//! the snapshot before, so that deploying the hundred-thousandth function copies no hundred thousand.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

const BUCKETS: usize = 64;

/// See the module. Cloning copies pointers only.
pub(crate) struct Buckets<K, V>(Arc<[Bucket<K, V>]>);

/// Most projects are small: a bucket without entries takes no memory of its own.
type Bucket<K, V> = Option<Arc<HashMap<K, V>>>;

impl<K, V> Clone for Buckets<K, V> {
    fn clone(&self) -> Self {
        Buckets(Arc::clone(&self.0))
    }
}

impl<K, V> Default for Buckets<K, V> {
    fn default() -> Self {
        Buckets((0..BUCKETS).map(|_| None).collect())
    }
}

fn bucket_of(text: &str) -> usize {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    (hash >> 32) as usize % BUCKETS
}

impl<K, V> Buckets<K, V>
where
    K: Eq + Hash + Clone + Borrow<str>,
    V: Clone,
{
    /// The value of `key`.
    pub(crate) fn get(&self, key: &str) -> Option<&V> {
        self.0[bucket_of(key)].as_ref()?.get(key)
    }

    /// The same map with `key` set.
    pub(crate) fn set(&mut self, key: K, value: V) {
        self.change(bucket_of(key.borrow()), |map| {
            map.insert(key, value);
        });
    }

    /// The same map without `key`.
    pub(crate) fn remove(&mut self, key: &str) {
        if self.get(key).is_some() {
            self.change(bucket_of(key), |map| {
                map.remove(key);
            });
        }
    }

    fn change(&mut self, bucket: usize, change: impl FnOnce(&mut HashMap<K, V>)) {
        // A bucket that no snapshot shares yet (while many entries are loaded) is changed in place.
        if Arc::get_mut(&mut self.0).is_none() {
            self.0 = self.0.iter().cloned().collect();
        }
        if let Some(buckets) = Arc::get_mut(&mut self.0) {
            change(Arc::make_mut(buckets[bucket].get_or_insert_default()));
        }
    }

    /// All entries, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().flatten().flat_map(|map| map.iter())
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().flatten().map(|map| map.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_leaves_earlier_snapshots_alone() {
        let mut map: Buckets<Box<str>, u32> = Buckets::default();
        for number in 0..1000 {
            map.set(number.to_string().into(), number);
        }
        let before = map.clone();
        map.set("7".into(), 77);
        map.remove("8");
        map.remove("none");
        assert_eq!((before.get("7"), before.get("8"), before.len()), (Some(&7), Some(&8), 1000));
        assert_eq!((map.get("7"), map.get("8"), map.len()), (Some(&77), None, 999));
        assert_eq!(map.iter().count(), 999);
    }
}
