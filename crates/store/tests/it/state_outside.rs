//! State as it is looked at, changed and removed from outside.

use bytes::Bytes;
use nexus_store::{
    Error, StateChange, StateClear, StateCleared, StateEdit, StateId, StateRow, StreamRow,
};
use serde_json::{Value, json};

use crate::state::{state_change, state_id};
use crate::world::{World, name, principal, project, put};

fn in_namespace(namespace: &str, key: &str, edit: StateEdit) -> StateChange {
    let id = StateId { namespace: namespace.into(), ..state_id(key) };
    StateChange { id, ..state_change(key, edit) }
}

fn text(value: &str) -> StateEdit {
    StateEdit::Put(Bytes::from(value.to_owned()))
}

fn events(count: usize) -> StateEdit {
    StateEdit::Append(vec![Bytes::from_static(b"ab"); count])
}

fn outside(change: StateChange) -> StateChange {
    StateChange { by: Some(principal()), ..change }
}

fn clear(stream: Option<&str>) -> StateClear {
    StateClear {
        project: name("shop"),
        namespace: "function/f".into(),
        stream: stream.map(str::to_owned),
        by: principal(),
    }
}

/// Type, subject and data of the audit events that wait.
async fn audit(world: &World) -> Vec<(String, String, Value)> {
    let entries = world.store.outbox(1_000).await.unwrap();
    let entry = |entry: nexus_store::OutboxEntry| {
        let data = serde_json::from_slice(&entry.event.data.unwrap()).unwrap();
        (entry.event.ty, entry.event.subject.unwrap_or_default(), data)
    };
    entries.into_iter().map(entry).collect()
}

#[tokio::test]
async fn namespaces_are_found_one_after_the_other_and_counted_up_to_a_bound() {
    let world = World::new().await;
    for (namespace, key, edit) in [
        ("function/b", "k1", text("abc")),
        ("function/b", "k2", text("de")),
        ("function/a", "s", events(2)),
        ("function/b", "s", events(3)),
        ("function/b", "t", events(1)),
        ("shared/x", "k", text("")),
    ] {
        world.store.change_state(in_namespace(namespace, key, edit)).await.unwrap();
    }
    let shop = name("shop");
    let mut found = vec![String::new()];
    while let Some(next) =
        world.store.next_state_namespace(&shop, found.last().unwrap()).await.unwrap()
    {
        found.push(next);
    }
    assert_eq!(found[1..], ["function/a", "function/b", "shared/x"]);
    let other = world.store.next_state_namespace(&name("other"), "").await.unwrap();
    assert_eq!(other, None);
    let summary = world.store.state_summary(&shop, "function/b", 10).await.unwrap();
    let numbers = (summary.keys, summary.key_bytes, summary.streams, summary.events);
    assert_eq!((numbers, summary.event_bytes, summary.more), ((2, 5, 2, 4), 8, false));
    let summary = world.store.state_summary(&shop, "function/b", 3).await.unwrap();
    assert_eq!((summary.keys, summary.events, summary.more), (2, 3, true));
    let nothing = world.store.state_summary(&shop, "function/c", 0).await.unwrap();
    assert!(!nothing.more);
}

#[tokio::test]
async fn keys_and_streams_are_listed_without_their_values() {
    let world = World::new().await;
    let odd = ["a", "a/1", "a/2", "a/\u{0}", "a0", "..", "\u{10ffff}"];
    for key in odd {
        world.store.change_state(state_change(key, text(key))).await.unwrap();
        world.store.change_state(state_change(key, events(2))).await.unwrap();
    }
    let keys = |prefix: &'static str, after: &'static str, limit| {
        let store = world.store.clone();
        async move {
            let id = state_id(prefix);
            let keys = store.state_keys(&id, after, limit).await.unwrap();
            let keys: Vec<String> = keys.into_iter().map(|row| row.key).collect();
            let streams = store.state_streams(&id, after, limit).await.unwrap();
            let streams: Vec<String> = streams.into_iter().map(|row| row.name).collect();
            assert_eq!(keys, streams, "keys and streams are listed alike");
            keys
        }
    };
    assert_eq!(keys("a/", "", 9).await, ["a/\u{0}", "a/1", "a/2"]);
    assert_eq!(keys("a/", "a/\u{0}", 1).await, ["a/1"]);
    assert_eq!(keys("a/", "a/2", 9).await, [""; 0]);
    assert_eq!(keys("", "a", 2).await, ["a/\u{0}", "a/1"]);
    assert_eq!(keys("", "a0", 9).await, ["\u{10ffff}"]);
    assert_eq!(keys("", "", 99).await.len(), odd.len());
    let one = world.store.state_keys(&state_id("a0"), "", 9).await.unwrap();
    let [StateRow { version, bytes, .. }] = one[..] else { panic!("{one:?}") };
    let value = world.store.state(&state_id("a0")).await.unwrap().unwrap();
    assert_eq!((version, bytes), (value.version, 2));
    let one = world.store.state_streams(&state_id("a0"), "", 9).await.unwrap();
    assert_eq!(one, [StreamRow { name: "a0".into(), version: 2, events: 2 }]);
}

#[tokio::test]
async fn changes_from_outside_are_audited_without_their_values() {
    let world = World::new().await;
    world.store.change_state(state_change("a", text("of a function"))).await.unwrap();
    assert_eq!((world.store.revision(), audit(&world).await), (0, vec![]));
    let refused = StateChange { expected: Some(0), ..outside(state_change("a", text("secret"))) };
    let refused = world.store.change_state(refused).await;
    assert!(matches!(refused, Err(Error::StateConflict { version: 1 })));
    let nothing = world.store.change_state(outside(state_change("b", StateEdit::Delete))).await;
    assert_eq!((nothing.unwrap(), audit(&world).await.len()), (0, 0));

    let second = world.store.change_state(outside(state_change("a", text("secret")))).await;
    assert_eq!((second.unwrap(), world.store.revision()), (2, 1));
    // The revision is one that no resource gets.
    world.apply(vec![put(&project("shop"), json!({}))]).await.unwrap();
    assert_eq!(world.store.revision(), 2);
    world.store.change_state(outside(state_change("a", StateEdit::Delete))).await.unwrap();
    let namespace = "shared/two\nlines";
    world.store.change_state(outside(in_namespace(namespace, "k", text("")))).await.unwrap();
    let found = audit(&world).await;
    let data = |at: usize| &found[at].2;
    assert_eq!(
        found.iter().map(|(ty, subject, _)| format!("{ty} {subject}")).collect::<Vec<_>>(),
        [
            "dev.nexus.state.set State shop/function/f",
            "dev.nexus.resource.created Project shop",
            "dev.nexus.state.deleted State shop/function/f",
            "dev.nexus.state.set State shop/shared/two\u{fffd}lines",
        ]
    );
    assert_eq!(
        *data(0),
        json!({
            "principal": "token:ci", "namespace": "function/f", "key": "a", "revision": 1,
            "version": { "old": 1, "new": 2 }, "bytes": 6,
        })
    );
    assert_eq!(data(2)["version"], json!({ "old": 2, "new": 0 }));
    assert_eq!(data(3)["namespace"], namespace);
    let changes = world.store.changes_since(0, 10).await.unwrap();
    assert_eq!(changes.len(), 1, "state is no resource");
}

#[tokio::test]
async fn a_namespace_goes_in_steps_and_others_stay() {
    let world = World::new().await;
    let many = (0..1_500)
        .map(|at| world.store.change_state(state_change(&format!("k{at:04}"), text("abc"))));
    futures::future::join_all(many).await;
    world.store.change_state(state_change("s", events(700))).await.unwrap();
    world.store.change_state(state_change("t", events(3))).await.unwrap();
    let other = in_namespace("function/g", "k0001", text("stays"));
    world.store.change_state(other.clone()).await.unwrap();

    let mut steps = Vec::new();
    loop {
        let step = world.store.clear_state(clear(None)).await.unwrap();
        steps.push((step.keys, step.events));
        if !step.more {
            break;
        }
    }
    assert_eq!(steps, [(1_000, 0), (500, 500), (0, 203)]);
    let shop = name("shop");
    assert!(!world.store.state_summary(&shop, "function/f", 0).await.unwrap().more);
    assert!(world.store.state(&other.id).await.unwrap().is_some());
    let found = audit(&world).await;
    assert_eq!(found.len(), 3);
    assert_eq!(found[1].0, "dev.nexus.state.cleared");
    let data = &found[1].2;
    assert_eq!(
        (&data["keys"], &data["events"], &data["bytes"]),
        (&500.into(), &500.into(), &2_500.into())
    );
    assert_eq!(world.store.revision(), 3);
    // Nothing is left: nothing is done, and nothing is audited.
    let step = world.store.clear_state(clear(None)).await.unwrap();
    assert_eq!((step, audit(&world).await.len()), (StateCleared::default(), 3));
}

#[tokio::test]
async fn a_stream_goes_alone_the_oldest_events_first() {
    let world = World::new().await;
    for (key, edit) in [("s", events(1_000)), ("s", events(5)), ("t", events(2))] {
        world.store.change_state(state_change(key, edit)).await.unwrap();
    }
    world.store.change_state(state_change("s", text("a key of this name"))).await.unwrap();
    let step = world.store.clear_state(clear(Some("s"))).await.unwrap();
    assert_eq!((step.events, step.keys, step.more), (1_000, 0, true));
    let left = world.store.state_streams(&state_id(""), "", 9).await.unwrap();
    let row = |name: &str, version, events| StreamRow { name: name.into(), version, events };
    assert_eq!(left, [row("s", 1_005, 5), row("t", 2, 2)]);
    let step = world.store.clear_state(clear(Some("s"))).await.unwrap();
    assert_eq!((step.events, step.more), (5, false));
    let left = world.store.state_streams(&state_id(""), "", 9).await.unwrap();
    assert_eq!(left, [row("t", 2, 2)]);
    assert!(world.store.state(&state_id("s")).await.unwrap().is_some());
    // What is large goes in smaller steps.
    let large = || StateEdit::Append(vec![Bytes::from(vec![0; 1 << 20]); 10]);
    for _ in 0..2 {
        world.store.change_state(state_change("l", large())).await.unwrap();
    }
    let step = world.store.clear_state(clear(Some("l"))).await.unwrap();
    assert_eq!((step.events, step.more), (16, true));
}
