//! A log of which a part is gone is not opened as if nothing had happened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nexus_log::{Disk, Error, Log, LogConfig, Reached, accept_end, check_end};
use nexus_testkit::SimDisk;

use crate::kit::{Maker, open, run, small};

const DIR: &str = "/log";
const MARK: &str = "/log.mark";

fn config() -> LogConfig {
    LogConfig { mark: Some(MARK.into()), ..small(DIR) }
}

/// A log of several segments, and how many records it has.
fn filled(clean: bool) -> (SimDisk, u64) {
    let sim = SimDisk::new(3);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let mut maker = Maker::new(3);
    let records = run(async {
        let (log, _) = open(&config(), &disk, &maker);
        for _ in 0..60 {
            log.append(vec![maker.event(900)]).await.unwrap();
        }
        let records = log.durable().sequence;
        if !clean {
            sim.cut_power();
        }
        log.close().await.unwrap();
        records
    });
    sim.restart();
    (sim, records)
}

fn segments(sim: &SimDisk) -> Vec<PathBuf> {
    let is_segment = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "tail" || extension == "sealed")
    };
    sim.paths().into_iter().filter(is_segment).collect()
}

fn refused(sim: &SimDisk) -> (Reached, Reached) {
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    match Log::open(config(), disk, Maker::later(4).clock) {
        Err(Error::Shorter { found, known, .. }) => (found, known),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was opened"),
    }
}

#[test]
fn a_log_without_its_last_segment_or_without_all_is_refused_until_somebody_says_so() {
    for clean in [true, false] {
        let (sim, records) = filled(clean);
        let (dir, mark) = (Path::new(DIR), Path::new(MARK));
        let whole = check_end(dir, &sim, mark).unwrap();
        assert_eq!(whole.sequence, records);
        for all in [false, true] {
            let copy = sim.copy(1);
            let gone = segments(&copy).split_off(if all { 0 } else { whole.segment as usize - 1 });
            for path in &gone {
                copy.remove(path).unwrap();
            }
            let (found, known) = refused(&copy);
            assert_eq!((known.segment, found.segment == 0), (whole.segment, all));
            assert!(found.sequence < records && found.sequence <= known.sequence, "{found:?}");
            assert!(!clean || known.sequence == records, "{known:?}");
            assert_eq!(refused(&copy), (found, known), "looking changes nothing");

            assert_eq!(accept_end(dir, &copy, mark).unwrap(), found);
            let disk: Arc<dyn Disk> = Arc::new(copy.clone());
            let mut maker = Maker::later(4);
            run(async {
                let (log, _) = open(&config(), &disk, &maker);
                assert_eq!(log.durable().sequence, found.sequence);
                log.append(vec![maker.event(10)]).await.unwrap();
                log.close().await.unwrap();
            });
            check_end(dir, &copy, mark).unwrap();
        }
    }
}

/// The folder of a build that knew no marks, or a damaged one, opens; a mark is made then.
#[test]
fn a_log_without_a_mark_gets_one() {
    let (sim, _) = filled(true);
    let mark = Path::new(MARK);
    let written = sim.contents(mark).unwrap();
    for damaged in [false, true] {
        match damaged {
            true => sim.tamper(mark, |bytes| bytes[17] ^= 1),
            false => sim.remove(mark).unwrap(),
        }
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        run(async { open(&config(), &disk, &Maker::later(4)).0.close().await.unwrap() });
        assert_eq!(sim.contents(mark).unwrap(), written);
    }
    sim.tamper(mark, |bytes| {
        let text = b"nexus log mark 2 1 1 ";
        *bytes = [&text[..], format!("{:08x}\n", crc32c::crc32c(text)).as_bytes()].concat();
    });
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let opened = Log::open(config(), disk, Maker::later(4).clock);
    assert!(matches!(opened, Err(Error::NewerFormat { found: 2, supported: 1, .. })));
}

#[test]
fn a_tail_that_has_become_shorter_is_damaged() {
    let (sim, records) = filled(false);
    let tail = segments(&sim).pop().unwrap();
    let size = sim.contents(&tail).unwrap().len();
    for length in [size - 1, size / 2, 5_000] {
        let copy = sim.copy(1);
        copy.tamper(&tail, |bytes| bytes.truncate(length));
        let disk: Arc<dyn Disk> = Arc::new(copy);
        match Log::open(config(), disk, Maker::later(4).clock) {
            Err(Error::Corrupt { path, .. }) => assert_eq!(path, tail),
            Err(other) => panic!("{other}"),
            Ok((log, _)) => panic!("opened with {:?} of {records}", log.durable()),
        }
    }
}
