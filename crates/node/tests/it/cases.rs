//! Recorded invocations as files of tests.

use http::Request;
use nexus_exec::full_body;
use nexus_model::case::{Case, CaseInput};
use nexus_model::view::Sameness;
use nexus_model::{Code, InvocationId, Name, OpContext, Scope};
use serde_json::json;

use crate::world::{World, admin, invocation_of, name, spec, text};

fn at() -> (Name, Name) {
    (name("shop"), name("f"))
}

/// A call with a credential and a card's number.
async fn called(world: &World) -> InvocationId {
    let request = Request::post("/f")
        .header("host", "shop.localhost:8080")
        .header("authorization", "Bearer very-secret")
        .body(full_body(r#"{"card": "4111", "n": 1}"#));
    let response = world.send(request.unwrap()).await.unwrap();
    let id = invocation_of(&response);
    text(response).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_has_no_credentials_and_expects_what_follows_without_them() {
    let world = World::new().await;
    let rules = spec(json!({ "redact": { "fields": ["card"] } }));
    world.deploy("f", "http echo", rules).await;
    let id = called(&world).await;
    let case = world.node.case(&admin(), id, true).await.unwrap();
    let redacted = ["input header authorization", "input field card", "output field card"];
    assert_eq!(case.redacted, redacted);
    let text = case.to_text();
    assert!(!text.contains("4111") && !text.contains("very-secret"), "{text}");
    assert_eq!(&case.expect.body.0[..], br#"{"card":"[redacted]","n":1}"#);
    let (project, function) = at();
    let held = world.node.try_case(&admin(), (&project, &function), "live", &case).await.unwrap();
    assert_eq!(held.verdict, Sameness::Identical, "{held:?}");
    // Unredacted, everything is as it was.
    let case = world.node.case(&admin(), id, false).await.unwrap();
    assert_eq!(&case.expect.body.0[..], br#"{"card": "4111", "n": 1}"#);
    assert!(case.redacted.is_empty() && case.to_text().contains("very-secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_is_held_against_a_case_and_can_become_what_is_expected() {
    let world = World::new().await;
    world.deploy("f", "http echo", None).await;
    let id = called(&world).await;
    let case = world.node.case(&admin(), id, true).await.unwrap();
    // A file survives being written and read.
    let case = Case::read(case.to_text().as_bytes()).unwrap();
    world.deploy("f", r#"http answers {"card": "4111", "n": 2}"#, None).await;
    let (project, function) = at();
    let at = (&project, &function);
    let held = world.node.try_case(&admin(), at, "latest", &case).await.unwrap();
    assert_eq!(held.verdict, Sameness::Different);
    let paths: Vec<&str> = held.changes.iter().map(|change| &*change.path).collect();
    assert_eq!(paths, ["/n"]);
    let held = world.node.try_case(&admin(), at, "1", &case).await.unwrap();
    assert_eq!(held.verdict, Sameness::Identical);
    let case = world.node.retake_case(&admin(), at, "latest", &case).await.unwrap();
    let held = world.node.try_case(&admin(), at, "latest", &case).await.unwrap();
    assert_eq!(held.verdict, Sameness::Identical);
    assert!(matches!(&case.input, CaseInput::Request(request) if request.path == "/f"));
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_are_for_those_who_may_replay_and_read_payloads() {
    let world = World::new().await;
    world.deploy("f", "http echo", None).await;
    let id = called(&world).await;
    let case = world.node.case(&admin(), id, true).await.unwrap();
    let (project, function) = at();
    for scopes in [&[Scope::Read][..], &[Scope::Replay], &[Scope::ReadPayload]] {
        let ctx = OpContext { scopes: scopes.into(), ..admin() };
        let refused = world.node.case(&ctx, id, true).await.unwrap_err();
        assert_eq!(refused.code(), Code::Forbidden, "{scopes:?}");
        let refused = world.node.try_case(&ctx, (&project, &function), "live", &case).await;
        assert_eq!(refused.unwrap_err().code(), Code::Forbidden, "{scopes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_cases_say_where() {
    let world = World::new().await;
    world.deploy("f", "http echo", None).await;
    let case = world.node.case(&admin(), called(&world).await, true).await.unwrap();
    let effect = json!({ "operation": 0, "function": "nothing", "target": "x", "answer": "done" });
    let table = [
        ("/world/seed", json!("abc"), "world.seed: 64 hexadecimal digits"),
        ("/world/effects", json!([effect]), "world.effects[0].function: there is no 'nothing'"),
        ("/world/secrets", json!({ "A B": "x" }), "world.secrets: "),
        ("/rules", json!({ "ignore": ["id"] }), "rules.ignore: "),
    ];
    let (project, function) = at();
    for (pointer, value, expected) in table {
        let mut document = serde_json::to_value(&case).unwrap();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[field] = value;
        let wrong: Case = serde_json::from_value(document).unwrap();
        let refused = world.node.try_case(&admin(), (&project, &function), "live", &wrong).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::BadRequest);
        assert!(refused.detail().contains(expected), "{pointer}: {}", refused.detail());
    }
}
