//! Machine code of single wasm functions, so that what two components have in common is compiled
//! once: an interpreter is the same in every function that is written for it, and a saved script
//! changes only its data.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use wasmtime::CacheStore;

/// Keys and code that are kept, in bytes: several interpreters for several engines.
const BYTES_MAX: usize = 128 << 20;

/// See the module. What Wasmtime asks with covers the function, the settings of the engine and the
/// processor; what it finds is checked by it.
#[derive(Debug, Default)]
pub(crate) struct FunctionCache(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    code: HashMap<Box<[u8]>, Box<[u8]>>,
    bytes: usize,
}

impl CacheStore for FunctionCache {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.code.get(key).map(|code| Cow::Owned(code.to_vec()))
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        let size = key.len() + value.len();
        if size > BYTES_MAX {
            return false;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.bytes + size > BYTES_MAX {
            // Rare, and what is needed comes again at once.
            *known = Known::default();
        }
        known.bytes += size;
        if let Some(before) = known.code.insert(key.into(), value.into()) {
            known.bytes = known.bytes.saturating_sub(key.len() + before.len());
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_no_more_than_it_may() {
        let cache = FunctionCache::default();
        assert!(cache.insert(b"a", vec![1; 8]));
        assert!(cache.insert(b"a", vec![2; 8]));
        assert_eq!(cache.get(b"a").as_deref(), Some(&[2; 8][..]));
        assert_eq!(cache.0.lock().unwrap().bytes, 9);
        assert!(!cache.insert(b"huge", vec![0; BYTES_MAX]));
        assert!(cache.insert(b"large", vec![0; BYTES_MAX - 8]));
        assert!(cache.get(b"a").is_none() && cache.get(b"large").is_some());
    }
}
