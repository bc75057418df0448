//! Functions in JavaScript, TypeScript and Python that do what is hard to repeat: each is recorded
//! once and replayed a hundred times, with nobody left to answer its requests.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use nexus_exec::{Error, full_body, journal};
use nexus_model::record::{InvocationRecord, Status};
use nexus_model::view::Verdict;

use crate::guests::shared;
use crate::runner::{Guest, Recorded, request};
use crate::upstream::Upstream;

const TIMES: usize = 100;

fn replays(guest: &Guest, recorded: &Recorded, verdict: Verdict) {
    for time in 0..TIMES {
        let replayed = guest.replay(&recorded.record).unwrap().view;
        assert_eq!((replayed.divergence, replayed.verdict), (None, verdict), "replay {time}");
    }
}

#[track_caller]
fn assert_succeeded(recorded: &Recorded) {
    let ended = &recorded.ended;
    assert_eq!(ended.status, Status::Succeeded, "{:?} {:?}", ended.failure, ended.logs);
    assert_eq!(recorded.status, 200, "{}", recorded.text);
}

/// Two calls of the same path, which must not give the same; the first is replayed.
fn differs_and_replays(guest: &Guest, path: &str) {
    let [first, second] = [(); 2].map(|()| guest.record(request("GET", path, full_body(""))));
    assert_succeeded(&first);
    assert_ne!(first.text, second.text, "two live runs of {path} must differ");
    replays(guest, &first, Verdict::Identical);
}

fn chance(guest: &Guest) {
    differs_and_replays(guest, "/random");
}

fn clocks(guest: &Guest) {
    differs_and_replays(guest, "/clock");
}

fn maps(guest: &Guest) {
    differs_and_replays(guest, "/order");
}

fn fetch(upstream: &Upstream, delays: &[(u64, u64)]) -> String {
    let urls: Vec<_> = delays
        .iter()
        .map(|(ms, pieces)| format!("url=http://{}/delay/{ms}/{pieces}", upstream.address))
        .collect();
    format!("/fetch?{}", urls.join("&"))
}

fn concurrent_requests(guest: &Guest) {
    let mut upstream = Upstream::start();
    let path = fetch(&upstream, &[(30, 2), (0, 5), (15, 0), (5, 7), (25, 1), (10, 3), (3, 4)]);
    let recorded = guest.record(request("GET", &path, full_body("")));
    assert_succeeded(&recorded);
    let answer: serde_json::Value = serde_json::from_str(&recorded.text).unwrap();
    let list = |name: &str| answer[name].as_array().unwrap().clone();
    let asked: Vec<_> = list("answers").iter().map(|answer| answer["target"].clone()).collect();
    let (order, texts) = (list("order"), list("answers"));
    assert_eq!((asked.len(), order.len()), (7, 7), "{answer}");
    assert_ne!(asked, order, "the answers came in the order of the requests");
    assert!(texts[3]["text"].as_str().unwrap().contains("[6 of "), "{answer}");
    assert_eq!(upstream.requests(), 7);

    upstream.stop();
    replays(guest, &recorded, Verdict::Identical);
    assert_eq!(upstream.requests(), 7, "a replay touches nothing");
    let live = guest.record(request("GET", &path, full_body("")));
    assert_ne!((live.status, live.ended.status), (200, Status::Succeeded), "{}", live.text);
    // A failed request is a recording like any other.
    replays(guest, &live, Verdict::Identical);
}

fn streams(guest: &Guest) {
    let (mut sender, body) = http_body_util::channel::Channel::new(1);
    let feeder = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for number in 0..12_usize {
                let piece = format!("piece {number};").repeat(number * 200 + 1);
                sender.send_data(Bytes::from(piece)).await.unwrap();
            }
        });
    });
    let recorded = guest.record(request("POST", "/stream", body.boxed_unsync()));
    feeder.join().unwrap();
    assert_succeeded(&recorded);
    assert!(recorded.text.starts_with("PIECE 0;PIECE 1;"), "{}", &recorded.text[..40]);
    assert!(recorded.text.ends_with("PIECE 11;"));
    assert!(recorded.ended.input_body.pieces.len() > 1, "{:?}", recorded.ended.input_body.pieces);
    replays(guest, &recorded, Verdict::Identical);
}

fn exceptions(guest: &Guest) {
    let thrown = guest.record(request("GET", "/throw", full_body("")));
    assert_ne!(thrown.ended.status, Status::Succeeded);
    let said = |line: &nexus_model::record::LogLine| line.text.contains("on purpose");
    assert!(thrown.ended.logs.iter().any(said), "{:?}", thrown.ended.logs);
    replays(guest, &thrown, Verdict::Identical);

    let late = guest.record(request("GET", "/late", full_body("")));
    assert_ne!(late.ended.status, Status::Succeeded);
    assert_eq!((late.status, late.text.as_str()), (200, "the beginning\n"));
    replays(guest, &late, Verdict::Identical);
}

fn logs(guest: &Guest) {
    let logged = guest.record(request("GET", "/log", full_body("")));
    assert_succeeded(&logged);
    let levels: Vec<_> = logged.ended.logs.iter().map(|line| line.level.as_str()).collect();
    assert!(levels.contains(&"warn"), "{:?}", logged.ended.logs);
    replays(guest, &logged, Verdict::Identical);
}

/// Interpreters turn memory that they do not get into an exception of the language. The function
/// fails with it, and the refusal is in the journal.
fn out_of_memory(guest: &Guest) {
    let recorded = guest.record(request("GET", "/oom", full_body("")));
    let ended = &recorded.ended;
    assert_eq!(ended.status, Status::Failed, "{:?} {:?}", ended.failure, ended.logs);
    let message = &ended.failure.as_ref().unwrap().message;
    assert!(message.contains("out of memory") || message.contains("MemoryError"), "{message}");
    let entries = journal::entries(&ended.journal).unwrap();
    assert!(entries.iter().any(|entry| entry.summary.contains("refused")), "{entries:?}");
    replays(guest, &recorded, Verdict::Identical);
}

fn timeouts(guest: &Guest) {
    let mut computing = request("GET", "/loop", full_body(""));
    computing.timeout = Duration::from_millis(200);
    let computing = guest.record(computing);
    assert_eq!(computing.ended.status, Status::TimedOut, "{:?}", computing.ended.failure);
    replays(guest, &computing, Verdict::IdenticalUpTo);

    let mut upstream = Upstream::start();
    let path = fetch(&upstream, &[(0, 3), (600_000, 1)]);
    let mut waiting = request("GET", &path, full_body(""));
    waiting.timeout = Duration::from_secs(1);
    let waiting = guest.record(waiting);
    assert_eq!(waiting.ended.status, Status::TimedOut, "{:?}", waiting.ended.failure);
    assert_eq!(upstream.requests(), 2);
    upstream.stop();
    replays(guest, &waiting, Verdict::IdenticalUpTo);
}

fn with_journal(record: &InvocationRecord, journal: Bytes) -> InvocationRecord {
    let mut changed = record.clone();
    changed.journal.as_mut().unwrap().inline = journal;
    changed
}

/// A journal with many sorts of entries.
fn recording(guest: &Guest) -> Recorded {
    let upstream = Upstream::start();
    let path = fetch(&upstream, &[(4, 2), (0, 1), (2, 3)]);
    let recorded = guest.record(request("GET", &path, full_body("")));
    assert_succeeded(&recorded);
    recorded
}

#[track_caller]
fn assert_unreadable(guest: &Guest, record: &InvocationRecord, journal: Bytes) {
    let _ = journal::entries(&journal).unwrap_err();
    let error = guest.replay(&with_journal(record, journal)).unwrap_err();
    let named = match &error {
        Error::Journal(_) => true,
        Error::NotReplayable { reason } => reason == "it has no journal",
        _ => false,
    };
    assert!(named, "{error}");
}

/// Cut at each of its bytes, and so at each entry, it is unreadable. Cut after each entry and made
/// whole again, it differs there.
fn cut_journals(guest: &Guest) {
    let recorded = recording(guest);
    let bytes = &recorded.ended.journal;
    for length in 0..bytes.len() {
        assert_unreadable(guest, &recorded.record, bytes.slice(..length));
    }
    let whole = journal::Journal::decode(bytes).unwrap();
    assert_eq!(whole.encode(), bytes);
    assert!(whole.operations > 20, "{}", whole.operations);
    let names = journal::entries(bytes).unwrap();
    for operations in 0..=whole.operations {
        let cut = whole.clone().cut(operations).unwrap();
        let cut = cut.encode();
        assert_eq!(journal::entries(&cut).unwrap(), names[..operations as usize]);
        let replayed = guest.replay(&with_journal(&recorded.record, cut)).unwrap().view;
        assert_eq!(replayed.verdict, Verdict::Diverged, "cut after {operations}");
        let divergence = replayed.divergence.unwrap();
        assert_eq!(
            (divergence.operation, divergence.what.as_str(), divergence.expected.as_str()),
            (Some(operations), "end", "nothing: the journal was cut here"),
        );
        let next = names.get(operations as usize).map_or("the guest ended", |it| &it.function);
        assert!(divergence.actual.starts_with(next), "{divergence:?} is not {next}");
    }
}

/// Whatever byte is changed, and however.
fn changed_journals(guest: &Guest) {
    let recorded = recording(guest);
    for at in 0..recorded.ended.journal.len() {
        for flip in [1, 0x80, 0xff] {
            let mut bytes = recorded.ended.journal.to_vec();
            bytes[at] ^= flip;
            assert_unreadable(guest, &recorded.record, bytes.into());
        }
    }
}

macro_rules! languages {
    ($($language:ident $check:ident;)*) => {
        mod javascript { $(languages!(@ $language $check, "replay-js");)* }
        mod typescript { $(languages!(@ $language $check, "replay-ts");)* }
        mod python { $(languages!(@ $language $check, "replay-py");)* }
    };
    (@ $memory:ident $check:ident, $guest:literal) => {
        #[test]
        fn $check() {
            super::$check(super::shared($guest).$memory());
        }
    };
}

languages! {
    usual chance;
    usual clocks;
    usual maps;
    usual concurrent_requests;
    usual streams;
    usual exceptions;
    usual logs;
    small out_of_memory;
    usual timeouts;
    usual cut_journals;
    usual changed_journals;
}
