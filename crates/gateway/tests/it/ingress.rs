//! Functions over HTTP.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use nexus_exec::Runtime as _;
use nexus_model::Scope;
use serde_json::json;
use tokio::net::TcpStream;

use crate::world::{Send, World, open};

#[tokio::test(flavor = "multi_thread")]
async fn a_function_answers_and_its_invocation_is_named() {
    let world = World::new().await;
    world.deploy("hello", "http echo").await;
    let send = Send { body: Bytes::from_static(b"body"), ..Send::default() };
    let answer = world.call(Method::POST, "/hello/below?a=b", send).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "body"));
    assert!(answer.header("nexus-invocation-id").starts_with("inv_"));
    let nowhere = world.call(Method::GET, "/nowhere", Send::default()).await;
    assert_eq!(nowhere.problem(), "404 NX3003");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_reaches_the_function() {
    let world = World::new().await;
    world.deploy("hello", "http echo").await;
    for method in ["GET", "HEAD", "OPTIONS", "DELETE", "PATCH", "PUT", "QUERY"] {
        let method: Method = method.parse().unwrap();
        let answer = world.call(method.clone(), "/hello", Send::default()).await;
        assert_eq!(answer.status, 200, "{method}");
        assert!(!answer.header("nexus-invocation-id").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_have_the_statuses_of_the_table() {
    let world = World::new().await;
    for (code, expected) in [
        ("http fail", "502 NX5002"),
        ("http refuse", "422 NX5003"),
        ("http trap", "502 NX5001"),
        ("http no-answer", "502 NX5006"),
    ] {
        world.deploy("f", code).await;
        let answer = world.call(Method::GET, "/f", Send::default()).await;
        assert_eq!(answer.problem(), expected, "{code}");
        let again = answer.header("retry-after");
        assert_eq!(again.is_empty(), code != "http fail", "{code}: {again}");
        assert_eq!(answer.json()["invocation_id"], answer.header("nexus-invocation-id"));
    }
    world.deploy_with("slow", "http hang", Some(json!({ "timeout-ms": 30 }))).await;
    let slow = world.call(Method::GET, "/slow", Send::default()).await;
    assert_eq!(slow.problem(), "504 NX5004");
    let spec = json!({ "on": { "http": [
        { "path": "/few", "methods": ["GET"] },
        { "path": "/few/more", "methods": ["POST", "OPTIONS"] },
    ] } });
    world.deploy_with("few", "http echo", Some(spec)).await;
    for (path, allow) in [("/few", "GET, HEAD"), ("/few/more", "OPTIONS, POST")] {
        let refused = world.call(Method::DELETE, path, Send::default()).await;
        assert_eq!((refused.problem().as_str(), refused.header("allow")), ("405 NX1007", allow));
    }
    // What is no final status is not passed on as one.
    world.deploy("early", "http status 199").await;
    let early = world.call(Method::GET, "/early", Send::default()).await;
    assert_eq!(early.problem(), "502 NX5006");
    world.deploy("own", "http status 418").await;
    assert_eq!(world.call(Method::GET, "/own", Send::default()).await.status, 418);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_can_ask_for_a_token_that_the_function_never_sees() {
    let world = World::new().await;
    let spec = json!({ "on": { "http": [{ "path": "/private", "auth": "token" }] } });
    world.deploy_with("private", "http echo", Some(spec)).await;
    let answer = world.call(Method::GET, "/private", Send::default()).await;
    assert_eq!(answer.problem(), "401 NX2001");
    let read = world.token(&[Scope::Read]).await;
    let answer =
        world.call(Method::GET, "/private", Send { token: &read, ..Send::default() }).await;
    assert_eq!(answer.problem(), "403 NX2002");
    let invoke = world.token(&[Scope::Invoke]).await;
    let send = Send { token: &invoke, ..Send::default() };
    let answer = world.call(Method::GET, "/private", send).await;
    assert_eq!(answer.status, 200);
    let shown = world.recorded(answer.header("nexus-invocation-id")).await;
    assert!(!shown.to_string().contains(&invoke), "{shown}");
    assert_eq!(shown["principal"], "token:t-invoke");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_one_connection_do_not_reach_a_function() {
    let world = World::new().await;
    world.deploy("hello", "http echo").await;
    let headers = [("connection", "x-foo, host, x-forwarded-for"), ("x-foo", "1"), ("x-bar", "2")];
    let send = Send { headers: &headers, ..Send::default() };
    let answer = world.call(Method::GET, "/hello", send).await;
    assert_eq!(answer.status, 200);
    let shown = world.recorded(answer.header("nexus-invocation-id")).await;
    let names: Vec<&str> = shown["input"]["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|header| header["name"].as_str().or_else(|| header[0].as_str()).unwrap())
        .collect();
    assert!(!names.contains(&"x-foo") && !names.contains(&"connection"), "{names:?}");
    for kept in ["host", "x-bar", "x-forwarded-for"] {
        assert!(names.contains(&kept), "{names:?}");
    }
}

impl World {
    /// The view of an invocation, once it is in the log.
    async fn recorded(&self, id: &str) -> serde_json::Value {
        let mut position = nexus_log::Position::START;
        loop {
            let answer = self.get(&format!("/api/v1/projects/shop/invocations/{id}")).await;
            if answer.status == 200 && answer.json()["status"] != "running" {
                return answer.json();
            }
            match self.log.read_from(position, 1000).await.unwrap().last() {
                Some(last) => position = last.position,
                None => self.log.wait_past(position).await,
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarded_headers_count_only_from_listed_proxies() {
    for (proxies, expected) in
        [("192.0.2.0/24", "127.0.0.1 http"), ("127.0.0.0/8", "203.0.113.9 https")]
    {
        let world =
            World::with(|config| config.trusted_proxies = vec![proxies.parse().unwrap()]).await;
        world.deploy("hello", "http echo").await;
        let headers = [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "https"),
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ];
        let send = Send { headers: &headers, ..Send::default() };
        let answer = world.call(Method::GET, "/hello", send).await;
        let shown = world.recorded(answer.header("nexus-invocation-id")).await;
        let header = |name: &str| {
            let headers = shown["input"]["headers"].as_array().unwrap();
            let found = headers.iter().find(|pair| pair[0] == name).unwrap();
            found[1].as_str().unwrap().to_owned()
        };
        let found = format!("{} {}", header("x-forwarded-for"), header("x-forwarded-proto"));
        assert_eq!(found, expected);
        assert_eq!(shown["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_answer_on_their_hosts() {
    let world = World::new().await;
    world.deploy("hello", "http echo").await;
    let address = world.gateway.ingress_address();
    for (host, status) in [
        ("shop.localhost", "200"),
        ("SHOP.localhost:8080", "200"),
        ("127.0.0.1", "200"),
        // The default project answers on every host that is no other's.
        ("anything.example", "200"),
    ] {
        let request = format!("GET /hello HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let answer = crate::world::raw(address, request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{host}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_streams_and_a_client_that_leaves_cancels() {
    let world = World::new().await;
    world.deploy("drip", "http stream").await;
    let address = world.gateway.ingress_address();
    let answer = open(address, Method::GET, "/drip", Send::default()).await;
    let id = answer.headers()["nexus-invocation-id"].to_str().unwrap().to_owned();
    let mut body = answer.into_body();
    let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(piece.starts_with(b"piece"));
    drop(body);
    assert_eq!(world.recorded(&id).await["status"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_before_the_answer_cancels() {
    let world = World::new().await;
    world.deploy("stuck", "http hang").await;
    let address = world.gateway.ingress_address();
    {
        use tokio::io::AsyncWriteExt as _;
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(b"GET /stuck HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        while world.runtime.stats().running == 0 {
            tokio::task::yield_now().await;
        }
    }
    let path = "/api/v1/projects/shop/invocations?status=cancelled";
    let mut position = nexus_log::Position::START;
    while world.get(path).await.json()["items"] == json!([]) {
        match world.log.read_from(position, 1000).await.unwrap().last() {
            Some(last) => position = last.position,
            None => world.log.wait_past(position).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_reaches_functions_and_the_api() {
    let world = World::new().await;
    world.deploy("hello", "http echo").await;
    let socket = TcpStream::connect(world.gateway.ingress_address()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request =
        Request::post("http://shop.localhost/hello").body(Full::<Bytes>::from("two")).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "two");

    let socket = TcpStream::connect(world.gateway.admin_address()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://localhost/healthz").body(Empty::<Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "ok\n");
}
