//! What a store holds: one instance's view of the world.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use nexus_exec::journal::Function;
use nexus_exec::{Body, CallContext, Cancel, Host, Unit};
use nexus_model::{Clock, Event};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use tokio::sync::oneshot;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::sockets::{WasiSocketsCtx, WasiSocketsCtxView, WasiSocketsView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::debug::Watch;
use crate::drive::Interrupted;
use crate::durable::Durable;
use crate::fs::Files;
use crate::host::{Hooks, Source, Written};
use crate::ledger::{Shared, lock};

/// The data of one store.
pub(crate) struct State {
    pub(crate) table: ResourceTable,
    pub(crate) http: WasiHttpCtx,
    pub(crate) hooks: Hooks,
    pub(crate) sockets: WasiSocketsCtx,
    pub(crate) limiter: Limiter,
    pub(crate) ledger: Shared,
    pub(crate) context: Arc<CallContext>,
    pub(crate) unit: Arc<Unit>,
    pub(crate) host: Option<Arc<dyn Host>>,
    pub(crate) clock: Arc<dyn Clock>,
    /// What a durable invocation has besides.
    pub(crate) durable: Option<Box<Durable>>,
    pub(crate) work: Work,
    /// Calls of other functions.
    pub(crate) calls: usize,
    pub(crate) random: Random,
    pub(crate) files: Option<Box<Files>>,
    pub(crate) stdin: Bytes,
    pub(crate) arguments: Vec<String>,
    /// Standard output is the result of a command and is collected besides being logged.
    pub(crate) collect_stdout: bool,
    pub(crate) respond: Option<oneshot::Sender<http::Response<Body>>>,
    /// The client takes no body although the guest may write one (`HEAD`).
    pub(crate) bodyless: bool,
    pub(crate) cancel: Cancel,
    pub(crate) stop_at: StopAt,
    /// Bodies that nobody reads, emptied by the driver.
    pub(crate) drain: Drain,
    pub(crate) streams: u32,
    /// Whose bodies the guest reads and writes, by their number in the table.
    pub(crate) incoming: Vec<(u32, Source)>,
    pub(crate) outgoing: Vec<(u32, Written)>,
    /// Who looks on, in a debugger or a profile.
    pub(crate) watch: Option<Watch>,
    /// Bytes of requests that wait for the network.
    pub(crate) buffered: Arc<std::sync::atomic::AtomicUsize>,
    /// Bytes of header fields that the guest has set.
    pub(crate) headers_bytes: usize,
    /// Set once the guest has finished the body of its answer, which is broken off without that.
    pub(crate) finished: Arc<std::sync::atomic::AtomicBool>,
}

/// A body that the driver of the invocation reads to its end because no client does.
pub(crate) type Drain =
    Arc<std::sync::Mutex<Option<wasmtime_wasi_http::p2::body::HyperOutgoingBody>>>;

/// When an instance is stopped by its epoch callback.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StopAt {
    pub(crate) deadline: Instant,
    /// In a replay of a recording that was struck: how long the guest may still compute after the
    /// last operation before the replay counts as complete.
    pub(crate) struck_budget: Option<std::time::Duration>,
}

/// What an invocation is for, whichever attempt it is: source and id of the event that it handles,
/// or nothing but itself.
#[derive(Clone, Debug)]
pub(crate) struct Work(Option<(String, String)>);

impl Work {
    pub(crate) fn of(event: Option<&Event>) -> Self {
        Work(event.map(|event| (event.source.clone(), event.id.clone())))
    }
}

impl State {
    /// The same text for every attempt to do the same work. Made when asked for: few guests ask.
    pub(crate) fn idempotency_key(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(self.context.project.as_str().as_bytes());
        part(self.context.function.as_str().as_bytes());
        match &self.work.0 {
            Some((source, id)) => {
                part(source.as_bytes());
                part(id.as_bytes());
            }
            None => part(self.context.id.as_bytes()),
        }
        hasher.finalize().as_bytes()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A number for a stream, the same in every replay because guests open them in order.
    pub(crate) fn next_stream(&mut self) -> u32 {
        self.streams += 1;
        self.streams
    }
}

/// The guest's random numbers: streams of one seeded generator, made when first used.
pub(crate) struct Random {
    seed: [u8; 32],
    streams: [Option<Box<ChaCha20Rng>>; 3],
}

impl Random {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Random { seed, streams: [None, None, None] }
    }

    /// Stream 0 is the secure one, 1 the insecure one, 2 the seed of hash maps.
    pub(crate) fn stream(&mut self, number: usize) -> &mut ChaCha20Rng {
        let seed = self.seed;
        self.streams[number].get_or_insert_with(|| {
            let mut generator = ChaCha20Rng::from_seed(seed);
            generator.set_stream(number as u64);
            Box::new(generator)
        })
    }
}

/// Limits memory and tables of one instance, and meters them.
#[derive(Debug)]
pub(crate) struct Limiter {
    pub(crate) memory_max: usize,
    pub(crate) tables_max: usize,
    pub(crate) memory: usize,
    pub(crate) tables: usize,
    /// Bytes beyond what instantiation took.
    pub(crate) grown: usize,
    pub(crate) running: bool,
    pub(crate) refused: bool,
    /// Set while the system has no memory left; replays have none.
    pub(crate) starved: Option<Arc<AtomicBool>>,
    pub(crate) ledger: Shared,
}

impl wasmtime::ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let total = self.memory.saturating_add(more);
        if total > self.memory_max {
            self.refused = true;
            if self.running {
                lock(&self.ledger).note(Function::GrowRefused, desired as u64, "")?;
            }
            return Ok(false);
        }
        let starved = self.starved.as_ref().is_some_and(|it| it.load(Ordering::Relaxed));
        if self.running && more > 0 && starved {
            return Err(wasmtime::Error::new(Interrupted::Starved));
        }
        self.memory = total;
        if self.running {
            self.grown += more;
        }
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.tables.saturating_add(desired.saturating_sub(current));
        if total > self.tables_max {
            self.refused = true;
            if self.running {
                lock(&self.ledger).note(Function::TableRefused, desired as u64, "")?;
            }
            return Ok(false);
        }
        self.tables = total;
        Ok(true)
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

impl WasiSocketsView for State {
    fn sockets(&mut self) -> WasiSocketsCtxView<'_> {
        WasiSocketsCtxView { ctx: &mut self.sockets, table: &mut self.table }
    }
}
