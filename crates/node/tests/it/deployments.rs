//! Several functions at once, with what their manifest declares: all of it, or nothing.

use http::Method;
use nexus_model::Code;
use nexus_model::manifest::MANAGED;
use nexus_model::resource::{Kind, Resource, ResourceKey};
use nexus_node::{Deploy, Deployment, DeploymentView, Error};
use serde_json::{Value, json};

use crate::world::{World, admin, name, spec};

fn function(function: &str, code: &str, config: Value) -> Deploy {
    Deploy {
        project: name("shop"),
        name: name(function),
        component: code.to_owned().into(),
        config: spec(config),
        language: String::new(),
        bundle: None,
        sources: None,
        label: String::new(),
        candidate: false,
    }
}

fn at(path: &str) -> Value {
    json!({ "on": { "http": [{ "path": path }] } })
}

fn resource(kind: Kind, text: &str, spec: Value) -> Resource {
    let key = ResourceKey { kind, project: Some(name("shop")), name: name(text) };
    let mut resource = Resource::new(&key, spec);
    resource.metadata.annotations.insert(MANAGED.to_owned(), "manifest".to_owned());
    resource
}

async fn begin(world: &World, functions: Vec<Deploy>) -> Result<Deployment, Error> {
    let mut deployment = world.node.begin_deployment(&admin(), &name("shop"))?;
    for function in functions {
        deployment.add(function).await?;
    }
    Ok(deployment)
}

async fn deploy(
    world: &World,
    functions: Vec<Deploy>,
    declared: Option<Vec<Resource>>,
) -> Result<DeploymentView, Error> {
    begin(world, functions).await?.finish(declared).await
}

/// What is there, as far as a deployment could have changed it.
async fn state(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    for kind in [Kind::Function, Kind::Version, Kind::Trigger, Kind::Schema] {
        let all = world.node.list_resources(&admin(), kind, Some(&name("shop"))).await.unwrap();
        let line = |at: &Resource| format!("{} {:?} {}", at.key(), at.metadata.revision, at.status);
        found.extend(all.iter().map(line));
    }
    for path in ["/a", "/b", "/c"] {
        found.push(format!("{path} {}", world.routed("shop.localhost", Method::POST, path)));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn all_functions_are_deployed_or_none() {
    let world = World::new().await;
    let one = |path| vec![function("a", "http answers 1", at(path))];
    deploy(&world, one("/a"), Some(Vec::new())).await.unwrap();
    let before = state(&world).await;
    let (good, new) = (function("a", "http answers 2", at("/a")), at("/b"));
    let second = |config| vec![good.clone(), function("b", "http echo", config)];
    // A component that is none; a route that is taken; a secret that there is not; a trigger of a
    // function that there is not.
    let broken = vec![good.clone(), function("b", "nonsense", new.clone())];
    let error = begin(&world, broken).await.unwrap_err();
    assert_eq!(error.code(), Code::BadComponent);
    assert!(error.detail().starts_with("function 'b': "), "{error}");
    let error = deploy(&world, second(at("/a")), None).await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict, "{error}");
    let secret = json!({ "env": { "KEY": { "secret": "none" } } });
    let error = deploy(&world, second(secret), None).await.unwrap_err();
    assert!(error.detail().starts_with("function 'b': spec.env.KEY"), "{error}");
    let lost = json!({ "function": "c", "event": { "type": "com.shop.*" } });
    let lost = vec![resource(Kind::Trigger, "lost", lost)];
    let error = deploy(&world, second(new.clone()), Some(lost)).await.unwrap_err();
    assert!(error.detail().starts_with("Trigger shop/lost: spec.function"), "{error}");
    let twice = vec![good.clone(), good.clone()];
    assert_eq!(begin(&world, twice).await.unwrap_err().code(), Code::BadRequest);
    assert_eq!(state(&world).await, before);
    assert_eq!(world.text("/a", "").await, "1");

    let view = deploy(&world, second(new), None).await.unwrap();
    let versions: Vec<_> =
        view.functions.iter().map(|at| (at.version.number, at.version.live)).collect();
    assert_eq!(versions, [(2, true), (1, true)]);
    assert_eq!(world.text("/a", "").await, "2");
    assert_eq!(world.text("/b", "echo").await, "echo");
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_change_places_in_one_deployment() {
    let world = World::new().await;
    let both =
        |a, b| vec![function("a", "http answers a", at(a)), function("b", "http echo", at(b))];
    deploy(&world, both("/a", "/b"), None).await.unwrap();
    deploy(&world, both("/b", "/a"), None).await.unwrap();
    let routed = |path| world.routed("shop.localhost", Method::POST, path);
    assert_eq!([routed("/a"), routed("/b")], ["b", "a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_all_that_the_manifest_declares() {
    let world = World::new().await;
    let cron = |schedule: &str| {
        let spec = json!({ "function": "a", "cron": { "schedule": schedule } });
        resource(Kind::Trigger, "nightly", spec)
    };
    let hook = json!({ "function": "a", "webhook": { "path": "/hook", "verify": "none" } });
    let hook = resource(Kind::Trigger, "hook", hook);
    let a = || vec![function("a", "http echo", json!({ "on": { "events": [{ "type": "t" }] } }))];
    let first = deploy(&world, a(), Some(vec![cron("0 2 * * *"), hook])).await.unwrap();
    let effects = |view: &DeploymentView| {
        let effect =
            |at: &nexus_node::AppliedView| format!("{} {}", at.resource.metadata.name, at.effect);
        view.resources.iter().map(effect).collect::<Vec<_>>()
    };
    assert_eq!(effects(&first), ["nightly created", "hook created"]);
    let triggers = &first.functions[0].triggers;
    let kind = |at: &nexus_model::view::TriggerView| {
        let name = at.name.as_ref().map(ToString::to_string);
        (name, at.url.clone(), at.next.is_some())
    };
    let hook = "http://localhost:8080/hook".to_owned();
    assert_eq!(
        triggers.iter().map(kind).collect::<Vec<_>>(),
        [
            (Some("hook".into()), Some(hook), false),
            (Some("nightly".into()), None, true),
            (None, None, false)
        ]
    );
    // What another hand made stays.
    let mut own = cron("0 3 * * *");
    own.metadata.name = name("own");
    own.metadata.annotations.clear();
    world.node.apply(&admin(), vec![own]).await.unwrap();
    let second = deploy(&world, a(), Some(vec![cron("0 4 * * *")])).await.unwrap();
    assert_eq!(effects(&second), ["nightly updated", "hook deleted"]);
    let left = world.node.triggers(&admin(), &name("shop")).await.unwrap();
    let named: Vec<_> = left.iter().filter_map(|at| at.name.as_ref()).collect();
    assert_eq!(named, [&name("nightly"), &name("own")]);
    // Without a word of them they stay as they are.
    let third = deploy(&world, a(), None).await.unwrap();
    assert!(third.resources.is_empty() && third.functions[0].unchanged);
    let token = resource(Kind::Secret, "x", json!({}));
    assert_eq!(deploy(&world, a(), Some(vec![token])).await.unwrap_err().code(), Code::BadResource);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_fails_makes_no_project() {
    let world = World::new().await;
    let fresh = name("fresh");
    let one = |code| Deploy { project: fresh.clone(), ..function("a", code, at("/a")) };
    let mut deployment = world.node.begin_deployment(&admin(), &fresh).unwrap();
    deployment.add(one("http echo")).await.unwrap();
    let secret = json!({ "env": { "KEY": { "secret": "none" } } });
    deployment
        .add(Deploy { name: name("b"), config: spec(secret), ..one("http echo") })
        .await
        .unwrap();
    deployment.finish(None).await.unwrap_err();
    assert_eq!(world.node.functions(&admin(), &fresh).await.unwrap_err().code(), Code::NotFound);
    world.node.deploy(&admin(), one("http echo")).await.unwrap();
    assert_eq!(world.node.functions(&admin(), &fresh).await.unwrap().len(), 1);
}
