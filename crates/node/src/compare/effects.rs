//! What differs in what two runs asked of the world.

use nexus_content::differences;
use nexus_exec::journal::Function;
use nexus_exec::rehearsal::{Answered, Asked, Effect, Rehearsed};
use nexus_model::view::{DifferenceView, EffectChange, EffectView, Part};
use serde_json::Value;

use super::{Rules, changes};

/// Everything that differs, also what the rules ignore.
pub(super) fn effects(rehearsed: &Rehearsed, rules: &Rules) -> Vec<EffectView> {
    let known = &rehearsed.recorded;
    let mut found = Vec::new();
    for asked in &rehearsed.asked {
        found.extend(of_question(known, asked, rules));
    }
    for place in &rehearsed.missed {
        let effect = &known[*place];
        let whole = (Some(effect.details.clone()), None);
        found.push(view(EffectChange::Removed, effect, vec![argument(whole)], None));
    }
    found.extend(reordered(known, &rehearsed.asked));
    found
}

fn of_question(known: &[Effect], asked: &Asked, rules: &Rules) -> Option<EffectView> {
    let effect = &asked.effect;
    match asked.answered {
        Answered::Exactly(_) => None,
        Answered::Again(_) => {
            let rule = Some("reads may be repeated".to_owned());
            Some(view(EffectChange::Repeated, effect, Vec::new(), rule))
        }
        Answered::New => {
            let whole = (None, Some(effect.details.clone()));
            Some(view(EffectChange::Added, effect, vec![argument(whole)], None))
        }
        Answered::Otherwise(place) => {
            let found = arguments(&known[place], effect, rules);
            let ignored = found.iter().all(|at| at.ignored.is_some());
            let rule = ignored.then(|| {
                let rules = found.iter().filter_map(|at| at.ignored.as_deref());
                let mut rules: Vec<&str> = rules.collect();
                rules.sort_unstable();
                rules.dedup();
                rules.join(", ")
            });
            Some(view(EffectChange::Changed, effect, found, rule))
        }
    }
}

/// The differences between the arguments of two effects.
fn arguments(before: &Effect, after: &Effect, rules: &Rules) -> Vec<DifferenceView> {
    let (mut before, mut after) = (before.details.clone(), after.details.clone());
    let mut found = Vec::new();
    if before.is_object() && after.is_object() && before.get("headers").is_some() {
        let (old, new) = (fields(before["headers"].take()), fields(after["headers"].take()));
        for at in differences(&old, &new, &rules.documents) {
            let name = at.path.trim_start_matches('/').to_owned();
            let by_name = rules.headers.contains(&name).then(|| format!("header {name}"));
            let change = changes::of_document(Part::Request, "/headers", at);
            let ignored = by_name.or(change.ignored.clone());
            found.push(DifferenceView { ignored, ..change });
        }
        // What rules say about documents, they say about the body.
        let (old, new) = (before["body"].take(), after["body"].take());
        let body = differences(&old, &new, &rules.documents).into_iter();
        found.extend(body.map(|at| changes::of_document(Part::Request, "/body", at)));
        return found;
    }
    let all = differences(&before, &after, &rules.documents).into_iter();
    found.extend(all.map(|at| changes::of_document(Part::Request, "", at)));
    found
}

/// Header fields by name.
fn fields(pairs: Value) -> Value {
    let mut fields = serde_json::Map::new();
    for pair in pairs.as_array().into_iter().flatten() {
        let (Some(name), Some(value)) = (pair[0].as_str(), pair[1].as_str()) else { continue };
        let joined = match fields.get(name).and_then(Value::as_str) {
            Some(before) => format!("{before}, {value}"),
            None => value.to_owned(),
        };
        fields.insert(name.to_owned(), Value::String(joined));
    }
    Value::Object(fields)
}

/// Effects that change the world and come in another order: each that comes after one that it came
/// before. What only reads may come in any order.
fn reordered(known: &[Effect], asked: &[Asked]) -> Vec<EffectView> {
    let mut last = None;
    let mut found = Vec::new();
    for asked in asked {
        let (Answered::Exactly(place) | Answered::Otherwise(place)) = asked.answered else {
            continue;
        };
        if !known[place].changes_the_world() || asked.effect.function == Function::CallOutcome {
            continue;
        }
        match last {
            Some(before) if place < before => {
                found.push(view(EffectChange::Reordered, &asked.effect, Vec::new(), None));
            }
            _ => last = Some(place),
        }
    }
    found
}

fn argument((before, after): (Option<Value>, Option<Value>)) -> DifferenceView {
    DifferenceView {
        part: Part::Request,
        path: String::new(),
        before: before.map(changes::shown),
        after: after.map(changes::shown),
        ignored: None,
    }
}

fn view(
    kind: EffectChange,
    effect: &Effect,
    changes: Vec<DifferenceView>,
    ignored: Option<String>,
) -> EffectView {
    EffectView {
        kind,
        function: effect.function.name().to_owned(),
        target: effect.target.clone(),
        operation: effect.operation,
        changes,
        ignored,
    }
}
