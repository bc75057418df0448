//! What a log is told when it is opened.

use std::path::PathBuf;
use std::time::Duration;

use nexus_model::limits;

/// The size of a segment file by default, in bytes.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;
/// The smallest segment that can be configured, in bytes. Meant for tests.
pub const SEGMENT_BYTES_MIN: u64 = 16 << 10;
/// The largest segment that can be configured, in bytes: offsets inside a segment have 32 bits.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// How a log is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// The folder of the log. It is created where it is missing; nothing else may live in it.
    pub dir: PathBuf,
    /// The file that says how far the log went, outside of `dir`: a log that does not go so far any
    /// more is not opened ([`Error::Shorter`](crate::Error::Shorter)). `None` keeps none.
    pub mark: Option<PathBuf>,
    /// The size of one segment file in bytes, within [`SEGMENT_BYTES_MIN`] and
    /// [`SEGMENT_BYTES_MAX`].
    pub segment_bytes: u64,
    /// How long a buffered recording may wait before it is on disk, at most.
    pub recording_delay: Duration,
    /// How many bytes of recordings may be buffered and not yet on disk.
    pub recording_buffer_bytes: usize,
    /// What is removed, and when.
    pub retention: Retention,
    /// What happens to a recording that finds the buffer full.
    pub on_pressure: OnPressure,
}

impl LogConfig {
    /// The defaults, in this folder.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        LogConfig {
            dir: dir.into(),
            mark: None,
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            recording_delay: limits::RECORDING_DELAY_MAX,
            recording_buffer_bytes: limits::RECORDING_BUFFER_BYTES,
            retention: Retention::default(),
            on_pressure: OnPressure::default(),
        }
    }
}

/// What is removed. Whole segments only, the oldest first; the segment that is being written stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// A segment goes when its newest record is older than this. `None` keeps all.
    pub max_age: Option<Duration>,
    /// The oldest segments go while all files together are larger than this, in bytes. `None` keeps
    /// all.
    pub max_bytes: Option<u64>,
}

/// What happens to a recording that finds the buffer full (decision 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnPressure {
    /// [`Log::record`](crate::Log::record) refuses it; the caller waits with
    /// [`Log::ready_to_record`](crate::Log::ready_to_record).
    #[default]
    Wait,
    /// It is counted as lost, in the statistics and in a note in the log, and the caller goes on.
    Drop,
}
