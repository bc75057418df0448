//! Lists, counts and cursors against a naive model; retention; pressure.

use std::sync::Arc;
use std::time::Duration;

use nexus_log::{Disk, Error, Log, LogConfig, OnPressure, Position, Retention};
use nexus_model::record::{EventRecord, InvocationRecord, Record, Status, Trigger};
use nexus_model::{Clock, EventFilter, InvocationFilter, TimeRange, Timestamp, VersionId};
use nexus_testkit::{Faults, Seeded, SimDisk};

use crate::kit::{Maker, no_blobs, open, run, small, start};

struct History {
    log: Log,
    events: Vec<EventRecord>,
    invocations: Vec<InvocationRecord>,
    maker: Maker,
}

async fn history(rounds: u64) -> History {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(3));
    let mut maker = Maker::new(3);
    let (log, _) = open(&small("/log"), &disk, &maker);
    let (mut events, mut invocations) = (Vec::new(), Vec::new());
    let statuses = [Status::Succeeded, Status::Failed, Status::Trapped];
    let mut random = Seeded::new(3);
    for round in 0..rounds {
        let event = match maker.event(50) {
            Record::Event(event) => event,
            other => panic!("{other:?}"),
        };
        let function = format!("f{}", random.below(4));
        let project = format!("p{}", random.below(2));
        let status = statuses[random.below(3) as usize];
        let mut invocation = maker.invocation_of(&project, &function, status);
        if round % 5 == 0 {
            invocation.meta.cause_event = event.id.clone();
        }
        let records =
            vec![Record::Event(event.clone()), Record::Invocation(invocation.clone().into())];
        log.append(records).await.unwrap();
        events.push(event);
        invocations.push(invocation);
    }
    History { log, events, invocations, maker }
}

fn random_range(random: &mut Seeded, length_ms: u64) -> TimeRange {
    let mut moment = || match random.below(3) {
        0 => None,
        _ => Some(start().after(Duration::from_millis(random.below(length_ms)))),
    };
    TimeRange { since: moment(), until: moment() }
}

#[test]
fn pages_of_invocations_agree_with_a_naive_model() {
    run(async {
        let history = history(700).await;
        let mut random = Seeded::new(11);
        for _ in 0..150 {
            let some = |random: &mut Seeded| random.below(2) == 0;
            let filter = InvocationFilter {
                project: some(&mut random).then(|| format!("p{}", random.below(3))),
                range: random_range(&mut random, 1500),
                function: some(&mut random).then(|| format!("f{}", random.below(5))),
                version: random.one_in(4).then(|| VersionId::from_bytes([2; 16])),
                statuses: if some(&mut random) { vec![Status::Failed] } else { vec![] },
                duration_ns_min: random.one_in(4).then_some(3_000),
                event: random
                    .one_in(6)
                    .then(|| history.events[random.below(700) as usize].event_id().unwrap()),
                duration_ns_max: random.one_in(4).then_some(6_000),
                triggers: if random.one_in(4) { vec![Trigger::Event] } else { vec![] },
                cold: random.one_in(4).then_some(true),
                trace: None,
            };
            let expected: Vec<&InvocationRecord> =
                history.invocations.iter().rev().filter(|it| matches(&filter, it)).collect();
            let (mut found, mut cursor) = (Vec::new(), None);
            let limit = random.below(60) as usize + 1;
            loop {
                let page = history.log.invocations(&filter, cursor, limit).await.unwrap();
                found.extend(page.items);
                let Some(next) = page.next else { break };
                cursor = Some(next.parse().unwrap());
            }
            assert_eq!(found.len(), expected.len(), "{filter:?}");
            for (row, record) in found.iter().zip(&expected) {
                assert_eq!(Some(row.id), record.invocation_id());
                assert_eq!((&row.project, &row.function), (&record.meta.project, &record.function));
                assert_eq!(row.version, record.version_id());
                assert_eq!(row.status as i32, record.status);
                assert_eq!(row.duration_ns, expected_duration(record));
                assert_eq!(row.accepted, Timestamp::from_unix_ns(record.accepted_ns));
                assert_eq!(row.cold, !record.cold.is_empty());
                assert_eq!(row.trace_id, "0af7651916cd43dd8448eb211c80319c");
            }
            let count = history.log.count_invocations(&filter).await.unwrap();
            assert_eq!(count, expected.len() as u64, "{filter:?}");
        }
        history.log.close().await.unwrap();
    });
}

fn expected_duration(record: &InvocationRecord) -> u64 {
    match record.timings.total_ns {
        0 => (record.ended_ns - record.accepted_ns) as u64,
        total => total,
    }
}

fn matches(filter: &InvocationFilter, record: &InvocationRecord) -> bool {
    filter.project.as_ref().is_none_or(|it| *it == record.meta.project)
        && filter.range.contains(Timestamp::from_unix_ns(record.accepted_ns))
        && filter.function.as_ref().is_none_or(|it| *it == record.function)
        && filter.version.is_none_or(|it| Some(it) == record.version_id())
        && (filter.statuses.is_empty()
            || filter.statuses.iter().any(|it| *it as i32 == record.status))
        && filter.duration_ns_min.is_none_or(|it| expected_duration(record) >= it)
        && filter.duration_ns_max.is_none_or(|it| expected_duration(record) <= it)
        && (filter.triggers.is_empty() || filter.triggers.contains(&record.trigger()))
        && filter.cold.is_none_or(|it| it != record.cold.is_empty())
        && filter.event.is_none_or(|it| record.meta.cause_event[..] == it.as_bytes()[..])
}

#[test]
fn pages_of_events_agree_with_a_naive_model() {
    run(async {
        let history = history(400).await;
        let mut random = Seeded::new(12);
        for _ in 0..100 {
            let some = |random: &mut Seeded| random.below(2) == 0;
            let types = ["type.1", "type.9", "type.*", "t*", "x*"];
            let filter = EventFilter {
                project: some(&mut random).then(|| format!("p{}", random.below(3))),
                range: random_range(&mut random, 900),
                ty: some(&mut random).then(|| types[random.below(5) as usize].to_owned()),
                source: random.one_in(3).then(|| format!("/source/{}", random.below(4))),
                subject: random.one_in(3).then(|| format!("s{}", random.below(5))),
                cause: None,
            };
            let ty = |event: &EventRecord| match filter.ty.as_deref() {
                None => true,
                Some(ty) => match ty.strip_suffix('*') {
                    Some(prefix) => event.event.ty.starts_with(prefix),
                    None => event.event.ty == ty,
                },
            };
            let expected: Vec<&EventRecord> = (history.events.iter().rev())
                .filter(|it| filter.project.as_ref().is_none_or(|p| *p == it.meta.project))
                .filter(|it| filter.range.contains(Timestamp::from_unix_ns(it.received_ns)))
                .filter(|it| ty(it))
                .filter(|it| filter.source.as_ref().is_none_or(|s| *s == it.event.source))
                .filter(|it| filter.subject.is_none() || filter.subject == it.event.subject)
                .collect();
            let (mut found, mut cursor) = (Vec::new(), None);
            loop {
                let page = history.log.events(&filter, cursor, 17).await.unwrap();
                found.extend(page.items);
                let Some(next) = page.next else { break };
                cursor = Some(next.parse().unwrap());
            }
            let count = history.log.count_events(&filter).await.unwrap();
            assert_eq!(count, expected.len() as u64, "{filter:?}");
            assert!(found.iter().eq(expected), "{filter:?}");
        }
        history.log.close().await.unwrap();
    });
}

#[test]
fn retention_removes_whole_segments_and_expires_cursors() {
    run(async {
        let sim = SimDisk::new(6);
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let mut maker = Maker::new(6);
        let age = Duration::from_millis(100);
        let retention = Retention { max_age: Some(age), max_bytes: None };
        let config = LogConfig { retention, ..small("/log") };
        let (log, _) = open(&config, &disk, &maker);
        for _ in 0..200 {
            log.append(vec![maker.event(500)]).await.unwrap();
        }
        let old = log.events(&EventFilter::default(), None, 190).await.unwrap().next.unwrap();
        while log.stats().await.unwrap().segments_open > 1 {
            tokio::task::yield_now().await;
        }
        let held = log.enforce_retention(1).await.unwrap();
        assert_eq!((held.segments_removed, held.held_from), (0, Some(1)));
        let report = log.enforce_retention(u64::MAX).await.unwrap();
        assert!(report.segments_removed > 0 && report.first_sequence > 1, "{report:?}");
        let kept = log.events(&EventFilter::default(), None, 1000).await.unwrap().items;
        assert_eq!(kept.len() as u64, 200 - report.records_removed);
        let oldest = maker.clock.now().before(age).unix_ns();
        assert!(kept.iter().filter(|event| event.received_ns >= oldest).count() >= 100);
        let expired = log.events(&EventFilter::default(), Some(old.parse().unwrap()), 10).await;
        assert!(matches!(expired, Err(Error::CursorExpired { .. })));
        let removed = log.read_from(Position::START, 10).await;
        assert!(
            matches!(removed, Err(Error::Retained { first }) if first == report.first_sequence)
        );
        log.close().await.unwrap();
        sim.restart();
        let (log, opened) = open(&config, &disk, &maker);
        assert_eq!(opened.records_recovered, kept.len() as u64);
        assert!(log.verify(no_blobs).await.unwrap().sound());
        log.close().await.unwrap();
    });
}

#[test]
fn retention_by_size_keeps_the_newest() {
    run(async {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(7));
        let mut maker = Maker::new(7);
        let retention = Retention { max_age: None, max_bytes: Some(1) };
        let (log, _) = open(&LogConfig { retention, ..small("/log") }, &disk, &maker);
        for _ in 0..100 {
            log.append(vec![maker.event(500)]).await.unwrap();
        }
        while log.stats().await.unwrap().segments_open > 1 {
            tokio::task::yield_now().await;
        }
        log.enforce_retention(u64::MAX).await.unwrap();
        let stats = log.stats().await.unwrap();
        assert_eq!((stats.segments_sealed, stats.last_sequence), (0, 100));
        log.close().await.unwrap();
    });
}

#[test]
fn a_full_buffer_presses_back_or_counts_losses() {
    run(async {
        for on_pressure in [OnPressure::Wait, OnPressure::Drop] {
            let sim = SimDisk::new(8);
            let disk: Arc<dyn Disk> = Arc::new(sim.clone());
            let mut maker = Maker::new(8);
            let config =
                LogConfig { on_pressure, recording_buffer_bytes: 4 << 10, ..small("/log") };
            let (log, _) = open(&config, &disk, &maker);
            sim.set_faults(Faults { sync_one_in: 1, ..Faults::default() });
            let mut refused = 0;
            for _ in 0..200 {
                let record = maker.invocation_of("p", "f", Status::Succeeded);
                refused += u32::from(log.record(&Record::Invocation(record.into())).is_err());
            }
            let lost = log.stats().await.unwrap().recordings_lost;
            match on_pressure {
                OnPressure::Wait => assert!(refused > 0 && lost == 0),
                OnPressure::Drop => assert!(refused == 0 && lost > 0),
            }
            sim.set_faults(Faults::default());
            log.ready_to_record().await;
            let record = maker.invocation_of("p", "last", Status::Succeeded);
            log.record(&Record::Invocation(record.into())).unwrap();
            while log.flush().await.is_err() {
                tokio::task::yield_now().await;
            }
            let stats = log.stats().await.unwrap();
            assert_eq!(stats.recordings_buffered_bytes, 0);
            let notes = stats.by_kind.iter().any(|kind| kind.kind == "note");
            assert_eq!(notes, on_pressure == OnPressure::Drop);
            log.close().await.unwrap();
        }
    });
}

#[test]
fn what_no_segment_can_hold_is_refused_by_name() {
    run(async {
        let mut history = history(1).await;
        let large = vec![history.maker.event(20 << 10)];
        let error = history.log.append(large).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{error}");
        let error = history.log.append(vec![Record::Event(EventRecord::default())]).await;
        assert!(matches!(error, Err(Error::Id { kind: "event", length: 0 })));
        let tail = history.log.tail();
        let batch = tail.prepare(&[history.maker.event(1)]).unwrap();
        let error = tail.append(batch, tail.epoch() - 1).await;
        assert!(matches!(error, Err(Error::Fenced { .. })));
        assert_eq!(history.log.durable().sequence, 2);
        history.log.close().await.unwrap();
    });
}

#[test]
fn the_newest_calls_agree_with_a_naive_model() {
    run(async {
        let history = history(400).await;
        for project in ["p0", "p1", "p9"] {
            let asked = |function: &str, trigger| (function.to_owned(), trigger);
            let wanted = ["f0", "f1", "f2", "f3", "f9"].map(|at| asked(at, Trigger::Http));
            let wanted = wanted.into_iter().chain([asked("f0", Trigger::Event)]).collect();
            let found = history.log.newest_calls(project, wanted, usize::MAX).await.unwrap();
            let mut seen = std::collections::HashSet::new();
            let newest = history.invocations.iter().rev().filter(|it| it.meta.project == project);
            let expected: Vec<_> = newest
                .filter(|it| it.trigger() == Trigger::Http || it.function == "f0")
                .filter(|it| seen.insert((it.function.clone(), it.trigger())))
                .map(|it| it.invocation_id().unwrap())
                .collect();
            assert_eq!(found.iter().map(|row| row.id).collect::<Vec<_>>(), expected, "{project}");
            assert!(expected.is_empty() == (project == "p9"));
        }
        // It looks at no more rows than it is told.
        let wanted = [("f9".to_owned(), Trigger::Http)].into_iter().collect();
        assert!(history.log.newest_calls("p0", wanted, 1).await.unwrap().is_empty());
    });
}
