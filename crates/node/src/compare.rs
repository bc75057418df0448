//! One version held against another, with a recording as the world of both.

mod changes;
mod effects;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use nexus_content::{DiffRules, DiffRulesError};
use nexus_exec::rehearsal::{Rehearsed, Scene};
use nexus_exec::{Ended, Prepared, Replayed};
use nexus_model::resource::VersionSpec;
use nexus_model::view::{
    CompareRules, Comparison, Cost, DifferenceView, EffectView, Sameness, Verdict, VersionRef,
};
use nexus_model::{Code, InvocationId, Name, OpContext, Scope, limits};
use serde_json::Value;

use crate::replay::Recorded;
use crate::views::output_value;
use crate::{Error, Node};

/// Rules of a comparison, compiled.
pub(crate) struct Rules {
    pub(crate) documents: DiffRules,
    pub(crate) headers: Vec<String>,
    pub(crate) logs: bool,
}

impl Rules {
    /// # Errors
    /// A JSON path cannot be read, or there are too many.
    pub(crate) fn new(rules: &CompareRules) -> Result<Self, Error> {
        let documents = DiffRules::new(&rules.ignore, rules.timestamps, rules.ids);
        let documents = documents.map_err(|error| {
            let hint = match &error {
                DiffRulesError::Path { .. } => "a JSON path begins with $, such as $.items[*].id",
                DiffRulesError::TooMany => "",
            };
            Error::new(Code::BadRequest, format!("rules.ignore: {error}")).with_hint(hint)
        })?;
        let headers = rules.ignore_headers.iter().map(|name| name.to_ascii_lowercase()).collect();
        Ok(Rules { documents, headers, logs: rules.logs })
    }
}

/// A version that is ready to run, by all its names.
#[derive(Clone)]
pub(crate) struct Candidate {
    pub(crate) named: VersionRef,
    pub(crate) prepared: Arc<dyn Prepared>,
}

impl Candidate {
    fn new(spec: &VersionSpec, prepared: Arc<dyn Prepared>) -> Self {
        let named = VersionRef { id: spec.id, number: spec.number, label: spec.label.clone() };
        Candidate { named, prepared }
    }
}

impl Node {
    /// Runs an invocation again with the version that made it and with another one, both with the
    /// recording as their world, and says what differs; with `instructions` also how many each runs,
    /// for which both are compiled once more. Touches nothing.
    ///
    /// # Errors
    /// It does not exist or cannot be replayed at all; there is no such version; a rule cannot be
    /// read; the caller may not replay. A version that does something else is no error.
    pub async fn compare(
        &self,
        ctx: &OpContext,
        id: InvocationId,
        (against, rules, instructions): (&str, &CompareRules, bool),
    ) -> Result<Comparison, Error> {
        let rules = Rules::new(rules)?;
        let recorded = self.recorded(ctx, id).await?;
        let function = Name::new(&recorded.record.function)
            .map_err(|error| Error::internal("read a record", error))?;
        let against = self.candidate(&recorded.project, &function, against).await?;
        let original = self.original(&recorded).await.map_err(|at| at.with_invocation(id))?;
        let mut comparison = compare(&recorded, (&original, &against), &rules, instructions)
            .await
            .map_err(|at| at.with_invocation(id))?;
        if !ctx.allows(Scope::ReadPayload, Some(&recorded.project)) {
            hide(&mut comparison);
        }
        Ok(comparison)
    }

    /// A version of a function by any of its names, ready to run with its own configuration.
    pub(crate) async fn candidate(
        &self,
        project: &Name,
        function: &Name,
        selector: &str,
    ) -> Result<Candidate, Error> {
        let resource = self.function_resource(project, function).await?;
        let spec = self.select_version(project, &resource, selector).await?;
        let (spec, prepared) = self.prepare_version(project, spec.id, &[]).await?;
        Ok(Candidate::new(&spec, prepared))
    }

    /// The version that made a recording, as it was.
    pub(crate) async fn original(&self, recorded: &Recorded) -> Result<Candidate, Error> {
        let Recorded { record, project, .. } = recorded;
        let (spec, prepared) = self.prepare_recorded(project, record).await?;
        Ok(Candidate::new(&spec, prepared))
    }
}

/// Replays with the one, rehearses with the other, and compares.
pub(crate) async fn compare(
    recorded: &Recorded,
    (original, against): (&Candidate, &Candidate),
    rules: &Rules,
    instructions: bool,
) -> Result<Comparison, Error> {
    let Recorded { record, event, .. } = recorded;
    let (replayed, scene) = original.prepared.witness(record, event.clone()).await?;
    let names = (record.function.clone(), original.named.clone());
    let before = match untold(&replayed) {
        None => Ok(&replayed.ended),
        Some(reason) => Err(reason),
    };
    let mut comparison = hold(&scene, (names, before), against, rules).await;
    comparison.recorded_cost = cost(&replayed.ended);
    if instructions {
        comparison.recorded_cost.instructions = Some(counted(original, &scene).await?);
        comparison.against_cost.instructions = Some(counted(against, &scene).await?);
    }
    Ok(comparison)
}

/// How many instructions a version runs in a scene.
async fn counted(version: &Candidate, scene: &Scene) -> Result<u64, Error> {
    Ok(version.prepared.rehearse(scene, true).await?.ended.meter.fuel)
}

/// Lets a version run in a scene and compares how it ends with `before`, how the recorded version
/// ended, or why nobody can say. `recorded` is its function, and by which names it goes.
pub(crate) async fn hold(
    scene: &Scene,
    ((function, recorded), before): ((String, VersionRef), Result<&Ended, String>),
    against: &Candidate,
    rules: &Rules,
) -> Comparison {
    let mut comparison = Comparison {
        invocation: scene.invocation,
        function,
        recorded,
        against: against.named.clone(),
        verdict: Sameness::CannotTell,
        summary: String::new(),
        changes: Vec::new(),
        effects: Vec::new(),
        changes_omitted: 0,
        recorded_cost: Cost::default(),
        against_cost: Cost::default(),
        output: Value::Null,
    };
    let before = match before {
        Ok(before) => before,
        Err(reason) => {
            comparison.summary = reason;
            return comparison;
        }
    };
    match against.prepared.rehearse(scene, false).await {
        Ok(rehearsed) => {
            comparison.against_cost = cost(&rehearsed.ended);
            tell(&mut comparison, before, rehearsed, rules);
        }
        Err(error) => {
            comparison.summary = format!("the other version cannot be given its input: {error}");
        }
    }
    comparison
}

/// Why a recording does not allow to say anything.
fn untold(replayed: &Replayed) -> Option<String> {
    match replayed.view.verdict {
        Verdict::Identical => None,
        Verdict::IdenticalUpTo => {
            Some("the recording was stopped in the middle (timeout or cancellation)".to_owned())
        }
        Verdict::Diverged => {
            Some(format!("the recording does not replay itself: {}", replayed.view.summary))
        }
    }
}

fn cost(ended: &Ended) -> Cost {
    Cost {
        guest_ns: ended.timings.guest_ns,
        memory_peak_bytes: ended.meter.memory_peak_bytes,
        host_calls: ended.meter.host_calls,
        instructions: None,
    }
}

/// Fills in what differs, and the verdict that follows.
fn tell(comparison: &mut Comparison, before: &Ended, rehearsed: Rehearsed, rules: &Rules) {
    let after = &rehearsed.ended;
    comparison.changes = changes::changes(before, after, rules);
    comparison.effects = effects::effects(&rehearsed, rules);
    comparison.verdict = verdict(&comparison.changes, &comparison.effects);
    comparison.summary = summary(comparison);
    bound(comparison);
    comparison.output = output_value(&rehearsed.ended.into());
}

fn verdict(changes: &[DifferenceView], effects: &[EffectView]) -> Sameness {
    let matters = changes.iter().any(|at| at.ignored.is_none())
        || effects.iter().any(|at| at.ignored.is_none());
    match (matters, changes.is_empty() && effects.is_empty()) {
        (true, _) => Sameness::Different,
        (false, false) => Sameness::Equivalent,
        (false, true) => Sameness::Identical,
    }
}

fn summary(comparison: &Comparison) -> String {
    let counted = |count: usize, one: &str| match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    };
    let changes = comparison.changes.iter().filter(|at| at.ignored.is_none()).count();
    let effects = comparison.effects.iter().filter(|at| at.ignored.is_none()).count();
    match comparison.verdict {
        Sameness::Identical => "the same output and the same effects".to_owned(),
        Sameness::Equivalent => "only what the rules ignore differs".to_owned(),
        Sameness::CannotTell => String::new(),
        Sameness::Different => {
            let ends =
                (changes > 0).then(|| format!("{} in how it ends", counted(changes, "change")));
            let asks = (effects > 0)
                .then(|| format!("{} in what it asks of the world", counted(effects, "change")));
            ends.into_iter().chain(asks).collect::<Vec<_>>().join(", ")
        }
    }
}

/// Keeps the answer within its limit, and what matters before what does not.
fn bound(comparison: &mut Comparison) {
    comparison.changes.sort_by_key(|at| at.ignored.is_some());
    comparison.effects.sort_by_key(|at| at.ignored.is_some());
    let mut left = limits::COMPARISON_CHANGES_MAX;
    let mut omitted = 0;
    let mut keep = |changes: &mut Vec<DifferenceView>| {
        omitted += changes.len().saturating_sub(left);
        changes.truncate(left);
        left -= changes.len();
    };
    keep(&mut comparison.changes);
    comparison.effects.iter_mut().for_each(|effect| keep(&mut effect.changes));
    let beyond = comparison.effects.len().saturating_sub(limits::COMPARISON_CHANGES_MAX);
    comparison.effects.truncate(limits::COMPARISON_CHANGES_MAX);
    comparison.changes_omitted = (omitted + beyond) as u64;
}

/// Takes out what only those may see who may read payloads.
pub(crate) fn hide(comparison: &mut Comparison) {
    let changes = comparison.effects.iter_mut().flat_map(|effect| effect.changes.iter_mut());
    for change in comparison.changes.iter_mut().chain(changes) {
        (change.before, change.after) = (None, None);
    }
    comparison.output = Value::Null;
}
