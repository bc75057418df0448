//! Reads a tail file from its beginning: every group with its checksums and its link of the chain.

use std::path::PathBuf;
use std::sync::Arc;

use crate::Error;
use crate::batch::{PayloadKey, Run};
use crate::disk::{DiskFile, read_up_to};
use crate::group::{
    GROUP_ALIGN, GROUP_HEADER_BYTES, GROUP_MAGIC, GroupHeader, HeaderFault, Heads, Link,
    SEGMENT_HEADER_BYTES, SegmentHeader, TAIL_VERSION, parse_heads,
};

/// How much is read at once, in bytes.
const WINDOW_BYTES: usize = 4 << 20;

/// One group of a tail file.
pub(crate) struct Group<'a> {
    pub(crate) header: GroupHeader,
    pub(crate) heads: Heads,
    /// Where its payloads begin.
    pub(crate) payloads_offset: u64,
    pub(crate) payloads: &'a [u8],
}

/// What comes at a place of a tail file.
pub(crate) enum Step<'a> {
    /// A sound group.
    Group(Group<'a>),
    /// Nothing more: free space, or the remains of an earlier life of the file.
    End,
    /// A group that was begun and never completed.
    Torn(&'static str),
}

/// Reads groups one after the other.
pub(crate) struct TailReader {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    pub(crate) header: SegmentHeader,
    window: Vec<u8>,
    window_offset: u64,
    offset: u64,
    next_sequence: u64,
    link: Link,
}

impl TailReader {
    /// Reads the file's header.
    pub(crate) fn open(
        file: Arc<dyn DiskFile>,
        path: PathBuf,
        segment: u64,
    ) -> Result<Self, Error> {
        let bytes = read_up_to(&*file, 0, SEGMENT_HEADER_BYTES)
            .map_err(|source| Error::io("read", &path, source))?;
        let header = match SegmentHeader::parse(&bytes) {
            Ok(header) => header,
            Err(HeaderFault::Newer(found)) => {
                return Err(Error::NewerFormat { path, found, supported: TAIL_VERSION });
            }
            Err(HeaderFault::Damaged) => {
                return Err(Error::Corrupt { segment, path, offset: 0, what: "segment header" });
            }
        };
        if header.segment != segment {
            return Err(Error::Corrupt { segment, path, offset: 24, what: "segment number" });
        }
        Ok(TailReader {
            file,
            path,
            header,
            window: Vec::new(),
            window_offset: 0,
            offset: SEGMENT_HEADER_BYTES as u64,
            next_sequence: header.first_sequence,
            link: header.link,
        })
    }

    /// Where the next group begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The number of the next record.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// The last link of the chain so far.
    pub(crate) fn link(&self) -> Link {
        self.link
    }

    /// Whether the file has become shorter: it has its whole size before it gets its name.
    pub(crate) fn is_short(&self) -> Result<bool, Error> {
        Ok(self.size()? < self.header.capacity)
    }

    /// An error that names this place.
    pub(crate) fn corrupt(&self, what: &'static str) -> Error {
        Error::Corrupt {
            segment: self.header.segment,
            path: self.path.clone(),
            offset: self.offset,
            what,
        }
    }

    /// Reads on. After [`Step::End`] or [`Step::Torn`] the reader stays where it is.
    pub(crate) fn step(&mut self) -> Result<Step<'_>, Error> {
        let start = self.offset;
        let salt = self.header.salt.to_le_bytes();
        let Some(bytes) = self.bytes(start, GROUP_HEADER_BYTES)? else { return Ok(Step::End) };
        let begun = bytes[..4] == GROUP_MAGIC.to_le_bytes();
        let parsed = GroupHeader::parse(bytes);
        let Some(header) = parsed else {
            let ours = begun && bytes[8..16] == salt;
            return Ok(if ours { Step::Torn("group header") } else { Step::End });
        };
        if header.salt != self.header.salt {
            return Ok(Step::End);
        }
        if header.first_sequence != self.next_sequence {
            return Ok(Step::Torn("group sequence"));
        }
        if start + header.total_len() > self.header.capacity.max(self.size()?) {
            return Ok(Step::Torn("group length"));
        }
        self.body(start, header)
    }

    fn body(&mut self, start: u64, header: GroupHeader) -> Result<Step<'_>, Error> {
        let link = self.link;
        let heads_len = header.heads_len() as usize;
        let payloads_len = header.payloads_len as usize;
        let body_offset = start + GROUP_HEADER_BYTES as u64;
        let Some(bytes) = self.bytes(body_offset, heads_len + payloads_len)? else {
            return Ok(Step::Torn("group length"));
        };
        let (heads_bytes, payloads) = bytes.split_at(heads_len);
        if crc32c::crc32c(heads_bytes) != header.heads_crc {
            return Ok(Step::Torn("row checksum"));
        }
        let Some(heads) = parse_heads(&header, heads_bytes) else {
            return Ok(Step::Torn("row contents"));
        };
        if header.next_link(&link, &[&heads_bytes[..header.chained_len() as usize]]) != header.link
        {
            return Ok(Step::Torn("hash chain"));
        }
        let mut rest = payloads;
        for (row, crc) in heads.rows.iter().zip(&heads.crcs) {
            let (payload, after) = rest.split_at(row.payload_len() as usize);
            if crc32c::crc32c(payload) != *crc {
                return Ok(Step::Torn("payload checksum"));
            }
            rest = after;
        }
        self.offset = start + header.total_len();
        self.next_sequence += u64::from(header.count);
        self.link = header.link;
        let payloads_offset = body_offset + heads_len as u64;
        // The slices of the window are taken again: the borrow above ended with the fields' update.
        let from = (payloads_offset - self.window_offset) as usize;
        let payloads = &self.window[from..from + payloads_len];
        Ok(Step::Group(Group { header, heads, payloads_offset, payloads }))
    }

    /// Whether a sound group header of this life of the file lies after the place where reading
    /// ended. Groups are written one at a time and synced before the next begins, so one that comes
    /// later proves that the place was whole once.
    pub(crate) fn has_later_group(&mut self) -> Result<bool, Error> {
        let at = self.offset + GROUP_ALIGN as u64;
        Ok(self.next_header(at)?.is_some())
    }

    /// The header of the newest group that was begun at or after the place where reading ended.
    pub(crate) fn newest_group(&mut self) -> Result<Option<GroupHeader>, Error> {
        let mut newest: Option<GroupHeader> = None;
        let mut at = self.offset;
        while let Some((place, header)) = self.next_header(at)? {
            at = place + GROUP_ALIGN as u64;
            if newest.as_ref().is_none_or(|it| it.first_sequence <= header.first_sequence) {
                newest = Some(header);
            }
        }
        Ok(newest)
    }

    /// The next sound header of a group of this life of the file, with its place.
    fn next_header(&mut self, mut at: u64) -> Result<Option<(u64, GroupHeader)>, Error> {
        let size = self.size()?;
        let step = WINDOW_BYTES as u64 / 4;
        while at < size {
            let stretch = (step + GROUP_HEADER_BYTES as u64).min(size - at) as usize;
            let (salt, expected) = (self.header.salt, self.next_sequence);
            let Some(bytes) = self.bytes(at, stretch)? else { break };
            let magic = GROUP_MAGIC.to_le_bytes();
            let salt_bytes = salt.to_le_bytes();
            for from in (0..bytes.len().min(step as usize)).step_by(GROUP_ALIGN) {
                let Some(front) = bytes.get(from..from + 16) else { break };
                if front[..4] != magic || front[8..16] != salt_bytes {
                    continue;
                }
                let sound = GroupHeader::parse(&bytes[from..]);
                if let Some(header) = sound.filter(|header| header.first_sequence >= expected) {
                    return Ok(Some((at + from as u64, header)));
                }
            }
            at += step;
        }
        Ok(None)
    }

    fn size(&self) -> Result<u64, Error> {
        self.file.size().map_err(|source| Error::io("read", &self.path, source))
    }

    fn bytes(&mut self, offset: u64, length: usize) -> Result<Option<&[u8]>, Error> {
        let inside = offset >= self.window_offset
            && offset + length as u64 <= self.window_offset + self.window.len() as u64;
        if !inside {
            let wanted = length.max(WINDOW_BYTES.min(self.size()?.saturating_sub(offset) as usize));
            self.window = read_up_to(&*self.file, offset, wanted)
                .map_err(|source| Error::io("read", &self.path, source))?;
            self.window_offset = offset;
        }
        let from = (offset - self.window_offset) as usize;
        Ok(self.window.get(from..from + length))
    }
}

/// Checks the keyed hashes of a group's payloads; the index of the first wrong run.
pub(crate) fn wrong_run(
    key: &PayloadKey,
    runs: &[Run],
    lens: &[u32],
    payloads: &[u8],
) -> Option<usize> {
    let mut lens = lens.iter();
    let mut rest = payloads;
    for (index, run) in runs.iter().enumerate() {
        let length: u64 =
            lens.by_ref().take(run.count as usize).map(|length| u64::from(*length)).sum();
        let Some((payloads, after)) = rest.split_at_checked(length as usize) else {
            return Some(index);
        };
        if key.hash(payloads) != run.hash {
            return Some(index);
        }
        rest = after;
    }
    None
}
