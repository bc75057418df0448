//! The committed OpenAPI document is the one that the code makes. `UPDATE_EXPECT=1` writes it anew.

use expect_test::expect_file;
use serde_json::Value;

#[test]
fn the_committed_document_is_current() {
    let mut text = serde_json::to_string_pretty(&nexus_gateway::openapi()).unwrap();
    text.push('\n');
    expect_file!["../../../../openapi/v1.json"].assert_eq(&text);
}

#[test]
fn every_reference_has_its_target() {
    let document = nexus_gateway::openapi();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                references.push(reference.clone());
            }
            fields.values().for_each(|value| collect(value, references));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}
