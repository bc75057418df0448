//! The languages that Nexus builds itself.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A language that [`crate::build`] knows how to turn into a component.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Language {
    /// `cargo build --target wasm32-wasip2`.
    Rust,
    /// QuickJS with the user's modules loaded before the snapshot; needs no tools.
    JavaScript,
    /// JavaScript after its types were blanked out; needs no tools.
    TypeScript,
    /// CPython by `componentize-py`.
    Python,
}

impl Language {
    /// All of them, in the order in which help shows them.
    pub const ALL: [Language; 4] =
        [Language::Rust, Language::JavaScript, Language::TypeScript, Language::Python];

    /// The name as written in manifests and in `VersionSpec::language`.
    pub fn as_str(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::JavaScript => "javascript",
            Language::TypeScript => "typescript",
            Language::Python => "python",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no known language.
#[derive(Debug, thiserror::Error)]
#[error("unknown language `{0}`: known are rust, javascript, typescript, python")]
pub struct UnknownLanguage(String);

impl FromStr for Language {
    type Err = UnknownLanguage;

    /// Also takes the usual short forms `rs`, `js`, `ts` and `py`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "rust" | "rs" => Ok(Language::Rust),
            "javascript" | "js" => Ok(Language::JavaScript),
            "typescript" | "ts" => Ok(Language::TypeScript),
            "python" | "py" => Ok(Language::Python),
            other => Err(UnknownLanguage(other.to_owned())),
        }
    }
}

/// Guesses the language of a function's folder from the file that its builder would start with.
/// `None` when there is no such file.
pub fn detect(dir: &Path) -> Option<Language> {
    if dir.join("Cargo.toml").is_file() {
        return Some(Language::Rust);
    }
    match crate::javascript::entry_file(dir) {
        Some(path) if crate::javascript::is_typescript(&path) => Some(Language::TypeScript),
        Some(_) => Some(Language::JavaScript),
        None if crate::python::entry_module(dir).is_some() => Some(Language::Python),
        None => None,
    }
}
