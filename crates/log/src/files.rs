//! The names of files in a log's folder.
//!
//! ```text
//! 0000000000000007.tail     being written, or full and waiting for sealing
//! 0000000000000006.sealed   immutable
//! 0000000000000006.sealing  half written: removed at start
//! 0000000000000005.spare    a zero-filled or used file that waits to become a tail
//! payload.key               the key of the payload hashes
//! LOCK                      held by the process that has the log open
//! ```

use std::path::{Path, PathBuf};

use crate::Error;
use crate::disk::Disk;

/// What a file is, by its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum FileKind {
    Tail,
    Sealed,
    Sealing,
    Spare,
}

impl FileKind {
    fn extension(self) -> &'static str {
        match self {
            FileKind::Tail => "tail",
            FileKind::Sealed => "sealed",
            FileKind::Sealing => "sealing",
            FileKind::Spare => "spare",
        }
    }
}

/// The path of a file.
pub(crate) fn path_of(dir: &Path, kind: FileKind, number: u64) -> PathBuf {
    dir.join(format!("{number:016x}.{}", kind.extension()))
}

/// The path of the key of the payload hashes.
pub(crate) fn key_path(dir: &Path) -> PathBuf {
    dir.join("payload.key")
}

/// The files of a log, by kind and number, in order. Files of other names are not ours.
pub(crate) fn list(dir: &Path, disk: &dyn Disk) -> Result<Vec<(FileKind, u64)>, Error> {
    let names = disk.list(dir).map_err(|source| Error::io("list", dir, source))?;
    let mut files: Vec<(FileKind, u64)> = names.iter().filter_map(|name| parse(name)).collect();
    files.sort_unstable();
    Ok(files)
}

fn parse(name: &str) -> Option<(FileKind, u64)> {
    let (stem, extension) = name.split_once('.')?;
    if stem.len() != 16 {
        return None;
    }
    let number = u64::from_str_radix(stem, 16).ok()?;
    let kinds = [FileKind::Tail, FileKind::Sealed, FileKind::Sealing, FileKind::Spare];
    kinds.into_iter().find(|kind| kind.extension() == extension).map(|kind| (kind, number))
}
