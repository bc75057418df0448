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
async fn a_webhook_without_a_usable_key_is_refused_when_it_is_declared() {
    let world = World::new().await;
    let hook = |secret: &str| json!({ "path": "/hook", "secret": secret });
    let own = |secret: &str| spec(json!({ "on": { "webhooks": [hook(secret)] } }));
    let of = |secret: &str| trigger("t", json!({ "function": "f", "webhook": hook(secret) }));
    world.deploy("f", "event echo", None).await;
    let error = world.try_deploy("g", "event echo", own("nosuch")).await.unwrap_err();
    assert_eq!(error.code(), Code::BadResource);
    assert!(error.detail().starts_with("spec.on.webhooks[0].secret: secret 'nosuch'"), "{error}");
    assert_eq!(error.hint(), Some("set it: nexus secrets set nosuch"));
    let function = resource(Kind::Function, "g", json!({ "on": { "webhooks": [hook("nosuch")] } }));
    assert!(refused(&world, function).await.contains("NX1005 spec.on.webhooks[0].secret"));
    assert!(refused(&world, of("nosuch")).await.contains("NX1005 spec.webhook.secret: secret"));
    let set = async |value: &'static [u8]| {
        world.node.set_secret(&admin(), &name("shop"), &name("key"), value).await.unwrap();
    };
    set(b"no base 64!").await;
    let error = refused(&world, of("key")).await;
    assert!(error.contains("secret 'key' is no signing key for 'standard'"), "{error}");
    set(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").await;
    world.node.apply(&admin(), vec![of("key")]).await.unwrap();
    // What was declared once can still be paused when its secret is gone.
    let secret = ResourceKey { kind: Kind::Secret, project: Some(name("shop")), name: name("key") };
    world.node.delete_resource(&admin(), &secret, None).await.unwrap();
    let error = webhook(&world, "/hook").await;
    assert_eq!((error.code(), error.code().http_status()), (Code::KeyUnusable, 503));
    assert_eq!(error.detail(), "secret 'key' does not exist in project 'shop'");
    assert_eq!(error.hint(), Some("set it: nexus secrets set key"));
    world.node.pause_trigger(&admin(), &name("shop"), &name("t")).await.unwrap();
    set(b"").await;
    let error = webhook(&world, "/hook").await;
    assert!(error.detail().ends_with("is no signing key for 'standard': it is empty"), "{error}");
}

/// What a request to a webhook is refused with.
async fn webhook(world: &World, path: &str) -> nexus_node::Error {
    let route = world.node.route("shop.localhost", &Method::POST, path).unwrap();
    let (headers, body) = (http::HeaderMap::new(), "{}".into());
    world.node.webhook(&crate::world::anonymous(), &route, (&headers, body)).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn fallbacks_and_destinations_of_functions_are_there_or_missed() {
    let world = World::new().await;
    let shop = name("shop");
    let function = |text: &str, delivery: Value| {
        resource(Kind::Function, text, json!({ "delivery": delivery }))
    };
    let lost = function("a", json!({ "on-failure": { "function": "b" } }));
    let error = refused(&world, lost.clone()).await;
    assert_eq!(
        error,
        "NX1005 spec.delivery.on-failure.function: there is no function 'b' in project 'shop'"
    );
    // Those of one apply may name each other, whichever comes first.
    let back = function("b", json!({ "fallback": "a" }));
    world.node.apply(&admin(), vec![lost, back]).await.unwrap();
    // Deploys come one after the other: the first of two is told.
    let config = |delivery: Value| spec(json!({ "delivery": delivery }));
    let first = world.deploy("c", "event echo", config(json!({ "fallback": "d" }))).await;
    assert_eq!(first.notes, ["delivery.fallback: there is no function 'd' in project 'shop' yet"]);
    let second = world.deploy("d", "event echo", config(json!({ "fallback": "c" }))).await;
    assert!(!second.notes.iter().any(|at| at.contains("delivery")), "{:?}", second.notes);
    // What was accepted with a missing one can be applied again, with another missing one not.
    world.deploy("e", "event echo", config(json!({ "fallback": "none" }))).await;
    world.node.apply(&admin(), vec![function("e", json!({ "fallback": "none" }))]).await.unwrap();
    let worse = function("e", json!({ "fallback": "none", "on-success": { "function": "no" } }));
    assert!(refused(&world, worse).await.contains("on-success"));
    // Whoever deletes one learns whose it is.
    let by = json!({ "function": "a", "event": { "type": "t" }, "delivery": { "fallback": "d" } });
    world.node.apply(&admin(), vec![trigger("t", by)]).await.unwrap();
    let ann = nexus_model::OpContext { principal: nexus_model::Principal::token("ann"), ..admin() };
    let error = world.node.delete_function(&ann, &shop, &name("d")).await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict);
    assert_eq!(
        error.detail(),
        "function 'd' is the fallback or destination of function 'c' (fallback), trigger 't' (fallback)"
    );
    world.node.delete_function(&ann, &shop, &name("e")).await.unwrap();
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
