//! Seeded runs of shard and scheduler with virtual time: crashes, clock jumps, limits, batches,
//! triggers that go, cancellations, schedules, sleeps, signals and calls that begin early. `NEXUS_SIM_SEEDS` says how many runs; a failing one
//! names its seed, and `NEXUS_SIM_SEED` repeats it alone. Both are read when the test is built.

mod begin;
mod checks;
mod drive;
mod early;
mod script;
mod triggers;

use std::collections::{BTreeMap, HashMap, HashSet};

use nexus_model::record::{Record, StartedRecord};
use nexus_model::{EventId, InvocationId};

use crate::lanes::LaneId;
use crate::scheduler::{Scheduler, Ticket};
use crate::shard::{Id, Shard};
use checks::Checks;

/// Runs where nothing is said: enough for every path, few enough for every build.
const SEEDS_DEFAULT: u64 = 400;
/// Attempts at the same time on the node.
const RUNNING_MAX: usize = 6;

pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// An attempt that runs in this life of the process.
struct Running {
    /// `None` where it began early.
    ticket: Option<Ticket>,
    members: Vec<Id>,
    invocation: InvocationId,
    durable: bool,
    struck: bool,
    /// Pieces of its journal in this life.
    pieces: u32,
    /// The record of its begin, while that is not on disk.
    begin: Option<Box<StartedRecord>>,
    begun_ns: i64,
}

/// What is to be appended.
#[derive(Clone)]
enum Out {
    Settle(Id),
    TurnAway(Id),
    GiveUp(Id),
    Close(InvocationId),
    Schedule(EventId),
    Cancel(Id),
}

/// A log, a shard, a scheduler, and a driver without I/O.
struct World {
    random: Random,
    log: Vec<Record>,
    shard: Shard,
    checkpoint: Option<Vec<u8>>,
    scheduler: Scheduler,
    now_ns: i64,
    outbox: Vec<Out>,
    running: Vec<Running>,
    wakes: BTreeMap<(i64, InvocationId), ()>,
    timers: BTreeMap<(i64, EventId), ()>,
    firing: HashSet<EventId>,
    /// The functions' and triggers' specs.
    specs: HashMap<String, serde_json::Value>,
    revision: u64,
    ids: u64,
    crashes: u32,
    checks: Checks,
    /// Calls that began early and of which only the event was read.
    early: HashSet<EventId>,
    /// Lanes that the node could not run, and until when.
    held: HashMap<LaneId, i64>,
}

fn run(seed: u64) -> World {
    let mut world = World::new(seed);
    world.declare();
    for step in 0..160 {
        world.step(step);
    }
    world.drain();
    world.verify();
    world
}

#[test]
fn invariants_hold_under_every_seed() {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number(option_env!("NEXUS_SIM_SEED")) {
        run(seed);
        return;
    }
    let seeds = number(option_env!("NEXUS_SIM_SEEDS")).unwrap_or(SEEDS_DEFAULT);
    let mut reached: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in 0..seeds {
        let outcome = std::panic::catch_unwind(|| {
            let world = run(seed);
            let mut reached = world.checks.reached;
            *reached.entry("crash").or_default() += u64::from(world.crashes);
            reached
        });
        match outcome {
            Ok(counts) => {
                for (what, count) in counts {
                    *reached.entry(what).or_default() += count;
                }
            }
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&at| at.to_owned()));
                let text = text.unwrap_or_default();
                panic!("seed {seed} (repeat with NEXUS_SIM_SEED={seed}): {text}");
            }
        }
    }
    // A simulation that never gets anywhere proves nothing.
    for what in checks::PLACES {
        assert!(reached.contains_key(what), "no run reached '{what}': {reached:?}");
    }
}
