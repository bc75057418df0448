//! The API as a tool uses it, and its problems.

use expect_test::{Expect, expect};
use http::Method;
use serde_json::{Value, json};

use crate::world::{Answer, Send, World};

impl World {
    async fn post(&self, path: &str, content_type: &str, body: impl Into<bytes::Bytes>) -> Answer {
        let body = body.into();
        let send = Send { token: &self.admin, content_type, body, ..Send::default() };
        self.api(Method::POST, path, send).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deploy_call_and_look_at_it() {
    let world = World::new().await;
    let one = "/api/v1/projects/shop/functions/hello";
    let deployed =
        world.post(&format!("{one}/deploy?language=rust"), "application/wasm", "http echo").await;
    assert_eq!(deployed.status, 200, "{}", deployed.text());
    assert_eq!(deployed.json()["function"]["version"]["language"], "rust");

    let answer = world
        .post(&format!("{one}/invoke?path=/a/b"), "application/json", "{\"name\":\"Ada\"}")
        .await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "{\"name\":\"Ada\"}"));
    assert!(answer.header("nexus-invocation-id").starts_with("inv_"));
    assert!(answer.header("content-security-policy").contains("sandbox"));

    let list = world.get("/api/v1/projects/shop/functions").await.json();
    assert_eq!(list["items"][0]["name"], "hello");
    assert_eq!(world.get(&format!("{one}/versions")).await.json()["items"][0]["number"], 1);
    assert_eq!(world.get(one).await.json()["version"]["number"], 1);

    let send = || Send { token: &world.admin, ..Send::default() };
    assert_eq!(world.api(Method::DELETE, one, send()).await.status, 204);
    assert_eq!(world.get(one).await.problem(), "404 NX3001");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_in_parts_brings_its_configuration() {
    let world = World::new().await;
    let body = "--b\r\ncontent-disposition: form-data; name=\"spec\"\r\n\r\n\
         {\"timeout-ms\":1234}\r\n--b\r\ncontent-disposition: form-data; name=\"component\"; \
         filename=\"c\"\r\ncontent-type: application/wasm\r\n\r\nevent echo\r\n--b--\r\n";
    let path = "/api/v1/projects/shop/functions/orders/deploy";
    let answer = world.post(path, "multipart/form-data; boundary=b", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["function"]["config"]["timeout-ms"], 1234);

    let wrong = |part: &str| {
        format!("--b\r\ncontent-disposition: form-data; name=\"{part}\"\r\n\r\nx\r\n--b--\r\n")
    };
    for (part, detail) in [
        ("code", "the part 'code' is not known; accepted: component, spec, bundle, sources"),
        ("bundle", "the part 'component' is missing"),
    ] {
        let answer = world.post(path, "multipart/form-data; boundary=b", wrong(part)).await;
        assert_eq!(answer.problem(), "400 NX1001");
        assert_eq!(answer.json()["detail"], detail);
    }
    assert_eq!(world.post(path, "text/html", "x").await.problem(), "415 NX1004");
    assert_eq!(world.post(path, "application/wasm", "nonsense").await.problem(), "422 NX4001");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_functions_are_one_deployment() {
    let world = World::new().await;
    let path = "/api/v1/projects/shop/deploy";
    let body = |parts: &[(&str, &str)]| {
        let part = |(name, text): &(&str, &str)| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
        };
        parts.iter().map(part).collect::<String>() + "--b--\r\n"
    };
    let send =
        |parts: &[(&str, &str)]| world.post(path, "multipart/form-data; boundary=b", body(parts));
    let (one, two) = (r#"{"name":"one"}"#, r#"{"name":"two","language":"rust"}"#);
    let code = "http echo";
    for (parts, detail) in [
        (&[][..], "the part 'function' is missing"),
        (&[("component", code)], "the part 'component' comes before any part 'function'"),
        (&[("function", one)], "the part 'component' is missing"),
        (&[("function", one), ("component", code), ("function", two)], "'component' is missing"),
        (&[("function", one), ("component", code), ("other", "")], "the part 'other' is not known"),
        (&[("function", "{}"), ("component", code)], "the part 'function' is not valid"),
    ] {
        let answer = send(parts).await;
        assert_eq!(answer.problem(), "400 NX1001", "{parts:?}");
        assert!(answer.text().contains(detail), "{}", answer.text());
    }
    let wrong = &[("function", one), ("component", code), ("function", two), ("component", "no")];
    let answer = send(wrong).await;
    assert_eq!(answer.problem(), "422 NX4001");
    assert!(answer.text().contains("function 'two': "), "{}", answer.text());
    assert_eq!(world.get("/api/v1/projects/shop/functions").await.json()["items"], json!([]));
    let trigger = r#"[{"apiVersion":"nexus/v1","kind":"Trigger","metadata":{"name":"t"},
        "spec":{"function":"one","cron":{"schedule":"0 2 * * *"}}}]"#;
    let all = [
        ("function", one),
        ("component", code),
        ("resources", trigger),
        ("function", two),
        ("component", code),
    ];
    let deployed = send(&all).await.json();
    let names =
        |at: usize| deployed["functions"][at]["function"]["name"].as_str().unwrap().to_owned();
    assert_eq!([names(0), names(1)], ["one", "two"]);
    assert_eq!(deployed["functions"][0]["triggers"][0]["name"], "t");
    assert_eq!(deployed["functions"][1]["version"]["language"], "rust");
    assert_eq!(deployed["resources"][0]["effect"], "created");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_may_bring_the_text_of_its_code() {
    let world = World::new().await;
    let body = |sources: &str| {
        format!(
            "--b\r\ncontent-disposition: form-data; name=\"component\"\r\n\r\nevent echo\r\n--b\r\n\
             content-disposition: form-data; name=\"sources\"\r\n\r\n{sources}\r\n--b--\r\n"
        )
    };
    let path = "/api/v1/projects/shop/functions/orders/deploy";
    let deploy = |sources: &str| world.post(path, "multipart/form-data; boundary=b", body(sources));
    for (sources, detail) in [
        (r#"{"files":{"../x.rs":"secret"}}"#, "'../x.rs' is no path below the sources' folder"),
        (r#"{"file":{}}"#, "the part 'sources' is not valid: unknown field `file`"),
    ] {
        let answer = deploy(sources).await;
        assert_eq!(answer.problem(), "400 NX1001");
        assert!(answer.json()["detail"].as_str().unwrap().starts_with(detail), "{}", answer.text());
    }
    let sources = r#"{"root":"/home/me","files":{"src/lib.rs":"fn main() {}\n"}}"#;
    let deployed = deploy(sources).await.json();
    assert_eq!(deployed["version"]["sources"], true, "{deployed}");
    let text = world.get("/api/v1/projects/shop/functions/orders/versions/live/sources").await;
    assert_eq!(text.json()["files"]["src/lib.rs"], "fn main() {}\n");
    // The same component with another text is the same version, with the text that it had.
    let again = deploy(r#"{"files":{"src/lib.rs":"other"}}"#).await.json();
    assert_eq!((&again["unchanged"], &again["version"]["number"]), (&true.into(), &1.into()));
    let text = world.get("/api/v1/projects/shop/functions/orders/versions/1/sources").await;
    assert_eq!(text.json()["root"], "/home/me");
    // A version without text, and a token that may only read.
    world.deploy("tool", "command echo").await;
    let none = world.get("/api/v1/projects/shop/functions/tool/versions/live/sources").await;
    assert_eq!(none.problem(), "404 NX3001");
}

#[tokio::test(flavor = "multi_thread")]
async fn direct_calls_of_events_and_commands() {
    let world = World::new().await;
    world.deploy("orders", "event return com.shop.done").await;
    let answer = world.post("/api/v1/projects/shop/functions/orders/invoke", "", "{}").await;
    assert_eq!(answer.header("content-type"), "application/cloudevents-batch+json");
    assert_eq!(answer.json()[0]["type"], "com.shop.done");
    world.deploy("tool", "command echo").await;
    let path = "/api/v1/projects/shop/functions/tool/invoke?argument=-v&argument=x";
    assert_eq!(world.post(path, "", "stdin").await.text(), "stdin");
    world.deploy("broken", "event trap").await;
    let failed = world.post("/api/v1/projects/shop/functions/broken/invoke", "", "{}").await;
    assert_eq!(failed.problem(), "502 NX5001");
    assert_eq!(failed.json()["invocation_id"], failed.header("nexus-invocation-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_come_in_three_languages() {
    let world = World::new().await;
    let project = r#"{"apiVersion":"nexus/v1","kind":"Project","metadata":{"name":"a"},"spec":{}}"#;
    for path in ["/api/v1/apply?dry_run=true", "/api/v1/apply?dry_run=true", "/api/v1/apply"] {
        let applied = world.post(path, "application/json", project).await.json();
        assert_eq!(applied["items"][0]["effect"], "created", "{path}");
    }
    let again = world.post("/api/v1/apply", "application/json", project).await.json();
    assert_eq!(again["items"][0]["effect"], "unchanged");
    let yaml = "apiVersion: nexus/v1\nkind: Function\nmetadata: { name: f }\n\
                spec: { description: hi, on: { events: [{ type: t }] } }\n";
    let applied = world.post("/api/v1/apply?project=a", "application/yaml", yaml).await;
    assert_eq!(applied.status, 200, "{}", applied.text());
    let manifest = "project = \"m\"\n[functions.g]\nhttp = \"/g\"\n";
    assert_eq!(world.post("/api/v1/apply", "text/toml", manifest).await.status, 200);

    let names = |list: Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap().iter();
        items.map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(world.get("/api/v1/projects").await.json()), ["a", "m", "shop"]);
    let functions = world.get("/api/v1/resources/functions?project=a").await.json();
    assert_eq!(names(functions), ["f"]);
    let one = world.get("/api/v1/resources/Function/f?project=a").await.json();
    assert_eq!(one["spec"]["description"], "hi");
    assert_eq!(world.get("/api/v1/resources/pods").await.problem(), "404 NX3001");
    let wrong = world.post("/api/v1/apply", "text/toml", "projet = 1").await;
    assert_eq!(wrong.problem(), "422 NX1006");

    let send = |body: &str| Send {
        token: &world.admin,
        content_type: "application/json",
        body: body.to_owned().into(),
        ..Send::default()
    };
    let put = world.api(Method::PUT, "/api/v1/projects/b", send("{\"description\":\"x\"}")).await;
    assert_eq!(put.json()["spec"]["description"], "x");
    let stale = world.api(Method::DELETE, "/api/v1/projects/b?revision=1", send("")).await;
    assert_eq!(stale.problem(), "409 NX3002");
    assert_eq!(world.api(Method::DELETE, "/api/v1/projects/b", send("")).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_go_in_and_never_come_out() {
    let world = World::new().await;
    let path = "/api/v1/projects/shop/secrets/key";
    let send =
        |body: &str| Send { token: &world.admin, body: body.to_owned().into(), ..Send::default() };
    let set = world.api(Method::PUT, path, send("hush-hush")).await;
    assert_eq!(set.json(), json!({ "version": 1 }), "{}", set.text());
    let shown = world.get(path).await;
    assert!(shown.status == 200 && !shown.text().contains("hush"));
    let spec = json!({ "current": 1, "versions": [1] });
    assert_eq!(shown.json()["spec"], spec);
    let listed = world.get("/api/v1/projects/shop/secrets").await.json();
    assert_eq!(listed["items"][0]["spec"], spec);
    // An object with the value in it was hardly meant to be the value.
    let wrapped = r#"{"value":"hush","bad":1}"#;
    for content_type in ["", "application/json", "application/x-www-form-urlencoded"] {
        let send = Send { content_type, ..send(wrapped) };
        let refused = world.api(Method::PUT, path, send).await;
        assert_eq!(refused.problem(), "400 NX1001", "{content_type}");
    }
    let other = Send { content_type: "application/json", ..send(r#"{"type":"account"}"#) };
    assert_eq!(world.api(Method::PUT, path, other).await.json(), json!({ "version": 2 }));
    let meant = Send { content_type: "text/plain", ..send(wrapped) };
    assert_eq!(world.api(Method::PUT, path, meant).await.json(), json!({ "version": 3 }));
    assert_eq!(world.api(Method::DELETE, path, send("")).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_work_until_they_are_deleted() {
    let world = World::new().await;
    let body = r#"{"name":"ci","scopes":["read"],"project":"shop","ttl_seconds":3600}"#;
    let made = world.post("/api/v1/tokens", "application/json", body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let token = made.json()["token"].as_str().unwrap().to_owned();
    let list = "/api/v1/projects/shop/functions";
    let with = || Send { token: &token, ..Send::default() };
    assert_eq!(world.api(Method::GET, list, with()).await.status, 200);
    assert!(!world.get("/api/v1/tokens").await.text().contains(&token));
    let admin = Send { token: &world.admin, ..Send::default() };
    assert_eq!(world.api(Method::DELETE, "/api/v1/tokens/ci", admin).await.status, 204);
    assert_eq!(world.api(Method::GET, list, with()).await.problem(), "401 NX2001");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_tells_about_itself() {
    let world = World::new().await;
    assert_eq!(world.get("/healthz").await.text(), "ok\n");
    assert_eq!(world.get("/readyz").await.json()["ready"], true);
    assert_eq!(world.get("/api/v1/version").await.json()["api"], "v1");
    let limits = world.get("/api/v1/limits").await.json();
    assert!(limits["items"].as_array().unwrap().iter().any(|it| it["name"] == "event-bytes-max"));
    assert!(world.get("/api/v1/log/stats").await.json().is_object());
    assert!(world.post("/api/v1/log/verify", "", "").await.json().is_object());
    assert_eq!(world.get("/api/v1/openapi.json").await.json(), nexus_gateway::openapi());
}

async fn check(world: &World, answer: Answer, expected: Expect) {
    let mut problem = answer.json();
    // Ids differ in each run.
    problem["request_id"] = "req_…".into();
    let _ = world;
    let retry = answer.header("retry-after");
    let allow = answer.header("allow");
    let text = format!(
        "{} retry-after={retry} allow={allow}\n{}\n",
        answer.problem(),
        serde_json::to_string_pretty(&problem).unwrap()
    );
    expected.assert_eq(&text);
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_look_like_this() {
    let world = World::new().await;
    check(
        &world,
        world.get("/nowhere").await,
        expect![[r#"
        404 NX3001 retry-after= allow=
        {
          "type": "/docs/errors/NX3001",
          "title": "not found",
          "status": 404,
          "detail": "/nowhere is no path of this API",
          "code": "NX3001",
          "hint": "the paths are listed at /api/v1/openapi.json",
          "request_id": "req_…"
        }
    "#]],
    )
    .await;
    let send = Send { token: &world.admin, ..Send::default() };
    let answer = world.api(Method::PATCH, "/api/v1/projects", send).await;
    check(
        &world,
        answer,
        expect![[r#"
        405 NX1007 retry-after= allow=GET,HEAD
        {
          "type": "/docs/errors/NX1007",
          "title": "the method is not allowed here",
          "status": 405,
          "detail": "/api/v1/projects does not answer PATCH",
          "code": "NX1007",
          "request_id": "req_…"
        }
    "#]],
    )
    .await;
    let answer = world.api(Method::GET, "/api/v1/projects", Send::default()).await;
    check(
        &world,
        answer,
        expect![[r#"
        401 NX2001 retry-after= allow=
        {
          "type": "/docs/errors/NX2001",
          "title": "a valid token is needed",
          "status": 401,
          "detail": "there is no Authorization header",
          "code": "NX2001",
          "hint": "send 'Authorization: Bearer nx_…'; `nexus dev` writes its token to .nexus/token",
          "request_id": "req_…"
        }
    "#]],
    )
    .await;
    let answer = world.get("/api/v1/projects/shop/invocations?status=sideways").await;
    check(&world, answer, expect![[r#"
        400 NX1001 retry-after= allow=
        {
          "type": "/docs/errors/NX1001",
          "title": "the request is not valid",
          "status": 400,
          "detail": "status: 'sideways' is none of unknown, succeeded, failed, refused, trapped, timed-out, out-of-memory, cancelled, crashed, rejected, running, suspended, queued",
          "code": "NX1001",
          "request_id": "req_…"
        }
    "#]]).await;
    let answer = world.get("/api/v1/projects/Shop/functions").await;
    check(&world, answer, expect![[r#"
        400 NX1001 retry-after= allow=
        {
          "type": "/docs/errors/NX1001",
          "title": "the request is not valid",
          "status": 400,
          "detail": "project: 'Shop' is not a name: use 1 to 63 lowercase letters, digits or hyphens, starting and ending with a letter or digit",
          "code": "NX1001",
          "request_id": "req_…"
        }
    "#]]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_queries_are_explained() {
    let world = World::new().await;
    for (path, detail) in [
        ("events?typo=x", "the query is wrong: typo: unknown field `typo`"),
        ("events?limit=many", "the query is wrong: limit: invalid digit"),
        ("events?limit=0", "limit is 0; it must lie between 1 and 1000"),
        (
            "events?since=yesterday",
            "the query is wrong: since: 'yesterday' is not an RFC 3339 time",
        ),
        ("events?cursor=x", "'x' is not a cursor"),
        ("invocations?min_duration=soon", "min_duration: "),
        ("invocations?version=x", "the query is wrong: version: "),
        ("events/evt_x", "event: "),
        ("invocations/evt_01krs8xj0000000000000000a0", "invocation: "),
    ] {
        let answer = world.get(&format!("/api/v1/projects/shop/{path}")).await;
        assert_eq!(answer.problem(), "400 NX1001", "{path}");
        let found = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(found.starts_with(detail), "{path}: {found}");
    }
}
