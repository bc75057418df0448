//! Calls that run now and whose callers wait: nothing of them is in the log before they end, so this is
//! where they are found, listed and stopped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use nexus_exec::Cancel;
use nexus_model::record::{InvocationRecord, Level, Meta, Status, Trigger};
use nexus_model::view::{InvocationRow, WhyView};
use nexus_model::{InvocationFilter, InvocationId, Name, Principal, Timestamp, VersionId};

use crate::Node;
use crate::catalog::Function;
use crate::node::lock;
use crate::record::{Facts, bytes_of};
use crate::trace::trace_id;

/// So many that calls at the same time hardly ever meet in one; each is held for the time of an
/// insertion.
const SHARDS: usize = 64;

/// The calls of a node.
pub(crate) struct Ongoing([Mutex<HashMap<InvocationId, Arc<Call>>>; SHARDS]);

impl Default for Ongoing {
    fn default() -> Self {
        Ongoing(std::array::from_fn(|_| Mutex::default()))
    }
}

/// A call that runs: what its record begins with, not yet written out.
pub(crate) struct Call {
    function: Arc<Function>,
    version: VersionId,
    principal: Principal,
    trigger: Trigger,
    traceparent: Arc<str>,
    cause: Option<InvocationId>,
    accepted: Timestamp,
    deadline: Timestamp,
    queue_ns: u64,
    cold: bool,
    cancel: Cancel,
    /// Who stopped it, and why.
    stopped: OnceLock<String>,
}

/// Lists a call for as long as it lives: until its record is there.
pub(crate) struct Listed {
    node: Arc<Node>,
    id: InvocationId,
    call: Arc<Call>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        lock(self.node.ongoing.shard(self.id)).remove(&self.id);
    }
}

impl Listed {
    /// Who stopped it with [`Ongoing::cancel`], and why.
    pub(crate) fn stopped(&self) -> Option<&str> {
        self.call.stopped.get().map(String::as_str)
    }
}

impl Ongoing {
    fn shard(&self, id: InvocationId) -> &Mutex<HashMap<InvocationId, Arc<Call>>> {
        // The last bits of an id are random.
        &self.0[usize::from(id.as_bytes()[15]) % SHARDS]
    }

    pub(crate) fn list(node: &Arc<Node>, facts: &Facts, cancel: &Cancel) -> Listed {
        let call = Arc::new(Call {
            function: Arc::clone(&facts.function),
            version: facts.loaded.version,
            principal: facts.principal.clone(),
            trigger: facts.trigger,
            traceparent: Arc::clone(&facts.traceparent),
            cause: facts.cause_invocation,
            accepted: facts.accepted,
            deadline: facts.deadline,
            queue_ns: facts.queue_ns,
            cold: facts.load.cold,
            cancel: cancel.clone(),
            stopped: OnceLock::new(),
        });
        lock(node.ongoing.shard(facts.id)).insert(facts.id, Arc::clone(&call));
        Listed { node: Arc::clone(node), id: facts.id, call }
    }

    /// Whether a call runs, or its record is still being written.
    pub(crate) fn has(&self, id: InvocationId) -> bool {
        lock(self.shard(id)).contains_key(&id)
    }

    fn get(&self, id: InvocationId) -> Option<Arc<Call>> {
        lock(self.shard(id)).get(&id).cloned()
    }

    /// What is known of a call.
    pub(crate) fn record(&self, id: InvocationId, now: Timestamp) -> Option<InvocationRecord> {
        Some(self.get(id)?.record(id, now))
    }

    /// Why a call of a project is where it is.
    pub(crate) fn why(&self, project: &Name, id: InvocationId) -> Option<WhyView> {
        let call = self.get(id).filter(|call| call.function.project == *project)?;
        let mut because = vec![format!("{} waits for its answer", call.principal)];
        because.extend(call.stopped.get().map(|by| format!("it is being stopped {by}")));
        Some(WhyView {
            about: id.to_string(),
            state: "running".to_owned(),
            answer: format!(
                "It has been running since {} and is stopped at {}.",
                call.accepted, call.deadline
            ),
            until: Some(call.deadline),
            because,
            hint: format!("stop it: nexus cancel {id}"),
            function: call.function.name.to_string(),
        })
    }

    /// Those that match, the newest first.
    pub(crate) fn rows(
        &self,
        filter: &InvocationFilter,
        (limit, now): (usize, Timestamp),
    ) -> Vec<InvocationRow> {
        let mut found: Vec<(InvocationId, Arc<Call>)> = Vec::new();
        for shard in &self.0 {
            let calls = lock(shard);
            let wanted = calls.iter().filter(|(_, call)| call.matches(filter));
            found.extend(wanted.map(|(id, call)| (*id, Arc::clone(call))));
        }
        found.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(*id));
        found.truncate(limit);
        found.into_iter().map(|(id, call)| call.row(id, now)).collect()
    }

    /// Stops a call of a project; `false` when it does not run.
    pub(crate) fn cancel(
        &self,
        (project, id): (&Name, InvocationId),
        (who, reason): (&str, &str),
    ) -> bool {
        let call = self.get(id).filter(|call| call.function.project == *project);
        let Some(call) = call else { return false };
        let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        // The first one counts.
        let _ = call.stopped.set(format!("by {who}{because}"));
        call.cancel.cancel();
        true
    }
}

impl Call {
    fn matches(&self, filter: &InvocationFilter) -> bool {
        let is = |wanted: &Option<String>, found: &Name| {
            wanted.as_ref().is_none_or(|wanted| wanted == found.as_str())
        };
        is(&filter.project, &self.function.project)
            && is(&filter.function, &self.function.name)
            && filter.version.is_none_or(|version| version == self.version)
            && (filter.triggers.is_empty() || filter.triggers.contains(&self.trigger))
            && filter.range.contains(self.accepted)
            && filter.event.is_none()
            && filter.duration_ns_min.is_none()
            && filter.cold.is_none_or(|cold| cold == self.cold)
            && filter.trace.is_none_or(|trace| self.trace() == Some(trace))
    }

    fn trace(&self) -> Option<[u8; 16]> {
        nexus_model::parse_trace_id(trace_id(&self.traceparent))
    }

    fn row(&self, id: InvocationId, now: Timestamp) -> InvocationRow {
        InvocationRow {
            id,
            project: self.function.project.to_string(),
            function: self.function.name.to_string(),
            version: Some(self.version),
            trigger: self.trigger,
            status: Status::Running,
            http_status: None,
            attempt: 1,
            accepted: self.accepted,
            duration_ns: elapsed_ns(self.accepted, now),
            cold: self.cold,
            level: Level::None,
            trace_id: trace_id(&self.traceparent).to_owned(),
        }
    }

    fn record(&self, id: InvocationId, now: Timestamp) -> InvocationRecord {
        let meta = Meta {
            project: self.function.project.to_string(),
            principal: self.principal.to_string(),
            cause_invocation: self.cause.map(|id| bytes_of(id.as_bytes())).unwrap_or_default(),
            traceparent: self.traceparent.to_string(),
            deadline_ns: self.deadline.unix_ns(),
            ..Meta::default()
        };
        let mut record = InvocationRecord {
            id: bytes_of(id.as_bytes()),
            meta,
            function: self.function.name.to_string(),
            version: bytes_of(self.version.as_bytes()),
            attempt: 1,
            accepted_ns: self.accepted.unix_ns(),
            ended_ns: now.unix_ns(),
            not_replayable: "it has not ended".to_owned(),
            ..InvocationRecord::default()
        };
        if self.cold {
            record.cold = "first call".to_owned();
        }
        record.timings.total_ns = elapsed_ns(self.accepted, now);
        record.timings.queue_ns = self.queue_ns;
        record.set_trigger(self.trigger);
        record.set_status(Status::Running);
        record.set_level(Level::None);
        record
    }
}

/// How long something takes that has not ended, in nanoseconds.
pub(crate) fn elapsed_ns(since: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.unix_ns().saturating_sub(since.unix_ns())).unwrap_or(0)
}
