//! A sealed segment: an immutable file of compressed payload blocks, catalogue pages and a footer.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use prost::Message;

use crate::Error;
use crate::disk::{DiskFile, read_exact_at};
use crate::group::{Fields, Link};
use crate::row::{ROW_BYTES, Row};
use crate::segment::{Found, Limits};
use crate::shared::lock;
use crate::tail_segment::{Bounds, NameTable, PAGE_ROWS, Placed};

/// The first bytes of a sealed file.
pub(crate) const SEALED_MAGIC: &[u8; 8] = b"NXSEGSL\0";
/// The last bytes of a sealed file.
pub(crate) const TRAILER_MAGIC: &[u8; 8] = b"NXSEALED";
/// The version of the sealed format that this build writes.
pub(crate) const SEALED_VERSION: u32 = 1;
/// The size of the file's header in bytes.
pub(crate) const SEALED_HEADER_BYTES: usize = 32;
/// The size of the file's trailer in bytes.
pub(crate) const TRAILER_BYTES: usize = 40;
/// A row on a page with its block and its offset in the block.
pub(crate) const PLACED_BYTES: usize = ROW_BYTES + 8;
/// Footers larger than this are refused before memory is taken for them, in bytes.
const FOOTER_BYTES_MAX: u32 = 256 << 20;
/// Uncompressed blocks kept in memory per segment: lists walk through neighbours.
const BLOCKS_CACHED: usize = 4;

/// The footer: everything about the segment but rows and payloads.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Footer {
    #[prost(uint64, tag = "1")]
    pub(crate) segment: u64,
    #[prost(uint32, tag = "2")]
    pub(crate) shard: u32,
    #[prost(uint64, tag = "3")]
    pub(crate) first_sequence: u64,
    #[prost(uint64, tag = "4")]
    pub(crate) count: u64,
    /// The last link of the segment before.
    #[prost(bytes = "vec", tag = "5")]
    pub(crate) link_before: Vec<u8>,
    /// The last link of this one.
    #[prost(bytes = "vec", tag = "6")]
    pub(crate) link: Vec<u8>,
    #[prost(fixed64, tag = "7")]
    pub(crate) key_number: u64,
    #[prost(uint64, tag = "8")]
    pub(crate) payload_bytes: u64,
    #[prost(uint32, tag = "9")]
    pub(crate) epoch: u32,
    #[prost(bytes = "vec", repeated, tag = "10")]
    pub(crate) names: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) pages: Vec<PageEntry>,
    #[prost(message, repeated, tag = "12")]
    pub(crate) blocks: Vec<BlockEntry>,
    #[prost(message, repeated, tag = "13")]
    pub(crate) counts: Vec<CountEntry>,
    /// The compressed [`Chain`], read by verification only.
    #[prost(message, required, tag = "14")]
    pub(crate) chain: BlockEntry,
}

/// One page of rows.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct PageEntry {
    #[prost(uint64, tag = "1")]
    pub(crate) offset: u64,
    #[prost(uint32, tag = "2")]
    pub(crate) count: u32,
    #[prost(fixed32, tag = "3")]
    pub(crate) crc: u32,
    #[prost(uint64, tag = "4")]
    pub(crate) id_ms_min: u64,
    #[prost(uint64, tag = "5")]
    pub(crate) id_ms_max: u64,
    #[prost(sint64, tag = "6")]
    pub(crate) time_min: i64,
    #[prost(sint64, tag = "7")]
    pub(crate) time_max: i64,
}

/// One compressed block.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct BlockEntry {
    #[prost(uint64, tag = "1")]
    pub(crate) offset: u64,
    #[prost(uint32, tag = "2")]
    pub(crate) len: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) raw_len: u32,
    /// Of the compressed bytes.
    #[prost(fixed32, tag = "4")]
    pub(crate) crc: u32,
    /// The project whose payloads it has, as an index of the names.
    #[prost(uint32, tag = "5")]
    pub(crate) project: u32,
    /// The key it is encrypted with; 0 for none.
    #[prost(uint32, tag = "6")]
    pub(crate) key_id: u32,
}

/// How many records share these properties.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct CountEntry {
    #[prost(uint32, tag = "1")]
    pub(crate) project: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) name: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) kind: u32,
    #[prost(uint32, tag = "4")]
    pub(crate) status: u32,
    #[prost(uint64, tag = "5")]
    pub(crate) count: u64,
}

/// What the hash chain covers besides rows and names.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Chain {
    #[prost(message, repeated, tag = "1")]
    pub(crate) groups: Vec<ChainGroup>,
    /// All runs, as encoded in the tail.
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) runs: Vec<u8>,
}

/// One group commit.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct ChainGroup {
    #[prost(sint64, tag = "1")]
    pub(crate) committed_ns: i64,
    #[prost(uint32, tag = "2")]
    pub(crate) count: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) epoch: u32,
    #[prost(uint32, tag = "4")]
    pub(crate) runs: u32,
    #[prost(uint32, tag = "5")]
    pub(crate) names: u32,
    #[prost(uint32, tag = "6")]
    pub(crate) flags: u32,
    #[prost(uint32, tag = "7")]
    pub(crate) record_version: u32,
}

/// An open sealed segment.
pub(crate) struct SealedSegment {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) footer: Footer,
    pub(crate) names: NameTable,
    pub(crate) bounds: Bounds,
    pub(crate) file_bytes: u64,
    cache: Mutex<VecDeque<(u32, Bytes)>>,
}

impl SealedSegment {
    /// Opens a sealed file and reads its footer.
    pub(crate) fn open(
        file: Arc<dyn DiskFile>,
        path: PathBuf,
        segment: u64,
    ) -> Result<Self, Error> {
        let size = file.size().map_err(|source| Error::io("read", &path, source))?;
        let corrupt = |offset, what| Error::Corrupt { segment, path: path.clone(), offset, what };
        let trailer_at = size
            .checked_sub(TRAILER_BYTES as u64)
            .filter(|at| *at >= SEALED_HEADER_BYTES as u64)
            .ok_or_else(|| corrupt(0, "length of a sealed file"))?;
        let mut header = [0; SEALED_HEADER_BYTES];
        read_exact_at(&*file, 0, &mut header).map_err(|source| Error::io("read", &path, source))?;
        let mut trailer = [0; TRAILER_BYTES];
        read_exact_at(&*file, trailer_at, &mut trailer)
            .map_err(|source| Error::io("read", &path, source))?;
        match parse_header(&header) {
            Ok(number) if number == segment => {}
            Ok(_) => return Err(corrupt(16, "segment number")),
            Err(Some(found)) => {
                return Err(Error::NewerFormat { path, found, supported: SEALED_VERSION });
            }
            Err(None) => return Err(corrupt(0, "header of a sealed file")),
        }
        let place = parse_trailer(&trailer, trailer_at)
            .ok_or_else(|| corrupt(trailer_at, "trailer of a sealed file"))?;
        let raw = read_block(&*file, &place)
            .map_err(|fault| fault.name(segment, &path, &place, "footer"))?;
        let mut footer = Footer::decode(&raw[..])
            .ok()
            .filter(|footer| footer.segment == segment && plausible(footer, place.offset))
            .ok_or_else(|| corrupt(place.offset, "contents of the footer"))?;
        let names = std::mem::take(&mut footer.names)
            .into_iter()
            .map(Arc::from)
            .collect::<Vec<Arc<[u8]>>>();
        let bounds = footer.pages.iter().fold(Bounds::default(), |all, page| Bounds {
            id_ms_min: all.id_ms_min.min(page.id_ms_min),
            id_ms_max: all.id_ms_max.max(page.id_ms_max),
            time_min: all.time_min.min(page.time_min),
            time_max: all.time_max.max(page.time_max),
        });
        Ok(SealedSegment {
            path,
            file,
            footer,
            names: Arc::new(names),
            bounds,
            file_bytes: size,
            cache: Mutex::default(),
        })
    }

    /// The last link of the segment before.
    pub(crate) fn link_before(&self) -> Link {
        link_of(&self.footer.link_before)
    }

    /// The last link of this segment.
    pub(crate) fn link(&self) -> Link {
        link_of(&self.footer.link)
    }

    pub(crate) fn page_bounds(&self, page: usize) -> Option<Bounds> {
        self.footer.pages.get(page).map(|page| Bounds {
            id_ms_min: page.id_ms_min,
            id_ms_max: page.id_ms_max,
            time_min: page.time_min,
            time_max: page.time_max,
        })
    }

    /// Reads a page of rows and checks it.
    pub(crate) fn page(&self, page: usize) -> Result<Arc<Vec<Placed>>, Error> {
        let Some(entry) = self.footer.pages.get(page) else { return Ok(Arc::default()) };
        let mut bytes = vec![0; entry.count as usize * PLACED_BYTES];
        read_exact_at(&*self.file, entry.offset, &mut bytes)
            .map_err(|source| Error::io("read", &self.path, source))?;
        if crc32c::crc32c(&bytes) != entry.crc {
            return Err(self.corrupt(entry.offset, "checksum of a catalogue page"));
        }
        let rows = bytes.as_chunks::<PLACED_BYTES>().0.iter().map(decode_placed).collect();
        Ok(Arc::new(rows))
    }

    /// Reads the payload of a row.
    pub(crate) fn payload(&self, placed: &Placed) -> Result<Bytes, Error> {
        let block = self.block(placed.place)?;
        self.slice(&block, placed)
    }

    /// See [`Segment::rows_from`](crate::segment::Segment::rows_from).
    pub(crate) fn rows_from(
        &self,
        index: usize,
        limits: Limits,
        wanted: fn(&Row) -> bool,
    ) -> Result<Found, Error> {
        let mut found = Vec::new();
        let mut bytes = 0;
        let mut at = index;
        // Projects lie in blocks of their own, so neighbours jump between a few blocks.
        let mut blocks: Vec<(u32, Bytes)> = Vec::new();
        let full = |at, bytes| at - index >= limits.rows || bytes >= limits.bytes;
        while !full(at, bytes) && at < self.footer.count as usize {
            let page = self.page(at / PAGE_ROWS)?;
            for placed in page.iter().skip(at % PAGE_ROWS) {
                if full(at, bytes) {
                    break;
                }
                at += 1;
                if !wanted(&placed.row) {
                    continue;
                }
                let known = blocks.iter().find(|(number, _)| *number == placed.place);
                let block = match known {
                    Some((_, block)) => block.clone(),
                    None => {
                        let block = self.block(placed.place)?;
                        blocks.truncate(15);
                        blocks.insert(0, (placed.place, block.clone()));
                        block
                    }
                };
                found.push((at - 1, *placed, self.slice(&block, placed)?));
                bytes += u64::from(placed.row.payload_len());
            }
        }
        Ok(Found { looked_at: at - index, found })
    }

    fn slice(&self, block: &Bytes, placed: &Placed) -> Result<Bytes, Error> {
        let from = placed.detail as usize;
        let to = from + placed.row.payload_len() as usize;
        if to > block.len() {
            let offset = self.footer.blocks.get(placed.place as usize).map_or(0, |at| at.offset);
            return Err(self.corrupt(offset, "length of a payload block"));
        }
        Ok(block.slice(from..to))
    }

    /// Reads and uncompresses a block.
    pub(crate) fn block(&self, number: u32) -> Result<Bytes, Error> {
        if let Some((_, block)) = lock(&self.cache).iter().find(|(at, _)| *at == number) {
            return Ok(block.clone());
        }
        let Some(entry) = self.footer.blocks.get(number as usize) else {
            return Err(self.corrupt(0, "number of a payload block"));
        };
        let raw = read_block(&*self.file, entry)
            .map_err(|fault| fault.name(self.footer.segment, &self.path, entry, "payload block"))?;
        let block = Bytes::from(raw);
        let mut cache = lock(&self.cache);
        cache.truncate(BLOCKS_CACHED - 1);
        cache.push_front((number, block.clone()));
        Ok(block)
    }

    /// What verification needs besides rows and payloads.
    pub(crate) fn chain(&self) -> Result<Chain, Error> {
        let entry = &self.footer.chain;
        let raw = read_block(&*self.file, entry)
            .map_err(|fault| fault.name(self.footer.segment, &self.path, entry, "chain"))?;
        Chain::decode(&raw[..]).map_err(|_| self.corrupt(entry.offset, "contents of the chain"))
    }

    pub(crate) fn corrupt(&self, offset: u64, what: &'static str) -> Error {
        Error::Corrupt { segment: self.footer.segment, path: self.path.clone(), offset, what }
    }
}

fn link_of(bytes: &[u8]) -> Link {
    // Opening has checked the length.
    let mut link = [0; 32];
    link.copy_from_slice(bytes);
    link
}

/// The header of a sealed file.
pub(crate) fn encode_header(segment: u64) -> [u8; SEALED_HEADER_BYTES] {
    let mut bytes = [0; SEALED_HEADER_BYTES];
    bytes[..8].copy_from_slice(SEALED_MAGIC);
    bytes[8..12].copy_from_slice(&SEALED_VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&segment.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The segment's number; otherwise the newer version, or `None` for damage.
fn parse_header(bytes: &[u8; SEALED_HEADER_BYTES]) -> Result<u64, Option<u32>> {
    let fields = Fields(bytes);
    let version = fields.u32(8);
    if &bytes[..8] != SEALED_MAGIC {
        return Err(None);
    }
    if version > SEALED_VERSION && version < 1 << 16 {
        return Err(Some(version));
    }
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..]);
    if fields.u32(12) != crc || version == 0 {
        return Err(None);
    }
    Ok(fields.u64(16))
}

/// The trailer of a sealed file.
pub(crate) fn encode_trailer(footer: &BlockEntry) -> [u8; TRAILER_BYTES] {
    let mut bytes = [0; TRAILER_BYTES];
    bytes[0..8].copy_from_slice(&footer.offset.to_le_bytes());
    bytes[8..12].copy_from_slice(&footer.len.to_le_bytes());
    bytes[12..16].copy_from_slice(&footer.raw_len.to_le_bytes());
    bytes[16..20].copy_from_slice(&footer.crc.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..28]);
    bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    bytes[32..40].copy_from_slice(TRAILER_MAGIC);
    bytes
}

fn parse_trailer(bytes: &[u8; TRAILER_BYTES], trailer_at: u64) -> Option<BlockEntry> {
    let fields = Fields(bytes);
    if &bytes[32..] != TRAILER_MAGIC || fields.u32(28) != crc32c::crc32c(&bytes[..28]) {
        return None;
    }
    let entry = BlockEntry {
        offset: fields.u64(0),
        len: fields.u32(8),
        raw_len: fields.u32(12),
        crc: fields.u32(16),
        ..BlockEntry::default()
    };
    let ends = entry.offset.checked_add(u64::from(entry.len))?;
    (ends == trailer_at && entry.raw_len <= FOOTER_BYTES_MAX).then_some(entry)
}

/// Whether everything that the footer points to lies before it and adds up.
fn plausible(footer: &Footer, footer_at: u64) -> bool {
    let inside =
        |offset: u64, len: u64| offset.checked_add(len).is_some_and(|end| end <= footer_at);
    let blocks = footer.blocks.iter().chain([&footer.chain]);
    let pages_full =
        footer.pages.iter().enumerate().all(|(index, page)| {
            page.count as usize == PAGE_ROWS || index + 1 == footer.pages.len()
        });
    let rows: u64 = footer.pages.iter().map(|page| u64::from(page.count)).sum();
    pages_full
        && rows == footer.count
        && footer.link.len() == 32
        && footer.link_before.len() == 32
        && footer.pages.iter().all(|page| {
            page.count as usize <= PAGE_ROWS
                && inside(page.offset, u64::from(page.count) * PLACED_BYTES as u64)
        })
        && blocks.into_iter().all(|block| {
            block.raw_len <= FOOTER_BYTES_MAX && inside(block.offset, u64::from(block.len))
        })
}

/// Why a block cannot be read.
pub(crate) enum BlockFault {
    Read(std::io::Error),
    Checksum,
    Compression,
}

impl BlockFault {
    fn name(
        self,
        segment: u64,
        path: &std::path::Path,
        at: &BlockEntry,
        what: &'static str,
    ) -> Error {
        let corrupt = |what| Error::Corrupt { segment, path: path.into(), offset: at.offset, what };
        match (self, what) {
            (BlockFault::Read(source), _) => Error::io("read", path, source),
            (BlockFault::Checksum, "footer") => corrupt("checksum of the footer"),
            (BlockFault::Checksum, "chain") => corrupt("checksum of the chain"),
            (BlockFault::Checksum, _) => corrupt("checksum of a payload block"),
            (BlockFault::Compression, _) => corrupt("compression of a block"),
        }
    }
}

/// Reads, checks and uncompresses.
pub(crate) fn read_block(file: &dyn DiskFile, entry: &BlockEntry) -> Result<Vec<u8>, BlockFault> {
    let mut compressed = vec![0; entry.len as usize];
    read_exact_at(file, entry.offset, &mut compressed).map_err(BlockFault::Read)?;
    if crc32c::crc32c(&compressed) != entry.crc {
        return Err(BlockFault::Checksum);
    }
    let raw = zstd::bulk::decompress(&compressed, entry.raw_len as usize)
        .map_err(|_| BlockFault::Compression)?;
    if raw.len() == entry.raw_len as usize { Ok(raw) } else { Err(BlockFault::Compression) }
}

pub(crate) fn encode_placed(placed: &Placed, out: &mut Vec<u8>) {
    out.extend_from_slice(&placed.row.0);
    out.extend_from_slice(&placed.place.to_le_bytes());
    out.extend_from_slice(&placed.detail.to_le_bytes());
}

fn decode_placed(bytes: &[u8; PLACED_BYTES]) -> Placed {
    let mut row = [0; ROW_BYTES];
    row.copy_from_slice(&bytes[..ROW_BYTES]);
    let fields = Fields(&bytes[ROW_BYTES..]);
    Placed { row: Row(row), place: fields.u32(0), detail: fields.u32(4) }
}
