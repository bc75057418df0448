//! An immutable set of named things that is cheap to change by one of them: a snapshot shares all
//! buckets but one with the snapshot before, so that deploying the hundred-thousandth function copies
//! no hundred thousand.

use std::sync::Arc;

use hashbrown::HashTable;

/// How many things there are in a bucket, on average, before there are twice as many buckets.
const FILL: usize = 32;

/// What lies in [`Buckets`].
pub(crate) trait Named {
    /// What it is found by.
    fn name(&self) -> &str;
}

impl<T: Named> Named for Arc<T> {
    fn name(&self) -> &str {
        T::name(self)
    }
}

/// See the module. Cloning copies a pointer; nothing takes no memory.
pub(crate) struct Buckets<T>(Option<Arc<Inner<T>>>);

struct Inner<T> {
    /// A power of two.
    buckets: Vec<Bucket<T>>,
    len: usize,
}

type Bucket<T> = Option<Arc<HashTable<T>>>;

impl<T> Clone for Buckets<T> {
    fn clone(&self) -> Self {
        Buckets(self.0.clone())
    }
}

impl<T> Clone for Inner<T> {
    fn clone(&self) -> Self {
        Inner { buckets: self.buckets.clone(), len: self.len }
    }
}

impl<T> Default for Buckets<T> {
    fn default() -> Self {
        Buckets(None)
    }
}

/// FNV-1a with a final mix, as a table looks at both ends of it. Names are given by those who deploy.
fn hash_of(name: &str) -> u64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl<T> Inner<T> {
    /// The bits in the middle: the table looks at the others.
    fn bucket(&self, hash: u64) -> usize {
        (hash >> 28) as usize & (self.buckets.len() - 1)
    }
}

impl<T: Named + Clone> Inner<T> {
    fn with(count: usize, things: impl Iterator<Item = T>) -> Self {
        let mut made = Inner { buckets: (0..count).map(|_| None).collect(), len: 0 };
        things.for_each(|thing| made.set(thing));
        made
    }

    fn set(&mut self, thing: T) {
        let hash = hash_of(thing.name());
        let at = self.bucket(hash);
        let table = Arc::make_mut(self.buckets[at].get_or_insert_default());
        match table.find_mut(hash, |known| known.name() == thing.name()) {
            Some(known) => *known = thing,
            None => {
                table.insert_unique(hash, thing, |known| hash_of(known.name()));
                self.len += 1;
            }
        }
    }

    fn remove(&mut self, name: &str) {
        let hash = hash_of(name);
        let at = self.bucket(hash);
        let Some(bucket) = &mut self.buckets[at] else { return };
        let table = Arc::make_mut(bucket);
        if let Ok(found) = table.find_entry(hash, |known| known.name() == name) {
            found.remove();
            self.len -= 1;
        }
        if table.is_empty() {
            self.buckets[at] = None;
        }
    }
}

impl<T: Named + Clone> Buckets<T> {
    /// What has this name.
    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        let inner = self.0.as_ref()?;
        let hash = hash_of(name);
        inner.buckets[inner.bucket(hash)].as_ref()?.find(hash, |known| known.name() == name)
    }

    /// Puts something in, in the place of what has its name.
    pub(crate) fn set(&mut self, thing: T) {
        let inner = self.0.get_or_insert_with(|| Arc::new(Inner::with(1, std::iter::empty())));
        if inner.len >= inner.buckets.len() * FILL {
            *inner = Arc::new(Inner::with(inner.buckets.len() * 2, inner.iter().cloned()));
        }
        // What no snapshot shares yet (while many are loaded) is changed in place.
        Arc::make_mut(inner).set(thing);
    }

    /// Takes out what has this name.
    pub(crate) fn remove(&mut self, name: &str) {
        if self.get(name).is_none() {
            return;
        }
        if let Some(inner) = &mut self.0 {
            Arc::make_mut(inner).remove(name);
        }
        if self.is_empty() {
            self.0 = None;
        }
    }

    /// All, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flat_map(|inner| inner.iter())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |inner| inner.len)
    }

    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Inner<T> {
    fn iter(&self) -> impl Iterator<Item = &T> {
        self.buckets.iter().flatten().flat_map(|table| table.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, PartialEq, Debug)]
    struct Thing(String, u32);

    impl Named for Thing {
        fn name(&self) -> &str {
            &self.0
        }
    }

    fn thing(number: u32, value: u32) -> Thing {
        Thing(number.to_string(), value)
    }

    fn value(map: &Buckets<Thing>, name: &str) -> Option<u32> {
        map.get(name).map(|at| at.1)
    }

    #[test]
    fn a_change_leaves_earlier_snapshots_alone() {
        let mut map = Buckets::default();
        for number in 0..1000 {
            map.set(thing(number, number));
        }
        let before = map.clone();
        map.set(thing(7, 77));
        map.remove("8");
        map.remove("none");
        for number in 1000..3000 {
            map.set(thing(number, number));
        }
        assert_eq!(
            (value(&before, "7"), value(&before, "8"), before.len()),
            (Some(7), Some(8), 1000)
        );
        assert_eq!((value(&map, "7"), value(&map, "8"), map.len()), (Some(77), None, 2999));
        assert_eq!((before.iter().count(), map.iter().count()), (1000, 2999));
        for number in 9..3000 {
            assert_eq!(value(&map, &number.to_string()), Some(number));
        }
    }

    #[test]
    fn things_spread_over_their_buckets_and_leave_nothing_behind() {
        let mut map = Buckets::default();
        for number in 0..10_000 {
            map.set(Thing(format!("function-{number:06}"), number));
        }
        let inner = map.0.as_ref().unwrap();
        let sizes = inner.buckets.iter().map(|at| at.as_ref().map_or(0, |table| table.len()));
        let (count, most) = (inner.buckets.len(), sizes.max().unwrap());
        assert!(count >= 10_000 / FILL && most < 2 * FILL, "{most} in one of {count}");
        for number in 0..10_000 {
            map.remove(&format!("function-{number:06}"));
        }
        assert!(map.0.is_none());
    }
}
