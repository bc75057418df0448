//! Which functions want an event. Matching costs as many look-ups as there are distinct lengths of
//! patterns in the project, however many functions there are.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use nexus_model::limits;
use nexus_model::record::ConfigRecord;
use nexus_model::resource::{FunctionSpec, Kind};

/// A function with its subscriptions, as of one revision.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Subscriber {
    pub(crate) revision: u64,
    pub(crate) attempts_max: u32,
    pub(crate) patterns: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Index {
    exact: HashMap<String, Vec<Arc<str>>>,
    prefixes: HashMap<String, Vec<Arc<str>>>,
    /// How many prefixes there are of each length.
    lengths: BTreeMap<usize, usize>,
}

/// All subscriptions of a shard.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Subscriptions {
    /// By project and function; deleted functions stay with their revision and no patterns, so that
    /// an older config record cannot bring them back.
    functions: HashMap<(Arc<str>, Arc<str>), Subscriber>,
    indexes: HashMap<Arc<str>, Index>,
}

impl Subscriptions {
    /// Takes in a config record; one that is not newer than what is known changes nothing.
    pub(crate) fn configure(&mut self, record: &ConfigRecord) {
        if Kind::parse(&record.kind) != Some(Kind::Function) {
            return;
        }
        let spec: FunctionSpec = serde_json::from_str(&record.spec).unwrap_or_default();
        let attempts_max = spec.config.attempts.unwrap_or(limits::ATTEMPTS_DEFAULT);
        let subscriber = Subscriber {
            revision: record.revision,
            attempts_max: attempts_max.clamp(1, limits::ATTEMPTS_MAX),
            patterns: spec
                .on
                .events
                .into_iter()
                .map(|trigger| trigger.ty.unwrap_or_else(|| "*".to_owned()))
                .collect(),
        };
        self.insert(&record.project, &record.name, subscriber);
    }

    pub(crate) fn insert(&mut self, project: &str, function: &str, subscriber: Subscriber) {
        let project: Arc<str> = project.into();
        let function: Arc<str> = function.into();
        let key = (project.clone(), function.clone());
        let known = self.functions.get(&key);
        if known.is_some_and(|known| known.revision >= subscriber.revision) {
            return;
        }
        let index = self.indexes.entry(project).or_default();
        for pattern in known.map(|known| known.patterns.as_slice()).unwrap_or_default() {
            index.remove(pattern, &function);
        }
        for pattern in &subscriber.patterns {
            index.add(pattern, &function);
        }
        self.functions.insert(key, subscriber);
    }

    /// The functions that want an event of this type, each once, in order of name.
    pub(crate) fn matching(&self, project: &str, ty: &str) -> Vec<Arc<str>> {
        let Some(index) = self.indexes.get(project) else { return Vec::new() };
        let mut found: Vec<Arc<str>> = index.exact.get(ty).cloned().unwrap_or_default();
        for &length in index.lengths.keys() {
            let prefix = ty.get(..length);
            if let Some(functions) = prefix.and_then(|prefix| index.prefixes.get(prefix)) {
                found.extend(functions.iter().cloned());
            }
        }
        found.sort();
        found.dedup();
        found
    }

    /// How often a delivery to this function may be tried.
    pub(crate) fn attempts_max(&self, project: &str, function: &str) -> u32 {
        self.functions
            .get(&(Arc::from(project), Arc::from(function)))
            .map_or(limits::ATTEMPTS_DEFAULT, |subscriber| subscriber.attempts_max)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str, &Subscriber)> {
        self.functions.iter().map(|((project, function), at)| (&**project, &**function, at))
    }
}

impl Index {
    fn add(&mut self, pattern: &str, function: &Arc<str>) {
        let functions = match pattern.strip_suffix('*') {
            Some(prefix) => {
                *self.lengths.entry(prefix.len()).or_default() += 1;
                self.prefixes.entry(prefix.to_owned()).or_default()
            }
            None => self.exact.entry(pattern.to_owned()).or_default(),
        };
        functions.push(function.clone());
    }

    fn remove(&mut self, pattern: &str, function: &Arc<str>) {
        let (map, key) = match pattern.strip_suffix('*') {
            Some(prefix) => {
                if let Some(count) = self.lengths.get_mut(&prefix.len()) {
                    *count -= 1;
                    if *count == 0 {
                        self.lengths.remove(&prefix.len());
                    }
                }
                (&mut self.prefixes, prefix)
            }
            None => (&mut self.exact, pattern),
        };
        if let Some(functions) = map.get_mut(key) {
            if let Some(at) = functions.iter().position(|at| at == function) {
                functions.remove(at);
            }
            if functions.is_empty() {
                map.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn subscriber(revision: u64, patterns: &[&str]) -> Subscriber {
        let patterns = patterns.iter().map(|&at| at.to_owned()).collect();
        Subscriber { revision, attempts_max: 3, patterns }
    }

    fn names(subscriptions: &Subscriptions, ty: &str) -> String {
        subscriptions.matching("shop", ty).join(" ")
    }

    #[test]
    fn types_match_exactly_or_by_their_beginning() {
        let mut at = Subscriptions::default();
        at.insert("shop", "a", subscriber(1, &["com.shop.order.created"]));
        at.insert("shop", "b", subscriber(2, &["com.shop.order.*", "com.shop.order.created"]));
        at.insert("shop", "c", subscriber(3, &["*"]));
        at.insert("other", "d", subscriber(4, &["*"]));
        assert_eq!(names(&at, "com.shop.order.created"), "a b c");
        assert_eq!(names(&at, "com.shop.order.paid"), "b c");
        assert_eq!(names(&at, "com.shop.orderly"), "c");
        assert_eq!(names(&at, "ä"), "c");
    }

    #[test]
    fn older_revisions_change_nothing() {
        let mut at = Subscriptions::default();
        at.insert("shop", "a", subscriber(5, &["x"]));
        at.insert("shop", "a", subscriber(4, &["y"]));
        assert_eq!((names(&at, "x"), names(&at, "y")), ("a".into(), String::new()));
        at.insert("shop", "a", subscriber(6, &[]));
        at.insert("shop", "a", subscriber(5, &["x"]));
        assert_eq!(names(&at, "x"), "");
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_plain_rule(
            patterns in prop::collection::vec("[ab]{0,3}\\*?", 0..12),
            changes in prop::collection::vec((0usize..6, 0usize..12), 0..40),
            ty in "[ab]{1,4}",
        ) {
            let mut at = Subscriptions::default();
            let mut plain: HashMap<usize, String> = HashMap::new();
            for (revision, &(function, pattern)) in changes.iter().enumerate() {
                let Some(pattern) = patterns.get(pattern) else { continue };
                let name = format!("f{function}");
                at.insert("shop", &name, subscriber(revision as u64 + 1, &[pattern]));
                plain.insert(function, pattern.clone());
            }
            let mut expected: Vec<String> = plain
                .iter()
                .filter(|(_, pattern)| match pattern.strip_suffix('*') {
                    Some(prefix) => ty.starts_with(prefix),
                    None => ty == **pattern,
                })
                .map(|(function, _)| format!("f{function}"))
                .collect();
            expected.sort();
            prop_assert_eq!(names(&at, &ty), expected.join(" "));
        }
    }
}
