//! Immutable bytes under their digest, as files.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use nexus_model::{Digest, DigestHasher, Timestamp};

use crate::Error;

/// One blob, in bytes.
pub const BLOB_BYTES_MAX: usize = 1 << 30;

/// The folder of the blobs inside a data folder.
pub const BLOBS_DIR: &str = "blobs";

const INCOMING: &str = "incoming";
/// How much of a blob is read at once to compute its digest, in bytes.
const CHECK_BYTES: usize = 1 << 20;
/// How old a blob may look although it is in use: reading it makes it young again, not each time.
const USE_NOTED_AFTER: Duration = Duration::from_secs(600);

/// What the store knows about a blob without reading it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlobInfo {
    /// Its digest.
    pub digest: Digest,
    /// Its size.
    pub size_bytes: u64,
    /// When it was last put or read (to ten minutes), by the file system's clock: a collector
    /// spares young blobs, whose reference may not be stored yet.
    pub used_at: Timestamp,
}

/// Content-addressed, immutable bytes. Cheap to clone; all clones are one store.
///
/// - Durable: when [`put`](Blobs::put) returns, the blob survives a crash.
/// - Atomic: a blob is there whole or not at all; a crash leaves at most a file in `incoming/`,
///   which the next [`open`](Blobs::open) removes.
/// - Idempotent: putting the same bytes again, also at the same time, is fine.
/// - Checked: [`get`](Blobs::get) never returns bytes that do not have the digest.
/// - Collected: whoever knows all references removes the rest with
///   [`delete_unused`](Blobs::delete_unused). Putting and reading make a blob young again.
/// - Blocking work runs on the blocking pool; a future that is dropped lets it finish.
///
/// ```text
/// blobs/3f/3fa4…          a blob: named by its digest, in one of 256 folders by its first byte
/// blobs/incoming/71-4     being written by process 71
/// ```
#[derive(Clone, Debug)]
pub struct Blobs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    incoming: PathBuf,
    sequence: AtomicU64,
    /// Held while a blob's age decides something: one that is put again is not collected meanwhile.
    aging: Mutex<()>,
    /// Held while a blob comes or goes.
    measured: Mutex<Measured>,
}

/// How much there is, as far as it was looked at.
#[derive(Debug, Default)]
struct Measured {
    /// Folders that were looked through, from the first on.
    shards: u16,
    /// The sizes of the blobs in them.
    bytes: u64,
}

impl Measured {
    /// Takes down that a blob's file has another size; 0 stands for none.
    fn changed(&mut self, shard: u8, [before, now]: [u64; 2]) {
        if u16::from(shard) < self.shards {
            self.bytes = (self.bytes + now).saturating_sub(before);
        }
    }
}

impl Blobs {
    /// Opens or makes a blob store in this folder and removes what a crash left half written.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, Error> {
        let dir = dir.into();
        let incoming = dir.join(INCOMING);
        fs::create_dir_all(&incoming).map_err(io_error("make folder", &incoming))?;
        remove_leftovers(&incoming)?;
        sync_dir(&dir)?;
        Ok(Blobs {
            inner: Arc::new(Inner {
                dir,
                incoming,
                sequence: AtomicU64::new(0),
                aging: Mutex::default(),
                measured: Mutex::default(),
            }),
        })
    }

    /// Stores bytes; they are on disk when it returns. A corrupt blob of the same digest is mended.
    ///
    /// # Errors
    /// [`Error::BlobTooLarge`], [`Error::DiskFull`], [`Error::Io`].
    pub async fn put(&self, bytes: Bytes) -> Result<Digest, Error> {
        self.blocking("store blob", move |inner| inner.put(&bytes)).await
    }

    /// The bytes of a blob, or `None` when there is none.
    ///
    /// # Errors
    /// [`Error::CorruptBlob`] when the bytes on disk have another digest; [`Error::Io`].
    pub async fn get(&self, digest: Digest) -> Result<Option<Bytes>, Error> {
        self.blocking("read blob", move |inner| inner.get(digest)).await
    }

    /// Reads a blob's file through, a piece at a time: its size, or `None` when there is none.
    /// Blocks, and does not count as use.
    ///
    /// # Errors
    /// [`Error::CorruptBlob`] when the bytes on disk have another digest; [`Error::Io`].
    pub fn check(&self, digest: Digest) -> Result<Option<u64>, Error> {
        check_blob(&self.inner.dir, digest)
    }

    /// Where the blob's file is, or would be: for memory mapping. Nobody has checked its digest.
    pub fn path(&self, digest: Digest) -> PathBuf {
        self.inner.path(digest)
    }

    /// Whether there is such a blob.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn has(&self, digest: Digest) -> Result<bool, Error> {
        self.blocking("look for blob", move |inner| {
            let path = inner.path(digest);
            path.try_exists().map_err(io_error("look for blob", &path))
        })
        .await
    }

    /// Removes a blob that was neither put nor read since a time; its size if it did. Who maps its
    /// file keeps it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn delete_unused(
        &self,
        digest: Digest,
        since: Timestamp,
    ) -> Result<Option<u64>, Error> {
        self.blocking("delete blob", move |inner| inner.delete_unused(digest, since)).await
    }

    /// Up to `limit` blobs whose digest follows `after`, in order of their digests. Blobs that come
    /// or go meanwhile may be missed.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn list(&self, after: Option<Digest>, limit: usize) -> Result<Vec<BlobInfo>, Error> {
        self.blocking("list blobs", move |inner| inner.list(after, limit)).await
    }

    /// Looks once how much there is; from then on [`file_bytes`](Self::file_bytes) knows it. Takes as
    /// long as listing them all.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn measure(&self) -> Result<(), Error> {
        self.blocking("measure blobs", Inner::measure).await
    }

    /// The sizes of all blobs together; `None` before they were [measured](Self::measure). Reads no
    /// folder.
    pub fn file_bytes(&self) -> Option<u64> {
        let measured = self.inner.measured();
        (measured.shards > u16::from(u8::MAX)).then_some(measured.bytes)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = self.inner.clone();
        tokio::task::spawn_blocking(move || work(&inner)).await.unwrap_or_else(|error| {
            let path = self.inner.dir.clone();
            Err(Error::Io { operation, path, source: io::Error::other(error) })
        })
    }
}

impl Inner {
    fn path(&self, digest: Digest) -> PathBuf {
        path_in(&self.dir, digest)
    }

    fn put(&self, bytes: &[u8]) -> Result<Digest, Error> {
        if bytes.len() > BLOB_BYTES_MAX {
            return Err(Error::BlobTooLarge {
                size_bytes: bytes.len(),
                limit_bytes: BLOB_BYTES_MAX,
            });
        }
        let digest = Digest::of(bytes);
        let path = self.path(digest);
        let shard = path.parent().unwrap_or(&self.dir);
        // Young before it is compared: a collector must not take it in between.
        let there = self.touch(&path)?;
        if !there || !holds(&path, bytes)? {
            self.write(digest, shard, bytes)?;
        }
        // Also for a blob that was there: whoever put it may not have come this far yet.
        sync_dir(shard)?;
        Ok(digest)
    }

    fn write(&self, digest: Digest, shard: &Path, bytes: &[u8]) -> Result<(), Error> {
        match fs::create_dir(shard) {
            Ok(()) => sync_dir(&self.dir)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io_error("make folder", shard)(error)),
        }
        let (temporary, file) = self.create_incoming()?;
        let written = write_and_sync(file, &temporary, bytes)
            .and_then(|()| self.move_in(&temporary, digest, bytes.len() as u64));
        if written.is_err() {
            // What failed is reported; a leftover is removed at the next start at the latest.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Gives a written file its name.
    fn move_in(&self, temporary: &Path, digest: Digest, size_bytes: u64) -> Result<(), Error> {
        let path = self.path(digest);
        let mut measured = self.measured();
        // A corrupt blob is replaced; the same one may have been put meanwhile.
        let before = fs::metadata(&path).map_or(0, |found| found.len());
        fs::rename(temporary, &path).map_err(io_error("rename blob to", &path))?;
        measured.changed(digest.as_bytes()[0], [before, size_bytes]);
        Ok(())
    }

    fn create_incoming(&self) -> Result<(PathBuf, File), Error> {
        loop {
            let number = self.sequence.fetch_add(1, Ordering::Relaxed);
            let path = self.incoming.join(format!("{}-{number}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok((path, file)),
                // Another handle of this process on the same folder.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(io_error("create blob", &path)(error)),
            }
        }
    }

    fn get(&self, digest: Digest) -> Result<Option<Bytes>, Error> {
        let path = self.path(digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("read blob", &path)(error)),
        };
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(Error::CorruptBlob { digest, found, path });
        }
        let modified = fs::metadata(&path).and_then(|found| found.modified());
        // By the clock of the file system, as all ages of files.
        let age = modified.map(|at| at.elapsed().unwrap_or_default());
        if age.is_ok_and(|age| age >= USE_NOTED_AFTER) {
            self.touch(&path)?;
        }
        Ok(Some(Bytes::from(bytes)))
    }

    /// Makes a blob young again; `false` when there is none.
    fn touch(&self, path: &Path) -> Result<bool, Error> {
        let _aging = self.aging.lock().unwrap_or_else(PoisonError::into_inner);
        touch(path)
    }

    fn delete_unused(&self, digest: Digest, since: Timestamp) -> Result<Option<u64>, Error> {
        let _aging = self.aging.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(info) = self.info(digest)?.filter(|info| info.used_at < since) else {
            return Ok(None);
        };
        let path = self.path(digest);
        let mut measured = self.measured();
        // Not synced: a blob that comes back after a crash is collected again.
        fs::remove_file(&path).map_err(io_error("delete blob", &path))?;
        measured.changed(digest.as_bytes()[0], [info.size_bytes, 0]);
        Ok(Some(info.size_bytes))
    }

    fn measured(&self) -> MutexGuard<'_, Measured> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing comes or goes while one of the folders is looked through.
    fn measure(&self) -> Result<(), Error> {
        *self.measured() = Measured::default();
        for shard in 0..=u8::MAX {
            let mut measured = self.measured();
            for digest in self.digests(shard)? {
                measured.bytes += self.info(digest)?.map_or(0, |info| info.size_bytes);
            }
            measured.shards = u16::from(shard) + 1;
        }
        Ok(())
    }

    /// The blobs of a folder.
    fn digests(&self, shard: u8) -> Result<impl Iterator<Item = Digest> + use<>, Error> {
        let names = file_names(&self.dir.join(format!("{shard:02x}")))?;
        Ok(names.into_iter().filter_map(|name| name.to_str()?.parse().ok()))
    }

    fn list(&self, after: Option<Digest>, limit: usize) -> Result<Vec<BlobInfo>, Error> {
        let first = after.map_or(0, |digest| digest.as_bytes()[0]);
        let mut page = Vec::new();
        for shard in first..=u8::MAX {
            if page.len() >= limit {
                break;
            }
            let mut found: Vec<Digest> = self
                .digests(shard)?
                .filter(|digest| after.is_none_or(|after| *digest > after))
                .collect();
            found.sort_unstable();
            for digest in found {
                if page.len() >= limit {
                    break;
                }
                page.extend(self.info(digest)?);
            }
        }
        Ok(page)
    }

    fn info(&self, digest: Digest) -> Result<Option<BlobInfo>, Error> {
        let path = self.path(digest);
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("look at blob", &path)(error)),
        };
        let modified = metadata.modified().map_err(io_error("look at blob", &path))?;
        let since_epoch = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let used_at = Timestamp::EPOCH.after(since_epoch);
        Ok(Some(BlobInfo { digest, size_bytes: metadata.len(), used_at }))
    }
}

/// The name of a blob's file inside a data folder: for people who look for it.
pub fn blob_file(digest: Digest) -> String {
    path_in(Path::new(BLOBS_DIR), digest).to_string_lossy().into_owned()
}

/// [`Blobs::check`] for the blobs in a folder that nobody has open. Changes nothing.
///
/// # Errors
/// As there.
pub fn check_blob(dir: &Path, digest: Digest) -> Result<Option<u64>, Error> {
    let path = path_in(dir, digest);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("read blob", &path)(error)),
    };
    let mut hasher = DigestHasher::default();
    let mut buffer = vec![0; CHECK_BYTES];
    let mut size_bytes = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                hasher.add(&buffer[..count]);
                size_bytes += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(io_error("read blob", &path)(error)),
        }
    }
    let found = hasher.digest();
    match found == digest {
        true => Ok(Some(size_bytes)),
        false => Err(Error::CorruptBlob { digest, found, path }),
    }
}

fn path_in(dir: &Path, digest: Digest) -> PathBuf {
    let hex = digest.hex();
    dir.join(&hex[..2]).join(hex)
}

fn write_and_sync(mut file: File, temporary: &Path, bytes: &[u8]) -> Result<(), Error> {
    file.write_all(bytes).map_err(io_error("write blob", temporary))?;
    file.sync_all().map_err(io_error("sync blob", temporary))
}

/// Whether the file exists and holds exactly these bytes.
fn holds(path: &Path, bytes: &[u8]) -> Result<bool, Error> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() != bytes.len() as u64 => return Ok(false),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(io_error("look at blob", path)(error)),
    }
    match fs::read(path) {
        Ok(stored) => Ok(stored == bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_error("read blob", path)(error)),
    }
}

/// Makes a file young; `false` when there is none.
fn touch(path: &Path) -> Result<bool, Error> {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, utimensat};
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
    };
    match utimensat(CWD, path, &times, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(errno) => Err(io_error("touch blob", path)(errno.into())),
    }
}

fn file_names(dir: &Path) -> Result<Vec<OsString>, Error> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error("list folder", dir)(error)),
    };
    entries
        .map(|entry| entry.map(|entry| entry.file_name()).map_err(io_error("list folder", dir)))
        .collect()
}

fn remove_leftovers(incoming: &Path) -> Result<(), Error> {
    // Files of this very process may belong to another handle that is at work.
    let own = format!("{}-", std::process::id());
    for name in file_names(incoming)? {
        if !name.to_string_lossy().starts_with(&own) {
            let path = incoming.join(name);
            fs::remove_file(&path).map_err(io_error("remove leftover", &path))?;
        }
    }
    Ok(())
}

fn sync_dir(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("sync folder", dir))
}

fn io_error(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::DiskFull { operation, source: Box::new(source) }
        }
        _ => Error::Io { operation, path, source },
    }
}
