//! Asynchronous calls, schedules, dead letters, triggers, schemas, why: through the API.

use http::Method;
use serde_json::{Value, json};

use crate::world::{Answer, Send, World};

const SHOP: &str = "/api/v1/projects/shop";

impl World {
    async fn post_shop(&self, path: &str, body: Value) -> Answer {
        let send = Send {
            token: &self.admin,
            content_type: "application/json",
            body: body.to_string().into(),
            ..Send::default()
        };
        self.api(Method::POST, &format!("{SHOP}{path}"), send).await
    }

    async fn delete_shop(&self, path: &str) -> Answer {
        let send = Send { token: &self.admin, ..Send::default() };
        self.api(Method::DELETE, &format!("{SHOP}{path}"), send).await
    }

    async fn shop(&self, path: &str) -> Answer {
        self.get(&format!("{SHOP}{path}")).await
    }

    async fn apply_shop(&self, kind: &str, name: &str, spec: Value) -> Answer {
        let resource = json!({
            "apiVersion": "nexus/v1", "kind": kind,
            "metadata": { "project": "shop", "name": name }, "spec": spec,
        });
        let send = Send {
            token: &self.admin,
            content_type: "application/json",
            body: resource.to_string().into(),
            ..Send::default()
        };
        self.api(Method::POST, "/api/v1/apply", send).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_call_answers_with_its_place() {
    let world = World::new().await;
    world.deploy("hello", "event echo").await;
    let accepted = world.post_shop("/functions/hello/invoke?async=true", json!({ "n": 1 })).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    let id = accepted.json()["invocation"].as_str().unwrap().to_owned();
    assert_eq!(accepted.header("nexus-invocation-id"), id);
    let location = accepted.header("location").to_owned();
    assert_eq!(location, format!("{SHOP}/invocations/{id}/result"));
    let result = world.get(&format!("{location}?wait=30s")).await;
    assert_eq!((result.status.as_u16(), result.json()), (200, json!({ "n": 1 })));
    let why = world.shop(&format!("/why/{id}")).await.json();
    assert_eq!(why["items"][0]["state"], "succeeded");
    let cancelled = world.post_shop(&format!("/invocations/{id}/cancel"), json!({})).await;
    assert_eq!(cancelled.problem(), "409 NX3002");
    let signal = world.post_shop(&format!("/invocations/{id}/signals/go"), json!({})).await;
    assert_eq!(signal.problem(), "409 NX5012");
    let wrong = world.get(&format!("{location}?wait=2m")).await;
    assert_eq!(wrong.problem(), "400 NX1001");
    assert_eq!(world.shop("/why/nonsense").await.problem(), "400 NX1001");
    let wrong = world.post_shop("/functions/hello/invoke?async=maybe", json!({})).await;
    assert_eq!(wrong.problem(), "400 NX1001");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_on_disk_and_its_result_are_one_request() {
    let world = World::new().await;
    world.deploy("hello", "event echo").await;
    world.deploy("slow", "event hang").await;
    let call = |function: &str, query: &str| {
        let path = format!("/functions/{function}/invoke?{query}");
        let world = &world;
        async move { world.post_shop(&path, json!({ "n": 1 })).await }
    };
    let done = call("hello", "async=true&wait=30s").await;
    assert_eq!((done.status.as_u16(), done.json()), (200, json!({ "n": 1 })));
    let pending = call("slow", "async=true&wait=50ms").await;
    let id = pending.header("nexus-invocation-id").to_owned();
    assert_eq!(pending.status, 202, "{}", pending.text());
    assert_eq!(pending.header("content-type"), "application/vnd.nexus.pending+json");
    assert_eq!(pending.header("location"), format!("{SHOP}/invocations/{id}/result"));
    for wrong in ["async=true&wait=2m", "async=true&wait=soon", "wait=1s"] {
        assert_eq!(call("hello", wrong).await.problem(), "400 NX1001", "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_happen_later_or_not_at_all() {
    let world = World::new().await;
    let event = json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": 1 });
    let send = Send {
        token: &world.admin,
        content_type: "application/cloudevents+json",
        body: event.to_string().into(),
        ..Send::default()
    };
    let path = format!("{SHOP}/events?at=2029-01-01T00:00:00Z");
    let accepted = world.api(Method::POST, &path, send).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    let id = accepted.json()["events"][0]["id"].as_str().unwrap().to_owned();
    let listed = world.shop("/schedules").await.json();
    assert_eq!(listed["items"][0]["id"], id);
    assert_eq!(listed["items"][0]["due"], "2029-01-01T00:00:00Z");
    assert_eq!(world.delete_shop(&format!("/schedules/{id}")).await.status, 204);
    assert_eq!(world.delete_shop(&format!("/schedules/{id}")).await.problem(), "404 NX3001");
    let why = world.shop(&format!("/why/{id}")).await.json();
    assert_eq!(why["items"][0]["state"], "cancelled");
    let cancelled = world.post_shop(&format!("/events/{id}/cancel"), json!({})).await;
    assert_eq!(cancelled.problem(), "409 NX3002");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_an_event_led_to_is_cancelled_by_its_id() {
    let world = World::new().await;
    let retry = json!({
        "on": { "events": [{ "type": "t" }] },
        "delivery": { "retry": { "attempts": 2, "first": "1h" } },
    });
    world.deploy_with("one", "event fail", Some(retry.clone())).await;
    world.deploy_with("two", "event fail", Some(retry)).await;
    let event = json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": 1 });
    let send = Send {
        token: &world.admin,
        content_type: "application/cloudevents+json",
        body: event.to_string().into(),
        ..Send::default()
    };
    let sent = world.api(Method::POST, &format!("{SHOP}/events"), send).await.json();
    let id = sent["events"][0]["id"].as_str().unwrap().to_owned();
    let states = async || -> Vec<Value> {
        let why = world.shop(&format!("/why/{id}")).await.json();
        why["items"].as_array().unwrap().iter().map(|at| at["state"].clone()).collect()
    };
    while states().await != ["waiting", "waiting"] {
        tokio::task::yield_now().await;
    }
    let cancelled = world.post_shop(&format!("/events/{id}/cancel?reason=enough"), json!({})).await;
    assert_eq!((cancelled.status.as_u16(), cancelled.json()), (200, json!({ "count": 2 })));
    assert_eq!(states().await, ["cancelled", "cancelled"]);
    let again = world.post_shop(&format!("/events/{id}/cancel"), json!({})).await;
    assert_eq!(again.problem(), "409 NX3002");
    let unknown = world.post_shop("/events/nonsense/cancel", json!({})).await;
    assert_eq!(unknown.problem(), "400 NX1001");
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_and_schemas_are_resources_with_views() {
    let world = World::new().await;
    world.deploy("hello", "event echo").await;
    let spec = json!({ "function": "hello", "cron": { "schedule": "@yearly" } });
    assert_eq!(world.apply_shop("Trigger", "nightly", spec).await.status, 200);
    let listed = world.shop("/triggers").await.json();
    assert_eq!(listed["items"][0]["name"], "nightly");
    assert!(listed["items"][0]["next"].as_str().unwrap().ends_with("-01-01T00:00:00Z"));
    let paused = world.post_shop("/triggers/nightly/pause", json!({})).await.json();
    assert_eq!((&paused["paused"], paused.get("next")), (&json!(true), None));
    let resumed = world.post_shop("/triggers/nightly/resume", json!({})).await.json();
    assert!(resumed["next"].is_string());
    assert_eq!(world.delete_shop("/triggers/nightly").await.status, 204);
    assert_eq!(world.shop("/triggers/nightly").await.problem(), "404 NX3001");
    let spec = json!({ "type": "t", "versions": { "1": { "type": "object" } } });
    assert_eq!(world.apply_shop("Schema", "thing", spec).await.status, 200);
    let listed = world.shop("/schemas").await.json();
    assert_eq!(
        (&listed["items"][0]["name"], &listed["items"][0]["versions"]),
        (&json!("thing"), &json!([1]))
    );
    let event = json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": 1 });
    let send = Send {
        token: &world.admin,
        content_type: "application/cloudevents+json",
        body: event.to_string().into(),
        ..Send::default()
    };
    let checked = world.api(Method::POST, &format!("{SHOP}/schemas/check"), send).await.json();
    assert_eq!((&checked["valid"], &checked["schema"]), (&json!(false), &json!("thing")));
    assert_eq!(world.shop("/schemas/infer?type=none").await.problem(), "404 NX3001");
    assert_eq!(world.delete_shop("/schemas/thing").await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_counted_shown_and_redriven() {
    let world = World::new().await;
    let on = json!({ "on": { "events": [{ "type": "t" }] } });
    world.deploy_with("hello", "event refuse", Some(on)).await;
    let event = json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": 1 });
    let send = Send {
        token: &world.admin,
        content_type: "application/cloudevents+json",
        body: event.to_string().into(),
        ..Send::default()
    };
    let sent = world.api(Method::POST, &format!("{SHOP}/events"), send).await.json();
    let id = sent["events"][0]["id"].as_str().unwrap().to_owned();
    while world.shop("/dead-letters").await.json()["items"] == json!([]) {
        tokio::task::yield_now().await;
    }
    let listed = world.shop("/dead-letters?type=t&function=hello").await.json();
    assert_eq!(listed["items"][0]["event"], id);
    assert_eq!(world.shop("/dead-letters?code=NX0000").await.json()["items"], json!([]));
    let counts = world.shop("/dead-letters/counts").await.json();
    assert_eq!(counts["items"][0]["count"], 1);
    let shown = world.shop(&format!("/dead-letters/{id}")).await.json();
    assert_eq!(shown["items"][0]["history"][0]["status"], "refused");
    assert_eq!(shown["items"][0]["content"]["event"]["data"], 1);
    let unstated = world.post_shop("/dead-letters/redrive", json!({})).await;
    assert_eq!(unstated.problem(), "400 NX1001");
    let filter = json!({ "filter": { "event": id }, "dry_run": true });
    let dry = world.post_shop("/dead-letters/redrive", filter).await.json();
    assert_eq!(dry, json!({ "matched": 1, "done": 0 }));
    let edited = json!({ "filter": { "event": id }, "data": { "fixed": true } });
    let redriven = world.post_shop("/dead-letters/redrive", edited).await.json();
    assert_eq!(redriven["done"], 1);
    assert!(redriven["replaced_by"].as_str().unwrap().starts_with("evt_"), "{redriven}");
    while world.shop("/dead-letters").await.json()["items"] == json!([]) {
        tokio::task::yield_now().await;
    }
    let drop = json!({ "all": true, "reason": "a test" });
    assert_eq!(world.post_shop("/dead-letters/drop", drop).await.json()["done"], 1);
}
