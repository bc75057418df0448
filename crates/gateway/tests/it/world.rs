//! A server in a temporary folder, and clients for it.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use nexus_gateway::{Config, Gateway, Listener, Page, PageRequest, ServerLimits};
use nexus_log::{Log, LogConfig, RealDisk};
use nexus_model::resource::{Kind, Resource, ResourceKey};
use nexus_model::{IdMint, Name, OpContext, Scope, SystemClock};
use nexus_node::{MasterKey, Mode, NewToken, Node, NodeConfig, Parts};
use nexus_observe::Metrics;
use nexus_store::{Blobs, Store, StoreConfig};
use nexus_testkit::FakeRuntime;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) struct World {
    pub(crate) node: Arc<Node>,
    pub(crate) gateway: Gateway,
    /// A token with the scope `admin`.
    pub(crate) admin: String,
    pub(crate) runtime: Arc<FakeRuntime>,
    pub(crate) log: Log,
    pub(crate) store: Store,
    _dir: TempDir,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// Status and code of a problem.
    #[track_caller]
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert!(problem["request_id"].is_string() && problem["title"].is_string());
        format!("{} {}", self.status.as_u16(), problem["code"].as_str().unwrap())
    }
}

/// What a test sends.
#[derive(Clone, Default)]
pub(crate) struct Send<'a> {
    pub(crate) token: &'a str,
    pub(crate) content_type: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: Bytes,
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn quick() -> ServerLimits {
    ServerLimits { body_timeout: Duration::from_millis(300), ..ServerLimits::default() }
}

impl World {
    pub(crate) async fn new() -> World {
        World::with(|_| {}).await
    }

    pub(crate) async fn with(set: impl FnOnce(&mut Config)) -> World {
        let dir = tempfile::tempdir().unwrap();
        let runtime = FakeRuntime::new();
        let (node, log, store) = start_node(&dir, runtime.clone()).await;
        let listener = || Listener::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let mut config = Config {
            ingress: listener(),
            admin: listener(),
            trusted_proxies: Vec::new(),
            metrics_open: false,
            console: page,
        };
        set(&mut config);
        let gateway = Gateway::start(node.clone(), config).unwrap();
        let ctx = OpContext::system("test");
        let key = ResourceKey { kind: Kind::Project, project: None, name: name("shop") };
        let project = Resource::new(&key, json!({ "default": true }));
        node.apply(&ctx, vec![project]).await.unwrap();
        let token =
            NewToken { name: name("admin"), scopes: vec![Scope::Admin], project: None, ttl: None };
        let admin = node.create_token(&ctx, token).await.unwrap().token;
        World { node, gateway, admin, runtime, log, store, _dir: dir }
    }

    /// A token with these scopes for the project `shop`.
    pub(crate) async fn token(&self, scopes: &[Scope]) -> String {
        let words: Vec<String> = scopes.iter().map(|scope| format!("{scope:?}")).collect();
        let token = NewToken {
            name: name(&format!("t-{}", words.join("-").to_lowercase())),
            scopes: scopes.to_vec(),
            project: Some(name("shop")),
            ttl: None,
        };
        self.node.create_token(&OpContext::system("test"), token).await.unwrap().token
    }

    /// Deploys `code` of the test kit's runtime.
    pub(crate) async fn deploy(&self, function: &str, code: &str) {
        self.deploy_with(function, code, None).await;
    }

    pub(crate) async fn deploy_with(&self, function: &str, code: &str, spec: Option<Value>) {
        let deploy = nexus_node::Deploy {
            project: name("shop"),
            name: name(function),
            component: Bytes::from(code.to_owned()),
            config: spec.map(|spec| serde_json::from_value(spec).unwrap()),
            language: String::new(),
            bundle: None,
            sources: None,
            label: String::new(),
            candidate: false,
        };
        self.node.deploy(&OpContext::system("test"), deploy).await.unwrap();
    }

    pub(crate) async fn api(&self, method: Method, path: &str, send: Send<'_>) -> Answer {
        exchange(self.gateway.admin_address(), method, path, send).await
    }

    /// Reads from the API as the administrator.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.api(Method::GET, path, Send { token: &self.admin, ..Send::default() }).await
    }

    pub(crate) async fn call(&self, method: Method, path: &str, send: Send<'_>) -> Answer {
        exchange(self.gateway.ingress_address(), method, path, send).await
    }
}

/// A console of one page, with the document of the API.
fn page(request: &PageRequest<'_>) -> Option<Page> {
    ["index.html", "docs/index.html"].contains(&request.path).then(|| Page {
        content_type: "text/html; charset=utf-8",
        digest: "d1",
        immutable: false,
        encoding: None,
        bytes: Bytes::from_static(b"<!doctype html>"),
    })
}

async fn start_node(dir: &TempDir, runtime: Arc<FakeRuntime>) -> (Arc<Node>, Log, Store) {
    let at = |part: &str| dir.path().join(part);
    let clock = Arc::new(SystemClock);
    let mint = Arc::new(IdMint::new(clock.clone(), 7));
    let (log, _) = Log::open(LogConfig::new(at("log")), Arc::new(RealDisk), clock.clone()).unwrap();
    let store = StoreConfig::new(at("store.sqlite"));
    let store = Store::open(store, clock.clone(), mint.clone()).await.unwrap();
    let parts = Parts {
        log: log.clone(),
        store: store.clone(),
        blobs: Blobs::open(at("blobs")).unwrap(),
        runtime,
        clock,
        mint,
        metrics: Metrics::new(),
    };
    let config = NodeConfig::new(Mode::Dev, MasterKey::from_bytes([1; 32]), dir.path());
    (Node::start(config, parts).await.unwrap(), log, store)
}

/// One request on a connection of its own, without reading the answer's body.
pub(crate) async fn open(
    address: SocketAddr,
    method: Method,
    path: &str,
    send: Send<'_>,
) -> http::Response<Incoming> {
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    if !send.token.is_empty() {
        request = request.header("authorization", format!("Bearer {}", send.token));
    }
    if !send.content_type.is_empty() {
        request = request.header("content-type", send.content_type);
    }
    for (name, value) in send.headers {
        request = request.header(*name, *value);
    }
    sender.send_request(request.body(Full::new(send.body)).unwrap()).await.unwrap()
}

async fn exchange(address: SocketAddr, method: Method, path: &str, send: Send<'_>) -> Answer {
    let (head, body) = open(address, method, path, send).await.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status, headers: head.headers, body }
}

/// Writes `bytes` and reads until the server closes.
pub(crate) async fn raw(address: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    // The server may close before it has read everything: that is its answer.
    let _ = socket.write_all(bytes.as_ref()).await;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}
