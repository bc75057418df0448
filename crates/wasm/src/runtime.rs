//! The runtime behind the seam.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use nexus_exec::{
    Call, Compiled, Ended, Error as ExecError, Host, Inspected, Prepared, Replayed, RuntimeStats,
    Unit,
};
use nexus_model::record::InvocationRecord;
use nexus_model::{Clock, Digest, Event};
use wasmtime::component::Component;

use crate::code::CodeCache;
use crate::engine::{self, Engine};
use crate::load::{Registry, Slot};
use crate::{Config, Error, inspect};

/// Runs WebAssembly components. Cheap to share behind an `Arc`; one per process is enough.
pub struct Runtime {
    inner: Arc<Inner>,
}

/// One engine with what it has loaded.
pub(crate) struct Flavour {
    pub(crate) engine: Engine,
    pub(crate) registry: Registry,
}

pub(crate) struct Inner {
    config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    code: Arc<CodeCache>,
    pooling: Flavour,
    verifying: OnceLock<Result<Flavour, String>>,
    compiling: Arc<tokio::sync::Semaphore>,
}

impl Inner {
    /// The engine for ordinary or for verifying runs; the latter is made when first asked for.
    pub(crate) fn flavour(&self, verify: bool) -> Result<&Flavour, ExecError> {
        if !verify {
            return Ok(&self.pooling);
        }
        let made = self.verifying.get_or_init(|| {
            let engine = Engine::verifying(&self.config).map_err(|error| error.to_string())?;
            flavour(engine, &self.code, &self.config).map_err(|error| error.to_string())
        });
        made.as_ref().map_err(|reason| ExecError::NotReplayable {
            reason: format!("no verifying engine: {reason}"),
        })
    }
}

fn flavour(engine: Engine, code: &Arc<CodeCache>, config: &Config) -> Result<Flavour, Error> {
    let registry = Registry::new(engine.wasmtime.clone(), code.clone(), config.loaded_max)
        .map_err(|error| Error::Engine { reason: format!("{error:#}") })?;
    Ok(Flavour { engine, registry })
}

impl Runtime {
    /// Starts the engine. Fails loudly where the system lacks what it needs.
    ///
    /// # Errors
    /// Wasmtime refuses the configuration, or the code folder cannot be made.
    pub fn new(config: Config, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        std::fs::create_dir_all(&config.code_dir)
            .map_err(|source| Error::CodeDir { dir: config.code_dir.clone(), source })?;
        let engine = Engine::pooling(&config)?;
        let hash = engine::code_hash(&engine.wasmtime);
        let code = Arc::new(CodeCache::new(config.code_dir.clone(), hash));
        let pooling = flavour(engine, &code, &config)?;
        let compiling = Arc::new(tokio::sync::Semaphore::new(1));
        let verifying = OnceLock::new();
        let inner = Arc::new(Inner { config, clock, code, pooling, verifying, compiling });
        Ok(Runtime { inner })
    }

    /// The hash of the engine's semantics: what a journal and the engine that replays it must share.
    pub fn semantics(&self) -> [u8; 32] {
        engine::semantics()
    }
}

/// Runs `work` on a thread of low priority. Threads that the compiler starts from it inherit that.
async fn niced<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, std::io::Error> {
    const NICENESS: i32 = 10;
    let (done, result) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("nexus-compile".into()).spawn(move || {
        // A refusal only means that compiling competes with requests.
        let _ = rustix::process::nice(NICENESS);
        let _ = done.send(work());
    })?;
    result.await.map_err(|_| std::io::Error::other("the compiler thread ended without a result"))
}

#[async_trait]
impl nexus_exec::Runtime for Runtime {
    async fn inspect(&self, artifact: Bytes) -> Result<Inspected, ExecError> {
        let inner = self.inner.clone();
        let malformed = |error: std::io::Error| ExecError::Malformed { reason: error.to_string() };
        niced(move || {
            let engine = &inner.pooling.engine.wasmtime;
            let linked = |bytes: &[u8]| -> wasmtime::Result<()> {
                let digest = Digest::of(bytes);
                // Linking needs the compiled component; its code is kept for the deploy.
                if let Err(error) = inner.code.compile(engine, digest, bytes) {
                    wasmtime::bail!("{error}");
                }
                #[expect(unsafe_code, reason = "mapping machine code that this program stored")]
                // SAFETY: as in `Registry::map`.
                let component =
                    unsafe { Component::deserialize_file(engine, inner.code.path(digest)) }?;
                inner.pooling.registry.linker().instantiate_pre(&component)?;
                Ok(())
            };
            inspect::inspect(&artifact, linked)
        })
        .await
        .map_err(malformed)?
    }

    async fn compile(&self, component: Digest, bytes: Bytes) -> Result<Compiled, ExecError> {
        if let Some(code_bytes) = self.inner.code.size(component) {
            return Ok(Compiled { cached: true, took_ms: 0, code_bytes });
        }
        let failed = |source| ExecError::Code { operation: "store", component, source };
        let permit = self.inner.compiling.clone().acquire_owned().await;
        let inner = self.inner.clone();
        niced(move || {
            let _permit = permit;
            inner.code.compile(&inner.pooling.engine.wasmtime, component, &bytes)
        })
        .await
        .map_err(failed)?
    }

    fn is_compiled(&self, component: Digest) -> bool {
        self.inner.code.size(component).is_some()
    }

    async fn prepare(&self, unit: Arc<Unit>) -> Result<Arc<dyn Prepared>, ExecError> {
        let registry = &self.inner.pooling.registry;
        let slot = registry.slot(unit.component, unit.world);
        registry.get(&slot).await?;
        Ok(Arc::new(Ready { inner: self.inner.clone(), unit, slot }))
    }

    fn stats(&self) -> RuntimeStats {
        let registry = &self.inner.pooling.registry;
        let verifying = self.inner.verifying.get().and_then(|made| made.as_ref().ok());
        RuntimeStats {
            loaded: registry.loaded() as u64,
            evicted: registry.evicted(),
            running: (self.inner.pooling.engine.ticker.running()
                + verifying.map_or(0, |made| made.engine.ticker.running()))
                as u64,
        }
    }
}

/// A unit that can be invoked: what it is, and where its code may lie.
pub(crate) struct Ready {
    pub(crate) inner: Arc<Inner>,
    pub(crate) unit: Arc<Unit>,
    pub(crate) slot: Arc<Slot>,
}

#[async_trait]
impl Prepared for Ready {
    async fn invoke(&self, call: Call, host: Arc<dyn Host>) -> Ended {
        crate::invoke::invoke(self, call, host).await
    }

    async fn replay(
        &self,
        record: &InvocationRecord,
        event: Option<Event>,
    ) -> Result<Replayed, ExecError> {
        crate::replay::replay(self, record, event).await
    }
}
