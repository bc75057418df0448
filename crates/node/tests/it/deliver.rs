//! The asynchronous path: events, deliveries, retries, dead letters.

use std::time::Duration;

use nexus_model::record::{Record, Status};
use nexus_model::{Code, Event, InvocationFilter};
use nexus_node::{DeadLetterFilter, InvokeInput, Later, PageOptions};
use nexus_testkit::FakeRuntime;
use serde_json::json;

use crate::world::{World, admin, name, spec};

fn event(id: &str, ty: &str) -> Event {
    let mut event = Event::new(id, "/shop", ty);
    event.data = Some("{\"n\":1}".into());
    event
}

/// Waits for the end of `count` invocations of a function, and gives their statuses.
async fn ends(world: &World, function: &str, count: usize) -> Vec<Status> {
    let mut position = nexus_log::Position::START;
    let mut statuses = Vec::new();
    while statuses.len() < count {
        world.log.wait_past(position).await;
        for entry in world.log.read_from(position, 100).await.unwrap() {
            position = entry.position;
            if let Record::Invocation(at) = &entry.record
                && at.function == function
            {
                statuses.push(at.status());
            }
        }
    }
    statuses
}

fn on(ty: &str) -> serde_json::Value {
    json!({ "on": { "events": [{ "type": ty }] } })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_delivered_once_and_a_duplicate_gets_the_first_id() {
    let world = World::new().await;
    world.deploy("f", "event echo", spec(on("com.shop.*"))).await;
    world.deploy("other", "event echo", spec(on("com.other"))).await;
    let shop = name("shop");
    let batch = vec![event("1", "com.shop.a"), event("1", "com.shop.a"), event("2", "com.none")];
    let first = world.node.emit(&admin(), &shop, batch).await.unwrap();
    let duplicates: Vec<bool> = first.events.iter().map(|at| at.duplicate).collect();
    assert_eq!(duplicates, [false, true, false]);
    assert_eq!(first.events[0].id, first.events[1].id);
    let again = world.node.emit(&admin(), &shop, vec![event("1", "com.shop.a")]).await.unwrap();
    assert_eq!((again.events[0].id, again.events[0].duplicate), (first.events[0].id, true));
    assert_eq!(ends(&world, "f", 1).await, [Status::Succeeded]);
    let filter =
        InvocationFilter { event: Some(first.events[0].id), ..InvocationFilter::default() };
    let page = world.node.invocations(&admin(), filter, PageOptions::default()).await.unwrap();
    assert_eq!(page.items.len(), 1);
    let view = world.node.invocation(&admin(), page.items[0].id).await.unwrap();
    assert_eq!(view.cause_event, Some(first.events[0].id));
    assert_eq!(view.input["event"]["type"], "com.shop.a");
    assert_eq!(view.input["event"]["data"], json!({ "n": 1 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_event_is_dead_at_once() {
    let world = World::new().await;
    world.deploy("f", "event refuse", spec(on("t"))).await;
    let sent = world.node.emit(&admin(), &name("shop"), vec![event("1", "t")]).await.unwrap();
    assert_eq!(ends(&world, "f", 1).await, [Status::Refused]);
    let dead = loop {
        let dead =
            world.node.dead_letters(&admin(), DeadLetterFilter::default(), 10).await.unwrap();
        if !dead.is_empty() {
            break dead;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((dead[0].event, dead[0].attempts), (sent.events[0].id, 1));
    let numbers = |world: &World| {
        let text = world.metrics.encode(nexus_observe::Format::Prometheus);
        ["nexus_deliveries_dead_total ", "nexus_dead_letters "]
            .map(|name| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned())
    };
    assert_eq!(numbers(&world), ["1", "1"]);
    // What is dead stays so, and was counted once.
    let world = world.restart(FakeRuntime::new()).await;
    assert_eq!(numbers(&world), ["0", "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attempt_is_repeated_also_by_the_next_start() {
    let world = World::new().await;
    world.deploy("f", "event flaky 1", spec(on("t"))).await;
    world.node.emit(&admin(), &name("shop"), vec![event("1", "t")]).await.unwrap();
    assert_eq!(ends(&world, "f", 1).await, [Status::Failed]);
    let world = world.restart(FakeRuntime::new()).await;
    let statuses = ends(&world, "f", 2).await;
    assert_eq!((statuses[0], statuses.last()), (Status::Failed, Some(&Status::Succeeded)));
}

#[tokio::test(flavor = "multi_thread")]
async fn http_functions_say_with_their_status_how_it_went() {
    let world = World::new().await;
    let once = |code: &str| json!({ "on": { "events": [{ "type": code }] }, "attempts": 1 });
    for (function, code, expected) in [
        ("ok", "http status 204", Status::Succeeded),
        ("bad", "http status 400", Status::Refused),
        ("busy", "http status 503", Status::Failed),
    ] {
        world.deploy(function, code, spec(once(function))).await;
        world.node.emit(&admin(), &name("shop"), vec![event(function, function)]).await.unwrap();
        assert_eq!(ends(&world, function, 1).await, [expected], "{function}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_send_and_return_events() {
    let world = World::new().await;
    world.deploy("send", "event emit second", spec(on("first"))).await;
    world.deploy("return", "event return third", spec(on("second"))).await;
    world.deploy("last", "event echo", spec(on("third"))).await;
    world.node.emit(&admin(), &name("shop"), vec![event("1", "first")]).await.unwrap();
    assert_eq!(ends(&world, "last", 1).await, [Status::Succeeded]);
    let filter = nexus_model::EventFilter { ty: Some("third".into()), ..Default::default() };
    let page = world.node.events(&admin(), filter, PageOptions::default()).await.unwrap();
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.items[0].principal, "function:shop/return");
    assert_eq!(page.items[0].event.source, "/nexus/shop/return");
    assert!(page.items[0].cause.is_some());
}

/// Which records of an invocation's begin and end, and which events are in the log, in its order.
async fn course(world: &World, until: impl Fn(&[String]) -> bool) -> Vec<String> {
    let mut position = nexus_log::Position::START;
    let mut course = Vec::new();
    while !until(&course) {
        world.log.wait_past(position).await;
        for entry in world.log.read_from(position, 100).await.unwrap() {
            position = entry.position;
            match entry.record {
                Record::Event(at) if !at.event.ty.starts_with("dev.nexus.") => {
                    course.push(at.event.ty);
                }
                Record::Started(at) => course.push(format!("{} begins", at.function)),
                Record::Invocation(at) => course.push(format!("{} ends", at.function)),
                _ => {}
            }
        }
    }
    course
}

#[tokio::test(flavor = "multi_thread")]
async fn a_begin_is_on_disk_before_anything_is_seen_of_an_attempt() {
    let world = World::new().await;
    world.deploy("quick", "event echo", spec(on("quick"))).await;
    world.deploy("sender", "event emit sent", spec(on("send"))).await;
    world.deploy("giver", "event return given", spec(on("give"))).await;
    world.deploy("slow", "event hang", spec(on("slow"))).await;
    for (ty, expected) in [
        ("quick", vec!["quick", "quick ends"]),
        ("send", vec!["send", "sender begins", "sent", "sender ends"]),
        ("give", vec!["give", "giver begins", "given", "giver ends"]),
        ("slow", vec!["slow", "slow begins"]),
    ] {
        world.node.emit(&admin(), &name("shop"), vec![event(ty, ty)]).await.unwrap();
        let last = *expected.last().unwrap();
        let mut found = course(&world, |all| all.iter().any(|at| at == last)).await;
        let first = found.iter().position(|at| at == ty).unwrap();
        assert_eq!(found.split_off(first), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_on_disk_is_waited_for_in_one_step() {
    let world = World::new().await;
    let once = json!({ "delivery": { "retry": { "attempts": 1 } } });
    world.deploy("echo", "event echo", spec(json!({}))).await;
    world.deploy("page", "http status 203", spec(json!({}))).await;
    world.deploy("fail", "event fail", spec(once)).await;
    world.deploy("slow", "event hang", spec(json!({}))).await;
    let (ctx, shop) = (admin(), name("shop"));
    let call = async |function: &str, patience| {
        let input = InvokeInput { data: "{\"n\":1}".into(), ..InvokeInput::default() };
        let called = (&shop, &name(function));
        world.node.invoke_waited(&ctx, called, (input, Duration::from_millis(patience))).await
    };
    let Later::Ended(output) = call("echo", 60_000).await.unwrap() else { panic!("it ends") };
    assert_eq!(&output.body[..], b"{\"n\":1}");
    let kept = world.log.invocation(output.invocation).await.unwrap();
    assert_eq!(kept.unwrap().status(), Status::Succeeded, "the result is on disk");
    let Later::Ended(output) = call("page", 60_000).await.unwrap() else { panic!("it ends") };
    assert_eq!(output.http_status, Some(203));
    let failed = call("fail", 60_000).await.unwrap_err();
    assert_eq!(failed.code(), Code::GuestFailed);
    assert!(failed.invocation_id().is_some());
    let Later::GoesOn(pending) = call("slow", 200).await.unwrap() else { panic!("it hangs") };
    assert_eq!(pending.status, Status::Running, "{}", pending.reason);
    let slow = (&shop, pending.invocation);
    assert!(world.node.cancel_invocation(&ctx, slow, "enough").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_events_are_refused_whole_and_named() {
    let world = World::new().await;
    let shop = name("shop");
    let too_large = Event { data: Some(vec![b'x'; 2 << 20].into()), ..event("1", "t") };
    let many = (0..1001).map(|at| event(&at.to_string(), "t")).collect();
    for (events, code, text) in [
        (vec![event("1", "t"), event("", "t")], Code::BadEvent, "event 1: "),
        (vec![event("1", "dev.nexus.x")], Code::BadEvent, "Nexus' own"),
        (vec![too_large], Code::TooLarge, "the limit is 1048576"),
        (many, Code::TooLarge, "1001 events"),
    ] {
        let error = world.node.emit(&admin(), &shop, events).await.unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.detail().contains(text), "{error}");
    }
    // A batch of none is a batch (CloudEvents, JSON batch format).
    assert_eq!(world.node.emit(&admin(), &shop, vec![]).await.unwrap().events, []);
    let missing = world.node.emit(&admin(), &name("nowhere"), vec![event("1", "t")]).await;
    assert_eq!(missing.unwrap_err().code(), Code::NotFound);
}
