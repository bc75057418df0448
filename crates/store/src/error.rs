//! What can go wrong in the store, each variant with the operation and its subject.

use std::path::PathBuf;

use nexus_model::resource::{Kind, ResourceKey};
use nexus_model::{Digest, Timestamp};

use crate::Expect;

/// The error of a lower layer, kept as text and chain only: callers need no SQL types.
pub(crate) type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why the store did not do what it was asked. Nothing of a failed change is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A resource is not in the state that the change expects.
    #[error("{key} is not as expected: expected {expected}, found {}", found_text(*.found))]
    Conflict {
        /// The resource.
        key: ResourceKey,
        /// What the change expects.
        expected: Expect,
        /// The resource's revision; `None` when it does not exist.
        found: Option<u64>,
    },
    /// A resource that is to be deleted, or to get a status, does not exist.
    #[error("{key} does not exist")]
    NotFound {
        /// The resource.
        key: ResourceKey,
    },
    /// A resource above [`RESOURCE_BYTES_MAX`](nexus_model::limits::RESOURCE_BYTES_MAX).
    #[error("{key} has {size_bytes} bytes, above the limit of {limit_bytes} bytes")]
    TooLarge {
        /// The resource.
        key: ResourceKey,
        /// Its size as JSON.
        size_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// A blob above [`BLOB_BYTES_MAX`](crate::BLOB_BYTES_MAX).
    #[error("a blob of {size_bytes} bytes is above the limit of {limit_bytes} bytes")]
    BlobTooLarge {
        /// Its size.
        size_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// More items than one request may have: operations of a change, or items of a page.
    #[error("{count} {what} are above the limit of {limit}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many were asked for.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A key or stream of a function's state has another version than expected.
    #[error("the state has version {version}, another one was expected")]
    StateConflict {
        /// The version that it has; 0 where nothing is.
        version: u64,
    },
    /// A kind that lives in projects came without one, or the other way round.
    #[error("a {} {}", .kind.as_str(), if .kind.in_project() { "needs a project" } else { "belongs to no project" })]
    Project {
        /// The kind.
        kind: Kind,
    },
    /// Changes that old have been forgotten: list everything again, then follow from there.
    #[error("changes after revision {asked} are gone; those after {first} are still known")]
    Compacted {
        /// The revision that was asked for.
        asked: u64,
        /// The oldest revision that can be followed.
        first: u64,
    },
    /// Somebody else holds the lease.
    #[error("lease {name} is held by {holder} until {expires}")]
    LeaseHeld {
        /// The lease.
        name: String,
        /// Who holds it.
        holder: String,
        /// Until when.
        expires: Timestamp,
    },
    /// The lease has expired or somebody else has taken it: stop what it protects.
    #[error("lease {name} with epoch {epoch} is lost")]
    LeaseLost {
        /// The lease.
        name: String,
        /// The epoch that is over.
        epoch: u64,
    },
    /// The database was written by a newer Nexus.
    #[error(
        "the store has format version {found}, this Nexus knows versions up to {known}: \
         use the newer Nexus or restore a backup"
    )]
    NewerFormat {
        /// The version of the database.
        found: u64,
        /// The newest version that this program knows.
        known: u64,
    },
    /// The file is a database, but not one of ours.
    #[error("{} is not a store of Nexus", .path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// A stored row cannot be understood.
    #[error("the stored {what} cannot be read")]
    CorruptRow {
        /// What it should be.
        what: String,
        /// Why not.
        #[source]
        source: Source,
    },
    /// A blob whose bytes do not have its digest. It is never returned.
    #[error("blob {digest} is corrupt: {} has the digest {found}", .path.display())]
    CorruptBlob {
        /// The blob.
        digest: Digest,
        /// The digest of the bytes on disk.
        found: Digest,
        /// The file.
        path: PathBuf,
    },
    /// The disk, or the size given to the store, is full. Reads go on working.
    #[error("no space left to {operation}")]
    DiskFull {
        /// What was being done.
        operation: &'static str,
        /// What the layer below says.
        #[source]
        source: Source,
    },
    /// The database failed.
    #[error("failed to {operation}")]
    Database {
        /// What was being done.
        operation: &'static str,
        /// What the database says.
        #[source]
        source: Source,
    },
    /// A file operation failed.
    #[error("failed to {operation} {}", .path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The store was closed while the operation waited, or before.
    #[error("the store is closed")]
    Closed,
}

impl Error {
    /// Whether the same request may succeed later without anybody changing it.
    pub fn retryable(&self) -> bool {
        matches!(
            self,
            Error::LeaseHeld { .. }
                | Error::DiskFull { .. }
                | Error::Database { .. }
                | Error::Io { .. }
        )
    }
}

fn found_text(found: Option<u64>) -> String {
    match found {
        Some(revision) => format!("revision {revision}"),
        None => "nothing".to_owned(),
    }
}
