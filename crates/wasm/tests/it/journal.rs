//! A journal that was damaged, changed, cut or is of something else.

use bytes::Bytes;
use nexus_exec::journal::Journal;
use nexus_exec::{Error, journal};
use nexus_model::record::{InvocationRecord, input};
use nexus_model::view::Verdict;

use super::world::World;

fn with_journal(record: &InvocationRecord, bytes: Bytes) -> InvocationRecord {
    let mut changed = record.clone();
    changed.journal.as_mut().unwrap().inline = bytes;
    changed
}

#[tokio::test]
async fn every_changed_byte_is_found() {
    let world = World::of("http").await;
    let (ended, record) = world.http("/fanout?upstream").await;
    for at in 0..ended.journal.len() {
        for flip in [1u8, 0x80, 0xff] {
            let mut bytes = ended.journal.to_vec();
            bytes[at] ^= flip;
            let changed = with_journal(&record, bytes.into());
            let error = world.prepared.replay(&changed, None).await.unwrap_err();
            assert!(matches!(error, Error::Journal(_)), "byte {at}: {error}");
        }
    }
    for length in 0..ended.journal.len() {
        let cut = ended.journal.slice(..length);
        let _ = journal::entries(&cut).unwrap_err();
        let error = world.prepared.replay(&with_journal(&record, cut), None).await.unwrap_err();
        let named = matches!(error, Error::Journal(_))
            || length == 0 && matches!(error, Error::NotReplayable { .. });
        assert!(named, "cut at {length}: {error}");
    }
}

#[tokio::test]
async fn a_journal_that_ends_early_differs_where_it_ends() {
    let world = World::of("http").await;
    let (ended, record) = world.http("/fanout?upstream").await;
    let whole = Journal::decode(&ended.journal).unwrap();
    assert_eq!(whole.encode(), ended.journal);
    for operations in 0..=whole.operations {
        let cut = whole.clone().cut(operations).unwrap().encode();
        let replayed = world.prepared.replay(&with_journal(&record, cut), None).await.unwrap();
        assert_eq!(replayed.view.verdict, Verdict::Diverged, "cut after {operations}");
        let divergence = replayed.view.divergence.unwrap();
        assert_eq!(divergence.operation, Some(operations));
        assert_eq!(divergence.expected, "nothing: the journal was cut here");
    }
}

#[tokio::test]
async fn people_can_read_it() {
    let world = World::of("http").await;
    let (ended, _) = world.http("/fanout?upstream").await;
    let entries = journal::entries(&ended.journal).unwrap();
    assert_eq!(entries.len() as u64, ended.meter.host_calls);
    let all: Vec<String> = entries
        .iter()
        .map(|entry| format!("{} {} {}", entry.operation, entry.function, entry.summary))
        .collect();
    let all = all.join("\n");
    assert!(all.contains("wasi:http/outgoing-handler.handle GET http://upstream/delay/0"), "{all}");
    assert!(all.contains("wasi:io/poll.poll 8 asked for → ready: ["), "{all}");
    assert!(all.contains("failed"), "{all}");
    assert!(entries.iter().any(|entry| entry.duration_ns > 0 && entry.at_ns > 0));
}

#[tokio::test]
async fn a_divergence_names_the_operation() {
    let world = World::of("http").await;
    let (_, mut record) = world.http("/fanout?upstream").await;
    let Some(input::Form::Http(http)) = &mut record.input.as_mut().unwrap().form else {
        panic!("no request");
    };
    http.path_and_query = "/fanout?elsewhere".into();
    let replayed = world.prepared.replay(&record, None).await.unwrap();
    assert_eq!(replayed.view.verdict, Verdict::Diverged);
    let divergence = replayed.view.divergence.unwrap();
    assert!(divergence.operation.is_some());
    assert_eq!(divergence.what, "wasi:http/outgoing-handler.handle");
    assert!(divergence.expected.contains("GET http://upstream/delay/0"), "{divergence:?}");
    assert!(divergence.actual.contains("GET http://elsewhere/delay/0"), "{divergence:?}");
}

#[tokio::test]
async fn a_changed_output_is_named() {
    let world = World::of("http").await;
    let (_, record) = world.http("/chance").await;
    type Change = fn(&mut InvocationRecord);
    let changes: [(Change, &str); 5] = [
        (|record| record.status = 4, "status"),
        (|record| record.output.as_mut().unwrap().http_status = 201, "output status"),
        (
            |record| {
                let body = record.output.as_mut().unwrap().body.as_mut().unwrap();
                let mut bytes = body.inline.to_vec();
                bytes[3] ^= 1;
                body.inline = bytes.into();
            },
            "output body",
        ),
        (|record| record.logs[0].text.push('x'), "logs"),
        (|record| drop(record.logs.pop()), "logs"),
    ];
    for (change, what) in changes {
        let mut changed = record.clone();
        change(&mut changed);
        let replayed = world.prepared.replay(&changed, None).await.unwrap();
        assert_eq!(replayed.view.divergence.unwrap().what, what);
    }
}

#[tokio::test]
async fn another_component_is_refused_by_name() {
    let http = World::of("http").await;
    let event = World::of("event").await;
    let (_, record) = http.http("/hello").await;
    let error = event.prepared.replay(&record, None).await.unwrap_err().to_string();
    assert!(error.contains(&http.unit.component.hex()), "{error}");
    assert!(error.contains(&event.unit.component.hex()), "{error}");
}
