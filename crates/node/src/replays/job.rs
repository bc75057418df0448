//! A batch while it runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use nexus_model::view::{ReplayRequest, ReplayRow, ReplayState};
use nexus_model::{Name, OpContext};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::one::Plan;
use super::select::Selected;
use crate::node::lock;
use crate::{Error, Node};

/// What somebody wants of a batch that runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    Run,
    Pause,
    Cancel,
}

/// How far a batch is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Tally {
    pub(super) state: ReplayState,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) reason: String,
    pub(super) selected: u64,
    #[serde(default)]
    pub(super) selecting: bool,
    pub(super) done: u64,
    pub(super) verdicts: BTreeMap<String, u64>,
    pub(super) took_ns: u64,
    pub(super) original_ns: u64,
}

/// A batch that runs.
pub(crate) struct Job {
    pub(super) request: ReplayRequest,
    /// Who asked for it.
    pub(super) principal: String,
    order: watch::Sender<Order>,
    progress: Mutex<Progress>,
    /// Held while its status is written, so that its end stays the last one.
    pub(super) writing: tokio::sync::Mutex<()>,
}

struct Progress {
    tally: Tally,
    rows: Vec<ReplayRow>,
    /// Since when it runs without a pause.
    running: Option<Instant>,
    ran: Duration,
}

impl Job {
    pub(super) fn new(request: ReplayRequest, principal: String) -> Self {
        let tally = Tally {
            state: ReplayState::Running,
            reason: String::new(),
            selected: 0,
            selecting: true,
            done: 0,
            verdicts: BTreeMap::new(),
            took_ns: 0,
            original_ns: 0,
        };
        let running = Some(Instant::now());
        let progress = Progress { tally, rows: Vec::new(), running, ran: Duration::ZERO };
        let (order, progress) = (watch::channel(Order::Run).0, Mutex::new(progress));
        Job { request, principal, order, progress, writing: tokio::sync::Mutex::default() }
    }

    /// Whether it has not ended. Its report may still be on its way to the store then.
    pub(super) fn goes_on(&self) -> bool {
        matches!(self.tally().state, ReplayState::Running | ReplayState::Paused)
    }

    /// How far it is now.
    pub(super) fn tally(&self) -> Tally {
        let progress = lock(&self.progress);
        let running = progress.running.map_or(Duration::ZERO, |since| since.elapsed());
        let took = progress.ran + running;
        Tally {
            took_ns: u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
            ..progress.tally.clone()
        }
    }

    /// Rows from number `after` on, at most `limit`.
    pub(super) fn rows(&self, after: u64, limit: usize) -> Vec<ReplayRow> {
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        lock(&self.progress).rows.iter().skip(after).take(limit).cloned().collect()
    }

    /// Whether it took the order: it has not ended, and nobody has ended it.
    pub(super) fn order(&self, order: Order) -> bool {
        let mut progress = lock(&self.progress);
        let open = matches!(progress.tally.state, ReplayState::Running | ReplayState::Paused);
        if !open || *self.order.borrow() == Order::Cancel {
            return false;
        }
        match order {
            Order::Pause => {
                progress.pause();
                progress.tally.state = ReplayState::Paused;
            }
            Order::Run => {
                progress.running.get_or_insert_with(Instant::now);
                progress.tally.state = ReplayState::Running;
            }
            Order::Cancel => {}
        }
        self.order.send_replace(order);
        true
    }

    /// Selects and replays, until all is done or somebody ends it.
    pub(super) async fn run(
        self: &Arc<Self>,
        node: &Arc<Node>,
        (ctx, project): (&OpContext, &Name),
        plan: Plan,
    ) -> Result<(), Error> {
        let plan = Arc::new(plan);
        let parallel = plan.parallel;
        let (job, own) = (Arc::clone(self), Arc::clone(node));
        let mut order = self.order.subscribe();
        let replayed = node
            .select_recordings(ctx, project, &self.request.select)
            .map(|found: Result<Selected, Error>| {
                let (job, node, plan) = (Arc::clone(&job), Arc::clone(&own), Arc::clone(&plan));
                let ctx = ctx.clone();
                async move {
                    let found = found?;
                    lock(&job.progress).tally.selected += 1;
                    if !job.may_go_on().await {
                        return Ok(None);
                    }
                    // On a task of its own, so that several run on several processors.
                    let task = node.tasks.work({
                        let node = Arc::clone(&node);
                        async move { node.replay_selected(&ctx, found, &plan).await }
                    });
                    let lost = |error| Error::internal("replay an invocation", error);
                    task.await.map_err(lost)
                }
            })
            .buffer_unordered(parallel);
        let mut replayed = std::pin::pin!(replayed);
        loop {
            tokio::select! {
                biased;
                _ = order.wait_for(|order| *order == Order::Cancel) => return Ok(()),
                row = replayed.next() => match row {
                    None => return Ok(()),
                    Some(row) => if let Some(row) = row? {
                        lock(&self.progress).add(row);
                    },
                },
            }
        }
    }

    /// Waits while it is paused; whether it is to go on.
    async fn may_go_on(&self) -> bool {
        let mut order = self.order.subscribe();
        let order = order.wait_for(|order| *order != Order::Pause).await;
        order.is_ok_and(|order| *order == Order::Run)
    }

    /// Notes how it ended.
    pub(super) fn ended(&self, result: Result<(), Error>) {
        let cancelled = *self.order.borrow() == Order::Cancel;
        let mut progress = lock(&self.progress);
        progress.pause();
        progress.tally.took_ns = u64::try_from(progress.ran.as_nanos()).unwrap_or(u64::MAX);
        progress.tally.selecting = false;
        progress.tally.state = match (&result, cancelled) {
            (Err(_), _) => ReplayState::Failed,
            (Ok(()), true) => ReplayState::Cancelled,
            (Ok(()), false) => ReplayState::Done,
        };
        if let Err(error) = result {
            progress.tally.reason = error.detail().to_owned();
        }
    }
}

impl Progress {
    fn pause(&mut self) {
        self.ran += self.running.take().map_or(Duration::ZERO, |since| since.elapsed());
    }

    fn add(&mut self, row: ReplayRow) {
        self.tally.done += 1;
        self.tally.original_ns = self.tally.original_ns.saturating_add(row.original_ns);
        *self.tally.verdicts.entry(row.verdict.clone()).or_default() += 1;
        self.rows.push(row);
    }
}
