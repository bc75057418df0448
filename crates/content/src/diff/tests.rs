//! Documents by tables, and properties.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{DiffRules, DiffRulesError, differences};

fn shown(before: &Value, after: &Value, rules: &DiffRules) -> Vec<String> {
    let text = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_string);
    differences(before, after, rules)
        .iter()
        .map(|at| {
            let rule = at.ignored.as_ref().map_or(String::new(), |rule| format!(" ({rule})"));
            format!("{} {} {}{rule}", at.path, text(&at.before), text(&at.after))
        })
        .collect()
}

#[test]
fn what_differs_is_named() {
    let table = [
        (json!(1), json!(1), vec![]),
        (json!(1), json!("1"), vec![" 1 \"1\""]),
        (json!({ "a": 1, "b": 2 }), json!({ "b": 2, "a": 1 }), vec![]),
        (json!({ "a": 1 }), json!({ "b": 1 }), vec!["/a 1 -", "/b - 1"]),
        (json!({ "a": { "b": [1, 2] } }), json!({ "a": { "b": [1, 3] } }), vec!["/a/b/1 2 3"]),
        (json!([1, 2, 3, 4]), json!([1, 3, 4]), vec!["/1 2 -"]),
        (json!([1, 3, 4]), json!([1, 2, 3, 4]), vec!["/1 - 2"]),
        (json!([{ "x": 1 }, 5]), json!([{ "x": 2 }, 5, 6]), vec!["/0/x 1 2", "/2 - 6"]),
        (json!({ "a/b": 1, "~": 2 }), json!({ "a/b": 3, "~": 4 }), vec!["/a~1b 1 3", "/~0 2 4"]),
        (json!(null), json!({}), vec![" null {}"]),
    ];
    for (before, after, expected) in table {
        assert_eq!(shown(&before, &after, &DiffRules::default()), expected, "{before} {after}");
    }
}

#[test]
fn rules_say_what_does_not_matter() {
    let rules = |paths: &[&str], timestamps, ids| {
        let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
        DiffRules::new(&paths, timestamps, ids).unwrap()
    };
    let before = json!({
        "at": "2026-01-01T00:00:00Z", "id": "0192f3a1-1111-7abc-8def-001122334455",
        "items": [{ "id": "a", "n": 1 }, { "id": "b", "n": 2 }], "gone": { "x": 1 },
    });
    let after = json!({
        "at": "2026-02-01T00:00:00.5+01:00", "id": "0192f3a1-2222-7abc-8def-001122334455",
        "items": [{ "id": "c", "n": 1 }, { "id": "d", "n": 3 }],
    });
    let table = [
        (rules(&["$.items[*].id", "$.gone"], true, true), vec!["/items/1/n 2 3"]),
        (rules(&["$..id", "$.at", "$.gone"], false, false), vec!["/items/1/n 2 3"]),
        (rules(&["$.items"], true, true), vec!["/gone {\"x\":1} -"]),
        (rules(&["$"], false, false), vec![]),
    ];
    for (rules, expected) in table {
        let found = differences(&before, &after, &rules);
        let counts = found.iter().filter(|at| at.ignored.is_none());
        let text = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_string);
        let counts: Vec<String> = counts
            .map(|at| format!("{} {} {}", at.path, text(&at.before), text(&at.after)))
            .collect();
        assert_eq!(counts, expected, "{rules:?}");
        assert!(found.iter().any(|at| at.ignored.is_some()));
    }
}

#[test]
fn ids_and_times_are_known_by_their_form() {
    let rules = DiffRules::new(&[], true, true).unwrap();
    let table = [
        ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", true),
        ("2026-01-01T00:00:00Z", "tomorrow", false),
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "01BX5ZZKBKACTAV9WEVGEMMVRZ", true),
        ("order_9f86d081884c7d65", "order_a3f5d081884c7d65", true),
        ("evt_9f86d081884c7d659a2feaa0c55ad015", "evt_a3f5d081884c7d659a2feaa0c55ad015", true),
        ("abc", "abd", false),
        ("hello-world-12", "hello-world-13", false),
        ("12345", "12346", false),
    ];
    for (before, after, same) in table {
        let found = differences(&json!(before), &json!(after), &rules);
        assert_eq!(found[0].ignored.is_some(), same, "{before} {after}");
    }
}

#[test]
fn rules_that_cannot_be_read_say_why() {
    let error = DiffRules::new(&["items".to_owned()], false, false).unwrap_err();
    assert!(matches!(&error, DiffRulesError::Path { path, .. } if path == "items"), "{error}");
    let many = vec!["$.a".to_owned(); 1_000];
    assert_eq!(DiffRules::new(&many, false, false).unwrap_err(), DiffRulesError::TooMany);
}

#[test]
fn what_was_taken_out_of_an_element_that_moved_is_found_where_it_was() {
    let (before, after) = (json!([0, [null], false]), json!([null, 0, []]));
    let found = differences(&before, &after, &DiffRules::default());
    let gone: Vec<_> = found.iter().filter(|at| at.after.is_none()).collect();
    assert!(gone.iter().any(|at| at.path == "/1/0"), "{found:?}");
    for at in gone {
        assert_eq!(before.pointer(&at.path), at.before.as_ref());
    }
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0i64..5).prop_map(Value::from),
        "[a-c/~]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-c/~]{0,2}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn equal_documents_and_only_they_have_no_differences(a in document(), b in document()) {
        let rules = DiffRules::default();
        prop_assert!(differences(&a, &a, &rules).is_empty());
        prop_assert_eq!(differences(&a, &b, &rules).is_empty(), a == b);
    }

    #[test]
    fn differences_point_at_what_is_there(a in document(), b in document()) {
        for at in differences(&a, &b, &DiffRules::default()) {
            if let Some(after) = &at.after {
                prop_assert_eq!(b.pointer(&at.path), Some(after));
            } else {
                prop_assert_eq!(a.pointer(&at.path), at.before.as_ref());
            }
        }
    }
}
