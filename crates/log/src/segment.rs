//! A segment, whatever its state: the questions that lists and look-ups ask.

use std::sync::Arc;

use bytes::Bytes;

use crate::Error;
use crate::group::Link;
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

    /// Up to `max` rows from `index` on with their payloads, up to about `bytes_max`.
    pub(crate) fn rows_from(
        &self,
        index: usize,
        max: usize,
        bytes_max: u64,
    ) -> Result<Vec<(Placed, Bytes)>, Error> {
        match self {
            Segment::Tail(tail) => {
                let rows = tail.rows_from(index, max, bytes_max);
                let payloads = tail.payloads(&rows)?;
                Ok(rows.into_iter().zip(payloads).collect())
            }
            Segment::Sealed(sealed) => sealed.rows_from(index, max, bytes_max),
        }
    }
}
