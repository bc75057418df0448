//! Cutting: a log goes on without what lies behind a damage, or behind a record that somebody names.
//!
//! Nothing is destroyed. What does not stay is set aside in a folder inside the log's:
//!
//! ```text
//! 0000000000000006.sealed                     stays
//! 0000000000000007.tail                       stays up to the damage
//! cut-1795000000000/0000000000000007.tail     as it was
//! cut-1795000000000/0000000000000008.tail     lay behind it
//! ```
//!
//! The newest files move first and the damaged one is replaced last, so that a crash anywhere leaves
//! a log that can be cut again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nexus_model::Timestamp;
use serde::Serialize;

use crate::disk::{Disk, DiskFile, read_up_to};
use crate::files::{FileKind, path_of};
use crate::recover::{self, Found};
use crate::sealed::SealedSegment;
use crate::segment::Segment;
use crate::tail_reader::{Step, TailReader};
use crate::{Error, FolderLock, files, mark};

/// How much is copied at once, in bytes.
const COPY_BYTES: usize = 1 << 20;

/// Where a log is to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutOptions<'a> {
    /// The first record that does not stay. `None` cuts where the log is damaged so that it cannot
    /// be opened, and only there; so does a record behind that place.
    pub from: Option<u64>,
    /// The file that says how far the log went, which is told that it goes less far now; see
    /// [`LogConfig::mark`](crate::LogConfig::mark).
    pub mark: Option<&'a Path>,
    /// Now: the folder with what is set aside is named by it.
    pub now: Timestamp,
}

/// Where a log is cut, and what that means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cut {
    /// The file in which it is cut.
    pub file: String,
    /// Where in it it is damaged, or would be cut.
    pub offset: u64,
    /// Why there: which check failed, or what was asked for.
    pub why: String,
    /// The newest record that stays; 0 where none does.
    pub last_kept: u64,
    /// When it was written.
    pub last_kept_at: Option<Timestamp>,
    /// Records that do not stay, as far as can still be told.
    pub records_lost: u64,
    /// When the newest of them was written.
    pub last_lost_at: Option<Timestamp>,
    /// The files that do not stay, or not whole.
    pub files: Vec<String>,
    /// The folder into which these files go as they are.
    pub aside: PathBuf,
}

/// What cutting the log in `dir`, which no process may have open, means; `None` where there is nothing
/// to cut. Changes nothing.
///
/// # Errors
/// The folder is locked or cannot be read, or a newer version has written it.
pub fn plan_cut(
    dir: &Path,
    disk: &dyn Disk,
    options: CutOptions<'_>,
) -> Result<Option<Cut>, Error> {
    let _lock = FolderLock::acquire(dir, disk)?;
    Ok(plan(dir, disk, options)?.map(|plan| plan.cut))
}

/// Cuts the log in `dir`, which no process may have open; `None` where there is nothing to cut. What
/// was acknowledged and lies behind is gone from the log then.
///
/// # Errors
/// As [`plan_cut`]; or a file cannot be copied or moved. Then it can be tried again.
pub fn cut_dir(dir: &Path, disk: &dyn Disk, options: CutOptions<'_>) -> Result<Option<Cut>, Error> {
    let _lock = FolderLock::acquire(dir, disk)?;
    let Some(plan) = plan(dir, disk, options)? else { return Ok(None) };
    let aside = &plan.cut.aside;
    disk.create_dir_all(aside).map_err(|source| Error::io("create", aside, source))?;
    for &(kind, number) in plan.moved.iter().rev() {
        let path = path_of(dir, kind, number);
        let to = path_of(aside, kind, number);
        disk.rename(&path, &to).map_err(|source| Error::io("move", &path, source))?;
        sync_dirs(disk, [aside.as_path(), dir])?;
    }
    if let Some(shortened) = &plan.shortened {
        shorten(dir, disk, aside, shortened)?;
    }
    if let Some(mark) = options.mark {
        mark::lower(disk, mark, &recover::find(dir, disk)?)?;
    }
    Ok(Some(plan.cut))
}

struct Plan {
    cut: Cut,
    /// What goes aside whole, the oldest first.
    moved: Vec<(FileKind, u64)>,
    /// The tail of which only a part stays.
    shortened: Option<Shortened>,
}

/// A tail that stays up to `end`, and whose file is to have this capacity: it may have become shorter.
struct Shortened {
    number: u64,
    end: u64,
    capacity: u64,
}

fn plan(dir: &Path, disk: &dyn Disk, options: CutOptions<'_>) -> Result<Option<Plan>, Error> {
    let (found, damage) = sound(dir, disk)?;
    let from = options.from.unwrap_or(u64::MAX);
    let mut cut = Cut {
        file: String::new(),
        offset: 0,
        why: format!("asked for from record {from} on"),
        last_kept: 0,
        last_kept_at: None,
        records_lost: 0,
        last_lost_at: None,
        files: Vec::new(),
        aside: dir.join(format!("cut-{}", options.now.unix_ms())),
    };
    let has_it = |segment: &&Segment| {
        let first = segment.first_sequence();
        (first..first + segment.len() as u64).contains(&from)
    };
    if let Some(segment) = found.segments.iter().find(has_it) {
        let number = segment.number();
        let below = recover::find_below(dir, disk, number)?;
        return plan_at(dir, disk, (number, from, &below), cut).map(Some);
    }
    let Some(Damage { segment, file, offset, what }) = damage else { return Ok(None) };
    (cut.file, cut.offset, cut.why) = (file, offset, format!("damaged: {what}"));
    plan_at(dir, disk, (segment, from, &found), cut).map(Some)
}

/// Why a log cannot be opened.
struct Damage {
    segment: u64,
    file: String,
    offset: u64,
    what: &'static str,
}

/// The segments before the first one that is damaged so that the log cannot be opened, and that
/// damage. Opening stops at the damage that it meets first, which may lie behind another one.
fn sound(dir: &Path, disk: &dyn Disk) -> Result<(Found, Option<Damage>), Error> {
    let mut damage = None;
    let mut end = u64::MAX;
    loop {
        match recover::find_below(dir, disk, end) {
            Ok(found) => return Ok((found, damage)),
            Err(Error::Corrupt { segment, path, offset, what }) => {
                let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                damage = Some(Damage { segment, file, offset, what });
                end = segment;
            }
            Err(other) => return Err(other),
        }
    }
}

fn newest_of(found: &Found) -> Option<Timestamp> {
    let last = found.segments.iter().rfind(|segment| segment.len() > 0)?;
    Some(Timestamp::from_unix_ns(last.bounds().time_max))
}

/// Nothing of the segment `damaged` stays from the record `from` on; `found` is what lies before it.
fn plan_at(
    dir: &Path,
    disk: &dyn Disk,
    (damaged, from, found): (u64, u64, &Found),
    mut cut: Cut,
) -> Result<Plan, Error> {
    let mut behind = Behind::default();
    cut.last_kept = found.next_sequence - 1;
    cut.last_kept_at = newest_of(found);
    let mut moved: Vec<(FileKind, u64)> = files::list(dir, disk)?;
    moved.retain(|(kind, number)| {
        *number >= damaged && matches!(kind, FileKind::Tail | FileKind::Sealed)
    });
    moved.sort_by_key(|(_, number)| *number);
    cut.files = moved.iter().map(|(kind, number)| name_of(*kind, *number)).collect();
    if cut.file.is_empty() {
        cut.file = cut.files.first().cloned().unwrap_or_default();
    }
    let mut shortened = None;
    if let Some(mut part) = sound_part(dir, disk, (damaged, from), found)? {
        moved.retain(|at| *at != (FileKind::Tail, damaged));
        let capacity = part.reader.header.capacity;
        shortened = Some(Shortened { number: damaged, end: part.end, capacity });
        cut.offset = part.end;
        cut.last_kept = part.next_sequence - 1;
        cut.last_kept_at = Some(part.newest);
        behind.tail(&mut part.reader)?;
    }
    for &(kind, number) in &moved {
        behind.file(dir, disk, (kind, number))?;
    }
    cut.records_lost = behind.next_sequence.saturating_sub(cut.last_kept + 1);
    cut.last_lost_at = behind.newest;
    Ok(Plan { cut, moved, shortened })
}

fn name_of(kind: FileKind, number: u64) -> String {
    let path = path_of(Path::new(""), kind, number);
    path.to_string_lossy().into_owned()
}

/// The part of a tail that stays.
struct SoundPart {
    /// Where it ends.
    end: u64,
    next_sequence: u64,
    /// The time of its last group.
    newest: Timestamp,
    /// At its end.
    reader: TailReader,
}

/// What stays of a tail that does not stay whole; `None` where nothing does, or it is no tail.
fn sound_part(
    dir: &Path,
    disk: &dyn Disk,
    (number, from): (u64, u64),
    found: &Found,
) -> Result<Option<SoundPart>, Error> {
    let path = path_of(dir, FileKind::Tail, number);
    // A sealed segment of that number counts, and its tail is what it was made of.
    if disk.open(&path_of(dir, FileKind::Sealed, number)).is_ok() {
        return Ok(None);
    }
    let Ok(file) = disk.open(&path) else { return Ok(None) };
    let open = || TailReader::open(file.clone(), path.clone(), number);
    let mut reader = match open() {
        Ok(reader) => reader,
        Err(Error::Corrupt { .. }) => return Ok(None),
        Err(other) => return Err(other),
    };
    let follows = number == found.next_segment
        && reader.header.first_sequence == found.next_sequence
        && reader.header.link == found.link;
    if !follows && !found.segments.is_empty() {
        return Ok(None);
    }
    // Read once to know how many groups stay, and once to stop behind them.
    let mut newest = None;
    let mut groups = 0;
    while let Step::Group(group) = reader.step()? {
        if group.header.first_sequence + u64::from(group.header.count) > from {
            break;
        }
        newest = Some(Timestamp::from_unix_ns(group.header.committed_ns));
        groups += 1;
    }
    let Some(newest) = newest else { return Ok(None) };
    let mut reader = open()?;
    for _ in 0..groups {
        reader.step()?;
    }
    Ok(Some(SoundPart {
        end: reader.offset(),
        next_sequence: reader.next_sequence(),
        newest,
        reader,
    }))
}

/// What can still be told about records that do not stay.
#[derive(Default)]
struct Behind {
    next_sequence: u64,
    newest: Option<Timestamp>,
}

impl Behind {
    fn note(&mut self, next_sequence: u64, newest_ns: i64) {
        if next_sequence > self.next_sequence {
            self.next_sequence = next_sequence;
            self.newest = Some(Timestamp::from_unix_ns(newest_ns));
        }
    }

    fn tail(&mut self, reader: &mut TailReader) -> Result<(), Error> {
        if let Some(header) = reader.newest_group()? {
            self.note(header.first_sequence + u64::from(header.count), header.committed_ns);
        }
        Ok(())
    }

    fn file(
        &mut self,
        dir: &Path,
        disk: &dyn Disk,
        (kind, number): (FileKind, u64),
    ) -> Result<(), Error> {
        let path = path_of(dir, kind, number);
        let file = disk.open(&path).map_err(|source| Error::io("open", &path, source))?;
        let read = match kind {
            FileKind::Sealed => SealedSegment::open(file, path, number).map(|segment| {
                let next = segment.footer.first_sequence + segment.footer.count;
                self.note(next, Segment::Sealed(Arc::new(segment)).bounds().time_max);
            }),
            _ => TailReader::open(file, path, number).and_then(|mut reader| self.tail(&mut reader)),
        };
        match read {
            // What cannot be read tells nothing.
            Err(Error::Corrupt { .. } | Error::NewerFormat { .. }) => Ok(()),
            other => other,
        }
    }
}

/// Replaces a tail by what lies before `end`, and puts the file as it was aside.
fn shorten(
    dir: &Path,
    disk: &dyn Disk,
    aside: &Path,
    &Shortened { number, end, capacity }: &Shortened,
) -> Result<(), Error> {
    let path = path_of(dir, FileKind::Tail, number);
    let file = disk.open(&path).map_err(|source| Error::io("open", &path, source))?;
    let size = file.size().map_err(|source| Error::io("read", &path, source))?;
    copy(disk, (&*file, &path), &path_of(aside, FileKind::Tail, number), (size, size))?;
    sync_dirs(disk, [aside])?;
    // Opening removes what is half made under this name.
    let beside = path_of(dir, FileKind::Sealing, number);
    copy(disk, (&*file, &path), &beside, (end, capacity.max(size)))?;
    disk.rename(&beside, &path).map_err(|source| Error::io("rename", &beside, source))?;
    sync_dirs(disk, [dir])
}

/// Copies a file up to `end`; zeros follow up to `size`.
fn copy(
    disk: &dyn Disk,
    (from, path): (&dyn DiskFile, &Path),
    to: &Path,
    (end, size): (u64, u64),
) -> Result<(), Error> {
    let file = disk.create(to).map_err(|source| Error::io("create", to, source))?;
    let mut at = 0;
    while at < size {
        let count = COPY_BYTES.min((size - at) as usize);
        let wanted = count.min(end.saturating_sub(at) as usize);
        let mut bytes =
            read_up_to(from, at, wanted).map_err(|source| Error::io("read", path, source))?;
        bytes.resize(count, 0);
        file.write_at(at, &[&bytes]).map_err(|source| Error::io("write", to, source))?;
        at += count as u64;
    }
    file.sync().map_err(|source| Error::io("sync", to, source))
}

fn sync_dirs<'a>(disk: &dyn Disk, dirs: impl IntoIterator<Item = &'a Path>) -> Result<(), Error> {
    for dir in dirs {
        disk.sync_dir(dir).map_err(|source| Error::io("sync", dir, source))?;
    }
    Ok(())
}
