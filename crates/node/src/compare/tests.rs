//! What counts as a difference, by tables.

use bytes::Bytes;
use nexus_exec::journal::{Function, Outcome};
use nexus_exec::rehearsal::{Answered, Asked, Effect, Rehearsed};
use nexus_exec::{CapturedBody, Ended};
use nexus_model::record::{LogLine, Status};
use nexus_model::view::{CompareRules, EffectChange};
use serde_json::{Value, json};

use super::{Rules, changes, effects};

fn ended(body: &str) -> Ended {
    let bytes = Bytes::from(body.to_owned());
    let output = CapturedBody { size: bytes.len() as u64, bytes, ..CapturedBody::default() };
    let status = Status::Succeeded;
    Ended { status, http_status: 200, output, ..Ended::default() }
}

fn rules(value: Value) -> Rules {
    Rules::new(&serde_json::from_value::<CompareRules>(value).unwrap()).unwrap()
}

/// `part path (rule)` of each change.
fn told(before: &Ended, after: &Ended, given: Value) -> Vec<String> {
    let changes = changes::changes(before, after, &rules(given));
    let part = |at: &nexus_model::view::DifferenceView| json!(at.part).as_str().unwrap().to_owned();
    let rule = |at: &nexus_model::view::DifferenceView| match &at.ignored {
        Some(rule) => format!(" ({rule})"),
        None => String::new(),
    };
    changes.iter().map(|at| format!("{} {}{}", part(at), at.path, rule(at))).collect()
}

#[test]
fn ends_differ_by_what_matters() {
    let header =
        |name: &str, value: &str| (name.to_owned(), Bytes::copy_from_slice(value.as_bytes()));
    let line = |text: &str| LogLine { text: text.to_owned(), ..LogLine::default() };
    let base = || ended(r#"{"a":1}"#);
    let none = json!({});
    let table = [
        (base(), none.clone(), vec![]),
        (ended(r#"{ "a": 1 }"#), none.clone(), vec!["output  (the same JSON in other bytes)"]),
        (ended(r#"{"a":2}"#), none.clone(), vec!["output /a"]),
        (ended(r#"{"a":2}"#), json!({ "ignore": ["$.a"] }), vec!["output /a ($.a)"]),
        (ended("text"), none.clone(), vec!["output "]),
        (Ended { http_status: 500, ..base() }, none.clone(), vec!["status http"]),
        (Ended { status: Status::Failed, ..base() }, none.clone(), vec!["status "]),
        (Ended { headers: vec![header("X-A", "1")], ..base() }, none.clone(), vec!["header x-a"]),
        (
            Ended { headers: vec![header("Date", "1")], ..base() },
            json!({ "ignore-headers": ["DATE"] }),
            vec!["header date (header date)"],
        ),
        (Ended { headers: vec![header("connection", "close")], ..base() }, none.clone(), vec![]),
        (Ended { logs: vec![line("hi")], ..base() }, none, vec!["logs /0 (logs)"]),
        (Ended { logs: vec![line("hi")], ..base() }, json!({ "logs": true }), vec!["logs /0"]),
        (Ended { exit_code: Some(1), ..base() }, json!({}), vec!["exit-code "]),
    ];
    for (after, given, expected) in table {
        assert_eq!(told(&base(), &after, given), expected, "{after:?}");
    }
}

fn effect(function: Function, target: &str, details: Value) -> Effect {
    Effect {
        operation: 0,
        function,
        target: target.to_owned(),
        details,
        outcome: Outcome::Done,
        answered: None,
        whole: true,
    }
}

fn rehearsed(
    recorded: Vec<Effect>,
    asked: Vec<(Effect, Answered)>,
    missed: Vec<usize>,
) -> Rehearsed {
    let asked = asked.into_iter().map(|(effect, answered)| Asked { effect, answered }).collect();
    Rehearsed { ended: Ended::default(), asked, recorded, missed }
}

#[test]
fn effects_differ_by_what_changes_the_world() {
    use Answered::{Again, Exactly, New, Otherwise};
    let post = |body: u32| {
        let details = json!({ "headers": [["x-id", "a"]], "body": { "n": body } });
        effect(Function::HttpHandle, "POST https://a/", details)
    };
    let put = |key: &str| effect(Function::StatePut, key, json!({ "value": 1 }));
    let get = |key: &str| effect(Function::StateGet, key, Value::Null);
    let known = vec![post(1), put("k"), get("k")];
    let (exact, kinds) = (
        |at: usize| (known[at].clone(), Exactly(at)),
        |rehearsed: &Rehearsed, given: Value| {
            effects::effects(rehearsed, &rules(given))
                .iter()
                .map(|at| (at.kind, at.ignored.is_some()))
                .collect::<Vec<_>>()
        },
    );
    let all = vec![exact(0), exact(1), exact(2)];
    let none = json!({});
    let same = rehearsed(known.clone(), all.clone(), vec![]);
    assert_eq!(kinds(&same, none.clone()), []);
    let early = rehearsed(known.clone(), vec![exact(2), exact(0), exact(1)], vec![]);
    assert_eq!(kinds(&early, none.clone()), [], "reads may come in any order");
    let swapped = rehearsed(known.clone(), vec![exact(1), exact(0), exact(2)], vec![]);
    assert_eq!(kinds(&swapped, none.clone()), [(EffectChange::Reordered, false)]);
    let less = rehearsed(known.clone(), vec![exact(0), exact(2)], vec![1]);
    assert_eq!(kinds(&less, none.clone()), [(EffectChange::Removed, false)]);
    let mut more = all.clone();
    more.extend([(get("k"), Again(2)), (put("z"), New)]);
    let more = rehearsed(known.clone(), more, vec![]);
    let expected = [(EffectChange::Repeated, true), (EffectChange::Added, false)];
    assert_eq!(kinds(&more, none.clone()), expected);
    let other = rehearsed(known.clone(), vec![(post(2), Otherwise(0)), exact(1), exact(2)], vec![]);
    assert_eq!(kinds(&other, none), [(EffectChange::Changed, false)]);
    assert_eq!(kinds(&other, json!({ "ignore": ["$.n"] })), [(EffectChange::Changed, true)]);
    let found = effects::effects(&other, &rules(json!({})));
    assert_eq!(found[0].changes[0].path, "/body/n");
}
