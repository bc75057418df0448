//! Builds and deploys functions beside the loop: the newest start of a function counts, an older
//! one is cancelled.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nexus_model::OpContext;
use nexus_model::view::{Deployed, FunctionView};
use nexus_node::{Deploy, Node};
use nexus_toolchain::{BuildOptions, Cancel};
use tokio::sync::{Semaphore, mpsc};

use super::state::{Deployment, State};
use crate::project::{Artifact, BuildError, Function};
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
    Unchanged(Option<Box<FunctionView>>),
    /// A new version runs.
    Deployed { deployed: Box<Deployed>, stamp: Option<String>, took: Duration, notes: Vec<String> },
    /// The last good version goes on.
    Failed(Failed),
}

/// Why there is no new version.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Deploy(#[from] nexus_node::Error),
    #[error("the build was stopped")]
    Stopped,
}

/// One function's newest start.
#[derive(Default)]
struct Slot {
    start: u64,
    cancel: Cancel,
    /// Held from the first hash to the end of the deploy: starts of one function do not overlap.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// Starts builds.
pub(crate) struct Builder {
    pub(crate) node: Arc<Node>,
    cache: PathBuf,
    finished: mpsc::Sender<Finished>,
    slots: Mutex<HashMap<String, Slot>>,
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
            slots: Mutex::default(),
            starts: AtomicU64::new(1),
            permits: Arc::new(Semaphore::new(permits)),
        }
    }

    /// Brings a function up to date with its sources, beside everything else.
    pub(crate) fn start(&self, function: &Function, state: &State) {
        let key = function.key();
        let start = self.starts.fetch_add(1, Ordering::Relaxed);
        let cancel = Cancel::default();
        let turn = {
            let mut slots = self.slots();
            let slot = slots.entry(key.clone()).or_default();
            slot.cancel.cancel();
            (slot.start, slot.cancel) = (start, cancel.clone());
            slot.turn.clone()
        };
        let mut options = BuildOptions::new(&self.cache);
        options.cancel = cancel.clone();
        let job = Job {
            node: self.node.clone(),
            function: function.clone(),
            known: state.get(&key).cloned(),
            options,
            started: Instant::now(),
            tell: Tell { key, start, finished: self.finished.clone() },
        };
        let permits = self.permits.clone();
        task::spawn("build", async move {
            let _turn = turn.lock().await;
            let _permit = permits.acquire().await;
            if cancel.is_cancelled() {
                return;
            }
            let tell = job.tell.clone();
            let outcome = job.run().await.unwrap_or_else(Outcome::Failed);
            tell.say(outcome).await;
        });
    }

    /// Whether nothing newer was started for the same function.
    pub(crate) fn is_current(&self, finished: &Finished) -> bool {
        self.slots().get(&finished.key).is_some_and(|slot| slot.start == finished.start)
    }

    /// Stops what runs for a function; its outcome will not count.
    pub(crate) fn forget(&self, key: &str) {
        if let Some(slot) = self.slots().get_mut(key) {
            slot.cancel.cancel();
            slot.start = 0;
        }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
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
    async fn run(self) -> Result<Outcome, Failed> {
        let function = self.function.clone();
        let stamp = blocking(move || function.stamp()).await?;
        if let Some(view) = self.deployed_already(stamp.as_ref()).await {
            return Ok(Outcome::Unchanged(Some(Box::new(view))));
        }
        self.tell.say(Outcome::Building).await;
        let (function, options) = (self.function.clone(), self.options.clone());
        let artifact: Artifact = blocking(move || function.build(&options)).await??;
        let ctx = OpContext::system("dev");
        let deploy = Deploy {
            project: self.function.project.clone(),
            name: self.function.name.clone(),
            component: artifact.component.into(),
            config: Some(self.function.spec.clone()),
            language: artifact.language,
            bundle: artifact.bundle.map(Into::into),
        };
        let deployed = self.node.deploy(&ctx, deploy).await?;
        Ok(Outcome::Deployed {
            deployed: Box::new(deployed),
            stamp,
            took: self.started.elapsed(),
            notes: artifact.notes,
        })
    }

    /// The function as it is, when it was deployed from the very same sources.
    async fn deployed_already(&self, stamp: Option<&String>) -> Option<FunctionView> {
        let known = self.known.as_ref()?;
        if known.stamp.is_none() || known.stamp.as_ref() != stamp {
            return None;
        }
        let ctx = OpContext::system("dev");
        let view =
            self.node.function(&ctx, &self.function.project, &self.function.name).await.ok()?;
        let runs = view.version.as_ref().map(|version| version.id);
        (runs.is_some() && runs == known.version).then_some(view)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failed> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Failed::Stopped)
}
