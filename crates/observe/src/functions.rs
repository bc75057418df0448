//! What is counted for each function, and which functions have time series of their own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use nexus_model::record::Status;

use crate::sharded::{Durations, Sharded, Snapshot};

/// How many functions have time series of their own; those that come later share
/// `function="_other"`, so that the cardinality stays bounded.
pub const FUNCTIONS_MAX: usize = 1_000;

/// The ways to end; those after it are seen in views only.
const STATUSES: usize = Status::Rejected as usize + 1;

/// What is counted for one function: to be kept beside its route, so that counting needs no look-up.
/// It takes a few bytes until the first invocation has ended, then 2 KiB. The function's time series
/// end with it.
#[derive(Debug, Default)]
pub struct FunctionMetrics(OnceLock<Arc<Calls>>);

/// An invocation that ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// The project.
    pub project: &'a str,
    /// The function.
    pub function: &'a str,
    /// How it ended.
    pub status: Status,
    /// From its acceptance to its end.
    pub duration: Duration,
    /// Whether its code had to be loaded first.
    pub cold: bool,
}

/// The invocations of a function, or of those that share a series.
#[derive(Debug, Default)]
pub(crate) struct Calls(Sharded<Counted>);

/// What one thread has counted. In this order an invocation touches two or three cache lines.
#[derive(Debug, Default)]
#[repr(C)]
struct Counted {
    by_status: [AtomicU64; STATUSES],
    cold: AtomicU64,
    durations: Durations,
}

impl Calls {
    fn ended(&self, ended: &Ended<'_>) {
        let mine = self.0.mine();
        let status = Some(ended.status as usize).filter(|status| *status < STATUSES);
        mine.by_status[status.unwrap_or(Status::Unknown as usize)].fetch_add(1, Ordering::Relaxed);
        if ended.cold {
            mine.cold.fetch_add(1, Ordering::Relaxed);
        }
        mine.durations.record(ended.duration);
    }

    /// How many ended in each way in which any did.
    pub(crate) fn by_status(&self) -> impl Iterator<Item = (Status, u64)> {
        (0..STATUSES).filter_map(|index| {
            let count = self.0.sum(|counted| &counted.by_status[index]);
            let status = Status::try_from(i32::try_from(index).ok()?).unwrap_or(Status::Unknown);
            (count > 0).then_some((status, count))
        })
    }

    pub(crate) fn cold(&self) -> u64 {
        self.0.sum(|counted| &counted.cold)
    }

    pub(crate) fn durations(&self) -> Snapshot {
        Snapshot::of(&self.0, |counted| &counted.durations)
    }
}

/// Project and function.
pub(crate) type Name = (String, String);

/// The functions that have series, and the series of those that have none.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    /// A function that is gone leaves an entry that leads nowhere, until it is found.
    own: Mutex<BTreeMap<Name, Weak<Calls>>>,
    other: Arc<Calls>,
}

impl Functions {
    /// Counts an invocation. Wait-free, but for the first of a function.
    pub(crate) fn ended(&self, function: &FunctionMetrics, ended: &Ended<'_>) {
        function.0.get_or_init(|| self.claim(ended)).ended(ended);
    }

    /// The function's own series, or the common one when there are too many.
    fn claim(&self, ended: &Ended<'_>) -> Arc<Calls> {
        let name = (ended.project.to_owned(), ended.function.to_owned());
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        // A function may be declared anew while its last call from before goes on.
        if let Some(found) = own.get(&name).and_then(Weak::upgrade) {
            return found;
        }
        if own.len() >= FUNCTIONS_MAX && !own.contains_key(&name) {
            own.retain(|_, calls| calls.strong_count() > 0);
            if own.len() >= FUNCTIONS_MAX {
                return Arc::clone(&self.other);
            }
        }
        let made = Arc::default();
        own.insert(name, Arc::downgrade(&made));
        made
    }

    /// Those whose functions are still there, by name, and last what the others share.
    pub(crate) fn all(&self) -> Vec<(Name, Arc<Calls>)> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = Vec::with_capacity(own.len() + 1);
        own.retain(|name, calls| match calls.upgrade() {
            Some(calls) => {
                all.push((name.clone(), calls));
                true
            }
            None => false,
        });
        all.push((("_other".to_owned(), "_other".to_owned()), Arc::clone(&self.other)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(function: &str) -> Ended<'_> {
        Ended {
            project: "shop",
            function,
            status: Status::Succeeded,
            duration: Duration::from_millis(1),
            cold: false,
        }
    }

    fn counts(functions: &Functions) -> Vec<(String, u64)> {
        let all = functions.all().into_iter();
        all.map(|((_, name), calls)| (name, calls.durations().count)).collect()
    }

    #[test]
    fn a_function_has_series_from_its_first_invocation_until_it_is_gone() {
        let functions = Functions::default();
        let count = |name: &str, count| (name.to_owned(), count);
        let (a, b) = (FunctionMetrics::default(), FunctionMetrics::default());
        assert_eq!(counts(&functions), [count("_other", 0)]);
        functions.ended(&a, &ended("a"));
        functions.ended(&b, &ended("b"));
        functions.ended(&a, &ended("a"));
        assert_eq!(counts(&functions), [count("a", 2), count("b", 1), count("_other", 0)]);
        // Deleted and declared again, while a call of the first one goes on.
        let again = FunctionMetrics::default();
        functions.ended(&again, &ended("a"));
        assert_eq!(counts(&functions)[0], count("a", 3));
        drop((a, again));
        assert_eq!(counts(&functions), [count("b", 1), count("_other", 0)]);
    }

    #[test]
    fn functions_beyond_the_limit_share_a_series_and_places_are_used_again() {
        let functions = Functions::default();
        let mut handles = Vec::new();
        for number in 0..FUNCTIONS_MAX + 5 {
            let handle = FunctionMetrics::default();
            functions.ended(&handle, &ended(&format!("f{number}")));
            handles.push(handle);
        }
        let all = counts(&functions);
        assert_eq!(all.len(), FUNCTIONS_MAX + 1);
        assert_eq!(all.last(), Some(&("_other".to_owned(), 5)));
        handles.remove(0);
        let next = FunctionMetrics::default();
        functions.ended(&next, &ended("next"));
        let all = counts(&functions);
        assert!(all.contains(&("next".to_owned(), 1)) && !all.contains(&("f0".to_owned(), 1)));
        assert_eq!(all.last(), Some(&("_other".to_owned(), 5)));
    }

    #[test]
    fn what_is_no_end_is_counted_as_unknown() {
        let (functions, handle) = (Functions::default(), FunctionMetrics::default());
        for status in [Status::Running, Status::Queued, Status::Rejected, Status::Unknown] {
            functions.ended(&handle, &Ended { status, cold: true, ..ended("a") });
        }
        let (_, calls) = functions.all().swap_remove(0);
        let by_status: Vec<_> = calls.by_status().collect();
        assert_eq!(by_status, [(Status::Unknown, 3), (Status::Rejected, 1)]);
        assert_eq!(calls.cold(), 4);
    }

    #[test]
    fn a_function_that_was_not_called_takes_a_few_bytes_and_another_one_two_kibibytes() {
        assert!(size_of::<FunctionMetrics>() <= 16);
        assert_eq!(size_of::<Calls>(), 2048);
    }
}
