//! Functions and events that lead to one another without end.

use std::time::Duration;

use bytes::Bytes;
use nexus_model::record::{EventRecord, InvocationRecord, Record, Status};
use nexus_model::view::Verdict;
use nexus_model::{Code, Event};
use nexus_node::{DeadLetterFilter, InvokeInput, Mode, ResultOf};
use serde_json::json;

use crate::world::{World, admin, name, spec};

/// Only ever waited for when something is broken.
const PATIENCE: Duration = Duration::from_secs(30);
/// Links that the worlds of these tests allow.
const MAX: u32 = 5;

async fn world() -> World {
    World::with(Mode::Dev, |config| config.chain_max = MAX).await
}

/// A function that gets the events of a type.
async fn on(world: &World, function: &str, (ty, code): (&str, &str)) {
    world.deploy(function, code, spec(json!({ "on": { "events": [{ "type": ty }] } }))).await;
}

async fn emit(world: &World, ty: &str) {
    world.node.emit(&admin(), &name("shop"), vec![Event::new("1", "/s", ty)]).await.unwrap();
}

async fn records(world: &World) -> Vec<Record> {
    let all = world.log.read_from(nexus_log::Position::START, 10_000).await.unwrap();
    all.into_iter().map(|entry| entry.record).collect()
}

async fn ended(world: &World) -> Vec<InvocationRecord> {
    let end = |record| match record {
        Record::Invocation(record) => Some(*record),
        _ => None,
    };
    records(world).await.into_iter().filter_map(end).collect()
}

/// Those of the type `t`.
async fn events(world: &World) -> Vec<EventRecord> {
    let event = |record| match record {
        // Others are about resources.
        Record::Event(record) if record.event.ty == "t" => Some(record),
        _ => None,
    };
    records(world).await.into_iter().filter_map(event).collect()
}

/// The invocations, once nothing goes on any more and there are so many of them.
async fn all_of(world: &World, count: usize) -> Vec<InvocationRecord> {
    let found = async {
        loop {
            let all = ended(world).await;
            let idle = world.node.nodes(&admin()).await.unwrap()[0].deliveries_pending == 0;
            if idle && all.len() >= count {
                return all;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let mut all =
        tokio::time::timeout(PATIENCE, found).await.expect("the chain goes on, or ended early");
    assert_eq!(all.len(), count);
    // A call is recorded when it ends, and what it sent may have run by then.
    all.sort_by_key(|record| record.chain);
    all
}

fn text(record: &InvocationRecord) -> String {
    let body = record.output.as_ref().and_then(|output| output.body.as_ref());
    String::from_utf8(body.map(|body| body.inline.to_vec()).unwrap_or_default()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_sends_what_it_asks_for_comes_to_an_end() {
    let world = world().await;
    on(&world, "loop", ("t", "event emit t")).await;
    emit(&world, "t").await;
    let all = all_of(&world, MAX as usize + 1).await;
    let links: Vec<u32> = all.iter().map(|record| record.chain).collect();
    assert_eq!(links, [0, 1, 2, 3, 4, 5]);
    let refused = text(&all[MAX as usize]);
    assert!(
        refused.contains("NX5015: 5 links of functions and events led to this one"),
        "{refused}"
    );
    assert!(refused.contains("loop → loop"), "{refused}");
    assert!(refused.contains("raise `events.chain-max`"), "{refused}");
    // The last event says how it came to be.
    let last = events(&world).await.pop().unwrap();
    assert_eq!(last.links(), MAX);
    let why =
        world.node.why_event(&admin(), &name("shop"), last.event_id().unwrap()).await.unwrap();
    let sent =
        why[0].because.iter().any(|fact| fact.starts_with("function 'loop' sent it in inv_"));
    assert!(sent, "{why:?}");
    let told = "it is link 5 of a chain (`events.chain-max`)";
    assert!(why[0].because.iter().any(|fact| fact == told), "{why:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn returned_events_make_a_chain_and_its_last_link_is_no_longer_tried() {
    let world = world().await;
    on(&world, "ping", ("ping", "event return pong")).await;
    on(&world, "pong", ("pong", "event return ping")).await;
    emit(&world, "ping").await;
    let all = all_of(&world, MAX as usize + 1).await;
    let last = &all[MAX as usize];
    assert_eq!((last.function.as_str(), last.status()), ("pong", Status::Refused));
    let failure = last.failure.clone().unwrap();
    assert_eq!(failure.code, Code::ChainTooLong.as_str());
    assert!(failure.message.contains("ping → pong"), "{failure:?}");
    // By itself it succeeded: that is what a replay is held against.
    let id = last.invocation_id().unwrap();
    let replayed = world.node.replay(&admin(), id, Default::default()).await.unwrap();
    assert_eq!(replayed.verdict, Verdict::Identical);
    let filter = DeadLetterFilter { function: Some("pong".into()), ..Default::default() };
    let dead = world.node.dead_letters(&admin(), filter, 0).await.unwrap();
    assert_eq!(dead[0].code, Code::ChainTooLong.as_str());
    let metrics = world.metrics.encode(nexus_observe::Format::Prometheus);
    assert!(metrics.contains("nexus_chains_stopped_total 1"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_called_function_sends_belongs_to_the_chain() {
    let world = world().await;
    on(&world, "asks", ("t", "event call sends")).await;
    world.deploy("sends", "event emit t", None).await;
    emit(&world, "t").await;
    // Each turn is two links: the call, and the event.
    let all = all_of(&world, 2 * 3).await;
    assert_eq!(events(&world).await.iter().map(EventRecord::links).collect::<Vec<_>>(), [0, 2, 4]);
    let last = all.iter().rfind(|record| record.function == "sends").unwrap();
    assert!(text(last).contains("NX5015"), "{}", text(last));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_starts_itself_so_often_unless_it_waits() {
    let world = world().await;
    let durable = spec(json!({ "durable": true }));
    world.deploy("again", "event steps start again", durable.clone()).await;
    let input = InvokeInput { data: Bytes::from_static(b"1"), ..InvokeInput::default() };
    let call = (&name("shop"), &name("again"));
    world.node.invoke_async(&admin(), call, input.clone()).await.unwrap();
    let all = all_of(&world, MAX as usize + 1).await;
    assert!(
        text(&all[MAX as usize]).contains("links of functions"),
        "{}",
        text(&all[MAX as usize])
    );
    // A delay of a second begins a new chain, a shorter one does not.
    world.deploy("later", "event steps start nothing 1000; start again 999", durable).await;
    world.deploy("nothing", "event echo", None).await;
    let (shop, later) = (name("shop"), name("later"));
    let id = world.node.invoke_async(&admin(), (&shop, &later), input).await.unwrap();
    let result = world.node.invocation_result(&admin(), (&shop, id), PATIENCE).await.unwrap();
    assert!(matches!(result, ResultOf::Ready(_)), "{result:?}");
    let planned = records(&world).await.into_iter().filter_map(|record| match record {
        Record::Schedule(record) => Some((record.target, record.chain)),
        _ => None,
    });
    let planned: Vec<_> = planned.collect();
    assert_eq!(planned, [("nothing".to_owned(), 0), ("again".to_owned(), 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_count_for_the_functions_that_they_lead_to() {
    let world = world().await;
    let told = json!({
        "on": { "events": [{ "type": "t" }] },
        "delivery": { "on-success": { "function": "teller" } },
    });
    world.deploy("f", "event echo", spec(told)).await;
    world.deploy("teller", "event emit t", None).await;
    emit(&world, "t").await;
    // The last outcome is told, and only what it would lead to is refused.
    let all = all_of(&world, 6).await;
    let links: Vec<(&str, u32)> = all.iter().map(|at| (at.function.as_str(), at.chain)).collect();
    let expected = [("f", 0), ("teller", 1), ("f", 2), ("teller", 3), ("f", 4), ("teller", 5)];
    assert_eq!(links, expected);
    assert!(text(&all[5]).contains("NX5015"), "{}", text(&all[5]));
}
