//! What holds on every disk.

use std::path::PathBuf;
use std::sync::Arc;

use nexus_log::{Disk, Error, Log, LogConfig, Position, RealDisk};
use nexus_model::record::{Record, Status};
use nexus_model::{EventFilter, EventId, InvocationFilter, InvocationId};
use nexus_testkit::SimDisk;

use crate::kit::{Maker, no_blobs, open, run, small};

/// Runs a check on a real folder and on the simulated disk.
fn on_each_disk(check: impl Fn(Arc<dyn Disk>, PathBuf)) {
    let folder = tempfile::tempdir().unwrap();
    check(Arc::new(RealDisk), folder.path().join("log"));
    check(Arc::new(SimDisk::new(1)), PathBuf::from("/log"));
}

async fn all(log: &Log) -> Vec<Record> {
    let mut records = Vec::new();
    let mut after = Position::START;
    loop {
        let entries = log.read_from(after, 100).await.unwrap();
        let Some(last) = entries.last() else { return records };
        assert_eq!(entries[0].position.sequence, after.sequence + 1);
        after = last.position;
        records.extend(entries.into_iter().map(|entry| entry.record));
    }
}

#[test]
fn what_was_appended_is_read_again_after_opening() {
    on_each_disk(|disk, dir| {
        run(async {
            let mut maker = Maker::new(1);
            let config = small(&dir);
            let mut expected = Vec::new();
            for round in 0..5 {
                let (log, opened) = open(&config, &disk, &maker);
                assert_eq!(opened.notes, Vec::<String>::new());
                assert_eq!(opened.records_recovered, expected.len() as u64);
                for _ in 0..20 {
                    let batch: Vec<Record> = (0..=round).map(|_| maker.event(300)).collect();
                    let positions = log.append(batch.clone()).await.unwrap();
                    assert_eq!(positions[0].sequence, expected.len() as u64 + 1);
                    expected.extend(batch);
                    assert_eq!(log.durable().sequence, expected.len() as u64);
                }
                assert_eq!(all(&log).await, expected);
                let report = log.verify(no_blobs).await.unwrap();
                assert!(report.sound(), "{report:?}");
                assert_eq!(report.records, expected.len() as u64);
                log.close().await.unwrap();
            }
        });
    });
}

#[test]
fn ids_are_found_in_tails_and_sealed_segments() {
    on_each_disk(|disk, dir| {
        run(async {
            let mut maker = Maker::new(2);
            let (log, _) = open(&small(&dir), &disk, &maker);
            let mut events = Vec::new();
            let mut invocations = Vec::new();
            for _ in 0..200 {
                let event = maker.event_of("p", "t", vec![1; 200]);
                let invocation = maker.invocation_of("p", "f", Status::Succeeded);
                let batch = vec![
                    Record::Event(event.clone()),
                    Record::Invocation(invocation.clone().into()),
                ];
                log.append(batch).await.unwrap();
                events.push(event);
                invocations.push(invocation);
            }
            for event in &events {
                let id = event.event_id().unwrap();
                assert_eq!(log.event(id).await.unwrap().as_ref(), Some(event));
            }
            for invocation in &invocations {
                let id = invocation.invocation_id().unwrap();
                assert_eq!(log.invocation(id).await.unwrap().as_ref(), Some(invocation));
            }
            assert_eq!(log.event(EventId::from_bytes([7; 16])).await.unwrap(), None);
            let other = InvocationId::from_bytes(*events[0].event_id().unwrap().as_bytes());
            assert_eq!(log.invocation(other).await.unwrap(), None);
            log.close().await.unwrap();
        });
    });
}

#[test]
fn recordings_reach_the_disk_by_themselves_and_on_flush() {
    on_each_disk(|disk, dir| {
        run(async {
            let mut maker = Maker::new(3);
            let (log, _) = open(&LogConfig::new(&dir), &disk, &maker);
            let record =
                Record::Invocation(maker.invocation_of("p", "f", Status::Succeeded).into());
            log.record(&record).unwrap();
            log.wait_past(Position::START).await;
            assert_eq!(all(&log).await, [record]);
            for _ in 0..100 {
                let record = maker.invocation_of("p", "f", Status::Failed);
                log.record(&Record::Invocation(record.into())).unwrap();
            }
            log.flush().await.unwrap();
            assert_eq!(log.durable().sequence, 101);
            log.close().await.unwrap();
        });
    });
}

#[test]
fn a_second_opener_is_told_who_holds_the_folder() {
    on_each_disk(|disk, dir| {
        run(async {
            let maker = Maker::new(4);
            let config = small(&dir);
            let (log, _) = open(&config, &disk, &maker);
            let second = Log::open(config.clone(), disk.clone(), maker.clock.clone());
            assert!(matches!(second, Err(Error::Locked { .. })));
            log.close().await.unwrap();
            let (log, _) = open(&config, &disk, &maker);
            log.close().await.unwrap();
            assert!(matches!(log.append(vec![]).await, Err(Error::Closed)));
        });
    });
}

#[test]
fn lists_are_empty_on_an_empty_log() {
    on_each_disk(|disk, dir| {
        run(async {
            let maker = Maker::new(5);
            let (log, _) = open(&small(&dir), &disk, &maker);
            let events = log.events(&EventFilter::default(), None, 10).await.unwrap();
            assert!(events.items.is_empty() && events.next.is_none());
            let rows = log.invocations(&InvocationFilter::default(), None, 10).await.unwrap();
            assert!(rows.items.is_empty() && rows.next.is_none());
            assert_eq!(log.read_from(Position::START, 10).await.unwrap(), []);
            log.close().await.unwrap();
        });
    });
}

#[test]
fn appends_recordings_and_readers_at_the_same_time_get_on() {
    on_each_disk(|disk, dir| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let maker = Maker::new(6);
            let (log, _) = open(&small(&dir), &disk, &maker);
            let mut tasks = tokio::task::JoinSet::new();
            for salt in 0..4 {
                let log = log.clone();
                tasks.spawn(async move {
                    let mut maker = Maker::new(100 + salt);
                    for _ in 0..50 {
                        let batch = vec![maker.event(100), maker.event(100)];
                        let positions = log.append(batch.clone()).await.unwrap();
                        assert_eq!(positions[1].sequence, positions[0].sequence + 1);
                        let before =
                            Position { sequence: positions[0].sequence - 1, ..positions[0] };
                        let entries = log.read_from(before, 2).await.unwrap();
                        let read: Vec<Record> = entries.into_iter().map(|it| it.record).collect();
                        assert_eq!(read, batch[..read.len()]);
                        let record = maker.invocation_of("p", "f", Status::Succeeded);
                        while log.record(&Record::Invocation(record.clone().into())).is_err() {
                            log.ready_to_record().await;
                        }
                        log.events(&EventFilter::default(), None, 5).await.unwrap();
                    }
                });
            }
            while let Some(ended) = tasks.join_next().await {
                ended.unwrap();
            }
            log.flush().await.unwrap();
            assert_eq!(log.durable().sequence, 4 * 50 * 3);
            let count = log.count_invocations(&InvocationFilter::default()).await.unwrap();
            assert_eq!(count, 200);
            assert!(log.verify(no_blobs).await.unwrap().sound());
            log.close().await.unwrap();
        });
    });
}

#[test]
fn a_log_that_is_dropped_closes_itself() {
    on_each_disk(|disk, dir| {
        run(async {
            let mut maker = Maker::new(7);
            let config = small(&dir);
            let (log, _) = open(&config, &disk, &maker);
            let record = Record::Invocation(maker.invocation_of("p", "f", Status::Failed).into());
            log.record(&record).unwrap();
            drop(log);
            let log = loop {
                match Log::open(config.clone(), disk.clone(), maker.clock.clone()) {
                    Ok((log, _)) => break log,
                    Err(Error::Locked { .. }) => std::thread::yield_now(),
                    Err(other) => panic!("{other}"),
                }
            };
            assert_eq!(all(&log).await, [record]);
            log.close().await.unwrap();
        });
    });
}
