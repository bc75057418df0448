//! The state of a shard in a file, with the position up to which the log is in it.
//!
//! It only saves time: whatever is wrong with it, the state is rebuilt from the log. So it is one
//! file, replaced as a whole, closed by a checksum, and never the point of an acknowledgement.
//!
//! ```text
//!   "NXENGINE" | version u32 | sequence u64 | state length u64 | state (JSON)
//!   | pairs u64 | pairs: key 16, event 16, time 8 | BLAKE3 of all before, 32
//! ```

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use nexus_log::Position;
use nexus_model::{Digest, EventId, Name, Timestamp};
use serde::{Deserialize, Serialize};

use crate::dedup::Seen;
use crate::shard::{Dead, Delivery, DeliveryKey, Shard, State};
use crate::{DedupKey, Subscriber};

const MAGIC: &[u8; 8] = b"NXENGINE";
const VERSION: u32 = 1;
const FILE: &str = "checkpoint";
const PAIR_BYTES: usize = 40;
const HASH_BYTES: usize = 32;

#[derive(Serialize, Deserialize)]
struct Stored {
    functions: Vec<(Name, Name, Subscriber)>,
    deliveries: Vec<(DeliveryKey, Delivery)>,
    dead: Vec<(DeliveryKey, Dead)>,
}

/// The bytes of a checkpoint.
pub(crate) fn encode(shard: &Shard, position: Position) -> Result<Vec<u8>, serde_json::Error> {
    let functions = shard.subscriptions.iter();
    let stored = Stored {
        functions: functions.map(|((p, f), at)| (p.clone(), f.clone(), at.clone())).collect(),
        deliveries: shard.deliveries.iter().map(|(key, at)| (key.clone(), at.clone())).collect(),
        dead: shard.dead.iter().map(|(key, at)| (key.clone(), at.clone())).collect(),
    };
    let state = serde_json::to_vec(&stored)?;
    let pairs = shard.dedup.len();
    let mut bytes = Vec::with_capacity(64 + state.len() + pairs * PAIR_BYTES + HASH_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&position.sequence.to_le_bytes());
    bytes.extend_from_slice(&(state.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&state);
    bytes.extend_from_slice(&(pairs as u64).to_le_bytes());
    for (key, seen) in shard.dedup.iter() {
        bytes.extend_from_slice(key.as_bytes());
        bytes.extend_from_slice(seen.event.as_bytes());
        bytes.extend_from_slice(&seen.at.unix_ns().to_le_bytes());
    }
    let hash = Digest::of(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    Ok(bytes)
}

/// Why a checkpoint cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("its checksum does not match")]
    Checksum,
    #[error("it has another format version")]
    Version,
    #[error("it does not follow its format")]
    Format,
}

/// The state and position in the bytes of a checkpoint.
pub(crate) fn decode(bytes: &[u8]) -> Result<(Shard, Position), Unusable> {
    let body = bytes.len().checked_sub(HASH_BYTES).ok_or(Unusable::Format)?;
    let (body, hash) = bytes.split_at(body);
    if Digest::of(body).as_bytes() != hash {
        return Err(Unusable::Checksum);
    }
    let mut reader = Reader(body);
    if reader.take(8)? != MAGIC {
        return Err(Unusable::Format);
    }
    if reader.take(4)? != VERSION.to_le_bytes() {
        return Err(Unusable::Version);
    }
    let position = Position { shard: 0, sequence: reader.number()? };
    let length = usize::try_from(reader.number()?).map_err(|_| Unusable::Format)?;
    let stored: Stored =
        serde_json::from_slice(reader.take(length)?).map_err(|_| Unusable::Format)?;
    let mut shard = stored.into_shard();
    for _ in 0..reader.number()? {
        let key = DedupKey::from_bytes(reader.array()?);
        let event = EventId::from_bytes(reader.array()?);
        let at = Timestamp::from_unix_ns(i64::from_le_bytes(reader.array()?));
        shard.dedup.remember(key, Seen { event, at });
    }
    Ok((shard, position))
}

impl Stored {
    fn into_shard(self) -> Shard {
        let mut shard = Shard::default();
        for (project, function, subscriber) in self.functions {
            shard.subscriptions.insert(project, function, subscriber);
        }
        for (key, delivery) in self.deliveries {
            if let State::Running { invocation, .. } = &delivery.state {
                shard.running.insert(*invocation, key.clone());
            }
            shard.deliveries.insert(key, delivery);
        }
        shard.dead.extend(self.dead);
        shard
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Unusable> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Unusable::Format)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unusable> {
        self.take(N)?.try_into().map_err(|_| Unusable::Format)
    }

    fn number(&mut self) -> Result<u64, Unusable> {
        self.array().map(u64::from_le_bytes)
    }
}

/// The path of the checkpoint in the engine's folder.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// Replaces the checkpoint in `dir`. Blocks.
pub(crate) fn write(dir: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = dir.join("checkpoint.new");
    let mut file = std::fs::File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path(dir))?;
    std::fs::File::open(dir)?.sync_all()
}

/// The bytes of the checkpoint in `dir`, if there is one. Blocks.
pub(crate) fn read(dir: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path(dir)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
