//! Secrets never appear in what is kept, and a replay still sees them.

use std::sync::Arc;

use nexus_exec::{CallInput, Runtime as _, Unit};
use nexus_model::record::Status;
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
async fn a_secret_that_is_gone_is_named() {
    let world = World::of("http").await;
    let (_, record) = world.http("/hello").await;
    let mut unit: Unit = (*world.unit).clone();
    unit.env.retain(|var| var.secret.is_none());
    let prepared = world.runtime.prepare(Arc::new(unit)).await.unwrap();
    let error = prepared.replay(&record, None).await.unwrap_err().to_string();
    assert!(error.contains("version 3 of secret token is gone"), "{error}");
}
