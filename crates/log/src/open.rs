//! Opening a log: what was found becomes what is running.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, OnceLock, RwLock};

use nexus_model::Clock;
use tokio::sync::{Notify, watch};

use crate::batch::prepare;
use crate::config::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use crate::group::SEGMENT_HEADER_BYTES;
use crate::recordings::Recordings;
use crate::recover::{self, Found, FoundTail, names_of};
use crate::report::Opened;
use crate::sealer::SPARE_NUMBERS;
use crate::segment::Segment;
use crate::shared::{Counters, Queue, SealerState, Shared, lock};
use crate::writer::{Active, Writer};
use crate::{Disk, Error, FolderLock, LogConfig, files, mark, new_segment, sealer, writer};

/// The size of the very first segment: a new log is there at once, and a full-sized one is made
/// ready meanwhile. In bytes.
const FIRST_SEGMENT_BYTES: u64 = 2 << 20;

/// Opens the log and starts its threads.
pub(crate) fn open(
    config: LogConfig,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
) -> Result<(Arc<Shared>, Opened), Error> {
    check(&config)?;
    let folder_lock = FolderLock::acquire(&config.dir, &*disk)?;
    let had_key = recover::read_payload_key(&config.dir, &*disk)?.is_some();
    let key = recover::payload_key(&config.dir, &*disk)?;
    let mut found = recover::find(&config.dir, &*disk)?;
    if !had_key && found.next_sequence > 1 {
        tracing::error!(
            file = %files::key_path(&config.dir).display(),
            records = found.next_sequence - 1,
            "the key of the payload hashes is missing or damaged, so that the hashes of what is in \
             the log cannot be checked any more; a new one is made for what comes. Its file is in a \
             backup of the data folder"
        );
    }
    if let Some(mark) = &config.mark {
        mark::check(&found, (&config.dir, &*disk), mark)?;
    }
    for path in &found.half_sealed {
        disk.remove(path).map_err(|source| Error::io("remove", path, source))?;
    }
    let durable = found.next_sequence - 1;
    let shared = Arc::new(Shared {
        epoch: found.epoch + 1,
        key,
        queue: Mutex::new(Queue::default()),
        wake: Condvar::new(),
        recordings: Mutex::default(),
        buffered: AtomicU64::new(0),
        recorded: Notify::new(),
        segments: RwLock::new(Arc::new(std::mem::take(&mut found.segments))),
        durable: watch::Sender::new(durable),
        closed: watch::Sender::new(false),
        counters: Counters::default(),
        observer: OnceLock::new(),
        sealer: Mutex::new(SealerState { spare_wanted: true, ..SealerState::default() }),
        sealer_wake: Condvar::new(),
        lock: Mutex::new(Some(folder_lock)),
        config,
        disk,
        clock,
    });
    let kept = (durable + 1).saturating_sub(shared.first_sequence());
    let mut opened = Opened { notes: Vec::new(), records_recovered: kept };
    take_files(&shared, &found);
    let mut writer = make_writer(&shared, &mut found, &mut opened)?;
    for note in &opened.notes {
        let record = new_segment::note(&*shared.clock, "torn-tail", note.clone(), 1);
        let batch = prepare(&[record], &shared.key)?;
        writer.commit(&[&batch], 0)?;
    }
    sealer::spawn(shared.clone())?;
    writer::spawn(writer).inspect_err(|_| shared.stop_sealer())?;
    Ok((shared, opened))
}

fn check(config: &LogConfig) -> Result<(), Error> {
    let value = config.segment_bytes;
    if (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&value) {
        return Ok(());
    }
    let rule = format!("allowed are {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX} bytes");
    Err(Error::Config { what: "segment-bytes", value, rule })
}

/// Spare files, and tails that were sealed before a crash could take them again.
fn take_files(shared: &Shared, found: &Found) {
    let mut state = lock(&shared.sealer);
    state.spare_number =
        found.spares.iter().fold(SPARE_NUMBERS, |max, (_, number)| max.max(*number));
    for (path, _) in &found.spares {
        let size = shared.disk.open(path).and_then(|file| file.size());
        if size.is_ok_and(|size| size == shared.config.segment_bytes) {
            state.spares.push(path.clone());
        } else {
            // Half filled, or of another configured size.
            let _ = shared.disk.remove(path);
        }
    }
    for path in &found.used {
        sealer::recycle_file(shared, path, &mut state);
    }
    if !found.half_sealed.is_empty() {
        tracing::info!(segments = found.half_sealed.len(), "sealing begins again after a crash");
    }
}

fn make_writer(
    shared: &Arc<Shared>,
    found: &mut Found,
    opened: &mut Opened,
) -> Result<Writer, Error> {
    let last_is_tail = matches!(shared.segments().last(), Some(Segment::Tail(_)));
    let current = if last_is_tail { found.tails.pop() } else { None };
    for FoundTail { segment, link, .. } in found.tails.drain(..) {
        shared.seal_later(segment, link);
    }
    let mut writer = Writer {
        shared: shared.clone(),
        active: None,
        next_segment: found.next_segment,
        next_sequence: found.next_sequence,
        link: found.link,
        clean: false,
        carried: None,
        lost_noted: 0,
        spare: Recordings::default(),
    };
    let Some(current) = current else {
        let first = found.next_sequence == 1;
        let bytes = shared.config.segment_bytes;
        writer.begin_segment(if first { bytes.min(FIRST_SEGMENT_BYTES) } else { bytes })?;
        return Ok(writer);
    };
    // A process that died may have left its last group in the page cache only.
    let file = current.segment.file.clone();
    file.sync().map_err(|source| Error::io("sync", &current.segment.path, source))?;
    opened.notes.extend(current.torn);
    writer.clean = current.clean && current.offset > SEGMENT_HEADER_BYTES as u64;
    writer.note_mark(found.next_segment - 1);
    writer.active = Some(Active {
        names: names_of(&current.segment),
        segment: current.segment,
        file,
        offset: current.offset,
    });
    Ok(writer)
}
