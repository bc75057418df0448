//! Triggers and schemas as resources.

use http::Method;
use nexus_model::resource::{Kind, Resource, ResourceKey};
use nexus_model::{Code, Event};
use serde_json::{Value, json};

use crate::world::{World, admin, name, spec};

fn resource(kind: Kind, text: &str, spec: Value) -> Resource {
    let key = ResourceKey { kind, project: Some(name("shop")), name: name(text) };
    Resource::new(&key, spec)
}

fn trigger(text: &str, spec: Value) -> Resource {
    resource(Kind::Trigger, text, spec)
}

async fn refused(world: &World, resource: Resource) -> String {
    let error = world.node.apply(&admin(), vec![resource]).await.unwrap_err();
    format!("{} {}", error.code(), error.detail())
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_of_triggers_come_go_and_do_not_clash() {
    let world = World::new().await;
    world
        .deploy("orders", "http echo", spec(json!({ "on": { "http": [{ "path": "/orders" }] } })))
        .await;
    world.deploy("one", "http echo", None).await;
    let route = |path: &str| json!({ "function": "one", "http": { "path": path } });
    let by_id = trigger("by-id", route("/orders/{id}"));
    world.node.apply(&admin(), vec![by_id.clone()]).await.unwrap();
    let at = |path: &str| world.routed("shop.localhost", Method::GET, path);
    assert_eq!(
        (at("/orders"), at("/orders/7"), at("/orders/7/x")),
        ("orders".into(), "one".into(), "orders".into())
    );
    let clash = refused(&world, trigger("other", route("/orders/{number}"))).await;
    assert!(clash.contains("NX3002") && clash.contains("trigger 'by-id'"), "{clash}");
    // A new version of the function is what the trigger leads to.
    world.deploy("one", "http status 201", None).await;
    assert_eq!(world.post("/orders/7", "").await.unwrap().status(), 201);
    let error =
        world.node.delete_function(&admin(), &name("shop"), &name("one")).await.unwrap_err();
    assert!(error.code() == Code::Conflict && error.detail().contains("by-id"), "{error}");
    world.node.delete_resource(&admin(), &by_id.key(), None).await.unwrap();
    assert_eq!(at("/orders/7"), "orders");
    world.node.delete_function(&admin(), &name("shop"), &name("one")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_triggers_name_the_field() {
    let world = World::new().await;
    world.deploy("f", "event echo", None).await;
    let of = |rest: Value| {
        let mut spec = json!({ "function": "f" });
        spec.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        trigger("t", spec)
    };
    for (rest, expected) in [
        (json!({}), "spec: states exactly one of"),
        (json!({ "event": {}, }), "spec.event: states nothing"),
        (
            json!({ "event": { "type": "a", "filters": [{ "sql": "1 +" }] } }),
            "spec.event.filters[0]",
        ),
        (json!({ "cron": { "schedule": "61 * * * *" } }), "spec.cron.schedule"),
        (json!({ "cron": { "schedule": "@daily", "zone": "Mars/Base" } }), "spec.cron.zone"),
        (json!({ "webhook": { "path": "/h" } }), "spec.webhook.secret"),
        (json!({ "webhook": { "path": "/h/{id}", "verify": "none" } }), "spec.webhook.path"),
        (json!({ "http": { "path": "/a/{id" } }), "spec.http.path"),
        (json!({ "http": { "path": "/a" }, "paused": true }), "spec.paused"),
        (
            json!({ "event": { "type": "a" }, "delivery": { "retry": { "factor": 99.0 } } }),
            "spec.delivery.retry.factor",
        ),
        (
            json!({ "event": { "type": "a" }, "delivery": { "retry": { "attempts": 100_000 } } }),
            "spec.delivery.retry.attempts",
        ),
        (
            json!({ "event": { "type": "a" }, "delivery": { "batch": { "size": 0, "wait": "1s" } } }),
            "spec.delivery.batch.size",
        ),
        (
            json!({ "event": { "type": "a" }, "delivery": { "key": "{type}{id}" } }),
            "spec.delivery.key",
        ),
        (
            json!({ "event": { "type": "a" }, "delivery": { "transform": ".a |" } }),
            "spec.delivery.transform",
        ),
        (
            json!({ "event": { "type": "a" }, "delivery": { "on-success": {} } }),
            "spec.delivery.on-success",
        ),
        (
            json!({ "event": { "type": "a" }, "delivery": { "fallback": "nobody" } }),
            "spec.delivery.fallback",
        ),
    ] {
        let error = refused(&world, of(rest.clone())).await;
        assert!(error.contains(expected), "{rest}\n{error}\nlacks {expected}");
    }
    let lost = trigger("t", json!({ "function": "nobody", "event": { "type": "a" } }));
    assert!(refused(&world, lost).await.contains("spec.function"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_trigger_works_at_once_pauses_and_goes_on() {
    let world = World::new().await;
    world.deploy("f", "event echo", None).await;
    let shop = name("shop");
    let on_shop = json!({ "function": "f", "event": { "type": "com.shop.*" } });
    world.node.apply(&admin(), vec![trigger("t", on_shop)]).await.unwrap();
    let views = world.node.triggers(&admin(), &shop).await.unwrap();
    assert_eq!(views.len(), 1);
    let paused = world.node.pause_trigger(&admin(), &shop, &name("t")).await.unwrap();
    assert!(paused.spec.paused);
    let event = Event::new("1", "/s", "com.shop.a");
    let sent = world.node.emit(&admin(), &shop, vec![event]).await.unwrap().events[0].id;
    let why = world.node.why_event(&admin(), &shop, sent).await.unwrap();
    assert_eq!((why[0].function.as_str(), why[0].state.as_str()), ("f", "queued"));
    assert!(why[0].answer.contains("paused"), "{}", why[0].answer);
    assert_eq!(why[0].hint, "let it go on: nexus triggers resume t");
    assert_eq!(world.node.trigger(&admin(), &shop, &name("t")).await.unwrap().pending, 1);
    world.node.resume_trigger(&admin(), &shop, &name("t")).await.unwrap();
    loop {
        let why = world.node.why_event(&admin(), &shop, sent).await.unwrap();
        if why[0].state == "succeeded" {
            break;
        }
        tokio::task::yield_now().await;
    }
    // What the function states itself did not call it.
    let own = spec(json!({ "on": { "events": [{ "type": "com.never" }] } }));
    world.deploy("f", "event echo", own).await;
    let views = world.node.triggers(&admin(), &shop).await.unwrap();
    let last: Vec<_> = views
        .iter()
        .map(|view| (view.name.as_ref().map(ToString::to_string), view.last.is_some()))
        .collect();
    assert_eq!(last, [(Some("t".to_owned()), true), (None, false)]);
    let call = views[0].last.clone().unwrap();
    let view = world.node.invocation(&admin(), call.invocation).await.unwrap();
    assert_eq!((view.cause_event, call.status), (Some(sent), view.row.status));
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_warn_or_refuse_as_the_project_says() {
    let world = World::new().await;
    let shop = name("shop");
    let schema = |versions: Value| {
        resource(Kind::Schema, "order", json!({ "type": "com.shop.order", "versions": versions }))
    };
    let first = json!({ "1": { "type": "object", "required": ["id"] } });
    world.node.apply(&admin(), vec![schema(first)]).await.unwrap();
    let key = ResourceKey { kind: Kind::Project, project: None, name: shop.clone() };
    let mode = |mode: &str| Resource::new(&key, json!({ "schemas": mode }));
    let order = |id: &str, data: Value| {
        let mut event = Event::new(id, "/s", "com.shop.order");
        event.datacontenttype = Some("application/json".into());
        event.data = Some(data.to_string().into());
        event
    };
    let wrong = || vec![order("1", json!({ "id": 1 })), order("2", json!({}))];
    let accepted = world.node.emit(&admin(), &shop, wrong()).await.unwrap();
    assert!(accepted.events.iter().all(|at| at.warning.is_none()), "off by default");
    world.node.apply(&admin(), vec![mode("warn")]).await.unwrap();
    let accepted = world.node.emit(&admin(), &shop, wrong()).await.unwrap();
    assert_eq!(accepted.events[0].warning, None);
    let warning = accepted.events[1].warning.as_deref().unwrap();
    assert!(warning.starts_with("schema 'order' version 1: "), "{warning}");
    world.node.apply(&admin(), vec![mode("enforce")]).await.unwrap();
    let error = world.node.emit(&admin(), &shop, wrong()).await.unwrap_err();
    assert_eq!(error.code(), Code::SchemaViolated);
    assert!(error.detail().starts_with("event 1: schema 'order'"), "{error}");
    let breaking = json!({
        "1": { "type": "object", "required": ["id"] },
        "2": { "type": "object", "required": ["id", "total"] },
    });
    let error = refused(&world, schema(breaking)).await;
    assert!(error.starts_with("NX1012") && error.contains("spec.versions.2"), "{error}");
    let twice = resource(
        Kind::Schema,
        "again",
        json!({ "type": "com.shop.order", "versions": { "1": {} } }),
    );
    assert!(refused(&world, twice).await.contains("has the schema 'order' already"));
    let inferred =
        world.node.infer_schema(&admin(), &shop, ("com.shop.order", None)).await.unwrap();
    assert!(inferred.events >= 2 && inferred.schema["properties"]["id"].is_object());
}
