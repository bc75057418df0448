//! What differs between two JSON documents, and which of it matters.

mod rules;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};
use similar::{Algorithm, DiffOp};

pub use rules::{DiffRules, DiffRulesError};

/// Arrays longer than this together are compared place by place: aligning them costs too much.
const ALIGNED_MAX: usize = 10_000;
/// Nesting beyond this is compared as a whole.
const DEPTH_MAX: usize = 128;

/// One place at which two documents differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Where: a JSON Pointer (RFC 6901) into the second document; into the first one where the second
    /// has nothing there.
    pub path: String,
    /// What the first document has there, if anything.
    pub before: Option<Value>,
    /// What the second document has there, if anything.
    pub after: Option<Value>,
    /// The rule that makes it not matter.
    pub ignored: Option<String>,
}

/// Compares two documents by their structure: order of fields does not matter, order in arrays
/// does. Elements that were put in or taken out are found; those that changed in their place are
/// compared with what was there.
pub fn differences(before: &Value, after: &Value, rules: &DiffRules) -> Vec<Difference> {
    let ignored = rules.places(before, after);
    let mut walk = Walk { rules, ignored, found: Vec::new() };
    walk.values(&mut Paths::default(), (before, after), 0);
    walk.found
}

struct Walk<'a> {
    rules: &'a DiffRules,
    ignored: rules::Places,
    found: Vec<Difference>,
}

impl Walk<'_> {
    fn values(&mut self, path: &mut Paths, (before, after): (&Value, &Value), depth: usize) {
        if before == after {
            return;
        }
        match (before, after) {
            (Value::Object(before), Value::Object(after)) if depth < DEPTH_MAX => {
                self.objects(path, (before, after), depth);
            }
            (Value::Array(before), Value::Array(after)) if depth < DEPTH_MAX => {
                self.arrays(path, (before, after), depth);
            }
            _ => self.differ(path, Some(before), Some(after)),
        }
    }

    fn objects(
        &mut self,
        path: &mut Paths,
        (before, after): (&Map<String, Value>, &Map<String, Value>),
        depth: usize,
    ) {
        for (name, value) in before {
            within(path, [name, name], |path| match after.get(name) {
                Some(other) => self.values(path, (value, other), depth + 1),
                None => self.differ(path, Some(value), None),
            });
        }
        for (name, value) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
            within(path, [name, name], |path| self.differ(path, None, Some(value)));
        }
    }

    fn arrays(&mut self, path: &mut Paths, (before, after): (&[Value], &[Value]), depth: usize) {
        for op in aligned(before, after) {
            let (old, new) = (op.old_range(), op.new_range());
            let both = old.len().min(new.len());
            if matches!(op, DiffOp::Equal { .. }) {
                continue;
            }
            for at in 0..both {
                let (from, to) = (old.start + at, new.start + at);
                within(path, [&from.to_string(), &to.to_string()], |path| {
                    self.values(path, (&before[from], &after[to]), depth + 1);
                });
            }
            for at in old.skip(both) {
                let step = at.to_string();
                within(path, [&step, &step], |path| self.differ(path, Some(&before[at]), None));
            }
            for at in new.skip(both) {
                let step = at.to_string();
                within(path, [&step, &step], |path| self.differ(path, None, Some(&after[at])));
            }
        }
    }

    fn differ(&mut self, path: &Paths, before: Option<&Value>, after: Option<&Value>) {
        let path = if after.is_none() { &path.before } else { &path.after };
        let ignored = self.ignored.rule(path, after.is_none());
        let ignored = ignored.or_else(|| self.rules.same_meaning(before?, after?));
        self.found.push(Difference {
            path: path.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
            ignored,
        });
    }
}

fn aligned(before: &[Value], after: &[Value]) -> Vec<DiffOp> {
    if before.len().saturating_add(after.len()) > ALIGNED_MAX {
        let (old_len, new_len) = (before.len(), after.len());
        return vec![DiffOp::Replace { old_index: 0, old_len, new_index: 0, new_len }];
    }
    // Values cannot be ordered or hashed; their texts can.
    let texts = |values: &[Value]| values.iter().map(Value::to_string).collect::<Vec<_>>();
    similar::capture_diff_slices(Algorithm::Myers, &texts(before), &texts(after))
}

/// The same place in both documents: elements of arrays may have moved.
#[derive(Default)]
struct Paths {
    before: String,
    after: String,
}

/// Goes one step down in both documents, and back.
fn within(paths: &mut Paths, steps: [&str; 2], work: impl FnOnce(&mut Paths)) {
    let lengths = [paths.before.len(), paths.after.len()];
    for (path, step) in [&mut paths.before, &mut paths.after].into_iter().zip(steps) {
        path.push('/');
        path.push_str(&step.replace('~', "~0").replace('/', "~1"));
    }
    work(paths);
    paths.before.truncate(lengths[0]);
    paths.after.truncate(lengths[1]);
}
