//! The folder that everything lies in: recordings hold what callers sent, so nobody else may read it.

use std::fs::{DirBuilder, Permissions, create_dir_all, metadata, set_permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// A folder for its owner only.
const PRIVATE: u32 = 0o700;
/// What group and others may do.
const OTHERS: u32 = 0o077;
/// In a shared folder such as `/tmp`.
const STICKY: u32 = 0o1000;

/// Who could read a folder before [`private_folder`], and whether they still can.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FolderAccess {
    /// Its owner only.
    Private,
    /// Others, by this mode; now its owner only.
    Closed {
        /// The permissions that it had.
        mode: u32,
    },
    /// Others, by this mode; it was left as it is.
    Open {
        /// The permissions that it has.
        mode: u32,
    },
}

/// Makes a folder that only this process' user can enter; what lies in it is then private whatever
/// its own mode is. One that exists already is closed to others, too, but only if it is ours: who
/// runs on somebody else's folder, or on a shared one such as `/tmp`, must not lock them out.
///
/// # Errors
/// It cannot be made or read.
pub fn private_folder(path: &Path) -> io::Result<FolderAccess> {
    if let Some(parent) = path.parent() {
        create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(PRIVATE).create(path) {
        Ok(()) => return Ok(FolderAccess::Private),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        Err(error) => return Err(error),
    }
    let found = metadata(path)?;
    let mode = found.mode() & 0o7777;
    let ours = found.uid() == rustix::process::geteuid().as_raw() && mode & STICKY == 0;
    Ok(match mode & OTHERS {
        0 => FolderAccess::Private,
        // A file system without permissions may refuse: no reason not to start.
        _ if ours && set_permissions(path, Permissions::from_mode(PRIVATE)).is_ok() => {
            FolderAccess::Closed { mode }
        }
        _ => FolderAccess::Open { mode },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_folder_is_made_private_with_its_parents() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        for _ in 0..2 {
            assert_eq!(private_folder(&path).unwrap(), FolderAccess::Private);
            assert_eq!(mode(&path), 0o700);
        }
        std::fs::write(path.join("file"), "").unwrap();
        assert!(private_folder(&path.join("file")).is_err());
    }

    #[test]
    fn a_folder_of_ours_is_closed_and_another_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        std::fs::create_dir(&path).unwrap();
        set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        assert_eq!(private_folder(&path).unwrap(), FolderAccess::Closed { mode: 0o755 });
        assert_eq!(mode(&path), 0o700);

        set_permissions(&path, Permissions::from_mode(0o1777)).unwrap();
        assert_eq!(private_folder(&path).unwrap(), FolderAccess::Open { mode: 0o1777 });
        assert_eq!(mode(&path), 0o1777);

        // Only root can give a folder away.
        if std::os::unix::fs::chown(&path, Some(12_345), None).is_ok() {
            set_permissions(&path, Permissions::from_mode(0o750)).unwrap();
            assert_eq!(private_folder(&path).unwrap(), FolderAccess::Open { mode: 0o750 });
            assert_eq!(mode(&path), 0o750);
        }
    }
}
