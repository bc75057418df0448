//! What can go wrong.

use std::path::PathBuf;

/// Why the engine could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log refused an append.
    #[error("failed to append to the log")]
    Append(#[source] nexus_log::Error),
    /// The log could not be read.
    #[error("failed to read the log after record {sequence}")]
    Read {
        /// The last record that was read.
        sequence: u64,
        /// The log's reason.
        #[source]
        source: nexus_log::Error,
    },
    /// The checkpoint could not be written or read.
    #[error("failed to {operation} the checkpoint {}", path.display())]
    Checkpoint {
        /// `read`, `write`, …
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The checkpoint was written by a newer version.
    #[error("the checkpoint has version {found}; this build reads up to {supported}")]
    NewerCheckpoint {
        /// The version in the file.
        found: u32,
        /// The newest that this build reads.
        supported: u32,
    },
    /// Too many deliveries are unfinished to accept more events.
    #[error(
        "{pending} deliveries are unfinished, the limit is {limit}: events are not accepted now"
    )]
    Full {
        /// How many there are.
        pending: usize,
        /// The limit.
        limit: usize,
    },
    /// The engine has stopped.
    #[error("the engine has stopped")]
    Stopped,
}

impl Error {
    /// Whether trying again later, unchanged, may help.
    pub fn retryable(&self) -> bool {
        match self {
            Error::Append(source) | Error::Read { source, .. } => source.retryable(),
            Error::Full { .. } | Error::Stopped => true,
            Error::Checkpoint { .. } | Error::NewerCheckpoint { .. } => false,
        }
    }
}
