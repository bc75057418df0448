//! What `why`, results and single views say of deliveries that ended without an attempt, or after
//! the last one: cancelled, sent to a fallback, given up, dropped, replaced; and of schedules.

use std::num::NonZeroU32;
use std::time::Duration;

use nexus_model::record::Status;
use nexus_model::resource::{Kind, Resource, ResourceKey};
use nexus_model::view::WhyView;
use nexus_model::{
    Clock, Code, Event, EventId, InvocationFilter, InvocationId, Name, OpContext, Principal,
    SystemClock,
};
use nexus_node::{DeadLetterFilter, Error, InvokeInput, PageOptions, RedriveOptions, ResultOf};
use serde_json::{Value, json};

use crate::world::{World, admin, name, spec};

/// Only ever waited for when something is broken.
const PATIENCE: Duration = Duration::from_secs(30);

fn shop() -> Name {
    name("shop")
}

/// Somebody with a name.
fn ann() -> OpContext {
    OpContext { principal: Principal::token("ann"), ..admin() }
}

fn event(id: &str, ty: &str) -> Event {
    let mut event = Event::new(id, "/s", ty);
    event.datacontenttype = Some("application/json".into());
    event.data = Some("{\"n\":1}".into());
    event
}

async fn emit(world: &World, id: &str, ty: &str) -> EventId {
    world.node.emit(&admin(), &shop(), vec![event(id, ty)]).await.unwrap().events[0].id
}

async fn call(world: &World, function: &str) -> InvocationId {
    let input = InvokeInput { data: "1".into(), ..InvokeInput::default() };
    world.node.invoke_async(&admin(), (&shop(), &name(function)), input).await.unwrap()
}

async fn why(world: &World, id: EventId) -> Vec<WhyView> {
    world.node.why_event(&admin(), &shop(), id).await.unwrap()
}

async fn why_call(world: &World, id: InvocationId) -> WhyView {
    world.node.why_invocation(&admin(), &shop(), id).await.unwrap()
}

/// Waits until a delivery of an event to a function is in a state.
async fn until(world: &World, id: EventId, (function, state): (&str, &str)) -> WhyView {
    let found = async {
        loop {
            let views = why(world, id).await;
            if let Some(view) = views.into_iter().find(|at| at.function == function)
                && view.state == state
            {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, found).await {
        Ok(view) => view,
        Err(_) => panic!("{function} is not {state}: {:?}", why(world, id).await),
    }
}

fn event_of(id: InvocationId) -> EventId {
    EventId::from_bytes(*id.as_bytes())
}

async fn result(world: &World, id: InvocationId) -> Error {
    match world.node.invocation_result(&admin(), (&shop(), id), PATIENCE).await {
        Err(error) => error,
        Ok(result) => panic!("{result:?}"),
    }
}

async fn last_attempt(world: &World, id: EventId, function: &str) -> InvocationId {
    let filter = InvocationFilter {
        event: Some(id),
        function: Some(function.to_owned()),
        statuses: vec![Status::Failed],
        ..InvocationFilter::default()
    };
    let page = world.node.invocations(&admin(), filter, PageOptions::default()).await.unwrap();
    page.items[0].id
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{text}\nlacks: {part}");
    }
}

fn facts(view: &WhyView) -> String {
    format!("{} {}", view.answer, view.because.join("; "))
}

fn on(ty: &str, delivery: Value) -> Option<nexus_model::resource::FunctionSpec> {
    spec(json!({ "on": { "events": [{ "type": ty }] }, "delivery": delivery }))
}

fn trigger(text: &str, spec: Value) -> Resource {
    let key = ResourceKey { kind: Kind::Trigger, project: Some(shop()), name: name(text) };
    Resource::new(&key, spec)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_call_that_is_cancelled_says_so_to_everybody() {
    let world = World::new().await;
    world.deploy("slow", "event hang", spec(json!({ "concurrency": 1 }))).await;
    let first = call(&world, "slow").await;
    until(&world, event_of(first), ("slow", "running")).await;
    let queued = call(&world, "slow").await;
    let view = world.node.invocation(&admin(), queued).await.unwrap();
    assert_eq!((view.row.status, view.row.function.as_str()), (Status::Queued, "slow"));
    // Who waits for the result is told, not that it does not exist.
    let node = world.node.clone();
    #[expect(clippy::disallowed_methods, reason = "a test")]
    let waits =
        tokio::spawn(
            async move { node.invocation_result(&admin(), (&shop(), queued), PATIENCE).await },
        );
    world.node.cancel_invocation(&ann(), (&shop(), queued), "too many").await.unwrap();
    let error = match waits.await.unwrap() {
        Err(error) => error,
        // It came too late to wait.
        Ok(_) => result(&world, queued).await,
    };
    for error in [error, result(&world, queued).await] {
        assert_eq!((error.code(), error.invocation_id()), (Code::Cancelled, Some(queued)));
        has(error.detail(), &["it was cancelled by token:ann at ", ": too many"]);
    }
    for view in [why_call(&world, queued).await, why(&world, event_of(queued)).await.remove(0)] {
        assert_eq!((view.state.as_str(), view.function.as_str()), ("cancelled", "slow"));
        has(&facts(&view), &["It was cancelled by token:ann at ", ": too many.", "it never began"]);
    }
    let view = world.node.invocation(&admin(), queued).await.unwrap();
    assert_eq!(view.row.status, Status::Cancelled);
    assert_eq!(view.failure.unwrap().code, Code::Cancelled.as_str());
    assert_eq!(view.not_replayable, "it never began");
    let again = world.node.cancel_invocation(&ann(), (&shop(), queued), "").await.unwrap_err();
    assert_eq!(again.code(), Code::Conflict);
    // Others may not know of it.
    let elsewhere = OpContext { project: Some(name("other")), ..ann() };
    let error = world.node.invocation(&elsewhere, queued).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    world.node.cancel_invocation(&ann(), (&shop(), first), "").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_for_later_that_is_taken_back_says_so() {
    let world = World::new().await;
    let durable = json!({ "durable": true });
    world.deploy("later", "event steps start target 3600000", spec(durable)).await;
    world.deploy("target", "event echo", None).await;
    let input = InvokeInput { data: "1".into(), ..InvokeInput::default() };
    let output = world.node.invoke(&admin(), &shop(), &name("later"), input).await.unwrap();
    let id: InvocationId = std::str::from_utf8(&output.body).unwrap().parse().unwrap();
    assert_eq!(why_call(&world, id).await.state, "scheduled");
    let view = world.node.invocation(&admin(), id).await.unwrap();
    assert_eq!((view.row.status, view.row.function.as_str()), (Status::Queued, "target"));
    world.node.cancel_invocation(&ann(), (&shop(), id), "not needed").await.unwrap();
    let view = why_call(&world, id).await;
    assert_eq!((view.state.as_str(), view.function.as_str()), ("cancelled", "target"));
    has(&facts(&view), &["It was taken back by token:ann at ", ": not needed.", "it was due at"]);
    let error = result(&world, id).await;
    assert_eq!((error.code(), error.invocation_id()), (Code::Cancelled, Some(id)));
    has(error.detail(), &["not needed"]);
    let view = world.node.invocation(&admin(), id).await.unwrap();
    assert_eq!(view.row.status, Status::Cancelled);
    let again = world.node.cancel_invocation(&ann(), (&shop(), id), "").await.unwrap_err();
    assert_eq!(again.code(), Code::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_its_next_attempt_can_be_cancelled_and_says_so() {
    let world = World::new().await;
    let retry = json!({ "retry": { "attempts": 3, "first": "1h" } });
    world.deploy("one", "event fail", on("t", retry.clone())).await;
    world.deploy("two", "event fail", on("t", retry)).await;
    // A call, by its id.
    let id = call(&world, "one").await;
    let waits = until(&world, event_of(id), ("one", "waiting")).await;
    has(&waits.answer, &["That is at most"]);
    assert_eq!(waits.answer.matches("it failed").count(), 1, "{}", facts(&waits));
    assert!(!waits.because.iter().any(|fact| fact.contains("it failed")), "{}", facts(&waits));
    world.node.cancel_invocation(&ann(), (&shop(), id), "enough").await.unwrap();
    for view in [why_call(&world, id).await, why(&world, event_of(id)).await.remove(0)] {
        assert_eq!(view.state, "cancelled");
        has(&facts(&view), &[" was cancelled by token:ann at ", ": enough", "it failed"]);
    }
    let error = result(&world, id).await;
    assert_eq!(error.code(), Code::Cancelled);
    has(error.detail(), &[": enough"]);
    // An ordinary event, by its last attempt: the delivery to the other function goes on.
    let id = emit(&world, "1", "t").await;
    until(&world, id, ("one", "waiting")).await;
    until(&world, id, ("two", "waiting")).await;
    let attempt = last_attempt(&world, id, "one").await;
    world.node.cancel_invocation(&ann(), (&shop(), attempt), "wrong").await.unwrap();
    until(&world, id, ("one", "cancelled")).await;
    until(&world, id, ("two", "waiting")).await;
    let view = why_call(&world, attempt).await;
    assert_eq!(view.state, "failed", "the attempt itself failed");
    has(
        &view.answer,
        &["It ended as failed", "Its delivery was cancelled by token:ann", ": wrong."],
    );
    let again = world.node.cancel_invocation(&ann(), (&shop(), attempt), "").await.unwrap_err();
    assert_eq!(again.code(), Code::Conflict);
    // By the event: all that is left.
    let stopped = world.node.cancel_event(&ann(), (&shop(), id), "all").await.unwrap();
    assert_eq!(stopped, 1);
    has(&until(&world, id, ("two", "cancelled")).await.answer, &[": all."]);
    let again = world.node.cancel_event(&ann(), (&shop(), id), "all").await.unwrap_err();
    assert_eq!(again.code(), Code::Conflict);
    let unknown = EventId::from_bytes([7; 16]);
    let error = world.node.cancel_event(&ann(), (&shop(), unknown), "").await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_is_named_whether_or_not_there_was_an_attempt() {
    let world = World::new().await;
    world.deploy("other", "event echo", None).await;
    let delivery = json!({
        "retry": { "attempts": 1 }, "breaker": { "failures": 1, "open": "1h" }, "fallback": "other",
    });
    world.deploy("f", "event fail", on("t", delivery.clone())).await;
    let failed = emit(&world, "1", "t").await;
    let view = until(&world, failed, ("f", "fell-back")).await;
    has(
        &facts(&view),
        &[
            "It went to the fallback function 'other' at ",
            ": it failed.",
            "it has one attempt (`retry.attempts`)",
            "attempt 1 was inv_",
            "'other' gets the event evt_",
        ],
    );
    let next: EventId = view.hint.rsplit(' ').next().unwrap().parse().unwrap();
    let then = until(&world, next, ("other", "succeeded")).await;
    has(&facts(&then), &[&format!("it holds {failed}, which fell back")]);
    let attempt = last_attempt(&world, failed, "f").await;
    has(
        &why_call(&world, attempt).await.answer,
        &["Its delivery went to the fallback function 'other'"],
    );
    // Now the breaker is open.
    let turned = emit(&world, "2", "t").await;
    let view = until(&world, turned, ("f", "fell-back")).await;
    has(&facts(&view), &["'other'", ": its breaker is open.", "it never began", "NX6006"]);
    let id = call(&world, "f").await;
    until(&world, event_of(id), ("f", "fell-back")).await;
    let error = result(&world, id).await;
    assert_eq!(error.code(), Code::BreakerOpen);
    has(error.detail(), &["it went to the fallback function 'other'"]);
    // A fallback that is not there is no secret.
    let delivery = json!({ "retry": { "attempts": 1 }, "fallback": "nobody" });
    let deployed = world.deploy("g", "event fail", on("g", delivery)).await;
    has(&deployed.notes.join("\n"), &["delivery.fallback: there is no function 'nobody'"]);
    let lost = emit(&world, "3", "g").await;
    let view = until(&world, lost, ("g", "fell-back")).await;
    has(&facts(&view), &["the function 'nobody' does not exist"]);
    let next: EventId = view.hint.rsplit(' ').next().unwrap().parse().unwrap();
    let dead = until(&world, next, ("nobody", "dead")).await;
    has(&dead.answer, &["function 'nobody' in project 'shop' does not exist"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_counts_as_handled() {
    let world = World::new().await;
    let delivery = json!({ "deduplicate": { "key": "type", "age": "1h" } });
    world.deploy("f", "event echo", on("t", delivery)).await;
    let first = emit(&world, "1", "t").await;
    until(&world, first, ("f", "succeeded")).await;
    let second = emit(&world, "2", "t").await;
    let view = until(&world, second, ("f", "duplicate")).await;
    has(&view.answer, &["It counts as handled: an event with the same deduplication key"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_say_why_there_was_no_further_attempt() {
    let world = World::new().await;
    for (function, retry, expected) in [
        ("used", json!({ "attempts": 2, "first": "1ms" }), "its 2 attempts are used up"),
        (
            "excluded",
            json!({ "attempts": 5, "on": ["trapped"] }),
            "an attempt that ended as failed is not tried again (`retry.on`)",
        ),
        (
            "old",
            json!({ "attempts": 5, "first": "1h", "max-age": "1m" }),
            "the next attempt would have come after its `retry.max-age` of 1m",
        ),
    ] {
        world.deploy(function, "event fail", on(function, json!({ "retry": retry }))).await;
        let id = emit(&world, function, function).await;
        let view = until(&world, id, (function, "dead")).await;
        has(&facts(&view), &["It was given up at", expected]);
        assert!(!facts(&view).contains("1 attempts"), "{}", facts(&view));
        let attempt = last_attempt(&world, id, function).await;
        let view = why_call(&world, attempt).await;
        has(&facts(&view), &["It ended as failed", "Its delivery was given up at", expected]);
        assert_eq!(view.answer.matches("it failed").count(), 1, "{}", view.answer);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_a_dead_letter_is_told_with_who_and_why() {
    let world = World::new().await;
    world.deploy("f", "event refuse", on("t", json!({}))).await;
    let letter = |id| DeadLetterFilter { event: Some(id), ..DeadLetterFilter::default() };
    let dropped = emit(&world, "1", "t").await;
    until(&world, dropped, ("f", "dead")).await;
    world.node.drop_dead_letters(&ann(), letter(dropped), "spam").await.unwrap();
    let view = until(&world, dropped, ("f", "dropped")).await;
    has(
        &facts(&view),
        &[
            "It was dropped from the dead letters by token:ann at ",
            ": spam.",
            "before that it was given up at",
        ],
    );
    let replaced = emit(&world, "2", "t").await;
    until(&world, replaced, ("f", "dead")).await;
    let edit = |data: &'static str, ty: &str| RedriveOptions {
        data: Some((data.into(), ty.to_owned())),
        reason: "typo".to_owned(),
        rate: None::<NonZeroU32>,
    };
    // JSON stays JSON.
    let wrong = edit("{bad", "text/plain; charset=utf-8");
    let error = world.node.redrive(&ann(), letter(replaced), wrong).await.unwrap_err();
    assert_eq!(error.code(), Code::BadRequest);
    has(error.detail(), &["the data of the event is JSON"]);
    let right = edit("{}", "application/json");
    let done = world.node.redrive(&ann(), letter(replaced), right).await.unwrap();
    let made = done.replaced_by.unwrap();
    let view = until(&world, replaced, ("f", "replaced")).await;
    has(&view.answer, &[&format!("It was replaced by {made}"), "by token:ann at ", ": typo."]);
    assert_eq!(view.hint, format!("see how it went on: nexus why {made}"));
    let view = until(&world, made, ("f", "dead")).await;
    has(&facts(&view), &[&format!("it follows from {replaced}")]);
    // Tried again as it is, it is a dead letter as before; who did it is not forgotten.
    let again = RedriveOptions { reason: "fixed".to_owned(), ..RedriveOptions::default() };
    world.node.redrive(&ann(), letter(made), again).await.unwrap();
    let found = async {
        loop {
            let view = until(&world, made, ("f", "dead")).await;
            if facts(&view).contains("redriven from the dead letters by token:ann") {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    has(&facts(&found.await), &[": fixed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_id_of_a_schedule_leads_to_its_event() {
    let world = World::new().await;
    world.deploy("f", "event echo", on("t", json!({}))).await;
    let due = |ms| SystemClock.now().after(Duration::from_millis(ms));
    let schedule = async |id: &str, due| {
        let events = vec![event(id, "t")];
        let accepted = world.node.schedule(&admin(), &shop(), (events, due)).await.unwrap();
        accepted.events[0].id
    };
    let soon = schedule("1", due(20)).await;
    let view = until(&world, soon, ("f", "succeeded")).await;
    has(&facts(&view), &[&format!("it was scheduled as {soon}")]);
    let event = world.node.event(&admin(), soon).await.unwrap();
    assert_eq!((event.schedule, event.id.to_string()), (Some(soon), view.about));
    assert_ne!(event.id, soon);
    let later = schedule("2", due(3_600_000)).await;
    let error = world.node.event(&admin(), later).await.unwrap_err();
    has(error.detail(), &["has not happened: it is due at"]);
    world.node.cancel_schedule(&ann(), &shop(), later).await.unwrap();
    let view = why(&world, later).await.remove(0);
    assert_eq!(view.state, "cancelled");
    has(&facts(&view), &["It was taken back by token:ann at ", "it was due at"]);
    let error = world.node.event(&admin(), later).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    has(error.detail(), &["never happened: it was taken back by token:ann"]);
    // Cancelled as an event: it is the same to whoever has the id.
    let other = schedule("3", due(3_600_000)).await;
    assert_eq!(world.node.cancel_event(&ann(), (&shop(), other), "no").await.unwrap(), 1);
    has(&why(&world, other).await.remove(0).answer, &[": no."]);
    let elsewhere = OpContext { project: Some(name("other")), ..ann() };
    for id in [soon, later] {
        let error = world.node.event(&elsewhere, id).await.unwrap_err();
        assert_eq!(error.detail(), format!("event {id} does not exist"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_name_whose_limit_it_is_and_times_what_they_mean() {
    let world = World::new().await;
    let own = json!({ "rate": { "limit": 1, "per": "1h" } });
    world.deploy("f", "event echo", on("own", own)).await;
    let other = json!({
        "function": "f", "event": { "type": "other" },
        "delivery": { "rate": { "limit": 1, "per": "1h" } },
    });
    world.node.apply(&admin(), vec![trigger("t", other)]).await.unwrap();
    for (ty, hint) in [("own", "raise `rate` of f"), ("other", "raise `rate` of the trigger t")] {
        let first = emit(&world, &format!("1{ty}"), ty).await;
        until(&world, first, ("f", "succeeded")).await;
        let second = emit(&world, &format!("2{ty}"), ty).await;
        let found = async {
            loop {
                let view = until(&world, second, ("f", "queued")).await;
                if view.answer.contains("rate") {
                    return view;
                }
            }
        };
        let view = found.await;
        assert_eq!(view.hint, hint);
        has(&view.answer, &["The next one may begin in "]);
        assert!(!view.answer.contains("at most"), "{}", view.answer);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_that_of_the_last_attempt_also_after_a_fallback() {
    let world = World::new().await;
    world.deploy("other", "event echo", None).await;
    let delivery = json!({ "retry": { "attempts": 1 }, "fallback": "other" });
    world.deploy("f", "event fail", on("t", delivery)).await;
    let id = call(&world, "f").await;
    let error = result(&world, id).await;
    assert_eq!((error.code(), error.detail()), (Code::GuestFailed, "it failed"));
    has(error.hint().unwrap(), &["it went to the fallback function 'other'", "nexus why inv_"]);
    let id = call(&world, "other").await;
    let ready = world.node.invocation_result(&admin(), (&shop(), id), PATIENCE).await.unwrap();
    assert!(matches!(ready, ResultOf::Ready(_)));
}
