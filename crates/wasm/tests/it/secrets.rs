//! Secrets never appear in what is kept, and a replay still sees them.

use std::sync::Arc;

use nexus_exec::{CallInput, Runtime as _, Unit};
use nexus_model::record::{InvocationRecord, Status};
use nexus_model::view::Verdict;

use super::world::{World, request, text};

const SECRET: &[u8] = b"s3cret-value";

fn contains(bytes: &[u8]) -> bool {
    bytes.windows(SECRET.len()).any(|window| window == SECRET)
}

#[tokio::test]
async fn secrets_are_masked_and_replayed() {
    let world = World::of("http").await;
    let input = request("POST", "/secret", nexus_exec::full_body("unread"));
    let (ended, record) = world.record(world.call(input)).await;
    assert_eq!(ended.status, Status::Succeeded, "{:?} {:?}", ended.failure, ended.logs);
    assert!(!contains(format!("{ended:?}").as_bytes()));
    assert!(!contains(&ended.journal) && !contains(&ended.output.bytes));
    assert_eq!(text(&ended.output.bytes), "plain ************ ************");
    for _ in 0..20 {
        let replayed = world.prepared.replay(&record, None).await.unwrap();
        assert_eq!(replayed.view.divergence, None);
        assert_eq!(replayed.view.verdict, Verdict::Identical);
    }
}

#[tokio::test]
async fn a_secret_in_the_input_is_put_back() {
    let world = World::of("command").await;
    let stdin = bytes::Bytes::from_static(b"first s3cret-value last");
    let call = world.call(CallInput::Command { arguments: Vec::new(), stdin });
    let (ended, record) = world.record(call).await;
    assert_eq!(ended.status, Status::Succeeded);
    assert_eq!(text(&ended.input_body.bytes), "first ************ last");
    let replayed = world.prepared.replay(&record, None).await.unwrap();
    assert_eq!(replayed.view.divergence, None);
}

#[tokio::test]
async fn secrets_in_the_head_of_a_request_are_put_back() {
    let world = World::of("http").await;
    // The guest sends its query on, so that one with filler in it asks for something else.
    let input = request("POST", "/post?s3cret-value", nexus_exec::full_body("s3cret-value"));
    let CallInput::Http(mut input) = input else { unreachable!() };
    let authorization = "Bearer s3cret-value";
    input.headers_mut().insert("authorization", authorization.parse().unwrap());
    let (ended, record) = world.record(world.call(CallInput::Http(input))).await;
    assert_eq!(ended.status, Status::Succeeded, "{:?} {:?}", ended.failure, ended.logs);
    assert!(!contains(format!("{record:?}").as_bytes()), "{record:?}");
    assert_eq!(record.input_masks.len(), 2);

    let (replayed, mut scene) = world.prepared.witness(&record, None).await.unwrap();
    assert_eq!((replayed.view.verdict, replayed.view.divergence), (Verdict::Identical, None));
    let whole = format!("{:?}", scene.input);
    assert!(whole.contains(authorization) && whole.contains("/post?s3cret-value"), "{whole}");
    scene.mask_secrets();
    assert!(!contains(format!("{:?}", scene.input).as_bytes()), "a case has none of it");

    let without = InvocationRecord { input_masks: Vec::new(), ..record };
    let replayed = world.prepared.replay(&without, None).await.unwrap();
    assert_ne!(replayed.view.divergence, None, "the guest needs the bytes that it saw");
}

#[tokio::test]
async fn a_secret_among_arguments_is_put_back() {
    let world = World::of("command").await;
    let (ended, record) = world.command(&["s3cret-value"], "").await;
    assert!(!contains(format!("{record:?}").as_bytes()), "{record:?}");
    assert_eq!((ended.status, record.input_masks.len()), (Status::Succeeded, 1));
    let replayed = world.prepared.replay(&record, None).await.unwrap();
    assert_eq!(replayed.view.divergence, None);
}

#[tokio::test]
async fn a_secret_that_is_gone_is_named() {
    let world = World::of("http").await;
    let (_, record) = world.http("/hello").await;
    let mut unit: Unit = (*world.unit).clone();
    unit.env.retain(|var| var.secret.is_none());
    let prepared = world.runtime.prepare(Arc::new(unit)).await.unwrap();
    let error = prepared.replay(&record, None).await.unwrap_err().to_string();
    assert!(error.contains("version 3 of secret token is gone"), "{error}");
}
