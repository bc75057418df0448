//! Resources, deploys, secrets, tokens, and who may do what.

use std::sync::Arc;

use nexus_model::resource::{Kind, Resource, ResourceKey};
use nexus_model::{Code, EventFilter, Name, OpContext, Principal, Scope};
use nexus_node::{Application, AppliedView, DeadLetterFilter, Mode, NewToken, PageOptions};
use nexus_testkit::FakeRuntime;
use serde_json::json;

use crate::world::{World, admin, name, spec};

fn key(kind: Kind, project: Option<&str>, text: &str) -> ResourceKey {
    ResourceKey { kind, project: project.map(name), name: name(text) }
}

fn token(scopes: &[Scope], project: Option<&str>) -> OpContext {
    OpContext {
        principal: Principal::token("t"),
        scopes: scopes.into(),
        project: project.map(name),
        ..admin()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_deploy_changes_nothing_and_another_makes_a_version() {
    let world = World::new().await;
    let first = world.deploy("f", "http echo", None).await;
    assert_eq!(first.function.version.as_ref().unwrap().number, 1);
    assert_eq!(first.function.urls, ["http://localhost:8080/f"]);
    let again = world.deploy("f", "http echo", None).await;
    assert!(again.unchanged && !first.unchanged);
    assert_eq!(again.function, first.function);
    world.deploy("f", "http status 201", None).await;
    let config = spec(json!({ "env": { "A": "1" } }));
    let third = world.deploy("f", "http status 201", config).await;
    assert_eq!(third.function.version.unwrap().number, 3);
    let versions = world.node.versions(&admin(), &name("shop"), &name("f")).await.unwrap();
    assert_eq!(versions.iter().map(|at| at.number).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(world.post("/f", "").await.unwrap().status(), 201);
    let world = world.restart(FakeRuntime::new()).await;
    while !world.node.ready().ready {
        tokio::task::yield_now().await;
    }
    let after = world.node.function(&admin(), &name("shop"), &name("f")).await.unwrap();
    assert_eq!(after.version.unwrap().number, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_components_and_resources_are_explained() {
    let world = World::new().await;
    let error = world.try_deploy("f", "nonsense", None).await.unwrap_err();
    assert_eq!(error.code(), Code::BadComponent);
    let wrong = Resource::new(&key(Kind::Project, None, "p"), json!({ "descripton": "x" }));
    let error = world.node.apply(&admin(), vec![wrong]).await.unwrap_err();
    assert_eq!(error.code(), Code::BadResource);
    assert_eq!(error.hint(), Some("did you mean 'description'?"));
    let lost = Resource::new(&key(Kind::Function, Some("nowhere"), "f"), json!({}));
    let error = world.node.apply(&admin(), vec![lost]).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    let serve = World::with(Mode::Serve, |_| {}).await;
    let unstated = spec(json!({ "on": { "http": [{ "path": "/f" }] } }));
    let error = serve.try_deploy("f", "http echo", unstated).await.unwrap_err();
    assert!(error.detail().contains("auth"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_apply_holds_a_project_and_its_functions_or_nothing() {
    let world = World::new().await;
    let function = |path: &str, text: &str| {
        Resource::new(
            &key(Kind::Function, Some("new"), text),
            json!({ "on": { "http": [{ "path": path }] } }),
        )
    };
    let project = Resource::new(&key(Kind::Project, None, "new"), json!({}));
    let clash = vec![function("/a", "one"), function("/a", "two"), project.clone()];
    let error = world.node.apply(&admin(), clash).await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict);
    assert!(world.node.get_resource(&admin(), &project.key()).await.is_err());
    let applied = world.node.apply(&admin(), vec![function("/a", "one"), project]).await.unwrap();
    // The project that was alone is marked as the default one.
    let effects: Vec<_> = applied.iter().map(|at| at.effect).collect();
    assert_eq!(effects, ["created", "created", "updated"]);
    let project = key(Kind::Project, None, "new");
    let error = world.node.delete_resource(&admin(), &project, None).await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict, "it still has functions");
    world.node.delete_function(&admin(), &name("new"), &name("one")).await.unwrap();
    world.node.delete_resource(&admin(), &project, None).await.unwrap();
    let error = world.node.delete_resource(&admin(), &project, None).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_reach_functions_and_nobody_else() {
    let world = World::new().await;
    let config = || spec(json!({ "env": { "PASSWORD": { "secret": "db" } } }));
    let error = world.try_deploy("f", "http env PASSWORD", config()).await.unwrap_err();
    assert!(error.detail().contains("spec.env.PASSWORD"), "{error}");
    let set = |value: &'static [u8]| {
        let node = Arc::clone(&world.node);
        async move { node.set_secret(&admin(), &name("shop"), &name("db"), value).await.unwrap() }
    };
    assert_eq!((set(b"hush").await, set(b"hush").await), (1, 1));
    world.deploy("f", "http env PASSWORD", config()).await;
    assert_eq!(world.text("/f", "").await, "hush");
    assert_eq!(set(b"quiet").await, 2);
    assert_eq!(world.text("/f", "").await, "quiet");
    let shown =
        world.node.get_resource(&admin(), &key(Kind::Secret, Some("shop"), "db")).await.unwrap();
    assert_eq!(shown.spec, json!({ "current": 2, "versions": [1, 2] }));
    let reserved = world.node.set_secret(&admin(), &name("shop"), &name("nexus-x"), b"x").await;
    assert_eq!(reserved.unwrap_err().code(), Code::BadResource);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_do_what_they_say_until_they_are_deleted() {
    let world = World::new().await;
    let new = NewToken {
        name: name("ci"),
        scopes: vec![Scope::Emit],
        project: Some(name("shop")),
        ttl: None,
    };
    let made = world.node.create_token(&admin(), new.clone()).await.unwrap();
    assert!(made.resource.spec.get("hash").is_none());
    let identity = world.node.authenticate(&made.token).unwrap();
    assert_eq!(
        (identity.principal, identity.project),
        (Principal::token("ci"), Some(name("shop")))
    );
    assert_eq!(
        world.node.create_token(&admin(), new.clone()).await.unwrap_err().code(),
        Code::Conflict
    );
    let weak = token(&[Scope::Write, Scope::Read], Some("shop"));
    assert_eq!(world.node.create_token(&weak, new).await.unwrap_err().code(), Code::Forbidden);
    world.node.delete_resource(&admin(), &key(Kind::Token, None, "ci"), None).await.unwrap();
    assert_eq!(world.node.authenticate(&made.token).unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_use_case_asks_who_it_is() {
    let world = World::new().await;
    world.deploy("f", "http echo", None).await;
    let shop = name("shop");
    let elsewhere = token(&[Scope::Read, Scope::Write, Scope::Invoke, Scope::Emit], Some("other"));
    let nothing = token(&[], Some("shop"));
    let f: Name = name("f");
    for (ctx, code) in [(&elsewhere, Code::NotFound), (&nothing, Code::Forbidden)] {
        let node = &world.node;
        let event = || vec![nexus_model::Event::new("1", "/s", "t")];
        let dead =
            || DeadLetterFilter { project: Some(shop.clone()), ..DeadLetterFilter::default() };
        assert_eq!(node.functions(ctx, &shop).await.unwrap_err().code(), code);
        assert_eq!(node.function(ctx, &shop, &f).await.unwrap_err().code(), code);
        assert_eq!(node.versions(ctx, &shop, &f).await.unwrap_err().code(), code);
        assert_eq!(node.delete_function(ctx, &shop, &f).await.unwrap_err().code(), code);
        assert_eq!(node.emit(ctx, &shop, event()).await.unwrap_err().code(), code);
        assert_eq!(node.invoke(ctx, &shop, &f, Default::default()).await.unwrap_err().code(), code);
        assert_eq!(node.set_secret(ctx, &shop, &f, b"x").await.unwrap_err().code(), code);
        let filter = EventFilter { project: Some("shop".into()), ..EventFilter::default() };
        assert_eq!(
            node.events(ctx, filter, PageOptions::default()).await.unwrap_err().code(),
            code
        );
        assert_eq!(node.dead_letters(ctx, dead(), 1).await.unwrap_err().code(), code);
        assert!(node.log_stats(ctx).await.is_err() && node.log_verify(ctx).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_leaves_an_audit_event_in_the_log() {
    let world = World::new().await;
    world.deploy("f", "http echo", None).await;
    let filter = EventFilter { ty: Some("dev.nexus.resource.*".into()), ..EventFilter::default() };
    let page = world
        .node
        .events(&admin(), filter, PageOptions { data: true, ..Default::default() })
        .await
        .unwrap();
    let subjects: Vec<_> = page.items.iter().filter_map(|at| at.event.subject.clone()).collect();
    assert!(subjects.iter().any(|at| at == "Function shop/f"), "{subjects:?}");
    assert!(subjects.iter().any(|at| at == "Project shop"), "{subjects:?}");
    assert!(page.items.iter().all(|at| at.principal == "system"));
}

/// A project that answers on every host must not stop doing so because of another one.
#[tokio::test(flavor = "multi_thread")]
async fn the_default_project_stays_it_until_another_is_said_to_be() {
    let world = World::new().await;
    world.deploy("f", "http echo", None).await;
    let project = |text: &str, spec| Resource::new(&key(Kind::Project, None, text), spec);
    let who = admin();
    let apply = |resources| world.node.apply(&who, resources);
    let of = |host: &str| world.node.project_of_host(host).map(|name| name.to_string());
    assert_eq!(of("example.com").as_deref(), Some("shop"));

    let applied = apply(vec![project("other", json!({}))]).await.unwrap();
    let told = applied.iter().map(|at| (at.effect, at.resource.spec["default"].clone()));
    let told: Vec<_> = told.collect();
    assert_eq!(told, [("created", json!(false)), ("updated", json!(true))]);
    assert_eq!(of("example.com").as_deref(), Some("shop"));
    // A manifest that says nothing about it, applied again.
    apply(vec![project("shop", json!({ "description": "d" }))]).await.unwrap();
    apply(vec![project("third", json!({}))]).await.unwrap();
    assert_eq!(of("example.com").as_deref(), Some("shop"));

    apply(vec![project("third", json!({ "default": true }))]).await.unwrap();
    assert_eq!(of("example.com").as_deref(), Some("third"));
    apply(vec![project("shop", json!({}))]).await.unwrap();
    let world = world.restart(FakeRuntime::new()).await;
    let of = |host: &str| world.node.project_of_host(host).map(|name| name.to_string());
    assert_eq!(of("example.com").as_deref(), Some("third"));

    let apply = |ctx, resources| {
        let node = world.node.clone();
        async move { node.apply(&ctx, resources).await }
    };
    // Who writes in one project only cannot take it away from another one.
    let bound = token(&[Scope::Write], Some("other"));
    let taken = apply(bound.clone(), vec![project("other", json!({ "default": true }))]).await;
    assert!(taken.is_err());
    assert_eq!(of("example.com").as_deref(), Some("third"));
    apply(admin(), vec![project("third", json!({ "default": false }))]).await.unwrap();
    let error = world.node.route("example.com", &http::Method::GET, "/f").unwrap_err();
    assert_eq!(error.code(), Code::NoRoute);
    assert!(error.detail().contains("'example.com'"), "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("nexus projects default NAME"), "{hint}");
}

/// Those of one apply decide among themselves.
#[tokio::test(flavor = "multi_thread")]
async fn projects_that_come_together_have_no_default_that_nobody_named() {
    let world = World::new().await;
    let project = |text: &str, spec| Resource::new(&key(Kind::Project, None, text), spec);
    let both = vec![project("shop", json!({ "default": false })), project("b", json!({}))];
    world.node.apply(&admin(), both).await.unwrap();
    assert_eq!(world.node.project_of_host("example.com"), None);
}

fn route(path: &str, text: &str) -> Resource {
    let key = key(Kind::Function, Some("shop"), text);
    Resource::new(&key, json!({ "on": { "http": [{ "path": path }] } }))
}

fn in_set(resources: Vec<Resource>, set: &str, prune: bool) -> Application {
    Application { resources, set: Some(name(set)), prune }
}

fn on_event(text: &str, function: &str) -> Resource {
    let key = key(Kind::Trigger, Some("shop"), text);
    Resource::new(&key, json!({ "function": function, "event": { "type": "t" } }))
}

/// Effects by names, as they were told.
fn effects(views: &[AppliedView]) -> Vec<String> {
    views.iter().map(|at| format!("{} {}", at.resource.metadata.name, at.effect)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_set_has_no_more_goes_in_the_same_change() {
    let world = World::new().await;
    let all = |names: &[&str]| -> Vec<Resource> {
        names.iter().map(|text| route(&format!("/{text}"), text)).collect()
    };
    let mut first = all(&["one", "two"]);
    first.push(on_event("late", "two"));
    world.node.apply(&admin(), in_set(first, "base", true)).await.unwrap();
    world.node.apply(&admin(), all(&["own"])).await.unwrap();
    world.node.apply(&admin(), in_set(all(&["other"]), "others", true)).await.unwrap();

    // Without a set it stays in the one that it is in.
    world.node.apply(&admin(), all(&["one"])).await.unwrap();
    // What is not pruned stays.
    let kept = world.node.apply(&admin(), in_set(all(&["one"]), "base", false)).await.unwrap();
    assert_eq!(effects(&kept), ["one unchanged"]);

    let gone = ["one unchanged", "late deleted", "two deleted"];
    let pruned = || in_set(all(&["one"]), "base", true);
    assert_eq!(effects(&world.node.preview(&admin(), pruned()).await.unwrap()), gone);
    assert_eq!(effects(&world.node.apply(&admin(), pruned()).await.unwrap()), gone);
    let left = world.node.list_resources(&admin(), Kind::Function, Some(&name("shop"))).await;
    let left: Vec<_> = left.unwrap().iter().map(|at| at.metadata.name.to_string()).collect();
    assert_eq!(left, ["one", "other", "own"]);
    // All of it, where nothing is left.
    let last = world.node.apply(&admin(), in_set(Vec::new(), "base", true)).await.unwrap();
    assert_eq!(effects(&last), ["one deleted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_deletes_nothing_that_others_name_and_takes_nothing_of_another_set() {
    let world = World::new().await;
    let both = || vec![route("/a", "one"), route("/b", "two")];
    world.node.apply(&admin(), in_set(both(), "base", true)).await.unwrap();
    world.node.apply(&admin(), vec![on_event("late", "two")]).await.unwrap();

    let one = || vec![route("/a", "one")];
    let error = world.node.apply(&admin(), in_set(one(), "base", true)).await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict);
    assert!(error.to_string().contains("named by trigger 'late'"), "{error}");
    // Unless the same change has them name another one.
    let mut moved = one();
    moved.push(on_event("late", "one"));
    world.node.apply(&admin(), in_set(moved, "base", true)).await.unwrap();

    let error = world.node.apply(&admin(), in_set(one(), "mine", true)).await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict);
    assert!(error.to_string().contains("belongs to the set 'base'"), "{error}");
}
