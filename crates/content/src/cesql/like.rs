//! Patterns with wildcards: `LIKE` (`%`, `_`) and the matcher `wildcard` (`*`).

use std::collections::BTreeMap;

/// A compiled pattern: pieces of text with "anything" between them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Pattern {
    /// Never empty. Between two neighbours stands a wildcard for any text.
    pieces: Vec<Piece>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Piece {
    /// `None` is any single character.
    chars: Vec<Option<char>>,
    search: Search,
}

/// How a piece is found inside a text, in a time that a hostile pattern cannot make quadratic.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Search {
    /// It has no wildcards for single characters.
    Plain(String),
    /// One bit per character of the piece: which of them a character of the text can stand for.
    Bits { by_char: BTreeMap<char, Vec<u64>>, any: Vec<u64> },
}

const WORD: usize = u64::BITS as usize;

impl Piece {
    fn new(chars: Vec<Option<char>>) -> Self {
        if let Some(plain) = chars.iter().copied().collect() {
            return Piece { chars, search: Search::Plain(plain) };
        }
        let mut any = vec![0_u64; chars.len().div_ceil(WORD)];
        for (at, _) in chars.iter().enumerate().filter(|(_, char)| char.is_none()) {
            any[at / WORD] |= 1 << (at % WORD);
        }
        let mut by_char: BTreeMap<char, Vec<u64>> = BTreeMap::new();
        for (at, char) in chars.iter().enumerate().filter_map(|(at, char)| Some((at, (*char)?))) {
            by_char.entry(char).or_insert_with(|| any.clone())[at / WORD] |= 1 << (at % WORD);
        }
        Piece { chars, search: Search::Bits { by_char, any } }
    }

    /// The length of what the piece matches at the start of `text`, in bytes.
    fn at_start(&self, text: &str) -> Option<usize> {
        if let Search::Plain(plain) = &self.search {
            return text.starts_with(plain.as_str()).then_some(plain.len());
        }
        let mut rest = text.chars();
        for expected in &self.chars {
            let next = rest.next()?;
            if expected.is_some_and(|expected| expected != next) {
                return None;
            }
        }
        Some(text.len() - rest.as_str().len())
    }

    /// Where the first match of the piece ends, in bytes.
    fn find(&self, text: &str) -> Option<usize> {
        let (by_char, any) = match &self.search {
            Search::Plain(plain) => return text.find(plain.as_str()).map(|at| at + plain.len()),
            Search::Bits { by_char, any } => (by_char, any),
        };
        let last = self.chars.len() - 1;
        // A bit is set where the text up to here ends like the piece up to there.
        let mut state = vec![0_u64; any.len()];
        for (at, next) in text.char_indices() {
            let mask = by_char.get(&next).unwrap_or(any);
            let mut carry = 1;
            for (word, mask) in state.iter_mut().zip(mask) {
                let overflow = *word >> (WORD - 1);
                *word = (*word << 1 | carry) & mask;
                carry = overflow;
            }
            if state[last / WORD] >> (last % WORD) & 1 == 1 {
                return Some(at + next.len_utf8());
            }
        }
        None
    }

    fn at_end(&self, text: &str) -> Option<usize> {
        if let Search::Plain(plain) = &self.search {
            return text.ends_with(plain.as_str()).then(|| text.len() - plain.len());
        }
        let mut rest = text.chars();
        for expected in self.chars.iter().rev() {
            let next = rest.next_back()?;
            if expected.is_some_and(|expected| expected != next) {
                return None;
            }
        }
        Some(rest.as_str().len())
    }
}

impl Pattern {
    /// A pattern of `LIKE`: `%` is any text, `_` any character, `\` before one of them takes it
    /// literally.
    pub(crate) fn like(text: &str) -> Self {
        let mut pieces = vec![Vec::new()];
        let mut chars = text.chars().peekable();
        while let Some(next) = chars.next() {
            let piece = match (next, chars.peek()) {
                ('\\', Some(&escaped @ ('%' | '_'))) => {
                    chars.next();
                    Some(Some(escaped))
                }
                ('%', _) => None,
                ('_', _) => Some(None),
                (next, _) => Some(Some(next)),
            };
            match (piece, pieces.last_mut()) {
                (Some(char), Some(last)) => last.push(char),
                _ => pieces.push(Vec::new()),
            }
        }
        Pattern { pieces: pieces.into_iter().map(Piece::new).collect() }
    }

    /// A pattern of `wildcard`: `*` is any text, `\*` and `\\` are literal.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn wildcard(text: &str) -> Result<Self, String> {
        let mut pieces = vec![Vec::new()];
        let mut chars = text.chars().peekable();
        let mut after_star = false;
        while let Some(next) = chars.next() {
            let star = next == '*';
            if star && after_star {
                return Err("'**' means the same as '*': write one".into());
            }
            after_star = star;
            if star {
                pieces.push(Vec::new());
                continue;
            }
            let literal = match (next, chars.peek()) {
                ('\\', Some(&escaped @ ('*' | '\\'))) => {
                    chars.next();
                    escaped
                }
                ('\\', _) => return Err(r"a '\' must stand before '*' or '\'".into()),
                (next, _) => next,
            };
            if let Some(last) = pieces.last_mut() {
                last.push(Some(literal));
            }
        }
        Ok(Pattern { pieces: pieces.into_iter().map(Piece::new).collect() })
    }

    /// Whether the whole text matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let [first, rest @ ..] = &self.pieces[..] else { return text.is_empty() };
        let Some(start) = first.at_start(text) else { return false };
        let Some((last, middle)) = rest.split_last() else { return start == text.len() };
        let Some(end) = last.at_end(&text[start..]) else { return false };
        // The earliest place for each piece in the middle leaves the most room for the next one.
        let mut rest = &text[start..start + end];
        middle.iter().all(|piece| match piece.find(rest) {
            Some(after) => {
                rest = &rest[after..];
                true
            }
            None => false,
        })
    }

    /// The text that every match begins with, and whether it is the only match.
    pub(crate) fn prefix(&self) -> (String, Whole) {
        let first = self.pieces.first().map(|piece| &piece.chars[..]).unwrap_or_default();
        let prefix: String = first.iter().map_while(|char| *char).collect();
        let whole = self.pieces.len() == 1 && first.iter().all(Option::is_some);
        (prefix, if whole { Whole::Yes } else { Whole::No })
    }
}

/// Whether a prefix is all that matches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whole {
    Yes,
    No,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The plain rule, tried in every way.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match (pattern.first(), text.first()) {
            (None, None) => true,
            (Some('%'), _) => {
                naive(&pattern[1..], text) || (!text.is_empty() && naive(pattern, &text[1..]))
            }
            (Some('_'), Some(_)) => naive(&pattern[1..], &text[1..]),
            (Some(expected), Some(found)) => expected == found && naive(&pattern[1..], &text[1..]),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn like_agrees_with_the_plain_rule(pattern in "[ab%_ä]{0,8}", text in "[abä]{0,8}") {
            let pieces: Vec<char> = pattern.chars().collect();
            let chars: Vec<char> = text.chars().collect();
            prop_assert_eq!(Pattern::like(&pattern).matches(&text), naive(&pieces, &chars));
        }

        #[test]
        fn matches_begin_with_the_prefix(pattern in "[ab%_\\\\]{0,6}", text in "[ab%_]{0,6}") {
            let compiled = Pattern::like(&pattern);
            let (prefix, whole) = compiled.prefix();
            if compiled.matches(&text) {
                prop_assert!(text.starts_with(&prefix));
            }
            prop_assert!(whole == Whole::No || compiled.matches(&text) == (text == prefix));
        }
    }

    #[test]
    fn long_pieces_span_words() {
        for length in [63, 64, 65, 130] {
            let pattern = Pattern::like(&format!("%{}_b%", "a".repeat(length)));
            assert!(pattern.matches(&format!("x{}cbz", "a".repeat(length))), "{length}");
            assert!(pattern.matches(&format!("x{}cb", "a".repeat(length + 7))), "{length}");
            assert!(!pattern.matches(&format!("x{}cbz", "a".repeat(length - 1))), "{length}");
        }
    }

    #[test]
    fn wildcards_take_stars_only() {
        let matches = |pattern, text| Pattern::wildcard(pattern).unwrap().matches(text);
        assert!(matches("a*c", "abbc") && matches("*", "") && matches(r"\*\\", r"*\"));
        assert!(!matches("a*c", "ab") && !matches("a_c", "abc") && !matches("ab*ba", "aba"));
        for wrong in ["a**b", r"a\b", r"a\"] {
            assert!(Pattern::wildcard(wrong).is_err(), "{wrong}");
        }
    }
}
