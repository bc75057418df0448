//! Numbers over stretches of time, searches through records, and what led to what.

use std::collections::BTreeMap;
use std::sync::Arc;

use nexus_log::{ActivityQuery, Disk, EffectLimit, EffectLimits, Log, Origin};
use nexus_model::record::{
    DeliveryDecision, DeliveryRecord, EventRecord, InvocationRecord, Record, RecordKind,
    ScheduleRecord, StartedRecord, Status,
};
use nexus_model::{EventFilter, InvocationFilter};
use nexus_testkit::{Seeded, SimDisk};

use crate::kit::{Maker, open, run, small, start};

fn log(seed: u64) -> (Log, Maker) {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(seed));
    let maker = Maker::new(seed);
    let (log, _) = open(&small("/log"), &disk, &maker);
    (log, maker)
}

#[test]
fn activity_agrees_with_a_naive_model() {
    run(async {
        let (log, mut maker) = log(21);
        let mut random = Seeded::new(21);
        let (mut calls, mut events) = (Vec::new(), Vec::new());
        for _ in 0..600 {
            let project = format!("p{}", random.below(2));
            let function = format!("f{}", random.below(4));
            let status = [Status::Succeeded, Status::TimedOut][random.below(2) as usize];
            let call = maker.invocation_of(&project, &function, status);
            let event = maker.event_of(&project, "t", vec![0; 20]);
            let records =
                vec![Record::Invocation(call.clone().into()), Record::Event(event.clone())];
            log.append(records).await.unwrap();
            calls.push(call);
            events.push(event);
        }
        for round in 0..60 {
            let since = start().after(std::time::Duration::from_millis(random.below(600)));
            let until = since.after(std::time::Duration::from_millis(1 + random.below(900)));
            let query = ActivityQuery {
                project: (round % 2 == 0).then(|| format!("p{}", random.below(3))),
                function: (round % 3 == 0).then(|| format!("f{}", random.below(5))),
                since,
                until,
                buckets: 1 + random.below(20) as usize,
            };
            check(&log, &query, &calls, &events).await;
        }
        log.close().await.unwrap();
    });
}

async fn check(
    log: &Log,
    query: &ActivityQuery,
    calls: &[InvocationRecord],
    events: &[EventRecord],
) {
    let found = log.activity(query).await.unwrap();
    let (since, until) = (query.since.unix_ns(), query.until.unix_ns());
    let own = |project: &String| query.project.as_ref().is_none_or(|at| at == project);
    let expected: Vec<&InvocationRecord> = (calls.iter())
        .filter(|at| own(&at.meta.project) && (since..until).contains(&at.accepted_ns))
        .filter(|at| query.function.as_ref().is_none_or(|name| *name == at.function))
        .collect();
    assert_eq!(found.total.count(), expected.len() as u64, "{query:?}");
    let timed_out = expected.iter().filter(|at| at.status == Status::TimedOut as i32).count();
    assert_eq!(found.total.of(Status::TimedOut), timed_out as u64);
    assert_eq!(found.total.cold, expected.iter().filter(|at| !at.cold.is_empty()).count() as u64);

    assert_eq!(found.buckets.len(), query.buckets);
    let span = found.bucket_ns as i64 * query.buckets as i64;
    assert!(span >= until - since && span < until - since + query.buckets as i64);
    for (index, bucket) in found.buckets.iter().enumerate() {
        let from = since + found.bucket_ns as i64 * index as i64;
        let within = |at: i64| (from..from + found.bucket_ns as i64).contains(&at) && at < until;
        let calls = expected.iter().filter(|at| within(at.accepted_ns)).count();
        assert_eq!(bucket.calls.count(), calls as u64, "stretch {index} of {query:?}");
        let emitted = events.iter().filter(|at| own(&at.meta.project) && within(at.received_ns));
        let emitted = if query.function.is_some() { 0 } else { emitted.count() };
        assert_eq!(bucket.events, emitted as u64);
    }
    let mut by_function: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for call in &expected {
        *by_function.entry((&call.meta.project, &call.function)).or_default() += 1;
    }
    let mut counted: Vec<_> =
        found.functions.iter().map(|(a, b, tally)| ((&**a, &**b), tally.count())).collect();
    counted.sort();
    assert_eq!(counted, by_function.into_iter().collect::<Vec<_>>());
}

#[test]
fn whole_records_come_page_by_page_with_their_places() {
    run(async {
        let (log, mut maker) = log(22);
        let mut made = Vec::new();
        for _ in 0..300 {
            let record = maker.invocation_of("p", "f", Status::Succeeded);
            log.append(vec![Record::Invocation(record.clone().into()), maker.event(30)])
                .await
                .unwrap();
            made.push(record);
        }
        let filter = InvocationFilter::default();
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = log.invocation_records(&filter, cursor, 7).await.unwrap();
            assert!(page.items.len() <= 7);
            cursor = page.items.last().map(|(place, _)| *place);
            found.extend(page.items.into_iter().map(|(_, record)| record));
            if !page.more {
                break;
            }
        }
        assert!(found.iter().eq(made.iter().rev()));
        let events = log.event_records(&EventFilter::default(), None, 1_000).await.unwrap();
        assert_eq!((events.items.len(), events.more), (300, false));
        log.close().await.unwrap();
    });
}

/// An event, its handler, what that emitted, and so on: `length` times, among other records.
async fn chain(log: &Log, maker: &mut Maker, length: usize) -> Vec<Record> {
    let mut records = vec![Record::Event(maker.event_of("p", "first", vec![1]))];
    log.append(vec![records[0].clone()]).await.unwrap();
    for _ in 0..length {
        let event = records.last().map(|at| at.id().to_vec()).unwrap();
        let mut call = maker.invocation_of("p", "f", Status::Succeeded);
        call.meta.cause_event = event.clone().into();
        let started = StartedRecord {
            id: call.id.clone(),
            meta: call.meta.clone(),
            function: call.function.clone(),
            attempt: 1,
            started_ns: call.accepted_ns,
            ..StartedRecord::default()
        };
        let mut emitted = maker.event_of("p", "next", vec![1]);
        emitted.meta.cause_invocation = call.id.clone();
        // What else happens meanwhile, of the same trace.
        let noise = vec![maker.event(10), maker.event(10)];
        let emitted = Record::Event(emitted);
        let call = Record::Invocation(call.into());
        log.append(vec![Record::Started(started)]).await.unwrap();
        log.append(noise).await.unwrap();
        log.append(vec![emitted.clone(), call.clone()]).await.unwrap();
        records.extend([call, emitted]);
    }
    records
}

#[test]
fn effects_are_followed_through_invocations_and_events() {
    run(async {
        let (log, mut maker) = log(23);
        for _ in 0..100 {
            log.append(vec![maker.event(100)]).await.unwrap();
        }
        let made = chain(&log, &mut maker, 30).await;
        let all = EffectLimits { depth: 100, nodes: 1_000, rows: 1 << 40, reads: 1 << 40 };
        let trace = nexus_model::parse_trace_id("0af7651916cd43dd8448eb211c80319c").unwrap();
        for trace in [[0; 16], trace] {
            let origin = |at: usize| Origin { id: made[at].id().try_into().unwrap(), trace };
            let found = log.effects(origin(0), all).await.unwrap();
            assert_eq!(found.cut, None);
            let depths: Vec<u32> = found.records.iter().map(|(depth, _)| *depth).collect();
            assert_eq!(depths, (1..=60).collect::<Vec<u32>>());
            let ended = found.records.iter().filter(|(_, at)| at.kind() == RecordKind::Invocation);
            assert_eq!(ended.count(), 30, "the end of each has taken the place of its start");
            assert!(found.records.iter().map(|(_, at)| at).eq(&made[1..]));
            // From the middle: an invocation and its effects.
            let rest = log.effects(origin(31), all).await.unwrap();
            assert!(rest.records.iter().map(|(_, at)| at).eq(&made[32..]));
        }
        let origin = Origin { id: made[0].id().try_into().unwrap(), trace };
        for (limits, cut, length) in [
            (EffectLimits { depth: 5, ..all }, EffectLimit::Depth, 5),
            (EffectLimits { nodes: 7, ..all }, EffectLimit::Nodes, 7),
            (EffectLimits { reads: 3, ..all }, EffectLimit::Rows, 3),
        ] {
            let found = log.effects(origin, limits).await.unwrap();
            assert_eq!(found.cut, Some(cut));
            assert!(found.records.len() <= length, "{cut:?}");
        }
        let unknown = Origin { id: [9; 16], trace: [0; 16] };
        assert!(log.effects(unknown, all).await.unwrap().records.is_empty());
        log.close().await.unwrap();
    });
}

/// A decision about an event, among other records.
fn decision(maker: &mut Maker, about: &EventRecord, decision: DeliveryDecision) -> DeliveryRecord {
    let call = maker.invocation_of("p", "f", Status::Succeeded);
    DeliveryRecord {
        id: call.id,
        project: about.meta.project.clone(),
        event: about.id.clone(),
        function: "f".into(),
        decision: decision.into(),
        at_ns: call.accepted_ns,
        ..DeliveryRecord::default()
    }
}

#[test]
fn decisions_about_an_event_are_found_with_their_places() {
    run(async {
        let (log, mut maker) = log(24);
        let (one, other) = (maker.event_of("p", "t", vec![1]), maker.event_of("p", "t", vec![1]));
        log.append(vec![Record::Event(one.clone()), Record::Event(other.clone())]).await.unwrap();
        let mut made = Vec::new();
        for round in 0..40 {
            // Most segments have none.
            for _ in 0..20 {
                log.append(vec![maker.event(100)]).await.unwrap();
            }
            if round % 10 == 5 {
                let first = decision(&mut maker, &one, DeliveryDecision::Dead);
                let second = decision(&mut maker, &one, DeliveryDecision::Redriven);
                let noise = decision(&mut maker, &other, DeliveryDecision::Dropped);
                let records = [&first, &noise, &second].map(|at| Record::Delivery(at.clone()));
                log.append(records.to_vec()).await.unwrap();
                made.extend([first, second]);
            }
        }
        let id = one.event_id().unwrap();
        let found = log.decisions(id, u64::MAX).await.unwrap();
        assert!(!found.cut);
        assert!(found.records.iter().map(|(_, record)| record).eq(&made));
        for (position, record) in &found.records {
            let before = nexus_log::Position { sequence: position.sequence - 1, ..*position };
            let read = log.read_from(before, 1).await.unwrap();
            assert_eq!(read[0].record, Record::Delivery(record.clone()));
        }
        // A limit is kept, page by page, and said.
        let some = log.decisions(id, 1).await.unwrap();
        assert!(some.cut && some.records.len() < made.len());
        let unknown = nexus_model::EventId::from_bytes([9; 16]);
        assert!(log.decisions(unknown, u64::MAX).await.unwrap().records.is_empty());
        log.close().await.unwrap();
    });
}

#[test]
fn a_schedule_is_found_and_the_event_that_it_became() {
    run(async {
        let (log, mut maker) = log(25);
        let planned = maker.event_of("p", "later", vec![1]);
        let schedule = ScheduleRecord {
            id: planned.id.clone(),
            meta: planned.meta.clone(),
            received_ns: planned.received_ns,
            due_ns: planned.received_ns + 200_000_000,
            event: planned.event.clone(),
            ..ScheduleRecord::default()
        };
        log.append(vec![Record::Schedule(schedule.clone())]).await.unwrap();
        for _ in 0..400 {
            // Events of the same source and type, and others.
            let mut twin = maker.event_of("p", "later", vec![1]);
            twin.event.source.clone_from(&planned.event.source);
            log.append(vec![Record::Event(twin), maker.event(50)]).await.unwrap();
        }
        assert_eq!(log.happened(&schedule, u64::MAX).await.unwrap(), None);
        let fired = maker.event_of("p", "later", vec![1]);
        let fired =
            EventRecord { event: planned.event.clone(), schedule: planned.id.clone(), ..fired };
        log.append(vec![Record::Event(fired.clone()), maker.event(50)]).await.unwrap();
        let id = planned.event_id().unwrap();
        assert_eq!(log.schedule(id).await.unwrap(), Some(schedule.clone()));
        assert_eq!(log.event(id).await.unwrap(), None);
        assert_eq!(log.happened(&schedule, u64::MAX).await.unwrap(), Some(fired));
        log.close().await.unwrap();
    });
}

#[test]
fn every_event_of_a_batch_leads_to_its_attempts() {
    run(async {
        let (log, mut maker) = log(26);
        let mut events: Vec<EventRecord> = Vec::new();
        let mut batches: Vec<InvocationRecord> = Vec::new();
        for round in 0..40 {
            let batch: Vec<_> = (0..3).map(|_| maker.event_of("p", "t", vec![1])).collect();
            let mut call = maker.invocation_of("p", "f", Status::Succeeded);
            call.meta.cause_event = batch[0].id.clone();
            call.batch = batch[1..].iter().map(|event| event.id.clone()).collect();
            if round % 4 == 0 {
                // The clock was set back before it was delivered, far beyond what a row can say.
                call.accepted_ns -= i64::from(round) * 86_400_000_000_000;
            }
            let mut records: Vec<_> = batch.iter().cloned().map(Record::Event).collect();
            records.push(Record::Invocation(call.clone().into()));
            log.append(records).await.unwrap();
            events.extend(batch);
            batches.push(call);
        }
        for (index, event) in events.iter().enumerate() {
            let id = event.event_id().unwrap();
            let filter = InvocationFilter { event: Some(id), ..InvocationFilter::default() };
            let own = &batches[index / 3];
            let rows = log.invocations(&filter, None, 10).await.unwrap().items;
            let found: Vec<_> = rows.iter().map(|row| row.id).collect();
            assert_eq!(found, [own.invocation_id().unwrap()]);
            assert_eq!(log.count_invocations(&filter).await.unwrap(), 1);
            let scanned = log.invocation_records(&filter, None, 10).await.unwrap().items;
            assert_eq!(scanned.len(), 1);
            let origin = Origin { id: *id.as_bytes(), trace: [0; 16] };
            let limits = EffectLimits { depth: 5, nodes: 100, rows: 10_000, reads: 10 };
            let effects = log.effects(origin, limits).await.unwrap();
            let led: Vec<_> = effects.records.iter().map(|(_, record)| record.id()).collect();
            // Ten records are read at most: what cannot have been in a batch is not read.
            assert_eq!((led, effects.cut), (vec![&own.id[..]], None));
        }
        log.close().await.unwrap();
    });
}
