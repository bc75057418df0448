//! Synchronous calls with a policy, and asynchronous ones.

use std::time::Duration;

use http_body_util::BodyExt as _;
use nexus_model::record::Status;
use nexus_model::{Code, Event};
use nexus_node::{DeadLetterFilter, InvokeInput, RedriveOptions, ResultOf};
use serde_json::json;

use crate::world::{World, admin, invocation_of, name, spec, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_kept_until_the_next_version() {
    let world = World::new().await;
    let cached = || spec(json!({ "cache": { "key": "{path}/{data.n}", "age": "1h" } }));
    world.deploy("f", "http echo", cached()).await;
    let first = world.post("/f", r#"{"n":1}"#).await.unwrap();
    let computed = invocation_of(&first);
    assert_eq!(first.headers()["nexus-cache"], "miss");
    assert_eq!(text(first).await, r#"{"n":1}"#);
    let again = world.post("/f", r#"{"n":1,"other":true}"#).await.unwrap();
    assert_eq!(again.headers()["nexus-cache"], "hit");
    let id = invocation_of(&again);
    assert_eq!(text(again).await, r#"{"n":1}"#, "what was kept, not what was sent");
    let view = world.node.invocation(&admin(), id).await.unwrap();
    assert_eq!((view.cached_from, view.row.status), (Some(computed), Status::Succeeded));
    world
        .deploy("v", "event echo", spec(json!({ "cache": { "key": "data.n", "age": "1h" } })))
        .await;
    let (shop, v) = (name("shop"), name("v"));
    for at in 1..=2 {
        let data = format!("{{\"n\":1,\"at\":{at}}}");
        let output = world.node.invoke(&admin(), &shop, &v, input(&data)).await.unwrap();
        assert_eq!(output.body, "{\"n\":1,\"at\":1}");
    }
    let other = world.post("/f", r#"{"n":2}"#).await.unwrap();
    assert_eq!(other.headers()["nexus-cache"], "miss");
    // A server reads no further than the stated length.
    let piece = other.into_body().frame().await.unwrap().unwrap();
    assert_eq!(piece.data_ref().unwrap(), r#"{"n":2}"#);
    let other = world.post("/f", r#"{"n":2}"#).await.unwrap();
    assert_eq!(other.headers()["nexus-cache"], "hit");
    let none = world.post("/f", "no json").await.unwrap();
    assert!(!none.headers().contains_key("nexus-cache"));
    world.deploy("f", "http status 201", cached()).await;
    let fresh = world.post("/f", r#"{"n":1}"#).await.unwrap();
    assert_eq!(
        (fresh.status().as_u16(), &fresh.headers()["nexus-cache"]),
        (201, &"miss".parse().unwrap())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_opens_and_a_fallback_answers() {
    let world = World::new().await;
    let breaker = json!({ "delivery": { "breaker": { "failures": 2, "open": "1h" } } });
    world.deploy("f", "http trap", spec(breaker)).await;
    for _ in 0..2 {
        assert_eq!(world.post("/f", "").await.unwrap_err().code(), Code::GuestTrapped);
    }
    let error = world.post("/f", "").await.unwrap_err();
    assert_eq!(error.code(), Code::BreakerOpen);
    assert!(error.retry_after().unwrap() > Duration::from_secs(3_000));
    world.deploy("plan-b", "http echo", None).await;
    let both = json!({ "delivery": {
        "breaker": { "failures": 2, "open": "1h" }, "fallback": "plan-b",
    } });
    world.deploy("f", "http trap", spec(both)).await;
    let answer = world.post("/f", "hi").await.unwrap();
    assert_eq!(answer.headers()["nexus-fallback"], "plan-b");
    assert_eq!(text(answer).await, "hi");
    world
        .deploy("g", "http status 503", spec(json!({ "delivery": { "fallback": "plan-b" } })))
        .await;
    let answer = world.post("/g", "again").await.unwrap();
    assert_eq!((answer.status().as_u16(), text(answer).await.as_str()), (200, "again"));
}

fn input(data: &str) -> InvokeInput {
    InvokeInput { data: data.to_owned().into(), ..InvokeInput::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_call_has_a_result() {
    let world = World::new().await;
    world.deploy("f", "event echo", None).await;
    let (shop, f) = (name("shop"), name("f"));
    let id = world.node.invoke_async(&admin(), (&shop, &f), input("{\"n\":1}")).await.unwrap();
    let patience = Duration::from_secs(30);
    match world.node.invocation_result(&admin(), (&shop, id), patience).await.unwrap() {
        ResultOf::Ready(output) => {
            assert_eq!((output.invocation, &output.body[..]), (id, &b"{\"n\":1}"[..]));
        }
        ResultOf::Pending(view) => panic!("{view:?}"),
    }
    let why = world.node.why_invocation(&admin(), &shop, id).await.unwrap();
    assert_eq!(why.state, "succeeded");
    let error = world.node.cancel_invocation(&admin(), (&shop, id), "x").await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict);
    world.deploy("bad", "event refuse", None).await;
    let bad = name("bad");
    let id = world.node.invoke_async(&admin(), (&shop, &bad), input("{}")).await.unwrap();
    let error = world.node.invocation_result(&admin(), (&shop, id), patience).await.unwrap_err();
    assert_eq!(error.code(), Code::GuestRefused);
    let path = InvokeInput { path: Some("/x".into()), ..InvokeInput::default() };
    let error = world.node.invoke_async(&admin(), (&shop, &f), path).await.unwrap_err();
    assert_eq!(error.code(), Code::BadRequest);
    let error = world.node.signal(&admin(), (&shop, id), ("go", input(""))).await.unwrap_err();
    assert_eq!(error.code(), Code::NotDurable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_event_can_be_taken_back() {
    let world = World::new().await;
    let shop = name("shop");
    let due = nexus_model::Clock::now(&nexus_model::SystemClock).after(Duration::from_secs(3_600));
    let event = Event::new("1", "/s", "t");
    let accepted = world.node.schedule(&admin(), &shop, (vec![event], due)).await.unwrap();
    let id = accepted.events[0].id;
    let listed = world.node.schedules(&admin(), Some(&shop), 10).await.unwrap();
    assert_eq!((listed.len(), listed[0].id, listed[0].due), (1, id, due));
    assert_eq!(listed[0].event.ty, "t");
    let why = world.node.why_event(&admin(), &shop, id).await.unwrap();
    assert_eq!((why[0].state.as_str(), why[0].until), ("scheduled", Some(due)));
    world.node.cancel_schedule(&admin(), &shop, id).await.unwrap();
    let error = world.node.cancel_schedule(&admin(), &shop, id).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert!(world.node.schedules(&admin(), Some(&shop), 10).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_shown_edited_redriven_and_dropped() {
    let world = World::new().await;
    let shop = name("shop");
    let on = spec(json!({ "on": { "events": [{ "type": "t" }] } }));
    world.deploy("f", "event refuse", on.clone()).await;
    let events = (1..=3).map(|id| Event::new(id.to_string(), "/s", "t")).collect();
    let sent = world.node.emit(&admin(), &shop, events).await.unwrap();
    let all = DeadLetterFilter::default;
    let of = |at: usize| DeadLetterFilter { event: Some(sent.events[at].id), ..all() };
    let count = async |filter: DeadLetterFilter| {
        world.node.dead_letters_matched(&admin(), filter).await.unwrap().matched
    };
    while count(all()).await < 3 {
        tokio::task::yield_now().await;
    }
    let detail = world.node.dead_letter(&admin(), Some(&shop), sent.events[0].id).await.unwrap();
    assert_eq!((detail[0].letter.function.as_str(), detail[0].history.len()), ("f", 1));
    assert_eq!(detail[0].history[0].status, Status::Refused);
    assert!(detail[0].content.is_some());
    let counts = world.node.dead_letter_counts(&admin(), all()).await.unwrap();
    assert_eq!(counts.iter().map(|at| at.count).sum::<u64>(), 3);
    let error = world.node.drop_dead_letters(&admin(), of(2), " ").await.unwrap_err();
    assert_eq!(error.code(), Code::BadRequest);
    let dropped = world.node.drop_dead_letters(&admin(), of(2), "a test").await.unwrap();
    assert_eq!((dropped.done, count(all()).await), (1, 2));
    world.deploy("f", "event echo", on).await;
    let data = Some(("{\"fixed\":true}".into(), "application/json".to_owned()));
    let edited = RedriveOptions { data: data.clone(), ..RedriveOptions::default() };
    let error = world.node.redrive(&admin(), all(), edited.clone()).await.unwrap_err();
    assert_eq!(error.code(), Code::BadRequest, "other data for several");
    assert_eq!(world.node.redrive(&admin(), of(0), edited).await.unwrap().done, 1);
    let rest = world.node.redrive(&admin(), all(), RedriveOptions::default()).await.unwrap();
    assert_eq!((rest.done, count(all()).await), (1, 0));
    loop {
        let why = world.node.why_event(&admin(), &shop, sent.events[1].id).await.unwrap();
        if why[0].state == "succeeded" {
            break;
        }
        tokio::task::yield_now().await;
    }
}
