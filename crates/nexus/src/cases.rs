//! Case files of a project, and how a version is held against them.

use std::path::{Path, PathBuf};

use nexus_cli::{Error, HostFailure};
use nexus_model::case::{Case, CaseError};
use nexus_model::limits;

/// A case and where it lies.
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) case: Case,
}

/// Why a file is no case.
#[derive(Debug, thiserror::Error)]
enum Wrong {
    #[error("failed to read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} has {size} bytes, more than {} (case-bytes-max)", path.display(), limits::CASE_BYTES_MAX)]
    Large { path: PathBuf, size: usize },
    #[error("{}", path.display())]
    Form {
        path: PathBuf,
        #[source]
        source: CaseError,
    },
}

impl From<Wrong> for Error {
    fn from(wrong: Wrong) -> Self {
        HostFailure::config(wrong).hint("`nexus replay ID --save-test` writes such files").into()
    }
}

/// Reads files, and those in folders, by their names in order.
pub(crate) fn load(paths: &[PathBuf]) -> Result<Vec<File>, Error> {
    let mut files = Vec::new();
    for path in paths {
        collect(path, &mut files)?;
    }
    files.into_iter().map(|path| Ok(read(path)?)).collect()
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Wrong> {
    let failed = |source| Wrong::Read { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries = std::fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut entries: Vec<PathBuf> =
        entries.map_err(failed)?.iter().map(std::fs::DirEntry::path).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() || entry.extension().is_some_and(|ending| ending == "json") {
            collect(&entry, files)?;
        }
    }
    Ok(())
}

fn read(path: PathBuf) -> Result<File, Wrong> {
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(source) => return Err(Wrong::Read { path, source }),
    };
    if bytes.len() > limits::CASE_BYTES_MAX {
        return Err(Wrong::Large { path, size: bytes.len() });
    }
    match Case::read(&bytes) {
        Ok(case) => Ok(File { path, case }),
        Err(source) => Err(Wrong::Form { path, source }),
    }
}
