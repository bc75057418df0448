//! Recorded, then replayed a hundred times with nothing outside.

use std::time::Duration;

use nexus_exec::Recording;
use nexus_model::record::{InvocationRecord, Status};
use nexus_model::view::Verdict;

use super::rehearse::is_the_same;
use super::world::{World, request, text};

const TIMES: usize = 100;

async fn replays(world: &World, record: &InvocationRecord, verdict: Verdict, times: usize) {
    for _ in 0..times {
        let replayed = world.prepared.replay(record, None).await.unwrap();
        assert_eq!(replayed.view.divergence, None);
        assert_eq!(replayed.view.verdict, verdict);
    }
    if verdict == Verdict::Identical {
        is_the_same(world, record).await;
    }
}

#[tokio::test]
async fn chance_and_clocks() {
    let world = World::of("http").await;
    let (ended, record) = world.http("/chance").await;
    assert_eq!(ended.status, Status::Succeeded, "{:?} {:?}", ended.failure, ended.logs);
    let (other, _) = world.http("/chance").await;
    assert_ne!(ended.output.bytes, other.output.bytes, "two live runs must differ");
    replays(&world, &record, Verdict::Identical, TIMES).await;
}

#[tokio::test]
async fn concurrent_requests_with_varying_delays() {
    let world = World::of("http").await;
    for _ in 0..3 {
        let (ended, record) = world.http("/fanout?upstream").await;
        assert_eq!(ended.status, Status::Succeeded, "{:?} {:?}", ended.failure, ended.logs);
        let answer = text(&ended.output.bytes);
        assert!(answer.contains("7: 200 [0][1][2][3][4][5][6]"), "{answer}");
        assert!(answer.contains("5: ErrorCode::ConnectionRefused"), "{answer}");
        let before = world.upstream.requests.load(std::sync::atomic::Ordering::Relaxed);
        replays(&world, &record, Verdict::Identical, TIMES).await;
        let after = world.upstream.requests.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(before, after, "a replay touches nothing");
    }
}

#[tokio::test]
async fn a_request_body_that_is_sent_on() {
    let world = World::of("http").await;
    let body = "abc ".repeat(10_000);
    let input = request("POST", "/post?upstream", nexus_exec::full_body(body.clone()));
    let (ended, record) = world.record(world.call(input)).await;
    assert_eq!(text(&ended.output.bytes), body);
    replays(&world, &record, Verdict::Identical, TIMES).await;
}

#[tokio::test]
async fn events_context_and_logs() {
    let world = World::of("event").await;
    for ty in ["any", "emit", "transient", "permanent", "small"] {
        let (ended, record) = world.event(ty, "a b c d e f g h").await;
        assert_ne!(ended.status, Status::Trapped, "{:?} {:?}", ended.failure, ended.logs);
        replays(&world, &record, Verdict::Identical, TIMES).await;
    }
}

#[tokio::test]
async fn commands() {
    let world = World::of("command").await;
    for arguments in [&[][..], &["exit"], &["noise"], &["secret"]] {
        let (_, record) = world.command(arguments, "some words to sort by chance").await;
        replays(&world, &record, Verdict::Identical, TIMES).await;
    }
}

#[tokio::test]
async fn traps_and_memory() {
    let world = World::of("event").await;
    let (ended, record) = world.event("trap", "").await;
    assert_eq!(ended.status, Status::Trapped);
    replays(&world, &record, Verdict::Identical, TIMES).await;
    let (ended, record) = world.event("oom", "").await;
    assert_eq!(ended.status, Status::OutOfMemory, "{:?}", ended.failure);
    replays(&world, &record, Verdict::Identical, 10).await;
    let (ended, record) = world.event("recurse", "").await;
    assert_eq!(ended.status, Status::Trapped, "{:?}", ended.failure);
    replays(&world, &record, Verdict::Identical, 10).await;
}

#[tokio::test]
async fn timeouts_are_identical_up_to_the_last_operation() {
    let world = World::of("http").await;
    for path in ["/spin", "/sleep"] {
        let mut call = world.call(request("GET", path, nexus_exec::empty_body()));
        call.timeout = Duration::from_millis(50);
        let (ended, record) = world.record(call).await;
        assert_eq!(ended.status, Status::TimedOut, "{:?}", ended.failure);
        replays(&world, &record, Verdict::IdenticalUpTo, 20).await;
    }
}

#[tokio::test]
async fn cancelled_ones_too() {
    let world = World::of("http").await;
    for path in ["/spin", "/sleep"] {
        let call = world.call(request("GET", path, nexus_exec::empty_body()));
        let cancel = call.cancel.clone();
        let stop = async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            cancel.cancel();
        };
        let ((ended, record), ()) = tokio::join!(world.record(call), stop);
        assert_eq!(ended.status, Status::Cancelled, "{:?}", ended.failure);
        replays(&world, &record, Verdict::IdenticalUpTo, 20).await;
    }
}

#[tokio::test]
async fn the_final_memory_is_compared_when_asked_for() {
    for guest in ["http", "event"] {
        let world = World::of(guest).await;
        let mut call = match guest {
            "http" => world.call(request("GET", "/chance", nexus_exec::empty_body())),
            _ => world.call(nexus_exec::CallInput::Event(super::world::event("any", "a b c"))),
        };
        call.recording = Recording::Verify;
        let (ended, mut record) = world.record(call).await;
        assert_eq!(ended.status, Status::Succeeded, "{:?}", ended.failure);
        assert!(ended.memory_hash.is_some());
        for _ in 0..20 {
            let replayed = world.prepared.replay(&record, None).await.unwrap();
            assert_eq!(replayed.view.divergence, None);
            assert!(replayed.view.memory_compared);
        }
        record.memory_hash = bytes::Bytes::from(vec![0; 32]);
        let replayed = world.prepared.replay(&record, None).await.unwrap();
        assert_eq!(replayed.view.divergence.unwrap().what, "memory");
    }
}

#[tokio::test]
async fn what_was_not_recorded_cannot_be_replayed() {
    let world = World::of("http").await;
    let mut call = world.call(request("GET", "/hello", nexus_exec::empty_body()));
    call.recording = Recording::RowOnly;
    let (ended, record) = world.record(call).await;
    assert_eq!((ended.status, ended.journal.len()), (Status::Succeeded, 0));
    let error = world.prepared.replay(&record, None).await.unwrap_err();
    assert!(error.to_string().contains("no journal"), "{error}");
}
