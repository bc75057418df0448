//! What every database behind the store must do.

use std::time::Duration;

use nexus_model::limits::{APPLY_RESOURCES_MAX, RESOURCE_BYTES_MAX};
use nexus_model::resource::{Kind, Resource, ResourceKey};
use nexus_store::{Applied, Change, Effect, Error, Expect, LIST_ITEMS_MAX, Op, Selector};
use serde_json::{Value, json};

use crate::world::{START, World, function, name, principal, project, put};

#[tokio::test]
async fn a_resource_goes_in_and_comes_out() {
    let mut world = World::new().await;
    let key = function("shop", "hello");
    let mut wanted = Resource::new(&key, json!({"z": 1, "a": {"b": [true, null, "ü"]}}));
    wanted.metadata.labels.insert("team".into(), "blue".into());
    wanted.metadata.annotations.insert("note".into(), "x\n\"y\"".into());
    wanted.status = json!("ignored");
    let applied = world.apply(vec![Op::put(wanted.clone())]).await.unwrap();
    assert_eq!(applied.revision, 1);
    assert_eq!(applied.resources[0].effect, Effect::Created);

    let stored = world.store.get(&key).await.unwrap().unwrap();
    assert_eq!(Some(&stored), applied.first());
    assert_eq!(stored.spec.to_string(), wanted.spec.to_string(), "keys keep their order");
    assert_eq!(stored.status, Value::Null);
    assert_eq!(stored.metadata.labels, wanted.metadata.labels);
    assert_eq!(stored.metadata.annotations, wanted.metadata.annotations);
    assert_eq!((stored.metadata.revision, stored.metadata.generation), (Some(1), Some(1)));
    assert_eq!(stored.metadata.created_at, Some(START));
    assert!(stored.metadata.uid.is_some());

    world.reopen().await;
    assert_eq!(world.store.get(&key).await.unwrap(), Some(stored));
    assert_eq!(world.store.revision(), 1);
    assert_eq!(world.store.get(&function("shop", "other")).await.unwrap(), None);
    assert_eq!(world.store.get(&function("other", "hello")).await.unwrap(), None);
}

#[tokio::test]
async fn the_same_again_changes_nothing() {
    let world = World::new().await;
    let key = function("shop", "hello");
    world.apply(vec![put(&key, json!({"a": 1, "b": 2}))]).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let again = world.apply(vec![put(&key, json!({"b": 2, "a": 1}))]).await.unwrap();
    assert_eq!(again.resources[0].effect, Effect::Unchanged);
    assert!(!again.changed());
    assert_eq!(again.revision, 1);
    assert_eq!(again.first().unwrap().metadata.updated_at, Some(START));
    assert_eq!(world.store.outbox(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_preview_says_what_a_change_would_come_to_and_changes_nothing() {
    let world = World::new().await;
    let (old, new) = (function("shop", "old"), function("shop", "new"));
    world.apply(vec![put(&old, json!({"a": 1}))]).await.unwrap();
    let ops = || vec![put(&old, json!({"a": 2})), put(&new, json!({}))];
    let preview = |ops| world.store.preview(Change::new(principal(), ops));
    let foreseen = preview(ops()).await.unwrap();
    let effects = |at: &Applied| at.resources.iter().map(|at| at.effect).collect::<Vec<_>>();
    assert_eq!(effects(&foreseen), [Effect::Updated, Effect::Created]);
    assert_eq!(foreseen.first().unwrap().spec, json!({"a": 2}));
    let at = async || (world.store.revision(), world.store.outbox(10).await.unwrap().len());
    assert_eq!(at().await, (1, 1));
    assert_eq!(world.store.get(&old).await.unwrap().unwrap().spec, json!({"a": 1}));
    assert!(world.store.get(&new).await.unwrap().is_none());
    let refused = preview(vec![Op::delete(new.clone())]).await.unwrap_err();
    assert!(matches!(refused, Error::NotFound { .. }), "{refused:?}");
    assert_eq!(effects(&world.apply(ops()).await.unwrap()), effects(&foreseen));
    assert_eq!(effects(&preview(ops()).await.unwrap()), [Effect::Unchanged; 2]);
}

#[tokio::test]
async fn the_generation_counts_changes_of_the_spec_only() {
    let world = World::new().await;
    let key = function("shop", "hello");
    world.apply(vec![put(&key, json!({}))]).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let mut labelled = Resource::new(&key, json!({}));
    labelled.metadata.labels.insert("a".into(), "b".into());
    let steps = [
        (Op::put(labelled.clone()), 2, 1),
        (Op::set_status(key.clone(), json!({"ready": true})), 3, 1),
        (put(&key, json!({"x": 1})), 4, 2),
    ];
    for (op, revision, generation) in steps {
        let applied = world.apply(vec![op]).await.unwrap();
        let metadata = &applied.first().unwrap().metadata;
        assert_eq!(applied.resources[0].effect, Effect::Updated);
        assert_eq!(metadata.revision, Some(revision));
        assert_eq!(metadata.generation, Some(generation));
        assert_eq!(metadata.created_at, Some(START));
        assert_eq!(metadata.updated_at, Some(START.after(Duration::from_secs(1))));
    }
    let stored = world.store.get(&key).await.unwrap().unwrap();
    assert_eq!(stored.status, json!({"ready": true}), "a put keeps the status");
    let same = world.apply(vec![Op::set_status(key, json!({"ready": true}))]).await.unwrap();
    assert_eq!((same.changed(), same.revision), (false, 4));
}

#[tokio::test]
async fn a_deleted_name_can_be_used_again_with_another_uid() {
    let world = World::new().await;
    let key = function("shop", "hello");
    let first = world.apply(vec![put(&key, json!({}))]).await.unwrap();
    let deleted = world.apply(vec![Op::delete(key.clone())]).await.unwrap();
    assert_eq!(deleted.resources[0].effect, Effect::Deleted);
    assert_eq!(deleted.first(), None);
    assert_eq!(world.store.get(&key).await.unwrap(), None);
    let second = world.apply(vec![put(&key, json!({}))]).await.unwrap();
    let (first, second) = (first.first().unwrap(), second.first().unwrap());
    assert_ne!(first.metadata.uid, second.metadata.uid);
    assert_eq!((second.metadata.revision, second.metadata.generation), (Some(3), Some(1)));
}

#[tokio::test]
async fn expectations_guard_every_operation() {
    let world = World::new().await;
    let key = function("shop", "hello");
    let make = |expect| Op::Put { resource: Resource::new(&key, json!({"n": 1})), expect };
    let status = |expect| Op::SetStatus { key: key.clone(), status: json!(1), expect };
    let delete = |expect| Op::Delete { key: key.clone(), expect };
    let check = |expect| Op::Check { key: key.clone(), expect };
    let conflict = |error: Error, wanted: Option<u64>| match error {
        Error::Conflict { found, .. } => assert_eq!(found, wanted),
        other => panic!("{other}"),
    };

    for expect in [Expect::Present, Expect::Revision(1)] {
        conflict(world.apply(vec![make(expect)]).await.unwrap_err(), None);
        conflict(world.apply(vec![check(expect)]).await.unwrap_err(), None);
    }
    for op in [status(Expect::Any), status(Expect::Revision(1)), delete(Expect::Any)] {
        assert!(matches!(world.apply(vec![op]).await, Err(Error::NotFound { .. })));
    }
    world.apply(vec![check(Expect::Absent), make(Expect::Absent)]).await.unwrap();
    for expect in [Expect::Absent, Expect::Revision(2)] {
        conflict(world.apply(vec![make(expect)]).await.unwrap_err(), Some(1));
        conflict(world.apply(vec![status(expect)]).await.unwrap_err(), Some(1));
        conflict(world.apply(vec![delete(expect)]).await.unwrap_err(), Some(1));
        conflict(world.apply(vec![check(expect)]).await.unwrap_err(), Some(1));
    }
    world.apply(vec![check(Expect::Revision(1)), status(Expect::Revision(1))]).await.unwrap();
    world.apply(vec![check(Expect::Present), delete(Expect::Revision(2))]).await.unwrap();
    assert_eq!(world.store.revision(), 3);
}

#[tokio::test]
async fn a_change_happens_whole_or_not_at_all() {
    let world = World::new().await;
    let (a, b) = (function("shop", "a"), function("shop", "b"));
    let failed = world.apply(vec![put(&a, json!({})), Op::delete(b.clone())]).await;
    assert!(matches!(failed, Err(Error::NotFound { key }) if key == b));
    assert_eq!(world.store.get(&a).await.unwrap(), None);
    assert_eq!(world.store.outbox(10).await.unwrap(), vec![]);
    assert_eq!(world.store.revision(), 0);

    // Later operations see earlier ones.
    let applied = world
        .apply(vec![
            put(&a, json!({})),
            Op::Put { resource: Resource::new(&a, json!(2)), expect: Expect::Revision(1) },
            put(&b, json!({})),
            Op::delete(b.clone()),
            put(&b, json!(3)),
            Op::delete(a.clone()),
        ])
        .await
        .unwrap();
    assert_eq!(applied.revision, 6);
    assert_eq!(world.store.get(&a).await.unwrap(), None);
    let stored = world.store.get(&b).await.unwrap().unwrap();
    assert_eq!((stored.spec, stored.metadata.revision), (json!(3), Some(5)));
    assert_eq!(world.store.outbox(10).await.unwrap().len(), 6);
}

#[tokio::test]
async fn lists_are_paged_by_name() {
    let world = World::new().await;
    let names = ["a", "a-b", "a0", "ab", "b", "z9"];
    let mut ops: Vec<Op> =
        names.iter().rev().map(|at| put(&function("shop", at), json!({}))).collect();
    ops.push(put(&function("other", "c"), json!({})));
    ops.push(put(&function("tail", "a"), json!({})));
    ops.push(put(&project("shop"), json!({})));
    world.apply(ops).await.unwrap();
    let shop = name("shop");
    let texts = |page: Vec<Resource>| -> Vec<String> {
        page.into_iter().map(|resource| resource.metadata.name.to_string()).collect()
    };

    let all = world.store.list(Kind::Function, Some(&shop), None, 100).await.unwrap();
    assert_eq!(texts(all), names);
    let after = name("a-b");
    let page = world.store.list(Kind::Function, Some(&shop), Some(&after), 2).await.unwrap();
    assert_eq!(texts(page), ["a0", "ab"]);
    let projects = world.store.list(Kind::Project, None, None, 10).await.unwrap();
    assert_eq!(texts(projects), ["shop"]);

    let mut scanned = Vec::new();
    let mut after: Option<ResourceKey> = None;
    loop {
        let page = world.store.scan(Kind::Function, after.as_ref(), 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.key());
        scanned.extend(page.iter().map(|resource| resource.key().to_string()));
    }
    assert_eq!(scanned.len(), 8);
    assert_eq!(scanned[0], "Function other/c");
    assert_eq!(scanned[7], "Function tail/a");

    let too_many = world.store.list(Kind::Project, None, None, LIST_ITEMS_MAX + 1).await;
    assert!(matches!(too_many, Err(Error::TooMany { limit: LIST_ITEMS_MAX, .. })));
}

#[tokio::test]
async fn labels_select() {
    let world = World::new().await;
    let shop = name("shop");
    let labelled = |at: &str, value: &str| {
        let mut resource = Resource::new(&function("shop", at), json!({}));
        resource.metadata.labels.insert("team".into(), value.into());
        Op::put(resource)
    };
    let team = |value: &'static str| {
        let (store, shop) = (&world.store, &shop);
        async move {
            let project = Some(shop);
            let selector = Selector { kind: Kind::Function, project, label: "team", value };
            let mut names = Vec::new();
            let mut after = None;
            loop {
                let page = store.list_labelled(selector, after.as_ref(), 2).await.unwrap();
                let Some(last) = page.last() else { return names };
                after = Some(last.metadata.name.clone());
                names.extend(page.iter().map(|resource| resource.metadata.name.to_string()));
            }
        }
    };
    let ops = ["a", "b", "c"].map(|at| labelled(at, "blue"));
    world.apply(ops.into()).await.unwrap();
    world.apply(vec![labelled("d", "red"), labelled("b", "red")]).await.unwrap();
    assert_eq!(team("blue").await, ["a", "c"]);
    assert_eq!(team("red").await, ["b", "d"]);
    world
        .apply(vec![Op::delete(function("shop", "a")), put(&function("shop", "d"), json!({}))])
        .await
        .unwrap();
    assert_eq!(team("blue").await, ["c"]);
    assert_eq!(team("red").await, ["b"]);
}

#[tokio::test]
async fn the_feed_tells_the_last_change_of_everything() {
    let world = World::new().await;
    let (a, b, c) = (function("shop", "a"), function("shop", "b"), project("shop"));
    let mut watch = world.store.watch();
    world.apply(vec![put(&a, json!({})), put(&b, json!({})), put(&c, json!({}))]).await.unwrap();
    watch.changed().await.unwrap();
    assert_eq!(*watch.borrow_and_update(), 3);
    world.apply(vec![put(&a, json!(1)), Op::delete(b.clone())]).await.unwrap();
    watch.changed().await.unwrap();
    assert_eq!(*watch.borrow_and_update(), 5);
    world.apply(vec![put(&a, json!(1))]).await.unwrap();
    assert!(!watch.has_changed().unwrap(), "an unchanged apply wakes nobody");

    let summary = |revision, limit| {
        let store = world.store.clone();
        async move {
            let changes = store.changes_since(revision, limit).await.unwrap();
            let short =
                |key: &ResourceKey, gone: bool| format!("{key}{}", if gone { " gone" } else { "" });
            changes
                .iter()
                .map(|at| (at.revision, short(&at.key, at.resource.is_none())))
                .collect::<Vec<_>>()
        }
    };
    let expected = [
        (3, "Project shop".to_owned()),
        (4, "Function shop/a".to_owned()),
        (5, "Function shop/b gone".to_owned()),
    ];
    assert_eq!(summary(0, 10).await, expected);
    assert_eq!(summary(0, 1).await, expected[..1]);
    assert_eq!(summary(3, 10).await, expected[1..]);
    assert_eq!(summary(5, 10).await, []);

    world.store.prune_deletions(5).await.unwrap();
    assert_eq!(summary(0, 10).await, expected[..2], "a newcomer needs no deletions");
    let old = world.store.changes_since(4, 10).await;
    assert!(matches!(old, Err(Error::Compacted { asked: 4, first: 5 })));
    assert_eq!(summary(5, 10).await, []);
}

#[tokio::test]
async fn every_effective_operation_leaves_one_audit_event() {
    let world = World::new().await;
    let key = function("shop", "hello");
    world
        .apply(vec![
            put(&key, json!({"password": "hunter2"})),
            put(&key, json!({"password": "hunter2"})),
            put(&key, json!({"password": "hunter3"})),
            Op::set_status(key.clone(), json!("hunter4")),
            Op::Check { key: key.clone(), expect: Expect::Present },
            Op::delete(key.clone()),
            put(&project("shop"), json!({})),
        ])
        .await
        .unwrap();
    let outbox = world.store.outbox(100).await.unwrap();
    let types: Vec<_> = outbox.iter().map(|entry| entry.event.ty.as_str()).collect();
    assert_eq!(
        types,
        [
            "dev.nexus.resource.created",
            "dev.nexus.resource.updated",
            "dev.nexus.resource.updated",
            "dev.nexus.resource.deleted",
            "dev.nexus.resource.created",
        ]
    );
    let sequences: Vec<_> = outbox.iter().map(|entry| entry.sequence).collect();
    assert_eq!(sequences, [1, 2, 3, 4, 5]);
    assert_eq!(outbox[0].project, Some(name("shop")));
    assert_eq!(outbox[4].project, None);
    for entry in &outbox {
        entry.event.validate().unwrap();
        let text = String::from_utf8(entry.event.to_json()).unwrap();
        assert!(!text.contains("hunter"), "{text}");
    }
    let event = &outbox[1].event;
    assert_eq!(event.source, "/nexus/store");
    assert_eq!(event.subject.as_deref(), Some("Function shop/hello"));
    assert_eq!(event.time, Some(START));
    let data: Value = serde_json::from_slice(event.data.as_ref().unwrap()).unwrap();
    assert_eq!(data["principal"], "token:ci");
    assert_eq!(data["operation"], "replace");
    assert_eq!(data["revision"], 2);
    assert_eq!(data["generation"], json!({"old": 1, "new": 2}));
    assert!(data["specDigest"].as_str().unwrap().starts_with("blake3:"));

    assert_eq!(world.store.outbox(2).await.unwrap().len(), 2);
    world.store.outbox_done(3).await.unwrap();
    assert_eq!(world.store.outbox(100).await.unwrap(), outbox[3..]);
}

#[tokio::test]
async fn limits_are_stated() {
    let world = World::new().await;
    let key = function("shop", "hello");
    let text = "x".repeat(RESOURCE_BYTES_MAX);
    let error = world.apply(vec![put(&key, json!(text))]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "Function shop/hello has {} bytes, above the limit of 1048576 bytes",
            text.len() + 6
        )
    );
    let error = world.apply(vec![Op::set_status(key.clone(), json!(text))]).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }));
    let fits = "x".repeat(RESOURCE_BYTES_MAX - 6);
    world.apply(vec![put(&key, json!(fits))]).await.unwrap();

    let ops = vec![Op::delete(key.clone()); APPLY_RESOURCES_MAX + 1];
    let error = world.apply(ops).await.unwrap_err();
    assert_eq!(error.to_string(), "1001 operations in one change are above the limit of 1000");

    let nowhere = ResourceKey { project: None, ..key };
    let error = world.apply(vec![put(&nowhere, json!({}))]).await.unwrap_err();
    assert_eq!(error.to_string(), "a Function needs a project");
    let inside = ResourceKey { project: Some(name("shop")), ..project("shop") };
    let error = world.store.get(&inside).await.unwrap_err();
    assert_eq!(error.to_string(), "a Project belongs to no project");
    assert!(world.store.list(Kind::Function, None, None, 1).await.is_err());
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let world = World::new().await;
    let clone = world.store.clone();
    world.store.close().await.unwrap();
    assert!(matches!(clone.get(&project("shop")).await, Err(Error::Closed)));
    assert!(matches!(world.apply(vec![]).await, Err(Error::Closed)));
    assert!(matches!(clone.close().await, Err(Error::Closed)));
}
