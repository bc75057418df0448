//! Power failures and failing disks under seeds: everything acknowledged is there once and in order,
//! everything else is whole or absent.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nexus_log::{Disk, Error, Log, LogConfig, Position};
use nexus_model::record::Record;
use nexus_testkit::{Faults, Seeded, SimDisk};

use crate::kit::{Maker, no_blobs, open, run, small};

/// How many seeds the simulation of power failures runs, each with four lives of the machine.
const SEEDS: u64 = 1_000;

fn config() -> LogConfig {
    LogConfig { mark: Some("/log.mark".into()), ..small(Path::new("/log")) }
}

/// What a run has sent, in order: each batch with whether its append was acknowledged.
#[derive(Default)]
struct Sent {
    batches: Vec<(Vec<Record>, bool)>,
    /// Recordings that a flush has acknowledged.
    recorded: Vec<Record>,
}

async fn read_all(log: &Log) -> Vec<Record> {
    let mut records = Vec::new();
    let mut after = Position::START;
    loop {
        let entries = log.read_from(after, 1000).await.unwrap();
        let Some(last) = entries.last() else { return records };
        for (index, entry) in entries.iter().enumerate() {
            assert_eq!(entry.position.sequence, after.sequence + 1 + index as u64);
        }
        after = last.position;
        records.extend(entries.into_iter().map(|entry| entry.record));
    }
}

/// Checks what a log has against what was sent.
fn check(seed: u64, records: &[Record], sent: &Sent) {
    let mut rest: Vec<&Record> =
        records.iter().filter(|record| !matches!(record, Record::Note(_))).collect();
    for record in &sent.recorded {
        let at = rest.iter().position(|found| *found == record);
        rest.remove(at.unwrap_or_else(|| panic!("seed {seed}: a flushed recording is missing")));
    }
    // Recordings that were never flushed may be there or not, among the batches.
    rest.retain(|record| !matches!(record, Record::Invocation(_)));
    let mut at = 0;
    for (index, (batch, acknowledged)) in sent.batches.iter().enumerate() {
        let here = rest[at..].iter().zip(batch).filter(|(found, sent)| **found == *sent).count();
        if here == batch.len() {
            at += here;
            continue;
        }
        assert!(!acknowledged, "seed {seed}: acknowledged batch {index} is missing or torn");
        let first = batch.first().map(Record::id);
        let torn = rest[at..].first().is_some_and(|found| Some(found.id()) == first);
        assert!(!torn, "seed {seed}: batch {index} is there in part");
    }
    assert_eq!(at, rest.len(), "seed {seed}: records that nobody sent, or twice");
}

/// Appends until the power fails or `rounds` are over.
async fn work(log: &Log, maker: &mut Maker, random: &mut Seeded, sent: &mut Sent) {
    for _ in 0..random.below(40) + 5 {
        match random.below(8) {
            0 => {
                let record = maker.invocation_of("p", "f", nexus_model::record::Status::Succeeded);
                let record = Record::Invocation(record.into());
                log.record(&record).unwrap();
                if log.flush().await.is_ok() {
                    sent.recorded.push(record);
                }
            }
            _ => {
                let size = random.below(900) as usize;
                let batch: Vec<Record> =
                    (0..random.below(6) + 1).map(|_| maker.event(size)).collect();
                let done = log.append(batch.clone()).await.is_ok();
                sent.batches.push((batch, done));
            }
        }
    }
}

/// The writer takes a spare file while the sealer makes the next one. They must never have one name, also
/// where a process before has left spare files and has written nothing.
#[test]
fn a_spare_file_is_never_named_as_one_before() {
    let sim = SimDisk::new(1);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let mut maker = Maker::new(1);
    let spares = || -> Vec<_> {
        let is_spare = |path: &PathBuf| path.extension().is_some_and(|it| it == "spare");
        sim.paths().into_iter().filter(is_spare).collect()
    };
    let made = || {
        let whole =
            |path: &PathBuf| sim.contents(path).is_some_and(|bytes| bytes.len() == 16 << 10);
        while !spares().iter().any(whole) {
            std::thread::yield_now();
        }
        spares()
    };
    run(async {
        let (log, _) = open(&config(), &disk, &maker);
        log.append(vec![maker.event(10)]).await.unwrap();
        made();
        log.close().await.unwrap();
        spares().iter().for_each(|path| sim.remove(path).unwrap());
        // It makes a spare file and writes nothing. Every end is a clean one: after another one a spare
        // file more may be there, and this one stay a spare for long.
        let (log, _) = open(&config(), &disk, &maker);
        let first = made();
        log.close().await.unwrap();
        assert_eq!(spares(), first);

        let (log, _) = open(&config(), &disk, &maker);
        for _ in 0..30 {
            log.append(vec![maker.event(900)]).await.unwrap();
        }
        let next = made();
        assert!(next.iter().all(|path| !first.contains(path)), "{next:?} after {first:?}");
        log.close().await.unwrap();
    });
}

#[test]
fn a_power_failure_at_any_moment_loses_nothing_acknowledged() {
    run(async {
        for seed in 0..SEEDS {
            let mut random = Seeded::new(seed);
            let sim = SimDisk::new(seed);
            let disk: Arc<dyn Disk> = Arc::new(sim.clone());
            let mut maker = Maker::new(seed);
            let mut sent = Sent::default();
            for life in 0..4 {
                let after = random.below(120);
                sim.set_faults(Faults { power_after: Some(after), ..Faults::default() });
                if let Ok((log, _)) = Log::open(config(), disk.clone(), maker.clock.clone()) {
                    work(&log, &mut maker, &mut random, &mut sent).await;
                    if life % 2 == 0 {
                        sim.cut_power();
                    }
                    log.close().await.unwrap();
                }
                match random.below(4) {
                    0 => sim.restart_process(),
                    _ => sim.restart(),
                }
                let (log, _) = Log::open(config(), disk.clone(), maker.clock.clone())
                    .unwrap_or_else(|error| panic!("seed {seed}, life {life}: {error}"));
                check(seed, &read_all(&log).await, &sent);
                let report = log.verify(no_blobs).await.unwrap();
                assert!(report.sound(), "seed {seed}, life {life}: {report:?}");
                log.close().await.unwrap();
                sim.restart();
            }
        }
    });
}

#[test]
fn failing_writes_and_syncs_stop_the_shard_and_lose_nothing_acknowledged() {
    run(async {
        for seed in 0..SEEDS / 10 {
            let mut random = Seeded::new(seed ^ 0xabcd);
            let sim = SimDisk::new(seed);
            let disk: Arc<dyn Disk> = Arc::new(sim.clone());
            let mut maker = Maker::new(seed);
            let mut sent = Sent::default();
            let (log, _) = Log::open(config(), disk.clone(), maker.clock.clone()).unwrap();
            sim.set_faults(Faults { write_one_in: 25, sync_one_in: 25, ..Faults::default() });
            work(&log, &mut maker, &mut random, &mut sent).await;
            sim.set_faults(Faults::default());
            // It goes on by itself once the disk does.
            loop {
                let batch = vec![maker.event(10)];
                let done = log.append(batch.clone()).await;
                let over = done.is_ok();
                sent.batches.push((batch, over));
                if over {
                    break;
                }
                tokio::task::yield_now().await;
            }
            log.flush().await.unwrap();
            check(seed, &read_all(&log).await, &sent);
            assert!(log.verify(no_blobs).await.unwrap().sound(), "seed {seed}");
            log.close().await.unwrap();
            sim.restart();
            let (log, _) = Log::open(config(), disk.clone(), maker.clock.clone())
                .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            check(seed, &read_all(&log).await, &sent);
            log.close().await.unwrap();
        }
    });
}

#[test]
fn a_full_disk_is_a_clean_error_and_passes() {
    run(async {
        for seed in 0..20 {
            let sim = SimDisk::new(seed);
            let disk: Arc<dyn Disk> = Arc::new(sim.clone());
            let mut maker = Maker::new(seed);
            let mut sent = Sent::default();
            let (log, _) = Log::open(config(), disk.clone(), maker.clock.clone()).unwrap();
            sim.set_faults(Faults { capacity: Some(60 << 10), ..Faults::default() });
            assert!(log.trouble().is_none());
            let mut refused = 0;
            for _ in 0..200 {
                let batch = vec![maker.event(700)];
                let done = log.append(batch.clone()).await;
                if let Err(error) = &done {
                    assert!(matches!(error, Error::NoSpace { .. }), "seed {seed}: {error}");
                    refused += 1;
                }
                sent.batches.push((batch, done.is_ok()));
            }
            assert!(refused > 0);
            assert!(matches!(log.trouble(), Some(Error::NoSpace { .. })), "seed {seed}");
            sim.set_faults(Faults::default());
            // By itself: whoever hears of the trouble may send nothing more.
            while log.trouble().is_some() {
                tokio::task::yield_now().await;
            }
            let batch = vec![maker.event(700)];
            log.append(batch.clone()).await.unwrap();
            sent.batches.push((batch, true));
            check(seed, &read_all(&log).await, &sent);
            log.close().await.unwrap();
            sim.restart();
            let (log, _) = Log::open(config(), disk, maker.clock.clone()).unwrap();
            check(seed, &read_all(&log).await, &sent);
            log.close().await.unwrap();
        }
    });
}
