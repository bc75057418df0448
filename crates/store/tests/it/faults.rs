//! Neighbours, full disks and damaged files.

use std::sync::Arc;

use nexus_model::resource::{Kind, Resource};
use nexus_model::{IdMint, ManualClock};
use nexus_store::{Change, Error, Expect, Op, Store, StoreConfig};
use serde_json::json;

use crate::world::{START, World, function, name, open, path, principal, put};

const WRITERS: u64 = 8;
const ADDITIONS: u64 = 10;

/// Adds one to a counter with optimistic concurrency, as often as it takes.
async fn add_one(store: &Store) {
    let key = function("shop", "counter");
    loop {
        let current = store.get(&key).await.unwrap().unwrap();
        let number = current.spec["number"].as_u64().unwrap();
        let op = Op::Put {
            resource: Resource::new(&key, json!({"number": number + 1})),
            expect: Expect::Revision(current.metadata.revision.unwrap()),
        };
        match store.apply(Change::new(principal(), vec![op])).await {
            Ok(_) => return,
            Err(Error::Conflict { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writers_lose_no_update() {
    let world = World::new().await;
    world.apply(vec![put(&function("shop", "counter"), json!({"number": 0}))]).await.unwrap();
    // A second store on the same file stands for another process.
    let neighbour = open(&path(world.dir.path()), world.clock.clone()).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = if writer % 2 == 0 { world.store.clone() } else { neighbour.clone() };
        tasks.spawn(async move {
            for _ in 0..ADDITIONS {
                add_one(&store).await;
            }
        });
    }
    tasks.join_all().await;
    let counter = world.store.get(&function("shop", "counter")).await.unwrap().unwrap();
    assert_eq!(counter.spec["number"], WRITERS * ADDITIONS);
    assert_eq!(counter.metadata.generation, Some(WRITERS * ADDITIONS + 1));
    let outbox = world.store.outbox(1000).await.unwrap();
    assert_eq!(outbox.len() as u64, WRITERS * ADDITIONS + 1);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_its_change_whole() {
    let world = World::new().await;
    let ops =
        (0..500).map(|row| put(&function("shop", &format!("row-{row}")), json!({}))).collect();
    {
        let apply = world.apply(ops);
        tokio::pin!(apply);
        // Polled once: the change is with the writer. Then the caller goes away.
        std::future::poll_fn(|context| {
            let _ = apply.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
    }
    let mut watch = world.store.watch();
    watch.wait_for(|revision| *revision == 500).await.unwrap();
    let shop = name("shop");
    let rows = world.store.list(Kind::Function, Some(&shop), None, 1000).await.unwrap();
    assert_eq!(rows.len(), 500);
}

async fn open_limited(dir: &std::path::Path, bytes_max: u64) -> Store {
    let clock = Arc::new(ManualClock::new(START));
    let mint = Arc::new(IdMint::new(clock.clone(), 7));
    let config = StoreConfig { bytes_max, ..StoreConfig::new(path(dir)) };
    Store::open(config, clock, mint).await.unwrap()
}

#[tokio::test]
async fn a_full_disk_is_named_and_nothing_of_the_change_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_limited(dir.path(), 2 << 20).await;
    let row =
        |number: u64| put(&function("shop", &format!("row-{number}")), json!("x".repeat(100_000)));
    let mut stored = 0;
    let error = loop {
        match store.apply(Change::new(principal(), vec![row(stored)])).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::DiskFull { .. }), "{error:?}");
    assert_eq!(error.to_string(), "no space left to apply a change");
    assert!(error.retryable());
    assert!(stored > 5);
    // Reads, and changes that change nothing, go on.
    for _ in 0..3 {
        assert_eq!(store.revision(), stored);
        let kept = store.get(&function("shop", "row-0")).await.unwrap();
        assert!(kept.is_some());
        assert_eq!(store.get(&function("shop", &format!("row-{stored}"))).await.unwrap(), None);
        let same = store.apply(Change::new(principal(), vec![row(0)])).await.unwrap();
        assert!(!same.changed());
        let again = store.apply(Change::new(principal(), vec![row(stored)])).await;
        assert!(matches!(again, Err(Error::DiskFull { .. })));
    }
    store.close().await.unwrap();
    let larger = open_limited(dir.path(), 4 << 20).await;
    let applied = larger.apply(Change::new(principal(), vec![row(stored)])).await.unwrap();
    assert_eq!(applied.revision, stored + 1);
}

#[tokio::test]
async fn a_file_that_is_no_store_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = path(dir.path());
    let text = "not a database at all. ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let error = open(&path, Arc::new(ManualClock::new(START))).await.unwrap_err();
    assert!(matches!(error, Error::NotAStore { .. }), "{error:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);

    let nowhere = dir.path().join("missing/store.sqlite");
    let error = open(&nowhere, Arc::new(ManualClock::new(START))).await.unwrap_err();
    assert!(error.to_string().contains("missing/store.sqlite"), "{error}");
}

#[tokio::test]
async fn only_the_owner_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new().await;
    world.apply(vec![put(&function("shop", "a"), json!({}))]).await.unwrap();
    for entry in std::fs::read_dir(world.dir.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", entry.path().display());
    }
}
