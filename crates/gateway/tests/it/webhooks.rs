//! Webhooks: signed requests become events, everything else is refused with a reason.

use http::Method;
use nexus_model::OpContext;
use serde_json::{Value, json};

use crate::world::{Answer, Send, World, name};

const EVENTS: &str = "/api/v1/projects/shop/events?data=true";
const GITHUB_KEY: &str = "It's a Secret to Everybody";
const GITHUB_BODY: &str = "Hello, World!";
const GITHUB_SIGNATURE: &str =
    "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

async fn world() -> World {
    let world = World::new().await;
    let ctx = OpContext::system("test");
    world
        .node
        .set_secret(&ctx, &name("shop"), &name("github-key"), GITHUB_KEY.as_bytes())
        .await
        .unwrap();
    let spec = json!({ "on": { "webhooks": [
        { "path": "/hooks/github", "verify": "github", "secret": "github-key" },
        { "path": "/hooks/open", "verify": "none", "type": "com.shop.pinged" },
    ] } });
    world.deploy_with("hook", "event echo", Some(spec)).await;
    world
}

async fn github(world: &World, delivery: &str, signature: &str) -> Answer {
    let headers = [
        ("x-hub-signature-256", signature),
        ("x-github-delivery", delivery),
        ("x-github-event", "push"),
    ];
    let send = Send {
        content_type: "application/json",
        headers: &headers,
        body: GITHUB_BODY.into(),
        ..Send::default()
    };
    world.call(Method::POST, "/hooks/github", send).await
}

async fn events(world: &World) -> Vec<Value> {
    let listed = world.get(EVENTS).await.json();
    let own =
        |at: &&Value| !at["event"]["type"].as_str().unwrap().starts_with("dev.nexus.resource");
    listed["items"].as_array().unwrap().iter().filter(own).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_request_becomes_one_event_however_often_it_comes() {
    let world = world().await;
    let first = github(&world, "d-1", GITHUB_SIGNATURE).await;
    assert_eq!(first.status, 202, "{}", first.text());
    let again = github(&world, "d-1", GITHUB_SIGNATURE).await;
    assert_eq!(
        (&again.json()["id"], &again.json()["duplicate"]),
        (&first.json()["id"], &json!(true))
    );
    let events = events(&world).await;
    assert_eq!(events.len(), 1);
    let event = &events[0]["event"];
    assert_eq!(events[0]["principal"], "anonymous");
    assert_eq!(event["type"], "dev.nexus.webhook");
    assert_eq!(event["source"], "/nexus/shop/hook/hooks/github");
    assert_eq!((&event["id"], &event["subject"]), (&json!("d-1"), &json!("push")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_request_is_refused_with_its_reason() {
    let world = world().await;
    let wrong = github(&world, "d-1", &GITHUB_SIGNATURE.replace('7', "8")).await;
    assert_eq!(wrong.problem(), "401 NX2003");
    assert_eq!(wrong.json()["detail"], "no signature fits the body (github)");
    let missing = world.call(Method::POST, "/hooks/github", Send::default()).await;
    assert_eq!(missing.json()["detail"], "the header x-hub-signature-256 is missing (github)");
    let below = world.call(Method::POST, "/hooks/github/x", Send::default()).await;
    assert_eq!(below.problem(), "404 NX3003");
    let get = world.call(Method::GET, "/hooks/github", Send::default()).await;
    assert_eq!(get.problem(), "405 NX1007");
    let body = vec![b'x'; nexus_model::limits::EVENT_BYTES_MAX + 1];
    let send = Send { body: body.into(), ..Send::default() };
    let large = world.call(Method::POST, "/hooks/open", send).await;
    assert_eq!(large.problem(), "413 NX1003");
    assert!(events(&world).await.is_empty());
    // A new key holds at once.
    let ctx = OpContext::system("test");
    let (shop, key) = (name("shop"), name("github-key"));
    assert_eq!(github(&world, "d-2", GITHUB_SIGNATURE).await.status, 202);
    world.node.set_secret(&ctx, &shop, &key, b"other").await.unwrap();
    assert_eq!(github(&world, "d-3", GITHUB_SIGNATURE).await.problem(), "401 NX2003");
    // Without one it is the webhook that is wrong, not the request.
    world.node.set_secret(&ctx, &shop, &key, b"").await.unwrap();
    let unusable = github(&world, "d-4", GITHUB_SIGNATURE).await;
    assert_eq!(unusable.problem(), "503 NX2006");
    assert_eq!(
        unusable.json()["detail"],
        "secret 'github-key' is no signing key for 'github': it is empty"
    );
    assert!(unusable.json()["hint"].as_str().unwrap().ends_with("nexus secrets set github-key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_webhook_takes_everybody_and_senders_may_ask_first() {
    let world = world().await;
    let headers =
        [("webhook-request-origin", "eventemitter.example.com"), ("webhook-request-rate", "120")];
    for path in ["/hooks/open", "/.nexus/v1/projects/shop/events"] {
        let send = Send { headers: &headers, ..Send::default() };
        let asked = world.call(Method::OPTIONS, path, send).await;
        assert_eq!(asked.status, 204, "{}", asked.text());
        assert_eq!(asked.header("webhook-allowed-origin"), "eventemitter.example.com");
        assert_eq!(asked.header("webhook-allowed-rate"), "*");
        assert_eq!(asked.header("allow"), "OPTIONS, POST");
    }
    let send = Send {
        content_type: "application/json",
        body: r#"{"type":"ping","n":1}"#.into(),
        ..Send::default()
    };
    let sent = world.call(Method::POST, "/hooks/open", send).await;
    assert_eq!(sent.status, 202, "{}", sent.text());
    let event = events(&world).await[0]["event"].clone();
    assert_eq!((&event["type"], &event["subject"]), (&json!("com.shop.pinged"), &json!("ping")));
    assert_eq!(event["data"], json!({ "type": "ping", "n": 1 }));
}
