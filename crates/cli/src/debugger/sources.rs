//! Source files: those that the server keeps beside the version, as they were when it was built, and
//! those on this machine. Debug information names them as the compiler saw them, maybe elsewhere.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Files larger than this are not shown, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Finds and keeps source files.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// Beginnings of paths there, and what they are here.
    map: Vec<(String, String)>,
    folder: PathBuf,
    /// What the server keeps.
    kept: nexus_model::Sources,
    found: HashMap<String, Option<PathBuf>>,
    lines: HashMap<String, Vec<String>>,
}

impl Sources {
    pub(crate) fn new(folder: PathBuf, map: Vec<(String, String)>) -> Self {
        Sources { map, folder, ..Sources::default() }
    }

    /// Those that the server keeps come first where their text is shown: files here may have changed.
    pub(crate) fn with_kept(self, kept: nexus_model::Sources) -> Self {
        Sources { kept, ..self }
    }

    /// The text of a file that the server keeps.
    pub(crate) fn kept(&self, file: &str) -> Option<&str> {
        self.kept.files.get(self.kept.find(file)?).map(String::as_str)
    }

    /// Where a file is here: where the debug information says, mapped, or below the folder by the
    /// end of its path.
    pub(crate) fn find(&mut self, file: &str) -> Option<PathBuf> {
        if let Some(known) = self.found.get(file) {
            return known.clone();
        }
        let found = self.look_for(file);
        self.found.insert(file.to_owned(), found.clone());
        found
    }

    fn look_for(&self, file: &str) -> Option<PathBuf> {
        let mapped = self.map.iter().find_map(|(from, to)| {
            let rest = file.strip_prefix(from.as_str())?;
            Some(PathBuf::from(format!("{to}{rest}")))
        });
        let candidates = mapped.into_iter().chain([PathBuf::from(file)]);
        if let Some(found) = candidates.into_iter().find(|path| path.is_file()) {
            return Some(found);
        }
        let parts: Vec<&str> = file.split('/').filter(|part| !part.is_empty()).collect();
        // One name alone is found everywhere.
        let longest_first = 0..parts.len().saturating_sub(1);
        let below = |from: usize| self.folder.join(parts[from..].join("/"));
        longest_first.map(below).find(|path| path.is_file())
    }

    /// A file's path there, for a path here.
    pub(crate) fn to_remote(&self, file: &str) -> String {
        let mapped = self.map.iter().find_map(|(from, to)| {
            let rest = file.strip_prefix(to.as_str()).filter(|_| !to.is_empty())?;
            Some(format!("{from}{rest}"))
        });
        mapped.unwrap_or_else(|| {
            let folder = std::path::absolute(&self.folder).unwrap_or_else(|_| self.folder.clone());
            let relative = Path::new(file).strip_prefix(&folder).ok();
            // The end of the path is enough for the server to find it.
            relative.and_then(|path| path.to_str()).unwrap_or(file).to_owned()
        })
    }

    /// The lines of a file; none where nobody has it.
    pub(crate) fn lines(&mut self, file: &str) -> &[String] {
        if !self.lines.contains_key(file) {
            let small = |path: &PathBuf| {
                std::fs::metadata(path).is_ok_and(|found| found.len() <= FILE_BYTES_MAX)
            };
            let kept = self.kept(file).map(|text| text.as_bytes().to_vec());
            let text = kept.or_else(|| {
                self.find(file).filter(small).and_then(|path| std::fs::read(path).ok())
            });
            let lines = text.map(|bytes| {
                let text = String::from_utf8_lossy(&bytes).replace('\t', "    ");
                text.lines().map(str::to_owned).collect()
            });
            self.lines.insert(file.to_owned(), lines.unwrap_or_default());
        }
        self.lines.get(file).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_map_and_by_the_end_of_their_path() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().join("orders/src");
        std::fs::create_dir_all(&here).unwrap();
        std::fs::write(here.join("lib.rs"), "fn a() {}\n\tb\n").unwrap();
        let path = here.join("lib.rs");
        let root = folder.path().to_str().unwrap().to_owned();
        let mut plain = Sources::new(folder.path().to_owned(), Vec::new());
        assert_eq!(plain.find("/ci/build/orders/src/lib.rs"), Some(path.clone()));
        assert_eq!(plain.find("/ci/build/other/src/lib.rs"), None);
        assert_eq!(plain.lines("/ci/build/orders/src/lib.rs"), ["fn a() {}", "    b"]);
        let map = vec![("/ci/x".to_owned(), format!("{root}/orders"))];
        let mut mapped = Sources::new(PathBuf::from("/nowhere"), map);
        assert_eq!(mapped.find("/ci/x/src/lib.rs"), Some(path));
        assert_eq!(mapped.to_remote(&format!("{root}/orders/src/lib.rs")), "/ci/x/src/lib.rs");
        assert_eq!(plain.to_remote(&format!("{root}/orders/src/lib.rs")), "orders/src/lib.rs");
    }

    #[test]
    fn the_text_that_was_built_is_shown_and_not_what_became_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().join("lib.rs");
        std::fs::write(&here, "new\n").unwrap();
        let file = here.to_str().unwrap();
        let kept = nexus_model::Sources {
            root: folder.path().to_str().unwrap().to_owned(),
            files: [("lib.rs".to_owned(), "old\n".to_owned())].into(),
        };
        let plain = || Sources::new(folder.path().to_owned(), Vec::new());
        assert_eq!(plain().lines(file), ["new"]);
        let mut sources = plain().with_kept(kept);
        assert_eq!(sources.lines(file), ["old"]);
        assert_eq!(sources.kept("/elsewhere/other.rs"), None);
    }
}
