//! The words that people write for scopes.

use nexus_model::Scope;

const WORDS: &[(&str, Scope)] = &[
    ("admin", Scope::Admin),
    ("read", Scope::Read),
    ("read-payload", Scope::ReadPayload),
    ("write", Scope::Write),
    ("emit", Scope::Emit),
    ("invoke", Scope::Invoke),
    ("replay", Scope::Replay),
];

/// A list of scopes that cannot be understood.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ScopeError {
    /// A word that is no scope.
    #[error("'{word}' is not a scope: use {}", words())]
    Unknown {
        /// The word.
        word: String,
    },
    /// No scope at all.
    #[error("a token needs at least one scope of {}", words())]
    Empty,
}

/// The word for a scope, the same as in JSON: `read-payload`.
pub fn scope_word(scope: Scope) -> &'static str {
    match scope {
        Scope::Admin => "admin",
        Scope::Read => "read",
        Scope::ReadPayload => "read-payload",
        Scope::Write => "write",
        Scope::Emit => "emit",
        Scope::Invoke => "invoke",
        Scope::Replay => "replay",
    }
}

/// The scope that a word means, in any case.
///
/// # Errors
/// The word is no scope; the error lists all.
pub fn parse_scope(word: &str) -> Result<Scope, ScopeError> {
    let found = WORDS.iter().find(|(at, _)| at.eq_ignore_ascii_case(word));
    found.map(|(_, scope)| *scope).ok_or_else(|| ScopeError::Unknown { word: word.to_owned() })
}

/// Scopes separated by commas or spaces, as on a command line: sorted, each once.
///
/// # Errors
/// A word that is no scope, or no word at all.
pub fn parse_scopes(text: &str) -> Result<Vec<Scope>, ScopeError> {
    let words = text.split([',', ' ']).filter(|word| !word.is_empty());
    let mut scopes = words.map(parse_scope).collect::<Result<Vec<_>, _>>()?;
    if scopes.is_empty() {
        return Err(ScopeError::Empty);
    }
    scopes.sort_unstable();
    scopes.dedup();
    Ok(scopes)
}

fn words() -> String {
    let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
    words.join(", ")
}
