//! The trace of a caller goes on to whatever its call leads to (W3C Trace Context).

use http::{Method, Request};
use nexus_exec::full_body;
use nexus_model::{AttributeValue, Event, OpContext};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use crate::world::{World, admin, anonymous, name, spec, text};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const OTHER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A server that tells of each request: its trace id and its `tracestate`.
async fn upstream() -> (String, mpsc::UnboundedReceiver<(String, String)>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (seen, requests) = mpsc::unbounded_channel();
    tokio_util::task::TaskTracker::new().spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let read = socket.read(&mut request).await.unwrap();
            let head = String::from_utf8_lossy(&request[..read]).into_owned();
            let header = |name: &str| {
                let line = head.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap_or_default().trim().to_owned()
            };
            let parent = header("traceparent:");
            let trace = parent.get(3..35).unwrap_or_default().to_owned();
            seen.send((trace, header("tracestate:"))).unwrap();
            let answer = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, requests)
}

fn caller() -> OpContext {
    OpContext { traceparent: Some(PARENT.into()), tracestate: Some("a=1,b=2".into()), ..admin() }
}

fn event(id: &str, extensions: &[(&str, &str)]) -> Event {
    let mut event = Event::new(id, "/shop", "shop.order");
    for (name, value) in extensions {
        event.extensions.push(((*name).to_owned(), AttributeValue::String((*value).to_owned())));
    }
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_a_function_has_the_trace_of_its_caller_with_its_state() {
    let (url, mut requests) = upstream().await;
    let world = World::new().await;
    let route = |path: &str| json!({ "on": { "http": [{ "path": path, "auth": "none" }] } });
    world.deploy("direct", &format!("http fetch {url}"), spec(route("/direct"))).await;
    world.deploy("callee", &format!("event fetch {url}"), None).await;
    world.deploy("caller", "http call callee", spec(route("/caller"))).await;
    for path in ["/direct", "/caller"] {
        for (ctx, state) in [
            (caller(), "a=1,b=2"),
            (OpContext { traceparent: Some(PARENT.into()), ..anonymous() }, ""),
        ] {
            let request = Request::post(path).header("host", "shop.localhost");
            let request = request.body(full_body("{}")).unwrap();
            let route = world.node.route("shop.localhost", &Method::POST, path).unwrap();
            let answer = text(world.node.serve_http(ctx, &route, request).await.unwrap()).await;
            let seen = requests.recv().await.unwrap();
            assert_eq!(seen, (PARENT[3..35].to_owned(), state.to_owned()), "{path}: {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_handles_an_event_has_the_trace_of_the_event_or_of_its_sender() {
    let (url, mut requests) = upstream().await;
    let world = World::new().await;
    let on = json!({ "on": { "events": [{ "type": "shop.order" }] } });
    world.deploy("f", &format!("event fetch {url}"), spec(on)).await;
    for (id, extensions, (parent, state)) in [
        ("1", &[][..], (PARENT, "a=1,b=2")),
        ("2", &[("traceparent", OTHER), ("tracestate", "own=1")][..], (OTHER, "own=1")),
        ("3", &[("traceparent", OTHER)][..], (OTHER, "")),
        ("4", &[("traceparent", OTHER), ("tracestate", "NO")][..], (OTHER, "")),
        ("5", &[("traceparent", "wrong"), ("tracestate", "own=1")][..], (PARENT, "a=1,b=2")),
    ] {
        world.node.emit(&caller(), &name("shop"), vec![event(id, extensions)]).await.unwrap();
        let seen = requests.recv().await.unwrap();
        assert_eq!(seen, (parent[3..35].to_owned(), state.to_owned()), "{id}");
    }
}
