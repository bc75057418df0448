//! New tail files: zero-filled ahead, or used before and taken again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nexus_model::record::{NoteRecord, Record};
use nexus_model::{Clock, IdMint, Partition, PrincipalId};

use crate::Error;
use crate::disk::{Disk, DiskFile};
use crate::files::{FileKind, path_of};
use crate::group::{Link, SegmentHeader, TAIL_VERSION};
use crate::shared::Shared;
use crate::tail_segment::TailSegment;
use crate::writer::Active;

/// How much is zero-filled with one write, in bytes.
const FILL_BYTES: usize = 1 << 20;

/// Where a new segment begins.
pub(crate) struct Spec {
    pub(crate) segment: u64,
    pub(crate) first_sequence: u64,
    pub(crate) link: Link,
    pub(crate) capacity: u64,
}

/// Makes a tail file and begins it: its name and header are durable when this returns.
pub(crate) fn begin(shared: &Shared, spec: &Spec, spare: Option<PathBuf>) -> Result<Active, Error> {
    let (dir, disk) = (&shared.config.dir, &*shared.disk);
    let path = path_of(dir, FileKind::Tail, spec.segment);
    let (spare, file) = match spare {
        Some(spare) => {
            let file = disk.open(&spare).map_err(|source| Error::io("open", &spare, source))?;
            (spare, file)
        }
        None => {
            let spare = path_of(dir, FileKind::Spare, spec.segment);
            let file = create_spare(disk, &spare, spec.capacity)?;
            (spare, file)
        }
    };
    let created_ns = shared.clock.now().unix_ns();
    let header = SegmentHeader {
        version: TAIL_VERSION,
        shard: 0,
        segment: spec.segment,
        capacity: spec.capacity,
        first_sequence: spec.first_sequence,
        salt: salt(spec, created_ns),
        created_ns,
        key_number: shared.key.number(),
        epoch: shared.epoch,
        link: spec.link,
    };
    file.write_at(0, &[&header.encode()]).map_err(|source| Error::io("write", &spare, source))?;
    file.sync().map_err(|source| Error::io("sync", &spare, source))?;
    disk.rename(&spare, &path).map_err(|source| Error::io("rename", &spare, source))?;
    disk.sync_dir(dir).map_err(|source| Error::io("sync", dir, source))?;
    let segment = Arc::new(TailSegment::new(header, path, file.clone()));
    let offset = crate::group::SEGMENT_HEADER_BYTES as u64;
    Ok(Active { segment, file, offset, names: Default::default() })
}

/// Makes a file of zeros: later writes change no metadata, so a sync is one flush.
pub(crate) fn create_spare(
    disk: &dyn Disk,
    path: &Path,
    bytes: u64,
) -> Result<Arc<dyn DiskFile>, Error> {
    let filled = fill(disk, path, bytes);
    if filled.is_err() {
        // A half-filled file would take the space that others wait for.
        let _ = disk.remove(path);
    }
    filled
}

fn fill(disk: &dyn Disk, path: &Path, bytes: u64) -> Result<Arc<dyn DiskFile>, Error> {
    let file = disk.create(path).map_err(|source| Error::io("create", path, source))?;
    let zeros = vec![0; FILL_BYTES.min(bytes as usize)];
    let mut offset = 0;
    while offset < bytes {
        let count = zeros.len().min((bytes - offset) as usize);
        file.write_at(offset, &[&zeros[..count]])
            .map_err(|source| Error::io("zero-fill", path, source))?;
        offset += count as u64;
    }
    file.sync().map_err(|source| Error::io("sync", path, source))?;
    Ok(file)
}

/// Groups carry the salt, so that neither the remains of an earlier life of the file nor bytes that a
/// client chose can pass for groups. It is unknown to clients, because the chain's links are.
fn salt(spec: &Spec, created_ns: i64) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"nexus log salt v1");
    hasher.update(&spec.link);
    hasher.update(&spec.segment.to_le_bytes());
    hasher.update(&spec.first_sequence.to_le_bytes());
    hasher.update(&created_ns.to_le_bytes());
    let hash = hasher.finalize();
    let bytes = hash.as_bytes();
    u64::from_le_bytes([
        bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7],
    ])
}

/// A record in which the log says something about itself.
pub(crate) fn note(clock: &dyn Clock, kind: &str, message: String, count: u64) -> Record {
    let at = clock.now();
    // Notes are rare and nobody looks them up, so a mint of its own for one id is enough.
    let fixed = Arc::new(nexus_model::ManualClock::new(at));
    let mint = IdMint::new(fixed, at.unix_ns() as u64 ^ count);
    let id: PrincipalId = mint.mint(Partition::of("", kind));
    Record::Note(NoteRecord {
        id: bytes::Bytes::copy_from_slice(id.as_bytes()),
        kind: kind.to_owned(),
        message,
        count,
        at_ns: at.unix_ns(),
    })
}
