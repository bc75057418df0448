//! What nobody refers to is removed, and nothing else.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use nexus_model::Digest;
use nexus_node::Collected;
use nexus_store::Blobs;
use serde_json::json;

use crate::world::{World, admin, name, spec};

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
