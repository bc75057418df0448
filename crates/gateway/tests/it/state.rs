//! State of functions over the API: lists, single keys, guards, streams, odd names, limits.

use bytes::Bytes;
use http::Method;
use nexus_model::{Scope, limits};
use nexus_store::{StateChange, StateEdit, StateId};
use serde_json::{Value, json};

use crate::world::{Answer, Send, World, name};

const STATE: &str = "/api/v1/projects/shop/state";

impl World {
    async fn state(&self, method: Method, rest: &str, body: impl Into<Bytes>) -> Answer {
        let send = Send { token: &self.admin, body: body.into(), ..Send::default() };
        self.api(method, &format!("{STATE}{rest}"), send).await
    }

    async fn look(&self, rest: &str) -> Answer {
        self.state(Method::GET, rest, "").await
    }

    /// As the function `hello` does it.
    async fn of_function(&self, key: &str, edit: StateEdit) -> u64 {
        let id =
            StateId { project: name("shop"), namespace: "function/hello".into(), key: key.into() };
        let change = StateChange { id, edit, expected: None, operation: None, by: None };
        self.store.change_state(change).await.unwrap()
    }
}

fn put(value: &str) -> StateEdit {
    StateEdit::Put(Bytes::from(value.to_owned()))
}

/// As a client writes any text into a query.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_set_read_and_deleted_under_guard() {
    let world = World::new().await;
    world.deploy("hello", "http echo").await;
    let one = "/key?function=hello&key=cart/1";
    assert_eq!(world.look(one).await.problem(), "404 NX3001");
    let set = |guard: &'static str, value: &'static str| {
        let place = format!("{one}{guard}");
        let world = &world;
        async move { world.state(Method::PUT, &place, value).await }
    };
    let first = set("&version=0", "{\"a\": 1}").await.json()["version"].as_u64().unwrap();
    let again = set("&version=0", "2").await;
    assert_eq!(again.problem(), "409 NX3002");
    assert_eq!(again.json()["detail"], "key 'cart/1' of function 'hello' exists, with version 1");

    let shown = world.look(one).await.json();
    let expected = json!({ "key": "cart/1", "version": first, "bytes": 8, "json": { "a": 1 } });
    assert_eq!(shown, expected);
    let raw = world.look(&format!("{one}&raw=true")).await;
    assert_eq!(
        (raw.text().as_str(), raw.header("content-type")),
        ("{\"a\": 1}", "application/octet-stream")
    );
    assert_eq!(raw.header("nexus-state-version"), first.to_string());

    // A function is faster.
    let second = world.of_function("cart/1", put("3")).await;
    let late = set("&version=1", "4").await;
    assert_eq!(late.problem(), "409 NX3002");
    assert_eq!(late.json()["detail"], "key 'cart/1' of function 'hello' has version 2, not 1");
    assert!(late.text().contains("read it again"), "{}", late.text());
    let delete = |guard: u64| {
        let place = format!("{one}&version={guard}");
        let world = &world;
        async move { world.state(Method::DELETE, &place, "").await }
    };
    assert_eq!(delete(first).await.problem(), "409 NX3002");
    assert_eq!(delete(second).await.status, 204);
    assert_eq!(delete(second).await.problem(), "404 NX3001");
    assert_eq!(
        set("&version=1", "4").await.json()["detail"],
        "key 'cart/1' of function 'hello' does not exist any more"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_an_event_for_those_who_audit() {
    let world = World::new().await;
    world.state(Method::PUT, "/key?shared=w&key=k", "hush").await;
    let list = "/api/v1/projects/shop/events?type=dev.nexus.state.*&data=true";
    // It is written with the change, and moves to the log behind the answer.
    let event = loop {
        let events = world.get(list).await.json();
        if let Some(event) = events["items"].get(0) {
            break event.clone();
        }
        tokio::task::yield_now().await;
    };
    let of = |field: &str| event["event"][field].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (of("type").as_str(), of("subject").as_str()),
        ("dev.nexus.state.set", "State shop/shared/w")
    );
    assert_eq!(event["principal"], "token:admin");
    let data = &event["event"]["data"];
    assert_eq!((&data["key"], &data["version"]), (&json!("k"), &json!({ "old": 0, "new": 1 })));
    assert!(!event.to_string().contains("hush"), "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_go_page_by_page_and_name_where_they_go_on() {
    let world = World::new().await;
    world.deploy("hello", "http echo").await;
    assert_eq!(world.look("").await.json(), json!({ "items": [] }));
    assert_eq!(world.look("/keys?function=hello").await.json(), json!({ "items": [] }));
    for at in 0..5 {
        world.of_function(&format!("a/{at}"), put("\"x\"")).await;
        world.of_function(&format!("s/{at}"), StateEdit::Append(vec!["1".into(); 3])).await;
    }
    world.of_function("b", put("")).await;
    world.state(Method::PUT, "/key?shared=w&key=k", "1").await;

    let mut seen = Vec::new();
    let mut place = "/keys?function=hello&prefix=a/&limit=2".to_owned();
    loop {
        let page = world.look(&place).await.json();
        let items = page["items"].as_array().unwrap();
        seen.push(items.len());
        assert!(items.iter().all(|item| item.get("json").is_none()), "no values: {page}");
        let Some(next) = page["next"].as_str() else { break };
        place = format!("/keys?function=hello&prefix=a/&limit=2&cursor={next}");
    }
    assert_eq!(seen, [2, 2, 1]);
    let values = world.look("/keys?function=hello&values=true&limit=1").await.json();
    assert_eq!((&values["items"][0]["json"], values["next"].is_string()), (&json!("x"), true));
    let last = world.look("/keys?function=hello&prefix=b&limit=1").await.json();
    assert_eq!(last["next"], Value::Null, "nothing follows: no further page");

    let streams = world.look("/streams?function=hello&limit=4").await.json();
    assert_eq!(streams["items"][3], json!({ "name": "s/3", "version": 3, "events": 3 }));
    let next = streams["next"].as_str().unwrap();
    let streams = world.look(&format!("/streams?function=hello&cursor={next}")).await.json();
    assert_eq!((streams["items"].as_array().unwrap().len(), &streams["next"]), (1, &Value::Null));

    let spaces = world.look("?limit=1").await.json();
    let expected = json!({
        "function": "hello", "deleted": false, "keys": 6, "key_bytes": 15,
        "streams": 5, "events": 15, "event_bytes": 15, "more": false,
    });
    assert_eq!(spaces["items"][0], expected);
    let next = spaces["next"].as_str().unwrap();
    let spaces = world.look(&format!("?cursor={next}")).await.json();
    assert_eq!((&spaces["items"][0]["shared"], &spaces["next"]), (&json!("w"), &Value::Null));
    for wrong in
        ["?cursor=c1-0-2a", "/keys?function=hello&cursor=x", "/streams?function=hello&limit=0"]
    {
        assert_eq!(world.look(wrong).await.problem(), "400 NX1001", "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_read_behind_a_version_and_deleted() {
    let world = World::new().await;
    world.deploy("hello", "http echo").await;
    let events = ["{\"n\":1}", "two", "3"].map(|text| Bytes::from_static(text.as_bytes()));
    world.of_function("ledger/1", StateEdit::Append(events.to_vec())).await;
    let place = "/stream?function=hello&stream=ledger/1";
    let all = world.look(&format!("{place}&limit=2")).await.json();
    assert_eq!(all["items"][0], json!({ "version": 1, "bytes": 7, "json": { "n": 1 } }));
    let next = all["next"].as_str().unwrap();
    let rest = world.look(&format!("{place}&cursor={next}")).await.json();
    assert_eq!(rest, json!({ "items": [{ "version": 3, "bytes": 1, "text": "3" }] }));
    let behind = world.look(&format!("{place}&after_version=2")).await.json();
    assert_eq!(behind, rest);
    let nothing = world.look(&format!("{place}&after_version=3")).await.json();
    assert_eq!(nothing, json!({ "items": [] }));
    let wrong = world.look("/stream?function=hello&stream=ledger/2").await;
    assert_eq!(
        (wrong.problem().as_str(), &wrong.json()["hint"]),
        ("404 NX3001", &json!("did you mean 'ledger/1'?"))
    );
    let key = world.look("/key?function=hello&key=ledger/1").await;
    assert!(key.text().contains("nexus state stream hello 'ledger/1'"), "{}", key.text());

    let gone = world.state(Method::DELETE, place, "").await.json();
    assert_eq!(gone, json!({ "keys": 0, "events": 3, "bytes": 11, "more": false }));
    assert_eq!(world.state(Method::DELETE, place, "").await.problem(), "404 NX3001");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_hold_any_text_and_have_limits() {
    let world = World::new().await;
    let long = "k".repeat(limits::STATE_KEY_BYTES_MAX);
    let odd = ["a/b/c", ".", "..", "../../tokens", "?&=#%2F+ ", "\u{0}\n\t", "ä\u{10ffff}", &long];
    for space in ["w", "", "a/../b", "\u{0}"] {
        let shared = encoded(space);
        for key in odd {
            let place = format!("/key?shared={shared}&key={}", encoded(key));
            let set = world.state(Method::PUT, &place, key.to_owned()).await;
            assert_eq!(set.status, 200, "{place}: {}", set.text());
            let shown = world.look(&place).await.json();
            assert_eq!((&shown["key"], &shown["text"]), (&json!(key), &json!(key)));
        }
        let list = world.look(&format!("/keys?shared={shared}")).await.json();
        let mut keys: Vec<&str> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|at| at["key"].as_str().unwrap())
            .collect();
        keys.sort_unstable();
        let mut sorted = odd.to_vec();
        sorted.sort_unstable();
        assert_eq!(keys, sorted);
        for key in odd {
            let place = format!("/key?shared={shared}&key={}", encoded(key));
            assert_eq!(world.state(Method::DELETE, &place, "").await.status, 204);
        }
    }
    assert_eq!(world.look("").await.json(), json!({ "items": [] }));
    // A page of values ends where they are too many bytes.
    let large = "v".repeat(limits::STATE_VALUE_BYTES_MAX);
    for at in 0..6 {
        let place = format!("/key?shared=w&key={at}");
        assert_eq!(world.state(Method::PUT, &place, large.clone()).await.status, 200);
    }
    let page = world.look("/keys?shared=w&values=true").await.json();
    assert_eq!((page["items"].as_array().unwrap().len(), page["next"].is_string()), (4, true));
    assert_eq!(world.look("/keys?shared=w").await.json()["items"].as_array().unwrap().len(), 6);

    let larger = world.state(Method::PUT, "/key?shared=w&key=x", large + "v").await;
    assert_eq!(larger.problem(), "413 NX1003");
    let detail = larger.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("the value has"), "{detail}");
    for (wrong, detail) in [
        (format!("/key?shared=w&key={long}k"), "a key of 513 bytes exceeds the limit of 512 bytes"),
        (
            format!("/key?shared={long}k&key=k"),
            "a namespace of 513 bytes exceeds the limit of 512 bytes",
        ),
        ("/key?shared=w&key=".to_owned(), "a key or stream needs a name"),
        ("/key?key=k".to_owned(), "the query names no namespace"),
        (
            "/key?key=k&shared=w&function=hello".to_owned(),
            "the query names a function and a shared namespace",
        ),
    ] {
        let answer = world.state(Method::PUT, &wrong, "1").await;
        assert_eq!(
            (answer.problem().as_str(), &answer.json()["detail"]),
            ("400 NX1001", &json!(detail))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_named_with_what_is_near() {
    let world = World::new().await;
    world.deploy("hello", "http echo").await;
    world.of_function("cart/42", put("1")).await;
    world.state(Method::PUT, "/key?shared=warehouse&key=k", "1").await;
    for (place, detail, hint) in [
        (
            "/key?function=hello&key=cart/43",
            "key 'cart/43' of function 'hello' does not exist",
            "did you mean 'cart/42'?",
        ),
        (
            "/key?function=hello&key=other",
            "key 'other' of function 'hello' does not exist",
            "nexus state list hello shows what there is",
        ),
        (
            "/keys?function=hallo",
            "function 'hallo' in project 'shop' does not exist",
            "did you mean 'hello'?",
        ),
        (
            "/keys?shared=warehous",
            "nothing is in the shared namespace 'warehous' of project 'shop'",
            "did you mean 'warehouse'?",
        ),
    ] {
        let answer = world.look(place).await;
        assert_eq!(answer.problem(), "404 NX3001", "{place}");
        let problem = answer.json();
        assert_eq!((&problem["detail"], &problem["hint"]), (&json!(detail), &json!(hint)));
    }
    let set = world.state(Method::PUT, "/key?function=hallo&key=k", "1").await;
    assert_eq!(set.problem(), "404 NX3001", "a slip of the pen makes no namespace");
    let elsewhere = "/api/v1/projects/other/state";
    assert_eq!(world.get(elsewhere).await.problem(), "404 NX3001");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_and_changes_need_scopes_of_their_own() {
    let world = World::new().await;
    world.deploy("hello", "http echo").await;
    world.of_function("cart/42", put("1")).await;
    let (read, payload, write) = (
        world.token(&[Scope::Read]).await,
        world.token(&[Scope::ReadPayload]).await,
        world.token(&[Scope::Write]).await,
    );
    let ask = async |token: &str, method: Method, rest: &str| {
        let send = Send { token, body: "1".into(), ..Send::default() };
        world.api(method, &format!("{STATE}{rest}"), send).await
    };
    let one = "/key?function=hello&key=cart/42";
    assert_eq!(ask(&read, Method::GET, "").await.status, 200);
    for place in ["/keys?function=hello", "/streams?function=hello", one] {
        assert_eq!(ask(&read, Method::GET, place).await.problem(), "403 NX2002", "{place}");
        assert_eq!(ask(&write, Method::GET, place).await.problem(), "403 NX2002", "{place}");
        assert_eq!(ask(&payload, Method::GET, place).await.status, 200, "{place}");
    }
    for method in [Method::PUT, Method::DELETE] {
        assert_eq!(ask(&read, method.clone(), one).await.problem(), "403 NX2002");
        assert_eq!(ask(&payload, method, one).await.problem(), "403 NX2002");
    }
    assert_eq!(ask(&write, Method::PUT, one).await.status, 200);
    // Who may not read keys is not told which there are.
    let missing = ask(&write, Method::DELETE, "/key?function=hello&key=cart/43").await;
    assert_eq!((missing.problem().as_str(), missing.json().get("hint")), ("404 NX3001", None));
    assert_eq!(ask(&write, Method::DELETE, one).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_a_deleted_function_can_be_removed_and_keeps_its_project() {
    let world = World::new().await;
    world.deploy("hello", "http echo").await;
    world.of_function("a", put("1")).await;
    world.of_function("s", StateEdit::Append(vec!["1".into()])).await;
    let function = "/api/v1/projects/shop/functions/hello";
    let send = || Send { token: &world.admin, ..Send::default() };
    assert_eq!(world.api(Method::DELETE, function, send()).await.status, 204);
    assert_eq!(world.look("").await.json()["items"][0]["deleted"], true);
    assert_eq!(world.look("/key?function=hello&key=a").await.json()["text"], "1");
    let kept = world.api(Method::DELETE, "/api/v1/projects/shop", send()).await;
    assert_eq!(kept.problem(), "409 NX3002");
    assert_eq!(kept.json()["detail"], "project 'shop' still has state of functions");

    let all = "?function=hello";
    let unsure = world.state(Method::DELETE, all, "").await;
    assert_eq!(unsure.problem(), "400 NX1001");
    assert!(unsure.text().contains("&all=true"), "{}", unsure.text());
    let gone = world.state(Method::DELETE, &format!("{all}&all=true"), "").await.json();
    assert_eq!(gone, json!({ "keys": 1, "events": 1, "bytes": 2, "more": false }));
    let again = world.state(Method::DELETE, &format!("{all}&all=true"), "").await;
    assert_eq!(again.problem(), "404 NX3001");
    assert_eq!(world.api(Method::DELETE, "/api/v1/projects/shop", send()).await.status, 204);
}
