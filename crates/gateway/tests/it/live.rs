//! Live streams, and shutdown.

use std::time::Duration;

use bytes::BytesMut;
use http::Method;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;

use crate::world::{Send, World, open};

/// A reader of server-sent events.
struct Messages {
    body: Incoming,
    buffer: BytesMut,
    /// Where the stream began.
    begin: String,
}

#[derive(Debug)]
struct Message {
    id: String,
    event: String,
    data: Value,
}

impl Messages {
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let text = self.buffer.split_to(end + 2);
                let text = String::from_utf8(text.to_vec()).unwrap();
                let field = |name: &str| {
                    let line = text.lines().find_map(|line| line.strip_prefix(name));
                    line.unwrap_or("").trim_start_matches(": ").to_owned()
                };
                if text.starts_with(':') {
                    continue;
                }
                if field("data").is_empty() {
                    self.begin = field("id");
                    continue;
                }
                let data = serde_json::from_str(&field("data")).unwrap();
                return Some(Message { id: field("id"), event: field("event"), data });
            }
            let frame = self.body.frame().await?.ok()?;
            self.buffer.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
    }
}

impl World {
    async fn follow(&self, path: &str, last: Option<&str>) -> Messages {
        let headers: Vec<(&str, &str)> = last.iter().map(|last| ("last-event-id", *last)).collect();
        let send = Send { token: &self.admin, headers: &headers, ..Send::default() };
        let answer = open(self.gateway.admin_address(), Method::GET, path, send).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Messages { body: answer.into_body(), buffer: BytesMut::new(), begin: String::new() }
    }

    async fn emit(&self, id: &str, ty: &str) {
        let body = format!(r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"{ty}"}}"#);
        let send = Send {
            token: &self.admin,
            content_type: "application/cloudevents+json",
            body: body.into(),
            ..Send::default()
        };
        let answer = self.api(Method::POST, "/api/v1/projects/shop/events", send).await;
        assert_eq!(answer.status, 202);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_events_goes_on_where_it_broke() {
    let world = World::new().await;
    let path = "/api/v1/projects/shop/events/stream?type=com.shop.*";
    let mut messages = world.follow(path, None).await;
    world.emit("1", "com.shop.a").await;
    world.emit("2", "com.else.b").await;
    world.emit("3", "com.shop.c").await;
    let first = messages.next().await.unwrap();
    assert_eq!((first.event.as_str(), &first.data["event"]["id"]), ("event", &Value::from("1")));
    assert_eq!(messages.next().await.unwrap().data["event"]["id"], "3");
    // Whoever has seen nothing yet goes on from where the stream began.
    let mut again = world.follow(path, Some(&messages.begin)).await;
    assert_eq!(again.next().await.unwrap().data["event"]["id"], "1");
    drop((messages, again));
    world.emit("4", "com.shop.d").await;
    for (path, last) in
        [(path.to_owned(), Some(first.id.as_str())), (format!("{path}&after={}", first.id), None)]
    {
        let mut again = world.follow(&path, last).await;
        assert_eq!(again.next().await.unwrap().data["event"]["id"], "3");
        assert_eq!(again.next().await.unwrap().data["event"]["id"], "4");
    }
    let wrong = world.get(&format!("{path}&after=nonsense")).await;
    assert_eq!(wrong.problem(), "400 NX1001");
}

#[tokio::test(flavor = "multi_thread")]
async fn invocations_and_logs_are_streamed() {
    let world = World::new().await;
    world.deploy("hello", "http log it works").await;
    let mut rows = world.follow("/api/v1/projects/-/invocations/stream?function=hello", None).await;
    let mut lines = world.follow("/api/v1/projects/shop/logs/stream", None).await;
    let answer = world.call(Method::GET, "/hello", Send::default()).await;
    let id = answer.header("nexus-invocation-id").to_owned();
    let row = rows.next().await.unwrap();
    assert_eq!((row.event.as_str(), &row.data["id"]), ("invocation", &Value::from(id.as_str())));
    let line = lines.next().await.unwrap();
    assert_eq!((line.event.as_str(), &line.data["text"]), ("log", &Value::from("it works")));
    assert_eq!(line.data["invocation"], id);

    let listed = world.get("/api/v1/projects/shop/logs?function=hello").await.json();
    assert_eq!(listed["items"][0]["text"], "it works");
    let found = world.get("/api/v1/projects/shop/invocations?status=succeeded,failed").await.json();
    assert_eq!(found["items"][0]["id"], id);
    let send = Send { token: &world.admin, ..Send::default() };
    let path = format!("/api/v1/projects/shop/invocations/{id}/replay");
    let replayed = world.api(Method::POST, &path, send).await;
    assert_eq!(replayed.json()["verdict"], "identical", "{}", replayed.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_will_stop_is_not_ready_and_serves() {
    let world = World::new().await;
    world.deploy("hello", "http echo").await;
    while world.get("/readyz").await.status != 200 {
        tokio::task::yield_now().await;
    }
    world.node.announce_shutdown();
    let ready = world.get("/readyz").await;
    assert_eq!((ready.status.as_u16(), &ready.json()["ready"]), (503, &Value::from(false)));
    assert!(ready.text().contains("shutting down"), "{}", ready.text());
    assert_eq!(world.call(Method::GET, "/hello", Send::default()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_before_a_moment_are_found_page_by_page() {
    let world = World::new().await;
    world.deploy("hello", "http log a; b").await;
    for _ in 0..3 {
        world.call(Method::GET, "/hello", Send::default()).await;
    }
    let list = |query: String| {
        let world = &world;
        async move { world.get(&format!("/api/v1/projects/shop/logs?{query}")).await }
    };
    let all = list("limit=100".to_owned()).await.json()["items"].as_array().unwrap().clone();
    assert_eq!(all.len(), 6);
    let until = all[4]["at"].as_str().unwrap();
    let page = list(format!("until={until}&limit=3")).await.json();
    assert_eq!(page["items"].as_array().unwrap()[..], all[1..4]);
    let next = page["next"].as_str().unwrap();
    let rest = list(format!("until={until}&limit=3&cursor={next}")).await.json();
    assert_eq!(rest["items"].as_array().unwrap()[..], all[..1]);
    assert_eq!(list("cursor=x".to_owned()).await.problem(), "400 NX1001");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_live_streams() {
    let world = World::new().await;
    let mut messages = world.follow("/api/v1/projects/shop/events/stream", None).await;
    let drained = world.gateway.drain(Duration::from_secs(20)).await;
    assert_eq!(drained.closed, 0);
    assert!(messages.next().await.is_none());
}
