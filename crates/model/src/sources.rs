//! The text of the code that a version was built from: what debuggers and crash dumps show.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::{SOURCE_FILE_BYTES_MAX, SOURCE_FILES_MAX, SOURCES_BYTES_MAX};

/// Parts of paths of source files that are no user's: the standard library, packages from
/// registries, our own SDK.
const FOREIGN: [&str; 8] = [
    "/nexus-sdk/src/",
    "/rustc/",
    "/.cargo/registry/",
    "/.cargo/git/",
    "/rustlib/src/",
    "/rust/deps/",
    "/wasi-libc/",
    "wasisdk://",
];

/// Whether a source file is the user's own, by the name that debug information has for it.
pub fn is_own_source(file: &str) -> bool {
    // Paths of the compiler's own build are relative or begin with a hash of it.
    !FOREIGN.iter().any(|part| file.contains(part)) && !file.starts_with("library/")
}

/// The text of a version's code, as it was when it was built.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    /// The folder that the paths are relative to, where it was built: debug information names files
    /// from there. Empty where that is not known.
    #[serde(default)]
    pub root: String,
    /// Texts by their paths, with `/` between the parts.
    pub files: BTreeMap<String, String>,
}

/// Why sources are not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SourcesError {
    /// Too many files.
    #[error("there are {count} source files; the limit is {SOURCE_FILES_MAX} (source-files-max)")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// One file is too large.
    #[error(
        "the source file {path} has {bytes} bytes; the limit is {SOURCE_FILE_BYTES_MAX} \
         (source-file-bytes-max)"
    )]
    FileTooLarge {
        /// Its path.
        path: String,
        /// Its size.
        bytes: usize,
    },
    /// All of them together are too large.
    #[error(
        "the source files have {bytes} bytes; the limit is {SOURCES_BYTES_MAX} (sources-bytes-max)"
    )]
    TooLarge {
        /// Their size.
        bytes: usize,
    },
    /// A path that leads out of the folder, or names nothing.
    #[error("'{path}' is no path below the sources' folder")]
    Path {
        /// The path.
        path: String,
    },
}

impl Sources {
    /// Holds them against the limits.
    ///
    /// # Errors
    /// They are above a limit, or a path leads out of the folder.
    pub fn check(&self) -> Result<(), SourcesError> {
        if self.files.len() > SOURCE_FILES_MAX {
            return Err(SourcesError::TooMany { count: self.files.len() });
        }
        for (path, text) in &self.files {
            let strange = |part: &str| matches!(part, "" | "." | "..");
            if path.split('/').any(strange) || path.contains(['\\', '\0']) {
                return Err(SourcesError::Path { path: path.clone() });
            }
            if text.len() > SOURCE_FILE_BYTES_MAX {
                return Err(SourcesError::FileTooLarge { path: path.clone(), bytes: text.len() });
            }
        }
        let bytes = self.files.iter().map(|(path, text)| path.len() + text.len()).sum();
        if bytes > SOURCES_BYTES_MAX {
            return Err(SourcesError::TooLarge { bytes });
        }
        Ok(())
    }

    /// The path of a file that debug information, or a language's own stack, names so. What is not
    /// the user's own is not found, nor what only has the same last name.
    pub fn find(&self, file: &str) -> Option<&str> {
        let exactly = |path: &str| self.files.get_key_value(path).map(|(path, _)| path.as_str());
        if !self.root.is_empty() {
            let below = file.strip_prefix(&self.root).and_then(|rest| rest.strip_prefix('/'));
            if let Some(path) = below {
                return exactly(path);
            }
        }
        if let Some(path) = exactly(file) {
            return Some(path);
        }
        if !is_own_source(file) {
            return None;
        }
        // Built in another folder, or named from the function's own: the longest common end, which
        // must be all of the shorter one.
        let length = |path: &str| path.split('/').filter(|part| !part.is_empty()).count();
        let fits = |path: &&String| {
            let common = common_end(path, file);
            common == length(path).min(length(file)) && (common > 1 || length(file) == 1)
        };
        let rank = |path: &&String| (common_end(path, file), usize::MAX - path.len());
        self.files.keys().filter(fits).max_by_key(rank).map(String::as_str)
    }
}

/// How many of their last parts two paths have in common.
fn common_end(one: &str, other: &str) -> usize {
    let parts = |path: &str| -> Vec<String> {
        path.split('/').filter(|part| !part.is_empty()).rev().map(str::to_owned).collect()
    };
    parts(one).iter().zip(&parts(other)).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(root: &str, paths: &[&str]) -> Sources {
        let files = paths.iter().map(|path| ((*path).to_owned(), String::new())).collect();
        Sources { root: root.to_owned(), files }
    }

    #[test]
    fn files_are_found_as_compilers_and_languages_name_them() {
        let one = ["src/lib.rs", "src/price.rs"];
        let many = ["orders/index.js", "orders/lib/price.js", "shared/price.js"];
        for (root, paths, file, expected) in [
            ("/home/me/shop", &one[..], "/home/me/shop/src/lib.rs", Some("src/lib.rs")),
            ("/home/me/shop", &one, "/home/me/shop/src/gone.rs", None),
            // Built elsewhere: the end of the path must be the same.
            ("/home/me/shop", &one, "/ci/build/src/price.rs", Some("src/price.rs")),
            ("/home/me/shop", &one, "/ci/build/other/price.rs", None),
            // Packages have a src/lib.rs, too.
            ("/home/me/shop", &one, "/x/.cargo/registry/src/i/serde-1/src/lib.rs", None),
            ("/home/me/shop", &one, "/rustc/abc/library/core/src/lib.rs", None),
            ("/home/me/shop", &one, "library/std/src/lib.rs", None),
            // Languages name files from the function's folder.
            ("/home/me/shop", &many, "index.js", Some("orders/index.js")),
            ("/home/me/shop", &many, "lib/price.js", Some("orders/lib/price.js")),
            ("/home/me/shop", &many, "price.js", Some("shared/price.js")),
            ("", &many, "nothing.js", None),
            ("", &many, "", None),
        ] {
            assert_eq!(sources(root, paths).find(file), expected, "{file} in {paths:?}");
        }
    }

    #[test]
    fn paths_that_lead_elsewhere_and_what_is_too_large_are_refused() {
        for path in ["", "/etc/passwd", "a//b", "../a.rs", "a/../b.rs", "a/./b", "a\\b", "a\0"] {
            let wrong = sources("", &[path]).check();
            assert_eq!(wrong, Err(SourcesError::Path { path: path.to_owned() }), "{path:?}");
        }
        assert_eq!(sources("", &["a.rs", "b/c.rs", "..a"]).check(), Ok(()));
        let mut large = sources("", &["a.rs"]);
        large.files.insert("b.rs".into(), "x".repeat(SOURCE_FILE_BYTES_MAX + 1));
        assert!(matches!(large.check(), Err(SourcesError::FileTooLarge { .. })));
        let text = "x".repeat(SOURCE_FILE_BYTES_MAX);
        let count = SOURCES_BYTES_MAX / SOURCE_FILE_BYTES_MAX + 1;
        let files = (0..count).map(|number| (format!("{number}.rs"), text.clone())).collect();
        let large = Sources { root: String::new(), files };
        assert!(matches!(large.check(), Err(SourcesError::TooLarge { .. })));
        let files = (0..=SOURCE_FILES_MAX).map(|at| (format!("{at}.rs"), String::new())).collect();
        let many = Sources { root: String::new(), files };
        assert_eq!(many.check(), Err(SourcesError::TooMany { count: SOURCE_FILES_MAX + 1 }));
    }
}
