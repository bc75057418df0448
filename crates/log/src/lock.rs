//! One process per folder.

use std::io;
use std::path::Path;

use crate::Error;
use crate::disk::{Disk, DiskLock};
use crate::real::lock_holder;

/// The name of the lock file inside a folder.
pub const LOCK_FILE: &str = "LOCK";

/// An exclusive lock on a folder, held while the value lives. It ends with the process, however that
/// dies.
pub struct FolderLock {
    _lock: Box<dyn DiskLock>,
}

impl std::fmt::Debug for FolderLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FolderLock")
    }
}

impl FolderLock {
    /// Locks `dir`, which is created where it is missing. Never waits.
    ///
    /// # Errors
    /// [`Error::Locked`] with the process that holds it; [`Error::Io`] when the lock file cannot be
    /// created.
    pub fn acquire(dir: &Path, disk: &dyn Disk) -> Result<Self, Error> {
        disk.create_dir_all(dir).map_err(|source| Error::io("create", dir, source))?;
        let path = dir.join(LOCK_FILE);
        match disk.lock(&path) {
            Ok(lock) => Ok(FolderLock { _lock: lock }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(Error::Locked { holder_pid: lock_holder(&path), path })
            }
            Err(error) => Err(Error::io("lock", path, error)),
        }
    }
}
