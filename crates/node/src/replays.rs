//! Batches of replays: many invocations replayed, or held against another version, in the
//! background, with progress and a report.
//!
//! A batch is a resource: what was asked for is its spec, what came of it its status, and the rows
//! of its report a blob. While it runs its progress is in memory: after a restart it begins anew,
//! with the same invocations, which costs time and nothing else.

mod job;
mod one;
mod select;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use nexus_model::resource::{Kind, Resource, ResourceKey};
use nexus_model::view::{
    ReplayBatch, ReplayRequest, ReplayRow, ReplayRows, ReplaySelection, ReplayState,
};
use nexus_model::{Code, Digest, Name, OpContext, Scope, limits};
use nexus_store::{Change, Op};
use serde::{Deserialize, Serialize};

use crate::deploy::json;
use crate::node::lock;
use crate::{Error, Node};
use job::{Job, Order};
use one::Plan;
pub(crate) use select::Selected;

/// Resources that are read at once.
const SCAN_ITEMS: usize = 500;
/// Rows of a report in one answer where nothing was asked for.
const ROWS_DEFAULT: usize = 100;

/// Batches that run, by project and name.
pub(crate) type Jobs = Mutex<HashMap<(Name, Name), Arc<Job>>>;

/// The status of a Replay resource.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Status {
    principal: String,
    #[serde(flatten)]
    tally: job::Tally,
    /// The blob with the rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    report: Option<Digest>,
}

impl Status {
    /// That of a batch while it runs.
    fn of(job: &Job) -> Self {
        Status { principal: job.principal.clone(), tally: job.tally(), report: None }
    }
}

impl Node {
    /// Begins a batch of replays. It touches nothing outside, and goes on when the caller leaves.
    ///
    /// # Errors
    /// The selection or a rule is wrong; too many run already; the caller may not replay there, or
    /// may not read payloads where the selection looks into them.
    pub async fn start_replays(
        self: &Arc<Self>,
        ctx: &OpContext,
        project: &Name,
        mut request: ReplayRequest,
    ) -> Result<ReplayBatch, Error> {
        nexus_policy::authorize(ctx, Scope::Replay, Some(project))?;
        self.require_project(project)?;
        check(&request.select)?;
        if request.select.ids.is_empty() && request.select.suite.is_none() {
            // What comes while it runs is not meant, nor what comes before it begins anew.
            request.select.until.get_or_insert(self.parts.clock.now());
        }
        let plan = Plan::new(self, ctx, project, &request).await?;
        let id: nexus_model::InvocationId =
            self.parts.mint.mint(nexus_model::Partition::of(project.as_str(), ""));
        let name = Name::new(&id.to_string().to_ascii_lowercase().replace("inv_", "replay-"))
            .map_err(|error| Error::internal("name a batch", error))?;
        let job = Arc::new(Job::new(request, ctx.principal.to_string()));
        {
            let mut jobs = lock(&self.replays);
            let running = jobs.values().filter(|job| job.goes_on()).count();
            if running >= limits::REPLAYS_RUNNING_MAX {
                let detail = format!("{running} batches of replays run already, the limit");
                return Err(Error::new(Code::Overloaded, detail)
                    .with_hint("wait for one to end, or cancel one: nexus replays"));
            }
            jobs.insert((project.clone(), name.clone()), Arc::clone(&job));
        }
        let begun = self.begin_batch(ctx, (project, &name), (&job, plan)).await;
        if begun.is_err() {
            lock(&self.replays).remove(&(project.clone(), name));
        }
        begun
    }

    async fn begin_batch(
        self: &Arc<Self>,
        ctx: &OpContext,
        (project, name): (&Name, &Name),
        (job, plan): (&Arc<Job>, Plan),
    ) -> Result<ReplayBatch, Error> {
        self.forget_old_replays(ctx, project).await?;
        let key = replay_key(project, name);
        let resource = Resource::new(&key, json(&job.request)?);
        let ops = vec![Op::create(resource), Op::set_status(key.clone(), json(&Status::of(job))?)];
        self.parts.store.apply(Change::new(ctx.principal.clone(), ops)).await?;
        self.run_batch(ctx.clone(), (project.clone(), name.clone()), (Arc::clone(job), plan));
        self.replay_batch(ctx, project, name).await
    }

    /// Runs a batch to its end, beside everything else.
    fn run_batch(
        self: &Arc<Self>,
        ctx: OpContext,
        (project, name): (Name, Name),
        (job, plan): (Arc<Job>, Plan),
    ) {
        let node = Arc::clone(self);
        self.tasks.service("replays", async move {
            let selected = tokio::select! {
                selected = job.run(&node, (&ctx, &project), plan) => selected,
                () = node.tasks.stopping() => return,
            };
            job.ended(selected);
            node.keep_report((&ctx, &project, &name), &job).await;
        });
    }

    /// Begins batches anew that the last stop interrupted.
    pub(crate) async fn go_on_replays(self: &Arc<Self>) {
        let mut after = None;
        loop {
            let page = self.parts.store.scan(Kind::Replay, after.as_ref(), SCAN_ITEMS).await;
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    tracing::error!(%error, "interrupted batches of replays were not looked for");
                    return;
                }
            };
            let Some(last) = page.last() else { return };
            after = Some(last.key());
            for resource in page {
                let name = resource.metadata.name.clone();
                if let Err(error) = self.go_on_batch(resource).await {
                    tracing::error!(%error, batch = %name, "a batch of replays does not go on");
                }
            }
        }
    }

    async fn go_on_batch(self: &Arc<Self>, resource: Resource) -> Result<(), Error> {
        let read = |error| Error::internal("read a batch of replays", error);
        let status: Status = serde_json::from_value(resource.status).map_err(read)?;
        let state = status.tally.state;
        let interrupted = matches!(state, ReplayState::Running | ReplayState::Paused);
        let Some(project) = resource.metadata.project.filter(|_| interrupted) else {
            return Ok(());
        };
        let request: ReplayRequest = serde_json::from_value(resource.spec).map_err(read)?;
        // Whoever asked for it was allowed to.
        let ctx = OpContext::system("replays");
        let name = resource.metadata.name;
        let job = Arc::new(Job::new(request, status.principal));
        if state == ReplayState::Paused {
            job.order(Order::Pause);
        }
        lock(&self.replays).insert((project.clone(), name.clone()), Arc::clone(&job));
        match Plan::new(self, &ctx, &project, &job.request).await {
            Ok(plan) => self.run_batch(ctx, (project, name), (job, plan)),
            Err(error) => {
                job.ended(Err(error));
                self.keep_report((&ctx, &project, &name), &job).await;
            }
        }
        Ok(())
    }

    /// Writes what came of a batch and lets go of it.
    async fn keep_report(&self, (ctx, project, name): (&OpContext, &Name, &Name), job: &Job) {
        let mut rows = Vec::new();
        for row in job.rows(0, usize::MAX) {
            rows.extend(serde_json::to_vec(&row).unwrap_or_default());
            rows.push(b'\n');
        }
        let _writing = job.writing.lock().await;
        let kept = async {
            let report = Some(self.parts.blobs.put(Bytes::from(rows)).await?);
            let status = Status { report, ..Status::of(job) };
            let op = Op::set_status(replay_key(project, name), json(&status)?);
            self.parts.store.apply(Change::new(ctx.principal.clone(), vec![op])).await?;
            Ok::<_, Error>(())
        };
        if let Err(error) = kept.await {
            tracing::error!(%error, batch = %name, "the report of a batch of replays was not kept");
        }
        lock(&self.replays).remove(&(project.clone(), name.clone()));
    }

    /// The batches of a project, the newest first.
    ///
    /// # Errors
    /// The caller may not read there.
    pub async fn replay_batches(
        &self,
        ctx: &OpContext,
        project: &Name,
    ) -> Result<Vec<ReplayBatch>, Error> {
        nexus_policy::authorize(ctx, Scope::Read, Some(project))?;
        let mut batches = Vec::new();
        // Those that run first: what ends meanwhile has its end in the store.
        let running = lock(&self.replays).clone();
        for resource in self.all_of(Kind::Replay, project).await? {
            let key = (project.clone(), resource.metadata.name.clone());
            batches.push(batch_view(&resource, running.get(&key))?);
        }
        batches.sort_by_key(|batch| std::cmp::Reverse(batch.created));
        Ok(batches)
    }

    /// A batch, with its progress.
    ///
    /// # Errors
    /// It does not exist, or the caller may not read there.
    pub async fn replay_batch(
        &self,
        ctx: &OpContext,
        project: &Name,
        name: &Name,
    ) -> Result<ReplayBatch, Error> {
        nexus_policy::authorize(ctx, Scope::Read, Some(project))?;
        let running = self.running_batch(project, name);
        batch_view(&self.batch_resource(project, name).await?, running.as_ref())
    }

    /// A batch that runs. Asked before the store is read, so that one that ends meanwhile is found in
    /// either.
    fn running_batch(&self, project: &Name, name: &Name) -> Option<Arc<Job>> {
        lock(&self.replays).get(&(project.clone(), name.clone())).cloned()
    }

    /// Rows of a batch's report, from number `after` on; only those of one verdict where one is named.
    ///
    /// # Errors
    /// It does not exist, or the caller may not read there; its report cannot be read.
    pub async fn replay_rows(
        &self,
        ctx: &OpContext,
        (project, name): (&Name, &Name),
        verdict: Option<&str>,
        (after, limit): (u64, usize),
    ) -> Result<ReplayRows, Error> {
        nexus_policy::authorize(ctx, Scope::Read, Some(project))?;
        let running = self.running_batch(project, name);
        let resource = self.batch_resource(project, name).await?;
        let rows = match running {
            Some(job) => job.rows(after, usize::MAX),
            None => self.report_rows(&resource, after).await?,
        };
        let limit = if limit == 0 { ROWS_DEFAULT } else { limit.min(limits::PAGE_ITEMS_MAX) };
        let fits = |row: &ReplayRow| verdict.is_none_or(|verdict| row.verdict == verdict);
        let numbered = (after + 1..).zip(rows).filter(|(_, row)| fits(row));
        let mut found: Vec<(u64, ReplayRow)> = numbered.take(limit + 1).collect();
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().map(|(number, _)| *number).filter(|_| more);
        Ok(ReplayRows { items: found.into_iter().map(|(_, row)| row).collect(), next })
    }

    async fn report_rows(&self, resource: &Resource, after: u64) -> Result<Vec<ReplayRow>, Error> {
        let status: Option<Status> = serde_json::from_value(resource.status.clone()).ok();
        let Some(report) = status.and_then(|status| status.report) else { return Ok(Vec::new()) };
        let bytes = self.blob(report).await?;
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .skip(usize::try_from(after).unwrap_or(usize::MAX))
            .map(serde_json::from_slice)
            .collect::<Result<_, _>>()
            .map_err(|error| Error::internal("read a report", error))
    }

    /// Stops a batch for now, lets it go on, or ends it.
    ///
    /// # Errors
    /// It does not exist or has ended; the caller may not replay there.
    pub async fn pause_replays(
        &self,
        ctx: &OpContext,
        at: (&Name, &Name),
    ) -> Result<ReplayBatch, Error> {
        self.order(ctx, at, Order::Pause).await
    }

    /// Lets a paused batch go on.
    ///
    /// # Errors
    /// As [`pause_replays`](Self::pause_replays).
    pub async fn resume_replays(
        &self,
        ctx: &OpContext,
        at: (&Name, &Name),
    ) -> Result<ReplayBatch, Error> {
        self.order(ctx, at, Order::Run).await
    }

    /// Ends a batch. What was looked at stays in its report.
    ///
    /// # Errors
    /// As [`pause_replays`](Self::pause_replays).
    pub async fn cancel_replays(
        &self,
        ctx: &OpContext,
        at: (&Name, &Name),
    ) -> Result<ReplayBatch, Error> {
        self.order(ctx, at, Order::Cancel).await
    }

    async fn order(
        &self,
        ctx: &OpContext,
        (project, name): (&Name, &Name),
        order: Order,
    ) -> Result<ReplayBatch, Error> {
        nexus_policy::authorize(ctx, Scope::Replay, Some(project))?;
        let running = self.running_batch(project, name);
        let resource = self.batch_resource(project, name).await?;
        let open = batch_view(&resource, None)?.state;
        let ended = || {
            let what = match open {
                ReplayState::Running | ReplayState::Paused => "begins anew in a moment",
                _ => "has ended",
            };
            Error::new(Code::Conflict, format!("batch '{name}' {what}"))
        };
        let job = running.ok_or_else(ended)?;
        let _writing = job.writing.lock().await;
        if !job.order(order) {
            return Err(ended());
        }
        if order != Order::Cancel {
            // A restart has to know whether it waits.
            let op = Op::set_status(replay_key(project, name), json(&Status::of(&job))?);
            self.parts.store.apply(Change::new(ctx.principal.clone(), vec![op])).await?;
        }
        batch_view(&resource, Some(&job))
    }

    /// Removes a batch and its report; one that runs is ended.
    ///
    /// # Errors
    /// It does not exist; the caller may not replay there.
    pub async fn delete_replays(
        &self,
        ctx: &OpContext,
        (project, name): (&Name, &Name),
    ) -> Result<(), Error> {
        nexus_policy::authorize(ctx, Scope::Replay, Some(project))?;
        self.batch_resource(project, name).await?;
        if let Some(job) = lock(&self.replays).get(&(project.clone(), name.clone())) {
            job.order(Order::Cancel);
        }
        let op = Op::delete(replay_key(project, name));
        self.parts.store.apply(Change::new(ctx.principal.clone(), vec![op])).await?;
        Ok(())
    }

    async fn batch_resource(&self, project: &Name, name: &Name) -> Result<Resource, Error> {
        let found = self.parts.store.get(&replay_key(project, name)).await?;
        found.ok_or_else(|| {
            Error::not_found(format_args!("batch of replays '{name}'"))
                .with_hint("nexus replays lists them")
        })
    }

    /// Makes room for one more.
    async fn forget_old_replays(&self, ctx: &OpContext, project: &Name) -> Result<(), Error> {
        let mut known = self.all_of(Kind::Replay, project).await?;
        known.sort_by_key(|resource| resource.metadata.created_at);
        let beyond = (known.len() + 1).saturating_sub(limits::REPLAYS_KEPT_MAX);
        let ended = known.into_iter().filter(|resource| {
            let key = (project.clone(), resource.metadata.name.clone());
            !lock(&self.replays).contains_key(&key)
        });
        let ops: Vec<Op> = ended.take(beyond).map(|old| Op::delete(old.key())).collect();
        if !ops.is_empty() {
            self.parts.store.apply(Change::new(ctx.principal.clone(), ops)).await?;
        }
        Ok(())
    }
}

/// A batch as it is stored, and as it is now where it runs.
fn batch_view(resource: &Resource, running: Option<&Arc<Job>>) -> Result<ReplayBatch, Error> {
    let read = |error| Error::internal("read a batch of replays", error);
    let request: ReplayRequest = serde_json::from_value(resource.spec.clone()).map_err(read)?;
    let status: Status = serde_json::from_value(resource.status.clone()).map_err(read)?;
    let (project, id) = (resource.metadata.project.clone(), resource.metadata.name.clone());
    let project = project.ok_or_else(|| Error::not_found(resource.key()))?;
    let tally = match running {
        Some(job) => job.tally(),
        None => status.tally,
    };
    let times_real_time = match tally.took_ns {
        0 => 0.0,
        took => tally.original_ns as f64 / took as f64,
    };
    Ok(ReplayBatch {
        id,
        project,
        created: resource.metadata.created_at.unwrap_or_default(),
        principal: status.principal,
        request,
        state: tally.state,
        reason: tally.reason,
        selected: tally.selected,
        selecting: tally.selecting,
        done: tally.done,
        verdicts: tally.verdicts,
        took_ns: tally.took_ns,
        original_ns: tally.original_ns,
        times_real_time,
    })
}

fn replay_key(project: &Name, name: &Name) -> ResourceKey {
    ResourceKey { kind: Kind::Replay, project: Some(project.clone()), name: name.clone() }
}

/// Whether a selection says one thing.
pub(crate) fn check(select: &ReplaySelection) -> Result<(), Error> {
    let bad = |detail: &str| Err(Error::new(Code::BadRequest, format!("select: {detail}")));
    let ReplaySelection { ids, suite, limit, .. } = select;
    let named = ReplaySelection { ids: ids.clone(), suite: suite.clone(), ..Default::default() };
    if (!ids.is_empty() || suite.is_some()) && *select != named {
        return bad("ids or a suite already say which; leave the rest out");
    }
    if !ids.is_empty() && suite.is_some() {
        return bad("ids or a suite, not both");
    }
    let most = limits::REPLAY_INVOCATIONS_MAX;
    if limit.is_some_and(|limit| limit == 0 || limit > most) || ids.len() as u64 > most {
        return bad(&format!("from 1 to {most} invocations (replay-invocations-max)"));
    }
    Ok(())
}
