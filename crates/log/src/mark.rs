//! The mark: a file outside the log's folder that says how far the log went, so that somebody notices
//! when a part of it, or all of it, is gone.
//!
//! ```text
//! nexus log mark 1 <segment> <record> <CRC-32C of what stands before, in hexadecimal>\n
//! ```
//!
//! It is written after what it speaks of is on the disk (when a segment begins, at a start, at a clean
//! end) and stays behind in between: the log has reached it whenever a crash comes. A mark that cannot
//! be written, because the disk is full, stays where it is; one that is missing or damaged says nothing.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, read_up_to};
use crate::recover::{self, Found};
use crate::{Error, FolderLock};

const FIRST_WORDS: &str = "nexus log mark ";
const VERSION: u32 = 1;
/// More than any mark has, in bytes.
const BYTES_MAX: usize = 256;

/// How far a log went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// The number of its last segment; 0 for none.
    pub segment: u64,
    /// The number of its last record; 0 for none.
    pub sequence: u64,
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Reached { segment: 0, .. } => f.write_str("nothing"),
            Reached { segment, sequence } => write!(f, "record {sequence} in segment {segment}"),
        }
    }
}

impl Reached {
    fn of(found: &Found) -> Self {
        Reached { segment: found.next_segment - 1, sequence: found.next_sequence - 1 }
    }
}

/// Checks that the log in `dir`, which no process may have open, goes as far as its mark says; how far
/// that is.
///
/// # Errors
/// [`Error::Shorter`] where it does not; [`Error::Corrupt`] where it is damaged; or it cannot be read.
pub fn check_end(dir: &Path, disk: &dyn Disk, mark: &Path) -> Result<Reached, Error> {
    let _lock = FolderLock::acquire(dir, disk)?;
    let found = recover::find(dir, disk)?;
    check(&found, (dir, disk), mark)?;
    Ok(Reached::of(&found))
}

/// Takes the log in `dir`, which no process may have open, as it is from now on, however far it went
/// once. Gives how far it goes.
///
/// # Errors
/// It is damaged or cannot be read, or the mark cannot be written.
pub fn accept_end(dir: &Path, disk: &dyn Disk, mark: &Path) -> Result<Reached, Error> {
    let _lock = FolderLock::acquire(dir, disk)?;
    let reached = Reached::of(&recover::find(dir, disk)?);
    write(disk, mark, reached)?;
    Ok(reached)
}

/// Whether what was found goes as far as the mark says.
pub(crate) fn check(
    found: &Found,
    (dir, disk): (&Path, &dyn Disk),
    mark: &Path,
) -> Result<(), Error> {
    let Some(known) = read(disk, mark)? else { return Ok(()) };
    let found = Reached::of(found);
    if found.segment >= known.segment && found.sequence >= known.sequence {
        return Ok(());
    }
    Err(Error::Shorter { dir: dir.to_owned(), found, known })
}

/// Makes a mark that is there say no more than what was found.
pub(crate) fn lower(disk: &dyn Disk, mark: &Path, found: &Found) -> Result<(), Error> {
    match read(disk, mark)? {
        None => Ok(()),
        Some(_) => write(disk, mark, Reached::of(found)),
    }
}

/// Writes a mark; where that fails the old one stays, which is behind.
pub(crate) fn put(disk: &dyn Disk, mark: Option<&Path>, reached: Reached) {
    let Some(path) = mark else { return };
    if let Err(error) = write(disk, path, reached) {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the mark of the log stays behind"
        );
    }
}

fn write(
    disk: &dyn Disk,
    path: &Path,
    Reached { segment, sequence }: Reached,
) -> Result<(), Error> {
    let beside = path.with_extension("mark-new");
    let failed = |operation, path: &PathBuf| {
        let path = path.clone();
        move |source| Error::io(operation, path, source)
    };
    let text = format!("{FIRST_WORDS}{VERSION} {segment} {sequence} ");
    let text = format!("{text}{:08x}\n", crc32c::crc32c(text.as_bytes()));
    let file = disk.create(&beside).map_err(failed("create", &beside))?;
    file.write_at(0, &[text.as_bytes()]).map_err(failed("write", &beside))?;
    file.sync().map_err(failed("sync", &beside))?;
    disk.rename(&beside, path).map_err(failed("rename", &beside))?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    disk.sync_dir(folder).map_err(|source| Error::io("sync", folder, source))
}

/// What a mark says; `None` where there is none, or none that can be read.
fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Reached>, Error> {
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path, error)),
    };
    let bytes =
        read_up_to(&*file, 0, BYTES_MAX).map_err(|source| Error::io("read", path, source))?;
    match parse(&bytes) {
        Some(Ok(reached)) => Ok(Some(reached)),
        Some(Err(found)) => {
            Err(Error::NewerFormat { path: path.to_owned(), found, supported: VERSION })
        }
        None => {
            tracing::warn!(path = %path.display(), "the mark of the log is damaged: it is made again");
            Ok(None)
        }
    }
}

/// The version where it is a newer one.
fn parse(bytes: &[u8]) -> Option<Result<Reached, u32>> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let (said, crc) = text.split_at_checked(text.rfind(' ')? + 1)?;
    if u32::from_str_radix(crc, 16).ok()? != crc32c::crc32c(said.as_bytes()) {
        return None;
    }
    let mut words = said.strip_prefix(FIRST_WORDS)?.split(' ');
    let version = words.next()?.parse().ok()?;
    if version > VERSION {
        return Some(Err(version));
    }
    let mut number = || words.next()?.parse().ok();
    Some(Ok(Reached { segment: number()?, sequence: number()? }))
}
