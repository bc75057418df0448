//! Every route of the document: nobody passes without a token, nor with one of another scope.

use http::Method;
use nexus_model::Scope;
use serde_json::Value;

use crate::world::{Send, World};

const OPEN: [&str; 5] = ["version", "openapi", "healthz", "readyz", "session_open"];
/// For everybody with a token, whatever its scopes.
const ANY_SCOPE: [&str; 4] = ["limit_list", "session_show", "session_link", "session_close"];
const EVENT: &str = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;
const PROJECT: &str =
    r#"{"apiVersion":"nexus/v1","kind":"Project","metadata":{"name":"other"},"spec":{}}"#;

struct Route {
    id: String,
    method: Method,
    path: String,
}

fn routes() -> Vec<Route> {
    let document = nexus_gateway::openapi();
    let mut routes = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let path = path
                .replace("{project}", "shop")
                .replace("{function}", "hello")
                .replace("{event}", "evt_01krs8xj0000000000000000a0")
                .replace("{invocation}", "inv_01krs8xj0000000000000000a0")
                .replace("{secret}", "key")
                .replace("{token}", "ci")
                .replace("{kind}", "functions")
                .replace("{trigger}", "nightly")
                .replace("{schema}", "order")
                .replace("{schedule}", "evt_01krs8xj0000000000000000a0")
                .replace("{signal}", "go")
                .replace("{id}", "evt_01krs8xj0000000000000000a0")
                .replace("{session}", "dbg_1")
                .replace("{alias}", "stable")
                .replace("{from}", "1")
                .replace("{to}", "2")
                .replace("{version}", "1")
                .replace("{replay}", "nightly")
                .replace("{suite}", "orders")
                .replace("{name}", "hello?project=shop");
            let path = if path.ends_with("/infer") { format!("{path}?type=t") } else { path };
            let path = if path.contains("/aliases/") { format!("{path}?version=1") } else { path };
            let path = if path.ends_with("/search") { format!("{path}?text=x") } else { path };
            let path = if path.ends_with("/functions") && path.contains("resources") {
                format!("{path}?project=shop")
            } else {
                path
            };
            let path = match path.strip_prefix("/api/v1/projects/shop/state") {
                Some("/key") => format!("{path}?function=hello&key=a"),
                Some("/stream") => format!("{path}?function=hello&stream=a"),
                Some("") if method == "delete" => format!("{path}?function=hello&all=true"),
                Some("/keys" | "/streams") => format!("{path}?function=hello"),
                _ => path,
            };
            assert!(!path.contains('{'), "give {path} its parameters");
            let id = operation["operationId"].as_str().unwrap().to_owned();
            let method = method.to_uppercase().parse().unwrap();
            routes.push(Route { id, method, path });
        }
    }
    routes
}

/// A file of a test.
const CASE: &str = r#"{
    "nexus-case": 1, "function": "hello",
    "recorded": {
        "invocation": "inv_01krs8xj0000000000000000a0", "project": "shop",
        "version": { "id": "ver_01krs8xj0000000000000000a0", "number": 1 },
        "accepted": "2026-11-20T19:00:00Z"
    },
    "input": { "request": { "method": "GET", "path": "/" } },
    "world": {
        "attempt": 1, "started-ns": 0, "deadline-ns": 0,
        "seed": "0000000000000000000000000000000000000000000000000000000000000000"
    },
    "expect": { "status": "succeeded" }
}"#;

fn body(route: &Route) -> (&'static str, &'static str) {
    match route.id.as_str() {
        "function_deploy" => ("application/wasm", "http echo"),
        "event_emit" | "schema_check" => ("application/cloudevents+json", EVENT),
        "dead_letter_redrive" | "dead_letter_drop" => {
            ("application/json", r#"{"all":true,"reason":"x"}"#)
        }
        "resource_apply" => ("application/json", PROJECT),
        "token_create" => ("application/json", r#"{"name":"x","scopes":["read"]}"#),
        "secret_set" => ("text/plain", "hush"),
        "debug_run" => ("application/json", r#"{"command":"state"}"#),
        "function_try_case" => ("application/json", CASE),
        "invocation_compare" => ("application/json", r#"{"against":"latest"}"#),
        _ => ("application/json", "{}"),
    }
}

async fn send(world: &World, route: &Route, token: &str) -> crate::world::Answer {
    let (content_type, body) = body(route);
    let send = Send { token, content_type, body: body.into(), ..Send::default() };
    world.api(route.method.clone(), &route.path, send).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_open_without_a_token() {
    let world = World::new().await;
    for route in routes() {
        for token in ["", "nx_nonsense"] {
            let answer = send(&world, &route, token).await;
            if OPEN.contains(&route.id.as_str()) {
                let expected = if route.id == "session_open" { 400 } else { 200 };
                assert_eq!(answer.status, expected, "{}", route.id);
                continue;
            }
            assert_eq!(answer.problem(), "401 NX2001", "{}", route.id);
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_scope_does_not_pass() {
    let world = World::new().await;
    world.deploy("hello", "http echo").await;
    let emit = world.token(&[Scope::Emit]).await;
    let read = world.token(&[Scope::Read]).await;
    for route in routes() {
        if [&OPEN[..], &ANY_SCOPE].concat().contains(&route.id.as_str()) {
            continue;
        }
        let emits = ["event_emit", "schedule_cancel"].contains(&route.id.as_str());
        let token = if emits { &read } else { &emit };
        let answer = send(&world, &route, token).await;
        let problem = answer.problem();
        assert!(
            // Debug sessions are looked for among those of the caller, who has none.
            ["403 NX2002", "404 NX3001", "410 NX7011"].contains(&problem.as_str()),
            "{} gave {problem}: {}",
            route.id,
            answer.text()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_the_headers_of_a_careful_server() {
    let world = World::new().await;
    for path in ["/healthz", "/api/v1/openapi.json", "/nowhere", "/api/v1/projects"] {
        let answer = world.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"));
        assert!(answer.header("x-request-id").starts_with("req_"));
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_have_a_policy_of_their_own_and_nothing_else_has() {
    let world = World::new().await;
    world.deploy("hello", "http echo").await;
    let html = Send { headers: &[("accept", "text/html")], ..Send::default() };
    let styles = "style-src 'self'; style-src-attr 'unsafe-inline';";
    let viewer = "style-src 'self' 'unsafe-inline';";
    for (path, styles) in [("/", styles), ("/projects/shop", styles), ("/docs", viewer)] {
        let page = world.api(Method::GET, path, html.clone()).await;
        assert_eq!((page.status.as_u16(), &*page.text()), (200, "<!doctype html>"), "{path}");
        let policy = page.header("content-security-policy");
        assert!(policy.contains("script-src 'self';"), "{policy}");
        assert!(policy.contains(styles), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(page.header("cache-control"), "no-cache");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
    }
    assert_eq!(world.get("/projects/shop").await.problem(), "404 NX3001");
    let answer = world.api(Method::GET, "/api/v1/nowhere", html.clone()).await;
    assert_eq!(answer.problem(), "404 NX3001");
    // A function that answers HTML through the API stays in its sandbox.
    let call = "/api/v1/projects/shop/functions/hello/invoke";
    let send = Send { token: &world.admin, ..html };
    let answer = world.api(Method::POST, call, send).await;
    assert!(answer.header("content-security-policy").ends_with("sandbox"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_can_be_opened() {
    let world = World::with(|config| config.metrics_open = true).await;
    let answer = world.api(Method::GET, "/metrics", Send::default()).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("http_server_request_duration_seconds"));
    let closed = World::new().await;
    let bound = closed.token(&[Scope::Read]).await;
    let answer = closed.api(Method::GET, "/metrics", Send { token: &bound, ..Send::default() });
    assert_eq!(answer.await.problem(), "403 NX2002");
    assert_eq!(closed.get("/metrics").await.status, 200);
}

#[test]
fn the_document_says_which_routes_are_open() {
    let document = nexus_gateway::openapi();
    for operations in document["paths"].as_object().unwrap().values() {
        for operation in operations.as_object().unwrap().values() {
            let open = operation["security"] == Value::Array(Vec::new());
            assert_eq!(open, OPEN.contains(&operation["operationId"].as_str().unwrap()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_is_counted_by_what_was_wrong() {
    let world = World::new().await;
    let spec = serde_json::json!({ "on": { "http": [{ "path": "/private", "auth": "token" }] } });
    world.deploy_with("private", "http echo", Some(spec)).await;
    let stranger = format!("nx_{}", "0".repeat(52));
    let path = "/api/v1/tokens";
    for token in ["", &stranger, &stranger] {
        let send = Send { token, ..Send::default() };
        assert_eq!(world.api(Method::GET, path, send.clone()).await.problem(), "401 NX2001");
        assert_eq!(world.call(Method::GET, "/private", send).await.problem(), "401 NX2001");
    }
    let basic = [("authorization", "Basic YTpi")];
    let send = Send { headers: &basic, ..Send::default() };
    assert_eq!(world.api(Method::GET, path, send).await.problem(), "401 NX2001");
    let cookie = [(
        "cookie",
        &*format!("nexus_session_{}={stranger}", world.gateway.admin_address().port()),
    )];
    let send = Send { headers: &cookie, ..Send::default() };
    let session = world.api(Method::GET, path, send).await.problem();
    let code = format!(r#"{{"code":"{stranger}"}}"#);
    let csrf = [("nexus-csrf", "1")];
    let content_type = "application/json";
    let send = Send { headers: &csrf, content_type, body: code.into(), ..Send::default() };
    let link = world.api(Method::POST, "/api/v1/session", send).await.problem();
    assert_eq!((session.as_str(), link.as_str()), ("401 NX2001", "401 NX2001"));
    // Somebody who is known and may not is another matter.
    let read = world.token(&[Scope::Read]).await;
    let send = Send { token: &read, ..Send::default() };
    assert_eq!(world.api(Method::GET, path, send).await.problem(), "403 NX2002");

    let counted: Vec<String> = world
        .node
        .metrics()
        .encode(nexus_observe::Format::Prometheus)
        .lines()
        .filter_map(|line| line.strip_prefix("nexus_auth_failures_total"))
        .filter(|line| !line.ends_with(" 0"))
        .map(str::to_owned)
        .collect();
    assert_eq!(
        counted,
        [
            r#"{listener="ingress",reason="missing"} 1"#,
            r#"{listener="ingress",reason="token"} 2"#,
            r#"{listener="admin",reason="missing"} 1"#,
            r#"{listener="admin",reason="malformed"} 1"#,
            r#"{listener="admin",reason="token"} 2"#,
            r#"{listener="admin",reason="session"} 1"#,
            r#"{listener="admin",reason="link"} 1"#,
        ]
    );
}
