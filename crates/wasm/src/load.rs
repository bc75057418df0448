//! Loaded components: mapped when first used, unmapped least-recently-used first. Whoever runs one
//! holds it; whoever only knows one holds a slot of a few words.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use nexus_exec::Error;
use nexus_model::Digest;
use nexus_model::resource::World;
use nexus_wit::FunctionFullIndices;
use wasmtime::WasmBacktrace;
use wasmtime::component::{InstancePre, Linker};
use wasmtime_wasi::p2::bindings::CommandIndices;
use wasmtime_wasi_http::p2::bindings::ProxyIndices;

use crate::code::{CodeCache, Mapped};
use crate::state::State;

/// Code larger than this is mapped on a thread of its own, away from the executor.
const INLINE_BYTES_MAX: u64 = 8 << 20;

/// A mapped component, linked, with its entry point found.
pub(crate) struct Loaded {
    pub(crate) pre: InstancePre<State>,
    pub(crate) entry: Entry,
    mapped: Mapped,
}

impl Loaded {
    /// Where in the component a guest was when it failed, innermost first.
    pub(crate) fn places(&self, error: &wasmtime::Error) -> Vec<u64> {
        let frames = error.downcast_ref::<WasmBacktrace>().map(WasmBacktrace::frames);
        frames.unwrap_or_default().iter().map(|frame| self.mapped.place(frame)).collect()
    }
}

/// Where to call a component.
pub(crate) enum Entry {
    Http(ProxyIndices),
    Event(FunctionFullIndices),
    Command(CommandIndices),
}

/// A component that may be mapped or not.
pub(crate) struct Slot {
    pub(crate) component: Digest,
    world: World,
    loaded: ArcSwapOption<Loaded>,
    /// The registry's clock at the last use.
    used: AtomicU64,
    loading: tokio::sync::Mutex<()>,
    history: Mutex<History>,
}

#[derive(Default)]
struct History {
    was_loaded: bool,
    /// What the last mapping cost, until an invocation has shown it.
    unseen: Option<Cold>,
}

/// Why and how long an invocation had to wait for its code.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cold {
    pub(crate) fetch: Duration,
    pub(crate) load: Duration,
    pub(crate) reason: &'static str,
}

/// Everything that is loaded by one engine.
pub(crate) struct Registry {
    engine: wasmtime::Engine,
    linker: Linker<State>,
    code: Arc<CodeCache>,
    loaded_max: usize,
    clock: AtomicU64,
    evicted: AtomicU64,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    known: HashMap<(Digest, &'static str), Weak<Slot>>,
    loaded: Vec<Weak<Slot>>,
}

impl Registry {
    pub(crate) fn new(
        engine: wasmtime::Engine,
        code: Arc<CodeCache>,
        loaded_max: usize,
    ) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(&engine);
        crate::host::add_to_linker(&mut linker)?;
        Ok(Registry {
            engine,
            linker,
            code,
            loaded_max: loaded_max.max(1),
            clock: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            slots: Mutex::default(),
        })
    }

    pub(crate) fn linker(&self) -> &Linker<State> {
        &self.linker
    }

    pub(crate) fn loaded(&self) -> usize {
        self.slots().loaded.iter().filter(|slot| slot.strong_count() > 0).count()
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot of a component: the same one for all units that run it.
    pub(crate) fn slot(&self, component: Digest, world: World) -> Arc<Slot> {
        let key = (component, word(world));
        let mut slots = self.slots();
        if let Some(slot) = slots.known.get(&key).and_then(Weak::upgrade) {
            return slot;
        }
        let slot = Arc::new(Slot {
            component,
            world,
            loaded: ArcSwapOption::empty(),
            used: AtomicU64::new(0),
            loading: tokio::sync::Mutex::new(()),
            history: Mutex::default(),
        });
        if slots.known.len() >= 1_024 && slots.known.len().is_power_of_two() {
            slots.known.retain(|_, slot| slot.strong_count() > 0);
        }
        slots.known.insert(key, Arc::downgrade(&slot));
        slot
    }

    /// The mapped component and, for the first who asks after it was mapped, what that cost. Takes
    /// no lock when it is mapped already.
    pub(crate) async fn get(&self, slot: &Arc<Slot>) -> Result<Arc<Loaded>, Error> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        slot.used.store(now, Ordering::Relaxed);
        if let Some(loaded) = slot.loaded.load_full() {
            return Ok(loaded);
        }
        let _one_at_a_time = slot.loading.lock().await;
        if let Some(loaded) = slot.loaded.load_full() {
            return Ok(loaded);
        }
        let loaded = Arc::new(self.map(slot).await?);
        slot.loaded.store(Some(loaded.clone()));
        self.make_room(slot);
        Ok(loaded)
    }

    async fn map(&self, slot: &Slot) -> Result<Loaded, Error> {
        let component = slot.component;
        let began = Instant::now();
        let size = self.code.size(component).ok_or(Error::NotCompiled { component })?;
        let fetch = began.elapsed();
        let began = Instant::now();
        let (engine, code) = (self.engine.clone(), Arc::clone(&self.code));
        let deserialize = move || code.open(&engine, component);
        let mapped = if size > INLINE_BYTES_MAX {
            match tokio::task::spawn_blocking(deserialize).await {
                Ok(mapped) => mapped,
                Err(error) => Err(wasmtime::Error::new(error)),
            }
        } else {
            deserialize()
        };
        let loaded = match mapped.and_then(|mapped| self.link(mapped, slot.world)) {
            Ok(loaded) => loaded,
            Err(_) if self.code.size(component).is_none() => {
                return Err(Error::NotCompiled { component });
            }
            Err(error) => {
                let source = std::io::Error::other(format!("{error:#}"));
                return Err(Error::Code { operation: "map", component, source });
            }
        };
        let mut history = slot.history.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = if history.was_loaded { "evicted" } else { "first call" };
        history.was_loaded = true;
        history.unseen = Some(Cold { fetch, load: began.elapsed(), reason });
        Ok(loaded)
    }

    fn link(&self, mapped: Mapped, world: World) -> wasmtime::Result<Loaded> {
        let pre = mapped.link(&self.linker)?;
        let entry = match world {
            World::Http => Entry::Http(ProxyIndices::new(&pre)?),
            World::Event => Entry::Event(FunctionFullIndices::new(&pre)?),
            World::Command => Entry::Command(CommandIndices::new(&pre)?),
        };
        Ok(Loaded { pre, entry, mapped })
    }

    fn make_room(&self, newest: &Arc<Slot>) {
        let mut slots = self.slots();
        slots.loaded.retain(|slot| slot.strong_count() > 0);
        slots.loaded.push(Arc::downgrade(newest));
        while slots.loaded.len() > self.loaded_max {
            let oldest = slots
                .loaded
                .iter()
                .enumerate()
                .filter_map(|(at, slot)| Some((at, slot.upgrade()?.used.load(Ordering::Relaxed))))
                .min_by_key(|(_, used)| *used);
            let Some((at, _)) = oldest else { return };
            if let Some(slot) = slots.loaded.swap_remove(at).upgrade() {
                slot.loaded.store(None);
                self.evicted.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Slot {
    /// What mapping cost, for the first invocation after it. `None` when it was mapped and seen.
    pub(crate) fn take_cold(&self) -> Option<Cold> {
        // Contended only by the first invocations after a mapping; nobody waits long.
        self.history.try_lock().ok()?.unseen.take()
    }

    pub(crate) fn world(&self) -> World {
        self.world
    }
}

fn word(world: World) -> &'static str {
    match world {
        World::Http => "http",
        World::Event => "event",
        World::Command => "command",
    }
}
