//! Numbers, counts, searches, graphs and changes over the API.

use http::Method;
use nexus_model::Scope;
use serde_json::{Value, json};

use crate::world::{Send, World};

const PROJECT: &str = "/api/v1/projects/shop";

/// A world in which something happened: calls that succeed and fail, and an event that is handled.
async fn world() -> World {
    let world = World::new().await;
    world.deploy("hello", "http echo").await;
    world.deploy("bad", "http trap").await;
    let on = json!({ "on": { "events": [{ "type": "order.created" }] } });
    world.deploy_with("orders", "event echo", Some(on)).await;
    for number in 0..5 {
        let body = format!(r#"{{"number":{number},"name":"Zebra"}}"#).into();
        let send = Send { content_type: "application/json", body, ..Send::default() };
        world.call(Method::POST, "/hello", send).await;
    }
    world.call(Method::GET, "/bad", Send::default()).await;
    world.log.flush().await.unwrap();
    world
}

async fn emit(world: &World, id: u32) -> String {
    let event = json!({
        "specversion": "1.0", "id": id.to_string(), "source": "/s", "type": "order.created",
        "data": { "total": id },
    });
    let body = event.to_string().into();
    let content_type = "application/cloudevents+json";
    let send = Send { token: &world.admin, content_type, body, ..Send::default() };
    let answer = world.api(Method::POST, &format!("{PROJECT}/events"), send).await;
    answer.json()["events"][0]["id"].as_str().unwrap().to_owned()
}

async fn get(world: &World, path: &str) -> Value {
    let answer = world.get(&format!("{PROJECT}/{path}")).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

/// Asks until the answer is as wanted: deliveries run beside the test.
async fn until(world: &World, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let found = get(world, path).await;
        if wanted(&found) {
            return found;
        }
        world.log.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_count_what_ran() {
    let world = world().await;
    let stats = get(&world, "stats").await;
    assert_eq!(stats["buckets"].as_array().unwrap().len(), 60);
    let totals = &stats["totals"];
    assert_eq!((&totals["invocations"], &totals["failed"]), (&json!(6), &json!(1)));
    assert_eq!(totals["by_status"], json!({ "succeeded": 5, "trapped": 1 }));
    assert!(totals["p50_ns"].as_u64().unwrap() <= totals["max_ns"].as_u64().unwrap());
    let names: Vec<&str> = (stats["functions"].as_array().unwrap().iter())
        .map(|at| at["function"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["hello", "bad"]);
    assert!(stats["now"]["server"]["instances_running"].is_u64());
    let one = get(&world, "stats?function=bad&buckets=3").await;
    assert_eq!((&one["totals"]["invocations"], &one["events"]), (&json!(1), &Value::Null));
    let per_bucket = one["buckets"].as_array().unwrap().iter();
    assert_eq!(per_bucket.map(|at| at["invocations"].as_u64().unwrap()).sum::<u64>(), 1);
    // Long ago nothing ran, and there are no percentiles of nothing.
    let none = get(&world, "stats?since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z").await;
    assert_eq!(none["totals"]["invocations"], 0);
    assert_eq!(none["totals"]["p50_ns"], Value::Null);
    for wrong in [
        "stats?buckets=0",
        "stats?buckets=1001",
        "stats?since=2020-01-02T00:00:00Z&until=2020-01-01T00:00:00Z",
        "stats?function=A_b",
        "stats?nothing=1",
    ] {
        let answer = world.get(&format!("{PROJECT}/{wrong}")).await;
        assert_eq!(answer.problem(), "400 NX1001", "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_follow_filters() {
    let world = world().await;
    for (query, count) in [
        ("", 6),
        ("?status=trapped", 1),
        ("?status=trapped,succeeded", 6),
        ("?function=hello&trigger=http", 5),
        ("?trigger=event,invoke", 0),
        ("?max_duration=0ms", 0),
        ("?min_duration=0ms&max_duration=1h", 6),
        ("?trace=00000000000000000000000000000001", 0),
    ] {
        let found = get(&world, &format!("invocations/count{query}")).await;
        assert_eq!(found["count"], count, "{query}");
        let list = get(&world, &format!("invocations{query}")).await;
        assert_eq!(list["items"].as_array().unwrap().len(), count, "{query}");
    }
    let list = get(&world, "invocations?limit=1").await;
    let trace = list["items"][0]["trace_id"].as_str().unwrap();
    assert_eq!(get(&world, &format!("invocations/count?trace={trace}")).await["count"], 1);
    let cold = get(&world, "invocations/count?cold=true").await["count"].as_u64().unwrap();
    let warm = get(&world, "invocations/count?cold=false").await["count"].as_u64().unwrap();
    assert_eq!(cold + warm, 6);
    for wrong in ["trigger=cron", "trace=abc", "cold=maybe", "max_duration=long", "limit=1"] {
        let answer = world.get(&format!("{PROJECT}/invocations/count?{wrong}")).await;
        assert_eq!(answer.problem(), "400 NX1001", "{wrong}");
    }
    emit(&world, 1).await;
    emit(&world, 2).await;
    let count = |query: &'static str| get(&world, query);
    assert_eq!(count("events/count?type=order.*").await["count"], 2);
    assert_eq!(count("events/count?type=order.created&source=/s").await["count"], 2);
    assert_eq!(count("events/count?type=nothing").await["count"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_look_into_payloads() {
    let world = world().await;
    for (query, hits) in [
        ("text=zebra", 5),
        ("text=nowhere", 0),
        ("where=.input.body.json.number%20%3E%202", 2),
        ("where=.status%20%3D%3D%20%22trapped%22", 1),
        ("text=zebra&where=.input.body.json.number%20%3D%3D%200", 1),
        ("text=zebra&function=bad", 0),
        // What fails on a record does not hold for it.
        ("where=.input.body.json.number%20%2B%20%7B%7D", 0),
    ] {
        let found = get(&world, &format!("invocations/search?{query}")).await;
        assert_eq!(found["items"].as_array().unwrap().len(), hits, "{query}: {found}");
        assert_eq!(found["next"], Value::Null, "{query}");
    }
    // Page by page the same.
    let (mut hits, mut next) = (0, String::new());
    loop {
        let path = format!("invocations/search?text=zebra&limit=2{next}");
        let found = get(&world, &path).await;
        hits += found["items"].as_array().unwrap().len();
        let Some(cursor) = found["next"].as_str() else { break };
        assert!(found["back_to"].is_string() && found["looked_at"].as_u64() > Some(0));
        next = format!("&cursor={cursor}");
    }
    assert_eq!(hits, 5);
    for wrong in ["", "?text=", "?where=.a%20%7C", "?where=recurse", "?text=a&nothing=1"] {
        let answer = world.get(&format!("{PROJECT}/invocations/search{wrong}")).await;
        assert_eq!(answer.problem(), "400 NX1001", "{wrong}");
    }
    emit(&world, 7).await;
    let found = get(&world, "events/search?where=.data.total%20%3D%3D%207&data=true").await;
    assert_eq!(found["items"][0]["event"]["data"]["total"], 7);
    let hidden = get(&world, "events/search?text=order.created").await;
    assert_eq!(hidden["items"][0]["event"]["data"], Value::Null);
    let read = world.token(&[Scope::Read]).await;
    let send = Send { token: &read, ..Send::default() };
    let path = format!("{PROJECT}/events/search?text=a");
    assert_eq!(world.api(Method::GET, &path, send).await.problem(), "403 NX2002");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_shows_what_an_event_led_to() {
    let world = world().await;
    let event = emit(&world, 9).await;
    let succeeded = |graph: &Value| {
        graph["nodes"].as_array().unwrap().iter().any(|at| at["status"] == "succeeded")
    };
    let graph = until(&world, &format!("events/{event}/graph"), succeeded).await;
    assert_eq!((&graph["root"], &graph["truncated"]), (&json!(event), &Value::Null));
    let nodes = graph["nodes"].as_array().unwrap();
    assert_eq!((&nodes[0]["kind"], &nodes[0]["depth"]), (&json!("event"), &json!(0)));
    let call = nodes.iter().find(|at| at["kind"] == "invocation").unwrap();
    assert_eq!((&call["function"], &call["depth"]), (&json!("orders"), &json!(1)));
    let edge = json!({ "from": event, "to": call["id"] });
    assert!(graph["edges"].as_array().unwrap().contains(&edge), "{graph}");
    let own = get(&world, &format!("invocations/{}/graph", call["id"].as_str().unwrap())).await;
    assert_eq!(own["nodes"][0]["id"], call["id"]);
    for wrong in ["?depth=0", "?nodes=1001", "?depth=x"] {
        let answer = world.get(&format!("{PROJECT}/events/{event}/graph{wrong}")).await;
        assert_eq!(answer.problem(), "400 NX1001", "{wrong}");
    }
    let elsewhere = world.get(&format!("/api/v1/projects/other/events/{event}/graph")).await;
    assert_eq!(elsewhere.problem(), "404 NX3001");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_say_who_did_what() {
    let world = world().await;
    let changes = get(&world, "changes?limit=200").await;
    let changes = changes["items"].as_array().unwrap();
    let made = changes.iter().find(|at| at["name"] == "hello" && at["action"] == "created");
    let made = made.unwrap_or_else(|| panic!("{changes:?}"));
    assert_eq!((&made["kind"], &made["project"]), (&json!("Function"), &json!("shop")));
    assert!(made["principal"].is_string() && made["revision"].is_u64(), "{made}");
    let all = world.get("/api/v1/projects/-/changes").await.json();
    let of_project = |at: &Value| at["kind"] == "Project" && at["name"] == "shop";
    assert!(all["items"].as_array().unwrap().iter().any(of_project), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_say_how_they_are() {
    let world = world().await;
    let nodes = world.get("/api/v1/nodes").await.json();
    let node = &nodes["items"][0];
    assert_eq!((&node["mode"], &node["version"]), (&json!("dev"), &json!("0.1.0")));
    assert!(node["log"]["records"].as_u64() > Some(5));
    assert!(node["disk"]["free_bytes"].as_u64() <= node["disk"]["total_bytes"].as_u64());
    assert!(node["uptime_ns"].as_u64() > Some(0));
    let bound = world.token(&[Scope::Read]).await;
    let send = Send { token: &bound, ..Send::default() };
    assert_eq!(world.api(Method::GET, "/api/v1/nodes", send).await.problem(), "403 NX2002");
}
