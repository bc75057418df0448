//! The state of a shard in a file, so that a restart reads only the records after it.
//!
//! A checkpoint is never the point of acknowledgement: without it, or when its checksum is wrong,
//! everything is rebuilt from the log.
//!
//! ```text
//! "NXCP" | version u32 | length u64 | BLAKE3 of body, 32 bytes | body (protobuf)      little endian
//! ```

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use nexus_model::record::StartedRecord;
use nexus_model::{EventId, Timestamp};
use prost::Message;

use crate::Error;
use crate::dedup::{Dedup, DedupKey};
use crate::shard::{Dead, DeliveryKey, DeliveryState, Shard};
use crate::subscriptions::Subscriber;

const MAGIC: &[u8; 4] = b"NXCP";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 48;

#[derive(Clone, PartialEq, Message)]
struct Body {
    #[prost(uint64, tag = "1")]
    position: u64,
    #[prost(message, repeated, tag = "2")]
    functions: Vec<FunctionRow>,
    #[prost(message, repeated, tag = "3")]
    deliveries: Vec<DeliveryRow>,
    #[prost(message, repeated, tag = "4")]
    dedup: Vec<DedupRow>,
}

#[derive(Clone, PartialEq, Message)]
struct FunctionRow {
    #[prost(string, tag = "1")]
    project: String,
    #[prost(string, tag = "2")]
    function: String,
    #[prost(uint64, tag = "3")]
    revision: u64,
    #[prost(uint32, tag = "4")]
    attempts_max: u32,
    #[prost(string, repeated, tag = "5")]
    patterns: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct DeliveryRow {
    #[prost(bytes = "bytes", tag = "1")]
    event: Bytes,
    #[prost(string, tag = "2")]
    project: String,
    #[prost(string, tag = "3")]
    function: String,
    #[prost(enumeration = "Stage", tag = "4")]
    stage: i32,
    #[prost(uint32, tag = "5")]
    attempt: u32,
    #[prost(int64, tag = "6")]
    at_ns: i64,
    #[prost(string, tag = "7")]
    reason: String,
    #[prost(message, optional, tag = "8")]
    started: Option<StartedRecord>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, prost::Enumeration)]
#[repr(i32)]
enum Stage {
    Ready = 0,
    Running = 1,
    Waiting = 2,
    Exhausted = 3,
    Dead = 4,
}

#[derive(Clone, PartialEq, Message)]
struct DedupRow {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    event: Bytes,
    #[prost(int64, tag = "3")]
    at_ns: i64,
}

/// Writes a checkpoint beside the old one, then replaces it.
pub(crate) fn write(path: &Path, shard: &Shard, dedup: &Dedup) -> Result<(), Error> {
    let bytes = encode(shard, dedup);
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

fn encode(shard: &Shard, dedup: &Dedup) -> Vec<u8> {
    let functions = shard.subscriptions.iter().map(|(project, function, at)| FunctionRow {
        project: project.to_owned(),
        function: function.to_owned(),
        revision: at.revision,
        attempts_max: at.attempts_max,
        patterns: at.patterns.clone(),
    });
    let dedup = dedup.entries().into_iter().map(|(at, key, event)| DedupRow {
        key: Bytes::copy_from_slice(&key.0),
        event: Bytes::copy_from_slice(event.as_bytes()),
        at_ns: at.unix_ns(),
    });
    let pending = shard.deliveries.iter().map(|(key, state)| pending_row(key, state));
    let dead = shard.dead.iter().map(|(key, dead)| dead_row(key, dead));
    let body = Body {
        position: shard.position,
        functions: functions.collect(),
        deliveries: pending.chain(dead).collect(),
        dedup: dedup.collect(),
    }
    .encode_to_vec();
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend_from_slice(blake3::hash(&body).as_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

fn decode(bytes: &[u8]) -> Result<Option<(Shard, Dedup)>, Error> {
    let Some((header, body)) = bytes.split_at_checked(HEADER_BYTES) else { return Ok(None) };
    let number = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    if &header[..4] != MAGIC {
        return Ok(None);
    }
    if number(4) > VERSION {
        return Err(Error::NewerCheckpoint { found: number(4), supported: VERSION });
    }
    if blake3::hash(body).as_bytes() != &header[16..48] {
        return Ok(None);
    }
    let Ok(body) = Body::decode(body) else { return Ok(None) };
    let mut shard = Shard { position: body.position, ..Shard::default() };
    for row in body.functions {
        let FunctionRow { project, function, revision, attempts_max, patterns } = row;
        let subscriber = Subscriber { revision, attempts_max, patterns };
        shard.subscriptions.insert(&project, &function, subscriber);
    }
    for row in body.deliveries {
        take_delivery(&mut shard, row);
    }
    let dedup = Dedup::new();
    for row in body.dedup {
        if let (Ok(key), Ok(event)) =
            (<[u8; 16]>::try_from(&row.key[..]), EventId::try_from(&row.event[..]))
        {
            dedup.insert(DedupKey(key), event, Timestamp::from_unix_ns(row.at_ns));
        }
    }
    Ok(Some((shard, dedup)))
}

fn row(key: &DeliveryKey, stage: Stage, attempt: u32) -> DeliveryRow {
    DeliveryRow {
        event: Bytes::copy_from_slice(key.event.as_bytes()),
        project: key.project.to_string(),
        function: key.function.to_string(),
        stage: stage.into(),
        attempt,
        ..DeliveryRow::default()
    }
}

fn pending_row(key: &DeliveryKey, state: &DeliveryState) -> DeliveryRow {
    match state {
        DeliveryState::Ready { attempt } => row(key, Stage::Ready, *attempt),
        DeliveryState::Running { started } => DeliveryRow {
            started: Some((**started).clone()),
            ..row(key, Stage::Running, started.attempt)
        },
        DeliveryState::Waiting { attempt, due, reason } => DeliveryRow {
            at_ns: due.unix_ns(),
            reason: reason.clone(),
            ..row(key, Stage::Waiting, *attempt)
        },
        DeliveryState::Exhausted { attempts, reason } => {
            DeliveryRow { reason: reason.clone(), ..row(key, Stage::Exhausted, *attempts) }
        }
    }
}

fn dead_row(key: &DeliveryKey, dead: &Dead) -> DeliveryRow {
    DeliveryRow {
        at_ns: dead.at.unix_ns(),
        reason: dead.reason.clone(),
        ..row(key, Stage::Dead, dead.attempts)
    }
}

fn take_delivery(shard: &mut Shard, row: DeliveryRow) {
    let Ok(event) = EventId::try_from(&row.event[..]) else { return };
    let stage = row.stage();
    let key =
        DeliveryKey { event, project: Arc::from(row.project), function: Arc::from(row.function) };
    let (attempt, reason, at) = (row.attempt, row.reason, Timestamp::from_unix_ns(row.at_ns));
    let state = match stage {
        Stage::Ready => DeliveryState::Ready { attempt },
        Stage::Running => match row.started {
            Some(started) => DeliveryState::Running { started: Box::new(started) },
            None => DeliveryState::Ready { attempt },
        },
        Stage::Waiting => DeliveryState::Waiting { attempt, due: at, reason },
        Stage::Exhausted => DeliveryState::Exhausted { attempts: attempt, reason },
        Stage::Dead => {
            shard.dead.insert(key, Dead { attempts: attempt, reason, at });
            return;
        }
    };
    shard.deliveries.insert(key, state);
}

#[cfg(test)]
pub(crate) fn round_trip(shard: &Shard) -> Shard {
    decode(&encode(shard, &Dedup::new())).unwrap().unwrap().0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_damaged_checkpoint_is_not_believed_and_a_newer_one_refused() {
        let good = encode(&Shard { position: 7, ..Shard::default() }, &Dedup::new());
        assert_eq!(decode(&good).unwrap().unwrap().0.position, 7);
        for at in (0..good.len()).filter(|at| !(4..8).contains(at) && !(8..16).contains(at)) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(decode(&bad).unwrap().is_none(), "byte {at}");
        }
        let mut newer = good.clone();
        newer[4] = 2;
        assert!(decode(&newer).unwrap_err().to_string().contains("version 2"));
    }

    #[test]
    fn a_checkpoint_is_read_back_from_a_folder_that_was_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine/checkpoint");
        assert!(read(&path).unwrap().is_none());
        write(&path, &Shard { position: 9, ..Shard::default() }, &Dedup::new()).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().0.position, 9);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }
    }
}
