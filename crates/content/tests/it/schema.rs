//! Schemas: validation, compatibility as tables, inference.

use nexus_content::{Compatibility, Content, Inference, Schema, incompatibilities};
use nexus_model::{Event, limits};
use proptest::prelude::*;
use serde_json::{Value, json};

fn compile(document: &Value) -> Schema {
    Schema::compile(document).unwrap_or_else(|error| panic!("{document}: {error}"))
}

#[test]
fn violations_say_where_and_do_not_quote() {
    let schema = compile(&json!({
        "type": "object",
        "required": ["id"],
        "properties": {
            "id": {"type": "integer"},
            "mail": {"type": "string", "format": "email"},
            "items": {"type": "array", "items": {"type": "number", "minimum": 0}},
        },
        "additionalProperties": false,
    }));
    assert_eq!(schema.violations(&json!({"id": 1, "mail": "a@b.example", "items": [1, 2.5]})), []);
    let value = json!({"mail": "secret", "items": [1, -7, "x"], "more": 1});
    let found = schema.violations(&value);
    let paths: Vec<&str> = found.iter().map(|violation| violation.path.as_str()).collect();
    for path in ["", "/mail", "/items/1", "/items/2"] {
        assert!(paths.contains(&path), "{found:?}");
    }
    assert!(found.iter().all(|violation| !violation.message.contains("secret")), "{found:?}");
    assert!(found.iter().any(|violation| violation.message.contains("\"id\"")), "{found:?}");
}

#[test]
fn the_number_of_violations_is_limited() {
    let schema = compile(&json!({"items": {"type": "string"}}));
    let values = |count: usize| Value::from(vec![1; count]);
    assert_eq!(schema.violations(&values(100)).len(), limits::SCHEMA_ERRORS_MAX);
    assert_eq!(schema.violations(&values(20_000)).len(), 1);
}

#[test]
fn data_that_is_no_json_breaks_every_schema() {
    let schema = compile(&json!(true));
    let mut event = Event::new("1", "/s", "t");
    let messages = |event: &Event| -> Vec<String> {
        schema.check(&Content::from(event)).into_iter().map(|at| at.message).collect()
    };
    assert_eq!(messages(&event), ["the event has no data"]);
    event.data = Some(bytes::Bytes::from_static(b"{"));
    assert_eq!(messages(&event), ["the data is not JSON"]);
    event.data = Some(bytes::Bytes::from_static(b"{}"));
    assert!(messages(&event).is_empty());
}

#[test]
fn schemas_that_are_refused() {
    let deep = (0..80).fold(json!({}), |inner, _| json!({"not": inner}));
    let wide = json!({"enum": vec!["x".repeat(1000); 300]});
    let doubling: serde_json::Map<String, Value> = (0..40)
        .map(|at| {
            let next = json!({"$ref": format!("#/$defs/d{}", at + 1)});
            (format!("d{at}"), json!({"allOf": [next, next]}))
        })
        .chain([("d40".to_owned(), json!({}))])
        .collect();
    let branch = json!({"properties": {"a": {"$ref": "#"}}});
    for (document, expected) in [
        (json!(5), "/: a schema is an object, true or false"),
        (json!({"type": "strng"}), "/type: "),
        (
            json!({"$schema": "http://json-schema.org/draft-07/schema#"}),
            "/$schema: 'http://json-schema.org/draft-07/schema#' is not supported",
        ),
        (
            json!({"properties": {"a": {"$ref": "https://example.com/x"}}}),
            "/properties/a/$ref: a reference must lead to a part of this document",
        ),
        (json!({"$ref": "#/$defs/x"}), "/$ref: a reference must lead"),
        (json!({"$dynamicRef": "#x"}), "/$dynamicRef: it is not supported"),
        (json!({"$defs": {"a": {"$id": "https://example.com/x"}}}), "/$defs/a/$id: only the root"),
        (json!({"$ref": "#"}), "/: it refers to itself"),
        (
            json!({"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}, "items": {"$ref": "#/$defs/a"}}),
            "/items",
        ),
        (json!({"pattern": "(a)\\1"}), "/"),
        (json!({"pattern": "(?=a)b"}), "/"),
        (deep, "/not/not"),
        (wide, "the schema has"),
        (json!({"$ref": "#/$defs/d0", "$defs": doubling}), "/"),
        (json!({"anyOf": [branch, branch]}), "/"),
    ] {
        let error = Schema::compile(&document).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{document}: {error}");
    }
}

#[test]
fn recursive_schemas_that_do_not_multiply_are_fine() {
    let tree = compile(&json!({
        "$ref": "#/$defs/node",
        "$defs": {"node": {
            "type": "object",
            "properties": {
                "left": {"$ref": "#/$defs/node"},
                "right": {"$ref": "#/$defs/node"},
                "children": {"items": {"$ref": "#/$defs/node"}},
            },
            "additionalProperties": {"type": "integer"},
        }},
    }));
    assert_eq!(tree.violations(&json!({"left": {"right": {"n": 1}}, "children": [{}]})), []);
    let found = tree.violations(&json!({"left": {"right": {"n": "x"}}}));
    assert_eq!(found[0].path, "/left/right/n");
    // The deepest data that is parsed at all.
    let deep = format!("{}{{\"n\":1}}{}", "{\"left\":".repeat(120), "}".repeat(120));
    assert_eq!(tree.violations(&serde_json::from_str(&deep).unwrap()), []);
    let deep = deep.replace("1", "\"x\"");
    assert_eq!(tree.violations(&serde_json::from_str(&deep).unwrap()).len(), 1);
}

fn object(properties: Value) -> Value {
    json!({"type": "object", "properties": properties})
}

fn closed(properties: Value) -> Value {
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

/// Old, new, and whether the new version can read data of the old one.
fn table() -> Vec<(Value, Value, bool)> {
    let string = json!({"type": "string"});
    let integer = json!({"type": "integer"});
    let number = json!({"type": "number"});
    let required = |names: &[&str], properties: Value| json!({"type": "object", "properties": properties, "required": names});
    vec![
        (json!({}), json!({}), true),
        (json!({}), json!(true), true),
        (string.clone(), json!({}), true),
        (json!({}), string.clone(), false),
        (json!(false), string.clone(), true),
        (string.clone(), json!(false), false),
        // Types.
        (integer.clone(), number.clone(), true),
        (number.clone(), integer.clone(), false),
        (string.clone(), json!({"type": ["string", "null"]}), true),
        (json!({"type": ["string", "null"]}), string.clone(), false),
        (string.clone(), integer.clone(), false),
        // Annotations do not matter.
        (
            string.clone(),
            json!({"type": "string", "title": "t", "description": "d", "default": "x"}),
            true,
        ),
        // Properties: open, closed, partly open.
        (object(json!({})), object(json!({"a": string})), false),
        (object(json!({})), object(json!({"a": {}})), true),
        (object(json!({"a": string})), object(json!({})), true),
        (closed(json!({})), closed(json!({"a": string})), true),
        (closed(json!({"a": string})), closed(json!({})), false),
        (closed(json!({"a": false})), closed(json!({})), true),
        (closed(json!({"a": string})), object(json!({"a": string})), true),
        (object(json!({"a": string})), closed(json!({"a": string})), false),
        (
            json!({"additionalProperties": string}),
            json!({"properties": {"a": string}, "additionalProperties": string}),
            true,
        ),
        (
            json!({"additionalProperties": string}),
            json!({"properties": {"a": integer}, "additionalProperties": string}),
            false,
        ),
        (
            json!({"properties": {"a": string}, "additionalProperties": string}),
            json!({"additionalProperties": string}),
            true,
        ),
        (
            json!({"properties": {"a": integer}, "additionalProperties": string}),
            json!({"additionalProperties": string}),
            false,
        ),
        (object(json!({"a": integer})), object(json!({"a": number})), true),
        (object(json!({"a": number})), object(json!({"a": integer})), false),
        // Required.
        (required(&["a"], json!({})), required(&[], json!({})), true),
        (required(&[], json!({"a": string})), required(&["a"], json!({"a": string})), false),
        (
            required(&[], json!({"a": {"type": "string"}})),
            required(&["a"], json!({"a": {"type": "string", "default": ""}})),
            true,
        ),
        (json!({"dependentRequired": {"a": ["b"]}}), json!({}), true),
        (json!({}), json!({"dependentRequired": {"a": ["b"]}}), false),
        (
            json!({"patternProperties": {"^x": integer}}),
            json!({"patternProperties": {"^x": number}}),
            true,
        ),
        (
            json!({"patternProperties": {"^x": number}}),
            json!({"patternProperties": {"^x": integer}}),
            false,
        ),
        (
            json!({"type": "object"}),
            json!({"type": "object", "patternProperties": {"^x": integer}}),
            false,
        ),
        // Bounds.
        (
            json!({"type": "string", "maxLength": 5}),
            json!({"type": "string", "maxLength": 9}),
            true,
        ),
        (
            json!({"type": "string", "maxLength": 9}),
            json!({"type": "string", "maxLength": 5}),
            false,
        ),
        (json!({"type": "string", "minLength": 1}), json!({"type": "string"}), true),
        (string.clone(), json!({"type": "string", "minLength": 1}), false),
        (string.clone(), json!({"type": "string", "minLength": 0}), true),
        (json!({"minimum": 1}), json!({"minimum": 0}), true),
        (json!({"minimum": 0}), json!({"minimum": 1}), false),
        (json!({"exclusiveMaximum": 1}), json!({"exclusiveMaximum": 2}), true),
        (json!({"maximum": 2}), json!({"maximum": 1}), false),
        (json!({"multipleOf": 10}), json!({"multipleOf": 5}), true),
        (json!({"multipleOf": 5}), json!({"multipleOf": 10}), false),
        (json!({"enum": [1, 2]}), json!({"minimum": 1}), true),
        (json!({"enum": [1, 2]}), json!({"minimum": 2}), false),
        // Texts.
        (json!({"pattern": "a"}), string.clone(), false),
        (json!({"type": "string", "pattern": "a"}), string.clone(), true),
        (string.clone(), json!({"type": "string", "pattern": "a"}), false),
        (json!({"type": "string", "format": "uuid"}), string.clone(), true),
        (string.clone(), json!({"type": "string", "format": "uuid"}), false),
        // Values.
        (json!({"enum": ["a"]}), json!({"enum": ["a", "b"]}), true),
        (json!({"enum": ["a", "b"]}), json!({"enum": ["a"]}), false),
        (json!({"const": "a"}), json!({"enum": ["a", "b"]}), true),
        (string.clone(), json!({"type": "string", "enum": ["a"]}), false),
        (json!({"enum": ["a"]}), string.clone(), true),
        (json!({"enum": ["a", 1]}), string.clone(), false),
        // Arrays.
        (
            json!({"type": "array", "items": integer}),
            json!({"type": "array", "items": number}),
            true,
        ),
        (
            json!({"type": "array", "items": number}),
            json!({"type": "array", "items": integer}),
            false,
        ),
        (json!({"type": "array"}), json!({"type": "array", "items": integer}), false),
        (json!({"type": "array", "uniqueItems": true}), json!({"type": "array"}), true),
        (json!({"type": "array"}), json!({"type": "array", "uniqueItems": true}), false),
        (
            json!({"prefixItems": [integer], "items": false}),
            json!({"prefixItems": [integer, string], "items": false}),
            true,
        ),
        (
            json!({"prefixItems": [integer, string], "items": false}),
            json!({"prefixItems": [integer], "items": false}),
            false,
        ),
        (json!({"type": "array", "maxItems": 3}), json!({"type": "array", "maxItems": 4}), true),
        // Alternatives.
        (json!({"oneOf": [string]}), json!({"oneOf": [string, integer]}), true),
        (json!({"oneOf": [string, integer]}), json!({"oneOf": [string]}), false),
        (json!({"anyOf": [string, integer]}), json!({"type": ["integer", "string"]}), true),
        (string.clone(), json!({"anyOf": [integer, string]}), true),
        (string.clone(), json!({"anyOf": [integer, number]}), false),
        (
            json!({"anyOf": [string, integer]}),
            json!({"anyOf": [string, integer], "minLength": 1}),
            false,
        ),
        (json!({"allOf": [string, {"minLength": 1}]}), json!({"allOf": [string]}), true),
        (json!({"allOf": [string]}), json!({"allOf": [string, {"minLength": 1}]}), false),
        (string.clone(), json!({"not": {"const": "a"}}), false),
        (json!({"not": {"const": "a"}}), json!({"not": {"const": "a"}}), true),
        // References.
        (
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "integer"}}}),
            json!({"$ref": "#/$defs/b", "$defs": {"b": {"type": "number"}}}),
            true,
        ),
        (
            json!({"properties": {"x": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "number"}}}),
            json!({"properties": {"x": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "integer"}}}),
            false,
        ),
        (
            json!({"properties": {"next": {"$ref": "#"}, "n": {"type": "integer"}}}),
            json!({"properties": {"next": {"$ref": "#"}, "n": {"type": "number"}}}),
            true,
        ),
    ]
}

#[test]
fn a_new_version_reads_data_of_an_old_one() {
    let mut wrong = Vec::new();
    for (old, new, expected) in table() {
        let (old, new) = (compile(&old), compile(&new));
        let found = incompatibilities(Compatibility::Backward, &new, &[&old]);
        if found.is_empty() != expected {
            wrong.push(format!("{} -> {}: {found:?}", old.document(), new.document()));
        }
        // Forward is the same question with the versions exchanged, full is both.
        let forward = incompatibilities(Compatibility::Forward, &old, &[&new]);
        assert_eq!(forward.len(), found.len());
        let back = incompatibilities(Compatibility::Backward, &old, &[&new]);
        let full = incompatibilities(Compatibility::Full, &new, &[&old]);
        assert_eq!(full.len(), found.len() + back.len());
        assert!(incompatibilities(Compatibility::None, &new, &[&old]).is_empty());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn reasons_say_where_and_which_version() {
    let first = compile(&closed(json!({"a": {"type": "string"}, "b": {"type": "integer"}})));
    let second = compile(&closed(json!({"a": {"type": "string"}})));
    let new = compile(&json!({
        "type": "object", "required": ["a"],
        "properties": {"a": {"type": "string", "maxLength": 3}}, "additionalProperties": false,
    }));
    let found = incompatibilities(Compatibility::Backward, &new, &[&first, &second]);
    let lines: Vec<String> =
        found.iter().map(|at| format!("{} {}: {}", at.version, at.path, at.reason)).collect();
    assert_eq!(
        lines,
        [
            "0 /required: 'a' is required now, without a default",
            "0 /properties/a/maxLength: 'maxLength' was added",
            "0 /properties/b: the property was removed, and no others are allowed",
            "1 /required: 'a' is required now, without a default",
            "1 /properties/a/maxLength: 'maxLength' was added",
        ]
    );
}

/// Small schemas that differ in few ways, so that pairs of them are often compatible.
fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({})),
        prop::sample::subsequence(vec!["integer", "number", "string", "null"], 1..3)
            .prop_map(|types| json!({ "type": types })),
        (0..4_i64).prop_map(|bound| json!({"type": "integer", "minimum": bound})),
        (0..3_u64).prop_map(|bound| json!({"type": "string", "maxLength": bound})),
        prop::sample::subsequence(vec![json!("a"), json!("b"), json!(1)], 1..3)
            .prop_map(|values| json!({ "enum": values })),
    ];
    leaf.prop_recursive(2, 12, 3, |inner| {
        let properties =
            prop::collection::btree_map(prop::sample::select(vec!["a", "b"]), inner.clone(), 0..3);
        let others = prop_oneof![Just(json!(true)), Just(json!(false)), inner.clone()];
        let required = prop::sample::subsequence(vec!["a", "b"], 0..2);
        prop_oneof![
            (properties, others, required).prop_map(|(properties, others, required)| json!({
                "type": "object", "properties": properties, "additionalProperties": others,
                "required": required,
            })),
            (inner.clone(), inner.clone()).prop_map(
                |(one, two)| json!({"type": "array", "prefixItems": [one], "items": two})
            ),
            (inner.clone(), inner.clone()).prop_map(|(one, two)| json!({"anyOf": [one, two]})),
            (inner.clone(), inner).prop_map(|(one, two)| json!({"allOf": [one, two]})),
        ]
    })
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        (-1..5_i64).prop_map(Value::from),
        Just(json!(1.5)),
        prop::sample::select(vec!["", "a", "b", "abc", "2026-01-31", "c@d.example"])
            .prop_map(Value::from),
        "[a-z0-9:.@-]{0,12}".prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON has no such numbers", |float| float.is_finite())
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c"]), inner, 0..3)
                .prop_map(|fields| json!(fields)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_called_compatible_is_readable(
        old in any_schema(), new in any_schema(), values in prop::collection::vec(any_value(), 1..12),
    ) {
        let (old, new) = (compile(&old), compile(&new));
        if incompatibilities(Compatibility::Backward, &new, &[&old]).is_empty() {
            for value in values {
                if old.violations(&value).is_empty() {
                    prop_assert_eq!(new.violations(&value), vec![], "{}", value);
                }
            }
        }
    }

    #[test]
    fn every_schema_is_compatible_with_itself(schema in any_schema()) {
        let schema = compile(&schema);
        prop_assert_eq!(incompatibilities(Compatibility::Full, &schema, &[&schema]), vec![]);
    }

    #[test]
    fn every_sample_is_valid_for_what_is_inferred(
        samples in prop::collection::vec(any_value(), 1..20),
    ) {
        let mut inference = Inference::new();
        samples.iter().for_each(|sample| inference.add(sample));
        let schema = compile(&inference.schema());
        for sample in &samples {
            prop_assert_eq!(schema.violations(sample), vec![], "{} for {}", sample, schema.document());
        }
    }
}

#[test]
fn what_is_inferred() {
    let mut inference = Inference::new();
    for number in 0..20 {
        inference.add(&json!({
            "id": format!("0190163d-8694-739b-aea5-966c26f8ad{number:02}"),
            "at": format!("2026-11-26T10:00:{number:02}Z"),
            "state": if number % 2 == 0 { "open" } else { "closed" },
            "name": format!("name {number}"),
            "total": if number == 3 { json!(1.5) } else { json!(number) },
            "count": number,
            "note": if number == 0 { Value::Null } else { json!("text of some length, all different") },
            "items": [{"sku": "a"}, {"sku": "b", "price": 1}],
        }));
    }
    inference.add(&json!({
        "id": "0190163d-8694-739b-aea5-966c26f8ad99", "at": "2026-11-26T10:00:00+01:00",
        "state": "open", "total": 1, "count": 1, "note": null, "items": [], "name": "x",
        "mail": "ann@example.com",
    }));
    let expected = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "at": {"type": "string", "format": "date-time"},
            "count": {"type": "integer"},
            "id": {"type": "string", "format": "uuid"},
            "items": {"type": "array", "items": {
                "type": "object",
                "properties": {
                    "price": {"type": "integer"},
                    "sku": {"type": "string", "enum": ["a", "b"]},
                },
                "required": ["sku"],
            }},
            "mail": {"type": "string", "format": "email"},
            "name": {"type": "string"},
            "note": {"type": ["null", "string"]},
            "state": {"type": "string", "enum": ["closed", "open"]},
            "total": {"type": "number"},
        },
        "required": ["at", "count", "id", "items", "name", "note", "state", "total"],
    });
    assert_eq!(inference.schema(), expected);
}

#[test]
fn inference_is_bounded() {
    let mut inference = Inference::new();
    let mut samples = Vec::new();
    for number in 0..2_000 {
        samples.push(json!({ format!("k{number}"): { format!("m{number}"): [number] } }));
    }
    samples.push((0..60).fold(json!(1), |inner, _| json!([{"a": inner}])));
    samples.iter().for_each(|sample| inference.add(sample));
    let schema = inference.schema();
    assert!(schema.to_string().len() < limits::SCHEMA_BYTES_MAX);
    let properties = schema["properties"].as_object().map_or(0, serde_json::Map::len);
    assert!(properties <= limits::INFERRED_PROPERTIES_MAX && properties > 100);
    let schema = compile(&schema);
    assert!(samples.iter().all(|sample| schema.violations(sample).is_empty()));
}
