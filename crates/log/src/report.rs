//! What the log says about itself.

use nexus_model::{Digest, Timestamp};
use serde::Serialize;

/// What opening found and did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Opened {
    /// For people: a torn tail was cut off, an interrupted sealing was begun again, a format was
    /// upgraded.
    pub notes: Vec<String>,
    /// How many records the log has.
    pub records_recovered: u64,
}

/// What was counted since a log was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogCounts {
    /// Group commits.
    pub commits: u64,
    /// Records in these commits.
    pub records: u64,
    /// Recordings lost under pressure.
    pub recordings_lost: u64,
    /// How often a failed write or sync stopped the shard.
    pub restarts: u64,
}

/// Numbers about a log. Times and bytes are those of the files as they are now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct LogStats {
    /// The oldest record that is kept, or the next one to be written.
    pub first_sequence: u64,
    /// The newest durable record; 0 when there is none.
    pub last_sequence: u64,
    /// Records that are kept.
    pub records: u64,
    /// Records by kind.
    pub by_kind: Vec<KindCount>,
    /// Accepted time of the oldest and the newest record that is kept.
    pub oldest: Option<Timestamp>,
    /// See [`oldest`](Self::oldest).
    pub newest: Option<Timestamp>,
    /// Payload bytes as they were appended.
    pub payload_bytes: u64,
    /// Bytes of all files, spare ones included.
    pub disk_bytes: u64,
    /// Segments that are sealed.
    pub segments_sealed: u64,
    /// Segments that are written or wait for sealing.
    pub segments_open: u64,
    /// Recordings lost under pressure since the log was opened.
    pub recordings_lost: u64,
    /// Recordings that are buffered and not on disk, in bytes.
    pub recordings_buffered_bytes: u64,
    /// Group commits since the log was opened.
    pub commits: u64,
    /// Records in these commits.
    pub commits_records: u64,
    /// How often a failed write or sync stopped the shard since the log was opened.
    pub restarts: u64,
    /// One row per segment, the oldest first.
    pub segments: Vec<SegmentStats>,
}

/// How many records of one kind there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct KindCount {
    /// `event`, `invocation`, `started`, `config`, `delivery`, `note`.
    pub kind: &'static str,
    /// How many.
    pub count: u64,
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct SegmentStats {
    /// Its number.
    pub segment: u64,
    /// `tail`, `full` (waits for sealing) or `sealed`.
    pub state: &'static str,
    /// The format version of its file.
    pub format: u32,
    /// Its first record.
    pub first_sequence: u64,
    /// How many records it has.
    pub records: u64,
    /// Payload bytes as appended.
    pub payload_bytes: u64,
    /// The size of its file.
    pub file_bytes: u64,
}

/// What [`Log::verify`](crate::Log::verify) found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct VerifyReport {
    /// Segments that were read.
    pub segments: u64,
    /// Group commits whose link of the hash chain was recomputed.
    pub groups: u64,
    /// Records whose checksum and payload hash were recomputed.
    pub records: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Records whose payload hash could not be checked, because the key of the time is gone.
    pub unkeyed_records: u64,
    /// The last link of the hash chain, in hexadecimal.
    pub chain: String,
    /// Large bodies that records refer to, whose files are there and have their digests.
    pub bodies: u64,
    /// Bytes of these files.
    pub body_bytes: u64,
    /// Everything that is wrong with the log's own files; empty for a sound log.
    pub damage: Vec<Damage>,
    /// Large bodies whose files are missing or damaged; empty where all are there.
    pub body_damage: Vec<BodyDamage>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    pub fn sound(&self) -> bool {
        self.damage.is_empty() && self.body_damage.is_empty()
    }
}

/// A large body that a record refers to, and that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct BodyDamage {
    /// What it is about: an event's or an invocation's id.
    pub record: String,
    /// Which part of the record it is.
    pub part: String,
    /// The number of the first record that refers to it.
    pub sequence: u64,
    /// The digest that it was written under.
    pub digest: Digest,
    /// What is wrong with its file.
    pub what: String,
}

/// One place where stored bytes are not what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Damage {
    /// The segment's number.
    pub segment: u64,
    /// The file's name.
    pub file: String,
    /// Where in the file.
    pub offset: u64,
    /// Which check failed.
    pub what: String,
}

/// What retention removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct RetentionReport {
    /// Segments that were removed.
    pub segments_removed: u64,
    /// Records that were in them.
    pub records_removed: u64,
    /// Bytes that were freed.
    pub bytes_freed: u64,
    /// The oldest record that is kept.
    pub first_sequence: u64,
    /// More would have been removed, but unfinished work needs the records from here on.
    pub held_from: Option<u64>,
}
