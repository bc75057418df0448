//! The durable engine: events from accepting to the recorded result, calls whose results are
//! waited for, and what many triggers cost. Beside NATS JetStream and Restate.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::Bench;
use super::nexus::Place;

mod durable;
mod handled;
mod peers;
mod restate;
mod triggers;

pub(super) use durable::{measure as durable, train as train_durable};
pub(super) use handled::measure as handled;
pub(super) use peers::{Nats, Peers};
pub(super) use triggers::measure as triggers;

/// Connections of a saturated server.
const MANY: u32 = 64;
/// Events in one batch request.
const BATCH: u32 = 32;
/// The function that handles events; all peers do the same with them.
const FUNCTION: &str = "order";
/// The events that it handles.
const HANDLED: &str = "bench.handled";
/// How long what was accepted may take to be handled.
const HANDLED_MAX: Duration = Duration::from_secs(300);

/// An empty folder for the data of a peer.
fn empty_folder(bench: &Bench<'_>, name: &str) -> anyhow::Result<PathBuf> {
    Ok(Place::empty(bench, name)?.folder)
}

/// Looks again and again whether something is so.
fn wait_until(mut done: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + HANDLED_MAX;
    while !done()? {
        anyhow::ensure!(Instant::now() < deadline, "it took more than {HANDLED_MAX:?}");
        // Often enough for runs of a second, rarely enough to cost nothing.
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
