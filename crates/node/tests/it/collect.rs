//! What nobody refers to is removed, and nothing else.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use nexus_model::resource::{Kind, ResourceKey};
use nexus_model::view::{CompareRules, ReplaySelection, Verdict};
use nexus_model::{Code, Digest};
use nexus_node::{Collected, Deploy, ReplayOptions};
use nexus_store::{Blobs, Change, Op};
use nexus_testkit::FakeRuntime;
use serde_json::json;

use crate::world::{World, admin, invocation_of, name, spec};

/// All blobs look as if nobody had used them since 1970.
async fn age(blobs: &Blobs) {
    for blob in blobs.list(None, 1000).await.unwrap() {
        let file = std::fs::File::options().write(true).open(blobs.path(blob.digest)).unwrap();
        file.set_modified(UNIX_EPOCH).unwrap();
    }
}

async fn left(blobs: &Blobs) -> Vec<Digest> {
    blobs.list(None, 1000).await.unwrap().into_iter().map(|blob| blob.digest).collect()
}

/// Versions of deleted functions look as if those had been deleted in 2020.
async fn deleted_long_ago(world: &World) {
    let versions = world.store.scan(Kind::Version, None, 1000).await.unwrap();
    let gone = versions.iter().filter(|at| at.status.get("deleted").is_some());
    let status = json!({ "deleted": "2020-01-01T00:00:00Z" });
    let ops = gone.map(|at| Op::set_status(at.key(), status.clone())).collect();
    world.store.apply(Change::new(admin().principal, ops)).await.unwrap();
}

async fn versions(world: &World) -> usize {
    world.store.scan(Kind::Version, None, 1000).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deleted_function_did_can_be_replayed_as_long_as_it_is_recorded() {
    let world = World::new().await;
    let (shop, f) = (name("shop"), name("f"));
    let sources = nexus_model::Sources {
        files: [("app.py".to_owned(), "x".to_owned())].into(),
        ..Default::default()
    };
    let deploy = Deploy {
        project: shop.clone(),
        name: f.clone(),
        component: "http answers old".into(),
        config: None,
        language: String::new(),
        bundle: None,
        sources: Some(sources.clone()),
        label: "1.0.0".to_owned(),
        candidate: false,
    };
    let old = world.node.deploy(&admin(), deploy.clone()).await.unwrap().version.id;
    let id = invocation_of(&world.post("/f", "").await.unwrap());
    world.log.flush().await.unwrap();
    world.node.delete_function(&admin(), &shop, &f).await.unwrap();
    let replay = async |world: &World| {
        let replayed = world.node.replay(&admin(), id, ReplayOptions::default()).await;
        replayed.map(|view| view.verdict).map_err(|error| error.code())
    };
    assert_eq!(replay(&world).await, Ok(Verdict::Identical));
    let found = world.node.version_sources(&admin(), (&shop, &f), &old.to_string()).await;
    assert_eq!(found.unwrap(), sources);

    // Another function of this name has nothing of it, not even its label.
    let again = world.node.deploy(&admin(), deploy).await.unwrap();
    assert_eq!(again.version.number, 1);
    let versions_now = world.node.versions(&admin(), &shop, &f).await.unwrap();
    assert_eq!(versions_now.iter().map(|at| at.id).collect::<Vec<_>>(), [again.version.id]);
    let back = world.node.make_live(&admin(), (&shop, &f), Some(&old.to_string())).await;
    assert_eq!(back.unwrap_err().code(), Code::NotFound);
    world.node.delete_function(&admin(), &shop, &f).await.unwrap();

    // Only what is recorded keeps its version.
    deleted_long_ago(&world).await;
    world.node.collect().await.unwrap();
    assert_eq!(versions(&world).await, 1);
    assert_eq!(replay(&world).await, Ok(Verdict::Identical));
    let world = world.restart_without_log(FakeRuntime::new()).await;
    world.node.collect().await.unwrap();
    assert_eq!(versions(&world).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suite_keeps_the_version_of_its_recordings() {
    let world = World::new().await;
    let (shop, f) = (name("shop"), name("f"));
    world.deploy("f", "http echo", None).await;
    let id = invocation_of(&world.post("/f", "").await.unwrap());
    world.log.flush().await.unwrap();
    let select = ReplaySelection { ids: vec![id], ..ReplaySelection::default() };
    let about = (String::new(), CompareRules::default());
    world.node.save_suite(&admin(), (&shop, &name("s")), about, &select).await.unwrap();
    world.node.delete_function(&admin(), &shop, &f).await.unwrap();
    deleted_long_ago(&world).await;
    let world = world.restart_without_log(FakeRuntime::new()).await;
    world.node.collect().await.unwrap();
    assert_eq!(versions(&world).await, 1);
    let suite = ResourceKey { kind: Kind::Suite, project: Some(shop), name: name("s") };
    world.node.delete_resource(&admin(), &suite, None).await.unwrap();
    world.node.collect().await.unwrap();
    assert_eq!(versions(&world).await, 0);
}

#[tokio::test]
async fn components_stay_as_long_as_a_version_does() {
    let world = World::new().await;
    let (old, new) = ("http echo", "http echo 2");
    world.deploy("hello", old, None).await;
    world.deploy("hello", new, None).await;
    let blobs = world.blobs();
    blobs.put(Bytes::from_static(b"a deploy that failed")).await.unwrap();
    age(&blobs).await;
    let collected = world.node.collect().await.unwrap();
    assert_eq!(collected, Collected { blobs: 1, blob_bytes: 20, code_bytes: 0 });
    let mut both = [old, new].map(|code| Digest::of(code.as_bytes()));
    both.sort_unstable();
    assert_eq!(left(&blobs).await, both);
    let (project, hello) = (name("shop"), name("hello"));
    world.node.delete_function(&admin(), &project, &hello).await.unwrap();
    // What still runs then may be recorded.
    assert_eq!(world.node.collect().await.unwrap(), Collected::default());
    deleted_long_ago(&world).await;
    let collected = world.node.collect().await.unwrap();
    let bytes = (old.len() + new.len()) as u64;
    assert_eq!(collected, Collected { blobs: 2, blob_bytes: bytes, code_bytes: bytes });
    assert_eq!(left(&blobs).await, []);
}

#[tokio::test]
async fn what_was_used_since_the_oldest_record_stays() {
    let world = World::new().await;
    let on = spec(json!({ "on": { "http": [{ "path": "/hello", "auth": "none" }] } }));
    world.deploy("hello", "http echo", on).await;
    let body = "x".repeat(300_000);
    assert_eq!(world.text("/hello", &body).await, body);
    let blobs = world.blobs();
    let kept = Digest::of(body.as_bytes());
    for _ in 0..500 {
        if blobs.has(kept).await.unwrap() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(world.node.collect().await.unwrap(), Collected::default());
    assert!(blobs.has(kept).await.unwrap());
    // Reading is use: an old blob that somebody needs again is young.
    age(&blobs).await;
    assert!(blobs.get(kept).await.unwrap().is_some());
    assert_eq!(world.node.collect().await.unwrap(), Collected::default());
    age(&blobs).await;
    assert_eq!(world.node.collect().await.unwrap().blobs, 1);
}
