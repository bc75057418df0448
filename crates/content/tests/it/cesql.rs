//! The conformance kit of CloudEvents SQL: every case of every file.

use std::path::Path;

use nexus_content::{Content, ErrorKind, Expression, Value};
use nexus_model::{Event, Timestamp};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Suite {
    name: String,
    tests: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Case {
    name: String,
    expression: String,
    result: Option<serde_json::Value>,
    error: Option<String>,
    event: Option<serde_json::Map<String, serde_json::Value>>,
    event_overrides: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Case {
    fn event(&self) -> Event {
        let base = serde_json::json!({
            "specversion": "1.0", "id": "kit", "source": "/kit", "type": "kit",
        });
        let mut attributes =
            self.event.clone().unwrap_or_else(|| base.as_object().unwrap().clone());
        attributes.extend(self.event_overrides.clone().unwrap_or_default());
        Event::from_json(&serde_json::to_vec(&attributes).unwrap()).unwrap()
    }

    /// What is wrong, if anything.
    fn check(&self) -> Result<(), String> {
        let expression = match (Expression::parse(&self.expression), self.error.as_deref()) {
            (Err(_), Some("parse")) => return Ok(()),
            (Ok(_), Some("parse")) => return Err("it should not parse".into()),
            (Err(error), _) => return Err(error.to_string()),
            (Ok(expression), _) => expression,
        };
        let event = self.event();
        let found = expression.evaluate(&Content::from(&event));
        let kinds: Vec<&str> = found.errors.iter().map(|error| name_of(error.kind)).collect();
        let expected: Vec<&str> = self.error.as_deref().into_iter().collect();
        if kinds != expected {
            return Err(format!("errors {kinds:?} instead of {expected:?}"));
        }
        match &self.result {
            Some(result) if !same(&found.value, result) => {
                Err(format!("{:?} instead of {result}", found.value))
            }
            _ => Ok(()),
        }
    }
}

fn name_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Math => "math",
        ErrorKind::Cast => "cast",
        ErrorKind::MissingAttribute => "missingAttribute",
        ErrorKind::MissingFunction => "missingFunction",
        ErrorKind::FunctionEvaluation => "functionEvaluation",
    }
}

/// Times are kept as moments in UTC, so a time of the kit is compared as a moment.
fn same(found: &Value, expected: &serde_json::Value) -> bool {
    match (found, expected) {
        (Value::Boolean(found), serde_json::Value::Bool(expected)) => found == expected,
        (Value::Integer(found), expected) => expected.as_i64() == Some(i64::from(*found)),
        (Value::String(found), serde_json::Value::String(expected)) => {
            let moments = (Timestamp::parse(found), Timestamp::parse(expected));
            found == expected || matches!(moments, (Ok(found), Ok(expected)) if found == expected)
        }
        _ => false,
    }
}

#[test]
fn the_conformance_kit_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cesql_tck");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    let (mut cases, mut wrong) = (0, Vec::new());
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let suite: Suite = serde_yaml_ng::from_str(&text).unwrap();
        for case in &suite.tests {
            cases += 1;
            if let Err(why) = case.check() {
                wrong.push(format!("{}: {}: {}: {why}", suite.name, case.name, case.expression));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cases}:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!((files.len(), cases), (18, 275));
}

fn event() -> Event {
    let mut event = Event::new("1", "/s", "com.shop.order");
    event.extensions = vec![("ext".into(), nexus_model::AttributeValue::String("a'b".into()))];
    event
}

#[test]
fn errors_say_where_and_what_was_expected() {
    for (text, expected) in [
        ("", "at character 1: expected a value, an attribute, a function or '(', found the end"),
        (
            "type =",
            "at character 7: expected a value, an attribute, a function or '(', found the end",
        ),
        ("(a", "at character 3: expected ')', found the end"),
        ("a b", "at character 3: expected an operator or the end, found 'b'"),
        (
            "a LIKE 5",
            "at character 8: expected a string literal as the pattern of LIKE, found the integer 5",
        ),
        ("a NOT 5", "at character 7: expected LIKE or IN after NOT, found the integer 5"),
        ("a IN ()", "at character 7: expected a value, an attribute, a function or '(', found ')'"),
        ("EXISTS (a)", "at character 8: expected the name of an attribute after EXISTS, found '('"),
        ("'ä' = 'b", "at character 9: expected the quote that ends the string, found the end"),
        ("a ; b", "at character 3: expected a value, an operator or a bracket, found ';'"),
        (
            "2147483648",
            "at character 1: the integer 2147483648 is outside -2147483648 to 2147483647",
        ),
        (
            "my_attribute = 1",
            "at character 1: expected the name of an attribute (letters and digits), found 'my_attribute'",
        ),
        (
            "abs1(1)",
            "at character 1: expected the name of a function (letters and '_') before '(', found 'abs1'",
        ),
    ] {
        assert_eq!(Expression::parse(text).unwrap_err().to_string(), expected, "{text}");
    }
}

#[test]
fn hostile_texts_are_refused_and_long_chains_are_not() {
    for open in ["(", "NOT ", "-", "ABS(", "1 IN ("] {
        let text = open.repeat(600);
        assert!(Expression::parse(&text).unwrap_err().to_string().contains("64 levels"), "{open}");
    }
    let postfix = format!("1{}", " IN (1)".repeat(500));
    assert!(Expression::parse(&postfix).unwrap_err().to_string().contains("64 levels"));
    assert!(Expression::parse(&"1+".repeat(4096)).unwrap_err().to_string().contains("4096"));
    let chain = format!("TRUE{}", " AND TRUE".repeat(400));
    assert!(Expression::parse(&chain).unwrap().matches(&Content::from(&event())));
}

#[test]
fn what_the_kit_does_not_cover() {
    let event = event();
    for (text, expected) in [
        ("ext = 'a\\'b' AND ext = 'a''b' AND ext = \"a'b\"", Value::Boolean(true)),
        ("TRUE OR FALSE AND FALSE", Value::Boolean(false)),
        ("NOT TRUE OR TRUE", Value::Boolean(true)),
        ("4-1", Value::Integer(3)),
        ("+5 - -5", Value::Integer(10)),
        ("2 + 3 * 4 % 5 = 4", Value::Boolean(true)),
        ("-7 / 2", Value::Integer(-3)),
        ("-7 % 2", Value::Integer(-1)),
        ("-2147483648 % -1", Value::Integer(0)),
        ("TYPE LIKE 'com.shop.%'", Value::Boolean(true)),
        ("1 = '1' AND '1' = 1 AND '01' = 1", Value::Boolean(true)),
        ("CONCAT_WS('-', 1, TRUE, 'x')", Value::String("1-true-x".into())),
    ] {
        let found = Expression::parse(text).unwrap().evaluate(&Content::from(&event));
        assert_eq!((found.value, found.errors), (expected, vec![]), "{text}");
    }
    for (text, expected) in [
        ("2147483647 + 1", Value::Integer(0)),
        ("-2147483648 / -1", Value::Integer(0)),
        ("missing NOT LIKE 'x'", Value::Boolean(false)),
        ("missing NOT IN ('x')", Value::Boolean(false)),
        ("LENGTH(missing)", Value::Integer(0)),
        ("SUBSTRING('abc', 1, -1)", Value::String(String::new())),
        ("nothing(1)", Value::Boolean(false)),
    ] {
        let found = Expression::parse(text).unwrap().evaluate(&Content::from(&event));
        assert_eq!((found.value, found.errors.len()), (expected, 1), "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_parsing_or_evaluating_panic(text in ".{0,60}") {
        if let Ok(expression) = Expression::parse(&text) {
            expression.evaluate(&Content::from(&event()));
        }
    }

    #[test]
    fn no_sequence_of_words_makes_it_panic(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "(", ")", ",", "+", "-", "*", "/", "%", "=", "!=", "<>", "<", "<=", ">", ">=",
                "AND", "or", "XOR", "NOT", "LIKE", "IN", "EXISTS", "TRUE", "type", "ext", "missing",
                "'a%'", "\"_\"", "0", "7", "2147483648", "LENGTH(", "SUBSTRING(", "LEFT(", "ABS(",
            ]),
            0..24,
        ),
    ) {
        if let Ok(expression) = Expression::parse(&words.join(" ")) {
            expression.evaluate(&Content::from(&event()));
        }
    }
}
