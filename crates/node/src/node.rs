//! The node: what it holds, how it starts and how it stops.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use nexus_engine::{DeclaredKey, Engine, EngineConfig, EngineParts};
use nexus_exec::Artifacts;
use nexus_model::resource::{FunctionSpec, Kind, ProjectSpec, Resource, SchemaSpec, TriggerSpec};
use nexus_model::{Code, Digest, Name, OpContext, Scope, limits};
use nexus_policy::{Authenticator, Sessions};
use nexus_store::Blobs;
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::catalog::{Catalog, Current, Declared, FunctionName, Route, Snapshot, TriggerName};
use crate::chain::Chains;
use crate::debug::Debuggers;
use crate::delivery::Deliverer;
use crate::keys::Key;
use crate::memory::Memory;
use crate::ongoing::Ongoing;
use crate::outbound::Outbound;
use crate::replays::Jobs;
use crate::result_cache::ResultCache;
use crate::sessions::identity;
use crate::waiters::{TakenDown, Waiters};
use crate::webhook::KnownKeys;
use crate::{Error, Identity, NodeConfig, Parts, Tasks, sound_blob};

/// Resources read from the store at a time while a node starts.
const SCAN_ITEMS: usize = 1_000;
/// First calls of different versions that are made ready at the same time.
const LOADING_LOCKS: usize = 64;
/// Deliveries beyond which events are refused.
const PENDING_MAX: usize = 1_000_000;
/// Log records after which the engine writes a checkpoint.
const CHECKPOINT_RECORDS: u64 = 50_000;

/// The engine's checkpoint in its folder.
pub const CHECKPOINT_FILE: &str = "engine.checkpoint";

/// The application layer of one server: one method per use case.
pub struct Node {
    pub(crate) config: NodeConfig,
    pub(crate) parts: Parts,
    pub(crate) tasks: Tasks,
    pub(crate) started: Instant,
    pub(crate) catalog: Catalog,
    pub(crate) admission: Admission,
    pub(crate) memory: Arc<Memory>,
    pub(crate) outbound: Outbound,
    pub(crate) loading: Vec<Mutex<()>>,
    /// Held while resources change, so that checks and the change are one step.
    pub(crate) changes: Mutex<()>,
    /// Held while audit events move to the log.
    pub(crate) auditing: Mutex<()>,
    pub(crate) audit_due: Notify,
    pub(crate) secret_key: Key,
    /// What webhooks are signed with, by project and secret; read on first use.
    pub(crate) webhook_keys: ArcSwap<KnownKeys>,
    pub(crate) results: ResultCache,
    pub(crate) waiters: Waiters,
    pub(crate) taken_down: TakenDown,
    pub(crate) debuggers: Debuggers,
    pub(crate) replays: Jobs,
    /// Held while a profile is taken: one at a time, so that they do not measure one another.
    pub(crate) profiling: Mutex<()>,
    pub(crate) under_pressure: AtomicBool,
    /// Whether `compiling` says what is missing: until then nobody knows.
    pub(crate) looked_through: AtomicBool,
    pub(crate) compiling: std::sync::Mutex<HashSet<Digest>>,
    /// Why components could not be compiled again.
    pub(crate) failed: std::sync::Mutex<BTreeMap<Digest, String>>,
    /// Somebody found code missing.
    pub(crate) compile_due: Notify,
    pub(crate) authenticator: ArcSwap<Authenticator>,
    pub(crate) sessions: std::sync::Mutex<Sessions>,
    pub(crate) chains: Chains,
    pub(crate) ongoing: Ongoing,
    pub(crate) engine: OnceLock<Engine>,
    draining: AtomicBool,
    /// Said to stop soon: not ready, and all else goes on.
    pub(crate) leaving: AtomicBool,
}

impl Node {
    /// Starts a node: reads what is declared, rebuilds the engine's state, begins to deliver. Code
    /// of current versions that is not compiled for this engine is compiled in the background.
    ///
    /// # Errors
    /// The store or the log cannot be read.
    pub async fn start(config: NodeConfig, parts: Parts) -> Result<Arc<Node>, Error> {
        let memory = Arc::new(Memory::new(config.memory_max));
        memory.watch(&parts.runtime);
        let node = Arc::new(Node {
            admission: Admission::new(config.concurrency, config.waiting_calls_max, memory.clone()),
            memory,
            secret_key: config.master_key.derive("secrets"),
            webhook_keys: ArcSwap::default(),
            results: ResultCache::default(),
            waiters: Waiters::default(),
            taken_down: TakenDown::default(),
            debuggers: Debuggers::default(),
            replays: Jobs::default(),
            profiling: Mutex::new(()),
            outbound: Outbound::new(),
            tasks: Tasks::default(),
            started: Instant::now(),
            catalog: Catalog::default(),
            loading: (0..LOADING_LOCKS).map(|_| Mutex::new(())).collect(),
            changes: Mutex::new(()),
            auditing: Mutex::new(()),
            audit_due: Notify::new(),
            under_pressure: AtomicBool::new(false),
            looked_through: AtomicBool::new(false),
            compiling: std::sync::Mutex::default(),
            failed: std::sync::Mutex::default(),
            compile_due: Notify::new(),
            authenticator: ArcSwap::default(),
            sessions: std::sync::Mutex::default(),
            chains: Chains::default(),
            ongoing: Ongoing::default(),
            engine: OnceLock::new(),
            draining: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            config,
            parts,
        });
        let known = node.read_declared().await?;
        node.drop_orphaned_tokens().await?;
        node.reload_tokens().await?;
        node.start_engine(known).await?;
        node.register_metrics();
        let at = Arc::clone(&node);
        node.tasks.service("compile what is missing", async move { at.compile_loop().await });
        let at = Arc::clone(&node);
        node.tasks.service("audit", async move { at.audit_loop().await });
        let at = Arc::clone(&node);
        node.tasks.service("unload idle functions", async move { at.unload_loop().await });
        let at = Arc::clone(&node);
        node.tasks.service("interrupted replays", async move { at.go_on_replays().await });
        let at = Arc::clone(&node);
        node.tasks.service("debug sessions", async move { at.debug_sweep_loop().await });
        let at = Arc::clone(&node);
        node.tasks.service("measure blobs", async move { at.measure_blobs().await });
        Ok(node)
    }

    /// `declared` is what the engine should know.
    async fn start_engine(self: &Arc<Self>, declared: Vec<DeclaredKey>) -> Result<(), Error> {
        let config = EngineConfig {
            checkpoint: self.config.engine_dir.join(CHECKPOINT_FILE),
            running_max: self.config.deliveries,
            pending_max: PENDING_MAX,
            checkpoint_records: CHECKPOINT_RECORDS,
        };
        let open = CancellationToken::new();
        let parts = EngineParts {
            log: self.parts.log.clone(),
            clock: Arc::clone(&self.parts.clock),
            mint: Arc::clone(&self.parts.mint),
            worker: Arc::new(Deliverer::new(self, open.clone())),
        };
        let engine = Engine::start(config, parts).await;
        let engine = engine.map_err(Error::engine_start)?;
        let unknown = engine.unknown(declared).await?;
        let _ = self.engine.set(engine);
        self.tell_engine(unknown).await?;
        // Only now it runs what the last stop left behind.
        open.cancel();
        Ok(())
    }

    /// The engine.
    pub(crate) fn engine(&self) -> Result<&Engine, Error> {
        self.engine.get().ok_or_else(|| Error::new(Code::ShuttingDown, "the engine is not running"))
    }

    /// Publishes what is declared. Gives what of it the engine should know.
    async fn read_declared(&self) -> Result<Vec<DeclaredKey>, Error> {
        let mut declared = Vec::new();
        let mut snapshot = Snapshot::default();
        for kind in [Kind::Project, Kind::Schema, Kind::Function, Kind::Trigger] {
            let mut after = None;
            loop {
                let page = self.parts.store.scan(kind, after.as_ref(), SCAN_ITEMS).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.key());
                for resource in page {
                    self.take_in(&mut snapshot, &resource)?;
                    declared.extend(declared_key(&resource));
                }
            }
        }
        self.catalog.publish(snapshot);
        Ok(declared)
    }

    /// Makes a stored project, function, trigger or schema known to the request path.
    pub(crate) fn take_in(
        &self,
        snapshot: &mut Snapshot,
        resource: &Resource,
    ) -> Result<(), Error> {
        let wrong = |error| Error::internal("read a resource", error);
        let name = &resource.metadata.name;
        match (resource.kind, &resource.metadata.project) {
            (Kind::Project, _) => {
                let spec: ProjectSpec =
                    serde_json::from_value(resource.spec.clone()).map_err(wrong)?;
                snapshot.set_project(name, &spec);
            }
            (Kind::Function, Some(project)) => {
                let spec: FunctionSpec =
                    serde_json::from_value(resource.spec.clone()).map_err(wrong)?;
                let current = current_of(resource);
                let declared = Declared { spec: &spec, current, mode: self.config.mode };
                snapshot.set_function(FunctionName { project, function: name }, declared);
            }
            (Kind::Trigger, Some(project)) => {
                let spec: TriggerSpec =
                    serde_json::from_value(resource.spec.clone()).map_err(wrong)?;
                let name = TriggerName { project, trigger: name };
                snapshot.set_trigger(name, &spec, self.config.mode);
            }
            (Kind::Schema, Some(project)) => {
                let spec: SchemaSpec =
                    serde_json::from_value(resource.spec.clone()).map_err(wrong)?;
                let mut set = Ok(());
                snapshot.set_schemas(project, |schemas| set = schemas.set(name, &spec));
                set?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Who a bearer token stands for. Takes no lock.
    ///
    /// # Errors
    /// Nobody knows the token, or it has expired; which of the two is not said.
    pub fn authenticate(&self, token: &str) -> Result<Identity, Error> {
        let known = self.authenticator.load();
        let found = known.authenticate(token, self.parts.clock.now()).ok_or_else(|| {
            Error::new(Code::Unauthenticated, "the token is not known or has expired").with_hint(
                "in nexus dev the token lies in .nexus/token; others: nexus tokens create",
            )
        })?;
        Ok(identity(found, None))
    }

    /// The function that answers a request on the ingress. Takes no lock.
    ///
    /// # Errors
    /// No route matches, or none with this method.
    pub fn route(&self, host: &str, method: &http::Method, path: &str) -> Result<Route, Error> {
        self.catalog.route(host, method, path).map_err(|error| {
            match self.catalog.project_of_host(host) {
                Some(_) => error,
                None => error.with_hint(self.hosts_hint()),
            }
        })
    }

    /// The project that a host of the ingress stands for.
    pub fn project_of_host(&self, host: &str) -> Option<Name> {
        self.catalog.project_of_host(host)
    }

    /// The limits that are the same everywhere.
    pub fn limits(&self) -> &'static [limits::Limit] {
        limits::ALL
    }

    /// The registry that was given in [`Parts`].
    pub fn metrics(&self) -> &nexus_observe::Metrics {
        &self.parts.metrics
    }

    /// Whether new work is refused.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Is not [ready](Node::ready) from now on, and goes on with everything else: those who look stop
    /// sending before [`shutdown`](Node::shutdown) begins.
    pub fn announce_shutdown(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Refuses new work, waits for what runs, stops the engine, and puts every recording on disk.
    /// What has not ended at `deadline` is abandoned: asynchronous work is found and repeated by
    /// the next start. Log and store stay open for their owner to close.
    pub async fn shutdown(&self, deadline: Duration) {
        let begun = Instant::now();
        self.draining.store(true, Ordering::Relaxed);
        let left = || deadline.saturating_sub(begun.elapsed());
        if let Some(engine) = self.engine.get()
            && tokio::time::timeout(left(), engine.stop()).await.is_err()
        {
            tracing::warn!("deliveries were running at the deadline; the next start repeats them");
        }
        if !self.tasks.drain(left()).await {
            tracing::warn!(running = self.tasks.running(), "calls were running at the deadline");
        }
        self.tasks.stop(left().max(Duration::from_millis(100))).await;
        // Never skipped: what has ended is to be recorded, and a flush takes milliseconds.
        if let Err(error) = self.parts.log.flush().await {
            tracing::error!(error = &error as &dyn std::error::Error, "failed to flush the log");
        }
    }

    /// Needs the whole server: numbers about the log are about all projects.
    ///
    /// # Errors
    /// The caller may not read everything, or the log cannot be read.
    pub async fn log_stats(&self, ctx: &OpContext) -> Result<nexus_log::LogStats, Error> {
        nexus_policy::authorize(ctx, Scope::Read, None)?;
        self.parts.log.stats().await.map_err(Error::from)
    }

    /// Removes from the log what its retention says and no unfinished work needs. Schedules that
    /// hold up the removal move to the end of the log, so that the next call can pass them.
    ///
    /// # Errors
    /// The engine has stopped, or a file cannot be removed.
    pub async fn enforce_retention(&self) -> Result<nexus_log::RetentionReport, Error> {
        let engine = self.engine()?;
        let report = self.parts.log.enforce_retention(engine.floor().await?).await?;
        if report.segments_removed > 0 {
            tracing::info!(
                segments = report.segments_removed,
                bytes = report.bytes_freed,
                first = report.first_sequence,
                "retention removed the oldest records"
            );
        }
        if report.held_from.is_some() {
            let first = report.first_sequence;
            let quarter = self.parts.log.durable().sequence.saturating_sub(first) / 4;
            engine.carry_forward(first + quarter).await?;
        }
        Ok(report)
    }

    /// Checks every record of the log, and the large bodies that records refer to.
    ///
    /// # Errors
    /// The caller is no administrator, or the log cannot be read at all.
    pub async fn log_verify(&self, ctx: &OpContext) -> Result<nexus_log::VerifyReport, Error> {
        nexus_policy::authorize(ctx, Scope::Admin, None)?;
        let blobs = self.parts.blobs.clone();
        let found = self.parts.log.verify(move |digest| sound_blob(digest, blobs.check(digest)));
        Ok(found.await?)
    }

    /// Whether a project exists. For callers that may know.
    pub(crate) fn require_project(&self, project: &Name) -> Result<(), Error> {
        match self.catalog.project(project) {
            Some(_) => Ok(()),
            None => Err(self.no_project(project)),
        }
    }

    pub(crate) fn no_project(&self, project: &Name) -> Error {
        Error::not_found(format_args!("project '{project}'"))
            .with_hint("nexus projects lists what there is")
    }
}

/// What the engine should know of a resource.
fn declared_key(resource: &Resource) -> Option<DeclaredKey> {
    let kind = Some(resource.kind).filter(|at| matches!(at, Kind::Function | Kind::Trigger))?;
    Some(DeclaredKey {
        kind,
        project: resource.metadata.project.as_ref()?.to_string(),
        name: resource.metadata.name.to_string(),
        revision: resource.metadata.revision?,
    })
}

/// What a stored function says that it runs.
pub(crate) fn current_of(resource: &Resource) -> Option<Current> {
    serde_json::from_value(resource.status.get("current")?.clone()).ok()
}

pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Gives the runtime the components that it has to compile again.
#[derive(Clone)]
pub struct BlobArtifacts(pub Blobs);

#[async_trait::async_trait]
impl Artifacts for BlobArtifacts {
    async fn component(&self, digest: Digest) -> std::io::Result<bytes::Bytes> {
        let found = self.0.get(digest).await.map_err(std::io::Error::other)?;
        found.ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::NotFound, format!("{digest} is not stored"))
        })
    }
}
