//! Flipped bits in every region of every kind of file: detected and named, never skipped.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nexus_log::{
    CutOptions, Disk, Error, Log, LogConfig, Position, RealDisk, VerifyReport, cut_dir, plan_cut,
    verify_dir,
};
use nexus_model::record::{Body, Output, Record, Status};
use nexus_model::{Digest, Timestamp};
use nexus_testkit::{Faults, Seeded, SimDisk};

use crate::kit::{Maker, no_blobs, open, run, small};

/// A closed log with sealed segments and a tail, and its records.
fn filled() -> (SimDisk, Vec<Record>) {
    let sim = SimDisk::new(9);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let mut maker = Maker::new(9);
    let mut records = Vec::new();
    run(async {
        let (log, _) = open(&small("/log"), &disk, &maker);
        for _ in 0..60 {
            let batch: Vec<Record> = (0..3).map(|_| maker.event(200)).collect();
            log.append(batch.clone()).await.unwrap();
            records.extend(batch);
        }
        while log.stats().await.unwrap().segments_sealed < 2 {
            tokio::task::yield_now().await;
        }
        log.close().await.unwrap();
    });
    (sim, records)
}

/// Reads everything; the error that stops it.
fn read(disk: Arc<dyn Disk>) -> Result<Vec<Record>, Error> {
    let maker = Maker::later(9);
    run(async {
        let (log, _) = Log::open(small("/log"), disk, maker.clock.clone())?;
        let mut records = Vec::new();
        let mut after = Position::START;
        let result = loop {
            match log.read_from(after, 50).await {
                Ok(entries) => {
                    let Some(last) = entries.last() else { break Ok(records) };
                    after = last.position;
                    records.extend(entries.into_iter().map(|entry| entry.record));
                }
                Err(error) => break Err(error),
            }
        };
        log.close().await?;
        result
    })
}

fn segment_files(sim: &SimDisk) -> Vec<PathBuf> {
    let wanted = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "tail" || extension == "sealed")
    };
    sim.paths().into_iter().filter(wanted).collect()
}

/// How much of a file means something: a tail is free space after its last group.
fn used(path: &Path, bytes: &[u8]) -> usize {
    if path.extension().is_some_and(|extension| extension == "sealed") {
        return bytes.len();
    }
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[test]
fn every_flipped_bit_is_named_or_means_nothing() {
    let (sim, records) = filled();
    let mut random = Seeded::new(77);
    let mut named = 0;
    for path in segment_files(&sim) {
        let bytes = sim.contents(&path).unwrap();
        let length = used(&path, &bytes);
        for _ in 0..250 {
            let (at, bit) = (random.below(length as u64) as usize, random.below(8));
            let copy = sim.copy(1);
            copy.tamper(&path, |bytes| bytes[at] ^= 1 << bit);
            let disk: Arc<dyn Disk> = Arc::new(copy.clone());
            let report = verify_dir(Path::new("/log"), disk.clone(), &no_blobs).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap();
            let detected = report.damage.iter().any(|damage| damage.file == name);
            match read(disk) {
                // Padding, unused header bytes, or the empty group of the clean end.
                Ok(found) => {
                    let kept = found.iter().filter(|record| !matches!(record, Record::Note(_)));
                    assert!(kept.eq(&records), "{name} byte {at}: records were lost silently");
                }
                Err(Error::Corrupt { .. } | Error::NewerFormat { .. }) => {
                    assert!(detected, "{name} byte {at}: {report:?}");
                    named += 1;
                }
                Err(other) => panic!("{name} byte {at}: {other}"),
            }
        }
    }
    assert!(named > 300, "{named}");
}

#[test]
fn a_missing_segment_is_named() {
    let (sim, _) = filled();
    let sealed: Vec<PathBuf> = segment_files(&sim);
    let copy = sim.copy(1);
    copy.remove(&sealed[1]).unwrap();
    let error = read(Arc::new(copy)).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
}

#[test]
fn a_newer_format_is_refused_with_its_version() {
    let (sim, _) = filled();
    for path in segment_files(&sim) {
        let copy = sim.copy(1);
        copy.tamper(&path, |bytes| bytes[8] = 9);
        let error = read(Arc::new(copy)).unwrap_err();
        assert!(matches!(error, Error::NewerFormat { found: 9, .. }), "{error}");
    }
}

#[test]
fn no_bytes_make_opening_panic() {
    let (sim, _) = filled();
    let mut random = Seeded::new(5);
    let files = segment_files(&sim);
    for round in 0..400 {
        let copy = sim.copy(1);
        let path = &files[random.below(files.len() as u64) as usize];
        copy.tamper(path, |bytes| {
            let from = random.below(bytes.len() as u64) as usize;
            let to = (from + random.below(300) as usize).min(bytes.len());
            match round % 3 {
                0 => bytes.truncate(from),
                1 => bytes[from..to].iter_mut().for_each(|byte| *byte = random.next_u64() as u8),
                _ => drop(bytes.drain(from..to)),
            }
        });
        let disk: Arc<dyn Disk> = Arc::new(copy);
        let _ = verify_dir(Path::new("/log"), disk.clone(), &no_blobs);
        let _ = read(disk);
    }
}

/// The log that version 1 wrote stays readable: a committed folder with two sealed segments and a
/// tail. It is written anew only by deleting it and running this test with a build of that version.
#[test]
fn the_fixture_of_version_1_is_readable() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    if !fixture.exists() {
        let (sim, _) = filled();
        std::fs::create_dir_all(&fixture).unwrap();
        for path in sim.paths() {
            let extension = path.extension().unwrap_or_default();
            if extension != "spare" && path.file_name().unwrap() != "LOCK" {
                let target = fixture.join(path.file_name().unwrap());
                std::fs::write(target, sim.contents(&path).unwrap()).unwrap();
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(&fixture).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let report = verify_dir(folder.path(), Arc::new(RealDisk), &no_blobs).unwrap();
    assert!(report.sound(), "{report:?}");
    assert_eq!((report.records, report.unkeyed_records), (180, 0));
    let mut maker = Maker::new(9);
    run(async {
        let (log, opened) = open(&small(folder.path()), &(Arc::new(RealDisk) as _), &maker);
        assert_eq!(opened.records_recovered, 180);
        for sequence in 0..180 {
            let entries = log.read_from(Position { shard: 0, sequence }, 1).await.unwrap();
            assert_eq!(entries[0].record, maker.event(200));
        }
        log.close().await.unwrap();
    });
}

const MARK: &str = "/log.mark";
const AT_DAMAGE: CutOptions<'_> = CutOptions { from: None, mark: None, now: Timestamp::EPOCH };

/// The names of the files in a folder of a disk, and below it.
fn names_below(sim: &SimDisk, folder: &Path) -> Vec<String> {
    let below = sim
        .paths()
        .into_iter()
        .filter_map(|path| Some(path.strip_prefix(folder).ok()?.to_string_lossy().into_owned()));
    below.filter(|name| !name.ends_with(".spare")).collect()
}

/// Wherever the log is damaged so that it cannot be opened: cut there, it opens with what lay before.
#[test]
fn a_cut_log_opens_with_everything_before_the_damage() {
    let (sim, records) = filled();
    let mut random = Seeded::new(31);
    let (mut refused, mut shortened) = (0, 0);
    for path in segment_files(&sim) {
        let bytes = sim.contents(&path).unwrap();
        let length = used(&path, &bytes);
        for _ in 0..40 {
            let at = random.below(length as u64) as usize;
            let copy = sim.copy(1);
            copy.tamper(&path, |bytes| bytes[at] ^= 0x40);
            let damaged = copy.contents(&path).unwrap();
            let planned = match plan_cut(Path::new("/log"), &copy, AT_DAMAGE) {
                Ok(planned) => planned,
                // Nothing is cut off that a newer build can read.
                Err(Error::NewerFormat { .. }) => continue,
                Err(other) => panic!("{} byte {at}: {other}", path.display()),
            };
            let Some(planned) = planned else {
                assert_eq!(cut_dir(Path::new("/log"), &copy, AT_DAMAGE).unwrap(), None);
                continue;
            };
            refused += 1;
            let cut = cut_dir(Path::new("/log"), &copy, AT_DAMAGE).unwrap();
            assert_eq!(cut.as_ref(), Some(&planned), "what was said is what is done");
            let kept = usize::try_from(planned.last_kept).unwrap();
            shortened += usize::from(kept > 0 && kept < records.len());
            let lost = usize::try_from(planned.records_lost).unwrap();
            assert!(kept + lost <= records.len(), "{planned:?}");
            let found = read(Arc::new(copy.clone())).unwrap();
            assert!(found[..kept] == records[..kept], "{planned:?}");
            assert!(found[kept..].iter().all(|it| matches!(it, Record::Note(_))), "{planned:?}");
            // The damaged file is there as it was, with all that lay behind it.
            let name = path.file_name().unwrap();
            assert_eq!(copy.contents(&planned.aside.join(name)), Some(damaged), "{planned:?}");
            assert_eq!(names_below(&copy, &planned.aside), planned.files);
        }
    }
    assert!(refused > 20 && shortened > 10, "{refused} {shortened}");
}

/// Also where the log can be opened: a sealed segment may be damaged inside.
#[test]
fn a_log_is_cut_from_the_record_that_is_named() {
    let (sim, records) = filled();
    let cut_from = |from, disk: &SimDisk| {
        let options = CutOptions { from: Some(from), ..AT_DAMAGE };
        let planned = plan_cut(Path::new("/log"), disk, options).unwrap();
        assert_eq!(cut_dir(Path::new("/log"), disk, options).unwrap(), planned);
        planned
    };
    let end = records.len() as u64;
    for from in [1, 2, 40, 100, end - 20, end] {
        let copy = sim.copy(1);
        let cut = cut_from(from, &copy).unwrap();
        // Groups of three records, and sealed segments, stay whole or not at all.
        let kept = usize::try_from(cut.last_kept).unwrap();
        assert!(cut.last_kept < from && kept.is_multiple_of(3), "{cut:?}");
        assert_eq!(cut.last_kept + cut.records_lost, end, "{cut:?}");
        assert_eq!(cut.last_kept_at.is_some(), kept > 0, "{cut:?}");
        let found = read(Arc::new(copy.clone())).unwrap();
        assert!(found == records[..kept], "{cut:?}");
        assert_eq!(cut_from(from, &copy), None);
    }
    assert_eq!(cut_from(end + 1, &sim), None);
    // A record behind the damage: what is damaged goes as well.
    let tail = segment_files(&sim).into_iter().rfind(|path| path.extension().unwrap() == "tail");
    let tail = tail.unwrap();
    sim.tamper(&tail, |bytes| bytes[0] ^= 1);
    let damage = plan_cut(Path::new("/log"), &sim, AT_DAMAGE).unwrap().unwrap();
    let cut = cut_from(end, &sim).unwrap();
    assert_eq!(cut, damage);
    assert!(cut.last_kept < end - 3, "{cut:?}");
}

/// A log that was cut reaches less far than before, and its mark knows that; a file that has become
/// shorter has its size again.
#[test]
fn a_cut_log_of_which_the_end_is_missing_opens_with_its_mark() {
    let sim = SimDisk::new(5);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let mut maker = Maker::new(5);
    let config = LogConfig { mark: Some(MARK.into()), ..small("/log") };
    run(async {
        let (log, _) = open(&config, &disk, &maker);
        for _ in 0..6 {
            log.append_one(&maker.event(200)).await.unwrap();
        }
        log.close().await.unwrap();
    });
    let path = segment_files(&sim).pop().unwrap();
    let length = used(&path, &sim.contents(&path).unwrap());
    // In the middle of what stands behind the header of 4 KiB.
    sim.tamper(&path, |bytes| bytes.truncate(length.midpoint(4 << 10)));
    let options = CutOptions { mark: Some(Path::new(MARK)), ..AT_DAMAGE };
    let cut = cut_dir(Path::new("/log"), &sim, options).unwrap().unwrap();
    assert!((1..6).contains(&cut.last_kept), "{cut:?}");
    run(async {
        let (log, _) = open(&config, &disk, &maker);
        assert_eq!(log.durable().sequence, cut.last_kept);
        log.close().await.unwrap();
    });
}

/// The power may fail at every operation of a cut.
#[test]
fn a_cut_that_a_crash_interrupts_can_be_made_again() {
    let (sim, records) = filled();
    let files = segment_files(&sim);
    let path = files.iter().rev().find(|path| path.extension().unwrap() == "tail").unwrap();
    let used = used(path, &sim.contents(path).unwrap());
    let earlier = &files[files.len() - 2];
    let damages: [(&Path, usize); 2] = [(path, used / 2), (earlier, 3)];
    for (path, at) in damages {
        let whole = sim.copy(1);
        whole.tamper(path, |bytes| bytes[at] ^= 1);
        let planned = plan_cut(Path::new("/log"), &whole, AT_DAMAGE).unwrap().unwrap();
        let mut power_after = 0;
        loop {
            let copy = whole.copy(power_after);
            copy.set_faults(Faults { power_after: Some(power_after), ..Faults::default() });
            let done = cut_dir(Path::new("/log"), &copy, AT_DAMAGE).is_ok();
            copy.restart();
            cut_dir(Path::new("/log"), &copy, AT_DAMAGE).unwrap();
            let found = read(Arc::new(copy)).unwrap();
            let kept = usize::try_from(planned.last_kept).unwrap();
            let events = found.iter().filter(|record| !matches!(record, Record::Note(_)));
            assert!(events.eq(&records[..kept]), "power failed after {power_after}: {planned:?}");
            if done {
                break;
            }
            power_after += 1;
        }
        assert!(power_after > 2, "{power_after}");
    }
}

#[test]
fn verification_looks_at_the_bodies_that_records_refer_to() {
    let sim = SimDisk::new(4);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let mut maker = Maker::new(4);
    let body = |digest: Digest| Body {
        blob: digest.as_bytes().to_vec().into(),
        size: 7,
        ..Body::default()
    };
    let [sound, missing, also] = [b"a", b"b", b"c"].map(|bytes| Digest::of(bytes));
    let mut event = maker.event_of("p", "t", Vec::new());
    event.event.data = Some(body(missing));
    let mut invocation = maker.invocation_of("p", "f", Status::Succeeded);
    invocation.journal = Some(body(also));
    let output = Output { body: Some(body(sound)), ..Output::default() };
    invocation.output = Some(output);
    let ids =
        [event.event_id().unwrap().to_string(), invocation.invocation_id().unwrap().to_string()];
    let again = Record::Event(event.clone());
    let records = vec![Record::Event(event), Record::Invocation(Box::new(invocation)), again];
    let blob = move |digest| match digest == sound {
        true => Ok(7),
        false => Err("it is missing".to_owned()),
    };
    let check = |report: VerifyReport| {
        assert_eq!((report.bodies, report.body_bytes), (1, 7));
        assert!(report.damage.is_empty() && !report.sound());
        let mut found: Vec<_> = report
            .body_damage
            .iter()
            .map(|at| (at.record.as_str(), at.part.as_str(), at.sequence, at.digest, &at.what[..]))
            .collect();
        found.sort_by_key(|(_, _, sequence, ..)| *sequence);
        assert_eq!(
            found,
            [
                (&ids[0][..], "data", 1, missing, "it is missing"),
                (&ids[1][..], "journal", 2, also, "it is missing"),
            ]
        );
    };
    run(async {
        let (log, _) = open(&small("/log"), &disk, &maker);
        log.append(records).await.unwrap();
        check(log.verify(blob).await.unwrap());
        // Until the segment is sealed.
        while log.stats().await.unwrap().segments_sealed == 0 {
            log.append_one(&maker.event(2_000)).await.unwrap();
            tokio::task::yield_now().await;
        }
        check(log.verify(blob).await.unwrap());
        log.close().await.unwrap();
    });
    check(verify_dir(Path::new("/log"), disk, &blob).unwrap());
}
