//! Opening: finds the segments, checks that they follow one another, reads the tails, cuts off what a
//! crash left half written.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use crate::batch::PayloadKey;
use crate::disk::{Disk, read_up_to};
use crate::files::{self, FileKind, path_of};
use crate::group::Link;
use crate::sealed::SealedSegment;
use crate::segment::Segment;
use crate::tail_reader::{Group, Step, TailReader};
use crate::tail_segment::{Placed, TailSegment};
use crate::{Error, Position};

/// A tail as it was found.
pub(crate) struct FoundTail {
    pub(crate) segment: Arc<TailSegment>,
    /// Where the next group goes.
    pub(crate) offset: u64,
    pub(crate) next_sequence: u64,
    pub(crate) link: Link,
    pub(crate) epoch: u32,
    /// The last group is the one of a clean end.
    pub(crate) clean: bool,
    /// What was begun after it and not completed.
    pub(crate) torn: Option<String>,
}

/// Everything that a folder has.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) segments: Vec<Segment>,
    /// The tails among them, the last one being where writing goes on.
    pub(crate) tails: Vec<FoundTail>,
    pub(crate) spares: Vec<(std::path::PathBuf, u64)>,
    /// Tails whose sealed segment is there.
    pub(crate) used: Vec<std::path::PathBuf>,
    pub(crate) half_sealed: Vec<std::path::PathBuf>,
    pub(crate) next_sequence: u64,
    pub(crate) next_segment: u64,
    pub(crate) link: Link,
    pub(crate) epoch: u32,
}

/// Reads the folder. Changes nothing.
pub(crate) fn find(dir: &Path, disk: &dyn Disk) -> Result<Found, Error> {
    find_below(dir, disk, u64::MAX)
}

/// Reads the folder as if it had no segment of this number or a higher one.
pub(crate) fn find_below(dir: &Path, disk: &dyn Disk, end: u64) -> Result<Found, Error> {
    let mut found = Found { next_sequence: 1, next_segment: 1, ..Found::default() };
    let mut numbers: BTreeMap<u64, (bool, bool)> = BTreeMap::new();
    for (kind, number) in files::list(dir, disk)? {
        let path = path_of(dir, kind, number);
        match kind {
            FileKind::Tail | FileKind::Sealed if number >= end => {}
            FileKind::Tail => numbers.entry(number).or_default().0 = true,
            FileKind::Sealed => numbers.entry(number).or_default().1 = true,
            FileKind::Sealing => found.half_sealed.push(path),
            FileKind::Spare => found.spares.push((path, number)),
        }
    }
    let order: Vec<u64> = numbers.keys().copied().collect();
    for (index, (&number, &(tail, sealed))) in numbers.iter().enumerate() {
        if sealed {
            find_sealed(dir, disk, number, &mut found)?;
            if tail {
                found.used.push(path_of(dir, FileKind::Tail, number));
            }
        } else {
            let next = order.get(index + 1);
            let limit = match next {
                Some(next) => Some(beginning(dir, disk, *next, numbers[next].1)?),
                None => None,
            };
            find_tail(dir, disk, number, limit, &mut found)?;
        }
    }
    Ok(found)
}

/// Where a segment begins: its first sequence and the link before.
fn beginning(dir: &Path, disk: &dyn Disk, number: u64, sealed: bool) -> Result<(u64, Link), Error> {
    if sealed {
        let segment = open_sealed(dir, disk, number)?;
        return Ok((segment.footer.first_sequence, segment.link_before()));
    }
    let reader = open_tail(dir, disk, number)?;
    Ok((reader.header.first_sequence, reader.header.link))
}

fn open_sealed(dir: &Path, disk: &dyn Disk, number: u64) -> Result<SealedSegment, Error> {
    let path = path_of(dir, FileKind::Sealed, number);
    let file = disk.open(&path).map_err(|source| Error::io("open", &path, source))?;
    SealedSegment::open(file, path, number)
}

fn open_tail(dir: &Path, disk: &dyn Disk, number: u64) -> Result<TailReader, Error> {
    let path = path_of(dir, FileKind::Tail, number);
    let file = disk.open(&path).map_err(|source| Error::io("open", &path, source))?;
    TailReader::open(file, path, number)
}

fn find_sealed(dir: &Path, disk: &dyn Disk, number: u64, found: &mut Found) -> Result<(), Error> {
    let segment = open_sealed(dir, disk, number)?;
    let footer = &segment.footer;
    let corrupt = |what| Err(segment.corrupt(0, what));
    if !found.segments.is_empty() {
        if number != found.next_segment || footer.first_sequence != found.next_sequence {
            return corrupt("the segment before it is missing");
        }
        if segment.link_before() != found.link {
            return corrupt("hash chain to the segment before");
        }
    }
    found.next_segment = number + 1;
    found.next_sequence = footer.first_sequence + footer.count;
    found.link = segment.link();
    found.epoch = found.epoch.max(footer.epoch);
    found.segments.push(Segment::Sealed(Arc::new(segment)));
    Ok(())
}

fn find_tail(
    dir: &Path,
    disk: &dyn Disk,
    number: u64,
    limit: Option<(u64, Link)>,
    found: &mut Found,
) -> Result<(), Error> {
    let path = path_of(dir, FileKind::Tail, number);
    let file = disk.open(&path).map_err(|source| Error::io("open", &path, source))?;
    let reader = TailReader::open(file.clone(), path.clone(), number)?;
    if !found.segments.is_empty() {
        if number != found.next_segment || reader.header.first_sequence != found.next_sequence {
            return Err(reader.corrupt("the segment before it is missing"));
        }
        if reader.header.link != found.link {
            return Err(reader.corrupt("hash chain to the segment before"));
        }
    }
    let segment = Arc::new(TailSegment::new(reader.header, path, file));
    let tail = read_tail(reader, segment, limit)?;
    found.next_segment = number + 1;
    found.next_sequence = tail.next_sequence;
    found.link = tail.link;
    found.epoch = found.epoch.max(tail.epoch);
    found.segments.push(Segment::Tail(tail.segment.clone()));
    found.tails.push(tail);
    Ok(())
}

/// Reads a tail into memory, up to where the next segment begins or to its end.
fn read_tail(
    mut reader: TailReader,
    segment: Arc<TailSegment>,
    limit: Option<(u64, Link)>,
) -> Result<FoundTail, Error> {
    let mut epoch = reader.header.epoch;
    let mut clean = false;
    let mut torn = None;
    loop {
        if limit.is_some_and(|(end, link)| reader.next_sequence() >= end && reader.link() == link) {
            break;
        }
        match reader.step()? {
            Step::Group(group) => {
                epoch = epoch.max(group.header.epoch);
                clean = group.header.flags & crate::group::FLAG_CLOSED != 0;
                publish(&segment, group);
            }
            Step::End if limit.is_some() => return Err(reader.corrupt("group header")),
            Step::Torn(what) if limit.is_some() => return Err(reader.corrupt(what)),
            end => {
                let what = if let Step::Torn(what) = end { Some(what) } else { None };
                if reader.is_short()? {
                    return Err(reader.corrupt("the file is shorter than it was made"));
                }
                if reader.has_later_group()? {
                    return Err(reader.corrupt(what.unwrap_or("group header")));
                }
                torn = what.map(|what| torn_message(&reader, what));
                break;
            }
        }
    }
    Ok(FoundTail {
        segment,
        offset: reader.offset(),
        next_sequence: reader.next_sequence(),
        link: reader.link(),
        epoch,
        clean,
        torn,
    })
}

fn torn_message(reader: &TailReader, what: &str) -> String {
    format!(
        "a group commit that was never acknowledged was cut off after record {} (segment {}, byte \
         {}: {what})",
        reader.next_sequence() - 1,
        reader.header.segment,
        reader.offset(),
    )
}

fn publish(segment: &TailSegment, group: Group<'_>) {
    let mut offset = group.payloads_offset as u32;
    let rows = group.heads.rows.iter().zip(&group.heads.crcs);
    let placed: Vec<Placed> = rows
        .map(|(row, crc)| {
            let placed = Placed { row: *row, place: offset, detail: *crc };
            offset += row.payload_len();
            placed
        })
        .collect();
    segment.publish(group.heads.names, &placed, Vec::new());
}

/// The names of a tail by index.
pub(crate) fn names_of(segment: &TailSegment) -> HashMap<Vec<u8>, u16> {
    let names = segment.names();
    names.iter().enumerate().map(|(index, name)| (name.to_vec(), index as u16)).collect()
}

/// The key of the payload hashes, made at the first start.
pub(crate) fn payload_key(dir: &Path, disk: &dyn Disk) -> Result<PayloadKey, Error> {
    if let Some(key) = read_payload_key(dir, disk)? {
        return Ok(key);
    }
    let path = files::key_path(dir);
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|source| {
        Error::io("make a key for", &path, std::io::Error::other(source.to_string()))
    })?;
    let file = disk.create(&path).map_err(|source| Error::io("create", &path, source))?;
    let crc = crc32c::crc32c(&key).to_le_bytes();
    file.write_at(0, &[&key, &crc]).map_err(|source| Error::io("write", &path, source))?;
    file.sync().map_err(|source| Error::io("sync", &path, source))?;
    disk.sync_dir(dir).map_err(|source| Error::io("sync", dir, source))?;
    Ok(PayloadKey(key))
}

/// The key, if there is a whole one: a crash while it was made leaves none, and no records.
pub(crate) fn read_payload_key(dir: &Path, disk: &dyn Disk) -> Result<Option<PayloadKey>, Error> {
    let path = files::key_path(dir);
    let file = match disk.open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path, error)),
    };
    let bytes = read_up_to(&*file, 0, 36).map_err(|source| Error::io("read", &path, source))?;
    let Some((key, crc)) = bytes.split_first_chunk::<32>() else { return Ok(None) };
    Ok((crc == crc32c::crc32c(key).to_le_bytes()).then_some(PayloadKey(*key)))
}

/// The position of a sequence in the embedded log's only shard.
pub(crate) fn position(sequence: u64) -> Position {
    Position { shard: 0, sequence }
}
