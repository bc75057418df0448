//! State of functions: versions, conflicts, repeated operations, streams, many writers at once.

use std::time::Duration;

use bytes::Bytes;
use nexus_model::limits;
use nexus_store::{Error, ReadLimit, StateChange, StateEdit, StateId, StateItem};

use crate::world::{World, name};

const ALL: ReadLimit = ReadLimit { items: 1_000, bytes: 1 << 20 };

pub(crate) fn state_id(key: &str) -> StateId {
    StateId { project: name("shop"), namespace: "function/f".into(), key: key.into() }
}

pub(crate) fn state_change(key: &str, edit: StateEdit) -> StateChange {
    StateChange { id: state_id(key), edit, expected: None, operation: None, by: None }
}

fn put(key: &str, value: &str) -> StateChange {
    state_change(key, StateEdit::Put(Bytes::from(value.to_owned())))
}

fn expecting(version: u64, change: StateChange) -> StateChange {
    StateChange { expected: Some(version), ..change }
}

fn named(operation: &str, change: StateChange) -> StateChange {
    StateChange { operation: Some(operation.into()), ..change }
}

fn texts(items: &[StateItem]) -> Vec<String> {
    let text = |item: &StateItem| {
        format!("{} {} {}", item.key, item.version, String::from_utf8_lossy(&item.value))
    };
    items.iter().map(text).collect()
}

fn conflict(result: Result<u64, Error>) -> u64 {
    match result {
        Err(Error::StateConflict { version }) => version,
        other => panic!("no conflict: {other:?}"),
    }
}

#[tokio::test]
async fn versions_rise_and_are_never_used_again() {
    let mut world = World::new().await;
    let change = |change| world.store.change_state(change);
    let first = change(expecting(0, put("a", "1"))).await.unwrap();
    assert_eq!(conflict(change(expecting(0, put("a", "2"))).await), first);
    let second = change(expecting(first, put("a", "2"))).await.unwrap();
    assert!(second > first);
    let delete = || state_change("a", StateEdit::Delete);
    assert_eq!(conflict(change(expecting(first, delete())).await), second);
    assert_eq!(change(expecting(second, delete())).await.unwrap(), 0);
    assert_eq!(change(delete()).await.unwrap(), 0);
    assert_eq!(conflict(change(expecting(second, put("a", "3"))).await), 0);
    let third = change(put("a", "3")).await.unwrap();
    assert!(third > second);
    world.reopen().await;
    let found = world.store.state(&state_id("a")).await.unwrap().unwrap();
    assert_eq!((found.version, &found.value[..]), (third, &b"3"[..]));
    assert_eq!(world.store.state(&state_id("b")).await.unwrap(), None);
    let elsewhere = StateId { namespace: "shared/f".into(), ..state_id("a") };
    assert_eq!(world.store.state(&elsewhere).await.unwrap(), None);
}

#[tokio::test]
async fn an_operation_that_was_done_is_not_done_again() {
    let world = World::new().await;
    let change = |change| world.store.change_state(change);
    let first = change(named("inv-1", expecting(0, put("a", "1")))).await.unwrap();
    assert_eq!(change(named("inv-1", expecting(0, put("a", "1")))).await.unwrap(), first);
    let append = || state_change("s", StateEdit::Append(vec!["x".into(), "y".into()]));
    assert_eq!(change(named("inv-2", expecting(0, append()))).await.unwrap(), 2);
    assert_eq!(change(named("inv-2", expecting(0, append()))).await.unwrap(), 2);
    let delete = || named("inv-3", expecting(first, state_change("a", StateEdit::Delete)));
    assert_eq!(change(delete()).await.unwrap(), 0);
    assert_eq!(change(delete()).await.unwrap(), 0);
    // What is too long ago is forgotten, on the way of another one.
    world.clock.advance(limits::STATE_OPERATION_AGE + Duration::from_secs(1));
    change(named("inv-4", put("b", "1"))).await.unwrap();
    assert_eq!(conflict(change(named("inv-2", expecting(0, append()))).await), 2);
}

#[tokio::test]
async fn streams_only_grow() {
    let world = World::new().await;
    let append = |events: &[&str]| {
        let events = events.iter().map(|text| Bytes::from((*text).to_owned())).collect();
        state_change("s", StateEdit::Append(events))
    };
    assert_eq!(world.store.change_state(append(&["a", "b"])).await.unwrap(), 2);
    assert_eq!(conflict(world.store.change_state(expecting(1, append(&["c"]))).await), 2);
    assert_eq!(world.store.change_state(expecting(2, append(&["c"]))).await.unwrap(), 3);
    let read = |after, limit| {
        let store = world.store.clone();
        async move { texts(&store.stream(&state_id("s"), after, limit).await.unwrap()) }
    };
    assert_eq!(read(0, ALL).await, [" 1 a", " 2 b", " 3 c"]);
    assert_eq!(read(1, ReadLimit { items: 1, ..ALL }).await, [" 2 b"]);
    assert_eq!(read(0, ReadLimit { bytes: 2, ..ALL }).await, [" 1 a", " 2 b"]);
    assert_eq!(read(0, ReadLimit { bytes: 0, ..ALL }).await, [" 1 a"]);
    assert_eq!(world.store.state(&state_id("s")).await.unwrap(), None);
}

#[tokio::test]
async fn keys_are_listed_by_prefix_in_order() {
    let world = World::new().await;
    for key in ["cart/2", "cart/1", "cart", "cart0", "ä", "cart/\u{10ffff}"] {
        world.store.change_state(put(key, key)).await.unwrap();
    }
    let scan = |prefix: &'static str, after: &'static str, limit| {
        let store = world.store.clone();
        async move {
            let found = store.state_scan(&state_id(prefix), after, limit).await.unwrap();
            found.into_iter().map(|item| item.key).collect::<Vec<_>>()
        }
    };
    assert_eq!(scan("cart/", "", ALL).await, ["cart/1", "cart/2", "cart/\u{10ffff}"]);
    assert_eq!(scan("cart/", "cart/1", ReadLimit { items: 1, ..ALL }).await, ["cart/2"]);
    assert_eq!(scan("", "", ALL).await.len(), 6);
    assert_eq!(scan("x", "", ALL).await.len(), 0);
}

#[tokio::test]
async fn writers_at_the_same_time_are_serialised() {
    let world = World::new().await;
    let writers = (0..40u64).map(|writer| {
        let store = world.store.clone();
        async move {
            let mut conflicts = 0;
            loop {
                let found = store.state(&state_id("n")).await.unwrap();
                let (version, number) = found.map_or((0, 0), |found| {
                    let text = String::from_utf8(found.value.to_vec()).unwrap();
                    (found.version, text.parse::<u64>().unwrap())
                });
                let next = put("n", &(number + writer).to_string());
                match store.change_state(expecting(version, next)).await {
                    Ok(_) => return conflicts,
                    Err(Error::StateConflict { .. }) => conflicts += 1,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    });
    futures::future::join_all(writers).await;
    let found = world.store.state(&state_id("n")).await.unwrap().unwrap();
    assert_eq!(String::from_utf8(found.value.to_vec()).unwrap(), (0..40).sum::<u64>().to_string());
}

#[tokio::test]
async fn changes_of_resources_and_state_take_turns() {
    let world = World::new().await;
    let state = (0..100).map(|at| world.store.change_state(put(&format!("k{at}"), "v")));
    let resources = (0..10).map(|at| {
        let key = crate::world::project(&format!("p{at}"));
        world.apply(vec![crate::world::put(&key, serde_json::json!({}))])
    });
    let (state, resources) = futures::future::join(
        futures::future::join_all(state),
        futures::future::join_all(resources),
    )
    .await;
    let mut versions: Vec<u64> = state.into_iter().map(Result::unwrap).collect();
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions.len(), 100);
    assert!(resources.into_iter().all(|applied| applied.unwrap().changed()));
}
