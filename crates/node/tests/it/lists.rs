//! What lists and `why` say of calls that never began, and of the events of a batch.

use std::time::Duration;

use nexus_model::record::Status;
use nexus_model::view::{GraphNode, InvocationRow, WhyView};
use nexus_model::{Event, EventId, InvocationFilter, InvocationId, Page};
use nexus_node::{GraphOptions, InvokeInput, PageOptions};
use serde_json::json;

use crate::world::{World, admin, name, spec};

/// Only ever waited for when something is broken.
const PATIENCE: Duration = Duration::from_secs(30);

async fn call(world: &World, function: &str) -> InvocationId {
    let input = InvokeInput { data: "1".into(), ..InvokeInput::default() };
    world.node.invoke_async(&admin(), (&name("shop"), &name(function)), input).await.unwrap()
}

async fn cancel(world: &World, id: InvocationId) {
    world.node.cancel_invocation(&admin(), (&name("shop"), id), "no").await.unwrap();
}

async fn page(world: &World, filter: InvocationFilter, page: PageOptions) -> Page<InvocationRow> {
    world.node.invocations(&admin(), filter, page).await.unwrap()
}

async fn list(world: &World, filter: InvocationFilter) -> Vec<InvocationRow> {
    page(world, filter, PageOptions::default()).await.items
}

fn of(function: &str, statuses: &[Status]) -> InvocationFilter {
    let (function, statuses) = (Some(function.to_owned()), statuses.to_vec());
    InvocationFilter { function, statuses, ..InvocationFilter::default() }
}

fn ids(rows: &[InvocationRow]) -> Vec<InvocationId> {
    rows.iter().map(|row| row.id).collect()
}

async fn why(world: &World, id: EventId) -> Vec<WhyView> {
    world.node.why_event(&admin(), &name("shop"), id).await.unwrap()
}

async fn running(world: &World, id: EventId) {
    until(world, id, |state| state == "running").await;
}

async fn ended(world: &World, id: EventId) -> WhyView {
    let goes_on = ["queued", "running", "waiting", "ending", "unmatched"];
    until(world, id, |state| !goes_on.contains(&state)).await
}

async fn until(world: &World, id: EventId, is: impl Fn(&str) -> bool) -> WhyView {
    let found = async {
        loop {
            let view = why(world, id).await.remove(0);
            if is(&view.state) {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, found).await {
        Ok(view) => view,
        Err(_) => panic!("{:?}", why(world, id).await),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_never_began_stand_in_lists_like_others() {
    let world = World::new().await;
    world.deploy("slow", "event hang", spec(json!({ "delivery": { "concurrency": 1 } }))).await;
    let first = call(&world, "slow").await;
    running(&world, EventId::from_bytes(*first.as_bytes())).await;
    let mut waiting = Vec::new();
    for _ in 0..5 {
        waiting.push(call(&world, "slow").await);
    }
    let queued = list(&world, of("slow", &[Status::Queued])).await;
    assert_eq!(queued.len(), 5, "{queued:?}");
    for id in &waiting {
        cancel(&world, *id).await;
    }
    waiting.reverse();
    let cancelled = list(&world, of("slow", &[Status::Cancelled])).await;
    assert_eq!(ids(&cancelled), waiting, "the newest first");
    for row in &cancelled {
        assert_eq!((row.attempt, row.duration_ns, row.version), (0, 0, None), "nothing ran");
    }
    assert_eq!(list(&world, of("slow", &[Status::Queued])).await, []);
    assert_eq!(list(&world, of("slow", &[Status::Failed])).await, []);
    assert_eq!(list(&world, of("other", &[Status::Cancelled])).await, []);
    // Page by page it is the same list.
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let options = PageOptions { limit: 2, cursor, ..PageOptions::default() };
        let part = page(&world, of("slow", &[Status::Cancelled]), options).await;
        seen.extend(ids(&part.items));
        cursor = part.next.map(|next| next.parse().unwrap());
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, waiting);
    // By its event, too; and it says itself what it is.
    let event = EventId::from_bytes(*waiting[0].as_bytes());
    let filter = InvocationFilter { event: Some(event), ..InvocationFilter::default() };
    assert_eq!(ids(&list(&world, filter).await), [waiting[0]]);
    let view = world.node.invocation(&admin(), waiting[0]).await.unwrap();
    assert_eq!((view.row.status, view.row.attempt), (Status::Cancelled, 0));
    assert_eq!(view.input["event"]["data"], json!(1));
    let view = why(&world, event).await.remove(0);
    assert!(view.because.contains(&"it never began".to_owned()), "{view:?}");
    cancel(&world, first).await;
    let world = world.restart(nexus_testkit::FakeRuntime::new()).await;
    assert_eq!(list(&world, of("slow", &[Status::Cancelled])).await.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_given_up_or_taken_back_before_it_began_is_listed() {
    let world = World::new().await;
    let full = json!({ "delivery": { "concurrency": 1, "queue": { "max": 1, "full": "dead" } } });
    world.deploy("full", "event hang", spec(full)).await;
    let runs = call(&world, "full").await;
    running(&world, EventId::from_bytes(*runs.as_bytes())).await;
    let dead = call(&world, "full").await;
    ended(&world, EventId::from_bytes(*dead.as_bytes())).await;
    let rejected = list(&world, of("full", &[Status::Rejected])).await;
    assert_eq!(ids(&rejected), [dead]);
    let view = world.node.invocation(&admin(), dead).await.unwrap();
    assert_eq!(view.failure.unwrap().code, "NX6005");
    cancel(&world, runs).await;
    let durable = spec(json!({ "durable": true }));
    world.deploy("later", "event steps start full 3600000", durable).await;
    let input = InvokeInput { data: "1".into(), ..InvokeInput::default() };
    let output = world.node.invoke(&admin(), &name("shop"), &name("later"), input).await.unwrap();
    let planned: InvocationId = std::str::from_utf8(&output.body).unwrap().parse().unwrap();
    cancel(&world, planned).await;
    let cancelled = list(&world, of("full", &[Status::Cancelled])).await;
    assert!(ids(&cancelled).contains(&planned), "{cancelled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_of_a_batch_says_how_it_was_delivered() {
    let world = World::new().await;
    let batched = json!({
        "on": { "events": [{ "type": "t" }] },
        "delivery": { "batch": { "size": 3, "wait": "30s" } },
    });
    world.deploy("f", "event echo", spec(batched)).await;
    let event = |id: &str| {
        let mut event = Event::new(id, "/s", "t");
        event.data = Some("1".into());
        event
    };
    let events = ["1", "2", "3"].map(event).to_vec();
    let sent = world.node.emit(&admin(), &name("shop"), events).await.unwrap().events;
    for at in &sent {
        let view = ended(&world, at.id).await;
        assert_eq!((view.state.as_str(), view.function.as_str()), ("succeeded", "f"), "{view:?}");
        assert!(
            view.answer.starts_with("Function f handled it in a batch of 3 events ("),
            "{view:?}"
        );
        assert!(view.because[0].starts_with("the batch was delivered in inv_"), "{view:?}");
        let filter = InvocationFilter { event: Some(at.id), ..InvocationFilter::default() };
        let rows = list(&world, filter).await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        let graph = world.node.event_graph(&admin(), at.id, GraphOptions::default()).await.unwrap();
        let ran = |node: &&GraphNode| matches!(node, GraphNode::Invocation { id, .. } if *id == rows[0].id);
        assert_eq!(graph.nodes.iter().filter(ran).count(), 1, "{graph:?}");
        assert_eq!(graph.edges.len(), 1, "{graph:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_its_batch_reports_as_failed_says_so() {
    let world = World::new().await;
    let batched = json!({
        "on": { "events": [{ "type": "t" }] },
        "delivery": { "batch": { "size": 2, "wait": "30s" }, "retry": { "attempts": 1 } },
    });
    let report = r#"event answers {"batchItemFailures":[{"itemIdentifier":"2"}]}"#;
    world.deploy("f", report, spec(batched)).await;
    let events = ["1", "2"].map(|id| Event::new(id, "/s", "t")).to_vec();
    let sent = world.node.emit(&admin(), &name("shop"), events).await.unwrap().events;
    let good = ended(&world, sent[0].id).await;
    assert_eq!(good.state, "succeeded", "{good:?}");
    let bad = ended(&world, sent[1].id).await;
    assert_eq!(bad.state, "dead", "{bad:?}");
    assert!(bad.answer.contains("reported this event of its batch as failed"), "{bad:?}");
    let rows = list(&world, of("f", &[])).await;
    let why = world.node.why_invocation(&admin(), &name("shop"), rows[0].id).await.unwrap();
    let facts = why.because.join("; ");
    assert!(facts.contains("it was a batch of 2 events"), "{facts}");
    assert!(facts.contains(&format!("1 of them failed: {}", sent[1].id)), "{facts}");
}

/// Also those that an event set off, whose ids nobody was told.
#[tokio::test(flavor = "multi_thread")]
async fn what_runs_and_what_sleeps_is_listed_and_shown() {
    let world = World::new().await;
    let on = json!({ "events": [{ "type": "com.*" }] });
    world.deploy("runs", "event hang", spec(json!({ "on": on }))).await;
    let durable = spec(json!({ "on": on, "durable": true }));
    world.deploy("sleeps", "event steps sleep 3600000; say end", durable).await;
    let events = vec![Event::new("1", "/s", "com.a")];
    let sent = world.node.emit(&admin(), &name("shop"), events).await.unwrap().events[0].id;
    for (function, status) in [("runs", Status::Running), ("sleeps", Status::Suspended)] {
        let found = async {
            loop {
                let rows = list(&world, of(function, &[status])).await;
                if !rows.is_empty() {
                    return rows;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let rows = tokio::time::timeout(PATIENCE, found).await.unwrap();
        assert_eq!((rows.len(), rows[0].status, rows[0].attempt), (1, status, 1));
        let view = world.node.invocation(&admin(), rows[0].id).await.unwrap();
        assert_eq!((view.row.status, view.cause_event), (status, Some(sent)));
        assert_eq!(view.input["event"]["type"], "com.a");
        assert_eq!(view.timings.queue_ns, 0);
        // Others do not learn of it.
        let other = nexus_model::OpContext { project: Some(name("other")), ..admin() };
        assert!(world.node.invocation(&other, rows[0].id).await.is_err());
        cancel(&world, rows[0].id).await;
    }
}
