//! A node in a temporary folder.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use nexus_exec::{Body, full_body};
use nexus_log::{Disk, Log, LogConfig, RealDisk, Retention};
use nexus_model::resource::{FunctionSpec, Kind, Resource, ResourceKey};
use nexus_model::view::Deployed;
use nexus_model::{IdMint, InvocationId, Name, OpContext, SystemClock};
use nexus_node::{Deploy, Error, MasterKey, Mode, Node, NodeConfig, Parts};
use nexus_store::{Blobs, Store, StoreConfig};
use nexus_testkit::FakeRuntime;
use serde_json::json;
use tempfile::TempDir;

pub(crate) struct World {
    pub(crate) node: Arc<Node>,
    pub(crate) runtime: Arc<FakeRuntime>,
    pub(crate) log: Log,
    pub(crate) store: Store,
    pub(crate) metrics: nexus_observe::Metrics,
    dir: TempDir,
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn admin() -> OpContext {
    OpContext::system("test")
}

pub(crate) fn spec(value: serde_json::Value) -> Option<FunctionSpec> {
    Some(serde_json::from_value(value).unwrap())
}

impl World {
    pub(crate) async fn new() -> World {
        World::with(Mode::Dev, |_| {}).await
    }

    pub(crate) async fn with(mode: Mode, set: impl Fn(&mut NodeConfig)) -> World {
        let dir = tempfile::tempdir().unwrap();
        World::open(dir, mode, set, FakeRuntime::new()).await.with_project().await
    }

    async fn with_project(self) -> World {
        let key = ResourceKey { kind: Kind::Project, project: None, name: name("shop") };
        self.node.apply(&admin(), vec![Resource::new(&key, json!({}))]).await.unwrap();
        self
    }

    /// With a log of small segments on this disk, of which retention leaves the last one.
    pub(crate) async fn with_small_log(disk: Arc<dyn Disk>) -> World {
        let dir = tempfile::tempdir().unwrap();
        let retention = Retention { max_bytes: Some(1), ..Retention::default() };
        let config = LogConfig {
            segment_bytes: 64 << 10,
            retention,
            ..LogConfig::new(dir.path().join("log"))
        };
        let (log, _) = Log::open(config, disk, Arc::new(SystemClock)).unwrap();
        let world = World::open_on(dir, (Mode::Dev, |_: &mut _| {}), FakeRuntime::new(), log).await;
        world.with_project().await
    }

    async fn open(
        dir: TempDir,
        mode: Mode,
        set: impl Fn(&mut NodeConfig),
        runtime: Arc<FakeRuntime>,
    ) -> World {
        let (log, _) = open_log(&dir.path().join("log"), Arc::new(SystemClock));
        World::open_on(dir, (mode, set), runtime, log).await
    }

    async fn open_on(
        dir: TempDir,
        (mode, set): (Mode, impl Fn(&mut NodeConfig)),
        runtime: Arc<FakeRuntime>,
        log: Log,
    ) -> World {
        let at = |part: &str| dir.path().join(part);
        let clock = Arc::new(SystemClock);
        let mint = Arc::new(IdMint::new(clock.clone(), 7));
        let store = Store::open(StoreConfig::new(at("store.sqlite")), clock.clone(), mint.clone())
            .await
            .unwrap();
        let mut config = NodeConfig::new(mode, MasterKey::from_bytes([1; 32]), dir.path());
        set(&mut config);
        let metrics = nexus_observe::Metrics::new();
        let parts = Parts {
            log: log.clone(),
            store: store.clone(),
            blobs: Blobs::open(at("blobs")).unwrap(),
            runtime: runtime.clone(),
            clock,
            mint,
            metrics: metrics.clone(),
        };
        let node = Node::start(config, parts).await.unwrap();
        World { node, runtime, log, store, metrics, dir }
    }

    /// The blobs of this node.
    pub(crate) fn blobs(&self) -> Blobs {
        Blobs::open(self.dir.path().join("blobs")).unwrap()
    }

    /// The same without what the log and the engine's checkpoint held.
    pub(crate) async fn restart_without_log(self, runtime: Arc<FakeRuntime>) -> World {
        self.node.shutdown(Duration::from_secs(10)).await;
        self.log.close().await.unwrap();
        self.store.close().await.unwrap();
        drop((self.node, self.log, self.store));
        std::fs::remove_dir_all(self.dir.path().join("log")).unwrap();
        std::fs::remove_file(self.dir.path().join("engine.checkpoint")).unwrap();
        World::open(self.dir, Mode::Dev, |_| {}, runtime).await
    }

    /// Stops the node and starts another one on the same folder.
    pub(crate) async fn restart(self, runtime: Arc<FakeRuntime>) -> World {
        self.node.shutdown(Duration::from_secs(10)).await;
        self.log.close().await.unwrap();
        self.store.close().await.unwrap();
        drop((self.node, self.log, self.store));
        World::open(self.dir, Mode::Dev, |_| {}, runtime).await
    }

    pub(crate) async fn deploy(
        &self,
        function: &str,
        code: &str,
        config: Option<FunctionSpec>,
    ) -> Deployed {
        self.try_deploy(function, code, config).await.unwrap()
    }

    pub(crate) async fn try_deploy(
        &self,
        function: &str,
        code: &str,
        config: Option<FunctionSpec>,
    ) -> Result<Deployed, Error> {
        let deploy = Deploy {
            project: name("shop"),
            name: name(function),
            component: Bytes::from(code.to_owned()),
            config,
            language: String::new(),
            bundle: None,
            sources: None,
            label: String::new(),
            candidate: false,
        };
        self.node.deploy(&admin(), deploy).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Result<Response<Body>, Error> {
        let request = Request::post(path).header("host", "shop.localhost:8080");
        self.send(request.body(full_body(body.to_owned())).unwrap()).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Error> {
        let host = request.headers()["host"].to_str().unwrap().to_owned();
        let route = self.node.route(&host, request.method(), request.uri().path())?;
        self.node.serve_http(anonymous(), &route, request).await
    }

    pub(crate) async fn text(&self, path: &str, body: &str) -> String {
        text(self.post(path, body).await.unwrap()).await
    }

    /// The function that a request goes to, or the code of the error.
    pub(crate) fn routed(&self, host: &str, method: Method, path: &str) -> String {
        match self.node.route(host, &method, path) {
            Ok(route) => route.function().to_string(),
            Err(error) => error.code().to_string(),
        }
    }
}

fn open_log(dir: &Path, clock: Arc<SystemClock>) -> (Log, nexus_log::Opened) {
    Log::open(LogConfig::new(dir), Arc::new(RealDisk), clock).unwrap()
}

pub(crate) fn anonymous() -> OpContext {
    OpContext { principal: nexus_model::Principal::anonymous(), scopes: Arc::new([]), ..admin() }
}

pub(crate) async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn invocation_of(response: &Response<Body>) -> InvocationId {
    response.headers()["nexus-invocation-id"].to_str().unwrap().parse().unwrap()
}
