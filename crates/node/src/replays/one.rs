//! One invocation of a batch.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use nexus_model::record::{Input, input};
use nexus_model::view::{CompareRules, ReplayRequest, ReplayRow, Verdict};
use nexus_model::{InvocationId, Name, OpContext, VersionId};

use super::select::Selected;
use crate::compare::{Candidate, Rules, compare};
use crate::node::lock;
use crate::replay::{Recorded, has_secrets};
use crate::{Error, Node};

/// What is done with each invocation, with what was prepared for those before it.
pub(super) struct Plan {
    pub(super) parallel: usize,
    against: Option<String>,
    rules: Rules,
    ty: Option<String>,
    candidates: Mutex<HashMap<Name, Candidate>>,
    originals: Mutex<HashMap<VersionId, Candidate>>,
}

impl Plan {
    pub(super) async fn new(
        node: &Node,
        ctx: &OpContext,
        project: &Name,
        request: &ReplayRequest,
    ) -> Result<Self, Error> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let rules = match (&request.rules, &request.select.suite) {
            (Some(rules), _) => rules.clone(),
            (None, Some(suite)) => node.suite_spec(project, suite).await?.rules,
            (None, None) => CompareRules::default(),
        };
        let plan = Plan {
            parallel: (request.parallel.unwrap_or(u32::MAX) as usize).clamp(1, processors),
            against: request.against.clone(),
            rules: Rules::new(&rules)?,
            ty: request.select.ty.clone(),
            candidates: Mutex::default(),
            originals: Mutex::default(),
        };
        if request.select.text.is_some() || request.select.expression.is_some() {
            let scope = nexus_model::Scope::ReadPayload;
            nexus_policy::authorize(ctx, scope, Some(project))?;
        }
        // A version that does not exist is said now, and not by each row.
        if let (Some(against), Some(function)) = (&request.against, &request.select.function) {
            let found = node.candidate(project, function, against).await?;
            lock(&plan.candidates).insert(function.clone(), found);
        }
        Ok(plan)
    }
}

impl Node {
    /// Replays one, or holds it against another version; nothing where it is not meant.
    pub(super) async fn replay_selected(
        &self,
        ctx: &OpContext,
        selected: Selected,
        plan: &Plan,
    ) -> Option<ReplayRow> {
        let begun = Instant::now();
        let (id, recorded) = match selected {
            Selected::Recorded(id) => (id, self.recorded(ctx, id).await),
            Selected::Saved(saved) => (saved.invocation, self.recorded_of(*saved).await),
        };
        let recorded = match recorded {
            Ok(recorded) => recorded,
            Err(error) => return Some(untold(id, String::new(), error.detail())),
        };
        if plan.ty.is_some() && plan.ty.as_deref() != event_type(&recorded) {
            return None;
        }
        let Recorded { record, .. } = &recorded;
        let (verdict, summary) = match self.judge(&recorded, plan).await {
            Ok(told) => told,
            Err(error) => ("cannot-tell", error.detail().to_owned()),
        };
        Some(ReplayRow {
            invocation: id,
            function: record.function.clone(),
            verdict: verdict.to_owned(),
            summary,
            took_ns: u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX),
            original_ns: record.timings.total_ns,
        })
    }

    async fn judge(
        &self,
        recorded: &Recorded,
        plan: &Plan,
    ) -> Result<(&'static str, String), Error> {
        let original = self.original_of(recorded, plan).await?;
        let Some(against) = &plan.against else {
            let replayed =
                original.prepared.replay(&recorded.record, recorded.event.clone()).await?;
            let word = match replayed.view.verdict {
                Verdict::Identical => "identical",
                Verdict::IdenticalUpTo => "identical-up-to",
                Verdict::Diverged => "diverged",
            };
            return Ok((word, replayed.view.summary));
        };
        let function = Name::new(&recorded.record.function)
            .map_err(|error| Error::internal("read a record", error))?;
        let known = lock(&plan.candidates).get(&function).cloned();
        let candidate = match known {
            Some(known) => known,
            None => {
                let found = self.candidate(&recorded.project, &function, against).await?;
                lock(&plan.candidates).insert(function, found.clone());
                found
            }
        };
        let comparison = compare(recorded, (&original, &candidate), &plan.rules, false).await?;
        Ok((comparison.verdict.word(), comparison.summary))
    }

    /// The version that made a recording. One without secrets is made ready once.
    async fn original_of(&self, recorded: &Recorded, plan: &Plan) -> Result<Candidate, Error> {
        let version = recorded.record.version_id().filter(|_| !has_secrets(&recorded.record));
        let known = version.and_then(|version| lock(&plan.originals).get(&version).cloned());
        if let Some(known) = known {
            return Ok(known);
        }
        let original = self.original(recorded).await?;
        if let Some(version) = version {
            lock(&plan.originals).insert(version, original.clone());
        }
        Ok(original)
    }
}

fn untold(invocation: InvocationId, function: String, reason: &str) -> ReplayRow {
    ReplayRow {
        invocation,
        function,
        verdict: "cannot-tell".to_owned(),
        summary: reason.to_owned(),
        took_ns: 0,
        original_ns: 0,
    }
}

/// The type of the event that an invocation handled.
fn event_type(recorded: &Recorded) -> Option<&str> {
    if let Some(event) = &recorded.event {
        return Some(&event.ty);
    }
    match &recorded.record.input {
        Some(Input { form: Some(input::Form::Event(event)) }) => Some(&event.ty),
        _ => None,
    }
}
