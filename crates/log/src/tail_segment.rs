//! A segment that is being written, or is full and not sealed yet: its file, and the catalogue rows
//! in memory.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use crate::Error;
use crate::disk::{DiskFile, read_exact_at};
use crate::group::SegmentHeader;
use crate::row::{Row, id_ms};
use crate::segment::Limits;

/// Rows on one page of a catalogue, in memory and in sealed files.
pub(crate) const PAGE_ROWS: usize = 1024;

/// How much of what was written last stays in memory.
const RECENT_BYTES_MAX: usize = 1 << 20;

/// A row and where its payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) row: Row,
    /// In a tail: the offset in the file. In a sealed segment: the block.
    pub(crate) place: u32,
    /// In a tail: the payload's checksum. In a sealed segment: the offset in the block.
    pub(crate) detail: u32,
}

/// What rows lie between: the inclusive bounds of their times and of the times in their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) id_ms_min: u64,
    pub(crate) id_ms_max: u64,
    pub(crate) time_min: i64,
    pub(crate) time_max: i64,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { id_ms_min: u64::MAX, id_ms_max: 0, time_min: i64::MAX, time_max: i64::MIN }
    }
}

impl Bounds {
    pub(crate) fn add(&mut self, row: &Row) {
        let (id_ms, time) = (row.id_ms(), row.time_ns());
        self.id_ms_min = self.id_ms_min.min(id_ms);
        self.id_ms_max = self.id_ms_max.max(id_ms);
        self.time_min = self.time_min.min(time);
        self.time_max = self.time_max.max(time);
    }

    pub(crate) fn of(rows: &[Placed]) -> Self {
        let mut bounds = Bounds::default();
        rows.iter().for_each(|placed| bounds.add(&placed.row));
        bounds
    }

    pub(crate) fn has_id_ms(&self, ms: u64) -> bool {
        self.id_ms_min <= ms && ms <= self.id_ms_max
    }
}

/// The string table of a segment.
pub(crate) type NameTable = Arc<Vec<Arc<[u8]>>>;

#[derive(Default)]
struct Rows {
    pages: Vec<(Arc<Vec<Placed>>, Bounds)>,
    current: Vec<Placed>,
    bounds: Bounds,
    names: NameTable,
    payload_bytes: u64,
    recent: Recent,
}

/// The newest payloads as they were written, with their places in the file: whoever follows the log
/// reads what was appended just now.
#[derive(Default)]
struct Recent {
    pieces: VecDeque<(u32, Bytes)>,
    bytes: usize,
}

impl Recent {
    fn push(&mut self, place: u32, payloads: Bytes) {
        self.bytes += payloads.len();
        self.pieces.push_back((place, payloads));
        while self.bytes > RECENT_BYTES_MAX
            && let Some((_, oldest)) = self.pieces.pop_front()
        {
            self.bytes -= oldest.len();
        }
    }

    fn get(&self, placed: &Placed) -> Option<Bytes> {
        let after = self.pieces.partition_point(|(place, _)| *place <= placed.place);
        let (place, piece) = self.pieces.get(after.checked_sub(1)?)?;
        let from = (placed.place - place) as usize;
        let to = from + placed.row.payload_len() as usize;
        (to <= piece.len()).then(|| piece.slice(from..to))
    }
}

impl Rows {
    fn len(&self) -> usize {
        self.pages.len() * PAGE_ROWS + self.current.len()
    }

    fn get(&self, index: usize) -> Option<&Placed> {
        match self.pages.get(index / PAGE_ROWS) {
            Some((page, _)) => page.get(index % PAGE_ROWS),
            None => self.current.get(index - self.pages.len() * PAGE_ROWS),
        }
    }
}

/// A segment with its rows in memory. Readers hold the lock for microseconds: they copy what they
/// need of one page.
pub(crate) struct TailSegment {
    pub(crate) header: SegmentHeader,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    rows: RwLock<Rows>,
}

impl TailSegment {
    pub(crate) fn new(header: SegmentHeader, path: PathBuf, file: Arc<dyn DiskFile>) -> Self {
        TailSegment { header, path, file, rows: RwLock::default() }
    }

    fn read(&self) -> RwLockReadGuard<'_, Rows> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Rows> {
        self.rows.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the rows of a durable group with the names that it introduced.
    /// `payloads` are those of the rows in their order, in pieces.
    pub(crate) fn publish(&self, names: Vec<Vec<u8>>, placed: &[Placed], payloads: Vec<Bytes>) {
        let mut guard = self.write();
        let rows = &mut *guard;
        let mut place = placed.first().map_or(0, |first| first.place);
        for piece in payloads.into_iter().filter(|piece| !piece.is_empty()) {
            let length = piece.len() as u32;
            rows.recent.push(place, piece);
            place += length;
        }
        if !names.is_empty() {
            Arc::make_mut(&mut rows.names).extend(names.into_iter().map(Arc::from));
        }
        for one in placed {
            rows.bounds.add(&one.row);
            rows.payload_bytes += u64::from(one.row.payload_len());
            rows.current.push(*one);
            if rows.current.len() == PAGE_ROWS {
                let page = std::mem::replace(&mut rows.current, Vec::with_capacity(PAGE_ROWS));
                let bounds = Bounds::of(&page);
                rows.pages.push((Arc::new(page), bounds));
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.read().len()
    }

    pub(crate) fn payload_bytes(&self) -> u64 {
        self.read().payload_bytes
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.read().bounds
    }

    pub(crate) fn names(&self) -> NameTable {
        self.read().names.clone()
    }

    /// The bounds of a full page; `None` for the one that still grows.
    pub(crate) fn page_bounds(&self, page: usize) -> Option<Bounds> {
        self.read().pages.get(page).map(|(_, bounds)| *bounds)
    }

    /// The rows of a page as they are now.
    pub(crate) fn page(&self, page: usize) -> Arc<Vec<Placed>> {
        let rows = self.read();
        match rows.pages.get(page) {
            Some((page, _)) => page.clone(),
            None if page == rows.pages.len() => Arc::new(rows.current.clone()),
            None => Arc::default(),
        }
    }

    /// The newest row of this id and kind, with its place in the segment. Pages whose ids are of
    /// other times are not looked through.
    pub(crate) fn newest(&self, id: &[u8; 16], kind: u8) -> Option<(usize, Placed)> {
        let is_it = |placed: &Placed| placed.row.0[..16] == *id && placed.row.kind_number() == kind;
        let rows = self.read();
        let full = rows.pages.len();
        if let Some(at) = rows.current.iter().rposition(is_it) {
            return Some((full * PAGE_ROWS + at, rows.current[at]));
        }
        // Full pages do not change any more: the lock is not needed for them.
        let pages = rows.pages.clone();
        drop(rows);
        let ms = id_ms(id);
        let pages = pages.iter().enumerate().rev().filter(|(_, (_, at))| at.has_id_ms(ms));
        pages.into_iter().find_map(|(number, (page, _))| {
            let at = page.iter().rposition(is_it)?;
            Some((number * PAGE_ROWS + at, page[at]))
        })
    }

    /// Rows from `index` on up to the limits; at least one when there is one.
    pub(crate) fn rows_from(&self, index: usize, limits: Limits) -> Vec<Placed> {
        let rows = self.read();
        let mut taken = Vec::new();
        let mut bytes = 0;
        while taken.len() < limits.rows
            && bytes < limits.bytes
            && let Some(placed) = rows.get(index + taken.len())
        {
            bytes += u64::from(placed.row.payload_len());
            taken.push(*placed);
        }
        taken
    }

    /// The payloads of rows where all of them are in memory.
    fn recent(&self, rows: &[Placed]) -> Option<Vec<Bytes>> {
        let guard = self.read();
        rows.iter().map(|placed| guard.recent.get(placed)).collect()
    }

    /// The payloads of neighbouring rows, read at once.
    pub(crate) fn payloads(&self, rows: &[Placed]) -> Result<Vec<Bytes>, Error> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(Vec::new()) };
        if let Some(recent) = self.recent(rows) {
            return Ok(recent);
        }
        let start = u64::from(first.place);
        let end = u64::from(last.place) + u64::from(last.row.payload_len());
        let mut bytes = vec![0; (end - start) as usize];
        read_exact_at(&*self.file, start, &mut bytes)
            .map_err(|source| Error::io("read", &self.path, source))?;
        let bytes = Bytes::from(bytes);
        let slices = rows.iter().map(|placed| {
            let from = (u64::from(placed.place) - start) as usize;
            let payload = bytes.slice(from..from + placed.row.payload_len() as usize);
            if crc32c::crc32c(&payload) == placed.detail {
                return Ok(payload);
            }
            Err(Error::Corrupt {
                segment: self.header.segment,
                path: self.path.clone(),
                offset: u64::from(placed.place),
                what: "payload checksum",
            })
        });
        slices.collect()
    }
}
