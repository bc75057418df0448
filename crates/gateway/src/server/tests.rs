//! The listener with a stand-in for everything behind it: slow, broken, greedy and well-behaved
//! clients over real sockets.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use nexus_observe::{Listener as Which, Metrics};
use tokio::sync::Semaphore;

use super::*;

/// Answers with method, path and the length of the body; `/wait` waits for a permit first.
struct Echo {
    permits: Semaphore,
    waiting: Semaphore,
}

impl Handler for Echo {
    async fn handle(self: Arc<Self>, peer: &Peer, request: Request<Incoming>) -> Response<Body> {
        let line = format!("{} {}", request.method(), request.uri().path());
        if request.uri().path() == "/wait" {
            self.waiting.add_permits(1);
            if let Ok(permit) = self.permits.acquire().await {
                permit.forget();
            }
        }
        let length = request.into_body().collect().await.map_or(0, |body| body.to_bytes().len());
        let scheme = if peer.secure { "https" } else { "http" };
        let body = Full::from(format!("{line} {length} {scheme} {}", peer.ip));
        Response::new(body.map_err(|never| match never {}).boxed_unsync())
    }
}

struct Fixture {
    server: Server,
    echo: Arc<Echo>,
    metrics: Metrics,
}

fn start_with(limits: ServerLimits, tls: Option<TlsFiles>) -> Fixture {
    let metrics = Metrics::new();
    let echo = Arc::new(Echo { permits: Semaphore::new(0), waiting: Semaphore::new(0) });
    let parts = ListenerParts {
        socket: std::net::TcpListener::bind("127.0.0.1:0").unwrap(),
        tls,
        limits,
        which: Which::Ingress,
        metrics: metrics.clone(),
    };
    Fixture { server: Server::start(parts, Arc::clone(&echo)).unwrap(), echo, metrics }
}

fn quick() -> ServerLimits {
    ServerLimits {
        header_timeout: Duration::from_millis(200),
        idle_timeout: Duration::from_millis(400),
        ..ServerLimits::default()
    }
}

/// Writes `bytes` and reads until the server closes.
async fn exchange(address: SocketAddr, bytes: impl Into<Vec<u8>>) -> String {
    let bytes = bytes.into();
    blocking(move || {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // The server may close before it has read everything: that is its answer.
        let _ = socket.write_all(&bytes);
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    })
    .await
}

/// A kept connection whose first request was answered.
fn served_once(address: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(GET.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"GET /a 0 http 127.0.0.1") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    socket
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

const GET: &str = "GET /a HTTP/1.1\r\nhost: x\r\n\r\n";
const LAST: &str = "GET /b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let fixture = start_with(ServerLimits::default(), None);
    let answer = exchange(fixture.server.address(), format!("{GET}{GET}{LAST}")).await;
    let bodies: Vec<&str> =
        answer.lines().filter(|line| line.starts_with("GET")).map(|line| &line[..6]).collect();
    // A body has no line end of its own: the next head follows at once.
    assert_eq!(answer.matches("GET /a 0 http 127.0.0.1").count(), 2, "{bodies:?}");
    assert!(answer.ends_with("GET /b 0 http 127.0.0.1"), "{answer}");
}

/// (what is sent, the status, the code, a part of the detail)
fn broken_heads() -> Vec<(String, &'static str, &'static str, &'static str)> {
    let huge = format!("GET / HTTP/1.1\r\nhost: x\r\nbig: {}\r\n\r\n", "a".repeat(300 << 10));
    let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(500));
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(65_600));
    let bad = |text: &str, detail| (text.to_owned(), "400 Bad Request", "NX1001", detail);
    let large = |text| (text, "431 Request Header Fields Too Large", "NX1013", "65536 bytes");
    vec![
        bad("nonsense\r\n\r\n", "cannot be read"),
        bad("G(T / HTTP/1.1\r\nhost: x\r\n\r\n", "method"),
        bad("GET / HTTP/3.0\r\n\r\n", "version"),
        bad("GET / HTTP/1.1x\r\nhost: x\r\n\r\n", "cannot be read"),
        bad("GET /\r\n\r\n", "cannot be read"),
        bad("GET /\x01 HTTP/1.1\r\nhost: x\r\n\r\n", "URI"),
        bad("GET / HTTP/1.1\r\nbad header: x\r\n\r\n", "header"),
        bad("GET / HTTP/1.1\r\n: x\r\n\r\n", "header"),
        bad("GET / HTTP/1.1\r\nhost: x\r\n folded: y\r\n\r\n", "header"),
        bad("GET / HTTP/1.1\r\nhost: x\r\na: b\r\n\tfolded\r\n\r\n", "header"),
        bad("GET / HTTP/1.1\r\nhost: x\0y\r\n\r\n", "header"),
        bad("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", "content-length"),
        bad(
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
            "content-length",
        ),
        bad("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n", "transfer-encoding"),
        large(huge),
        large(many),
        large(long),
    ]
}

#[track_caller]
fn assert_problem(answer: &str, (status, code, detail): (&str, &str, &str)) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
    for field in ["content-type: application/problem+json", "connection: close"] {
        assert!(head.contains(field), "{answer}");
    }
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem["code"], code, "{answer}");
    assert_eq!(problem["type"], format!("/docs/errors/{code}"));
    assert_eq!(problem["status"].to_string(), status[..3]);
    assert!(problem["detail"].as_str().unwrap().contains(detail), "{detail}: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_heads_are_answered_with_a_problem_and_the_server_goes_on() {
    let fixture = start_with(ServerLimits::default(), None);
    let address = fixture.server.address();
    for (bytes, status, code, detail) in broken_heads() {
        let answer = exchange(address, bytes.clone()).await;
        assert_problem(&answer, (status, code, detail));
        // The same behind a request that was answered, whether it waits for that or not.
        let answer = exchange(address, format!("{GET}{bytes}")).await;
        let rest = answer.strip_prefix("HTTP/1.1 200 OK").unwrap();
        let (_, refused) = rest.split_once("GET /a 0 http 127.0.0.1").unwrap();
        assert_problem(refused, (status, code, detail));
        let kept = blocking(move || {
            let mut socket = served_once(address);
            let _ = socket.write_all(bytes.as_bytes());
            let mut answer = Vec::new();
            let _ = socket.read_to_end(&mut answer);
            String::from_utf8_lossy(&answer).into_owned()
        });
        assert_problem(&kept.await, (status, code, detail));
    }
    assert!(exchange(address, LAST).await.ends_with("GET /b 0 http 127.0.0.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_chunks_end_the_connection() {
    let fixture = start_with(ServerLimits::default(), None);
    let head = "POST /c HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    for body in ["zz\r\n", "5\r\nab", "5\r\nabcdeXX0\r\n\r\n", "ffffffffffffffffff\r\n"] {
        let address = fixture.server.address();
        let bytes = format!("{head}{body}");
        let answer = blocking(move || {
            let mut socket = TcpStream::connect(address).unwrap();
            socket.write_all(bytes.as_bytes()).unwrap();
            socket.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = String::new();
            let _ = socket.read_to_string(&mut answer);
            answer
        })
        .await;
        assert_eq!(answer.matches("HTTP/1.1").count().min(2), answer.matches("HTTP/1.1").count());
    }
    assert!(exchange(fixture.server.address(), LAST).await.contains("GET /b"));
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_are_answered_408() {
    let fixture = start_with(quick(), None);
    let address = fixture.server.address();
    for bytes in ["", "PRI * HT", "GET / HTTP/1.1\r\nhost:"] {
        let answer = exchange(address, bytes).await;
        assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{bytes:?}: {answer}");
        assert!(answer.contains("\"code\":\"NX1010\""), "{answer}");
    }
    let second = blocking(move || {
        let mut socket = served_once(address);
        socket.write_all(b"GET / HT").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    });
    let second = second.await;
    assert!(second.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_closed_without_a_word() {
    let fixture = start_with(quick(), None);
    let answer = exchange(fixture.server.address(), GET).await;
    assert!(answer.ends_with("GET /a 0 http 127.0.0.1"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_answer_is_not_an_idle_connection() {
    let fixture = start_with(quick(), None);
    let address = fixture.server.address();
    let echo = Arc::clone(&fixture.echo);
    let release = async move {
        echo.waiting.acquire().await.unwrap().forget();
        tokio::time::sleep(Duration::from_millis(900)).await;
        echo.permits.add_permits(1);
    };
    let wait = "GET /wait HTTP/1.1\r\nhost: x\r\n\r\n";
    let (answer, ()) = tokio::join!(exchange(address, wait), release);
    assert!(answer.ends_with("GET /wait 0 http 127.0.0.1"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_answered_503() {
    let limits = ServerLimits { connections_max: 1, ..ServerLimits::default() };
    let fixture = start_with(limits, None);
    let address = fixture.server.address();
    let first = blocking(move || served_once(address)).await;
    let refused = exchange(address, "").await;
    assert!(refused.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{refused}");
    assert!(refused.contains("the limit of 1 open connections is reached"), "{refused}");
    assert_eq!(fixture.metrics.http(Which::Ingress).connections_refused.get(), 1);
    drop(first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finishes_what_is_in_flight() {
    let Fixture { server, echo, .. } = start_with(ServerLimits::default(), None);
    let address = server.address();
    let answer = tokio::spawn(exchange(address, "GET /wait HTTP/1.1\r\nhost: x\r\n\r\n"));
    echo.waiting.acquire().await.unwrap().forget();
    let mut idle = blocking(move || served_once(address)).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let drained = tokio::spawn(async move { server.drain(deadline).await });
    // The idle connection is closed at once; the one with a request in flight stays.
    blocking(move || assert_eq!(idle.read(&mut [0]).unwrap(), 0)).await;
    echo.permits.add_permits(1);
    let answer = answer.await.unwrap();
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(answer.ends_with("GET /wait 0 http 127.0.0.1"), "{answer}");
    assert_eq!(drained.await.unwrap(), 0);
    assert!(TcpStream::connect(address).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_at_its_deadline() {
    let Fixture { server, echo, .. } = start_with(ServerLimits::default(), None);
    let stuck = tokio::spawn(exchange(server.address(), "GET /wait HTTP/1.1\r\nhost: x\r\n\r\n"));
    echo.waiting.acquire().await.unwrap().forget();
    let deadline = tokio::time::Instant::now() + Duration::from_millis(50);
    assert_eq!(server.drain(deadline).await, 1);
    let answer = stuck.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
    assert!(answer.contains("\"code\":\"NX6004\""), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_answer_over_http2_at_the_deadline_gets_one() {
    let Fixture { server, echo, .. } = start_with(ServerLimits::default(), None);
    let socket = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
            .await
            .unwrap();
    let _connection = tokio::spawn(connection);
    let request = Request::get("http://x/wait").body(Empty::<Bytes>::new()).unwrap();
    let stuck = tokio::spawn(async move { sender.send_request(request).await.unwrap().status() });
    echo.waiting.acquire().await.unwrap().forget();
    let deadline = tokio::time::Instant::now() + Duration::from_millis(50);
    assert_eq!(server.drain(deadline).await, 1);
    assert_eq!(stuck.await.unwrap(), 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_with_prior_knowledge_serves_many_streams_and_drains() {
    let Fixture { server, echo, .. } = start_with(ServerLimits::default(), None);
    let socket = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let send = |path: &str| {
        let request = Request::get(format!("http://x{path}")).body(Empty::<Bytes>::new()).unwrap();
        let mut sender = sender.clone();
        async move {
            let answer = sender.send_request(request).await.unwrap();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            String::from_utf8(body.to_vec()).unwrap()
        }
    };
    let waiting = tokio::spawn(send("/wait"));
    echo.waiting.acquire().await.unwrap().forget();
    for _ in 0..100 {
        assert_eq!(send("/a").await, "GET /a 0 http 127.0.0.1");
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let drained = tokio::spawn(async move { server.drain(deadline).await });
    echo.permits.add_permits(1);
    assert_eq!(waiting.await.unwrap(), "GET /wait 0 http 127.0.0.1");
    assert_eq!(drained.await.unwrap(), 0);
    connection.await.unwrap().unwrap();
}

/// By the status alone; the other streams of the connection go on.
#[tokio::test(flavor = "multi_thread")]
async fn http2_heads_above_the_limit_are_answered_431() {
    let Fixture { server, echo, .. } = start_with(ServerLimits::default(), None);
    let socket = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
            .await
            .unwrap();
    let _connection = tokio::spawn(connection);
    let send = |request: http::request::Builder, body: &'static str| {
        let answer = sender.clone().send_request(request.body(Full::<Bytes>::from(body)).unwrap());
        async { answer.await.unwrap().status().as_u16() }
    };
    let waiting = tokio::spawn(send(Request::get("http://x/wait"), ""));
    echo.waiting.acquire().await.unwrap().forget();
    let field = |size| Request::post("http://x/a").header("big", "a".repeat(size));
    assert_eq!(send(field(60 << 10), "body").await, 200);
    for size in [66 << 10, 90 << 10] {
        assert_eq!(send(field(size), "").await, 431);
        assert_eq!(send(field(size), "body").await, 431);
    }
    let many = (0..70).fold(Request::get("http://x/a"), |request, number| {
        request.header(format!("field-{number}"), "a".repeat(1 << 10))
    });
    assert_eq!(send(many, "").await, 431);
    echo.permits.add_permits(1);
    assert_eq!(waiting.await.unwrap(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_frames_of_nonsense_close_the_connection() {
    let fixture = start_with(ServerLimits::default(), None);
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend_from_slice(&[0xff; 64]);
    exchange(fixture.server.address(), bytes).await;
    assert!(exchange(fixture.server.address(), LAST).await.contains("GET /b"));
}

mod tls {
    use std::path::Path;

    use rustls::pki_types::{CertificateDer, ServerName};
    use tokio_rustls::TlsConnector;

    use super::*;

    fn write(dir: &Path, names: &str) -> (TlsFiles, CertificateDer<'static>) {
        let made = rcgen::generate_simple_self_signed([names.to_owned()]).unwrap();
        let files = TlsFiles { certificate: dir.join("certificate.pem"), key: dir.join("key.pem") };
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        (files, made.cert.der().clone())
    }

    async fn connect(
        address: SocketAddr,
        trusted: &CertificateDer<'static>,
        alpn: &[u8],
    ) -> std::io::Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        let socket = tokio::net::TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, socket).await
    }

    async fn get(sender: &mut hyper::client::conn::http1::SendRequest<Empty<Bytes>>) -> String {
        let request = Request::get("/a").header("host", "localhost").body(Empty::new()).unwrap();
        sender.ready().await.unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn changed_files_are_used_by_new_connections_only() {
        let dir = tempfile::tempdir().unwrap();
        let (files, first) = write(dir.path(), "localhost");
        let fixture = start_with(ServerLimits::default(), Some(files));
        let address = fixture.server.address();
        let stream = connect(address, &first, b"http/1.1").await.unwrap();
        let (mut old, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        assert_eq!(get(&mut old).await, "GET /a 0 https 127.0.0.1");

        assert!(!fixture.server.reload_tls().unwrap());
        let (files, second) = write(dir.path(), "localhost");
        assert!(fixture.server.reload_tls().unwrap());
        assert_eq!(get(&mut old).await, "GET /a 0 https 127.0.0.1");
        assert!(connect(address, &first, b"http/1.1").await.is_err());
        assert!(connect(address, &second, b"http/1.1").await.is_ok());

        std::fs::write(&files.certificate, "nonsense").unwrap();
        let error = fixture.server.reload_tls().unwrap_err().to_string();
        assert!(error.contains("certificate.pem holds no certificate in PEM"), "{error}");
        assert!(connect(address, &second, b"http/1.1").await.is_ok());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn http2_is_negotiated() {
        let dir = tempfile::tempdir().unwrap();
        let (files, certificate) = write(dir.path(), "localhost");
        let fixture = start_with(ServerLimits::default(), Some(files));
        let stream = connect(fixture.server.address(), &certificate, b"h2").await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        let request = Request::get("https://localhost/a").body(Empty::<Bytes>::new()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.version(), http::Version::HTTP_2);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn clear_text_on_a_tls_port_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let (files, _) = write(dir.path(), "localhost");
        let fixture = start_with(ServerLimits::default(), Some(files));
        assert!(!exchange(fixture.server.address(), LAST).await.contains("200 OK"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let files = TlsFiles { certificate: "/nowhere/c.pem".into(), key: "/nowhere/k.pem".into() };
        let error = tls::Tls::load(files).err().unwrap();
        assert_eq!(error.to_string(), "failed to read /nowhere/c.pem");
    }

    use crate::server::tls;
}
