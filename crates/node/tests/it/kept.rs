//! What the log and the blob store cannot take, hold no more, or have lost.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nexus_model::record::Status;
use nexus_model::{Code, Digest, Event, EventId, InvocationId};
use nexus_store::{Blobs, blob_file};
use nexus_testkit::{Faults, SimDisk};
use serde_json::json;

use crate::world::{World, admin, invocation_of, name, spec, text};

const STEP: Duration = Duration::from_millis(10);

async fn emit(world: &World, number: u32) -> Result<EventId, nexus_node::Error> {
    let event = Event {
        data: Some(vec![b'x'; 20_000].into()),
        ..Event::new(number.to_string(), "/s", "t")
    };
    let accepted = world.node.emit(&admin(), &name("shop"), vec![event]).await?;
    Ok(accepted.events[0].id)
}

/// Waits until the readiness is as wanted; the reasons.
async fn until_ready(world: &World, wanted: bool) -> String {
    for _ in 0..2_000 {
        let found = world.node.ready();
        if found.ready == wanted {
            return found.reasons.join("; ");
        }
        tokio::time::sleep(STEP).await;
    }
    panic!("{:?}", world.node.ready().reasons);
}

#[tokio::test]
async fn a_node_whose_log_is_full_is_not_ready_until_there_is_space() {
    let sim = SimDisk::new(1);
    let world = World::with_small_log(Arc::new(sim.clone())).await;
    until_ready(&world, true).await;
    sim.set_faults(Faults { capacity: Some(0), ..Faults::default() });
    let mut number = 0;
    let refused = loop {
        number += 1;
        match emit(&world, number).await {
            Ok(_) => assert!(number < 1_000),
            Err(error) => break error,
        }
    };
    assert_eq!(refused.code(), Code::Storage, "{refused}");
    let reasons = until_ready(&world, false).await;
    assert!(
        reasons.contains("the disk of the server is full, so nothing can be recorded: free space"),
        "{reasons}"
    );
    assert!(!reasons.contains('/'), "paths of the server are nobody's business: {reasons}");
    // Nobody sends anything meanwhile.
    sim.set_faults(Faults::default());
    assert_eq!(until_ready(&world, true).await, "");
    emit(&world, number).await.unwrap();
}

#[tokio::test]
async fn what_retention_removed_is_not_said_never_to_have_been() {
    let world = World::with_small_log(Arc::new(SimDisk::new(2))).await;
    let first = emit(&world, 0).await.unwrap();
    let unknown = EventId::from_bytes(*first.as_bytes());
    let before = InvocationId::from_bytes(*first.as_bytes());
    for number in 1..60 {
        emit(&world, number).await.unwrap();
    }
    let never = async |world: &World| {
        let ctx = admin();
        let shop = name("shop");
        [
            world.node.invocation(&ctx, before).await.unwrap_err(),
            world
                .node
                .replay(&ctx, before, nexus_node::ReplayOptions::default())
                .await
                .unwrap_err(),
            world.node.why_invocation(&ctx, &shop, before).await.unwrap_err(),
        ]
    };
    for error in never(&world).await {
        assert_eq!(error.code(), Code::NotFound, "nothing was removed yet: {error}");
    }
    for _ in 0..2_000 {
        if world.node.enforce_retention().await.unwrap().first_sequence > 10 {
            break;
        }
        tokio::time::sleep(STEP).await;
    }
    let event = world.node.event(&admin(), unknown).await.unwrap_err();
    for error in never(&world).await.into_iter().chain([event]) {
        assert_eq!(error.code(), Code::Gone, "{error}");
        assert!(error.detail().contains("removed by retention"), "{error}");
        assert!(error.detail().contains("the log holds what happened since 20"), "{error}");
        assert!(error.hint().unwrap().contains("log.retention"), "{error}");
    }
    let (time, rest) = first.as_bytes().split_at(6);
    let young: Vec<u8> = [&[time[0], time[1], 0xff, 0, 0, 0], rest].concat();
    let young = InvocationId::from_bytes(young.try_into().unwrap());
    let error = world.node.invocation(&admin(), young).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound, "{error}");
}

/// The body of an echo that lies in the blob store, and the call that has it.
async fn with_large_body(world: &World) -> (Digest, InvocationId, Blobs) {
    let on = spec(json!({ "on": { "http": [{ "path": "/hello", "auth": "none" }] } }));
    world.deploy("hello", "http echo", on).await;
    let body = "x".repeat(300_000);
    let response = world.post("/hello", &body).await.unwrap();
    let id = invocation_of(&response);
    assert_eq!(text(response).await, body);
    let digest = Digest::of(body.as_bytes());
    let blobs = world.blobs();
    for _ in 0..2_000 {
        let found = world.node.invocation(&admin(), id).await;
        if found.is_ok_and(|view| view.row.status != Status::Running) {
            break;
        }
        tokio::time::sleep(STEP).await;
    }
    assert!(blobs.has(digest).await.unwrap());
    (digest, id, blobs)
}

#[tokio::test]
async fn a_lost_body_is_told_from_one_that_was_not_kept() {
    let world = World::new().await;
    let (digest, id, blobs) = with_large_body(&world).await;
    let report = world.node.log_verify(&admin()).await.unwrap();
    assert!(report.sound() && report.bodies == 1 && report.body_bytes == 300_000, "{report:?}");
    let file = blob_file(digest);
    assert!(blobs.path(digest).ends_with(&file));
    for (how, damage) in [("damaged", Some("other bytes")), ("missing", None)] {
        match damage {
            Some(bytes) => std::fs::write(blobs.path(digest), bytes).unwrap(),
            None => std::fs::remove_file(blobs.path(digest)).unwrap(),
        }
        // The rest of the recording is shown.
        let view = world.node.invocation(&admin(), id).await.unwrap();
        for body in [&view.input["body"], &view.output["body"]] {
            assert_eq!(body["size"], 300_000);
            assert_eq!(body["dropped"], json!(null));
            assert!(body["lost"].as_str().unwrap().contains(&file), "{body}");
        }
        assert_eq!(view.input["method"], "POST");
        // Who needs it hears which file it is, and what to do.
        let options = nexus_node::ReplayOptions::default();
        let error = world.node.replay(&admin(), id, options).await.unwrap_err();
        assert_eq!(error.code(), Code::Storage, "{error}");
        assert!(
            error.detail().contains(&format!("the file {file} of the data folder is {how}")),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("backup"), "{error}");
        assert_eq!(error.retry_after(), None);
        let report = world.node.log_verify(&admin()).await.unwrap();
        assert!(report.damage.is_empty() && !report.sound(), "{report:?}");
        let [lost] = &report.body_damage[..] else { panic!("{report:?}") };
        assert_eq!((&lost.record, lost.digest), (&id.to_string(), digest));
        assert_eq!(lost.what, format!("the file {file} is {how}"));
    }
    let bytes = Bytes::from("x".repeat(300_000));
    blobs.put(bytes).await.unwrap();
    let view = world.node.invocation(&admin(), id).await.unwrap();
    assert_eq!(view.input["body"]["lost"], json!(null));
}
