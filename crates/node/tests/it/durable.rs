//! Durable invocations on a node: they sleep, wait for signals, go on after the node was gone, and
//! answer those who wait for them.

use std::time::Duration;

use bytes::Bytes;
use nexus_model::record::{Record, Status};
use nexus_model::{Code, Event, InvocationId};
use nexus_node::{Error, InvokeInput, InvokeOutput, ResultOf};
use nexus_testkit::FakeRuntime;
use serde_json::json;

use crate::world::{World, admin, name, spec, text};

/// Only ever waited for when something is broken.
const PATIENCE: Duration = Duration::from_secs(30);

fn durable() -> Option<nexus_model::resource::FunctionSpec> {
    spec(json!({ "durable": true }))
}

fn data(text: &str) -> InvokeInput {
    InvokeInput { data: Bytes::from(text.to_owned()), ..InvokeInput::default() }
}

async fn invoke(world: &World, function: &str) -> Result<InvokeOutput, Error> {
    world.node.invoke(&admin(), &name("shop"), &name(function), data("1")).await
}

async fn lines(world: &World, function: &str) -> String {
    String::from_utf8(invoke(world, function).await.unwrap().body.to_vec()).unwrap()
}

async fn begin(world: &World, function: &str) -> InvocationId {
    let name_of = name(function);
    world.node.invoke_async(&admin(), (&name("shop"), &name_of), data("1")).await.unwrap()
}

async fn signal(world: &World, id: InvocationId, word: &str, text: &str) -> Result<(), Error> {
    world.node.signal(&admin(), (&name("shop"), id), (word, data(text))).await
}

async fn why(world: &World, id: InvocationId) -> (String, String) {
    let why = world.node.why_invocation(&admin(), &name("shop"), id).await.unwrap();
    (why.state, why.answer)
}

/// Waits until an invocation waits for something: before that it may have waited for something else.
async fn until_it_waits_for(world: &World, id: InvocationId, what: &str) {
    let found = async {
        while !until(world, id, "suspended").await.contains(what) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("not for {what}"));
}

/// Waits until an invocation is in a state, and gives the answer to why it is.
async fn until(world: &World, id: InvocationId, state: &str) -> String {
    let found = async {
        loop {
            let (now, answer) = why(world, id).await;
            if now == state {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, found).await {
        Ok(answer) => answer,
        Err(_) => panic!("not {state}, but {:?}", why(world, id).await),
    }
}

async fn result(world: &World, id: InvocationId) -> Result<String, Error> {
    loop {
        match world.node.invocation_result(&admin(), (&name("shop"), id), PATIENCE).await? {
            ResultOf::Ready(output) => {
                return Ok(String::from_utf8(output.body.to_vec()).unwrap());
            }
            ResultOf::Pending(_) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_sleeps_and_its_caller_gets_the_end() {
    let world = World::new().await;
    world.deploy("nap", "event steps say a; sleep 60; sleep 40; say b", durable()).await;
    let output = invoke(&world, "nap").await.unwrap();
    assert_eq!(output.body, "a\ndone\ndone\nb");
    let view = world.node.invocation(&admin(), output.invocation).await.unwrap();
    assert_eq!(view.row.status, Status::Succeeded);
    let (state, _) = why(&world, output.invocation).await;
    assert_eq!(state, "succeeded");
    let because = world.node.why_invocation(&admin(), &name("shop"), output.invocation).await;
    let because = because.unwrap().because.join(", ");
    assert!(because.contains("it went on from its journal 2 times"), "{because}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_answered_when_the_function_has_ended() {
    let world = World::new().await;
    let routed = json!({ "durable": true, "on": { "http": [{ "path": "/nap" }] } });
    world.deploy("nap", "http steps sleep 50; say awake", spec(routed)).await;
    let response = world.post("/nap", "body").await.unwrap();
    assert_eq!(response.status(), 200);
    let id = crate::world::invocation_of(&response);
    assert_eq!(text(response).await, "done\nawake");
    // What it was asked is its recording's input, as it came.
    let view = world.node.invocation(&admin(), id).await.unwrap();
    assert_eq!(view.input["method"], "POST", "{}", view.input);
    assert_eq!(view.input["body"]["text"], "body", "{}", view.input);
    // Large ones are no events, and yet accepted; what is too large is refused.
    let large = "x".repeat(3 << 20);
    assert_eq!(world.text("/nap", &large).await, "done\nawake");
    let huge = "x".repeat(9 << 20);
    assert_eq!(world.post("/nap", &huge).await.unwrap_err().code(), Code::TooLarge);
    // An answer that is an error is an answer: it is not tried again.
    let routed = json!({ "durable": true, "on": { "http": [{ "path": "/busy" }] } });
    world.deploy("busy", "http status 503", spec(routed)).await;
    assert_eq!(world.post("/busy", "").await.unwrap().status(), 503);
    // A direct call of it is the same.
    let output = invoke(&world, "nap").await.unwrap();
    assert_eq!((output.http_status, &output.body[..]), (Some(200), &b"done\nawake"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_wakes_it_or_its_time_runs_out() {
    let world = World::new().await;
    world.deploy("ask", "event steps signal yes; signal no 40; say end", durable()).await;
    let id = begin(&world, "ask").await;
    let answer = until(&world, id, "suspended").await;
    assert!(answer.contains("Waits for the signal 'yes'"), "{answer}");
    // Another name wakes nobody; it is kept.
    signal(&world, id, "other", "0").await.unwrap();
    signal(&world, id, "yes", "\"word\"").await.unwrap();
    assert_eq!(result(&world, id).await.unwrap(), "\"word\"\nnothing\nend");
    // It has ended: whoever signals is told.
    let late = signal(&world, id, "yes", "1").await.unwrap_err();
    assert_eq!(late.code(), Code::NotDurable, "{late:?}");
    let large = "x".repeat(300 << 10);
    let other = begin(&world, "ask").await;
    let error = signal(&world, other, "yes", &large).await.unwrap_err();
    assert_eq!(error.code(), Code::TooLarge);
    assert!(error.detail().contains("the limit is 262144"), "{error}");
    // One that comes before it is asked for.
    signal(&world, other, "no", "2").await.unwrap();
    signal(&world, other, "yes", "1").await.unwrap();
    assert_eq!(result(&world, other).await.unwrap(), "1\n2\nend");
    // One that is nobody's.
    world.deploy("plain", "event hang", None).await;
    let plain = begin(&world, "plain").await;
    until(&world, plain, "running").await;
    assert_eq!(signal(&world, plain, "yes", "1").await.unwrap_err().code(), Code::NotDurable);
    world.node.cancel_invocation(&admin(), (&name("shop"), plain), "test").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_that_race_with_the_end_are_answered_truly() {
    let world = World::new().await;
    world.deploy("ask", "event steps signal go; say end", durable()).await;
    for _ in 0..20 {
        let id = begin(&world, "ask").await;
        until(&world, id, "suspended").await;
        let (first, second) =
            tokio::join!(signal(&world, id, "go", "\"a\""), signal(&world, id, "go", "\"b\""));
        let result = result(&world, id).await.unwrap();
        // Whoever was told that it was taken in may have been first; who was refused was not.
        match (first, second) {
            (Ok(()), Ok(())) => assert!(result.starts_with("\"a\"") || result.starts_with("\"b\"")),
            (Ok(()), Err(late)) => {
                assert_eq!((&result[..], late.code()), ("\"a\"\nend", Code::NotDurable));
            }
            (Err(late), Ok(())) => {
                assert_eq!((&result[..], late.code()), ("\"b\"\nend", Code::NotDurable));
            }
            (Err(first), Err(second)) => panic!("{first:?} {second:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_made_once_and_starts_may_be_delayed() {
    let world = World::new().await;
    world.deploy("counter", "event count calls", None).await;
    world.deploy("refuses", "event refuse", None).await;
    let steps = "event steps call counter; sleep 300; call counter; start counter 50; \
                 call refuses; call missing; emit com.shop.called";
    world.deploy("main", steps, durable()).await;
    let id = begin(&world, "main").await;
    until(&world, id, "suspended").await;
    // The node goes away and comes back; what was called is not called again.
    let world = world.restart(FakeRuntime::new()).await;
    let result = result(&world, id).await.unwrap();
    let lines: Vec<&str> = result.lines().collect();
    assert_eq!(lines[..3], ["1", "done", "2"], "{result}");
    assert!(lines[4].contains("code: GuestRefused"), "{result}");
    assert!(lines[5].starts_with("NotFound"), "{result}");
    assert!(lines[6].starts_with("evt_"), "{result}");
    // What was started for later has the id that its caller got.
    let started: InvocationId = lines[3].parse().unwrap();
    assert_eq!(self::result(&world, started).await.unwrap(), "3");
    let filter =
        nexus_model::EventFilter { ty: Some("com.shop.called".into()), ..Default::default() };
    let page = world.node.events(&admin(), filter, Default::default()).await.unwrap();
    assert_eq!(page.items.len(), 1);
    let view = world.node.invocation(&admin(), started).await.unwrap();
    assert_eq!(view.cause_invocation, Some(id));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_started_for_later_can_be_asked_for_and_taken_back() {
    let world = World::new().await;
    world.deploy("later", "event count calls", None).await;
    world.deploy("main", "event steps start later 3600000", durable()).await;
    let started: InvocationId = lines(&world, "main").await.parse().unwrap();
    let (state, answer) = why(&world, started).await;
    assert_eq!(state, "scheduled", "{answer}");
    let shop = name("shop");
    let now = Duration::ZERO;
    match world.node.invocation_result(&admin(), (&shop, started), now).await.unwrap() {
        ResultOf::Pending(pending) => assert!(pending.reason.starts_with("it begins at")),
        ResultOf::Ready(output) => panic!("{output:?}"),
    }
    assert_eq!(signal(&world, started, "a", "1").await.unwrap_err().code(), Code::NotDurable);
    world.node.cancel_invocation(&admin(), (&shop, started), "not now").await.unwrap();
    let gone = world.node.cancel_invocation(&admin(), (&shop, started), "again").await;
    assert_eq!(gone.unwrap_err().code(), Code::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_give_their_slots_to_those_they_wait_for() {
    // One slot for everything: without lending it each call here would wait for its caller.
    let one = |config: &mut nexus_node::NodeConfig| {
        (config.concurrency, config.deliveries) = (1, 1);
    };
    let world = World::with(nexus_node::Mode::Dev, one).await;
    world.deploy("leaf", "event echo", None).await;
    world.deploy("inner", "event steps call leaf", durable()).await;
    world.deploy("outer", "event steps call inner; sleep 10; call leaf", durable()).await;
    world.deploy("plain", "event call outer", None).await;
    assert_eq!(lines(&world, "outer").await, "1\ndone\n1");
    assert_eq!(lines(&world, "plain").await, "1\ndone\n1");
    world.deploy("top", "event call plain", None).await;
    assert_eq!(lines(&world, "top").await, "1\ndone\n1");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_wait_do_not_hold_up_a_shutdown() {
    let world = World::new().await;
    world.deploy("slow", "event steps signal go", durable()).await;
    world.deploy("main", "event steps call slow; say end", durable()).await;
    let id = begin(&world, "main").await;
    until(&world, id, "running").await;
    let node = world.node.clone();
    #[expect(clippy::disallowed_methods, reason = "a test")]
    let waiting = tokio::spawn(async move {
        node.invoke(&admin(), &name("shop"), &name("slow"), data("1")).await
    });
    let slow = loop {
        let found = suspended(&world).await;
        if found.len() == 2 {
            break found;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let shutdown = world.node.shutdown(Duration::from_secs(3600));
    tokio::time::timeout(PATIENCE, shutdown).await.expect("it does not wait for them");
    // Whoever waits is told that it goes on, and which one it is.
    let told = waiting.await.unwrap().unwrap_err();
    assert_eq!(told.code(), Code::GoesOn, "{told:?}");
    assert!(slow.contains(&told.invocation_id().unwrap()));
    let world = world.restart(FakeRuntime::new()).await;
    for id in slow {
        signal(&world, id, "go", "\"gone\"").await.unwrap();
    }
    assert_eq!(result(&world, id).await.unwrap(), "\"gone\"\nend");
    assert_eq!(result(&world, told.invocation_id().unwrap()).await.unwrap(), "\"gone\"");
}

async fn suspended(world: &World) -> Vec<InvocationId> {
    let statuses = vec![Status::Suspended];
    let filter = nexus_model::InvocationFilter { statuses, ..Default::default() };
    let page = world.node.invocations(&admin(), filter, Default::default()).await.unwrap();
    page.items.iter().map(|row| row.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sleeps_can_be_cancelled() {
    let world = World::new().await;
    world.deploy("nap", "event steps sleep 3600000; say end", durable()).await;
    let id = begin(&world, "nap").await;
    let answer = until(&world, id, "suspended").await;
    assert!(answer.starts_with("Asleep until"), "{answer}");
    world.node.cancel_invocation(&admin(), (&name("shop"), id), "enough").await.unwrap();
    until(&world, id, "cancelled").await;
    let error = result(&world, id).await.unwrap_err();
    assert_eq!(error.code(), Code::Cancelled);
    // Those who wait are told at once.
    let waiting = invoke(&world, "nap");
    let cancel = async {
        let id = loop {
            if let Some(id) = suspended(&world).await.first() {
                break *id;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        world.node.cancel_invocation(&admin(), (&name("shop"), id), "enough").await.unwrap();
    };
    let (waited, ()) = tokio::join!(waiting, cancel);
    assert_eq!(waited.unwrap_err().code(), Code::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_did_is_shown_while_it_sleeps_and_after_it_was_cancelled() {
    let world = World::new().await;
    world.deploy("nap", "event steps signal go; sleep 3600000", durable()).await;
    let id = begin(&world, "nap").await;
    signal(&world, id, "go", "\"word\"").await.unwrap();
    until_it_waits_for(&world, id, "Asleep until").await;
    let shown = async |world: &World| {
        let view = world.node.invocation(&admin(), id).await.unwrap();
        assert_eq!(view.input["event"]["data"], json!(1));
        assert!(view.row.version.is_some());
        assert_eq!(view.journal_problem, None);
        let did: Vec<_> = view.journal.iter().map(|at| at.function.clone()).collect();
        (view.row.status, did)
    };
    let (status, did) = shown(&world).await;
    assert_eq!(status, Status::Suspended);
    let expected = ["wait-signal", "wait-signal (end)", "sleep"];
    assert_eq!(did, expected.map(|at| format!("nexus:function/durable.{at}")));
    world.node.cancel_invocation(&admin(), (&name("shop"), id), "enough").await.unwrap();
    until(&world, id, "cancelled").await;
    assert_eq!(shown(&world).await, (Status::Cancelled, did.clone()));
    let world = world.restart(FakeRuntime::new()).await;
    assert_eq!(shown(&world).await, (Status::Cancelled, did));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stays_with_its_version_and_the_secrets_of_then() {
    let world = World::new().await;
    let shop = name("shop");
    world.node.set_secret(&admin(), &shop, &name("pin"), b"1234").await.unwrap();
    let with_secret = json!({ "durable": true, "env": { "PIN": { "secret": "pin" } } });
    let first = "event steps say first; signal go; say first";
    world.deploy("f", first, spec(with_secret.clone())).await;
    let (old, lost) = (begin(&world, "f").await, begin(&world, "f").await);
    until(&world, old, "suspended").await;
    until(&world, lost, "suspended").await;
    world.node.set_secret(&admin(), &shop, &name("pin"), b"5678").await.unwrap();
    world.deploy("f", "event steps say second; signal go", spec(with_secret)).await;
    let world = world.restart(FakeRuntime::new()).await;
    // Its code is being compiled again: it waits for that.
    let new = begin(&world, "f").await;
    for id in [old, new] {
        signal(&world, id, "go", "1").await.unwrap();
    }
    assert_eq!(result(&world, old).await.unwrap(), "first\n1\nfirst");
    assert_eq!(result(&world, new).await.unwrap(), "second\n1");
    // When the secret of then is gone it cannot go on, and is not begun again.
    for value in 0..100 {
        let value = format!("{value:04}");
        world.node.set_secret(&admin(), &shop, &name("pin"), value.as_bytes()).await.unwrap();
    }
    signal(&world, lost, "go", "1").await.unwrap();
    let error = result(&world, lost).await.unwrap_err();
    assert_eq!(error.code(), Code::NotReplayable, "{error:?}");
    assert!(error.detail().contains("version 1 of secret 'pin' was destroyed"), "{error:?}");
    let view = world.node.invocation(&admin(), lost).await.unwrap();
    assert_eq!((view.row.status, view.row.attempt), (Status::Refused, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_of_a_journal_are_encrypted_where_the_function_redacts() {
    let mut world = World::new().await;
    for mode in ["seal", "drop"] {
        let rules = json!({ "durable": true, "redact": { "fields": ["card"], "mode": mode } });
        world.deploy("f", "event steps signal card; say so; signal go", spec(rules)).await;
        let id = begin(&world, "f").await;
        signal(&world, id, "card", "\"4711-4711\"").await.unwrap();
        until_it_waits_for(&world, id, "'go'").await;
        let entries = world.log.read_from(nexus_log::Position::START, 1_000).await.unwrap();
        let pieces: Vec<_> = entries
            .into_iter()
            .filter_map(|entry| match entry.record {
                Record::Journal(piece) if piece.invocation[..] == *id.as_bytes() => Some(piece),
                _ => None,
            })
            .collect();
        assert!(!pieces.is_empty());
        for piece in pieces {
            let clear = piece.bytes.inline.windows(4).any(|bytes| bytes == b"4711");
            assert!(piece.sealed && !clear, "{mode}");
        }
        let view = world.node.invocation(&admin(), id).await.unwrap();
        assert!(view.journal.is_empty());
        assert!(view.journal_problem.unwrap().contains("only kept encrypted"), "{mode}");
        let runtime = world.runtime.clone();
        let again = world.restart(runtime).await;
        signal(&again, id, "go", "1").await.unwrap();
        assert_eq!(result(&again, id).await.unwrap(), "\"4711-4711\"\nso\n1");
        world = again;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_input_stays_what_it_was() {
    let world = World::new().await;
    let with = |transform: &str| {
        spec(json!({
            "durable": true,
            "on": { "events": [{ "type": "t" }] },
            "delivery": { "transform": transform },
        }))
    };
    let first = "{ first: .data.n }";
    world.deploy("f", "event steps signal go", with(first)).await;
    let mut event = Event::new("1", "/shop", "t");
    event.data = Some("{\"n\":7}".into());
    world.node.emit(&admin(), &name("shop"), vec![event]).await.unwrap();
    let id = loop {
        if let Some(id) = suspended(&world).await.first() {
            break *id;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    world.deploy("f", "event steps signal go", with("{ second: .data.n }")).await;
    signal(&world, id, "go", "1").await.unwrap();
    until(&world, id, "succeeded").await;
    let view = world.node.invocation(&admin(), id).await.unwrap();
    assert_eq!(view.input["event"]["data"], json!({ "first": 7 }), "{}", view.input);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_when_it_is_declared() {
    let world = World::new().await;
    for (wrong, field) in [
        (json!({ "durable": true, "record": "off" }), "spec.record"),
        (json!({ "durable": true, "cache": { "key": "path", "age": "1s" } }), "spec.cache"),
    ] {
        let error = world.try_deploy("f", "event echo", spec(wrong)).await.unwrap_err();
        assert_eq!(error.code(), Code::BadResource);
        assert!(error.detail().starts_with(field), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_lost_everything_is_told_again_what_is_declared() {
    let world = World::new().await;
    world.deploy("f", "event echo", spec(json!({ "on": { "events": [{ "type": "t" }] } }))).await;
    let world = world.restart_without_log(FakeRuntime::new()).await;
    let sent = world.node.emit(&admin(), &name("shop"), vec![Event::new("1", "/s", "t")]).await;
    let event = sent.unwrap().events[0].id;
    let handled = async {
        loop {
            let filter = nexus_model::InvocationFilter { event: Some(event), ..Default::default() };
            let page = world.node.invocations(&admin(), filter, Default::default()).await.unwrap();
            if page.items.first().is_some_and(|row| row.status == Status::Succeeded) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, handled).await.unwrap();
    // What it knows it is not told again.
    let before = configs(&world).await;
    let world = world.restart(FakeRuntime::new()).await;
    assert_eq!(configs(&world).await, before);
}

async fn configs(world: &World) -> usize {
    let all = world.log.read_from(nexus_log::Position::START, 1_000).await.unwrap();
    let is_config =
        |entry: &&nexus_log::Entry| matches!(entry.record, nexus_model::record::Record::Config(_));
    all.iter().filter(is_config).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn emitted_events_say_how_many_links_led_to_them() {
    let world = World::new().await;
    let on = |ty: &str| spec(json!({ "on": { "events": [{ "type": ty }] } }));
    world.deploy("a", "event emit second", on("first")).await;
    world.deploy("b", "event return third", on("second")).await;
    world.deploy("c", "event echo", on("third")).await;
    world.node.emit(&admin(), &name("shop"), vec![Event::new("1", "/s", "first")]).await.unwrap();
    let depths = async {
        loop {
            let all = world.log.read_from(nexus_log::Position::START, 1_000).await.unwrap();
            let depth = |entry: nexus_log::Entry| match entry.record {
                nexus_model::record::Record::Event(event) => ["first", "second", "third"]
                    .contains(&&*event.event.ty)
                    .then_some(event.links()),
                _ => None,
            };
            let depths: Vec<u32> = all.into_iter().filter_map(depth).collect();
            if depths.len() == 3 {
                return depths;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, depths).await.unwrap(), [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_says_when_to_come_back() {
    let world = World::new().await;
    let full = json!({
        "on": { "events": [{ "type": "t" }] },
        "delivery": { "queue": { "max": 1 }, "concurrency": 1 },
    });
    world.deploy("f", "event hang", spec(full)).await;
    let shop = name("shop");
    let mut sent = 0..;
    let error = loop {
        let event = Event::new(format!("{:?}", sent.next()), "/s", "t");
        if let Err(error) = world.node.emit(&admin(), &shop, vec![event]).await {
            break error;
        }
    };
    assert_eq!((error.code(), error.retry_after().is_some()), (Code::QueueFull, true));
}
