//! Removing what is too old or too much: whole sealed segments, the oldest first.

use std::sync::PoisonError;

use crate::report::RetentionReport;
use crate::segment::Segment;
use crate::shared::Shared;
use crate::{Error, files};

/// Removes what the configuration says, below `floor`.
pub(crate) fn enforce(shared: &Shared, floor: u64) -> Result<RetentionReport, Error> {
    let mut report = RetentionReport::default();
    let retention = shared.config.retention;
    let oldest_ns = retention.max_age.map(|age| shared.clock.now().before(age).unix_ns());
    while let Some(size) = removable(shared, oldest_ns, retention.max_bytes)? {
        if next_first(shared) > floor {
            report.held_from = Some(floor);
            break;
        }
        let removed = remove_first(shared)?;
        report.segments_removed += 1;
        report.records_removed += removed;
        report.bytes_freed += size;
    }
    report.first_sequence = shared.first_sequence();
    Ok(report)
}

/// The size of the oldest segment's file when it is to go.
fn removable(
    shared: &Shared,
    oldest_ns: Option<i64>,
    max_bytes: Option<u64>,
) -> Result<Option<u64>, Error> {
    let segments = shared.segments();
    // The segment that is being written stays, so the numbering of records is never lost.
    let [Segment::Sealed(first), _, ..] = &segments[..] else { return Ok(None) };
    let too_old = oldest_ns.is_some_and(|oldest| first.bounds.time_max < oldest);
    let too_much = match max_bytes {
        Some(max_bytes) => disk_bytes(shared)? > max_bytes,
        None => false,
    };
    Ok((too_old || too_much).then_some(first.file_bytes))
}

/// The first sequence number that would be left without the oldest segment.
fn next_first(shared: &Shared) -> u64 {
    shared.segments().get(1).map_or(u64::MAX, Segment::first_sequence)
}

/// The size of all files of the log.
pub(crate) fn disk_bytes(shared: &Shared) -> Result<u64, Error> {
    let (dir, disk) = (&shared.config.dir, &*shared.disk);
    let mut bytes = 0;
    for (kind, number) in files::list(dir, disk)? {
        // A file that was renamed or removed meanwhile is counted under its new name, or not at all.
        let file = disk.open(&files::path_of(dir, kind, number));
        bytes += file.and_then(|file| file.size()).unwrap_or(0);
    }
    Ok(bytes)
}

/// Removes the oldest segment. Each removal is made durable before the next: a crash must not bring
/// back one from the middle.
fn remove_first(shared: &Shared) -> Result<u64, Error> {
    let removed = {
        let mut guard = shared.segments.write().unwrap_or_else(PoisonError::into_inner);
        let segments = std::sync::Arc::make_mut(&mut guard);
        segments.remove(0)
    };
    let Segment::Sealed(sealed) = &removed else { return Ok(0) };
    let dir = &shared.config.dir;
    shared.disk.remove(&sealed.path).map_err(|source| Error::io("remove", &sealed.path, source))?;
    shared.disk.sync_dir(dir).map_err(|source| Error::io("sync", dir, source))?;
    Ok(sealed.footer.count)
}
