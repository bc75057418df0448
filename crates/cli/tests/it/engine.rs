//! Triggers, schedules, asynchronous calls, dead letters, schemas, why.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::stub::{Route, json, nexus};

const INV: &str = "inv_01kagsk1s0e3s0000000000001";
const EVT: &str = "evt_01kagsk1s0e3s0000000000002";

fn check(line: &[&str], routes: Vec<Route>, expected: Expect) {
    expected.assert_eq(&nexus(line, routes).all());
}

fn event() -> Value {
    json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "com.shop.order", "data": { "n": 1 } })
}

#[test]
fn triggers_are_listed_with_what_they_do() {
    let items = json!({ "items": [
        { "project": "shop", "name": "late", "function": "orders", "event": { "type": "com.shop.late" },
          "paused": true, "pending": 0, "revision": 3 },
        { "project": "shop", "name": "nightly", "function": "report",
          "cron": { "schedule": "0 2 * * *", "zone": "Europe/Berlin" }, "pending": 0,
          "next": "2026-11-21T01:00:00Z" },
        { "project": "shop", "function": "pay", "webhook": { "path": "/hook", "secret": "key" }, "pending": 0 },
        { "project": "shop", "function": "pay",
          "http": { "path": "/pay/{id}", "methods": ["POST"], "auth": "token" }, "pending": 0 },
    ] });
    check(
        &["triggers"],
        vec![json("GET /api/v1/projects/shop/triggers", &items)],
        expect![[r#"
            exit 0
            --- out
            NAME     KIND     WHAT                     AUTH   FUNCTION  STATE   NEXT
            late     event    com.shop.late                   orders    paused
            nightly  cron     0 2 * * * Europe/Berlin         report    active  2026-11-21 01:00:00.000Z
                     webhook  POST /hook                      pay       active
                     http     POST /pay/{id}           token  pay       active
            --- err
            triggers with a name can be paused (nexus triggers pause NAME); the others stand in their functions' own settings
        "#]],
    );
    let done = nexus(
        &["triggers", "pause", "late"],
        vec![json("POST /api/v1/projects/shop/triggers/late/pause", &items["items"][0])],
    );
    assert_eq!((done.code, done.err.as_str()), (0, "trigger late is paused: its events wait\n"));
}

#[test]
fn an_asynchronous_call_prints_its_id() {
    let accepted = Route {
        request: "POST /api/v1/projects/shop/functions/hello/invoke",
        status: 202,
        headers: "content-type: application/json\r\nnexus-invocation-id: inv_1\r\n",
        body: json!({ "invocation": "inv_1" }).to_string(),
    };
    let done = nexus(&["invoke", "hello", "--async", "-d", "{}"], vec![accepted]);
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (0, "inv_1\n", ""));
    assert!(done.requests[0].0.ends_with("?async=true"), "{}", done.requests[0].0);
}

#[test]
fn a_call_that_is_waited_for_is_accepted_before_anybody_waits() {
    let accepted = Route {
        request: "POST /api/v1/projects/shop/functions/hello/invoke",
        status: 202,
        headers: "content-type: application/json\r\n\
                  nexus-invocation-id: inv_01kagsk1s0e3s0000000000001\r\n",
        body: json!({ "invocation": INV }).to_string(),
    };
    let headers = "content-type: text/plain\r\nnexus-invocation-id: inv_1\r\n";
    let result = Route { status: 200, headers, body: "done".into(), ..pending() };
    let done = nexus(&["invoke", "hello", "--wait"], vec![accepted, result]);
    assert_eq!((done.code, done.out.as_str(), done.requests.len()), (0, "done", 2));
    assert!(done.requests[0].0.ends_with("?async=true"), "{}", done.requests[0].0);
    assert!(done.requests[1].0.ends_with("/result?wait=30s"), "{}", done.requests[1].0);
}

fn pending() -> Route {
    Route {
        request: "GET /api/v1/projects/shop/invocations/inv_01kagsk1s0e3s0000000000001/result",
        status: 202,
        headers: "content-type: application/vnd.nexus.pending+json\r\n",
        body: json!({
            "invocation": INV, "status": "queued", "attempt": 1, "reason": "queued: concurrency 3/3",
        })
        .to_string(),
    }
}

#[test]
fn a_result_is_printed_or_how_far_it_is() {
    let ready = Route {
        status: 200,
        headers: "content-type: text/plain\r\nnexus-invocation-id: inv_1\r\n",
        body: "done".into(),
        ..pending()
    };
    let done = nexus(&["result", INV, "--wait"], vec![ready]);
    assert_eq!(
        (done.code, done.out.as_str(), done.err.as_str()),
        (0, "done", "\nHTTP 200 inv_1\n")
    );
    let done = nexus(&["result", INV], vec![pending()]);
    assert_eq!(done.code, 1);
    assert_eq!(done.err, format!("{INV} queued: queued: concurrency 3/3\n"));
}

#[test]
fn a_batch_prints_one_result_a_line_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("inputs.ndjson");
    std::fs::write(&file, "{\"n\":1}\n\n{\"n\":2}\n{\"n\":3}\n").unwrap();
    let route = Route {
        request: "POST /api/v1/projects/shop/functions/hello/invoke",
        status: 200,
        headers: "content-type: application/json\r\nnexus-invocation-id: inv_1\r\n",
        body: "{\"ok\":true}".into(),
    };
    let file = file.display().to_string();
    let done = nexus(&["invoke", "hello", "--batch", &file, "--concurrency", "2"], vec![route]);
    let lines: Vec<Value> =
        done.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers: Vec<_> = lines.iter().map(|line| line["line"].as_u64().unwrap()).collect();
    assert_eq!((done.code, numbers), (0, vec![1, 2, 3]));
    assert_eq!(lines[0]["body"], json!({ "ok": true }));
    assert_eq!(done.err, "3 of 3 calls succeeded\n");
    let mut sent: Vec<_> = done.requests.iter().map(|(_, body)| body.clone()).collect();
    sent.sort();
    assert_eq!(sent, [b"{\"n\":1}", b"{\"n\":2}", b"{\"n\":3}"]);
    let failing = Route {
        request: "POST /api/v1/projects/shop/functions/hello/invoke",
        status: 502,
        headers: "content-type: application/problem+json\r\n",
        body: json!({
            "type": "/docs/errors/NX5001", "title": "x", "status": 502, "detail": "it failed",
            "code": "NX5001",
        })
        .to_string(),
    };
    let done = nexus(&["invoke", "hello", "--batch", &file], vec![failing]);
    assert_eq!((done.code, done.err.as_str()), (1, "0 of 3 calls succeeded\n"));
    assert!(done.out.contains("\"error\":\"it failed\""), "{}", done.out);
}

#[test]
fn an_event_can_happen_later() {
    let accepted = json!({ "events": [{ "id": EVT, "duplicate": false, "warning": "schema 'order' version 1: /n: too small" }] });
    let route = || json("POST /api/v1/projects/shop/events", &accepted);
    let done = nexus(&["emit", "t", "--at", "2026-12-01T10:00Z"], vec![route()]);
    assert_eq!((done.code, done.out), (0, format!("{EVT}\n")));
    assert_eq!(done.err, "warning: schema 'order' version 1: /n: too small\n");
    assert!(done.requests[0].0.ends_with("?at=2026-12-01T10%3A00%3A00Z"), "{}", done.requests[0].0);
    let done = nexus(&["emit", "t", "--at", "5m"], vec![route()]);
    assert_eq!(done.code, 2);
    assert!(done.err.contains("--in 5m"), "{}", done.err);
    let schedule = json!({ "items": [{
        "id": EVT, "project": "shop", "due": "2026-12-01T10:00:00Z", "principal": "token:dev",
        "received": "2026-11-20T19:00:00Z", "event": event(),
    }] });
    check(
        &["schedules"],
        vec![json("GET /api/v1/projects/shop/schedules", &schedule)],
        expect![[r#"
            exit 0
            --- out
            DUE                       ID                              TYPE            BY
            2026-12-01 10:00:00.000Z  evt_01kagsk1s0e3s0000000000002  com.shop.order  token:dev
            --- err
        "#]],
    );
}

#[test]
fn why_says_it_in_a_sentence() {
    let why = json!({ "items": [{
        "about": EVT, "state": "waiting", "answer": "Waits for attempt 2 until 10:00.",
        "until": "2026-11-20T19:05:00Z", "because": ["the last one failed: it trapped"],
        "hint": "nexus triggers", "function": "orders",
    }] });
    check(
        &["why", EVT],
        vec![json("GET /api/v1/projects/shop/why/evt_01kagsk1s0e3s0000000000002", &why)],
        expect![[r#"
            exit 0
            --- out
            evt_01kagsk1s0e3s0000000000002  orders  waiting
              Waits for attempt 2 until 10:00.
              · the last one failed: it trapped
              until 2026-11-20 19:05:00.000Z
              to do: nexus triggers
            --- err
        "#]],
    );
}

#[test]
fn why_keeps_what_a_function_said_together() {
    let why = json!({ "items": [{
        "about": INV, "state": "failed", "answer": "It ended as failed: no:\n    at index.js\n .",
        "because": ["the last one failed: no:\n    at index.js\n"],
    }] });
    let done = nexus(
        &["why", INV],
        vec![json("GET /api/v1/projects/shop/why/inv_01kagsk1s0e3s0000000000001", &why)],
    );
    let lines: Vec<&str> = done.out.lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            "  It ended as failed: no:",
            "      at index.js",
            "  · the last one failed: no:",
            "        at index.js",
        ]
    );
}

#[test]
fn dead_letters_are_shown_and_redriven() {
    let letter = json!({
        "event": EVT, "project": "shop", "function": "orders", "type": "com.shop.order",
        "reason": "NX5002: it refused:\nat index.js\n", "code": "NX5002", "attempts": 1,
        "at": "2026-11-20T19:00:00Z",
        "history": [{
            "invocation": INV, "attempt": 1, "status": "refused", "at": "2026-11-20T19:00:00Z",
            "duration_ns": 1_000_000, "reason": "it refused", "code": "NX5002",
        }],
    });
    let items = json!({ "items": [letter] });
    check(
        &["dead-letters", "--function", "orders"],
        vec![json("GET /api/v1/projects/shop/dead-letters", &items)],
        expect![[r#"
            exit 0
            --- out
            TIME                      EVENT                           TYPE            FUNCTION  CODE    ATTEMPTS  REASON
            2026-11-20 19:00:00.000Z  evt_01kagsk1s0e3s0000000000002  com.shop.order  orders    NX5002         1  it refused: …
            --- err
        "#]],
    );
    check(
        &["dead-letters", "show", EVT],
        vec![json("GET /api/v1/projects/shop/dead-letters/evt_01kagsk1s0e3s0000000000002", &items)],
        expect![[r#"
            exit 0
            --- out
            evt_01kagsk1s0e3s0000000000002  shop/orders
              type      com.shop.order
              given up  2026-11-20 19:00:00.000Z
              code      NX5002
              reason    it refused:
                        at index.js

            ATTEMPT  TIME                      INVOCATION                      STATUS      TOOK  REASON
                  1  2026-11-20 19:00:00.000Z  inv_01kagsk1s0e3s0000000000001  refused  1.00 ms  it refused
            --- err
        "#]],
    );
    let route = || {
        json("POST /api/v1/projects/shop/dead-letters/redrive", json!({ "matched": 7, "done": 0 }))
    };
    let done = nexus(
        &["dead-letters", "redrive", "--function", "orders", "--rate", "100/s", "--dry-run"],
        vec![route()],
    );
    assert_eq!((done.code, done.out.as_str()), (0, "7 dead letters would be redriven\n"));
    let sent: Value = serde_json::from_slice(&done.requests[0].1).unwrap();
    assert_eq!(
        sent,
        json!({
            "filter": { "function": "orders" }, "all": false, "dry_run": true, "reason": "",
            "rate": 100,
        })
    );
    let done = nexus(&["dead-letters", "redrive", EVT, "--data", "{\"n\":2}"], vec![route()]);
    let sent: Value = serde_json::from_slice(&done.requests[0].1).unwrap();
    assert_eq!((&sent["data"], &sent["filter"]["event"]), (&json!({ "n": 2 }), &json!(EVT)));
    assert_eq!(nexus(&["dead-letters", "redrive"], vec![route()]).code, 2, "nothing was named");
    assert_eq!(nexus(&["dead-letters", "drop", "--all"], vec![route()]).code, 2, "no reason");
}

#[test]
fn schemas_are_listed_checked_and_inferred() {
    let items = json!({ "items": [{
        "project": "shop", "name": "order", "type": "com.shop.order", "compatibility": "backward",
        "versions": [1, 2], "mode": "enforce",
    }] });
    check(
        &["schemas"],
        vec![json("GET /api/v1/projects/shop/schemas", &items)],
        expect![[r#"
        exit 0
        --- out
        NAME   TYPE            VERSIONS  COMPATIBILITY  EVENTS THAT BREAK IT
        order  com.shop.order  1, 2      backward       are refused
        --- err
    "#]],
    );
    let breach = json!({ "valid": false, "schema": "order", "breach": "schema 'order' version 2: /n: wrong", "mode": "warn" });
    let done = nexus(
        &["schemas", "check", "--type", "com.shop.order", "-d", "{\"n\":1}"],
        vec![json("POST /api/v1/projects/shop/schemas/check", &breach)],
    );
    assert_eq!((done.code, done.out.as_str()), (1, "breaks schema 'order' version 2: /n: wrong\n"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("order.json").display().to_string();
    let inferred =
        json!({ "type": "com.shop.order", "events": 12, "schema": { "type": "object" } });
    let done = nexus(
        &["schemas", "infer", "com.shop.order", "--since", "1d", "--save", &file],
        vec![json("GET /api/v1/projects/shop/schemas/infer", &inferred)],
    );
    assert_eq!((done.code, done.err.as_str()), (0, "from 12 events of the type com.shop.order\n"));
    assert_eq!(std::fs::read_to_string(file).unwrap(), "{\n  \"type\": \"object\"\n}\n");
}

#[test]
fn invocations_are_cancelled_and_signalled() {
    let none = |request| Route { request, status: 204, headers: "", body: String::new() };
    let cancel =
        none("POST /api/v1/projects/shop/invocations/inv_01kagsk1s0e3s0000000000001/cancel");
    let done = nexus(&["cancel", INV, "--reason", "enough"], vec![cancel]);
    assert_eq!((done.code, done.err), (0, format!("cancelled {INV}\n")));
    assert!(done.requests[0].0.ends_with("?reason=enough"));
    let signal = none(
        "POST /api/v1/projects/shop/invocations/inv_01kagsk1s0e3s0000000000001/signals/approved",
    );
    let done = nexus(&["signal", INV, "approved", "-d", "{\"by\":\"ada\"}"], vec![signal]);
    assert_eq!((done.code, done.requests[0].1.as_slice()), (0, &b"{\"by\":\"ada\"}"[..]));
}
