//! A folder of read-only files as a tar archive that is the same bytes for the same files: sorted
//! names, fixed times and owners (decision 33).

use std::path::{Path, PathBuf};

use nexus_model::limits::BUNDLE_BYTES_MAX;

const BLOCK_BYTES: usize = 512;
/// Names up to this length fit into the header's first field, in bytes.
const NAME_BYTES_MAX: usize = 100;

/// Why a folder cannot be packed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the name {name} is longer than {NAME_BYTES_MAX} bytes")]
    NameTooLong { name: String },
    #[error("the files in {} have more than {BUNDLE_BYTES_MAX} bytes", path.display())]
    TooLarge { path: PathBuf },
}

/// Packs the files below `folder`.
pub(crate) fn pack(folder: &Path) -> Result<Vec<u8>, Error> {
    let mut files = Vec::new();
    list(folder, &mut files)?;
    files.sort();
    let mut archive = Vec::new();
    for path in files {
        let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        let content =
            std::fs::read(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        if archive.len() + content.len() > BUNDLE_BYTES_MAX {
            return Err(Error::TooLarge { path: folder.to_owned() });
        }
        archive.extend_from_slice(&header(&name, content.len())?);
        archive.extend_from_slice(&content);
        archive.resize(archive.len().next_multiple_of(BLOCK_BYTES), 0);
    }
    // Two empty blocks end an archive.
    archive.resize(archive.len() + 2 * BLOCK_BYTES, 0);
    Ok(archive)
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let failed = |source| Error::Read { path: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// A POSIX (ustar) header of a regular file.
fn header(name: &str, size: usize) -> Result<[u8; BLOCK_BYTES], Error> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Error::NameTooLong { name: name.to_owned() });
    }
    let mut header = [0; BLOCK_BYTES];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000444\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{size:011o}\0"));
    put(136, "00000000000\0");
    // The checksum counts its own field as spaces.
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\0");
    put(263, "00");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_give_the_same_bytes_that_tar_reads() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        std::fs::write(folder.path().join("b/two.txt"), "two").unwrap();
        std::fs::write(folder.path().join("a.txt"), vec![b'x'; 600]).unwrap();
        let archive = pack(folder.path()).unwrap();
        assert_eq!(archive, pack(folder.path()).unwrap());
        assert_eq!(archive.len() % BLOCK_BYTES, 0);
        let file = folder.path().join("out.tar");
        std::fs::write(&file, &archive).unwrap();
        let listed = std::process::Command::new("tar").arg("-tf").arg(&file).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&listed.stdout), "a.txt\nb/two.txt\n");
    }
}
