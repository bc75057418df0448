//! Browsers that sign in: by token, by link, and all the ways in which they must not.

use http::Method;
use nexus_model::{Scope, limits};
use serde_json::{Value, json};

use crate::world::{Answer, Send, World, open};

const SESSION: &str = "/api/v1/session";

struct Browser<'a> {
    world: &'a World,
    cookie: String,
}

impl Browser<'_> {
    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut all = vec![("cookie", &*self.cookie)];
        all.extend(headers);
        self.world.api(method, path, Send { headers: &all, ..Send::default() }).await
    }
}

async fn sign_in(world: &World, proof: Value, headers: &[(&str, &str)]) -> Answer {
    let body = proof.to_string().into();
    let send = Send { content_type: "application/json", headers, body, ..Send::default() };
    world.api(Method::POST, SESSION, send).await
}

async fn browser(world: &World, proof: Value) -> Browser<'_> {
    let answer = sign_in(world, proof, &[]).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    Browser { world, cookie }
}

async fn link(world: &World) -> String {
    let send = Send { token: &world.admin, ..Send::default() };
    let answer = world.api(Method::POST, "/api/v1/session/links", send).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let link = answer.json();
    let code = link["code"].as_str().unwrap().to_owned();
    assert_eq!(link["path"], format!("/signin?code={code}"));
    code
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_who_its_token_is() {
    let world = World::new().await;
    let read = world.token(&[Scope::Read]).await;
    let answer = sign_in(&world, json!({ "token": read }), &[]).await;
    let port = world.gateway.admin_address().port();
    let set = answer.header("set-cookie");
    assert!(set.starts_with(&format!("nexus_session_{port}=nx_")), "{set}");
    assert!(set.contains("; HttpOnly; SameSite=Strict") && !set.contains("Secure"), "{set}");
    assert!(!answer.text().contains("nx_"), "the key stands in the cookie only");

    let it = browser(&world, json!({ "token": read })).await;
    let view = it.ask(Method::GET, SESSION, &[]).await.json();
    assert_eq!(view["principal"], "token:t-read");
    assert_eq!((&view["kind"], &view["project"]), (&json!("session"), &json!("shop")));
    assert_eq!(view["scopes"], json!(["read"]));
    assert!(view["expires"].is_string());
    assert_eq!(it.ask(Method::GET, "/api/v1/projects/shop/functions", &[]).await.status, 200);
    assert_eq!(it.ask(Method::GET, "/api/v1/tokens", &[]).await.problem(), "403 NX2002");
    // A token is asked the same question, and wins over a cookie.
    let both = [("authorization", &*format!("Bearer {}", world.admin)), ("cookie", &*it.cookie)];
    let view = world.api(Method::GET, SESSION, Send { headers: &both, ..Send::default() }).await;
    assert_eq!(view.json()["kind"], "token");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_sign_in() {
    let world = World::new().await;
    let unknown = format!("nx_{}", "0".repeat(52));
    for (proof, problem) in [
        (json!({ "token": unknown }), "401 NX2001"),
        (json!({ "token": "" }), "401 NX2001"),
        (json!({ "code": unknown }), "401 NX2001"),
        (json!({ "code": world.admin }), "401 NX2001"),
        (json!({}), "400 NX1001"),
        (json!({ "code": "a", "token": "b" }), "400 NX1001"),
        (json!({ "password": "x" }), "400 NX1001"),
    ] {
        let answer = sign_in(&world, proof.clone(), &[]).await;
        assert_eq!(answer.problem(), problem, "{proof}");
        assert_eq!(answer.header("set-cookie"), "");
    }
    // Another site must not sign people in as somebody else.
    let proof = json!({ "token": world.admin });
    for site in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
        assert_eq!(sign_in(&world, proof.clone(), &[site]).await.problem(), "403 NX2004");
    }
    let secure = sign_in(&world, proof, &[("origin", "https://localhost")]).await;
    assert!(secure.header("set-cookie").starts_with("__Host-nexus_session_"), "{secure:?}");
    assert!(secure.header("set-cookie").ends_with("; Secure"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_works_once() {
    let world = World::new().await;
    let code = link(&world).await;
    let it = browser(&world, json!({ "code": code })).await;
    assert_eq!(it.ask(Method::GET, SESSION, &[]).await.json()["principal"], "token:admin");
    let again = sign_in(&world, json!({ "code": code }), &[]).await;
    assert_eq!(again.problem(), "401 NX2001");
    // The page itself uses nothing up: whoever looks at links in advance only gets the page.
    let code = link(&world).await;
    let page = format!("/signin?code={code}");
    let html = Send { headers: &[("accept", "text/html")], ..Send::default() };
    assert_eq!(world.api(Method::GET, &page, html).await.status, 200);
    browser(&world, json!({ "code": code })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_pages_of_this_server_act_with_the_cookie() {
    let world = World::new().await;
    let it = browser(&world, json!({ "token": world.admin })).await;
    let verify = "/api/v1/log/verify";
    const CSRF: (&str, &str) = ("nexus-csrf", "1");
    for headers in [
        &[][..],
        &[("sec-fetch-site", "same-origin")],
        &[CSRF, ("sec-fetch-site", "same-site")],
        &[CSRF, ("sec-fetch-site", "cross-site")],
        &[CSRF, ("origin", "http://localhost:8080")],
        &[CSRF, ("origin", "null")],
    ] {
        let answer = it.ask(Method::POST, verify, headers).await;
        assert_eq!(answer.problem(), "403 NX2004", "{headers:?}");
    }
    for headers in [&[CSRF][..], &[CSRF, ("sec-fetch-site", "same-origin")]] {
        assert_eq!(it.ask(Method::POST, verify, headers).await.status, 200, "{headers:?}");
    }
    // A page that a function serves on another port cannot even read.
    let answer = it.ask(Method::GET, SESSION, &[("sec-fetch-site", "same-site")]).await;
    assert_eq!(answer.problem(), "403 NX2004");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_by_sign_out_and_with_their_token() {
    let world = World::new().await;
    let one = browser(&world, json!({ "token": world.admin })).await;
    let other = browser(&world, json!({ "token": world.admin })).await;
    let out = one.ask(Method::DELETE, SESSION, &[("nexus-csrf", "1")]).await;
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(one.ask(Method::GET, SESSION, &[]).await.problem(), "401 NX2001");
    assert_eq!(other.ask(Method::GET, SESSION, &[]).await.status, 200);

    let read = world.token(&[Scope::Read]).await;
    let it = browser(&world, json!({ "token": read })).await;
    let send = Send { token: &read, ..Send::default() };
    let code = world.api(Method::POST, "/api/v1/session/links", send).await.json();
    let send = Send { token: &world.admin, ..Send::default() };
    world.api(Method::DELETE, "/api/v1/tokens/t-read", send).await;
    assert_eq!(it.ask(Method::GET, SESSION, &[]).await.problem(), "401 NX2001");
    let late = sign_in(&world, json!({ "code": code["code"] }), &[]).await;
    assert_eq!(late.problem(), "401 NX2001");
    // A new token of the same name is another one.
    world.token(&[Scope::Read]).await;
    assert_eq!(it.ask(Method::GET, SESSION, &[]).await.problem(), "401 NX2001");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_opens_a_bounded_number_of_sessions() {
    let world = World::new().await;
    let first = browser(&world, json!({ "token": world.admin })).await;
    let second = browser(&world, json!({ "token": world.admin })).await;
    for _ in 2..limits::SESSIONS_OF_TOKEN_MAX {
        browser(&world, json!({ "token": world.admin })).await;
    }
    // Used a moment ago: the other one makes room.
    assert_eq!(first.ask(Method::GET, SESSION, &[]).await.status, 200);
    browser(&world, json!({ "token": world.admin })).await;
    assert_eq!(first.ask(Method::GET, SESSION, &[]).await.status, 200);
    assert_eq!(second.ask(Method::GET, SESSION, &[]).await.problem(), "401 NX2001");
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_never_see_the_cookie() {
    let world = World::new().await;
    world.deploy("hello", "http echo-headers").await;
    let it = browser(&world, json!({ "token": world.admin })).await;
    let headers = [("cookie", &*format!("a=1; {}", it.cookie))];
    world.call(Method::GET, "/hello", Send { headers: &headers, ..Send::default() }).await;
    let headers = [("cookie", &*it.cookie), ("nexus-csrf", "1")];
    let invoke = "/api/v1/projects/shop/functions/hello/invoke";
    world.api(Method::POST, invoke, Send { headers: &headers, ..Send::default() }).await;
    world.log.flush().await.unwrap();
    let list = world.get("/api/v1/projects/shop/invocations").await.json();
    let rows = list["items"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    let key = it.cookie.split('=').nth(1).unwrap();
    for row in rows {
        let path = format!("/api/v1/projects/shop/invocations/{}", row["id"].as_str().unwrap());
        let shown = world.get(&path).await.text();
        assert!(shown.contains("\"headers\"") && !shown.contains(key), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_stream_needs_a_session_as_everything_does() {
    let world = World::new().await;
    let it = browser(&world, json!({ "token": world.admin })).await;
    let stream = "/api/v1/projects/shop/invocations/stream";
    let headers = [("cookie", &*it.cookie)];
    let address = world.gateway.admin_address();
    let answer = open(address, Method::GET, stream, Send { headers: &headers, ..Send::default() });
    assert_eq!(answer.await.status(), 200);
    it.ask(Method::DELETE, SESSION, &[("nexus-csrf", "1")]).await;
    assert_eq!(it.ask(Method::GET, stream, &[]).await.problem(), "401 NX2001");
    assert!(world.node.session_link(&nexus_model::OpContext::system("x")).is_err());
}
