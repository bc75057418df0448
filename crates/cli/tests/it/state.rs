//! `nexus state`.

use expect_test::{Expect, expect};
use nexus_model::{Code, limits};
use serde_json::{Value, json};

use crate::stub::{Route, json, nexus, problem};

fn check(line: &[&str], routes: Vec<Route>, expected: Expect) {
    expected.assert_eq(&nexus(line, routes).all());
}

fn space(name: &str, shared: bool, keys: u64) -> Value {
    let mut view = json!({
        "deleted": name == "gone", "keys": keys, "key_bytes": 1_536, "streams": 1, "events": 4,
        "event_bytes": 0, "more": keys == 10_000,
    });
    view[if shared { "shared" } else { "function" }] = name.into();
    view
}

fn spaces() -> Route {
    let items =
        [space("gone", false, 1), space("orders", false, 10_000), space("two words", true, 2)];
    json("GET /api/v1/projects/shop/state", json!({ "items": items }))
}

fn streams(items: Value) -> Route {
    json("GET /api/v1/projects/shop/state/streams", json!({ "items": items }))
}

#[test]
fn namespaces_are_listed_as_they_are_typed() {
    check(
        &["state"],
        vec![spaces()],
        expect![[r#"
            exit 0
            --- out
            STATE OF                KEYS  STREAMS  EVENTS      SIZE
            gone                       1        1       4   1.5 KiB  no such function
            orders                10000+       1+      4+  1.5 KiB+
            --shared "two words"       2        1       4   1.5 KiB
            --- err
        "#]],
    );
    let done = nexus(&["state", "list", "--json"], vec![spaces()]);
    assert_eq!(done.out.lines().count(), 3);
    let refused = nexus(&["state", "list", "--prefix", "a"], vec![]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("name a function, or --shared NAME"), "{}", refused.err);
}

#[test]
fn keys_are_listed_page_by_page_on_one_line_each() {
    let first = json!({
        "items": [
            { "key": "cart/1", "version": 3, "bytes": 7, "json": { "a": 1 } },
            { "key": "odd \u{1b}[31m\n", "version": 4, "bytes": 1, "base64": "/w==" },
        ],
        "next": "k1-YQ",
    });
    let second = json!({ "items": [{ "key": "z", "version": 5, "bytes": 2, "text": "12" }] });
    let place = "/api/v1/projects/shop/state/keys?function=orders&prefix=&values=true";
    let routes = vec![
        json(format!("GET {place}&limit=100").leak(), first),
        json(format!("GET {place}&limit=98&cursor=k1-YQ").leak(), second),
        streams(json!([{ "name": "s", "version": 1, "events": 1 }])),
    ];
    check(
        &["state", "list", "orders", "--values"],
        routes,
        expect![[r#"
            exit 0
            --- out
            KEY                 VERSION  SIZE  VALUE
            cart/1                    3   7 B  {"a":1}
            "odd \u{1b}[31m\n"        4   1 B  base64:/w==
            z                         5   2 B  12
            --- err
            there are streams, too: nexus state list orders --streams
        "#]],
    );
}

#[test]
fn a_value_is_printed_as_it_is() {
    let bytes = "{\"a\": 1}\u{1b}[31m\u{0}";
    let route = Route {
        request: "GET /api/v1/projects/shop/state/key?function=orders&key=cart%2F1&raw=true",
        status: 200,
        headers: "content-type: application/octet-stream\r\nnexus-state-version: 7\r\n",
        body: bytes.into(),
    };
    let done = nexus(&["state", "get", "orders", "cart/1"], vec![route]);
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (0, bytes, "\nversion 7\n"));
    let view = json!({ "key": "k", "version": 7, "bytes": 1, "text": "5" });
    let route = json("GET /api/v1/projects/shop/state/key?shared=w&key=k", &view);
    let done = nexus(&["state", "get", "--shared", "w", "k", "--json"], vec![route]);
    assert_eq!(done.out, format!("{view}\n"));
}

#[test]
fn a_value_is_set_under_guard() {
    let place = "PUT /api/v1/projects/shop/state/key?function=orders&key=balance&version=3";
    let line = ["state", "set", "orders", "balance", "-5", "--if-version", "3"];
    let done = nexus(&line, vec![json(place, json!({ "version": 8 }))]);
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (0, "version 8\n", ""));
    assert_eq!(done.requests[0].1, b"-5");
    let done =
        nexus(&line, vec![problem(place, Code::Conflict, "key 'balance' has version 4, not 3")]);
    assert_eq!(done.code, 1);
    assert!(done.err.starts_with("error: key 'balance' has version 4, not 3\n"), "{}", done.err);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("value");
    let from = |bytes: Vec<u8>| {
        std::fs::write(&file, bytes).unwrap();
        let value = format!("@{}", file.display());
        let place = "PUT /api/v1/projects/shop/state/key?shared=w&key=k";
        let route = json(place, json!({ "version": 1 }));
        nexus(&["state", "set", "--shared", "w", "k", &value, "--json"], vec![route])
    };
    let done = from(b"hello\n".to_vec());
    assert_eq!(
        (done.out.as_str(), &done.requests[0].1[..]),
        ("{\"version\":1}\n", &b"hello\n"[..])
    );
    assert!(done.err.starts_with("note: the value is not JSON"), "{}", done.err);
    let done = from(vec![b'1'; limits::STATE_VALUE_BYTES_MAX + 1]);
    assert_eq!((done.code, done.requests.len()), (2, 0), "nothing is sent");
    assert!(done.err.contains("the value has 1048577 bytes; the limit is 1048576 bytes"));
}

#[test]
fn everything_goes_only_when_that_is_said_twice() {
    check(
        &["state", "delete", "orders", "--all"],
        vec![spaces()],
        expect![[r#"
            exit 1
            --- out
            would delete more than 10000 keys and 4 events of 1 stream
            --- err
            nothing was deleted: --yes does it, for good
        "#]],
    );
    let missing = nexus(&["state", "delete", "other", "--all"], vec![spaces()]);
    assert_eq!(missing.code, 1);
    assert!(missing.err.starts_with("error: there is no state of other\n"), "{}", missing.err);

    let place = "DELETE /api/v1/projects/shop/state?shared=two+words&all=true";
    let step = json!({ "keys": 3, "events": 2, "bytes": 9, "more": false });
    let line = ["state", "delete", "--shared", "two words", "--all", "--yes"];
    let done = nexus(&line, vec![json(place, &step)]);
    assert_eq!((done.code, done.err.as_str()), (0, "deleted 3 keys and 2 events\n"));
    let place = "DELETE /api/v1/projects/shop/state/stream?stream=ledger&function=orders";
    let line = ["state", "delete", "orders", "ledger", "--stream", "--json"];
    assert_eq!(nexus(&line, vec![json(place, &step)]).out, format!("{step}\n"));
    let place = "DELETE /api/v1/projects/shop/state/key?function=orders&key=a+b&version=2";
    let line = ["state", "delete", "orders", "a b", "--if-version", "2"];
    assert_eq!(nexus(&line, vec![json(place, Value::Null)]).err, "deleted \"a b\"\n");
}

#[test]
fn a_function_that_is_deleted_says_what_it_leaves() {
    let delete = |request| Route { request, status: 204, headers: "", body: String::new() };
    let gone = delete("DELETE /api/v1/projects/shop/functions/gone");
    let done = nexus(&["functions", "delete", "gone"], vec![gone, spaces()]);
    let hint = "what it remembers stays; to remove that: nexus state delete gone --all --yes\n";
    assert_eq!((done.code, done.err.lines().count()), (0, 2));
    assert!(done.err.ends_with(hint), "{}", done.err);
    let gone = delete("DELETE /api/v1/projects/shop/functions/gone");
    assert_eq!(nexus(&["delete", "function", "gone"], vec![gone, spaces()]).err, done.err);
    let other = delete("DELETE /api/v1/projects/shop/functions/other");
    let done = nexus(&["functions", "delete", "other"], vec![other, spaces()]);
    assert_eq!((done.code, done.err.lines().count()), (0, 1));
    // A token that may not read is enough for deleting.
    let other = delete("DELETE /api/v1/projects/shop/functions/other");
    let hidden = problem("GET /api/v1/projects/shop/state", Code::Forbidden, "no");
    let done = nexus(&["functions", "delete", "other"], vec![other, hidden]);
    assert_eq!((done.code, done.err.lines().count()), (0, 1));
}

#[test]
fn events_of_a_stream_say_where_to_go_on() {
    let events = json!({
        "items": [
            { "version": 3, "bytes": 7, "json": { "n": 3 } },
            { "version": 4, "bytes": 1, "text": "x" },
        ],
        "next": "k1-NA",
    });
    let place = "GET /api/v1/projects/shop/state/stream?function=orders&stream=ledger&after_version=2&limit=2";
    check(
        &["state", "stream", "orders", "ledger", "--after", "2", "-n", "2"],
        vec![json(place, events)],
        expect![[r#"
            exit 0
            --- out
            VERSION  SIZE  DATA
                  3   7 B  {"n":3}
                  4   1 B  x
            --- err
            there are more: --after 4, or --limit N
        "#]],
    );
}

#[test]
fn wrong_words_are_named() {
    for (line, message) in [
        (&["state", "get"][..], "error: missing: FUNCTION and KEY\n"),
        (&["state", "set", "orders", "k"], "error: missing: VALUE\n"),
        (&["state", "set", "--shared", "w", "k"], "error: missing: VALUE\n"),
        (&["state", "get", "--shared", "w", "orders", "k"], "error: 'k' is one word too many\n"),
        (&["state", "delete", "orders", "k", "--all"], "error: 'k' is one word too many\n"),
        (&["state", "stream", "orders"], "error: missing: STREAM\n"),
    ] {
        let done = nexus(line, vec![]);
        assert_eq!(done.code, 2, "{line:?}");
        assert!(done.err.starts_with(message), "{line:?}: {}", done.err);
    }
}
