//! Verification: every byte is read, every checksum, payload hash and link of the chain recomputed,
//! and every large body that a record refers to is looked at.

use std::path::Path;
use std::sync::Arc;

use crate::batch::PayloadKey;
use crate::disk::Disk;
use crate::files::{FileKind, path_of};
use crate::group::{Fields, GroupHeader, Link, RUN_BYTES_ENCODED, encode_name};
use crate::report::{Damage, VerifyReport};
use crate::sealed::{Chain, ChainGroup, SealedSegment};
use crate::segment::Segment;
use crate::tail_reader::{Step, TailReader, wrong_run};
use crate::tail_segment::{PAGE_ROWS, Placed, TailSegment};
use crate::{BlobCheck, Error, FolderLock, bodies, files, recover};

/// Verifies the segments of a running log as they are now.
pub(crate) fn verify(
    segments: &[Segment],
    key: Option<&PayloadKey>,
    blob: BlobCheck<'_>,
) -> Result<VerifyReport, Error> {
    let mut check = Check { key, report: VerifyReport::default(), link: None, next_sequence: 0 };
    for (index, segment) in segments.iter().enumerate() {
        match segment {
            Segment::Tail(tail) => {
                check.tail(tail, segments.get(index + 1).map(Segment::link_before))?;
            }
            Segment::Sealed(sealed) => check.sealed(sealed)?,
        }
    }
    bodies::check(segments, blob, &mut check.report)?;
    Ok(check.finish())
}

/// Verifies a folder that nobody has open. Damage that stops the log from opening is named as well.
pub(crate) fn verify_dir(
    dir: &Path,
    disk: Arc<dyn Disk>,
    blob: BlobCheck<'_>,
) -> Result<VerifyReport, Error> {
    let _lock = FolderLock::acquire(dir, &*disk)?;
    let key = recover::read_payload_key(dir, &*disk)?;
    match recover::find(dir, &*disk) {
        Ok(found) => verify(&found.segments, key.as_ref(), blob),
        Err(error) => {
            // The log cannot be opened as a whole: check each sealed file alone, so that all damage
            // is named and not only the first.
            let mut check = Check {
                key: key.as_ref(),
                report: VerifyReport::default(),
                link: None,
                next_sequence: 0,
            };
            check.damage(error)?;
            let mut readable = Vec::new();
            for (kind, number) in files::list(dir, &*disk)? {
                if kind == FileKind::Sealed {
                    readable.extend(check.file(dir, &*disk, number)?);
                }
            }
            bodies::check(&readable, blob, &mut check.report)?;
            Ok(check.finish())
        }
    }
}

struct Check<'a> {
    key: Option<&'a PayloadKey>,
    report: VerifyReport,
    /// The last link, unless what it would follow from is damaged.
    link: Option<Link>,
    next_sequence: u64,
}

impl Check<'_> {
    fn finish(mut self) -> VerifyReport {
        if let Some(link) = self.link {
            self.report.chain = link.iter().map(|byte| format!("{byte:02x}")).collect();
        }
        self.report
    }

    /// Notes damage; passes on what is none.
    fn damage(&mut self, error: Error) -> Result<(), Error> {
        let (segment, path, offset, what) = match error {
            Error::Corrupt { segment, path, offset, what } => {
                (segment, path, offset, what.to_owned())
            }
            Error::NewerFormat { path, found, .. } => {
                (0, path, 8, format!("format version {found}"))
            }
            other => return Err(other),
        };
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let damage = Damage { segment, file, offset, what };
        if !self.report.damage.contains(&damage) {
            self.report.damage.push(damage);
        }
        Ok(())
    }

    /// Checks a sealed file alone; the segment where it can be read.
    fn file(&mut self, dir: &Path, disk: &dyn Disk, number: u64) -> Result<Option<Segment>, Error> {
        let path = path_of(dir, FileKind::Sealed, number);
        let file = disk.open(&path).map_err(|source| Error::io("open", &path, source))?;
        self.link = None;
        match SealedSegment::open(file, path, number) {
            Ok(segment) => {
                self.sealed(&segment)?;
                Ok(Some(Segment::Sealed(Arc::new(segment))))
            }
            Err(error) => self.damage(error).map(|()| None),
        }
    }

    fn begin(
        &mut self,
        first_sequence: u64,
        link: &Link,
        corrupt: impl Fn(&'static str) -> Error,
    ) -> Result<(), Error> {
        self.report.segments += 1;
        if let Some(before) = self.link {
            if before != *link {
                self.damage(corrupt("hash chain to the segment before"))?;
            }
            if self.next_sequence != first_sequence {
                self.damage(corrupt("number of the first record"))?;
            }
        }
        self.link = Some(*link);
        self.next_sequence = first_sequence;
        Ok(())
    }

    /// Verifies what was published of a tail; `next` is where the following segment's chain begins.
    fn tail(&mut self, tail: &TailSegment, next: Option<Link>) -> Result<(), Error> {
        let end = tail.header.first_sequence + tail.len() as u64;
        let opened = TailReader::open(tail.file.clone(), tail.path.clone(), tail.header.segment);
        let mut reader = match opened {
            Ok(reader) => reader,
            Err(error) => return self.damage(error),
        };
        let header = reader.header;
        let path = tail.path.clone();
        self.begin(header.first_sequence, &header.link, |what| Error::Corrupt {
            segment: header.segment,
            path: path.clone(),
            offset: 0,
            what,
        })?;
        let keyed = self.key.is_some_and(|key| key.number() == header.key_number);
        let mut wrong = None;
        // The empty group of a clean end may follow the last record.
        while reader.next_sequence() < end || next.is_some_and(|next| next != reader.link()) {
            let group = match reader.step()? {
                Step::Group(group) => group,
                Step::Torn(what) => {
                    wrong = Some(what);
                    break;
                }
                Step::End => {
                    wrong = Some("group header");
                    break;
                }
            };
            self.report.groups += 1;
            self.report.records += u64::from(group.header.count);
            self.report.bytes += group.header.total_len();
            let lens: Vec<u32> = group.heads.rows.iter().map(|row| row.payload_len()).collect();
            match self.key {
                Some(key) if keyed => {
                    if wrong_run(key, &group.heads.runs, &lens, group.payloads).is_some() {
                        let (path, offset) = (tail.path.clone(), group.payloads_offset);
                        let (segment, what) = (header.segment, "payload hash");
                        self.damage(Error::Corrupt { segment, path, offset, what })?;
                    }
                }
                _ => self.report.unkeyed_records += u64::from(group.header.count),
            }
        }
        if let Some(what) = wrong {
            self.link = None;
            return self.damage(reader.corrupt(what));
        }
        self.link = Some(reader.link());
        self.next_sequence = end;
        Ok(())
    }

    fn sealed(&mut self, sealed: &SealedSegment) -> Result<(), Error> {
        let link = sealed.link_before();
        self.begin(sealed.footer.first_sequence, &link, |what| sealed.corrupt(0, what))?;
        self.report.bytes += sealed.file_bytes;
        let damaged = self.report.damage.len();
        let blocks = sealed.footer.blocks.len() as u32;
        for number in 0..blocks {
            if let Err(error) = sealed.block(number) {
                self.damage(error)?;
            }
        }
        let rows = self.rows(sealed)?;
        let chain = match sealed.chain() {
            Ok(chain) => Some(chain),
            Err(error) => {
                self.damage(error)?;
                None
            }
        };
        if let (Some(rows), Some(chain)) = (rows, chain)
            && self.report.damage.len() == damaged
        {
            self.recompute(sealed, &rows, &chain, link)?;
        }
        // The footer says where the chain goes on, also past damage.
        self.link = Some(sealed.link());
        self.next_sequence = sealed.footer.first_sequence + sealed.footer.count;
        Ok(())
    }

    fn rows(&mut self, sealed: &SealedSegment) -> Result<Option<Vec<Placed>>, Error> {
        let mut rows = Vec::with_capacity(sealed.footer.count as usize);
        let mut whole = true;
        for number in 0..(sealed.footer.count as usize).div_ceil(PAGE_ROWS) {
            match sealed.page(number) {
                Ok(page) => rows.extend_from_slice(&page),
                Err(error) => {
                    whole = false;
                    self.damage(error)?;
                }
            }
        }
        Ok(whole.then_some(rows))
    }

    /// Recomputes the links of a sealed segment, group by group, and the payload hashes.
    fn recompute(
        &mut self,
        sealed: &SealedSegment,
        rows: &[Placed],
        chain: &Chain,
        mut link: Link,
    ) -> Result<(), Error> {
        let keyed = self.key.filter(|key| key.number() == sealed.footer.key_number);
        let mut sequence = sealed.footer.first_sequence;
        let mut rest = Rest { rows, runs: &chain.runs, names: &sealed.names };
        for group in &chain.groups {
            let Some((rows, runs, names)) = rest.take(group) else {
                return self
                    .damage(sealed.corrupt(sealed.footer.chain.offset, "groups of the chain"));
            };
            link = next_link(group, sequence, &link, &Parts { rows, runs, names });
            sequence += u64::from(group.count);
            self.report.groups += 1;
            self.report.records += u64::from(group.count);
            match keyed {
                Some(key) => self.payload_hashes(sealed, key, rows, runs)?,
                None => self.report.unkeyed_records += u64::from(group.count),
            }
        }
        let all = rest.rows.is_empty() && rest.runs.is_empty() && rest.names.is_empty();
        if !all || link[..] != sealed.footer.link {
            return self.damage(sealed.corrupt(sealed.footer.chain.offset, "hash chain"));
        }
        Ok(())
    }

    fn payload_hashes(
        &mut self,
        sealed: &SealedSegment,
        key: &PayloadKey,
        rows: &[Placed],
        runs: &[u8],
    ) -> Result<(), Error> {
        let mut rows = rows;
        let mut payloads = Vec::new();
        for run in runs.chunks_exact(RUN_BYTES_ENCODED) {
            let count = (Fields(run).u32(0) as usize).min(rows.len());
            let (these, after) = rows.split_at(count);
            payloads.clear();
            for placed in these {
                payloads.extend_from_slice(&sealed.payload(placed)?);
            }
            if key.hash(&payloads) != run[4..] {
                let block = these.first().map_or(0, |placed| placed.place as usize);
                let offset = sealed.footer.blocks.get(block).map_or(0, |block| block.offset);
                self.damage(sealed.corrupt(offset, "payload hash"))?;
            }
            rows = after;
        }
        Ok(())
    }
}

/// What of a segment's chain is not recomputed yet.
struct Rest<'a> {
    rows: &'a [Placed],
    runs: &'a [u8],
    names: &'a [Arc<[u8]>],
}

/// A group's share of rows, runs and names.
type Share<'a> = (&'a [Placed], &'a [u8], &'a [Arc<[u8]>]);

impl<'a> Rest<'a> {
    fn take(&mut self, group: &ChainGroup) -> Option<Share<'a>> {
        let (rows, rows_after) = self.rows.split_at_checked(group.count as usize)?;
        let runs_len = (group.runs as usize).checked_mul(RUN_BYTES_ENCODED)?;
        let (runs, runs_after) = self.runs.split_at_checked(runs_len)?;
        let (names, names_after) = self.names.split_at_checked(group.names as usize)?;
        *self = Rest { rows: rows_after, runs: runs_after, names: names_after };
        Some((rows, runs, names))
    }
}

struct Parts<'a> {
    rows: &'a [Placed],
    runs: &'a [u8],
    names: &'a [Arc<[u8]>],
}

fn next_link(group: &ChainGroup, first_sequence: u64, before: &Link, parts: &Parts<'_>) -> Link {
    let mut names = Vec::new();
    parts.names.iter().for_each(|name| encode_name(name, &mut names));
    let rows: Vec<u8> = parts.rows.iter().flat_map(|placed| placed.row.0).collect();
    let header = GroupHeader {
        salt: 0,
        first_sequence,
        committed_ns: group.committed_ns,
        count: group.count,
        epoch: group.epoch,
        runs: group.runs,
        names: group.names,
        names_len: 0,
        payloads_len: 0,
        heads_crc: 0,
        flags: group.flags as u16,
        record_version: group.record_version as u16,
        link: [0; 32],
    };
    header.next_link(before, &[parts.runs, &names, &rows])
}
