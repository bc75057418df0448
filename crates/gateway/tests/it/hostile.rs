//! Requests that mean harm, or look like it: each has a clear outcome, and the server goes on.

use std::time::Duration;

use http::Method;
use nexus_model::limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::{Send, World, quick, raw};

async fn world() -> World {
    let world = World::with(|config| {
        config.ingress.limits = quick();
        config.admin.limits = quick();
    })
    .await;
    world.deploy("hello", "http echo").await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_against_the_rules_are_refused_with_their_code() {
    let world = world().await;
    let large = limits::REQUEST_BODY_BYTES_MAX + 1;
    let cases = [
        ("GET /hello HTTP/1.1\r\n\r\n".to_owned(), "400", "the Host header is missing"),
        (
            "GET /hello HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".to_owned(),
            "400",
            "there are several Host headers",
        ),
        (
            "GET /hello HTTP/1.1\r\nhost: a/b\r\n\r\n".to_owned(),
            "400",
            "the Host header is not valid",
        ),
        (
            "GET /hello HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
                .to_owned(),
            "501",
            "an upgrade to 'websocket' was asked for",
        ),
        ("CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "501", "CONNECT is not supported"),
        (
            format!("POST /hello HTTP/1.1\r\nhost: x\r\ncontent-length: {large}\r\n\r\n"),
            "413",
            "the request body has 67108865 bytes; the limit is 67108864 bytes",
        ),
    ];
    for (request, status, detail) in cases {
        let mut request = request;
        if let Some(at) = request.find("\r\n\r\n") {
            request.insert_str(at, "\r\nx-last: 1");
        }
        for address in [world.gateway.ingress_address(), world.gateway.admin_address()] {
            // The API knows no such path; what a listener refuses, both refuse.
            if address == world.gateway.admin_address() && status == "413" {
                continue;
            }
            let answer = first_answer(address, request.as_bytes()).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request} gave {answer}");
            assert!(answer.contains(detail), "{request} gave {answer}");
        }
    }
    alive(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_cannot_be_parsed_are_answered_with_a_problem() {
    let world = world().await;
    let huge = format!("GET /hello HTTP/1.1\r\nhost: x\r\nbig: {}\r\n\r\n", "a".repeat(300 << 10));
    for (request, problem) in [
        ("G@T /hello HTTP/1.1\r\nhost: x\r\n\r\n", "400 NX1001"),
        ("GET /hello HTTP/7.7\r\nhost: x\r\n\r\n", "400 NX1001"),
        ("GET /hello HTTP/1.1\r\nhost: x\r\nbad name: y\r\n\r\n", "400 NX1001"),
        ("GET /hello HTTP/1.1\r\nhost: x\r\na: b\r\n folded\r\n\r\n", "400 NX1001"),
        ("GET /hello HTTP/1.1\r\n\r\n", "400 NX1001"),
        (&huge, "431 NX1013"),
    ] {
        for address in [world.gateway.ingress_address(), world.gateway.admin_address()] {
            let answer = first_answer(address, request.as_bytes()).await;
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.contains("content-type: application/problem+json"), "{answer}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let (status, code) = problem.split_once(' ').unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert_eq!(
                (&body["code"], &body["type"]),
                (&code.into(), &format!("/docs/errors/{code}").into(),)
            );
        }
    }
    alive(&world).await;
}

/// Reads what comes until the server pauses or closes.
async fn first_answer(address: std::net::SocketAddr, request: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let _ = socket.write_all(request).await;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(Ok(read)) =
        tokio::time::timeout(Duration::from_secs(5), socket.read(&mut buffer)).await
    {
        answer.extend_from_slice(&buffer[..read]);
        if read == 0 || complete(&answer) {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn complete(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.and_then(|length| length.parse().ok()).is_some_and(|length: usize| body.len() >= length)
}

async fn alive(world: &World) {
    let answer = world.call(Method::GET, "/hello", Send::default()).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_chunked_body_is_cut_off_at_the_limit() {
    let world = world().await;
    let mut socket = TcpStream::connect(world.gateway.ingress_address()).await.unwrap();
    socket
        .write_all(b"POST /hello HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let piece = [b"10000\r\n".as_slice(), &[b'a'; 0x10000], b"\r\n"].concat();
    let (mut reader, mut writer) = socket.split();
    let write = async { while writer.write_all(&piece).await.is_ok() {} };
    let read = async {
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while !complete(&answer) {
            match reader.read(&mut buffer).await {
                Ok(read @ 1..) => answer.extend_from_slice(&buffer[..read]),
                _ => break,
            }
        }
        String::from_utf8_lossy(&answer).into_owned()
    };
    let answer = tokio::select! {
        answer = read => answer,
        () = write => String::new(),
    };
    if !answer.is_empty() {
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        assert!(answer.contains("the request body has more than 67108864 bytes, the limit"));
    }
    alive(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stops_is_answered_408() {
    let world = world().await;
    for (address, head) in [
        (world.gateway.ingress_address(), "POST /hello HTTP/1.1\r\nhost: x\r\n".to_owned()),
        (
            world.gateway.admin_address(),
            format!(
                "POST /api/v1/projects/shop/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n",
                world.admin
            ),
        ),
    ] {
        for framing in
            ["content-length: 10\r\n\r\nabc", "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"]
        {
            let answer = first_answer(address, format!("{head}{framing}").as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
            assert!(answer.contains("\"code\":\"NX1010\""), "{answer}");
        }
    }
    alive(&world).await;
}

/// A stalled upload is the caller's fault without anything being set.
#[test]
fn a_body_may_stall_for_less_time_than_a_function_has() {
    let stall = nexus_gateway::ServerLimits::default().body_timeout;
    assert!(stall < nexus_model::limits::TIMEOUT_DEFAULT, "{stall:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_closes_its_side_has_gone() {
    let world = world().await;
    for request in [
        "GET /hello HT",
        "POST /hello HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc",
        "POST /hello HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
    ] {
        let mut socket = TcpStream::connect(world.gateway.ingress_address()).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = String::new();
        let _ = socket.read_to_string(&mut answer).await;
        assert!(!answer.starts_with("HTTP/1.1 2"), "{request:?} gave {answer}");
    }
    alive(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_the_api_have_their_own_limits() {
    let world = world().await;
    let send = |body: Vec<u8>, content_type: &'static str| Send {
        token: &world.admin,
        content_type,
        body: body.into(),
        ..Send::default()
    };
    let large = vec![b' '; limits::RESOURCE_BYTES_MAX + 1];
    let answer = world.api(Method::POST, "/api/v1/tokens", send(large, "application/json")).await;
    assert_eq!(answer.problem(), "413 NX1003");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert_eq!(detail, "the request body has 1048577 bytes; the limit is 1048576 bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_to_http2_is_passed_over() {
    let world = world().await;
    let request = "GET /hello HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings, close\r\n\
                   upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n";
    let answer = raw(world.gateway.ingress_address(), request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smuggled_request_is_never_seen() {
    let world = world().await;
    let inner = "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";
    for headers in [
        "content-length: 4\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 4",
    ] {
        let request =
            format!("POST /hello HTTP/1.1\r\nhost: x\r\n{headers}\r\n\r\n0\r\n\r\n{inner}");
        let answer = raw(world.gateway.ingress_address(), request).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_on_still_gets_its_refusal() {
    let world = world().await;
    let body = vec![b'a'; limits::REQUEST_BODY_BYTES_MAX + 1];
    let send = Send { body: body.into(), ..Send::default() };
    let answer = world.call(Method::POST, "/hello", send.clone()).await;
    assert_eq!(answer.problem(), "413 NX1003");
    assert_eq!(world.call(Method::POST, "/nowhere", send).await.problem(), "413 NX1003");
}
