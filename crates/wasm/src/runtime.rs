//! The runtime behind the seam.

use std::any::Any;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use nexus_exec::rehearsal::{Rehearsed, Scene};
use nexus_exec::{
    Artifacts, Call, Compiled, Debugger, Ended, EnvVar, Error as ExecError, Host, Inspected,
    Prepared, Profile, ProfileOptions, Replayed, RuntimeStats, Unit,
};
use nexus_model::record::InvocationRecord;
use nexus_model::resource::World;
use nexus_model::view::FrameView;
use nexus_model::{Clock, Digest, Event};

use crate::code::CodeCache;
use crate::debug::{self, Symbols};
use crate::engine::{self, Engine};
use crate::function_cache::FunctionCache;
use crate::load::{Registry, Slot};
use crate::{Config, Error, inspect};

/// Components whose symbols stay in memory.
const SYMBOLS_KEPT: usize = 4;
/// How often a guest that is profiled is asked where it is.
const SAMPLE_PERIOD: Duration = Duration::from_micros(250);

/// Runs WebAssembly components. Cheap to share behind an `Arc`; one per process is enough.
pub struct Runtime {
    inner: Arc<Inner>,
}

/// One engine with its machine code and what it has loaded.
pub(crate) struct Flavour {
    pub(crate) engine: Engine,
    pub(crate) registry: Registry,
    code: Arc<CodeCache>,
}

pub(crate) struct Inner {
    config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    artifacts: OnceLock<Arc<dyn Artifacts>>,
    pooling: Flavour,
    verifying: OnceLock<Result<Flavour, String>>,
    debugging: OnceLock<Result<Flavour, String>>,
    sampling: OnceLock<Result<Flavour, String>>,
    counting: OnceLock<Result<Flavour, String>>,
    symbols: Mutex<Vec<(Digest, Arc<Symbols>)>>,
    compiling: Arc<tokio::sync::Semaphore>,
    functions: Arc<FunctionCache>,
    /// No guest may have more memory.
    pub(crate) starved: Arc<AtomicBool>,
}

impl Inner {
    /// The engine of ordinary runs.
    pub(crate) fn pooling(&self) -> &Flavour {
        &self.pooling
    }

    /// The slot of a component that is mapped.
    async fn mapped(&self, component: Digest, world: World) -> Result<Arc<Slot>, ExecError> {
        let registry = &self.pooling.registry;
        let slot = registry.slot(component, world);
        registry.get(&slot).await?;
        Ok(slot)
    }

    /// The engine of verifying runs, made when first asked for, with code for this component.
    pub(crate) async fn verifying(
        self: &Arc<Self>,
        component: Digest,
    ) -> Result<&Flavour, ExecError> {
        Ok(self.special(component, ("verifying", self.made_for_verifying())).await?.0)
    }

    fn made_for_verifying(&self) -> &Result<Flavour, String> {
        self.verifying.get_or_init(|| {
            let engine = Engine::verifying(&self.config, &self.functions)
                .map_err(|error| error.to_string())?;
            flavour(engine, &self.config).map_err(|error| error.to_string())
        })
    }

    /// The engine that counts instructions, made when first asked for, with code for this component.
    pub(crate) async fn counting(
        self: &Arc<Self>,
        component: Digest,
    ) -> Result<&Flavour, ExecError> {
        let made = self.counting.get_or_init(|| {
            let engine = Engine::counting(&self.config, &self.functions)
                .map_err(|error| error.to_string())?;
            flavour(engine, &self.config).map_err(|error| error.to_string())
        });
        Ok(self.special(component, ("counting", made)).await?.0)
    }

    /// The engine of debuggers, made when first asked for, with code for this component; whether
    /// that was compiled just now.
    pub(crate) async fn debugging(
        self: &Arc<Self>,
        component: Digest,
    ) -> Result<(&Flavour, bool), ExecError> {
        let made = self.debugging.get_or_init(|| {
            let engine = Engine::debugging(&self.config, &self.functions)
                .map_err(|error| error.to_string())?;
            flavour(engine, &self.config).map_err(|error| error.to_string())
        });
        self.special(component, ("debugging", made)).await
    }

    pub(crate) fn made_for_debugging(&self) -> Option<&Result<Flavour, String>> {
        self.debugging.get()
    }

    /// The engine of profiles, made when first asked for, with code for this component.
    pub(crate) async fn sampling(
        self: &Arc<Self>,
        component: Digest,
    ) -> Result<&Flavour, ExecError> {
        let made = self.sampling.get_or_init(|| {
            let engine = Engine::sampling(SAMPLE_PERIOD, &self.functions)
                .map_err(|error| error.to_string())?;
            flavour(engine, &self.config).map_err(|error| error.to_string())
        });
        Ok(self.special(component, ("profiling", made)).await?.0)
    }

    pub(crate) fn made_for_sampling(&self) -> Option<&Result<Flavour, String>> {
        self.sampling.get()
    }

    async fn special<'a>(
        self: &Arc<Self>,
        component: Digest,
        (name, made): (&'static str, &'a Result<Flavour, String>),
    ) -> Result<(&'a Flavour, bool), ExecError> {
        let flavour = made.as_ref().map_err(|reason| {
            let reason = format!("there is no {name} engine: {reason}");
            ExecError::NotReplayable { reason }
        })?;
        if flavour.code.size(component).is_some() {
            return Ok((flavour, false));
        }
        let bytes = self.component(component).await?;
        let compiled = compile(self, (&flavour.engine, &flavour.code), (component, bytes)).await?;
        Ok((flavour, !compiled.cached))
    }

    /// The bytes of a component.
    pub(crate) async fn component(&self, component: Digest) -> Result<Bytes, ExecError> {
        let artifacts = self.artifacts.get().ok_or_else(|| ExecError::NotReplayable {
            reason: "this needs the component's bytes, which are not kept".to_owned(),
        })?;
        let failed = |source| ExecError::Code { operation: "fetch", component, source };
        artifacts.component(component).await.map_err(failed)
    }

    /// What the custom sections of a component say.
    pub(crate) async fn symbols(&self, component: Digest) -> Result<Arc<Symbols>, ExecError> {
        let known = || {
            let mut kept = self.symbols.lock().unwrap_or_else(PoisonError::into_inner);
            let at = kept.iter().position(|(digest, _)| *digest == component)?;
            let found = kept.remove(at);
            kept.push(found);
            kept.last().map(|(_, symbols)| symbols.clone())
        };
        if let Some(symbols) = known() {
            return Ok(symbols);
        }
        let bytes = self.component(component).await?;
        let malformed = |reason: String| ExecError::Malformed { reason };
        let read = niced(move || Symbols::read(&bytes)).await;
        let read = read.map_err(|error| malformed(error.to_string()))?;
        let symbols = Arc::new(read.map_err(|error| malformed(error.message().to_owned()))?);
        let mut kept = self.symbols.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= SYMBOLS_KEPT {
            kept.remove(0);
        }
        kept.push((component, symbols.clone()));
        Ok(symbols)
    }
}

/// Compiles in a niced thread, one component at a time.
async fn compile(
    inner: &Inner,
    (engine, code): (&Engine, &Arc<CodeCache>),
    (component, bytes): (Digest, Bytes),
) -> Result<Compiled, ExecError> {
    if let Some(code_bytes) = code.size(component) {
        return Ok(Compiled { cached: true, took_ms: 0, code_bytes });
    }
    let failed = |source| ExecError::Code { operation: "store", component, source };
    let permit = inner.compiling.clone().acquire_owned().await;
    let (engine, code) = (engine.wasmtime.clone(), code.clone());
    niced(move || {
        let _permit = permit;
        code.compile(&engine, component, &bytes)
    })
    .await
    .map_err(failed)?
}

fn flavour(engine: Engine, config: &Config) -> Result<Flavour, Error> {
    flavour_with(engine, config, false)
}

/// `splits`: whether states of interpreters have files of their own.
fn flavour_with(engine: Engine, config: &Config, splits: bool) -> Result<Flavour, Error> {
    let hash = engine::code_hash(&engine.wasmtime);
    let code = Arc::new(CodeCache::new(config.code_dir.clone(), hash, splits));
    let registry = Registry::new(engine.wasmtime.clone(), code.clone(), config.loaded_max)
        .map_err(|error| Error::Engine { reason: format!("{error:#}") })?;
    Ok(Flavour { engine, registry, code })
}

impl Runtime {
    /// Starts the engine. Fails loudly where the system lacks what it needs.
    ///
    /// # Errors
    /// Wasmtime refuses the configuration, or the code folder cannot be made.
    pub fn new(config: Config, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        std::fs::create_dir_all(&config.code_dir)
            .map_err(|source| Error::CodeDir { dir: config.code_dir.clone(), source })?;
        let functions = Arc::new(FunctionCache::default());
        let pooling = flavour_with(Engine::pooling(&config, &functions)?, &config, true)?;
        let code = Arc::downgrade(&pooling.code);
        // Where no thread can be had now the first calls do it.
        let _ = on_niced_thread("nexus-check", move || CodeCache::check_stored(&code));
        let inner = Inner {
            config,
            clock,
            artifacts: OnceLock::new(),
            pooling,
            verifying: OnceLock::new(),
            debugging: OnceLock::new(),
            sampling: OnceLock::new(),
            counting: OnceLock::new(),
            symbols: Mutex::default(),
            compiling: Arc::new(tokio::sync::Semaphore::new(1)),
            functions,
            starved: Arc::default(),
        };
        Ok(Runtime { inner: Arc::new(inner) })
    }

    /// Says where the bytes of deployed components are kept. Verifying runs compile them for their
    /// own engine; without this they are refused.
    #[must_use]
    pub fn with_artifacts(self, artifacts: Arc<dyn Artifacts>) -> Self {
        // Set once, before the runtime is shared.
        let _ = self.inner.artifacts.set(artifacts);
        self
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
    let (done, result) = tokio::sync::oneshot::channel();
    on_niced_thread("nexus-compile", move || {
        let _ = done.send(work());
    })?;
    result.await.map_err(|_| std::io::Error::other("the compiler thread ended without a result"))
}

fn on_niced_thread(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    const NICENESS: i32 = 10;
    let thread = std::thread::Builder::new().name(name.to_owned());
    let started = thread.spawn(move || {
        // A refusal only means that it competes with requests.
        let _ = rustix::process::nice(NICENESS);
        work();
    });
    started.map(drop)
}

fn in_words(error: ExecError) -> wasmtime::Error {
    wasmtime::Error::msg(error.to_string())
}

#[async_trait]
impl nexus_exec::Runtime for Runtime {
    async fn inspect(&self, artifact: Bytes) -> Result<Inspected, ExecError> {
        let inner = self.inner.clone();
        let malformed = |error: std::io::Error| ExecError::Malformed { reason: error.to_string() };
        niced(move || {
            let engine = &inner.pooling.engine.wasmtime;
            let linked = |bytes: &[u8]| -> wasmtime::Result<Compiled> {
                let digest = Digest::of(bytes);
                let code = &inner.pooling.code;
                // Linking needs the compiled component; its code is kept for the deploy.
                let mut compiled = code.compile(engine, digest, bytes).map_err(in_words)?;
                let mut component = code.open(engine, digest);
                if component.is_err() && code.size(digest).is_none() {
                    // What was there was damaged.
                    compiled = code.compile(engine, digest, bytes).map_err(in_words)?;
                    component = code.open(engine, digest);
                }
                component?.link(inner.pooling.registry.linker())?;
                Ok(compiled)
            };
            inspect::inspect(&artifact, linked)
        })
        .await
        .map_err(malformed)?
    }

    async fn compile(&self, component: Digest, bytes: Bytes) -> Result<Compiled, ExecError> {
        let pooling = &self.inner.pooling;
        if self.inner.config.verify_memory
            && let Ok(verifying) = self.inner.made_for_verifying()
        {
            let (engine, code) = (&verifying.engine, &verifying.code);
            compile(&self.inner, (engine, code), (component, bytes.clone())).await?;
        }
        compile(&self.inner, (&pooling.engine, &pooling.code), (component, bytes)).await
    }

    fn is_compiled(&self, component: Digest) -> bool {
        self.inner.pooling.code.size(component).is_some()
    }

    async fn map(
        &self,
        component: Digest,
        world: World,
    ) -> Result<Arc<dyn Any + Send + Sync>, ExecError> {
        Ok(self.inner.mapped(component, world).await?)
    }

    async fn prepare(&self, unit: Arc<Unit>) -> Result<Arc<dyn Prepared>, ExecError> {
        let slot = self.inner.mapped(unit.component, unit.world).await?;
        Ok(Arc::new(Ready { inner: self.inner.clone(), unit, slot }))
    }

    async fn frames(
        &self,
        component: Digest,
        offsets: &[u64],
    ) -> Result<Vec<Vec<FrameView>>, ExecError> {
        let symbols = self.inner.symbols(component).await?;
        let offsets = offsets.to_vec();
        let malformed = |error: std::io::Error| ExecError::Malformed { reason: error.to_string() };
        niced(move || offsets.into_iter().map(|offset| symbols.frames(offset)).collect())
            .await
            .map_err(malformed)
    }

    async fn forget_code(&self, used: &HashSet<Digest>) -> std::io::Result<u64> {
        let (inner, used) = (self.inner.clone(), used.clone());
        let forgotten = tokio::task::spawn_blocking(move || inner.pooling.code.keep_only(&used));
        forgotten.await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
    }

    fn stop_growth(&self, stop: bool) {
        // Written by one thread, several times a second, and seldom another value.
        if self.inner.starved.load(Ordering::Relaxed) != stop {
            self.inner.starved.store(stop, Ordering::Relaxed);
        }
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
    fn env(&self) -> &[EnvVar] {
        &self.unit.env
    }

    async fn invoke(&self, call: Call, host: Arc<dyn Host>) -> Ended {
        crate::invoke::invoke(self, call, host).await
    }

    async fn replay(
        &self,
        record: &InvocationRecord,
        event: Option<Event>,
    ) -> Result<Replayed, ExecError> {
        let replayed = crate::replay::replay(self, (record, event), None).await?;
        Ok(replayed.0)
    }

    async fn witness(
        &self,
        record: &InvocationRecord,
        event: Option<Event>,
    ) -> Result<(Replayed, Scene), ExecError> {
        crate::rehearse::witness(self, (record, event)).await
    }

    async fn rehearse(&self, scene: &Scene, counted: bool) -> Result<Rehearsed, ExecError> {
        crate::rehearse::rehearse(self, scene, counted).await
    }

    async fn debug(
        &self,
        record: &InvocationRecord,
        event: Option<Event>,
    ) -> Result<Debugger, ExecError> {
        debug::debug(self, record, event).await
    }

    async fn profile(
        &self,
        record: &InvocationRecord,
        event: Option<Event>,
        options: ProfileOptions,
    ) -> Result<Profile, ExecError> {
        debug::profile(self, (record, event), options).await
    }
}
