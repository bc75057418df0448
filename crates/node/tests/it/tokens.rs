//! Tokens and what they are bound to; secrets that somebody sends.

use http::Request;
use nexus_exec::full_body;
use nexus_model::resource::{Kind, Resource, ResourceKey};
use nexus_model::{Code, EventFilter, OpContext, Principal, Scope};
use nexus_node::{NewToken, PageOptions, ReplayOptions};
use nexus_store::{Change, Op};
use nexus_testkit::FakeRuntime;
use serde_json::json;

use crate::world::{World, admin, invocation_of, name, spec, text};

fn project(text: &str) -> ResourceKey {
    ResourceKey { kind: Kind::Project, project: None, name: name(text) }
}

fn token(text: &str, project: Option<&str>) -> NewToken {
    let scopes = vec![Scope::Read, Scope::Write];
    NewToken { name: name(text), scopes, project: project.map(name), ttl: None }
}

impl World {
    async fn make_project(&self, text: &str) {
        self.node.apply(&admin(), vec![Resource::new(&project(text), json!({}))]).await.unwrap();
    }

    async fn make_token(&self, text: &str, project: Option<&str>) -> String {
        self.node.create_token(&admin(), token(text, project)).await.unwrap().token
    }

    fn lets_in(&self, token: &str) -> bool {
        self.node.authenticate(token).is_ok()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_go_with_their_project() {
    let world = World::new().await;
    world.make_project("other").await;
    let bound = world.make_token("bound", Some("other")).await;
    let elsewhere = world.make_token("elsewhere", Some("shop")).await;
    let everywhere = world.make_token("everywhere", None).await;

    let ops = OpContext { principal: Principal::token("ops"), ..admin() };
    // Nothing goes where the project does not.
    assert!(world.node.delete_resource(&ops, &project("other"), Some(1)).await.is_err());
    assert!(world.lets_in(&bound));
    world.node.delete_resource(&ops, &project("other"), None).await.unwrap();
    assert!(!world.lets_in(&bound));
    world.make_project("other").await;
    assert!(!world.lets_in(&bound), "it is another project of this name");
    assert!(world.lets_in(&elsewhere) && world.lets_in(&everywhere));
    // The name is free again.
    assert!(world.lets_in(&world.make_token("bound", Some("other")).await));

    let ty = Some("dev.nexus.resource.deleted".into());
    let filter = EventFilter { ty, ..EventFilter::default() };
    let page = world.node.events(&admin(), filter, PageOptions::default()).await.unwrap();
    let told: Vec<String> =
        page.items.iter().map(|at| serde_json::to_string(at).unwrap()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().any(|at| at.contains("bound")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_with_secrets_is_not_empty() {
    let world = World::new().await;
    world.node.set_secret(&admin(), &name("shop"), &name("db"), b"hush").await.unwrap();
    let error = world.node.delete_resource(&admin(), &project("shop"), None).await.unwrap_err();
    assert_eq!(error.detail(), "project 'shop' still has 1 secrets");
    let secret = ResourceKey { kind: Kind::Secret, project: Some(name("shop")), name: name("db") };
    world.node.delete_resource(&admin(), &secret, None).await.unwrap();
    world.node.delete_resource(&admin(), &project("shop"), None).await.unwrap();
    let error =
        world.node.set_secret(&admin(), &name("shop"), &name("db"), b"x").await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert!(error.hint().unwrap().contains("nexus projects create shop"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_server_left_of_a_deleted_project_goes_at_the_start() {
    let world = World::new().await;
    world.make_project("other").await;
    let orphan = world.make_token("orphan", Some("other")).await;
    let kept = world.make_token("kept", Some("shop")).await;
    let ops = vec![Op::delete(project("other"))];
    world.store.apply(Change::new(Principal::system(), ops)).await.unwrap();
    let world = world.restart(FakeRuntime::new()).await;
    world.make_project("other").await;
    assert!(!world.lets_in(&orphan) && world.lets_in(&kept));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_known_text_replaces_the_one_of_its_name() {
    let world = World::new().await;
    assert!(!world.node.is_new());
    let before = world.make_token("local", None).await;
    let text = nexus_policy::Token::from_random([7; 32]).expose();
    world.node.put_known_token(&admin(), token("local", None), &text).await.unwrap();
    assert!(world.lets_in(&text) && !world.lets_in(&before));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_sends_of_a_secret_is_not_kept() {
    let world = World::new().await;
    world.node.set_secret(&admin(), &name("shop"), &name("key"), b"k3y-value").await.unwrap();
    let config = spec(json!({ "env": { "KEY": { "secret": "key" } } }));
    world.deploy("f", "http echo", config).await;
    let request = Request::post("/f?key=k3y-value")
        .header("host", "shop.localhost")
        .header("authorization", "Bearer k3y-value")
        .header("cookie", "a=b; k=k3y-value")
        .body(full_body("body"))
        .unwrap();
    let response = world.send(request).await.unwrap();
    let id = invocation_of(&response);
    assert_eq!(text(response).await, "body");
    let mut position = nexus_log::Position::START;
    let view = loop {
        if let Ok(view) = world.node.invocation(&admin(), id).await {
            break view;
        }
        world.log.wait_past(position).await;
        position = world.log.read_from(position, 1).await.unwrap()[0].position;
    };
    let kept = view.input.to_string();
    assert!(!kept.contains("k3y"), "{kept}");
    for shown in ["/f?key=*********", "Bearer *********", "a=b; k=*********"] {
        assert!(kept.contains(shown), "{kept}");
    }
    assert!(world.node.replay(&admin(), id, ReplayOptions::default()).await.is_ok());
}
