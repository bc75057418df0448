//! Writes the sealed form of a full tail.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;

use crate::Error;
use crate::disk::{DiskFile, read_exact_at};
use crate::files::{FileKind, path_of};
use crate::group::{Link, encode_run};
use crate::sealed::{
    BlockEntry, Chain, ChainGroup, CountEntry, Footer, PageEntry, SealedSegment, encode_header,
    encode_placed, encode_trailer,
};
use crate::shared::{Shared, lock};
use crate::tail_reader::{Step, TailReader};
use crate::tail_segment::{Bounds, PAGE_ROWS, Placed, TailSegment};

/// A block takes payloads until it has this many bytes uncompressed.
const BLOCK_BYTES: usize = 128 << 10;
/// Payloads with no more than this between them are read in one go, up to about a block.
const GAP_BYTES_MAX: u64 = 16 << 10;
/// Zstandard's level: sealing must keep up with appends on one niced thread.
const COMPRESSION_LEVEL: i32 = 1;

/// Seals a segment. The sealed file is durable under its name when this returns; the tail is
/// untouched.
pub(crate) fn seal(
    shared: &Shared,
    segment: &Arc<TailSegment>,
    link: &Link,
) -> Result<SealedSegment, Error> {
    let (disk, dir) = (&*shared.disk, &shared.config.dir);
    let number = segment.header.segment;
    let path = path_of(dir, FileKind::Sealing, number);
    let target = path_of(dir, FileKind::Sealed, number);
    let written = write(shared, segment, link, &path);
    if let Err(error) = written {
        let _ = disk.remove(&path);
        return Err(error);
    }
    disk.rename(&path, &target).map_err(|source| Error::io("rename", &path, source))?;
    disk.sync_dir(dir).map_err(|source| Error::io("sync", dir, source))?;
    let file = disk.open(&target).map_err(|source| Error::io("open", &target, source))?;
    SealedSegment::open(file, target, number)
}

fn write(
    shared: &Shared,
    segment: &Arc<TailSegment>,
    link: &Link,
    path: &std::path::Path,
) -> Result<(), Error> {
    let chain = read_chain(segment, link)?;
    let rows = all_rows(segment);
    let file = shared.disk.create(path).map_err(|source| Error::io("create", path, source))?;
    let compressor = zstd::bulk::Compressor::new(COMPRESSION_LEVEL)
        .map_err(|source| Error::io("compress", path, source))?;
    let mut output = Output { file, path, offset: 0, compressor };
    output.put(&encode_header(segment.header.segment))?;
    let (blocks, rows) = write_blocks(shared, segment, rows, &mut output)?;
    let pages = write_pages(&rows, &mut output)?;
    let chain = output.put_compressed(&chain.encode_to_vec())?;
    let footer = Footer {
        segment: segment.header.segment,
        shard: u32::from(segment.header.shard),
        first_sequence: segment.header.first_sequence,
        count: rows.len() as u64,
        link_before: segment.header.link.to_vec(),
        link: link.to_vec(),
        key_number: segment.header.key_number,
        payload_bytes: segment.payload_bytes(),
        epoch: segment.header.epoch,
        names: segment.names().iter().map(|name| name.to_vec()).collect(),
        pages,
        blocks,
        counts: counts(&rows),
        chain,
    };
    let footer = output.put_compressed(&footer.encode_to_vec())?;
    output.put(&encode_trailer(&footer))?;
    output.file.sync().map_err(|source| Error::io("sync", path, source))
}

/// Reads the tail once more: what cannot be verified is not sealed.
fn read_chain(segment: &Arc<TailSegment>, link: &Link) -> Result<Chain, Error> {
    let number = segment.header.segment;
    let mut reader = TailReader::open(segment.file.clone(), segment.path.clone(), number)?;
    let end = segment.header.first_sequence + segment.len() as u64;
    let mut chain = Chain::default();
    while reader.next_sequence() < end || reader.link() != *link {
        let Step::Group(group) = reader.step()? else {
            return Err(reader.corrupt("a group commit that was acknowledged"));
        };
        let header = group.header;
        chain.groups.push(ChainGroup {
            committed_ns: header.committed_ns,
            count: header.count,
            epoch: header.epoch,
            runs: header.runs,
            names: header.names,
            flags: u32::from(header.flags),
            record_version: u32::from(header.record_version),
        });
        group.heads.runs.iter().for_each(|run| encode_run(run, &mut chain.runs));
    }
    Ok(chain)
}

fn all_rows(segment: &TailSegment) -> Vec<Placed> {
    let pages = segment.len().div_ceil(PAGE_ROWS);
    (0..pages).flat_map(|page| segment.page(page).to_vec()).collect()
}

/// Writes the payloads, grouped by project, and gives the rows their places.
fn write_blocks(
    shared: &Shared,
    segment: &TailSegment,
    mut rows: Vec<Placed>,
    output: &mut Output<'_>,
) -> Result<(Vec<BlockEntry>, Vec<Placed>), Error> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|&index| rows[index].row.project());
    let mut blocks: Vec<BlockEntry> = Vec::new();
    let mut block: Vec<u8> = Vec::with_capacity(2 * BLOCK_BYTES);
    let mut project = None;
    let mut stretch = Stretch::default();
    for (at, &index) in order.iter().enumerate() {
        let row = rows[index].row;
        let begun = project.is_some();
        if begun && (project != Some(row.project()) || block.len() >= BLOCK_BYTES) {
            let entry = output.put_compressed(&block)?;
            blocks.push(BlockEntry { project: project.map_or(0, u32::from), ..entry });
            block.clear();
            if lock(&shared.sealer).stopping {
                let stopped = std::io::Error::from(std::io::ErrorKind::Interrupted);
                return Err(Error::io("seal", output.path, stopped));
            }
        }
        project = Some(row.project());
        let from = block.len();
        if !stretch.has(&rows[index]) {
            stretch.read(segment, order[at..].iter().map(|&index| &rows[index]))?;
        }
        block.extend_from_slice(stretch.payload(&rows[index]));
        rows[index].place = blocks.len() as u32;
        rows[index].detail = from as u32;
    }
    if let Some(project) = project {
        let entry = output.put_compressed(&block)?;
        blocks.push(BlockEntry { project: u32::from(project), ..entry });
    }
    Ok((blocks, rows))
}

/// Neighbours of a tail file that were read in one go.
#[derive(Default)]
struct Stretch {
    offset: u64,
    bytes: Vec<u8>,
}

impl Stretch {
    fn place_of(&self, placed: &Placed) -> Option<std::ops::Range<usize>> {
        let from = u64::from(placed.place).checked_sub(self.offset)? as usize;
        Some(from..from + placed.row.payload_len() as usize)
    }

    fn has(&self, placed: &Placed) -> bool {
        self.place_of(placed).is_some_and(|place| place.end <= self.bytes.len())
    }

    /// The payload of a row that it has.
    fn payload(&self, placed: &Placed) -> &[u8] {
        self.place_of(placed).and_then(|place| self.bytes.get(place)).unwrap_or_default()
    }

    /// Reads the payload of the first row, and of those behind it that lie close.
    fn read<'a>(
        &mut self,
        segment: &TailSegment,
        rows: impl Iterator<Item = &'a Placed>,
    ) -> Result<(), Error> {
        let ends = |placed: &Placed| u64::from(placed.place) + u64::from(placed.row.payload_len());
        let mut rows = rows.peekable();
        let Some(first) = rows.peek() else { return Ok(()) };
        let offset = u64::from(first.place);
        let mut end = offset;
        for placed in rows {
            let place = u64::from(placed.place);
            let near = (end..=end + GAP_BYTES_MAX).contains(&place);
            if end > offset && (!near || ends(placed) > offset + BLOCK_BYTES as u64) {
                break;
            }
            end = end.max(ends(placed));
        }
        self.offset = offset;
        self.bytes.resize((end - offset) as usize, 0);
        read_exact_at(&*segment.file, offset, &mut self.bytes)
            .map_err(|source| Error::io("read", &segment.path, source))
    }
}

fn write_pages(rows: &[Placed], output: &mut Output<'_>) -> Result<Vec<PageEntry>, Error> {
    let mut pages = Vec::with_capacity(rows.len().div_ceil(PAGE_ROWS));
    let mut bytes = Vec::new();
    for page in rows.chunks(PAGE_ROWS) {
        bytes.clear();
        page.iter().for_each(|placed| encode_placed(placed, &mut bytes));
        let bounds = Bounds::of(page);
        pages.push(PageEntry {
            offset: output.offset,
            count: page.len() as u32,
            crc: crc32c::crc32c(&bytes),
            id_ms_min: bounds.id_ms_min,
            id_ms_max: bounds.id_ms_max,
            time_min: bounds.time_min,
            time_max: bounds.time_max,
        });
        output.put(&bytes)?;
    }
    Ok(pages)
}

fn counts(rows: &[Placed]) -> Vec<CountEntry> {
    let mut counts: BTreeMap<(u16, u16, u8, u8), u64> = BTreeMap::new();
    for Placed { row, .. } in rows {
        let key = (row.project(), row.name(), row.kind_number(), row.status_number());
        *counts.entry(key).or_default() += 1;
    }
    let entries = counts.into_iter().map(|((project, name, kind, status), count)| CountEntry {
        project: u32::from(project),
        name: u32::from(name),
        kind: u32::from(kind),
        status: u32::from(status),
        count,
    });
    entries.collect()
}

/// A file that is written from its beginning to its end.
struct Output<'a> {
    file: Arc<dyn DiskFile>,
    path: &'a std::path::Path,
    offset: u64,
    compressor: zstd::bulk::Compressor<'static>,
}

impl Output<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file
            .write_at(self.offset, &[bytes])
            .map_err(|source| Error::io("write", self.path, source))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn put_compressed(&mut self, raw: &[u8]) -> Result<BlockEntry, Error> {
        let compressed = self
            .compressor
            .compress(raw)
            .map_err(|source| Error::io("compress", self.path, source))?;
        let entry = BlockEntry {
            offset: self.offset,
            len: compressed.len() as u32,
            raw_len: raw.len() as u32,
            crc: crc32c::crc32c(&compressed),
            project: 0,
            key_id: 0,
        };
        self.put(&compressed)?;
        Ok(entry)
    }
}
