//! A segment, whatever its state: the questions that lists and look-ups ask.

use std::sync::Arc;

use bytes::Bytes;

use crate::Error;
use crate::group::Link;
use crate::row::Row;
use crate::sealed::SealedSegment;
use crate::tail_segment::{Bounds, NameTable, PAGE_ROWS, Placed, TailSegment};

/// One segment of the log.
#[derive(Clone)]
pub(crate) enum Segment {
    /// Being written, or full and waiting for sealing.
    Tail(Arc<TailSegment>),
    /// Immutable.
    Sealed(Arc<SealedSegment>),
}

impl Segment {
    /// Its number.
    pub(crate) fn number(&self) -> u64 {
        match self {
            Segment::Tail(tail) => tail.header.segment,
            Segment::Sealed(sealed) => sealed.footer.segment,
        }
    }

    pub(crate) fn first_sequence(&self) -> u64 {
        match self {
            Segment::Tail(tail) => tail.header.first_sequence,
            Segment::Sealed(sealed) => sealed.footer.first_sequence,
        }
    }

    /// The last link of the segment before.
    pub(crate) fn link_before(&self) -> Link {
        match self {
            Segment::Tail(tail) => tail.header.link,
            Segment::Sealed(sealed) => sealed.link_before(),
        }
    }

    /// How many records it has.
    pub(crate) fn len(&self) -> usize {
        match self {
            Segment::Tail(tail) => tail.len(),
            Segment::Sealed(sealed) => sealed.footer.count as usize,
        }
    }

    pub(crate) fn page_count(&self) -> usize {
        self.len().div_ceil(PAGE_ROWS)
    }

    pub(crate) fn bounds(&self) -> Bounds {
        match self {
            Segment::Tail(tail) => tail.bounds(),
            Segment::Sealed(sealed) => sealed.bounds,
        }
    }

    pub(crate) fn names(&self) -> NameTable {
        match self {
            Segment::Tail(tail) => tail.names(),
            Segment::Sealed(sealed) => sealed.names.clone(),
        }
    }

    /// The bounds of a page, where they are known without reading it.
    pub(crate) fn page_bounds(&self, page: usize) -> Option<Bounds> {
        match self {
            Segment::Tail(tail) => tail.page_bounds(page),
            Segment::Sealed(sealed) => sealed.page_bounds(page),
        }
    }

    /// The rows of a page.
    pub(crate) fn page(&self, page: usize) -> Result<Arc<Vec<Placed>>, Error> {
        match self {
            Segment::Tail(tail) => Ok(tail.page(page)),
            Segment::Sealed(sealed) => sealed.page(page),
        }
    }

    /// The payload of a row of this segment.
    pub(crate) fn payload(&self, placed: &Placed) -> Result<Bytes, Error> {
        match self {
            Segment::Tail(tail) => {
                let mut payloads = tail.payloads(std::slice::from_ref(placed))?;
                Ok(payloads.pop().unwrap_or_default())
            }
            Segment::Sealed(sealed) => sealed.payload(placed),
        }
    }

    /// Looks at rows from `index` on, up to the limits, and reads the payloads of those that are
    /// wanted.
    pub(crate) fn rows_from(
        &self,
        index: usize,
        limits: Limits,
        wanted: fn(&Row) -> bool,
    ) -> Result<Found, Error> {
        match self {
            Segment::Tail(tail) => {
                let rows = tail.rows_from(index, limits);
                let is_wanted = |placed: &Placed| wanted(&placed.row);
                let first = rows.iter().position(is_wanted).unwrap_or(rows.len());
                let end = rows.iter().rposition(is_wanted).map_or(first, |last| last + 1);
                let payloads = tail.payloads(&rows[first..end])?;
                let found = (first..end).zip(payloads).map(|(at, it)| (index + at, rows[at], it));
                let found = found.filter(|(_, placed, _)| is_wanted(placed)).collect();
                Ok(Found { looked_at: rows.len(), found })
            }
            Segment::Sealed(sealed) => sealed.rows_from(index, limits, wanted),
        }
    }
}

/// How much is looked at in one go: rows, and about how many bytes of their payloads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) rows: usize,
    pub(crate) bytes: u64,
}

/// Rows that were wanted, with their places in the segment and their payloads.
pub(crate) struct Found {
    /// How many rows were looked at.
    pub(crate) looked_at: usize,
    pub(crate) found: Vec<(usize, Placed, Bytes)>,
}
