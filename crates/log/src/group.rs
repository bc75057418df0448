//! The bytes of a group commit, and of the header of a tail file. `docs/log-format.md` has the
//! pictures.
//!
//! ```text
//! ┌────────┬──────┬───────┬──────────────┬────────────────┬──────────┬─────┐
//! │ header │ runs │ names │ rows         │ payload crcs   │ payloads │ pad │
//! │ 96     │ 20 n │       │ 80 n         │ 4 n            │          │ → 8 │
//! └────────┴──────┴───────┴──────────────┴────────────────┴──────────┴─────┘
//!           └── hashed into the chain ──┘
//! ```

use crate::batch::Run;
use crate::row::{ROW_BYTES, Row};

/// The size of a group's header in bytes.
pub(crate) const GROUP_HEADER_BYTES: usize = 96;
/// The size of one encoded run in bytes.
pub(crate) const RUN_BYTES_ENCODED: usize = 20;
/// Where groups may begin.
pub(crate) const GROUP_ALIGN: usize = 8;
/// The first bytes of a group.
pub(crate) const GROUP_MAGIC: u32 = u32::from_le_bytes(*b"NXGP");
/// Set on the empty group that a clean end writes.
pub(crate) const FLAG_CLOSED: u16 = 1;

/// A link of the hash chain.
pub(crate) type Link = [u8; 32];

/// The fixed part of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GroupHeader {
    /// Tells the groups of this life of the file from those of an earlier one.
    pub(crate) salt: u64,
    pub(crate) first_sequence: u64,
    pub(crate) committed_ns: i64,
    pub(crate) count: u32,
    pub(crate) epoch: u32,
    pub(crate) runs: u32,
    pub(crate) names: u32,
    pub(crate) names_len: u32,
    pub(crate) payloads_len: u32,
    pub(crate) heads_crc: u32,
    pub(crate) flags: u16,
    pub(crate) record_version: u16,
    pub(crate) link: Link,
}

impl GroupHeader {
    pub(crate) fn encode(&self) -> [u8; GROUP_HEADER_BYTES] {
        let mut bytes = [0; GROUP_HEADER_BYTES];
        bytes[0..4].copy_from_slice(&GROUP_MAGIC.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.salt.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.committed_ns.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.count.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.runs.to_le_bytes());
        bytes[44..48].copy_from_slice(&self.names.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.names_len.to_le_bytes());
        bytes[52..56].copy_from_slice(&self.payloads_len.to_le_bytes());
        bytes[56..60].copy_from_slice(&self.heads_crc.to_le_bytes());
        bytes[60..62].copy_from_slice(&self.flags.to_le_bytes());
        bytes[62..64].copy_from_slice(&self.record_version.to_le_bytes());
        bytes[64..96].copy_from_slice(&self.link);
        let crc = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header at the front of `bytes`, if there is one with a good checksum.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..GROUP_HEADER_BYTES)?;
        let fields = Fields(bytes);
        if fields.u32(0) != GROUP_MAGIC || fields.u32(4) != crc32c::crc32c(&bytes[8..]) {
            return None;
        }
        let mut link = [0; 32];
        link.copy_from_slice(&bytes[64..96]);
        Some(GroupHeader {
            salt: fields.u64(8),
            first_sequence: fields.u64(16),
            committed_ns: fields.u64(24) as i64,
            count: fields.u32(32),
            epoch: fields.u32(36),
            runs: fields.u32(40),
            names: fields.u32(44),
            names_len: fields.u32(48),
            payloads_len: fields.u32(52),
            heads_crc: fields.u32(56),
            flags: fields.u16(60),
            record_version: fields.u16(62),
            link,
        })
    }

    /// The bytes of runs, names and rows.
    pub(crate) fn chained_len(&self) -> u64 {
        u64::from(self.runs) * RUN_BYTES_ENCODED as u64
            + u64::from(self.names_len)
            + u64::from(self.count) * ROW_BYTES as u64
    }

    /// The bytes between the header and the payloads.
    pub(crate) fn heads_len(&self) -> u64 {
        self.chained_len() + u64::from(self.count) * 4
    }

    /// The whole group with its padding.
    pub(crate) fn total_len(&self) -> u64 {
        let length = GROUP_HEADER_BYTES as u64 + self.heads_len() + u64::from(self.payloads_len);
        length.next_multiple_of(GROUP_ALIGN as u64)
    }

    /// The link that follows `before`, over what the header means and the chained bytes. Nothing in
    /// it depends on where the group lies or what its payloads are.
    pub(crate) fn next_link(&self, before: &Link, chained: &[&[u8]]) -> Link {
        let mut hasher = blake3::Hasher::new();
        hasher.update(before);
        hasher.update(&self.first_sequence.to_le_bytes());
        hasher.update(&self.committed_ns.to_le_bytes());
        hasher.update(&self.count.to_le_bytes());
        hasher.update(&self.epoch.to_le_bytes());
        hasher.update(&self.runs.to_le_bytes());
        hasher.update(&self.names.to_le_bytes());
        hasher.update(&self.flags.to_le_bytes());
        hasher.update(&self.record_version.to_le_bytes());
        for part in chained {
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }
}

/// What lies between a group's header and its payloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heads {
    pub(crate) runs: Vec<Run>,
    pub(crate) names: Vec<Vec<u8>>,
    pub(crate) rows: Vec<Row>,
    pub(crate) crcs: Vec<u32>,
}

pub(crate) fn encode_run(run: &Run, out: &mut Vec<u8>) {
    out.extend_from_slice(&run.count.to_le_bytes());
    out.extend_from_slice(&run.hash);
}

pub(crate) fn encode_name(name: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(name.len() as u16).to_le_bytes());
    out.extend_from_slice(name);
}

/// Parses the bytes between header and payloads, whose checksum was good. `None` when they
/// contradict the header all the same.
pub(crate) fn parse_heads(header: &GroupHeader, bytes: &[u8]) -> Option<Heads> {
    if bytes.len() as u64 != header.heads_len() {
        return None;
    }
    let (runs, rest) = bytes.split_at_checked(header.runs as usize * RUN_BYTES_ENCODED)?;
    let (names, rest) = rest.split_at_checked(header.names_len as usize)?;
    let (rows, crcs) = rest.split_at_checked(header.count as usize * ROW_BYTES)?;
    let runs: Vec<Run> = runs
        .chunks_exact(RUN_BYTES_ENCODED)
        .map(|chunk| {
            let mut hash = [0; 16];
            hash.copy_from_slice(&chunk[4..]);
            Run { count: Fields(chunk).u32(0), hash }
        })
        .collect();
    let names = parse_names(header.names as usize, names)?;
    let rows: Vec<Row> = rows.as_chunks::<ROW_BYTES>().0.iter().map(|row| Row(*row)).collect();
    let crcs = crcs.as_chunks::<4>().0.iter().map(|crc| u32::from_le_bytes(*crc)).collect();
    let payloads: u64 = rows.iter().map(|row| u64::from(row.payload_len())).sum();
    let counted: u64 = runs.iter().map(|run| u64::from(run.count)).sum();
    let fits = payloads == u64::from(header.payloads_len) && counted == u64::from(header.count);
    fits.then_some(Heads { runs, names, rows, crcs })
}

/// Parses `count` names that fill `bytes` exactly.
pub(crate) fn parse_names(count: usize, mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut names = Vec::with_capacity(count.min(bytes.len()));
    for _ in 0..count {
        let (length, rest) = bytes.split_at_checked(2)?;
        let (name, rest) = rest.split_at_checked(Fields(length).u16(0) as usize)?;
        names.push(name.to_vec());
        bytes = rest;
    }
    bytes.is_empty().then_some(names)
}

/// Little-endian fields of a byte slice that is known to be long enough.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    pub(crate) fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.0[at], self.0[at + 1]])
    }
    pub(crate) fn u32(&self, at: usize) -> u32 {
        u32::from(self.u16(at)) | u32::from(self.u16(at + 2)) << 16
    }
    pub(crate) fn u64(&self, at: usize) -> u64 {
        u64::from(self.u32(at)) | u64::from(self.u32(at + 4)) << 32
    }
}

/// The size of a tail file's header in bytes: one page, so that groups begin on a page of their own.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 4096;
/// The first bytes of a tail file.
pub(crate) const SEGMENT_MAGIC: &[u8; 8] = b"NXSEGTL\0";
/// The version of the tail format that this build writes.
pub(crate) const TAIL_VERSION: u32 = 1;

/// The header of a tail file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SegmentHeader {
    pub(crate) version: u32,
    pub(crate) shard: u16,
    pub(crate) segment: u64,
    pub(crate) capacity: u64,
    pub(crate) first_sequence: u64,
    pub(crate) salt: u64,
    pub(crate) created_ns: i64,
    /// Which key the payload hashes were made with.
    pub(crate) key_number: u64,
    pub(crate) epoch: u32,
    /// The last link of the segment before.
    pub(crate) link: Link,
}

/// Why bytes are not the header of a tail file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HeaderFault {
    Damaged,
    Newer(u32),
}

const HEADER_USED_BYTES: usize = 104;

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; SEGMENT_HEADER_BYTES];
        bytes[0..8].copy_from_slice(SEGMENT_MAGIC);
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        bytes[16..18].copy_from_slice(&self.shard.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.segment.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.capacity.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.first_sequence.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.salt.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.created_ns.to_le_bytes());
        bytes[64..72].copy_from_slice(&self.key_number.to_le_bytes());
        bytes[72..104].copy_from_slice(&self.link);
        let crc =
            crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..HEADER_USED_BYTES]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let bytes = bytes.get(..HEADER_USED_BYTES).ok_or(HeaderFault::Damaged)?;
        let fields = Fields(bytes);
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..]);
        if &bytes[..8] != SEGMENT_MAGIC {
            return Err(HeaderFault::Damaged);
        }
        // A newer version may have another header, so its number is believed before its checksum;
        // with a good checksum under our layout the number is certain either way.
        let version = fields.u32(8);
        if version > TAIL_VERSION && version < 1 << 16 {
            return Err(HeaderFault::Newer(version));
        }
        if fields.u32(12) != crc || version == 0 {
            return Err(HeaderFault::Damaged);
        }
        let mut link = [0; 32];
        link.copy_from_slice(&bytes[72..104]);
        Ok(SegmentHeader {
            version,
            shard: fields.u16(16),
            epoch: fields.u32(20),
            segment: fields.u64(24),
            capacity: fields.u64(32),
            first_sequence: fields.u64(40),
            salt: fields.u64(48),
            created_ns: fields.u64(56) as i64,
            key_number: fields.u64(64),
            link,
        })
    }
}
