//! Reading TOML that people wrote: every error names the line and the key, an unknown key gets the
//! nearest known one.

use serde::de::DeserializeOwned;

/// The furthest a typing error may be from what was meant, in edits.
const SUGGESTION_EDITS_MAX: usize = 3;

/// Why a document cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    /// The line, from 1; 0 when it is not about one.
    pub line: usize,
    /// The key with its tables (`log.retention.max-age`), or empty.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What was probably meant, for an unknown key or word.
    pub suggestion: Option<String>,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        match &self.suggestion {
            Some(word) => write!(f, "; did you mean '{word}'?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// Reads a whole document.
///
/// # Errors
/// It is no TOML, or not of the shape of `T`.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    toml::from_str(text).map_err(|error| {
        let offset = error.span().map(|span| span.start);
        let line = offset.map_or(0, |offset| line_of(text, offset));
        let key = offset.map(|offset| key_at(text, offset)).unwrap_or_default();
        explain(error.message(), line, key)
    })
}

/// Turns what a deserialiser says into an [`Error`], with a suggestion where it lists what it knows.
pub fn explain(message: &str, line: usize, key: String) -> Error {
    let message = message.trim();
    let mut error = Error { line, key, message: message.to_owned(), suggestion: None };
    for (start, kind) in [("unknown field ", "unknown key"), ("unknown variant ", "unknown word")] {
        let Some(rest) = message.strip_prefix(start) else { continue };
        let mut quoted = rest.split('`').skip(1).step_by(2);
        let Some(found) = quoted.next() else { continue };
        let known: Vec<&str> = quoted.collect();
        error.suggestion = nearest(found, &known).map(str::to_owned);
        error.message = match error.suggestion {
            Some(_) => format!("{kind} '{found}'"),
            None => format!("{kind} '{found}'; known are {}", known.join(", ")),
        };
    }
    error.message = in_plain_words(&error.message);
    error
}

/// Says what was expected without the names of this program's types.
fn in_plain_words(message: &str) -> String {
    let Some((found, expected)) = message.rsplit_once("expected ") else {
        return message.to_owned();
    };
    let plain = match expected {
        "usize" | "u64" | "u32" | "u16" | "u8" => "a whole number",
        "i64" | "i32" => "a number",
        "a sequence" => "a list",
        "a map" => "a table",
        "a boolean" => "true or false",
        other => other,
    };
    format!("{found}expected {plain}")
}

/// The word nearest to `found`, if one is near enough to be meant.
pub fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |word: &str| strsim::damerau_levenshtein(&found.replace('_', "-"), word);
    known
        .iter()
        .map(|word| (distance(word), *word))
        .min()
        .filter(|(edits, word)| *edits <= SUGGESTION_EDITS_MAX.min(word.len().div_ceil(2)))
        .map(|(_, word)| word)
}

fn line_of(text: &str, offset: usize) -> usize {
    text.get(..offset).unwrap_or(text).bytes().filter(|&byte| byte == b'\n').count() + 1
}

/// The key at a place, by the table header above it and the left side of its line. Keys inside
/// inline tables are named by the line's own key.
fn key_at(text: &str, offset: usize) -> String {
    let line = line_of(text, offset);
    let mut table = String::new();
    let mut own = String::new();
    for (number, content) in text.lines().enumerate().take(line) {
        let content = content.trim();
        let is_header = content.starts_with('[') && content.contains(']');
        if is_header && !content.contains('=') {
            let end = content.find(']').unwrap_or(content.len());
            table = content[..end].trim_matches('[').trim().to_owned();
            own.clear();
        } else if number + 1 == line {
            own = content.split('=').next().unwrap_or_default().trim().trim_matches('"').to_owned();
        }
    }
    match (table.is_empty(), own.is_empty()) {
        (true, _) => own,
        (_, true) => table,
        _ => format!("{table}.{own}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Root {
        #[expect(dead_code, reason = "read by the test through its errors")]
        log: Option<Log>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Log {
        #[expect(dead_code, reason = "read by the test through its errors")]
        max_age: Option<u64>,
    }

    #[test]
    fn errors_name_line_and_key_and_suggest() {
        for (text, expected) in [
            (
                "[log]\nmax_age = 1",
                "line 2: log.max_age: unknown key 'max_age'; did you mean 'max-age'?",
            ),
            ("\n[lgo]\n", "line 2: lgo: unknown key 'lgo'; did you mean 'log'?"),
            (
                "[log]\nzzzzzzzz = 1",
                "line 2: log.zzzzzzzz: unknown key 'zzzzzzzz'; known are max-age",
            ),
            (
                "[log]\nmax-age = \"x\"",
                "line 2: log.max-age: invalid type: string \"x\", expected a whole number",
            ),
        ] {
            assert_eq!(parse::<Root>(text).unwrap_err().to_string(), expected);
        }
        assert!(parse::<Root>("[log").unwrap_err().to_string().starts_with("line 1: "));
    }
}
