//! Profiles: a recorded invocation is replayed with the code of production, and asked often where it
//! is. Outside waits cost nothing in a replay, so what is seen is the guest's own work.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nexus_exec::journal::Player;
use nexus_exec::{Error, MemoryPoint, Profile, ProfileFrame, ProfileOptions};
use nexus_model::Event;
use nexus_model::record::InvocationRecord;
use wasmtime::{CallHook, Store, UpdateDeadline, WasmBacktrace};

use super::Watch;
use super::symbols::Symbols;
use crate::drive::Interrupted;
use crate::input::input_of;
use crate::invoke::execute;
use crate::ledger::{Tape, lock as lock_ledger};
use crate::load::Loaded;
use crate::replay::Recorded;
use crate::runtime::{Flavour, Inner, Ready};
use crate::state::{State, StopAt};

/// Points of one memory curve; a guest that grows more often loses some in the middle.
const MEMORY_POINTS_MAX: usize = 10_000;
/// Distinct stacks of one profile; later ones are not kept.
const STACKS_MAX: usize = 50_000;
const REPLAYS_MAX: u32 = 100_000;

/// Collects samples of one profile over all of its replays.
#[derive(Clone)]
pub(crate) struct Sampler(Arc<Mutex<Samples>>);

#[derive(Default)]
struct Samples {
    /// Places, the innermost first, and how often the guest was there.
    stacks: HashMap<Vec<u64>, u64>,
    count: usize,
    memory: Vec<MemoryPoint>,
    replays: u32,
    deadline: Option<Instant>,
}

impl Sampler {
    fn lock(&self) -> MutexGuard<'_, Samples> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before the guest is made.
    pub(super) fn attach(&self, store: &mut Store<State>) {
        let own = self.clone();
        store.epoch_deadline_callback(move |store| {
            let trace = WasmBacktrace::force_capture(&store);
            let place = |frame: &wasmtime::FrameInfo| frame.module_offset().unwrap_or(0) as u64;
            let stack: Vec<u64> = trace.frames().iter().map(place).collect();
            let mut samples = own.lock();
            if samples.deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Err(wasmtime::Error::new(Interrupted::TimedOut));
            }
            samples.count += 1;
            if samples.stacks.len() < STACKS_MAX || samples.stacks.contains_key(&stack) {
                *samples.stacks.entry(stack).or_default() += 1;
            }
            Ok(UpdateDeadline::Continue(1))
        });
        if self.lock().replays > 0 {
            return;
        }
        let own = self.clone();
        let began = Instant::now();
        store.call_hook(move |store, hook| {
            if matches!(hook, CallHook::ReturningFromHost | CallHook::CallingWasm) {
                let state = store.data();
                let bytes = state.limiter.memory as u64;
                let memory = &mut own.lock().memory;
                let changed = memory.last().is_none_or(|last| last.bytes != bytes);
                if changed && memory.len() < MEMORY_POINTS_MAX {
                    let operation = lock_ledger(&state.ledger).operations();
                    memory.push(MemoryPoint { at: began.elapsed(), operation, bytes });
                }
            }
            Ok(())
        });
    }
}

/// Replays a record until there are enough samples.
pub(crate) async fn profile(
    ready: &Ready,
    (record, event): (&InvocationRecord, Option<Event>),
    options: ProfileOptions,
) -> Result<Profile, Error> {
    let recorded = Recorded::read(ready, record)?;
    let component = recorded.unit.component;
    let flavour = ready.inner.sampling(component).await?;
    let slot = flavour.registry.slot(component, recorded.unit.world);
    let loaded = flavour.registry.get(&slot).await?;
    let symbols = ready.inner.symbols(component).await?;
    let work = Work {
        inner: ready.inner.clone(),
        loaded,
        recorded,
        record: record.clone(),
        event,
        sampler: Sampler(Arc::default()),
    };
    let (done, result) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("nexus-profile".into());
    let spawned = thread.spawn(move || {
        let _ = done.send(work.run(options).map(|found| symbolised(found, &symbols)));
    });
    let lost = |reason: String| Error::NotReplayable { reason };
    spawned.map_err(|source| lost(format!("no thread for a profile: {source}")))?;
    result.await.map_err(|_| lost("the profile ended without a result".to_owned()))?
}

struct Work {
    inner: Arc<Inner>,
    loaded: Arc<Loaded>,
    recorded: Recorded,
    record: InvocationRecord,
    event: Option<Event>,
    sampler: Sampler,
}

impl Work {
    /// Replays again and again.
    fn run(&self, options: ProfileOptions) -> Result<(Sampler, Duration), Error> {
        let failed = |reason: String| Error::NotReplayable { reason };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| failed(format!("no runtime for a profile: {error}")))?;
        let Some(Ok(flavour)) = self.inner.made_for_sampling() else {
            return Err(failed("there is no profiling engine".to_owned()));
        };
        let began = Instant::now();
        self.sampler.lock().deadline = Some(began + options.time);
        let mut busy = Duration::ZERO;
        loop {
            busy += runtime.block_on(self.one(flavour, began + options.time))?;
            let mut samples = self.sampler.lock();
            samples.replays += 1;
            let enough = samples.count >= options.samples || samples.replays >= REPLAYS_MAX;
            if enough || began.elapsed() >= options.time {
                break;
            }
        }
        Ok((self.sampler.clone(), busy))
    }

    async fn one(&self, flavour: &Flavour, deadline: Instant) -> Result<Duration, Error> {
        let Recorded { journal, unit, .. } = &self.recorded;
        let input = input_of((&self.record, self.event.clone()), (journal, unit), unit.world)?;
        let tape = Tape::Replay(Box::new(Player::new(journal.clone())));
        let clock = self.inner.clock.clone();
        let ledger = Recorded::ledger(tape, &input, clock.clone());
        let stop_at = StopAt { deadline: deadline + Duration::from_secs(1), struck_budget: None };
        let mut state = self.recorded.state(&input, ledger.clone(), (clock, stop_at));
        state.watch = Some(Watch::Sampler(self.sampler.clone()));
        let executed = execute(flavour, &self.loaded, state, (input.guest, false)).await;
        match &lock_ledger(&ledger).stop {
            Some(nexus_exec::journal::Stop::Diverged(divergence)) => {
                Err(Error::NotReplayable { reason: format!("its replay diverges: {divergence}") })
            }
            _ => Ok(executed.busy),
        }
    }
}

/// Turns places into functions and lines; inlined functions become frames of their own.
fn symbolised((sampler, busy): (Sampler, Duration), symbols: &Symbols) -> Profile {
    let samples = std::mem::take(&mut *sampler.lock());
    let mut frames: Vec<ProfileFrame> = Vec::new();
    let mut numbers: HashMap<ProfileFrame, u32> = HashMap::new();
    let mut places: HashMap<u64, Vec<u32>> = HashMap::new();
    let mut stacks: HashMap<Vec<u32>, u64> = HashMap::new();
    for (stack, count) in samples.stacks {
        let mut path = Vec::new();
        for place in stack.into_iter().rev() {
            let known = places.entry(place).or_insert_with(|| {
                let number = |view: nexus_model::view::FrameView| {
                    let frame = ProfileFrame {
                        function: view.function,
                        module: view.module,
                        file: view.file,
                        line: view.line,
                    };
                    *numbers.entry(frame.clone()).or_insert_with(|| {
                        frames.push(frame);
                        frames.len() as u32 - 1
                    })
                };
                symbols.frames(place).into_iter().rev().map(number).collect()
            });
            path.extend_from_slice(known);
        }
        *stacks.entry(path).or_default() += count;
    }
    let mut stacks: Vec<(Vec<u32>, u64)> = stacks.into_iter().collect();
    stacks.sort();
    Profile { replays: samples.replays, busy, frames, stacks, memory: samples.memory }
}
