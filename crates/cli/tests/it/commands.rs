//! The daily loop.

use expect_test::{Expect, expect};
use nexus_model::Code;
use serde_json::{Value, json};

use crate::stub::{Route, json, nexus, problem};

const INV: &str = "inv_01kagsk1s0e3s0000000000001";
const EVT: &str = "evt_01kagsk1s0e3s0000000000002";
const VER: &str = "ver_01kagsk1s0e3s0000000000003";
const DIGEST: &str = "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

fn row(status: &str) -> Value {
    json!({
        "id": INV, "project": "shop", "function": "hello", "version": VER, "trigger": "http",
        "status": status, "http_status": 200, "attempt": 1,
        "accepted": "2026-11-20T19:00:00.5Z", "duration_ns": 3_210_000, "cold": true,
        "level": "exact", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    })
}

fn event() -> Value {
    json!({
        "id": EVT, "project": "shop", "principal": "token:dev", "received": "2026-11-20T19:00:00Z",
        "event": {
            "specversion": "1.0", "id": "o-1", "source": "/nexus/cli",
            "type": "com.shop.order.created", "subject": "o-1",
            "datacontenttype": "application/json", "region": "eu", "data": { "total": 12 },
        },
        "data_bytes": 12,
    })
}

fn check(line: &[&str], routes: Vec<Route>, expected: Expect) {
    expected.assert_eq(&nexus(line, routes).all());
}

#[test]
fn invoke_prints_the_body_raw() {
    let route = || Route {
        request: "POST /api/v1/projects/shop/functions/hello/invoke",
        status: 200,
        headers: "content-type: text/plain\r\nnexus-invocation-id: inv_1\r\n",
        body: "Hello, Ada!".into(),
    };
    let done = nexus(&["invoke", "hello", "-d", "{\"name\":\"Ada\"}"], vec![route()]);
    assert_eq!((done.code, done.out.as_str()), (0, "Hello, Ada!"));
    assert_eq!(done.err, "\nHTTP 200 inv_1\n");
    assert_eq!(done.requests[0].1, b"{\"name\":\"Ada\"}");
    let done = nexus(&["invoke", "hello", "--json"], vec![route()]);
    assert_eq!(
        done.out,
        "{\"invocation\":\"inv_1\",\"status\":200,\"content-type\":\"text/plain\",\
         \"body\":\"Hello, Ada!\"}\n"
    );
}

#[test]
fn invoke_of_a_failing_function_shows_the_problem() {
    let route = Route {
        request: "POST /api/v1/projects/shop/functions/hello/invoke",
        status: 502,
        headers: "content-type: application/problem+json\r\n",
        body: json!({
            "type": "/docs/errors/NX5001", "title": "the function trapped", "status": 502,
            "detail": "wasm `unreachable` instruction executed", "code": "NX5001",
            "request_id": "req-1", "invocation_id": INV,
        })
        .to_string(),
    };
    check(
        &["invoke", "hello"],
        vec![route],
        expect![[r#"
            exit 1
            --- out
            --- err
            error: wasm `unreachable` instruction executed
              code: NX5001 (the function trapped)
              invocation: inv_01kagsk1s0e3s0000000000001
              request: req-1
            hint: `nexus invocations show` prints the backtrace, which names the place
        "#]],
    );
}

#[test]
fn a_function_that_answers_with_an_error_fails_with_its_body_as_data() {
    let route = Route {
        request: "POST /api/v1/projects/shop/functions/hello/invoke",
        status: 404,
        headers: "content-type: application/json\r\n",
        body: "{}\n".into(),
    };
    let done = nexus(&["invoke", "hello", "--quiet"], vec![route]);
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (1, "{}\n", ""));
}

#[test]
fn emit_makes_an_event_from_flags() {
    let accepted = json!({ "events": [{ "id": EVT, "duplicate": true }] });
    let done = nexus(
        &["emit", "com.shop.order.created", "-d", "{\"total\":12}", "--id", "o-1", "--ext", "n=1"],
        vec![json("POST /api/v1/projects/shop/events", accepted)],
    );
    assert_eq!(done.out, format!("{EVT}\n"));
    assert!(done.err.starts_with("duplicate: "));
    let mut sent: Value = serde_json::from_slice(&done.requests[0].1).unwrap();
    sent[0].as_object_mut().unwrap().remove("time");
    assert_eq!(
        sent,
        json!([{
            "specversion": "1.0", "id": "o-1", "source": "/nexus/cli",
            "type": "com.shop.order.created", "datacontenttype": "application/json", "n": 1,
            "data": { "total": 12 },
        }])
    );
}

#[test]
fn events_are_listed_page_by_page() {
    let first = "GET /api/v1/projects/shop/events?type=com.*&limit=2";
    let second = "GET /api/v1/projects/shop/events?type=com.*&limit=1&cursor=c1-0-5";
    check(
        &["events", "--type", "com.*", "--limit", "2"],
        vec![
            json(first, json!({ "items": [event()], "next": "c1-0-5" })),
            json(second, json!({ "items": [event()], "next": "c1-0-4" })),
        ],
        expect![[r#"
            exit 0
            --- out
            TIME                      ID                              TYPE                    SOURCE      SUBJECT  DATA
            2026-11-20 19:00:00.000Z  evt_01kagsk1s0e3s0000000000002  com.shop.order.created  /nexus/cli  o-1      12 B
            2026-11-20 19:00:00.000Z  evt_01kagsk1s0e3s0000000000002  com.shop.order.created  /nexus/cli  o-1      12 B
            --- err
            the newest 2; there are more: --limit N
        "#]],
    );
}

#[test]
fn an_event_is_shown_whole() {
    check(
        &["events", "show", "last"],
        vec![
            json("GET /api/v1/projects/shop/events", json!({ "items": [event()] })),
            json("GET /api/v1/projects/shop/events/evt_01kagsk1s0e3s0000000000002", event()),
        ],
        expect![[r#"
            exit 0
            --- out
            evt_01kagsk1s0e3s0000000000002  com.shop.order.created

              project    shop
              received   2026-11-20 19:00:00.000Z (10s ago)
              by         token:dev
              source     /nexus/cli
              id         o-1
              subject    o-1
              datatype   application/json
              region     eu

            Data  12 B
              {
                "total": 12
              }
            --- err
        "#]],
    );
}

#[test]
fn invocations_are_listed() {
    check(
        &["invocations", "--function", "hello", "--status", "succeeded,failed"],
        vec![json(
            "GET /api/v1/projects/shop/invocations?function=hello&status=succeeded%2Cfailed&limit=50",
            json!({ "items": [row("suspended"), row("succeeded"), row("timed-out")] }),
        )],
        expect![[r#"
            exit 0
            --- out
            ENDED                     ID                              FUNCTION  STATUS     HTTP     TOOK  START  LEVEL  TRACE
            not yet                   inv_01kagsk1s0e3s0000000000001  hello     suspended   200  3.21 ms  cold   exact  4bf92f3577b34da6a3ce929d0e0e4736
            2026-11-20 19:00:00.503Z  inv_01kagsk1s0e3s0000000000001  hello     succeeded   200  3.21 ms  cold   exact  4bf92f3577b34da6a3ce929d0e0e4736
            2026-11-20 19:00:00.503Z  inv_01kagsk1s0e3s0000000000001  hello     timed-out   200  3.21 ms  cold   exact  4bf92f3577b34da6a3ce929d0e0e4736
            --- err
        "#]],
    );
}

#[test]
fn following_shows_what_was_and_what_happens_once_each() {
    let mut newer = row("succeeded");
    newer["id"] = json!("inv_01kagsk1s0e3s0000000000009");
    let stream = Route {
        request: "GET /api/v1/projects/shop/invocations/stream",
        status: 200,
        headers: "content-type: text/event-stream\r\n",
        // Reading on ends with a problem, so that the command ends as well.
        body: format!(": hello\n\ndata: {}\n\ndata: {newer}\n\ndata: 7\n\n", row("succeeded")),
    };
    check(
        &["invocations", "--follow"],
        vec![
            stream,
            json("GET /api/v1/projects/shop/invocations", json!({ "items": [row("succeeded")] })),
        ],
        expect![[r#"
            exit 1
            --- out
            2026-11-20 19:00:00.503Z  inv_01kagsk1s0e3s0000000000001  hello  succeeded 200  3.21 ms  cold
            2026-11-20 19:00:00.503Z  inv_01kagsk1s0e3s0000000000009  hello  succeeded 200  3.21 ms  cold
            --- err
            error: a message of the stream is not what a Nexus server answers: invalid type: integer `7`, expected struct InvocationRow at line 1 column 1
        "#]],
    );
}

fn whole_invocation() -> Value {
    let mut view = row("trapped");
    let more = json!({
        "principal": "anonymous", "cause_event": EVT,
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "component": DIGEST,
        "timings": {
            "queue_ns": 12_000, "fetch_ns": 0, "load_ns": 1_000_000, "instantiate_ns": 198_000,
            "first_answer_ns": 1_200_000, "guest_ns": 1_900_000, "total_ns": 3_210_000,
        },
        "meter": {
            "cpu_ns": 1_500_000, "memory_peak_bytes": 1_179_648, "memory_grown_pages": 2,
            "bytes_in": 14, "bytes_out": 11, "host_calls": 2, "fuel": 0,
        },
        "cold_reason": "first call after deploy",
        "failure": {
            "code": "NX5001", "message": "wasm `unreachable` instruction executed",
            "backtrace": ["hello::main", "wasi:http/incoming-handler#handle"],
        },
        "input": {
            "method": "POST", "url": "http://localhost:8080/hello?name=Ada",
            "headers": [["host", "localhost:8080"]],
            "body": { "size": 14, "json": { "name": "Ada" } },
        },
        "output": {
            "status": 200, "headers": [["content-type", "text/plain"]],
            "contentType": "text/plain", "body": { "size": 5, "text": "Hello" },
        },
        "journal": [
            { "operation": 0, "function": "wasi:clocks/wall-clock.now", "summary": "2026-11-20",
              "at_ns": 12_000, "duration_ns": 35 },
            { "operation": 1, "function": "wasi:random/random.get-random-bytes",
              "summary": "16 bytes", "at_ns": 14_000, "duration_ns": 1_200 },
        ],
        "logs": [
            { "at": "2026-11-20T19:00:00.501Z", "stream": "stdout", "text": "hello" },
            { "at": "2026-11-20T19:00:00.502Z", "stream": "log", "level": "error",
              "text": "boom", "fields": { "order": 7 } },
        ],
        "logs_dropped": 3,
    });
    view.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    view
}

#[test]
fn an_invocation_is_shown_whole() {
    check(
        &["invocations", "show", INV],
        vec![json(
            "GET /api/v1/projects/shop/invocations/inv_01kagsk1s0e3s0000000000001",
            whole_invocation(),
        )],
        expect![[r#"
            exit 0
            --- out
            inv_01kagsk1s0e3s0000000000001  shop/hello  trapped  3.21 ms

              accepted   2026-11-20 19:00:00.500Z (9s ago)
              trigger    http, attempt 1, by anonymous
              version    ver_01kagsk1s0e3s0000000000003
              event      evt_01kagsk1s0e3s0000000000002
              trace      4bf92f3577b34da6a3ce929d0e0e4736
              component  blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262
              level      exact (nexus replay inv_01kagsk1s0e3s0000000000001)
              used       1.50 ms CPU, 1.1 MiB memory (grew by 2 pages), 14 B in, 11 B out, 2 host calls

            Failure  NX5001 the function trapped
              wasm `unreachable` instruction executed
                0: hello::main
                1: wasi:http/incoming-handler#handle
              hint: the backtrace names the place; `nexus replay` runs it again with the same input

            Time  3.21 ms, cold: first call after deploy
              queue       ▏                                          12.0 µs
              fetch                                                        –
              load        ████████████▍                              1.00 ms
              instantiate             ██▍                             198 µs
              guest                      ███████████████████████▋    1.90 ms   first answer after 1.20 ms
              other                                             █▏    100 µs

            Input  POST http://localhost:8080/hello?name=Ada
              host: localhost:8080

              {
                "name": "Ada"
              }

            Output  200
              content-type: text/plain

              Hello

            Journal  2 operations
              #       AT     TOOK  OPERATION                            WHAT
              0  12.0 µs    35 ns  wasi:clocks/wall-clock.now           2026-11-20
              1  14.0 µs  1.20 µs  wasi:random/random.get-random-bytes  16 bytes

            Logs  2 lines, 3 more were not kept
              2026-11-20 19:00:00.501Z  stdout  hello
              2026-11-20 19:00:00.502Z  error   boom order=7
            --- err
        "#]],
    );
}

#[test]
fn events_and_commands_are_shown_as_such() {
    let mut view = whole_invocation();
    for name in ["failure", "journal", "logs", "logs_dropped"] {
        view[name] = match name {
            "failure" => Value::Null,
            "logs_dropped" => json!(0),
            _ => json!([]),
        };
    }
    view["input"] = json!({ "event": event()["event"] });
    view["output"] = json!({
        "contentType": "application/json", "body": { "size": 9_000_000, "dropped": true },
        "events": [{ "specversion": "1.0", "type": "com.shop.mail", "source": "/shop",
                     "data": { "to": "a" } }],
    });
    let route = "GET /api/v1/projects/shop/invocations/inv_01kagsk1s0e3s0000000000001";
    let shown = nexus(&["invocations", "show", INV], vec![json(route, &view)]).out;
    let (_, exchange) = shown.split_once("\nInput").unwrap();
    expect![[r#"
          event com.shop.order.created
          id: o-1
          source: /nexus/cli
          subject: o-1
          datacontenttype: application/json
          region: eu

          {
            "total": 12
          }

        Output  application/json
          8.6 MiB that were not kept
          event com.shop.mail
          source: /shop

          {
            "to": "a"
          }
    "#]]
    .assert_eq(exchange);

    view["output"] = json!({ "body": { "size": 0 } });
    let shown = nexus(&["invocations", "show", INV], vec![json(route, &view)]).out;
    assert!(!shown.contains("Output"), "an empty output needs no heading");

    view["input"] = json!({ "arguments": ["-v", "x"], "stdin": { "size": 3, "text": "abc" } });
    view["output"] = json!({ "exitCode": 1, "body": { "size": 0 } });
    let shown = nexus(&["invocations", "show", INV], vec![json(route, &view)]).out;
    let (_, exchange) = shown.split_once("\nInput").unwrap();
    expect![[r#"
          arguments: -v x
          abc

        Output  exit code 1
    "#]]
    .assert_eq(exchange);
}

/// Something else than one that was not kept.
#[test]
fn a_lost_body_is_said_to_be_lost() {
    let lost = "the file blobs/3f/3fa4 of the data folder is missing or damaged";
    let mut view = whole_invocation();
    let mut handled = event();
    handled["event"].as_object_mut().unwrap().remove("data");
    view["input"] = json!({ "event": handled["event"], "lost": lost });
    view["output"] = json!({ "body": { "size": 9_000_000, "lost": lost } });
    let route = "GET /api/v1/projects/shop/invocations/inv_01kagsk1s0e3s0000000000001";
    let shown = nexus(&["invocations", "show", INV], vec![json(route, &view)]).out;
    let (_, exchange) = shown.split_once("\nInput").unwrap();
    assert_eq!(exchange.matches(&format!("\n  lost: {lost}\n")).count(), 2, "{exchange}");

    handled["data_problem"] = json!(lost);
    let route = "GET /api/v1/projects/shop/events/evt_01kagsk1s0e3s0000000000002";
    let id = "evt_01kagsk1s0e3s0000000000002";
    let shown = nexus(&["events", "show", id], vec![json(route, &handled)]).out;
    assert!(shown.ends_with(&format!("\nData  12 B\n  lost: {lost}\n")), "{shown}");
}

#[test]
fn what_was_not_recorded_is_not_offered_for_a_replay() {
    let mut view = whole_invocation();
    view["not_replayable"] = json!("not exact: redacted at input field name");
    let route = "GET /api/v1/projects/shop/invocations/inv_01kagsk1s0e3s0000000000001";
    let shown = nexus(&["invocations", "show", INV], vec![json(route, &view)]).out;
    assert!(shown.contains("not replayable: redacted at input field name"), "{shown}");
    assert!(shown.contains("hint: the backtrace names the place\n"), "{shown}");
    assert!(!shown.contains("nexus replay"), "{shown}");
}

#[test]
fn the_numbers_of_the_log_are_laid_out() {
    let report = json!({
        "records": 41, "commits_records": 12, "newest": "2026-11-20T19:00:00.123456789Z",
        "by_kind": [{ "kind": "event", "count": 37 }, { "kind": "invocation", "count": 4 }],
        "segments": [{ "segment": 1, "state": "tail", "payload_bytes": 2048 }],
    });
    check(
        &["log", "stats"],
        vec![json("GET /api/v1/log/stats", report)],
        expect![[r#"
        exit 0
        --- out
        records             41
        records in commits  12
        newest              2026-11-20 19:00:00.123Z
        by kind             2
          event       37
          invocation   4
        segments            1
          segment  state  payload
                1  tail     2 KiB
        --- err
    "#]],
    );
}

#[test]
fn damage_in_the_log_fails() {
    let report = json!({ "segments": 1, "bytes": 2048, "chain": "00", "damage": [
        { "segment": 1, "file": "1.seg", "offset": 512, "what": "checksum" },
    ] });
    check(
        &["log", "verify"],
        vec![json("POST /api/v1/log/verify", report)],
        expect![[r#"
            exit 1
            --- out
            damaged
            segments  1
            bytes     2 KiB
            chain     00
            damage    1
              segment  file   offset  what
                    1  1.seg     512  checksum
            --- err
            hint: put damaged and missing files back from a backup of the data folder; without one, `nexus log cut` lets a server start that refuses the log
        "#]],
    );
}

fn replay(verdict: &str, divergence: Value) -> Route {
    json(
        "POST /api/v1/projects/shop/invocations/inv_01kagsk1s0e3s0000000000001/replay",
        json!({
            "invocation": INV, "verdict": verdict, "operations": 2,
            "summary": format!("{verdict}: 2 operations and output"),
            "divergence": divergence, "duration_ns": 900_000, "original_ns": 3_210_000,
            "output": null, "memory_compared": false,
        }),
    )
}

#[test]
fn a_replay_is_identical() {
    check(
        &["replay", INV],
        vec![replay("identical", Value::Null)],
        expect![[r#"
            exit 0
            --- out
            identical
            --- err
            2 operations and output in 900 µs; the original took 3.21 ms
        "#]],
    );
}

#[test]
fn a_replay_that_diverges_names_the_operation() {
    check(
        &["replay", INV],
        vec![replay(
            "diverged",
            json!({ "operation": 1, "what": "wasi:random/random.get-random-bytes",
                    "expected": "16 bytes", "actual": "32 bytes" }),
        )],
        expect![[r#"
            exit 1
            --- out
            diverged
              at       operation 1: wasi:random/random.get-random-bytes
              expected 16 bytes
              actual   32 bytes
            --- err
            2 operations in 900 µs; the original took 3.21 ms
        "#]],
    );
}

#[test]
fn what_cannot_be_replayed_has_its_own_exit_code() {
    let request = "POST /api/v1/projects/shop/invocations/inv_01kagsk1s0e3s0000000000001/replay";
    let route = problem(request, Code::NotReplayable, "not replayable: body > 8 MiB");
    check(
        &["replay", INV],
        vec![route],
        expect![[r#"
            exit 2
            --- out
            --- err
            error: inv_01kagsk1s0e3s0000000000001 cannot be replayed: body > 8 MiB
              code: NX7001 (the invocation cannot be replayed)
        "#]],
    );
}

fn function() -> Value {
    json!({
        "project": "shop", "name": "hello", "on": { "http": [{ "path": "/hello", "auth": "token" }] },
        "urls": ["http://127.0.0.1:8080/hello"],
        "version": {
            "id": VER, "number": 3, "live": true, "world": "http", "language": "rust", "component": DIGEST,
            "component_bytes": 102_400, "imports": ["wasi:clocks/wall-clock@0.2.6"],
            "created": "2026-11-20T18:59:00Z",
        },
        "config": { "timeout-ms": 5000, "record": "always", "env": { "KEY": { "secret": "k" } } },
        "revision": 7, "updated": "2026-11-20T18:59:00Z",
    })
}

#[test]
fn functions_are_listed_and_shown() {
    check(
        &["functions"],
        vec![json("GET /api/v1/projects/shop/functions", json!({ "items": [function()] }))],
        expect![[r#"
            exit 0
            --- out
            NAME   KIND  CALLED BY                    VERSION  LANGUAGE     SIZE  UPDATED
            hello  http  http://127.0.0.1:8080/hello        3  rust      100 KiB  1m 10s ago
            --- err
        "#]],
    );
    check(
        &["functions", "show", "hello"],
        vec![json("GET /api/v1/projects/shop/functions/hello", function())],
        expect![[r#"
            exit 0
            --- out
            shop/hello

              url         http://127.0.0.1:8080/hello
              route       /hello, auth token
              timeout     5.00 s
              record      always
              env         KEY=secret k
              updated     2026-11-20 18:59:00.000Z (1m 10s ago)
              revision    7

            Version  3  ver_01kagsk1s0e3s0000000000003
              kind        http
              language    rust
              component   blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262 (100 KiB)
              deployed    2026-11-20 18:59:00.000Z (1m 10s ago)
              imports     wasi:clocks/wall-clock@0.2.6
            --- err
        "#]],
    );
}

#[test]
fn logs_are_read_downwards() {
    let line = |at: &str, text: &str| {
        json!({ "at": at, "stream": "stdout", "text": text, "function": "hello",
                "invocation": INV, "trace_id": "4bf9" })
    };
    check(
        &["logs", "hello"],
        vec![json(
            "GET /api/v1/projects/shop/logs?function=hello&limit=50",
            json!({ "items": [line("2026-11-20T19:00:01Z", "a"), line("2026-11-20T19:00:02Z", "b")] }),
        )],
        expect![[r#"
            exit 0
            --- out
            2026-11-20 19:00:01.000Z  stdout  hello  a
            2026-11-20 19:00:02.000Z  stdout  hello  b
            --- err
        "#]],
    );
}

#[test]
fn a_component_is_deployed_with_its_routes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.wasm");
    std::fs::write(&path, b"\0asm").unwrap();
    let done = nexus(
        &["deploy", "--component", path.to_str().unwrap(), "--name", "hello", "--path", "/hello"],
        vec![json(
            "POST /api/v1/projects/shop/deploy",
            json!({ "functions": [{
                "function": function(), "version": function()["version"], "unchanged": false,
                "compile_ms": 80, "notes": ["memory will grow in each call"], "triggers": triggers(),
            }], "resources": [{ "effect": "deleted", "resource": {
                "kind": "Trigger", "metadata": { "project": "shop", "name": "weekly" } } }] }),
        )],
    );
    expect![[r#"
        exit 0
        --- out
        shop/hello  version 3, compiled in 80 ms
          http://127.0.0.1:8080/hello
          on com.shop.order.*
          webhook http://127.0.0.1:8080/hook  (trigger hook)
          cron 0 2 * * * Europe/Berlin, next 2026-11-21 01:00:00.000Z  (trigger nightly)
          http://pay.example/pay  (trigger pay)
          on com.shop.late  (trigger late)  paused
        Trigger shop/weekly  deleted
        --- err
        note: memory will grow in each call
    "#]]
    .assert_eq(&done.all());
    let body = String::from_utf8_lossy(&done.requests[0].1).into_owned();
    let parts: Vec<&str> = body
        .lines()
        .filter_map(|line| line.split("; filename").next()?.split("name=").nth(1))
        .collect();
    assert_eq!(parts, ["\"function\"", "\"spec\"", "\"component\""]);
    assert!(body.contains("\"name\":\"hello\"") && body.contains("\"path\":\"/hello\""), "{body}");
}

/// What calls a function, in every form.
fn triggers() -> Value {
    json!([
        { "project": "shop", "function": "hello", "event": { "type": "com.shop.order.*" } },
        { "project": "shop", "function": "hello", "http": { "path": "/hello" },
          "url": "http://127.0.0.1:8080/hello" },
        { "project": "shop", "function": "hello", "name": "hook",
          "webhook": { "path": "/hook", "secret": "key" }, "url": "http://127.0.0.1:8080/hook" },
        { "project": "shop", "function": "hello", "name": "nightly",
          "cron": { "schedule": "0 2 * * *", "zone": "Europe/Berlin" },
          "next": "2026-11-21T01:00:00Z" },
        { "project": "shop", "function": "hello", "name": "pay",
          "http": { "path": "/pay", "host": "pay.example" }, "url": "http://pay.example/pay" },
        { "project": "shop", "function": "hello", "name": "late", "paused": true,
          "event": { "type": "com.shop.late" } },
    ])
}

#[test]
fn a_token_is_printed_once() {
    let done = nexus(
        &["tokens", "create", "ci", "--scope", "emit,read", "--ttl", "30d"],
        vec![json("POST /api/v1/tokens", json!({ "token": "nx_1", "resource": {} }))],
    );
    assert_eq!((done.code, done.out.as_str()), (0, "nx_1\n"));
    assert_eq!(
        String::from_utf8_lossy(&done.requests[0].1),
        r#"{"name":"ci","scopes":["emit","read"],"project":"shop","ttl_seconds":2592000}"#
    );
}

#[test]
fn an_admin_token_is_of_one_project_unless_all_are_asked_for() {
    for (more, project, reach) in [
        (&[][..], r#""shop""#, "it works in project shop"),
        (&["--all-projects"][..], "null", "for the whole server"),
    ] {
        let line = [&["tokens", "create", "ops", "--scope", "admin"][..], more].concat();
        let made = json("POST /api/v1/tokens", json!({ "token": "nx_1", "resource": {} }));
        let done = nexus(&line, vec![made]);
        let asked = String::from_utf8_lossy(&done.requests[0].1);
        let expected = format!(
            r#"{{"name":"ops","scopes":["admin"],"project":{project},"ttl_seconds":null}}"#
        );
        assert_eq!(asked, expected);
        assert!(done.err.contains(reach), "{}", done.err);
    }
}
