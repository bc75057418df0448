//! CloudEvents over HTTP, through both doors.

use http::Method;
use nexus_model::Scope;
use serde_json::json;

use crate::world::{Answer, Send, World};

const API: &str = "/api/v1/projects/shop/events";
const INGRESS: &str = "/.nexus/v1/projects/shop/events";
const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

fn event(id: &str) -> String {
    json!({ "specversion": "1.0", "id": id, "source": "/s", "type": "com.shop.order", "data": { "n": 1 } })
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_events_are_refused() {
    let world = World::new().await;
    let token = world.token(&[Scope::Emit]).await;
    for (content_type, coding, expected) in [
        ("application/json", "gzip", 415),
        (STRUCTURED, "gzip", 415),
        (BATCH, "br", 415),
        (STRUCTURED, "identity", 202),
    ] {
        let headers = [
            ("content-encoding", coding),
            ("ce-specversion", "1.0"),
            ("ce-id", "b"),
            ("ce-source", "/s"),
            ("ce-type", "t"),
        ];
        let body = event("x").into();
        let send = Send { token: &token, content_type, headers: &headers, body };
        for answer in [
            world.api(Method::POST, API, send.clone()).await,
            world.call(Method::POST, INGRESS, send).await,
        ] {
            assert_eq!(answer.status, expected, "{coding}: {}", answer.text());
        }
    }
}

/// Each attempt has a span of its own in one trace, which the event says too.
#[tokio::test(flavor = "multi_thread")]
async fn all_that_an_event_leads_to_is_one_trace() {
    let world = World::new().await;
    let spec = json!({ "on": { "events": [{ "type": "com.shop.*" }] } });
    for function in ["one", "two"] {
        world.deploy_with(function, "event echo", Some(spec.clone())).await;
    }
    let send = Send {
        token: &world.admin,
        content_type: STRUCTURED,
        body: event("t").into(),
        ..Send::default()
    };
    let accepted = world.api(Method::POST, API, send).await.json();
    let id = accepted["events"][0]["id"].as_str().unwrap().to_owned();
    let listed = format!("/api/v1/projects/shop/invocations?event={id}");
    let rows = loop {
        let found = world.get(&listed).await.json()["items"].as_array().unwrap().clone();
        let ended = found.iter().filter(|row| row["status"] == "succeeded").count();
        if ended == 2 {
            break found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    let trace = rows[0]["trace_id"].as_str().unwrap();
    assert_eq!((trace.len(), rows[1]["trace_id"].as_str()), (32, Some(trace)));
    let shown = world.get(&format!("{API}/{id}")).await.json();
    assert!(shown["traceparent"].as_str().unwrap().contains(trace), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_three_modes_through_both_doors() {
    let world = World::new().await;
    let token = world.token(&[Scope::Emit]).await;
    let headers =
        [("ce-specversion", "1.0"), ("ce-id", "b"), ("ce-source", "/s"), ("ce-type", "t%20x")];
    let binary =
        Send { token: &token, content_type: "text/plain", headers: &headers, body: "data".into() };
    let structured = Send {
        token: &token,
        content_type: STRUCTURED,
        body: event("s").into(),
        ..Send::default()
    };
    let body = format!("[{},{}]", event("1"), event("2"));
    let batch = Send { token: &token, content_type: BATCH, body: body.into(), ..Send::default() };
    for (round, sends) in [(0, [&binary, &structured, &batch]), (1, [&binary, &structured, &batch])]
    {
        for (send, count) in sends.into_iter().zip([1, 1, 2]) {
            let answer = match round {
                0 => world.api(Method::POST, API, send.clone()).await,
                _ => world.call(Method::POST, INGRESS, send.clone()).await,
            };
            assert_eq!(answer.status, 202, "{}", answer.text());
            let accepted = answer.json()["events"].as_array().unwrap().clone();
            assert_eq!(accepted.len(), count);
            // The second door finds what came through the first.
            assert!(accepted.iter().all(|at| at["duplicate"] == (round == 1)), "{accepted:?}");
        }
    }
    let listed = world.get(&format!("{API}?data=true")).await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 4);
    let first = &listed["items"][3]["event"];
    assert_eq!((&first["type"], &first["data"]), (&json!("t x"), &json!("data")));
    let id = listed["items"][0]["id"].as_str().unwrap();
    assert_eq!(world.get(&format!("{API}/{id}")).await.json()["event"]["id"], "2");
    let wrong = world.get(&format!("/api/v1/projects/other/events/{id}")).await;
    assert_eq!(wrong.problem(), "404 NX3001");
    let page = world.get(&format!("{API}?limit=3")).await.json();
    let next = page["next"].as_str().unwrap();
    let rest = world.get(&format!("{API}?limit=3&cursor={next}")).await.json();
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    assert!(rest.get("next").is_none());
}

fn detail(answer: &Answer) -> String {
    answer.json()["detail"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_events_are_refused_and_nothing_is_kept() {
    let world = World::new().await;
    let token = world.token(&[Scope::Emit]).await;
    let post = |content_type: &'static str, body: String| {
        let send = Send { token: &token, content_type, body: body.into(), ..Send::default() };
        world.call(Method::POST, INGRESS, send)
    };
    let answer = post(BATCH, format!("[{},{{}}]", event("1"))).await;
    assert_eq!(answer.problem(), "400 NX1002");
    assert!(detail(&answer).starts_with("event 1 of the batch: "), "{}", detail(&answer));
    let answer = post("text/plain", "no headers".into()).await;
    assert_eq!(answer.problem(), "400 NX1002");
    assert!(answer.json()["hint"].as_str().unwrap().contains("ce-specversion"));
    assert_eq!(post("application/cloudevents+avro", "x".into()).await.problem(), "415 NX1004");
    let data = "a".repeat(nexus_model::limits::EVENT_BYTES_MAX);
    let large =
        json!({ "specversion": "1.0", "id": "l", "source": "/s", "type": "t", "data": data });
    assert_eq!(post(STRUCTURED, large.to_string()).await.problem(), "413 NX1003");
    let larger = " ".repeat(nexus_model::limits::BATCH_BYTES_MAX + 1);
    assert_eq!(post(BATCH, larger).await.problem(), "413 NX1003");
    let listed = world.get(API).await.json();
    assert_eq!(listed["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_door_on_the_ingress_takes_emit_tokens_only() {
    let world = World::new().await;
    let send = |token: &str| {
        let token = token.to_owned();
        let world = &world;
        async move {
            let send = Send {
                token: &token,
                content_type: STRUCTURED,
                body: event("1").into(),
                ..Send::default()
            };
            world.call(Method::POST, INGRESS, send).await
        }
    };
    assert_eq!(send("").await.problem(), "401 NX2001");
    let read = world.token(&[Scope::Read]).await;
    assert_eq!(send(&read).await.problem(), "403 NX2002");
    let get = world.call(Method::GET, INGRESS, Send::default()).await;
    assert_eq!((get.problem().as_str(), get.header("allow")), ("405 NX1007", "OPTIONS, POST"));
    let other = world.call(Method::GET, "/.nexus/v1/else", Send::default()).await;
    assert_eq!(other.problem(), "404 NX3003");
    let emit = world.token(&[Scope::Emit]).await;
    let foreign = "/.nexus/v1/projects/other/events";
    let send =
        Send { token: &emit, content_type: STRUCTURED, body: event("1").into(), ..Send::default() };
    assert_eq!(world.call(Method::POST, foreign, send).await.problem(), "404 NX3001");
}
