//! Durable functions: crashed at every piece of their journal, resumed, suspended, woken.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nexus_exec::{Call, CallInput, Ended, Payload, Signal, Wake};
use nexus_model::record::{InvocationRecord, Status};
use nexus_model::view::Verdict;
use nexus_model::{Clock as _, Code, SystemClock};
use serde_json::{Value, json};

use super::outside::{Crash, Outside, signal_id};
use super::rehearse::is_the_same;
use super::world::{World, event, request};

/// The same invocation, as often as it is begun or resumed.
struct Run {
    world: World,
    outside: Arc<Outside>,
    first: Call,
    input: fn() -> CallInput,
}

impl Run {
    async fn of(guest: &str, input: fn() -> CallInput) -> Self {
        let world = World::of(guest).await;
        let mut first = world.call(input());
        first.timeout = Duration::from_secs(10);
        Run { world, outside: Arc::default(), first, input }
    }

    /// The same in a world that has seen nothing yet.
    fn anew(self) -> Self {
        let mut first = self.world.call((self.input)());
        first.timeout = Duration::from_secs(10);
        Run { outside: Arc::default(), first, ..self }
    }

    fn call(&self, resume: Option<Bytes>, wake: Option<Wake>) -> Call {
        let mut call = self.world.call((self.input)());
        call.context = self.first.context.clone();
        call.timeout = self.first.timeout;
        (call.durable, call.resume, call.wake) = (true, resume, wake);
        call
    }

    async fn begin(&self) -> (Ended, InvocationRecord) {
        self.world.record_with(self.call(None, None), self.outside.clone()).await
    }

    async fn resume(&self, pieces: Bytes, wake: Option<Wake>) -> (Ended, InvocationRecord) {
        self.world.record_with(self.call(Some(pieces), wake), self.outside.clone()).await
    }

    /// Goes on with what is on disk, as after a restart.
    async fn restart(&self) -> (Ended, InvocationRecord) {
        let journal = self.outside.journal();
        let resume = (!journal.is_empty()).then_some(journal);
        self.world.record_with(self.call(resume, None), self.outside.clone()).await
    }

    /// Runs until the node crashes; whether it did.
    async fn crash(&self, crash: Crash) -> bool {
        self.outside.crash_at(Some(crash));
        let crashed = tokio::select! {
            (ended, _) = self.begin() => {
                assert_eq!(ended.status, Status::Succeeded, "{:?}", ended.failure);
                false
            }
            () = self.outside.crashed.notified() => true,
        };
        self.outside.crash_at(None);
        crashed
    }

    async fn replays(&self, record: &InvocationRecord, times: usize) {
        for _ in 0..times {
            let replayed = self.world.prepared.replay(record, None).await.unwrap();
            assert_eq!(replayed.view.divergence, None);
            assert_eq!(replayed.view.verdict, Verdict::Identical);
        }
        is_the_same(&self.world, record).await;
    }
}

fn result(ended: &Ended) -> Value {
    assert_eq!(ended.status, Status::Succeeded, "{:?} {:?}", ended.failure, ended.logs);
    serde_json::from_slice(&ended.output.bytes).unwrap()
}

/// What does not depend on chance.
fn settled(mut result: Value) -> Value {
    let object = result.as_object_mut().unwrap();
    let random = object.remove("random");
    if let Some(kept) = object.get_mut("kept") {
        assert_eq!(kept["random"], random.unwrap());
        *kept = json!("as written");
    }
    result
}

fn order() -> CallInput {
    CallInput::Event(event("order", "{\"id\":7}"))
}

/// Every request once, or again under its key with the same body.
fn check_requests(outside: &Outside) -> usize {
    let mut by_key = BTreeMap::new();
    for (key, path, body) in &outside.seen().requests {
        assert!(!key.is_empty(), "a request without a key: {path}");
        let first = by_key.entry(key.clone()).or_insert((path.clone(), body.clone()));
        assert_eq!(*first, (path.clone(), body.clone()), "another request under a known key");
    }
    let mut paths: Vec<_> = by_key.values().map(|(path, _)| path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/charge", "/fast", "/ship", "/slow"]);
    outside.seen().requests.len()
}

fn check_effects(outside: &Outside) {
    let seen = outside.seen();
    assert_eq!(seen.emitted.len(), 1);
    let called: Vec<_> = seen.calls.values().map(String::as_str).collect();
    assert_eq!(called, ["price", "a", "b"]);
    assert_eq!((seen.started.len(), seen.writes), (1, 3));
    assert_eq!(seen.streams.values().map(Vec::len).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn a_crash_at_any_piece_repeats_no_effect() {
    let mut run = Run::of("durable", order).await;
    let (ended, record) = run.begin().await;
    let whole = settled(result(&ended));
    assert_eq!(whole["answers"][1], "answer to /charge");
    assert_eq!(whole["all"], json!(["a done", "no function 'missing'", "b done"]));
    let pieces = run.outside.seen().pieces.len();
    assert!(pieces > 15, "{pieces}");
    assert_eq!(check_requests(&run.outside), 4);
    check_effects(&run.outside);
    run.replays(&record, 100).await;
    let mut repeated = 0;
    for number in 0..pieces {
        for crash in [Crash::Before(number), Crash::After(number)] {
            run = run.anew();
            // The slow answer comes in its own time, so the last pieces may be fewer.
            if !run.crash(crash).await {
                assert!(number + 3 > pieces, "{crash:?} of {pieces}");
                continue;
            }
            let (ended, record) = run.restart().await;
            assert_eq!(settled(result(&ended)), whole, "{crash:?}");
            repeated += check_requests(&run.outside) - 4;
            check_effects(&run.outside);
            run.replays(&record, 2).await;
        }
    }
    assert!(repeated > 0, "no request was under way in any crash");
}

#[tokio::test]
async fn every_beginning_of_a_journal_leads_to_the_same_end() {
    let run = Run::of("durable", order).await;
    let (ended, _) = run.begin().await;
    // The key is deleted at the end, and the world is not set back here.
    let without_kept = |ended: &Ended| {
        let mut result = result(ended);
        result.as_object_mut().unwrap().remove("kept");
        result
    };
    let (whole, logs) = (without_kept(&ended), ended.logs.len());
    let pieces = run.outside.seen().pieces.clone();
    let keys = |outside: &Outside| -> Vec<String> {
        let mut keys: Vec<_> = outside.seen().requests.iter().map(|seen| seen.0.clone()).collect();
        keys.sort();
        keys.dedup();
        keys
    };
    let all_keys = keys(&run.outside);
    for count in 1..=pieces.len() {
        let (ended, record) = run.resume(pieces[..count].concat().into(), None).await;
        assert_eq!((without_kept(&ended), ended.logs.len()), (whole.clone(), logs));
        assert_eq!(keys(&run.outside), all_keys, "{count} pieces");
        run.replays(&record, 2).await;
    }
    check_effects(&run.outside);
}

#[tokio::test]
async fn sleeping_leaves_nothing_behind() {
    let run = Run::of("durable", || CallInput::Event(event("sleep", "null"))).await;
    let (ended, _) = run.begin().await;
    assert_eq!(ended.status, Status::Suspended, "{:?}", ended.failure);
    let until = ended.suspension.unwrap().until.unwrap();
    let left = until.since(SystemClock.now());
    assert!(left > Duration::from_secs(3500) && left <= Duration::from_secs(3600), "{left:?}");
    assert_eq!(run.world.running(), 0);
    // Woken by mistake, it goes on sleeping until the same moment.
    let (ended, _) = run.restart().await;
    assert_eq!(ended.suspension.unwrap().until, Some(until));
    let (ended, _) = run.resume(run.outside.journal(), Some(Wake::Timer)).await;
    let second = ended.suspension.unwrap().until.unwrap();
    assert!(second.since(until) > Duration::from_secs(3000));
    let (ended, record) = run.resume(run.outside.journal(), Some(Wake::Timer)).await;
    assert_eq!(result(&ended), json!({ "same": true, "slept": true, "deadline": true }));
    run.replays(&record, 100).await;
}

fn approve() -> CallInput {
    CallInput::Event(event("approve", "null"))
}

#[tokio::test]
async fn a_signal_or_its_timeout_ends_a_wait() {
    let payload = Payload { content_type: "application/json".into(), data: "true".into() };
    let wakes = [
        (Wake::Signal(Signal { id: signal_id(7), payload: payload.clone() }), json!(true)),
        (Wake::TimedOut, Value::Null),
    ];
    let mut run = Run::of("durable", approve).await;
    for (wake, expected) in wakes {
        let (ended, _) = run.begin().await;
        let suspension = ended.suspension.unwrap();
        assert_eq!(suspension.signal.as_deref(), Some("approval"));
        assert!(suspension.until.unwrap() > SystemClock.now());
        let (ended, record) = run.resume(run.outside.journal(), Some(wake)).await;
        assert_eq!(result(&ended)["answer"], expected);
        assert_eq!(run.outside.seen().requests.len(), 2);
        // The trace goes on, asleep or not.
        assert_eq!(run.outside.seen().tracestates, vec![Some("a=1".into()); 2]);
        run.replays(&record, 100).await;
        // What was woken is in the journal: it needs no waking again.
        let (ended, _) = run.restart().await;
        assert_eq!(result(&ended)["answer"], expected);
        run = run.anew();
    }
    // One that came before does not make it wait.
    run.outside.seen().signals.push(("approval".into(), payload));
    let (ended, _) = run.begin().await;
    assert_eq!(result(&ended)["answer"], json!(true));
}

#[tokio::test]
async fn signals_of_one_name_are_got_one_after_the_other() {
    let run = Run::of("durable", || CallInput::Event(event("signals", "null"))).await;
    let signal = |name: &str, text: &'static str| {
        let payload = Payload { content_type: "application/json".into(), data: text.into() };
        run.outside.seen().signals.push((name.into(), payload));
    };
    let suspended = |ended: Ended| {
        let suspension = ended.suspension.unwrap();
        (suspension.signal.unwrap(), suspension.until)
    };
    assert_eq!(suspended(run.begin().await.0), ("s".into(), None));
    signal("s", "1");
    assert_eq!(suspended(run.restart().await.0), ("other".into(), None));
    signal("other", "2");
    assert_eq!(suspended(run.restart().await.0), ("s".into(), None));
    signal("s", "3");
    let (ended, record) = run.restart().await;
    assert_eq!(result(&ended), json!([1, 2, 3]));
    assert_eq!(run.outside.seen().taken, [0, 1, 2].map(signal_id));
    run.replays(&record, 10).await;
}

#[tokio::test]
async fn an_http_function_with_many_requests_under_way() {
    let input = || request("GET", "/fanout?upstream", nexus_exec::empty_body());
    let world = Run::of("http", input).await;
    let (ended, record) = world.begin().await;
    assert_eq!(ended.status, Status::Succeeded, "{:?} {:?}", ended.failure, ended.logs);
    let (whole, pieces) = (ended.output.bytes.clone(), world.outside.seen().pieces.clone());
    assert!(pieces.len() > 5);
    world.replays(&record, 20).await;
    for count in 1..=pieces.len() {
        let (ended, record) = world.resume(pieces[..count].concat().into(), None).await;
        assert_eq!(ended.status, Status::Succeeded, "{:?} {:?}", ended.failure, ended.logs);
        assert_eq!(ended.output.bytes.len(), whole.len(), "{count} pieces");
        world.replays(&record, 2).await;
    }
    let keys: std::collections::BTreeSet<_> =
        world.outside.seen().requests.iter().map(|seen| seen.0.clone()).collect();
    assert_eq!(keys.len(), 8);
}

#[tokio::test]
async fn a_body_that_is_sent_on_and_an_answer_that_comes_as_a_whole() {
    let input = || {
        let body = nexus_exec::full_body("abc ".repeat(50_000));
        request("POST", "/post?upstream", body)
    };
    let run = Run::of("http", input).await;
    let mut call = run.call(None, None);
    let (respond, answer) = tokio::sync::oneshot::channel();
    call.respond = Some(respond);
    let (ended, record) = run.world.record_with(call, run.outside.clone()).await;
    assert_eq!(ended.status, Status::Succeeded, "{:?} {:?}", ended.failure, ended.logs);
    let answer = answer.await.unwrap();
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    assert_eq!(body, ended.output.bytes);
    assert_eq!(run.outside.seen().requests[0].2.len(), 200_000);
    run.replays(&record, 20).await;
    let first = run.outside.seen().pieces[0].clone();
    let (ended, _) = run.resume(first, None).await;
    assert_eq!(ended.output.bytes, body);
}

#[tokio::test]
async fn another_guest_or_input_is_found_and_not_tried_again() {
    let run = Run::of("durable", order).await;
    run.begin().await;
    let pieces = run.outside.seen().pieces.clone();
    let mut changed = run.call(Some(pieces[..3].concat().into()), None);
    changed.input = CallInput::Event(event("order", "{\"id\":8}"));
    let (ended, _) = run.world.record_with(changed, run.outside.clone()).await;
    let failure = ended.failure.unwrap();
    assert_eq!((ended.status, failure.code.as_str()), (Status::Refused, "NX7002"));
    assert!(failure.message.contains("operation"), "{}", failure.message);
    let mut shorter = run.call(Some(pieces[..3].concat().into()), None);
    shorter.input = CallInput::Event(event("unknown", "null"));
    let (ended, _) = run.world.record_with(shorter, run.outside.clone()).await;
    assert_eq!((ended.status, ended.failure.unwrap().code.as_str()), (Status::Refused, "NX7002"));
    let gap: Bytes = [pieces[0].clone(), pieces[2].clone()].concat().into();
    let (ended, _) = run.resume(gap, None).await;
    assert_eq!((ended.status, ended.failure.unwrap().code.as_str()), (Status::Refused, "NX7003"));
    let other = World::of("event").await;
    let mut call = run.call(Some(pieces[0].clone()), None);
    call.input = CallInput::Event(event("any", "null"));
    let (ended, _) = other.record_with(call, run.outside.clone()).await;
    assert_eq!((ended.status, ended.failure.unwrap().code.as_str()), (Status::Refused, "NX7001"));
}

#[tokio::test]
async fn what_cannot_be_kept_does_not_happen() {
    let run = Run::of("durable", order).await;
    run.outside.seen().refuse_pieces = true;
    let (ended, _) = run.begin().await;
    let failure = ended.failure.unwrap();
    assert_eq!(ended.status, Status::Failed);
    assert_eq!(failure.code, Code::RecordingPressure.as_str());
    assert!(failure.message.contains("the disk is full"), "{}", failure.message);
    assert_eq!(run.outside.seen().requests.len(), 0);
    assert_eq!(run.outside.seen().emitted.len(), 0);
}

#[tokio::test]
async fn state_calls_and_aggregates_are_recorded_and_replayed() {
    let world = World::of("durable").await;
    let outside = Arc::new(Outside::default());
    for (ty, data) in
        [("state", "null"), ("calls", "null"), ("account", "[100, -30]"), ("account", "[-70, 5]")]
    {
        let call = world.call(CallInput::Event(event(ty, data)));
        let (ended, record) = world.record_with(call, outside.clone()).await;
        let result = result(&ended);
        match ty {
            "state" => {
                assert_eq!(result["listed"], json!(["a/1", "a/2"]));
                assert_eq!(result["conflict"], "Err(Conflict(1))");
                assert_eq!((&result["same"], &result["again"]), (&json!(true), &json!("Ok(())")));
                assert_eq!(result["key"].as_str().unwrap().len(), 32);
            }
            "calls" => {
                let text = result.to_string();
                for part in ["NX5003 it does not like it", "Succeeded", "durable = true"] {
                    assert!(text.contains(part), "{text}");
                }
            }
            _ => assert!(result["version"].as_u64().unwrap() >= 2, "{result}"),
        }
        let before = outside.seen().writes;
        for _ in 0..100 {
            let replayed = world.prepared.replay(&record, None).await.unwrap();
            assert_eq!(replayed.view.divergence, None, "{ty}");
        }
        is_the_same(&world, &record).await;
        assert_eq!(outside.seen().writes, before);
    }
    let refused = world.call(CallInput::Event(event("account", "[-1000]")));
    let (ended, _) = world.record_with(refused, outside).await;
    assert_eq!(ended.status, Status::Refused);
}

#[tokio::test]
async fn the_idempotency_key_is_that_of_the_event() {
    let world = World::of("durable").await;
    let key = |id: &str| {
        let mut event = event("state", "null");
        event.id = id.into();
        let call = world.call(CallInput::Event(event));
        let world = &world;
        async move {
            let (ended, _) = world.record_with(call, Arc::new(Outside::default())).await;
            result(&ended)["key"].clone()
        }
    };
    assert_eq!(key("1").await, key("1").await);
    assert_ne!(key("1").await, key("2").await);
}
