//! What can go wrong with a log.

use std::path::PathBuf;
use std::sync::Arc;

use nexus_model::record::RecordError;
use nexus_model::{Cursor, CursorError};

use crate::Reached;

/// Why an operation on the log failed. Cheap to clone: one failed group commit answers many callers.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Another process has the folder open.
    #[error("the folder {} is in use by process {holder_pid}", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// The process that holds it; 0 when it could not be read.
        holder_pid: u32,
    },
    /// The configuration is out of bounds.
    #[error("the log cannot be opened with {what} = {value}: {rule}")]
    Config {
        /// The field.
        what: &'static str,
        /// Its value.
        value: u64,
        /// What is allowed.
        rule: String,
    },
    /// An operation on a file or folder failed.
    #[error("failed to {operation} {}", path.display())]
    Io {
        /// What was tried: `read`, `create`, `list`.
        operation: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// The disk is full. Nothing of the request was kept; the log goes on when there is space.
    #[error("no space left for the log: failed to {operation} {}", path.display())]
    NoSpace {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// A write or sync of the tail failed, so that nobody knows what is on the disk. Nothing was
    /// acknowledged; the log starts again from what the disk holds, by itself.
    #[error("the log stopped after a failed {operation} of segment {segment}")]
    Stopped {
        /// `write`, `sync` or `restart`.
        operation: &'static str,
        /// The segment that was being written.
        segment: u64,
        /// What failed.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// Stored bytes are not what was written.
    #[error("segment {segment} is damaged at byte {offset}: {what}")]
    Corrupt {
        /// The segment's number.
        segment: u64,
        /// The file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// Which check failed.
        what: &'static str,
    },
    /// The log does not go as far as it went once: files were lost, or replaced by older ones.
    #[error("the log in {} reaches {found}, and it reached {known} once", dir.display())]
    Shorter {
        /// The folder.
        dir: PathBuf,
        /// How far it goes.
        found: Reached,
        /// How far it went at least.
        known: Reached,
    },
    /// A file was written by a newer version of the product.
    #[error(
        "{} has format version {found}; this build reads up to {supported}: use a newer build",
        path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that this build reads.
        supported: u32,
    },
    /// A batch is larger than a group commit may be.
    #[error("a batch of {size_bytes} bytes exceeds the log's limit of {limit_bytes} bytes")]
    TooLarge {
        /// The batch with its headers.
        size_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// The batch has more records than a group commit may have.
    #[error("a batch of {count} records exceeds the log's limit of {limit} records")]
    TooMany {
        /// The batch.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// The caller's epoch is older than the shard's: another owner has taken over.
    #[error("epoch {epoch} is fenced: the shard's owner has epoch {current}")]
    Fenced {
        /// The caller's.
        epoch: u32,
        /// The shard's.
        current: u32,
    },
    /// The queue of waiting appends is full.
    #[error(
        "the log's queue is full: {waiting_bytes} bytes are waiting, the limit is {limit_bytes}"
    )]
    Busy {
        /// What waits.
        waiting_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// The position was removed by retention.
    #[error("the log before record {first} was removed by retention")]
    Retained {
        /// The oldest record that is kept.
        first: u64,
    },
    /// The cursor's position was removed by retention.
    #[error("the cursor {cursor} has expired: what it points to was removed by retention")]
    CursorExpired {
        /// The cursor.
        cursor: Cursor,
        /// The same for [`CursorError`]'s users.
        #[source]
        source: CursorError,
    },
    /// A stored record has a good checksum and yet cannot be read.
    #[error("failed to read record {sequence}")]
    Record {
        /// Its number.
        sequence: u64,
        /// What the decoder says.
        #[source]
        source: Arc<RecordError>,
    },
    /// A record without a usable 16-byte id cannot be stored.
    #[error("a record of kind {kind} has an id of {length} bytes instead of 16")]
    Id {
        /// The kind.
        kind: &'static str,
        /// The id's length.
        length: usize,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}

impl Error {
    /// Whether the same call may succeed later without anybody changing anything but free space.
    pub fn retryable(&self) -> bool {
        matches!(self, Error::NoSpace { .. } | Error::Stopped { .. } | Error::Busy { .. })
    }

    pub(crate) fn io(
        operation: &'static str,
        path: impl Into<PathBuf>,
        source: std::io::Error,
    ) -> Self {
        let path = path.into();
        let no_space = matches!(
            source.kind(),
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
        );
        let source = Arc::new(source);
        if no_space {
            Error::NoSpace { operation, path, source }
        } else {
            Error::Io { operation, path, source }
        }
    }
}

/// The recording buffer is full: nothing was recorded. Wait with
/// [`Log::ready_to_record`](crate::Log::ready_to_record), then try again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{buffered_bytes} bytes of recordings wait for the disk, the limit is {limit_bytes}")]
pub struct Pressure {
    /// What is buffered and not on disk, in bytes.
    pub buffered_bytes: u64,
    /// The limit in bytes.
    pub limit_bytes: u64,
}
