//! Clocks, timers and random numbers.

use std::time::{Duration, Instant};

use nexus_exec::journal::{Function, Outcome};
use nexus_exec::rehearsal::Script;
use rand_chacha::rand_core::RngCore as _;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use crate::ledger::{Shared, Tape, lock};
use crate::state::State;

/// Random bytes of one call.
const RANDOM_BYTES_MAX: u64 = 1 << 20;
const NS_PER_SECOND: i64 = 1_000_000_000;

impl State {
    fn clock_reading(&mut self, function: Function) -> wasmtime::Result<i64> {
        let mut ledger = lock(&self.ledger);
        match ledger.replayed(function, 0, "")? {
            Some(Outcome::Clock(ns)) => return Ok(ns),
            Some(other) => return Err(ledger.unexpected(function, &other)),
            None => {}
        }
        let ns = if function == Function::WallNow {
            self.clock.now().unix_ns()
        } else {
            i64::try_from(ledger.monotonic().as_nanos()).unwrap_or(i64::MAX)
        };
        ledger.record(function, 0, "", &Outcome::Clock(ns));
        Ok(ns)
    }

    fn timer(&mut self, function: Function, value: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let mut ledger = lock(&self.ledger);
        let now = ledger.monotonic();
        ledger.note(function, value, "")?;
        let (replay, origin) = (ledger.is_replay(), ledger.origin);
        let rehearsal = matches!(ledger.tape, Tape::Rehearse(_));
        drop(ledger);
        let due = match function {
            Function::SubscribeDuration => now.saturating_add(Duration::from_nanos(value)),
            _ => Duration::from_nanos(value),
        };
        let timer = if replay {
            Timer::Past { yielded: true }
        } else if rehearsal {
            let due_ns = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
            let id = u64::from(self.next_stream());
            Timer::Virtual(VirtualTimer { due_ns, id, ledger: self.ledger.clone() })
        } else if self.durable.is_some() {
            Timer::Due { due, ledger: self.ledger.clone() }
        } else if due <= now {
            Timer::Past { yielded: false }
        } else {
            origin.checked_add(due).map_or(Timer::Never, Timer::At)
        };
        let timer = self.table.push(timer)?;
        subscribe(&mut self.table, timer)
    }

    fn random_bytes(
        &mut self,
        function: Function,
        stream: usize,
        length: u64,
    ) -> wasmtime::Result<Vec<u8>> {
        if length > RANDOM_BYTES_MAX {
            wasmtime::bail!("{length} random bytes asked for; the limit is {RANDOM_BYTES_MAX}");
        }
        lock(&self.ledger).note(function, length, "")?;
        let mut bytes = vec![0; length as usize];
        self.random.stream(stream).fill_bytes(&mut bytes);
        Ok(bytes)
    }

    fn random_number(&mut self, function: Function, stream: usize) -> wasmtime::Result<u64> {
        lock(&self.ledger).note(function, 0, "")?;
        Ok(self.random.stream(stream).next_u64())
    }
}

impl wall_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        let ns = self.clock_reading(Function::WallNow)?.max(0);
        Ok(wall_clock::Datetime {
            seconds: (ns / NS_PER_SECOND) as u64,
            nanoseconds: (ns % NS_PER_SECOND) as u32,
        })
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime { seconds: 0, nanoseconds: 1 })
    }
}

impl monotonic_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.clock_reading(Function::MonotonicNow)?.unsigned_abs())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.timer(Function::SubscribeInstant, when)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.timer(Function::SubscribeDuration, duration)
    }
}

impl random::Host for State {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(Function::RandomBytes, 0, length)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_number(Function::RandomNumber, 0)
    }
}

impl insecure::Host for State {
    fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(Function::InsecureBytes, 1, length)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_number(Function::InsecureNumber, 1)
    }
}

impl insecure_seed::Host for State {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        lock(&self.ledger).note(Function::InsecureSeed, 0, "")?;
        let generator = self.random.stream(2);
        Ok((generator.next_u64(), generator.next_u64()))
    }
}

enum Timer {
    Past {
        yielded: bool,
    },
    At(Instant),
    /// On the guest's clock, whose zero moves when a journal was repeated.
    Due {
        due: Duration,
        ledger: Shared,
    },
    /// On the clock of a rehearsal, where nobody waits.
    Virtual(VirtualTimer),
    Never,
}

struct VirtualTimer {
    due_ns: u64,
    id: u64,
    ledger: Shared,
}

/// How often a timer lets others go first before it waits for real, and how often it does that
/// before it stops to wait for answers that may never come.
const VIRTUAL_YIELDS: u32 = 64;
const VIRTUAL_WAITS: u32 = 50;

impl VirtualTimer {
    async fn ready(&self) {
        let mut waiting = Waiting { timer: self };
        waiting.with(|script| script.wait(self.due_ns, self.id));
        for turn in 0u32.. {
            match turn {
                0..VIRTUAL_YIELDS => tokio::task::yield_now().await,
                _ => tokio::time::sleep(Duration::from_millis(1)).await,
            }
            let anyway = turn > VIRTUAL_YIELDS + VIRTUAL_WAITS;
            if waiting.with(|script| script.fires(self.due_ns, self.id, anyway)) != Some(false) {
                return;
            }
        }
    }
}

/// A guest that waits for a timer, until it does not.
struct Waiting<'a> {
    timer: &'a VirtualTimer,
}

impl Waiting<'_> {
    fn with<R>(&mut self, work: impl FnOnce(&mut Script) -> R) -> Option<R> {
        match &mut lock(&self.timer.ledger).tape {
            Tape::Rehearse(script) => Some(work(script)),
            _ => None,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let VirtualTimer { due_ns, id, .. } = *self.timer;
        self.with(|script| script.forget(due_ns, id));
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {
        match self {
            Timer::Past { yielded: true } => {}
            // A guest that polls with a timeout of zero in a loop must not starve the executor,
            // which makes the other things ready that it polls for.
            Timer::Past { yielded } => {
                *yielded = true;
                tokio::task::yield_now().await;
            }
            Timer::Due { due, ledger } => {
                let at = lock(ledger).origin.checked_add(*due);
                match at {
                    Some(at) if at > Instant::now() => tokio::time::sleep_until(at.into()).await,
                    Some(_) => tokio::task::yield_now().await,
                    None => std::future::pending().await,
                }
            }
            Timer::Virtual(timer) => timer.ready().await,
            Timer::At(instant) => tokio::time::sleep_until((*instant).into()).await,
            Timer::Never => std::future::pending().await,
        }
    }
}
