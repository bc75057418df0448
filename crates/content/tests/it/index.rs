//! The index agrees with the plain rule, and looks only at those who can match.

use nexus_content::{Content, Index, Selector};
use nexus_model::{AttributeValue, Event};
use proptest::prelude::*;
use serde_json::json;

fn selector(value: serde_json::Value) -> Selector {
    serde_json::from_value(value).unwrap()
}

/// Parts of selectors over so few names and values that many of them match.
fn part() -> impl Strategy<Value = serde_json::Value> {
    let text = || prop::sample::select(vec!["a", "ab", "abc", "b", "5", "05", "true", "TRUE"]);
    let name = || prop::sample::select(vec!["type", "subject", "ext", "other"]);
    let sql = prop_oneof![
        (name(), text()).prop_map(|(name, text)| format!("{name} = '{text}'")),
        (name(), text()).prop_map(|(name, text)| format!("'{text}' = {name}")),
        (name(), text()).prop_map(|(name, text)| format!("{name} LIKE '{text}%'")),
        (name(), text()).prop_map(|(name, text)| format!("{name} NOT LIKE '_{text}'")),
        (name(), text(), text()).prop_map(|(name, a, b)| format!("{name} IN ('{a}', '{b}')")),
        name().prop_map(|name| format!("{name} = 5")),
        name().prop_map(|name| format!("EXISTS {name}")),
    ];
    let sql = (sql.clone(), prop::sample::select(vec!["AND", "OR", "XOR"]), sql.clone(), sql)
        .prop_map(|(a, op, b, c)| json!({"sql": format!("{a} {op} {b} AND {c}")}));
    let leaf = prop_oneof![
        text().prop_map(|text| json!([text])),
        text().prop_map(|text| json!([{"prefix": text}, "b"])),
        Just(json!([5, null])),
        Just(json!([{"exists": false}, "a"])),
        Just(json!([{"anything-but": "a"}])),
    ];
    let data = (leaf.clone(), leaf).prop_flat_map(|(one, two)| {
        prop_oneof![
            Just(json!({"data": {"x": one, "y": {"z": two}}})),
            Just(json!({"data": {"y": {"z": one}}})),
            Just(json!({"data": {"$or": [{"x": one}, {"y": {"z": two}}]}})),
        ]
    });
    let simple = prop_oneof![
        (name(), text()).prop_map(|(name, text)| json!({"exact": {name: text}})),
        (name(), text()).prop_map(|(name, text)| json!({"prefix": {name: text}})),
        (name(), text()).prop_map(|(name, text)| json!({"suffix": {name: text}})),
        sql,
        data,
    ];
    simple.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(|parts| json!({"all": parts})),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|parts| json!({"any": parts})),
            inner.prop_map(|part| json!({"not": part})),
        ]
    })
}

fn any_selector() -> impl Strategy<Value = Selector> {
    let pattern = || {
        prop::option::weighted(0.4, prop::sample::select(vec!["a", "ab", "ab*", "a*", "*", "b"]))
    };
    (pattern(), pattern(), prop::collection::vec(part(), 0..3)).prop_map(|(ty, subject, parts)| {
        let parts: Vec<_> =
            parts.into_iter().map(|part| serde_json::from_value(part).unwrap()).collect();
        Selector {
            ty: ty.map(str::to_owned),
            source: None,
            subject: subject.map(str::to_owned),
            filters: parts,
        }
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    let text = || prop::sample::select(vec!["a", "ab", "abc", "abcd", "b", "5"]);
    let extension = prop_oneof![
        text().prop_map(|text| AttributeValue::String(text.into())),
        Just(AttributeValue::Integer(5)),
        Just(AttributeValue::Boolean(true)),
    ];
    let value =
        prop::sample::select(vec!["\"a\"", "\"ab\"", "5", "5.0", "null", "[\"b\",\"a\"]", "{}"]);
    (text(), prop::option::of(text()), prop::option::of(extension), value.clone(), value).prop_map(
        |(ty, subject, extension, x, z)| {
            let mut event = Event::new("1", "/s", ty);
            event.subject = subject.map(str::to_owned);
            event.extensions =
                extension.map(|value| ("ext".to_owned(), value)).into_iter().collect();
            let data = format!(r#"{{"x":{x},"y":[{{"z":{z}}},{{"w":1}}]}}"#);
            event.data = Some(data.into_bytes().into());
            event
        },
    )
}

proptest! {
    #[test]
    fn it_agrees_with_the_plain_rule(
        selectors in prop::collection::vec(any_selector(), 1..60),
        removed in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        events in prop::collection::vec(any_event(), 1..8),
    ) {
        let compiled: Vec<_> = selectors.iter().map(|at| at.compile().unwrap()).collect();
        let mut index = Index::new();
        let mut kept = std::collections::BTreeMap::new();
        for (key, selector) in compiled.iter().enumerate() {
            index.insert(key % 40, selector.clone());
            kept.insert(key % 40, selector);
        }
        for at in removed {
            let key = at.index(40);
            prop_assert_eq!(index.remove(&key), kept.remove(&key).is_some());
        }
        prop_assert_eq!(index.len(), kept.len());
        for event in &events {
            let content = Content::from(event);
            let plain: Vec<usize> =
                kept.iter().filter(|(_, at)| at.matches(&content)).map(|(key, _)| *key).collect();
            prop_assert_eq!(index.matching(&content), plain);
        }
    }
}

const MANY: usize = 10_000;

fn event(number: usize) -> Event {
    let mut event = Event::new("1", format!("/source/{number}"), format!("type.{number}.x"));
    event.subject = Some(format!("subject/{number}"));
    event.extensions = vec![("tenant".into(), AttributeValue::String(format!("t{number}")))];
    event.data =
        Some(format!(r#"{{"customer":{{"id":{number},"name":"n{number}"}}}}"#).into_bytes().into());
    event
}

/// Fills an index with ten thousand selectors and counts how many are evaluated for one event.
#[track_caller]
fn check(make: impl Fn(usize) -> serde_json::Value) {
    let mut index = Index::new();
    for number in 0..MANY {
        index.insert(number, selector(make(number)).compile().unwrap());
    }
    for number in [0, 77, 4_711, MANY - 1] {
        let event = event(number);
        let content = Content::from(&event);
        assert_eq!(index.matching(&content), [number], "{}", make(number));
        let evaluations = index.evaluations(&content);
        assert!(evaluations <= 16, "{evaluations} evaluations for {}", make(number));
    }
}

#[test]
fn ten_thousand_subscriptions_are_found_by_looking_up() {
    check(|n| json!({"type": format!("type.{n}.x")}));
    check(|n| json!({"type": format!("type.{n}.*")}));
    check(|n| json!({"source": format!("/source/{n}")}));
    check(|n| json!({"subject": format!("subject/{n}")}));
    check(
        |n| json!({"type": "type.*", "filters": [{"exact": {"subject": format!("subject/{n}")}}]}),
    );
    check(|n| json!({"filters": [{"prefix": {"type": format!("type.{n}.")}}]}));
    check(|n| json!({"filters": [{"sql": format!("type = 'type.{n}.x' AND EXISTS subject")}]}));
    check(|n| json!({"filters": [{"sql": format!("EXISTS id AND 'type.{n}.x' = type")}]}));
    check(|n| json!({"filters": [{"sql": format!("tenant IN ('t{n}', 'u{n}')")}]}));
    check(|n| json!({"filters": [{"sql": format!("type LIKE 'type.{n}.%'")}]}));
    check(|n| json!({"filters": [{"sql": format!("subject = 'none{n}' OR tenant = 't{n}'")}]}));
    check(|n| json!({"filters": [{"data": {"customer": {"id": [n]}}}]}));
    check(
        |n| json!({"filters": [{"data": {"customer": {"name": [{"prefix": format!("n{n}")}], "id": [n]}}}]}),
    );
    check(
        |n| json!({"filters": [{"any": [{"exact": {"tenant": format!("t{n}")}}, {"data": {"a": [n]}}]}]}),
    );
}

#[test]
fn a_crowded_place_is_split_by_what_else_is_known() {
    let mut index = Index::new();
    for number in 0..MANY {
        let value = json!({
            "type": "order.created",
            "filters": [{"data": {"customer": {"id": [number]}}}],
        });
        index.insert(number, selector(value).compile().unwrap());
    }
    let mut event = event(4_711);
    let content = Content::from(&event);
    assert_eq!(index.evaluations(&content), 0);
    // Events of other types do not even have their data parsed.
    assert!(!content.is_parsed());
    event.ty = "order.created".into();
    let content = Content::from(&event);
    assert_eq!(index.matching(&content), [4_711]);
    assert_eq!(index.evaluations(&content), 1);
}

#[test]
fn those_without_a_condition_are_always_asked_and_removal_is_complete() {
    let mut index = Index::new();
    for number in 0..1_000 {
        let value = json!({"filters": [{"suffix": {"subject": format!("/{number}")}}]});
        index.insert(number, selector(value).compile().unwrap());
    }
    let event = event(7);
    let content = Content::from(&event);
    assert_eq!((index.matching(&content), index.evaluations(&content)), (vec![7], 1_000));
    for number in 0..1_000 {
        assert!(index.remove(&number) && !index.remove(&number));
    }
    assert!(index.is_empty() && index.matching(&content).is_empty());
    index.insert(3, Selector::default().compile().unwrap());
    assert_eq!(index.matching(&content), [3]);
}

#[test]
fn wrong_selectors_say_where() {
    for (value, expected) in [
        (json!({"type": ""}), "type: the pattern must not be empty: leave it out for any"),
        (json!({"subject": "a*b"}), "subject: '*' may stand at the end only"),
        (json!({"source": "**"}), "source: '*' may stand at the end only"),
        (
            json!({"filters": [{"sql": "TRUE"}, {"exact": {}}]}),
            "filters[1].exact: name at least one attribute",
        ),
    ] {
        assert_eq!(selector(value).compile().unwrap_err().to_string(), expected);
    }
}
