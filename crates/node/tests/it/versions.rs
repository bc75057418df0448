//! Which version runs, what versions are called, what differs.

use nexus_model::Code;
use nexus_node::{Deploy, InvokeInput};
use serde_json::json;

use crate::serve::settled;
use crate::world::{World, admin, name, spec};

async fn live(world: &World) -> u64 {
    let view = world.node.function(&admin(), &name("shop"), &name("f")).await.unwrap();
    view.version.unwrap().number
}

async fn make_live(world: &World, selector: Option<&str>) -> Result<u64, Code> {
    let at = (&name("shop"), &name("f"));
    let made = world.node.make_live(&admin(), at, selector).await;
    made.map(|view| view.version.unwrap().number).map_err(|error| error.code())
}

fn deploy(code: &str, label: &str, candidate: bool) -> Deploy {
    Deploy {
        project: name("shop"),
        name: name("f"),
        component: code.to_owned().into(),
        config: None,
        language: String::new(),
        bundle: None,
        sources: None,
        label: label.to_owned(),
        candidate,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rollbacks_go_back_step_by_step() {
    let world = World::new().await;
    for version in 1..=4 {
        world.deploy("f", &format!("http answers v{version}"), None).await;
    }
    assert_eq!(live(&world).await, 4);
    assert_eq!(make_live(&world, None).await, Ok(3));
    assert_eq!(world.text("/f", "").await, "v3");
    assert_eq!(make_live(&world, None).await, Ok(2));
    assert_eq!(make_live(&world, Some("4")).await, Ok(4));
    assert_eq!(make_live(&world, None).await, Ok(2), "what was live before 4");
    assert_eq!(make_live(&world, None).await, Ok(1));
    assert_eq!(make_live(&world, None).await, Err(Code::BadRequest), "there was none before");
    assert_eq!(make_live(&world, Some("9")).await, Err(Code::NotFound));
    assert_eq!(live(&world).await, 1);
    // New code is a new version, whatever is live.
    let deployed = world.deploy("f", "http answers v5", None).await;
    assert_eq!((deployed.version.number, deployed.version.live), (5, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn any_version_can_be_called_while_another_is_live() {
    let world = World::new().await;
    let at = (&name("shop"), &name("f"));
    let first = world.deploy("f", "event answers v1", None).await.version.id;
    let second = deploy("http answers v2", "2.0.0", true);
    let second = world.node.deploy(&admin(), second).await.unwrap().version.id;
    let durable = spec(json!({ "durable": true }));
    world
        .node
        .deploy(&admin(), Deploy { config: durable, ..deploy("event answers v3", "", true) })
        .await
        .unwrap();
    world.node.set_alias(&admin(), at, (&name("blue"), "2")).await.unwrap();
    let call = async |version: Option<&str>| {
        let input = InvokeInput { version: version.map(str::to_owned), ..InvokeInput::default() };
        let called = world.node.invoke(&admin(), at.0, at.1, input).await;
        called
            .map_err(|error| error.code())
            .map(|at| (String::from_utf8_lossy(&at.body).into_owned(), at.invocation))
    };
    for (version, expected) in [
        (None, "v1"),
        (Some("live"), "v1"),
        (Some("1"), "v1"),
        (Some("2"), "v2"),
        (Some("2.0.0"), "v2"),
        (Some("blue"), "v2"),
    ] {
        let (body, id) = call(version).await.unwrap();
        assert_eq!(body, expected, "{version:?}");
        // What ran is what the record says, and it is replayed as such.
        let view = settled(&world, id).await;
        assert_eq!(view.row.version, Some(if expected == "v1" { first } else { second }));
        assert_eq!(live(&world).await, 1);
    }
    assert_eq!(call(Some("latest")).await.unwrap_err(), Code::BadRequest, "it is durable");
    assert_eq!(call(Some("9")).await.unwrap_err(), Code::NotFound);
    assert_eq!(call(Some("")).await.unwrap_err(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_brings_back_the_configuration() {
    let world = World::new().await;
    world.deploy("f", "http answers a", spec(json!({ "timeout-ms": 1000 }))).await;
    world.deploy("f", "http answers b", spec(json!({ "timeout-ms": 2000 }))).await;
    make_live(&world, None).await.unwrap();
    let view = world.node.function(&admin(), &name("shop"), &name("f")).await.unwrap();
    assert_eq!(view.config.timeout_ms, Some(1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn candidates_wait_until_they_are_let_live() {
    let world = World::new().await;
    let node = &world.node;
    let refused = node.deploy(&admin(), deploy("http answers a", "", true)).await.unwrap_err();
    assert_eq!(refused.code(), Code::BadRequest, "nothing runs that it could replace");
    world.deploy("f", "http answers a", None).await;
    let made = node.deploy(&admin(), deploy("http answers b", "", true)).await.unwrap();
    assert_eq!((made.version.number, made.version.live), (2, false));
    assert_eq!(world.text("/f", "").await, "a");
    let again = node.deploy(&admin(), deploy("http answers b", "", true)).await.unwrap();
    assert_eq!((again.version.number, again.unchanged), (2, true));
    // Deploying what is a candidate already lets it live.
    let live = node.deploy(&admin(), deploy("http answers b", "", false)).await.unwrap();
    assert_eq!((live.version.number, live.version.live), (2, true));
    assert_eq!(world.text("/f", "").await, "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_mean_the_same_for_ever() {
    let world = World::new().await;
    let node = &world.node;
    node.deploy(&admin(), deploy("http answers a", "1.0.0", false)).await.unwrap();
    node.deploy(&admin(), deploy("http answers b", "1.1.0", false)).await.unwrap();
    let taken = node.deploy(&admin(), deploy("http answers c", "1.0.0", false)).await.unwrap_err();
    assert_eq!(taken.code(), Code::Conflict);
    let wrong = node.deploy(&admin(), deploy("http answers c", "one", false)).await.unwrap_err();
    assert_eq!(wrong.code(), Code::BadRequest);
    assert_eq!(make_live(&world, Some("1.0.0")).await, Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_move_and_survive_deploys_and_applies() {
    let world = World::new().await;
    let (node, at) = (&world.node, (&name("shop"), &name("f")));
    world.deploy("f", "http answers a", None).await;
    node.set_alias(&admin(), at, (&name("stable"), "live")).await.unwrap();
    world.deploy("f", "http answers b", None).await;
    let versions = node.versions(&admin(), at.0, at.1).await.unwrap();
    let named: Vec<_> =
        versions.iter().map(|at| (at.number, at.live, at.aliases.clone())).collect();
    assert_eq!(named, [(2, true, vec![]), (1, false, vec![name("stable")])]);
    assert_eq!(make_live(&world, Some("stable")).await, Ok(1));
    node.set_alias(&admin(), at, (&name("stable"), "latest")).await.unwrap();
    assert_eq!(make_live(&world, Some("stable")).await, Ok(2));
    for taken in ["live", "latest", "12"] {
        let refused = node.set_alias(&admin(), at, (&name(taken), "1")).await.unwrap_err();
        assert_eq!(refused.code(), Code::BadRequest, "{taken}");
    }
    let gone = node.delete_alias(&admin(), at, &name("stable")).await.unwrap();
    assert!(gone.aliases.is_empty());
    let missing = node.delete_alias(&admin(), at, &name("stable")).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diff_says_what_changed_besides_the_code() {
    let world = World::new().await;
    let (node, at) = (&world.node, (&name("shop"), &name("f")));
    world.deploy("f", "http answers a", spec(json!({ "timeout-ms": 1000 }))).await;
    world.deploy("f", "http answers a", spec(json!({ "env": { "A": "b" } }))).await;
    let diff = node.version_diff(&admin(), at, ("1", "live")).await.unwrap();
    assert!(diff.same_code);
    let paths: Vec<&str> = diff.config.iter().map(|at| &*at.path).collect();
    assert_eq!(paths, ["/timeout-ms", "/env"], "{:?}", diff.config);
}
