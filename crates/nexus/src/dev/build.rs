//! Builds and deploys functions beside the loop: the newest start of a function counts, an older
//! one is cancelled. A start for the very sources that are being built changes nothing, so that
//! what a build writes into its own folder does not start it again.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nexus_model::view::{Deployed, FunctionView, TriggerView};
use nexus_model::{Name, OpContext};
use nexus_node::{Deploy, Node};
use nexus_toolchain::{BuildOptions, Cancel};
use tokio::sync::{Semaphore, mpsc};

use super::retry::missing_secrets;
use super::state::{Deployment, State};
use crate::caches;
use crate::project::{Artifact, BuildError, Function, Stamp};
use crate::task;

/// What came of a start.
pub(crate) struct Finished {
    pub(crate) key: String,
    pub(crate) start: u64,
    pub(crate) outcome: Outcome,
}

/// What came of a start, or how far it is.
pub(crate) enum Outcome {
    /// The sources have changed: a build began.
    Building,
    /// What is deployed is what the sources say.
    Unchanged(Option<Box<Standing>>),
    /// A new version runs.
    Deployed { deployed: Box<Deployed>, stamp: Option<String>, took: Duration, notes: Vec<String> },
    /// The last good version goes on.
    Failed(Failed),
}

/// A function as it is, with what calls it.
pub(crate) type Standing = (FunctionView, Vec<TriggerView>);

/// Why there is no new version.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Deploy(nexus_node::Error),
    /// The node refused it while secrets that it is to be given are not set.
    #[error("{error}")]
    Secrets { error: nexus_node::Error, missing: BTreeSet<Name> },
    #[error("the build was stopped")]
    Stopped,
}

impl Failed {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            Failed::Deploy(error) | Failed::Secrets { error, .. } => hint(error),
            Failed::Build(_) | Failed::Stopped => None,
        }
    }
}

/// The hint that the command line gives for what a node refuses.
pub(crate) fn hint(error: &nexus_node::Error) -> Option<&str> {
    let own = error.hint().filter(|hint| !hint.is_empty());
    own.or_else(|| nexus_cli::hint_for(error.code()))
}

/// One function's newest start.
#[derive(Default)]
struct Slot {
    start: u64,
    cancel: Cancel,
    /// What it builds from, until it has ended.
    running: Option<Stamp>,
    /// Held until the end of the deploy: starts of one function do not overlap.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// The newest start of every function.
#[derive(Default)]
struct Slots(Mutex<HashMap<String, Slot>>);

impl Slots {
    /// Whether a start is to go on: not when a newer one came before it, nor when the same sources
    /// are being built. One that goes on cancels the one before.
    fn accept(
        &self,
        key: &str,
        start: u64,
        stamp: Option<&Stamp>,
    ) -> Option<(Cancel, Arc<tokio::sync::Mutex<()>>)> {
        let mut slots = self.lock();
        let slot = slots.entry(key.to_owned()).or_default();
        let same = slot.running.as_ref().zip(stamp).is_some_and(|(a, b)| a.own == b.own);
        if start < slot.start || same {
            return None;
        }
        slot.cancel.cancel();
        (slot.start, slot.cancel) = (start, Cancel::default());
        slot.running = stamp.cloned();
        Some((slot.cancel.clone(), slot.turn.clone()))
    }

    /// Marks the end of a start.
    fn ended(&self, key: &str, start: u64) {
        if let Some(slot) = self.lock().get_mut(key).filter(|slot| slot.start == start) {
            slot.running = None;
        }
    }

    /// Stops what runs, and refuses every start before `start`.
    fn forget(&self, key: &str, start: u64) {
        if let Some(slot) = self.lock().get_mut(key) {
            slot.cancel.cancel();
            (slot.start, slot.running) = (start, None);
        }
    }

    fn is_newest(&self, key: &str, start: u64) -> bool {
        self.lock().get(key).is_some_and(|slot| slot.start == start)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts builds.
pub(crate) struct Builder {
    pub(crate) node: Arc<Node>,
    cache: PathBuf,
    finished: mpsc::Sender<Finished>,
    slots: Arc<Slots>,
    starts: AtomicU64,
    /// Builds at the same time: compilers use all processors by themselves.
    permits: Arc<Semaphore>,
}

impl Builder {
    pub(crate) fn new(node: Arc<Node>, cache: PathBuf, finished: mpsc::Sender<Finished>) -> Self {
        let permits = std::thread::available_parallelism().map_or(1, |count| count.get().min(4));
        Builder {
            node,
            cache,
            finished,
            slots: Arc::default(),
            starts: AtomicU64::new(1),
            permits: Arc::new(Semaphore::new(permits)),
        }
    }

    /// Brings a function up to date with its sources, beside everything else.
    pub(crate) fn start(&self, function: &Function, state: &State) {
        let key = function.key();
        let start = self.next_start();
        let mut job = Job {
            node: self.node.clone(),
            function: function.clone(),
            known: state.get(&key).cloned(),
            options: caches::build_options(&self.cache),
            started: Instant::now(),
            tell: Tell { key, start, finished: self.finished.clone() },
        };
        let (slots, permits) = (self.slots.clone(), self.permits.clone());
        task::spawn("build", async move {
            let tell = job.tell.clone();
            let stamp = job.stamp().await;
            let Some((cancel, turn)) = slots.accept(&tell.key, start, stamp.as_ref()) else {
                return;
            };
            job.options.cancel = cancel.clone();
            let _turn = turn.lock().await;
            let _permit = permits.acquire().await;
            if cancel.is_cancelled() {
                return;
            }
            let outcome = job.run(stamp).await.unwrap_or_else(Outcome::Failed);
            slots.ended(&tell.key, start);
            tell.say(outcome).await;
        });
    }

    fn next_start(&self) -> u64 {
        self.starts.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether nothing newer was started for the same function.
    pub(crate) fn is_current(&self, finished: &Finished) -> bool {
        self.slots.is_newest(&finished.key, finished.start)
    }

    /// Stops what runs for a function; its outcome will not count.
    pub(crate) fn forget(&self, key: &str) {
        self.slots.forget(key, self.next_start());
    }
}

#[derive(Clone)]
struct Tell {
    key: String,
    start: u64,
    finished: mpsc::Sender<Finished>,
}

impl Tell {
    async fn say(&self, outcome: Outcome) {
        let finished = Finished { key: self.key.clone(), start: self.start, outcome };
        // The loop has ended: nobody wants to know.
        let _ = self.finished.send(finished).await;
    }
}

struct Job {
    node: Arc<Node>,
    function: Function,
    known: Option<Deployment>,
    options: BuildOptions,
    started: Instant,
    tell: Tell,
}

impl Job {
    async fn stamp(&self) -> Option<Stamp> {
        let function = self.function.clone();
        blocking(move || function.stamp()).await.ok().flatten()
    }

    async fn run(self, stamp: Option<Stamp>) -> Result<Outcome, Failed> {
        if let Some(view) = self.deployed_already(stamp.as_ref()).await {
            return Ok(Outcome::Unchanged(Some(Box::new(view))));
        }
        self.tell.say(Outcome::Building).await;
        let (function, options) = (self.function.clone(), self.options.clone());
        let artifact: Artifact = blocking(move || function.build(&options)).await??;
        // With the lock file that the build may have written, unless somebody saved meanwhile.
        let after = self.stamp().await;
        let stamp = match (stamp, after) {
            (Some(before), Some(after)) if before.own == after.own => Some(after.all),
            (before, _) => before.map(|before| before.all),
        };
        let ctx = OpContext::system("dev");
        let deploy = Deploy {
            project: self.function.project.clone(),
            name: self.function.name.clone(),
            component: artifact.component.into(),
            config: Some(self.function.spec.clone()),
            language: artifact.language,
            bundle: artifact.bundle.map(Into::into),
            sources: artifact.sources,
            label: String::new(),
            candidate: false,
        };
        let deployed = match self.node.deploy(&ctx, deploy).await {
            Ok(deployed) => deployed,
            Err(error) => return Err(self.refused(error).await),
        };
        Ok(Outcome::Deployed {
            deployed: Box::new(deployed),
            stamp,
            took: self.started.elapsed(),
            notes: artifact.notes,
        })
    }

    async fn refused(&self, error: nexus_node::Error) -> Failed {
        let missing = missing_secrets(&self.node, &self.function).await;
        match missing.is_empty() {
            true => Failed::Deploy(error),
            false => Failed::Secrets { error, missing },
        }
    }

    /// The function as it is, when it was deployed from the very same sources.
    async fn deployed_already(&self, stamp: Option<&Stamp>) -> Option<Standing> {
        let known = self.known.as_ref()?;
        if known.stamp.is_none() || known.stamp.as_ref() != stamp.map(|stamp| &stamp.all) {
            return None;
        }
        let ctx = OpContext::system("dev");
        let view =
            self.node.function(&ctx, &self.function.project, &self.function.name).await.ok()?;
        let runs = view.version.as_ref().map(|version| version.id);
        if runs.is_none() || runs != known.version {
            return None;
        }
        let mut triggers = self.node.triggers(&ctx, &self.function.project).await.ok()?;
        triggers.retain(|at| at.spec.function == self.function.name);
        Some((view, triggers))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failed> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Failed::Stopped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(all: &str, own: &str) -> Stamp {
        Stamp { all: all.into(), own: own.into() }
    }

    #[test]
    fn sources_that_are_being_built_are_not_built_again() {
        let slots = Slots::default();
        let (first, _) = slots.accept("a", 1, Some(&stamp("1", "1"))).unwrap();
        assert!(slots.accept("a", 2, Some(&stamp("1 and a lock file", "1"))).is_none());
        assert!(slots.is_newest("a", 1) && !first.is_cancelled());
        let (second, _) = slots.accept("a", 3, Some(&stamp("2", "2"))).unwrap();
        assert!(slots.is_newest("a", 3) && first.is_cancelled() && !second.is_cancelled());
        // The end of an older one changes nothing.
        slots.ended("a", 1);
        assert!(slots.accept("a", 4, Some(&stamp("2", "2"))).is_none());
        slots.ended("a", 3);
        assert!(slots.accept("a", 5, Some(&stamp("2", "2"))).is_some());
    }

    #[test]
    fn late_starts_and_forgotten_functions_are_refused() {
        let slots = Slots::default();
        let (newest, _) = slots.accept("a", 2, None).unwrap();
        assert!(slots.accept("a", 1, None).is_none());
        assert!(slots.accept("b", 1, None).is_some());
        slots.forget("a", 4);
        assert!(newest.is_cancelled());
        assert!(slots.accept("a", 3, Some(&stamp("1", "1"))).is_none());
        assert!(slots.accept("a", 5, Some(&stamp("1", "1"))).is_some());
    }
}
