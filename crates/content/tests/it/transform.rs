//! Transformations: what they make, and what is refused with which words.

use nexus_content::{Content, Transformation};
use nexus_model::{AttributeValue, Event};
use proptest::prelude::*;
use serde_json::{Value, json};

fn event() -> Event {
    let mut event = Event::new("1", "/shop", "order.created");
    event.extensions = vec![("tenant".into(), AttributeValue::String("acme".into()))];
    let data = json!({
        "customer": {"id": 42, "name": "Ann", "secret": "x"},
        "currency": "EUR",
        "items": [{"sku": "a", "price": 5, "count": 2}, {"sku": "b", "price": 2.5, "count": 4}],
        "text": "a,b,c",
    });
    event.data = Some(data.to_string().into_bytes().into());
    event
}

fn apply(text: &str) -> Result<Value, String> {
    let transformation = Transformation::parse(text).map_err(|error| error.to_string())?;
    transformation.apply(&Content::from(&event())).map_err(|error| error.to_string())
}

#[test]
fn what_expressions_make() {
    for (text, expected) in [
        (".data.customer.id", json!(42)),
        (
            "{id: .data.customer.id, type, tenant}",
            json!({"id": 42, "type": "order.created", "tenant": "acme"}),
        ),
        (
            ".data | del(.customer.secret, .items, .text)",
            json!({"customer": {"id": 42, "name": "Ann"}, "currency": "EUR"}),
        ),
        ("[.data.items[] | .price * .count]", json!([10, 10.0])),
        (".data.items | map(.price * .count) | add", json!(20.0)),
        (
            ".data.currency as $c | .data.items | map({sku, currency: $c})",
            json!([{"sku": "a", "currency": "EUR"}, {"sku": "b", "currency": "EUR"}]),
        ),
        (".data.items | map(select(.price > 3)) | length", json!(1)),
        (".data.text | split(\",\") | join(\"-\")", json!("a-b-c")),
        ("\"\\(.data.customer.name) (\\(.data.customer.id))\"", json!("Ann (42)")),
        ("if .tenant == \"acme\" then {a: 1} elif true then 2 else 3 end", json!({"a": 1})),
        (".data.nothing // \"none\"", json!("none")),
        (".data.customer | to_entries | map(.key)", json!(["id", "name", "secret"])),
        (
            ".data.customer | with_entries(select(.key != \"secret\"))",
            json!({"id": 42, "name": "Ann"}),
        ),
        (".data | .customer.name |= ascii_upcase | .customer.name", json!("ANN")),
        (".data.customer | .id += 1 | .id", json!(43)),
        (".data.items | sort_by(.price) | .[0].sku", json!("b")),
        (".data.items | group_by(.sku) | map(length)", json!([1, 1])),
        (".data.items[1:] | first.sku", json!("b")),
        ("[range(0; 3)]", json!([0, 1, 2])),
        ("first(.data.items[] | .sku)", json!("a")),
        ("any(.data.items[]; .price > 3)", json!(true)),
        ("\"12\" | tonumber", json!(12)),
        ("\"[1, {\\\"a\\\": 2}]\" | fromjson | .[1].a", json!(2)),
        (".data.customer | tojson | length", json!(35)),
        ("try error(\"x\") catch .", json!("x")),
        (".data.customer * {id: 7} | .id", json!(7)),
        ("[.data.items[] | .sku as $s | $s]", json!(["a", "b"])),
        (".data.items as [$first, {sku: $second}] | [$first.sku, $second]", json!(["a", "b"])),
        ("-(1) + 3 % 2 - 1", json!(-1)),
        ("[1, [2, [3]]] | flatten", json!([1, 2, 3])),
        // Only the first output counts.
        (".data.items[].sku", json!("a")),
    ] {
        assert_eq!(apply(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_not_allowed_is_named() {
    for (text, expected) in [
        ("..", "'..' is not allowed: it visits everything; name the parts you need"),
        ("def f: f; f", "'def' is not allowed"),
        (
            "reduce .data.items[] as $x (0; . + 1)",
            "'reduce' is not allowed: use map, add, group_by, any or all",
        ),
        ("foreach .data.items[] as $x (0; . + 1)", "'foreach' is not allowed"),
        ("label $out | 1, break $out", "'label' and 'break' is not allowed"),
        ("[repeat(1)]", "the function 'repeat' is not allowed"),
        ("while(true; .)", "the function 'while' is not allowed"),
        ("until(false; .)", "the function 'until' is not allowed"),
        ("recurse(.)", "the function 'recurse' is not allowed"),
        ("input", "the function 'input' is not allowed: an expression sees one event"),
        ("env", "the function 'env' is not allowed: an expression sees no environment"),
        ("$ENV", "$ENV is not allowed: an expression sees the event only"),
        ("now", "the function 'now' is not allowed"),
        ("halt", "the function 'halt' is not allowed"),
        ("debug", "the function 'debug' is not allowed"),
        ("[range(.data.n)]", "this 'range' is not allowed: its bounds are numbers written here"),
        ("[range(0; 1e9)]", "this 'range' is not allowed"),
        ("[range(0; 10; 0)]", "there is no function 'range' with 3 arguments"),
        (
            ".data.text | test(\"a\")",
            "the function 'test' is not allowed: regular expressions are left out",
        ),
        (".data.a *= 2", "'*=' is not allowed: write .a |= . * 2"),
        ("(.data.a, .data.a) |= . + .", "',' on the left side of an update is not allowed"),
        ("@base64 \"x\"", "@base64 is not allowed"),
        ("lenght", "there is no function 'lenght'; did you mean 'length'?"),
        ("$nothing", "there is no variable '$nothing'"),
        (".data.[", "at character"),
        ("{a: 1", "at character"),
        ("", "at character 1: expected"),
        ("nexus_product(1; 2)", "there is no function 'nexus_product'"),
    ] {
        let error = apply(text).unwrap_err();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}

#[test]
fn growth_without_bound_is_refused_before_it_runs() {
    let doubling = vec![". + ."; 40].join(" | ");
    let branching = vec!["(., .)"; 40].join(" | ");
    let product = format!("[{}] | length", vec!["(1, 2)"; 40].join(" + "));
    let quoting = vec!["tojson"; 40].join(" | ");
    let loops = "[.data.items[] as $a | .data.items[] as $b | .data.items[] as $c | $a, $b, $c]";
    for text in [&doubling, &branching, &product, &quoting, loops] {
        let error = apply(text).unwrap_err();
        assert!(error.contains("could touch more than 500000000 bytes"), "{text}: {error}");
    }
    // Values that only share their parts cost nothing until somebody looks at all of them.
    let shared = vec!["[., .]"; 40].join(" | ");
    assert_eq!(apply(&shared).unwrap_err(), "the output has more than 1048576 bytes");
    assert!(apply(&format!("{shared} | tojson")).unwrap_err().contains("could touch"));
    // One loop inside another is allowed, until the event is large.
    let squared = Transformation::parse("[.data[] as $a | .data[] | [$a, .]]").unwrap();
    let mut event = event();
    event.data = Some(format!("[{}1]", "1,".repeat(9)).into_bytes().into());
    let made = squared.apply(&Content::from(&event)).unwrap();
    assert_eq!(made.as_array().map(Vec::len), Some(100));
    event.data = Some(format!("[{}1]", "1,".repeat(50_000)).into_bytes().into());
    assert!(squared.apply(&Content::from(&event)).unwrap_err().to_string().contains("could touch"));
    for text in ["\"x\" * 1000000000", ".data.text * 5", "5 * .data.text"] {
        assert!(apply(text).unwrap_err().contains("multiplies two numbers"), "{text}");
    }
}

#[test]
fn failures_of_one_event_are_told() {
    for (text, expected) in [
        (".data.customer.id.deeper", "the expression failed: "),
        ("empty", "the expression yields no value"),
        ("error(\"no order\")", "the expression failed: no order"),
        ("1 / 0", "the expression failed: the output has a number that JSON cannot hold"),
        ("{(1): 2}", "the expression failed: "),
        ("\"x\" | tonumber", "the expression failed: cannot read this as a number"),
    ] {
        let error = apply(text).unwrap_err();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
    let mut event = event();
    event.data = Some(format!("\"{}\"", "x".repeat(400_000)).into_bytes().into());
    let larger = Transformation::parse("[.data, .data, .data]").unwrap();
    let error = larger.apply(&Content::from(&event)).unwrap_err().to_string();
    assert_eq!(error, "the output has more than 1048576 bytes");
}

#[test]
fn data_of_other_kinds_can_be_read() {
    let mut event = event();
    let data = Transformation::parse("[.data, .data_base64, .datacontenttype]").unwrap();
    event.datacontenttype = Some("text/plain".into());
    event.data = Some(bytes::Bytes::from_static(b"hello"));
    assert_eq!(data.apply(&Content::from(&event)), Ok(json!(["hello", null, "text/plain"])));
    event.data = Some(bytes::Bytes::from_static(&[0xff]));
    assert_eq!(data.apply(&Content::from(&event)), Ok(json!([null, "/w==", "text/plain"])));
    event.data = None;
    assert_eq!(data.apply(&Content::from(&event)), Ok(json!([null, null, "text/plain"])));
}

#[test]
fn hostile_texts_do_not_exhaust_the_stack() {
    for text in [
        "(".repeat(4_000),
        "[".repeat(4_000),
        "-".repeat(4_000),
        "- ".repeat(2_000),
        "try ".repeat(1_000),
        "if ".repeat(1_300),
        "{a:".repeat(1_300),
        "\"\\(".repeat(1_300),
        format!("{}1", "1|".repeat(2_000)),
        format!("{}1", "1,".repeat(2_000)),
        format!("{}1", "1+".repeat(2_000)),
        format!("{}1", "1//".repeat(1_300)),
        format!("{}1", "1as$a|".repeat(680)),
        format!("{}1", ".=".repeat(2_000)),
        format!(".{}", "[0]".repeat(1_300)),
        format!(".{}", "?".repeat(4_000)),
        "def f:".repeat(680),
        "reduce ".repeat(580),
        "x".repeat(5_000),
    ] {
        let _ = apply(&text);
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                ".", ".data", ".items", "[]", "[0]", "[1:]", "|", ",", "//", "+", "-", "*", "/", "%",
                "==", "<", "and", "or", "not", "(", ")", "[", "]", "{", "}", "a:", "if", "then",
                "else", "end", "try", "catch", "?", "as $x |", "$x", "=", "|=", "+=", "map(", "add",
                "keys", "length", "tojson", "fromjson", "tonumber", "join(", "split(", "first", "sort",
                "to_entries", "\"a\"", "1", "0", "1e300", "99999999999999999999", ";", "min_by(",
                "del(", "flatten", "unique", "contains(", "limit(1;", "implode", "has(", "any", "abs",
            ]),
            0..16,
        ),
    ) {
        let _ = apply(&words.join(" "));
    }
}
