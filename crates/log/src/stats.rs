//! Numbers about a log.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nexus_model::Timestamp;
use nexus_model::record::RecordKind;

use crate::batch::kind_word;
use crate::report::{KindCount, LogStats, SegmentStats};
use crate::segment::Segment;
use crate::shared::Shared;
use crate::{Disk, Error, FolderLock, files, recover, retention};

/// Numbers about a running log.
pub(crate) fn stats(shared: &Shared) -> Result<LogStats, Error> {
    let segments = shared.segments();
    let counts = shared.counts();
    Ok(LogStats {
        disk_bytes: retention::disk_bytes(shared)?,
        last_sequence: *shared.durable.borrow(),
        recordings_lost: counts.recordings_lost,
        recordings_buffered_bytes: shared.buffered.load(Ordering::Relaxed),
        commits: counts.commits,
        commits_records: counts.records,
        restarts: counts.restarts,
        ..of_segments(&segments)?
    })
}

/// Numbers about a log that nobody has open.
pub(crate) fn stats_dir(dir: &Path, disk: Arc<dyn Disk>) -> Result<LogStats, Error> {
    let _lock = FolderLock::acquire(dir, &*disk)?;
    let found = recover::find(dir, &*disk)?;
    let mut disk_bytes = 0;
    for (kind, number) in files::list(dir, &*disk)? {
        let path = files::path_of(dir, kind, number);
        let size = disk.open(&path).and_then(|file| file.size());
        disk_bytes += size.map_err(|source| Error::io("read", &path, source))?;
    }
    let last_sequence = found.next_sequence - 1;
    Ok(LogStats { disk_bytes, last_sequence, ..of_segments(&found.segments)? })
}

fn of_segments(segments: &[Segment]) -> Result<LogStats, Error> {
    let mut stats = LogStats::default();
    let mut kinds: BTreeMap<u8, u64> = BTreeMap::new();
    let (mut time_min, mut time_max) = (i64::MAX, i64::MIN);
    stats.first_sequence = segments.first().map_or(1, Segment::first_sequence);
    for (index, segment) in segments.iter().enumerate() {
        let bounds = segment.bounds();
        time_min = time_min.min(bounds.time_min);
        time_max = time_max.max(bounds.time_max);
        count_kinds(segment, &mut kinds)?;
        let row = segment_stats(segment, index + 1 == segments.len())?;
        match segment {
            Segment::Tail(_) => stats.segments_open += 1,
            Segment::Sealed(_) => stats.segments_sealed += 1,
        }
        stats.records += row.records;
        stats.payload_bytes += row.payload_bytes;
        stats.segments.push(row);
    }
    if time_min <= time_max {
        stats.oldest = Some(Timestamp::from_unix_ns(time_min));
        stats.newest = Some(Timestamp::from_unix_ns(time_max));
    }
    let known = kinds.iter().filter_map(|(kind, count)| {
        let kind = kind_word(RecordKind::from_number(*kind)?);
        Some(KindCount { kind, count: *count })
    });
    stats.by_kind = known.collect();
    Ok(stats)
}

fn count_kinds(segment: &Segment, kinds: &mut BTreeMap<u8, u64>) -> Result<(), Error> {
    match segment {
        Segment::Sealed(sealed) => {
            for entry in &sealed.footer.counts {
                *kinds.entry(entry.kind as u8).or_default() += entry.count;
            }
        }
        Segment::Tail(_) => {
            for page in 0..segment.page_count() {
                for placed in segment.page(page)?.iter() {
                    *kinds.entry(placed.row.kind_number()).or_default() += 1;
                }
            }
        }
    }
    Ok(())
}

fn segment_stats(segment: &Segment, last: bool) -> Result<SegmentStats, Error> {
    let (state, format, payload_bytes, file_bytes) = match segment {
        Segment::Tail(tail) => {
            let size = tail.file.size().map_err(|source| Error::io("read", &tail.path, source))?;
            let state = if last { "tail" } else { "full" };
            (state, tail.header.version, tail.payload_bytes(), size)
        }
        Segment::Sealed(sealed) => {
            let footer = &sealed.footer;
            ("sealed", crate::sealed::SEALED_VERSION, footer.payload_bytes, sealed.file_bytes)
        }
    };
    Ok(SegmentStats {
        segment: segment.number(),
        state,
        format,
        first_sequence: segment.first_sequence(),
        records: segment.len() as u64,
        payload_bytes,
        file_bytes,
    })
}
