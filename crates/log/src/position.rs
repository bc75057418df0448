//! Places in the log.

use nexus_model::Cursor;
use nexus_model::record::Record;

/// The place of one record. `sequence` counts the records of a shard from 1, without gaps, and is
/// never used again; 0 is the place before the first record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize)]
pub struct Position {
    /// The shard: 0 in the embedded log.
    pub shard: u16,
    /// The number of the record in its shard.
    pub sequence: u64,
}

impl Position {
    /// The place before the first record of shard 0.
    pub const START: Position = Position { shard: 0, sequence: 0 };

    /// The cursor that continues a list after this record.
    pub fn cursor(self) -> Cursor {
        Cursor { shard: self.shard, sequence: self.sequence }
    }
}

/// A record with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where it is.
    pub position: Position,
    /// The record.
    pub record: Record,
}
