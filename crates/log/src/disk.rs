//! The seam to the file system, so that a simulated disk can lose, reorder and tear writes.

use std::io;
use std::path::Path;
use std::sync::Arc;

/// A disk, as much of it as a log needs. All calls block; the log makes them on its own threads or
/// on the runtime's blocking pool.
///
/// Contract:
/// - **Durability**: the bytes of a file are durable after [`DiskFile::sync`] returned `Ok`. Names
///   (created, renamed, removed files) are durable after [`sync_dir`](Self::sync_dir) of their
///   folder. Before that a crash may lose any part of them, in any order, torn at sectors of
///   [`SECTOR_BYTES`].
/// - **Visibility**: what was written is read back at once by every handle of the process.
/// - **Failed sync**: after an error nobody knows what is on the disk, and a second sync of the same
///   file proves nothing. Callers must not retry it.
/// - **Atomicity**: `rename` replaces an existing target whole or not at all.
/// - **Errors**: a full disk is [`io::ErrorKind::StorageFull`], also in the middle of a write, of
///   which any part may have been done.
pub trait Disk: Send + Sync + 'static {
    /// Creates a folder and its parents where they are missing.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// The names of the files in a folder, in any order. Names that are not UTF-8 are left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Creates an empty file for reading and writing, replacing one of the same name.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Renames a file, replacing one at `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes an exclusive lock on a file, created where it is missing, and writes this process' id
    /// into it. The lock ends when the value is dropped or the process dies.
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] at once when somebody holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>>;
}

/// The unit in which a torn write is torn, in bytes.
pub const SECTOR_BYTES: usize = 512;

/// An open file of a [`Disk`]. Calls may come from several threads at the same time.
pub trait DiskFile: Send + Sync + 'static {
    /// Reads up to `buffer.len()` bytes at `offset`; 0 at and after the end of the file. May return
    /// fewer bytes than asked for.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all slices one after the other, beginning at `offset`; the file grows as needed.
    fn write_at(&self, offset: u64, slices: &[&[u8]]) -> io::Result<()>;

    /// Makes everything written so far durable, with the length of the file (`fdatasync`).
    fn sync(&self) -> io::Result<()>;

    /// The length of the file in bytes.
    fn size(&self) -> io::Result<u64>;
}

/// A lock that is held while the value lives.
pub trait DiskLock: Send + Sync {}

/// Fills `buffer` from `offset`.
///
/// # Errors
/// The file ends before ([`io::ErrorKind::UnexpectedEof`]), or reading fails.
pub(crate) fn read_exact_at(
    file: &dyn DiskFile,
    mut offset: u64,
    mut buffer: &mut [u8],
) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read_at(offset, buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                buffer = &mut buffer[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads up to `length` bytes from `offset`, fewer only where the file ends.
pub(crate) fn read_up_to(file: &dyn DiskFile, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(offset + filled as u64, &mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(filled);
    Ok(buffer)
}
