//! Which route a path takes: a tree of path segments, shared between snapshots.
//!
//! | a path in a route | matches |
//! |---|---|
//! | `/hello` | itself and everything below it |
//! | `/hello/{$}` | itself only |
//! | `/orders/{id}` | one segment in the place of `{id}`, and nothing below |
//! | `/files/{*rest}` | everything below, but not itself |
//!
//! The most specific one wins, segment by segment from the left: text, then `{id}`, then `{*rest}`,
//! then what lies above. A final slash makes no difference.

use std::sync::Arc;

use crate::buckets::{Buckets, Named};

/// Path segments that are looked at when a route is searched.
pub(crate) const SEGMENTS_MAX: usize = 32;

/// A path as routes write it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Pattern {
    segments: Vec<Segment>,
    end: End,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Segment {
    Text(Box<str>),
    Any,
}

/// What a pattern says of the rest of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// There is none.
    Exact,
    /// There is some, whatever it is.
    Rest,
    /// Both.
    Below,
}

impl Pattern {
    /// Reads a path that begins with `/`.
    ///
    /// # Errors
    /// Braces in a place where they have no meaning; the text says which.
    pub(crate) fn parse(path: &str) -> Result<Self, String> {
        let rest = path.strip_prefix('/').ok_or("a path begins with /")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let mut pattern = Pattern { segments: Vec::new(), end: End::Below };
        if rest.is_empty() {
            return Ok(pattern);
        }
        let count = rest.split('/').count();
        if count > SEGMENTS_MAX {
            return Err(format!("{count} segments, the limit is {SEGMENTS_MAX}"));
        }
        for (index, segment) in rest.split('/').enumerate() {
            let inner = segment.strip_prefix('{').and_then(|at| at.strip_suffix('}'));
            let last = index + 1 == count;
            match inner {
                None if segment.contains(['{', '}']) => {
                    return Err(format!("'{segment}': braces hold a whole segment: {{id}}"));
                }
                None => pattern.segments.push(Segment::Text(segment.into())),
                Some("$") if last => {
                    pattern.end = End::Exact;
                    return Ok(pattern);
                }
                Some(name) if last && name.starts_with('*') && is_word(&name[1..]) => {
                    pattern.end = End::Rest;
                    return Ok(pattern);
                }
                Some(name) if name == "$" || name.starts_with('*') => {
                    return Err(format!("'{segment}' is only allowed at the end"));
                }
                Some(name) if is_word(name) => {
                    pattern.segments.push(Segment::Any);
                    pattern.end = End::Exact;
                }
                Some(_) => return Err(format!("'{segment}' is no name in braces")),
            }
        }
        Ok(pattern)
    }

    /// The same path and nothing below it.
    pub(crate) fn exactly(path: &str) -> Result<Self, String> {
        let pattern = Pattern::parse(path)?;
        Ok(Pattern { end: End::Exact, ..pattern })
    }
}

fn is_word(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// What lies at patterns: a node of the tree. Most have one entry and nothing below.
pub(crate) struct Routes<T> {
    /// The text that leads here from the node above.
    segment: Box<str>,
    held: Held<T>,
    texts: Buckets<Arc<Routes<T>>>,
    any: Option<Arc<Routes<T>>>,
}

/// What lies at a node, each with the end that it asks for.
#[derive(Clone)]
enum Held<T> {
    Nothing,
    One([(End, T); 1]),
    Many(Arc<[(End, T)]>),
}

impl<T> Held<T> {
    fn entries(&self) -> &[(End, T)] {
        match self {
            Held::Nothing => &[],
            Held::One(entry) => entry,
            Held::Many(entries) => entries,
        }
    }
}

impl<T> From<Vec<(End, T)>> for Held<T> {
    fn from(entries: Vec<(End, T)>) -> Self {
        match <[_; 1]>::try_from(entries) {
            Ok(entry) => Held::One(entry),
            Err(none) if none.is_empty() => Held::Nothing,
            Err(many) => Held::Many(many.into()),
        }
    }
}

impl<T: Clone> Clone for Routes<T> {
    fn clone(&self) -> Self {
        Routes {
            segment: self.segment.clone(),
            held: self.held.clone(),
            texts: self.texts.clone(),
            any: self.any.clone(),
        }
    }
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Routes::below("")
    }
}

impl<T> Routes<T> {
    fn below(segment: &str) -> Self {
        let (segment, held) = (segment.into(), Held::Nothing);
        Routes { segment, held, texts: Buckets::default(), any: None }
    }
}

impl<T> Named for Routes<T> {
    fn name(&self) -> &str {
        &self.segment
    }
}

/// What is done to the entries of one node.
type Change<'a, T> = dyn FnMut(&mut Vec<(End, T)>) + 'a;

/// The entries that a path met: those with the end that won.
pub(crate) struct Found<'a, T> {
    entries: &'a [(End, T)],
    end: End,
}

impl<'a, T> Found<'a, T> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a T> + use<'a, T> {
        let end = self.end;
        self.entries.iter().filter(move |(at, _)| *at == end).map(|(_, entry)| entry)
    }
}

impl<T: Clone> Routes<T> {
    /// Whether nothing lies here or below.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.entries().is_empty() && self.any.is_none() && self.texts.is_empty()
    }

    /// What the most specific pattern holds that matches the path of a request.
    pub(crate) fn find(&self, path: &str) -> Option<Found<'_, T>> {
        let rest = path.strip_prefix('/').unwrap_or(path);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        self.search((!rest.is_empty()).then_some(rest), SEGMENTS_MAX)
    }

    /// `rest` is what is left of the path, `None` at its end. Each node is looked at once at most:
    /// it has one parent, and the segments are given.
    fn search(&self, rest: Option<&str>, depth: usize) -> Option<Found<'_, T>> {
        let Some(rest) = rest else {
            return self.held(End::Exact).or_else(|| self.held(End::Below));
        };
        if depth > 0 {
            let (segment, behind) = match rest.split_once('/') {
                Some((segment, behind)) => (segment, Some(behind)),
                None => (rest, None),
            };
            let text = self.texts.get(segment);
            let any = self.any.as_ref().filter(|_| !segment.is_empty());
            let found = text
                .and_then(|node| node.search(behind, depth - 1))
                .or_else(|| any.and_then(|node| node.search(behind, depth - 1)));
            if found.is_some() {
                return found;
            }
        }
        self.held(End::Rest).or_else(|| self.held(End::Below))
    }

    fn held(&self, end: End) -> Option<Found<'_, T>> {
        let entries = self.held.entries();
        entries.iter().any(|(at, _)| *at == end).then_some(Found { entries, end })
    }

    /// What lies at exactly this pattern.
    pub(crate) fn at(&self, pattern: &Pattern) -> impl Iterator<Item = &T> {
        let mut node = Some(self);
        for segment in &pattern.segments {
            node = node.and_then(|node| match segment {
                Segment::Text(text) => node.texts.get(text).map(|at| &**at),
                Segment::Any => node.any.as_deref(),
            });
        }
        let found = node.and_then(|node| node.held(pattern.end));
        found.into_iter().flat_map(|found| found.iter())
    }

    /// Puts something at a pattern, beside what lies there.
    pub(crate) fn insert(&mut self, pattern: &Pattern, entry: T) {
        self.change(&pattern.segments, &mut |entries| entries.push((pattern.end, entry.clone())));
    }

    /// Takes away what lies at a pattern and is not to be kept.
    pub(crate) fn retain(&mut self, pattern: &Pattern, keep: impl Fn(&T) -> bool) {
        self.change(&pattern.segments, &mut |entries| {
            entries.retain(|(end, entry)| *end != pattern.end || keep(entry));
        });
    }

    fn change(&mut self, segments: &[Segment], change: &mut Change<'_, T>) {
        let Some((first, behind)) = segments.split_first() else {
            let mut entries = self.held.entries().to_vec();
            change(&mut entries);
            self.held = entries.into();
            return;
        };
        match first {
            Segment::Text(text) => {
                let known = self.texts.get(text).map(|node| Routes::clone(node));
                let mut node = known.unwrap_or_else(|| Routes::below(text));
                node.change(behind, change);
                match node.is_empty() {
                    true => self.texts.remove(text),
                    false => self.texts.set(Arc::new(node)),
                }
            }
            Segment::Any => {
                let mut node = self.any.take().map(|node| Routes::clone(&node)).unwrap_or_default();
                node.change(behind, change);
                self.any = (!node.is_empty()).then(|| Arc::new(node));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(patterns: &[&str]) -> Routes<String> {
        let mut tree = Routes::default();
        for text in patterns {
            tree.insert(&Pattern::parse(text).unwrap(), (*text).to_owned());
        }
        tree
    }

    #[track_caller]
    fn check(tree: &Routes<String>, path: &str, expected: &str) {
        let found: Vec<String> =
            tree.find(path).map(|found| found.iter().cloned().collect()).unwrap_or_default();
        assert_eq!(found.join(" "), expected, "{path}");
    }

    #[test]
    fn the_most_specific_route_wins() {
        let tree = tree(&[
            "/",
            "/orders",
            "/orders/{id}",
            "/orders/{id}/lines/{*rest}",
            "/orders/new/{$}",
            "/{any}/new",
            "/files/{*rest}",
        ]);
        for (path, expected) in [
            ("/", "/"),
            ("/x", "/"),
            ("/orders", "/orders"),
            ("/orders/", "/orders"),
            ("/orders/7", "/orders/{id}"),
            ("/orders/7/", "/orders/{id}"),
            ("/orders/new", "/orders/new/{$}"),
            ("/orders/new/x", "/orders"),
            ("/orders/7/lines", "/orders"),
            ("/orders/7/lines/1/2", "/orders/{id}/lines/{*rest}"),
            ("/things/new", "/{any}/new"),
            ("/things/new/x", "/"),
            ("/files", "/"),
            ("/files/a/b", "/files/{*rest}"),
            ("//", "/"),
            ("/orders//", "/orders"),
        ] {
            check(&tree, path, expected);
        }
    }

    #[test]
    fn deep_paths_meet_what_lies_above() {
        let tree = tree(&["/a"]);
        check(&tree, &format!("/a{}", "/b".repeat(10_000)), "/a");
    }

    #[test]
    fn what_is_taken_away_leaves_nothing() {
        let mut tree = tree(&["/a/b", "/a/{id}/c", "/a/{*rest}"]);
        let before = tree.clone();
        for text in ["/a/b", "/a/{other}/c", "/a/{*all}"] {
            let pattern = Pattern::parse(text).unwrap();
            assert_eq!(tree.at(&pattern).count(), 1, "{text}");
            tree.retain(&pattern, |_| false);
            assert_eq!(tree.at(&pattern).count(), 0, "{text}");
        }
        assert!(tree.is_empty());
        check(&before, "/a/b", "/a/b");
    }

    #[test]
    fn braces_have_their_places() {
        for wrong in ["/a{id}", "/{*rest}/a", "/{$}/a", "/{}", "/{a b}", "/{*}", "a", "/{id"] {
            assert!(Pattern::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Pattern::parse("/a").unwrap(), Pattern::parse("/a/").unwrap());
        assert_eq!(Pattern::exactly("/a").unwrap(), Pattern::parse("/a/{$}").unwrap());
    }
}
