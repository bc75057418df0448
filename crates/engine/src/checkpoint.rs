//! The state of a shard in a file, so that a restart reads only the records after it.
//!
//! A checkpoint is never the point of acknowledgement: without it, or when its checksum is wrong,
//! everything is rebuilt from the log.
//!
//! ```text
//! "NXCP" | version u32 | length u64 | BLAKE3 of body, 32 bytes | body (protobuf)      little endian
//! ```
//!
//! Version 3 is written. Version 2, in which lanes kept nothing of a trigger that is gone, is read;
//! so is version 1, which knew nothing but functions with types and attempts.

mod load;
mod rows;
mod save;
mod v1;

use std::io::Write as _;
use std::path::Path;

use crate::Error;
use crate::dedup::Dedup;
use crate::shard::Shard;
use crate::snapshot::Snapshot;

const MAGIC: &[u8; 4] = b"NXCP";
const VERSION: u32 = 3;
const HEADER_BYTES: usize = 48;

/// Writes a checkpoint beside the old one, then replaces it.
pub(crate) fn write(path: &Path, state: &Snapshot, dedup: &Dedup) -> Result<(), Error> {
    let bytes = encode(state, dedup);
    let temporary = path.with_extension("new");
    let failed =
        |operation| move |source| Error::Checkpoint { operation, path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed("create the folder of"))?;
    }
    let mut file = std::fs::File::create(&temporary).map_err(failed("create"))?;
    file.write_all(&bytes).map_err(failed("write"))?;
    file.sync_all().map_err(failed("sync"))?;
    std::fs::rename(&temporary, path).map_err(failed("replace"))
}

/// Reads a checkpoint; `None` when there is none, or when it is damaged and the log must be read
/// from its beginning.
pub(crate) fn read(path: &Path) -> Result<Option<(Shard, Dedup)>, Error> {
    match std::fs::read(path) {
        Ok(bytes) => decode(&bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Checkpoint { operation: "read", path: path.to_owned(), source }),
    }
}

/// The record that a checkpoint is of; `None` where there is none that can be used.
///
/// # Errors
/// It cannot be read, or a newer version has written it.
pub fn checkpoint_position(path: &Path) -> Result<Option<u64>, Error> {
    Ok(read(path)?.map(|(shard, _)| shard.position()))
}

/// The same state always gives the same bytes.
pub(crate) fn encode(state: &Snapshot, dedup: &Dedup) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    save::body(state, dedup, &mut bytes);
    let (header, body) = bytes.split_at_mut(HEADER_BYTES);
    header[..4].copy_from_slice(MAGIC);
    header[4..8].copy_from_slice(&VERSION.to_le_bytes());
    header[8..16].copy_from_slice(&(body.len() as u64).to_le_bytes());
    header[16..].copy_from_slice(blake3::hash(body).as_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Result<Option<(Shard, Dedup)>, Error> {
    let Some((header, body)) = bytes.split_at_checked(HEADER_BYTES) else { return Ok(None) };
    if &header[..4] != MAGIC {
        return Ok(None);
    }
    let number = |range: std::ops::Range<usize>| {
        let mut wide = [0; 8];
        wide[..range.len()].copy_from_slice(&header[range]);
        u64::from_le_bytes(wide)
    };
    let version = number(4..8) as u32;
    if version > VERSION {
        return Err(Error::NewerCheckpoint { found: version, supported: VERSION });
    }
    if number(8..16) != body.len() as u64 || header[16..] != blake3::hash(body).as_bytes()[..] {
        return Ok(None);
    }
    Ok(match version {
        1 => v1::body(body),
        // A field was added since: what is not there is said by its absence.
        2 | 3 => load::body(body),
        _ => None,
    })
}

#[cfg(test)]
pub(crate) fn decode_state(bytes: &[u8]) -> Shard {
    decode(bytes).unwrap().unwrap().0
}

/// The first rows in which two checkpoints differ, for people.
#[cfg(test)]
pub(crate) fn difference(one: &[u8], other: &[u8]) -> Option<String> {
    use prost::Message as _;
    if one == other {
        return None;
    }
    let text = |bytes: &[u8]| {
        let body = rows::Body::decode(&bytes[HEADER_BYTES..]).unwrap();
        format!("{body:#?}").lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (one, other) = (text(one), text(other));
    let at = one.iter().zip(&other).position(|(a, b)| a != b).unwrap_or(0);
    let around = at.saturating_sub(12)..at + 3;
    let part = |lines: &[String]| lines.get(around.clone()).unwrap_or_default().join("\n");
    Some(format!("{}\n--- or ---\n{}", part(&one), part(&other)))
}

#[cfg(test)]
mod tests;
