//! Counts, numbers, searches, and the way to the console.

use serde_json::{Value, json};

use crate::stub::{json, nexus};

fn row(function: &str) -> Value {
    json!({
        "id": "inv_01kagsk1s0e3s0000000000001", "project": "shop", "function": function,
        "trigger": "http", "status": "succeeded", "attempt": 1, "accepted": "2026-11-20T19:00:00Z",
        "duration_ns": 3_210_000, "cold": false, "level": "exact", "trace_id": "",
    })
}

#[test]
fn a_search_goes_on_until_it_has_what_was_asked_for() {
    let first = json!({
        "items": [row("one")], "next": "c1-0-9", "looked_at": 500,
        "back_to": "2026-11-20T18:00:00Z",
    });
    let second = json!({ "items": [row("two")], "looked_at": 20 });
    let at = |query: &'static str, body| json(query, body);
    let routes = vec![
        at("GET /api/v1/projects/shop/invocations/search?text=ada&limit=50", first),
        at("GET /api/v1/projects/shop/invocations/search?text=ada&limit=49&cursor=c1-0-9", second),
    ];
    let done = nexus(&["invocations", "--text", "ada", "--utc"], routes);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("one") && done.out.contains("two"), "{}", done.out);
    assert!(done.err.contains("searched back to 2026-11-20 18:00:00"), "{}", done.err);
    assert!(done.err.contains("500 looked at"), "{}", done.err);
}

#[test]
fn counts_are_numbers() {
    let route = |request| vec![json(request, json!({ "count": 1_234_567 }))];
    let path = "GET /api/v1/projects/shop/invocations/count?status=failed&trigger=http&cold=true";
    let line = ["invocations", "--count", "--status", "failed", "--trigger", "http", "--cold"];
    assert_eq!(nexus(&line, route(path)).out, "1234567\n");
    let path = "GET /api/v1/projects/shop/events/count?type=com.shop.*";
    let done = nexus(&["events", "--count", "--type", "com.shop.*", "--json"], route(path));
    assert_eq!(done.out, "{\"count\":1234567}\n");
    for wrong in [
        &["invocations", "--count", "--follow"][..],
        &["invocations", "--text", "a", "--follow"],
        &["events", "--count", "--where", ".a"],
        &["invocations", "--trigger", "cron"],
    ] {
        assert_eq!(nexus(wrong, Vec::new()).code, 2, "{wrong:?}");
    }
}

#[test]
fn numbers_are_a_table() {
    let totals = |calls: u64, failed: u64| {
        json!({
            "invocations": calls, "failed": failed, "cold": 1, "by_status": {},
            "p50_ns": 1_000_000, "p95_ns": 2_000_000, "p99_ns": 3_000_000, "max_ns": 4_000_000,
        })
    };
    let function = |name: &str, calls, failed| {
        let mut it = totals(calls, failed);
        it["project"] = "shop".into();
        it["function"] = name.into();
        it
    };
    let stats = json!({
        "since": "2026-11-20T18:00:00Z", "until": "2026-11-20T19:00:00Z", "bucket_ns": 60_000_000_000_u64,
        "totals": totals(12, 2), "events": 3, "buckets": [],
        "functions": [function("hello", 10, 0), function("bad", 2, 2)], "functions_omitted": 0,
        "now": {
            "deliveries": { "queued": 1, "retrying": 2, "running": 3, "suspended": 4 },
            "dead_letters": 5,
        },
    });
    let done = nexus(&["stats"], vec![json("GET /api/v1/projects/shop/stats", stats)]);
    assert_eq!(done.code, 0, "{}", done.err);
    let lines: Vec<Vec<&str>> =
        done.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["FUNCTION", "CALLS", "FAILED", "COLD", "P50", "P95", "P99", "MAX"]);
    assert_eq!(lines[1][..4], ["hello", "10", "0", "1"]);
    assert_eq!(lines[3][..3], ["all", "12", "2"]);
    assert!(done.err.contains("1 queued, 2 retrying, 3 running, 4 suspended; 5 dead letters"));
}

#[test]
fn the_console_is_opened_by_a_link_that_signs_in() {
    let link = || {
        let body = json!({
            "code": "nx_1", "path": "/signin?code=nx_1", "expires": "2026-11-20T19:05:00Z",
        });
        vec![json("POST /api/v1/session/links", body)]
    };
    let done = nexus(&["console", "--no-open", "--utc"], link());
    assert_eq!((done.code, &*done.out), (0, "http://server/signin?code=nx_1\n"));
    assert!(done.err.contains("2026-11-20 19:05:00"), "{}", done.err);
    let done = nexus(&["console", "--no-open", "--json"], link());
    let value: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(value["url"], "http://server/signin?code=nx_1");
}
