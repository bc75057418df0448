//! The engines and what identifies them.

use std::hash::{Hash as _, Hasher as _};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nexus_model::limits;
use wasmtime::{Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::function_cache::FunctionCache;
use crate::{Config, Error, memory};

/// The most wasm frames may use, in bytes. Part of the semantics.
const STACK_BYTES: usize = 1 << 20;
const ASYNC_STACK_BYTES: usize = 2 << 20;
/// Everything about the engine that a guest can observe. Changing a word changes what a replay
/// accepts (decision 25).
const SEMANTICS: &str = "nexus-wasm semantics 1: nan=canonical; relaxed-simd=deterministic; \
    threads=off; component-model=1; wasi=0.2; fuel=off; stack=1MiB; memory64=off; \
    multi-memory=on; gc=off; exceptions=off";

/// Ticks without a guest before the thread that makes them sleeps: to wake it costs a call more than
/// these ticks cost.
const IDLE_TICKS_MAX: u32 = 64;

/// An engine, its linker's flavour, and the thread that advances its epoch.
pub(crate) struct Engine {
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) ticker: Arc<Ticker>,
    /// Whether its code counts the instructions that a guest runs.
    pub(crate) counts: bool,
}

/// The semantics hash: it goes into every journal and must match on replay.
pub(crate) fn semantics() -> [u8; 32] {
    static HASH: OnceLock<[u8; 32]> = OnceLock::new();
    *HASH.get_or_init(|| *blake3::hash(SEMANTICS.as_bytes()).as_bytes())
}

/// The code hash: stored machine code is found by it.
pub(crate) fn code_hash(engine: &wasmtime::Engine) -> u64 {
    struct Collect(blake3::Hasher);
    impl std::hash::Hasher for Collect {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            let mut first = [0; 8];
            first.copy_from_slice(&self.0.finalize().as_bytes()[..8]);
            u64::from_le_bytes(first)
        }
    }
    let mut collect = Collect(blake3::Hasher::new());
    engine.precompile_compatibility_hash().hash(&mut collect);
    collect.finish()
}

fn common(cache: &Arc<FunctionCache>) -> wasmtime::Result<wasmtime::Config> {
    let mut config = wasmtime::Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .memory_init_cow(true)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_memory64(false)
        .max_wasm_stack(STACK_BYTES)
        .async_stack_size(ASYNC_STACK_BYTES)
        .wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Disable);
    config.enable_incremental_compilation(cache.clone())?;
    Ok(config)
}

fn refused(source: wasmtime::Error) -> Error {
    Error::Engine { reason: format!("{source:#}") }
}

impl Engine {
    /// The engine of production: pooled instances, copy-on-write memory.
    pub(crate) fn pooling(settings: &Config, cache: &Arc<FunctionCache>) -> Result<Self, Error> {
        match Self::pooling_with((settings, cache), Enabled::Yes) {
            Ok(engine) => Ok(engine),
            Err(reason) => {
                tracing::warn!(
                    reason = format!("{reason:#}"),
                    "no pagemap_scan on this kernel (Linux 6.7 or newer has it): fresh instances \
                     will cost about twice as much"
                );
                Self::pooling_with((settings, cache), Enabled::No).map_err(refused)
            }
        }
    }

    fn pooling_with(
        (settings, cache): (&Config, &Arc<FunctionCache>),
        pagemap_scan: Enabled,
    ) -> wasmtime::Result<Self> {
        let instances = settings.instances;
        let mut pool = PoolingAllocationConfig::new();
        pool.pagemap_scan(pagemap_scan)
            // Without pagemap_scan the whole kept part would be cleared for each instance.
            .linear_memory_keep_resident(match pagemap_scan {
                Enabled::Yes => settings.keep_resident_bytes,
                _ => 64 << 10,
            })
            .table_keep_resident(64 << 10)
            .async_stack_keep_resident(64 << 10)
            .decommit_batch_size(1)
            .max_unused_warm_slots(settings.warm_slots)
            .max_memory_size(limits::MEMORY_BYTES_MAX)
            .total_component_instances(instances)
            .total_memories(instances.saturating_mul(2))
            .total_tables(instances.saturating_mul(4))
            .total_stacks(instances)
            // Only a count: components of interpreters have a dozen each.
            .total_core_instances(instances.saturating_mul(64))
            .table_elements(limits::TABLE_ELEMENTS_MAX)
            .max_core_instance_size(1 << 20)
            .max_component_instance_size(1 << 20);
        let mut config = common(cache)?;
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        Self::start(&config, settings.tick)
    }

    /// The engine that hashes final memories: slower, made when first asked for. Its machine code is
    /// its own, because memories from outside cannot be copy-on-write images.
    pub(crate) fn verifying(settings: &Config, cache: &Arc<FunctionCache>) -> Result<Self, Error> {
        let mut config = common(cache).map_err(refused)?;
        config
            .memory_init_cow(false)
            .allocation_strategy(InstanceAllocationStrategy::OnDemand)
            .with_host_memory(Arc::new(memory::Creator));
        Self::start(&config, settings.tick).map_err(refused)
    }

    /// The engine of debuggers: its code tells at every instruction where the guest is. Frames are
    /// larger in it, so the stack is, too: what ran in production must not overflow here.
    pub(crate) fn debugging(settings: &Config, cache: &Arc<FunctionCache>) -> Result<Self, Error> {
        let mut config = common(cache).map_err(refused)?;
        config
            .guest_debug(true)
            .signals_based_traps(false)
            .memory_init_cow(false)
            .max_wasm_stack(8 * STACK_BYTES)
            .async_stack_size(8 * ASYNC_STACK_BYTES)
            .allocation_strategy(InstanceAllocationStrategy::OnDemand);
        Self::start(&config, settings.tick).map_err(refused)
    }

    /// The engine of profiles: the code of production, asked often where it is.
    pub(crate) fn sampling(period: Duration, cache: &Arc<FunctionCache>) -> Result<Self, Error> {
        let mut config = common(cache).map_err(refused)?;
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        Self::start(&config, period).map_err(refused)
    }

    /// The engine that counts instructions: slower, and the same every time.
    pub(crate) fn counting(settings: &Config, cache: &Arc<FunctionCache>) -> Result<Self, Error> {
        let mut config = common(cache).map_err(refused)?;
        config.consume_fuel(true).allocation_strategy(InstanceAllocationStrategy::OnDemand);
        let engine = Self::start(&config, settings.tick);
        engine.map(|engine| Engine { counts: true, ..engine }).map_err(refused)
    }

    /// Begins to count the instructions of a store, where this engine counts.
    pub(crate) fn begin_count<T>(&self, store: &mut wasmtime::Store<T>) {
        if self.counts {
            // Never fails where the engine counts.
            let _ = store.set_fuel(u64::MAX);
        }
    }

    /// The instructions that a store has run, where this engine counts.
    pub(crate) fn counted<T>(&self, store: &wasmtime::Store<T>) -> u64 {
        match self.counts {
            true => store.get_fuel().map_or(0, |left| u64::MAX - left),
            false => 0,
        }
    }

    fn start(config: &wasmtime::Config, tick: Duration) -> wasmtime::Result<Self> {
        let wasmtime = wasmtime::Engine::new(config)?;
        let ticker = Ticker::start(&wasmtime, tick)?;
        Ok(Engine { wasmtime, ticker, counts: false })
    }
}

/// Advances the epoch while anything runs, and sleeps otherwise.
pub(crate) struct Ticker {
    running: AtomicUsize,
    parked: AtomicBool,
    thread: OnceLock<std::thread::Thread>,
}

impl Ticker {
    fn start(engine: &wasmtime::Engine, tick: Duration) -> wasmtime::Result<Arc<Self>> {
        let ticker = Arc::new(Ticker {
            running: AtomicUsize::new(0),
            parked: AtomicBool::new(false),
            thread: OnceLock::new(),
        });
        let weak_ticker = Arc::downgrade(&ticker);
        let weak_engine = engine.weak();
        let handle = std::thread::Builder::new().name("nexus-epoch".into()).spawn(move || {
            let mut idle_ticks = 0;
            while let (Some(ticker), Some(engine)) = (weak_ticker.upgrade(), weak_engine.upgrade())
            {
                engine.increment_epoch();
                drop(engine);
                idle_ticks = match ticker.running.load(Ordering::SeqCst) {
                    0 => idle_ticks + 1,
                    _ => 0,
                };
                if idle_ticks > IDLE_TICKS_MAX {
                    idle_ticks = 0;
                    ticker.parked.store(true, Ordering::SeqCst);
                    let idle = ticker.running.load(Ordering::SeqCst) == 0;
                    drop(ticker);
                    if idle {
                        // Wakes now and then to see whether the engine still exists.
                        std::thread::park_timeout(Duration::from_secs(10));
                    }
                } else {
                    drop(ticker);
                    std::thread::sleep(tick);
                }
            }
        })?;
        let _ = ticker.thread.set(handle.thread().clone());
        Ok(ticker)
    }

    /// Counts an instance for as long as the guard lives.
    pub(crate) fn enter(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::SeqCst);
        if self.parked.load(Ordering::SeqCst)
            && self.parked.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
        Running(self.clone())
    }

    /// Instances that run now.
    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }
}

/// An instance that runs.
pub(crate) struct Running(Arc<Ticker>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}
