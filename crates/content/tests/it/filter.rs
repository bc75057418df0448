//! Filters: what passes, what does not, and what is refused with which words.

use nexus_content::{Content, Filter};
use nexus_model::{AttributeValue, Event};

fn event() -> Event {
    let mut event = Event::new("1", "/shop/eu", "com.shop.order.created");
    event.subject = Some("order/7".into());
    event.extensions = vec![
        ("tenant".into(), AttributeValue::String("acme".into())),
        ("retries".into(), AttributeValue::Integer(3)),
    ];
    let data = r#"{
        "customer": {"country": "FR", "mail": "Ann@Example.com", "vip": true, "note": null},
        "total": 120.50, "count": 300.0, "ip": "10.1.2.3", "ip6": "2001:db8::1",
        "items": [{"sku": "a-1", "price": 5}, {"sku": "b-2", "price": 50}],
        "tags": ["new", "Gift"], "empty": []
    }"#;
    event.data = Some(bytes::Bytes::copy_from_slice(data.as_bytes()));
    event
}

fn parse(text: &str) -> Filter {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[track_caller]
fn passes(text: &str) -> bool {
    let event = event();
    parse(text).compile().unwrap().matches(&Content::from(&event))
}

#[test]
fn dialects() {
    for text in [
        r#"{"exact": {"type": "com.shop.order.created", "retries": "3"}}"#,
        r#"{"prefix": {"type": "com.shop.", "subject": "order/"}}"#,
        r#"{"suffix": {"type": ".created"}}"#,
        r#"{"all": [{"exact": {"tenant": "acme"}}, {"prefix": {"source": "/shop"}}]}"#,
        r#"{"any": [{"exact": {"tenant": "x"}}, {"suffix": {"source": "/eu"}}]}"#,
        r#"{"not": {"exact": {"tenant": "x"}}}"#,
        r#"{"not": {"exact": {"absent": "x"}}}"#,
        r#"{"sql": "type LIKE 'com.shop.%' AND retries > 2"}"#,
        r#"{"data": {"customer": {"country": ["FR", "DE"]}}}"#,
    ] {
        assert!(passes(text), "{text}");
        assert!(!passes(&format!(r#"{{"not": {text}}}"#)), "{text}");
    }
    for text in [
        r#"{"exact": {"type": "com.shop.order.created", "tenant": "x"}}"#,
        r#"{"exact": {"absent": "x"}}"#,
        r#"{"prefix": {"type": "com.shop.order.created."}}"#,
        r#"{"all": [{"exact": {"tenant": "acme"}}, {"exact": {"tenant": "x"}}]}"#,
        r#"{"sql": "absent = 'x'"}"#,
        r#"{"sql": "retries"}"#,
    ] {
        assert!(!passes(text), "{text}");
    }
}

#[test]
fn patterns_over_data() {
    for (pattern, expected) in [
        (r#"{"customer": {"country": "FR", "vip": true, "note": null}}"#, true),
        (r#"{"customer": {"country": ["DE"]}}"#, false),
        (r#"{"count": [300]}"#, true),
        (r#"{"total": [120.5]}"#, true),
        (r#"{"total": ["120.5"]}"#, false),
        (r#"{"customer": {"country": [{"prefix": "F"}]}}"#, true),
        (r#"{"customer": {"mail": [{"prefix": {"equals-ignore-case": "ANN@"}}]}}"#, true),
        (r#"{"customer": {"mail": [{"suffix": {"equals-ignore-case": ".COM"}}]}}"#, true),
        (r#"{"customer": {"mail": [{"suffix": ".COM"}]}}"#, false),
        (r#"{"customer": {"mail": [{"equals-ignore-case": "ann@example.com"}]}}"#, true),
        (r#"{"customer": {"mail": [{"wildcard": "*@*.com"}]}}"#, true),
        (r#"{"customer": {"country": [{"anything-but": "DE"}]}}"#, true),
        (r#"{"customer": {"country": [{"anything-but": ["DE", "FR"]}]}}"#, false),
        (r#"{"customer": {"country": [{"anything-but": {"prefix": ["D", "F"]}}]}}"#, false),
        (r#"{"customer": {"country": [{"anything-but": {"wildcard": "D*"}}]}}"#, true),
        (r#"{"customer": {"absent": [{"anything-but": "DE"}]}}"#, false),
        (r#"{"total": [{"numeric": [">", 100, "<=", 120.5]}]}"#, true),
        (r#"{"total": [{"numeric": ["<", 120.5]}]}"#, false),
        (r#"{"count": [{"numeric": ["=", 300]}]}"#, true),
        (r#"{"customer": {"country": [{"numeric": [">", 0]}]}}"#, false),
        (r#"{"customer": {"note": [{"exists": true}]}}"#, true),
        (r#"{"customer": {"absent": [{"exists": false}]}}"#, true),
        (r#"{"absent": {"deeper": [{"exists": false}]}}"#, true),
        (r#"{"absent": {"deeper": [{"exists": true}]}}"#, false),
        (r#"{"absent": {"deeper": ["x", {"exists": false}]}}"#, true),
        (r#"{"ip": [{"cidr": "10.0.0.0/8"}]}"#, true),
        (r#"{"ip": [{"cidr": "10.1.2.4"}]}"#, false),
        (r#"{"ip6": [{"cidr": "2001:db8::/32"}]}"#, true),
        (r#"{"tags": ["Gift"]}"#, true),
        (r#"{"tags": [{"anything-but": "new"}]}"#, true),
        (r#"{"empty": [{"exists": true}]}"#, true),
        (r#"{"empty": [{"anything-but": "x"}]}"#, false),
        (r#"{"items": {"sku": [{"prefix": "b-"}], "price": [50]}}"#, true),
        // Both must hold for the same element.
        (r#"{"items": {"sku": ["a-1"], "price": [50]}}"#, false),
        (
            r#"{"$or": [{"total": [1]}, {"customer": {"country": ["FR"]}}], "ip": ["10.1.2.3"]}"#,
            true,
        ),
        (r#"{"$or": [{"total": [1]}, {"total": [2]}]}"#, false),
    ] {
        assert_eq!(passes(&format!(r#"{{"data": {pattern}}}"#)), expected, "{pattern}");
    }
}

#[test]
fn data_is_parsed_only_for_those_who_look() {
    let event = event();
    let content = Content::from(&event);
    let ask = |text: &str| parse(text).compile().unwrap().matches(&content);
    ask(r#"{"sql": "EXISTS subject"}"#);
    // The first part decides.
    ask(r#"{"all": [{"exact": {"tenant": "x"}}, {"data": {"total": [1]}}]}"#);
    assert!(!content.is_parsed());
    ask(r#"{"data": {"total": [1]}}"#);
    assert!(content.is_parsed());
    let needs = |text: &str| parse(text).compile().unwrap().needs_data();
    assert!(needs(r#"{"not": {"any": [{"data": {"a": 1}}]}}"#));
    assert!(!needs(r#"{"all": [{"sql": "TRUE"}]}"#));
}

#[test]
fn nothing_matches_data_that_is_no_json() {
    let mut event = event();
    event.data = Some(bytes::Bytes::from_static(b"{"));
    let filter = parse(r#"{"data": {"a": [{"exists": false}]}}"#).compile().unwrap();
    assert!(!filter.matches(&Content::from(&event)));
    event.data = None;
    assert!(!filter.matches(&Content::from(&event)));
}

#[test]
fn errors_name_the_place_and_what_is_expected() {
    for (text, expected) in [
        (r#"{"exact": {}}"#, "exact: name at least one attribute"),
        (
            r#"{"exact": {"Type": "x"}}"#,
            "exact.Type: names of attributes have lowercase letters and digits only",
        ),
        (
            r#"{"prefix": {"data": "x"}}"#,
            "prefix.data: data is no attribute: use the dialect 'data'",
        ),
        (
            r#"{"suffix": {"type": ""}}"#,
            "suffix.type: the value must not be empty; to ask whether an attribute is there, use sql: EXISTS",
        ),
        (r#"{"any": []}"#, "any: list at least one filter"),
        (
            r#"{"any": [{"sql": "TRUE"}, {"not": {"sql": "a ="}}]}"#,
            "any[1].not.sql: at character 4: expected a value, an attribute, a function or '(', found the end",
        ),
        (
            r#"{"sql": "LENGHT(type) = 1"}"#,
            "sql: there is no function LENGHT; there are INT, BOOL, STRING, ABS, LENGTH, CONCAT, CONCAT_WS, LOWER, UPPER, TRIM, LEFT, RIGHT, SUBSTRING",
        ),
        (r#"{"sql": "LENGTH(type, 1) = 1"}"#, "sql: the function LENGTH does not take 2 arguments"),
        (r#"{"data": {}}"#, "data: name at least one field"),
        (
            r#"{"data": {"a": []}}"#,
            "data.a: list at least one alternative; to match any value, use [{\"exists\": true}]",
        ),
        (
            r#"{"data": {"a": {"b": [{"prefx": "x"}]}}}"#,
            "data.a.b[0].prefx: unknown matcher 'prefx'; did you mean 'prefix'?",
        ),
        (
            r#"{"data": {"a": [1, {"nonsense-here": "x"}]}}"#,
            "data.a[1].nonsense-here: unknown matcher 'nonsense-here'; known are prefix, suffix, equals-ignore-case, wildcard, anything-but, numeric, exists, cidr",
        ),
        (r#"{"data": {"a": [{"prefix": 5}]}}"#, "data.a[0].prefix: expected a string"),
        (
            r#"{"data": {"a": [{"prefix": "x", "suffix": "y"}]}}"#,
            "data.a[0]: an alternative is a value, or an object with one of prefix, suffix, equals-ignore-case, wildcard, anything-but, numeric, exists, cidr",
        ),
        (
            r#"{"data": {"a": [{"wildcard": "a**"}]}}"#,
            "data.a[0].wildcard: '**' means the same as '*': write one",
        ),
        (r#"{"data": {"a": [{"exists": "yes"}]}}"#, "data.a[0].exists: expected true or false"),
        (
            r#"{"data": {"a": [{"numeric": [">", "5"]}]}}"#,
            "data.a[0].numeric: a range is one or two comparisons with numbers: [\">\", 0, \"<=\", 100] or [\"=\", 5]",
        ),
        (
            r#"{"data": {"a": [{"numeric": ["<", 5, ">", 1]}]}}"#,
            "data.a[0].numeric: of two comparisons the first is '>' or '>=', the second '<' or '<='",
        ),
        (
            r#"{"data": {"a": [{"numeric": [">", 5, "<", 1]}]}}"#,
            "data.a[0].numeric: no number lies in this range: the lower bound is above the upper one",
        ),
        (
            r#"{"data": {"a": [{"cidr": "10.0.0.0/99"}]}}"#,
            "data.a[0].cidr: expected a block of addresses such as 10.0.0.0/8 or 2001:db8::/32",
        ),
        (
            r#"{"data": {"a": [{"anything-but": []}]}}"#,
            "data.a[0].anything-but: expected a value, a list of values, or one of prefix, suffix, equals-ignore-case, wildcard",
        ),
        (
            r#"{"data": {"$or": [{"a": 1}]}}"#,
            "data.$or: '$or' lists at least two patterns: [{…}, {…}]",
        ),
    ] {
        assert_eq!(parse(text).validate().unwrap_err().to_string(), expected, "{text}");
    }
    let unknown = serde_json::from_str::<Filter>(r#"{"exct": {}}"#).unwrap_err().to_string();
    assert!(
        unknown.contains("unknown variant `exct`, expected one of `exact`, `prefix`"),
        "{unknown}"
    );
}

#[test]
fn size_and_depth_are_limited() {
    let wide: Vec<String> = (0..1_000).map(|at| format!("\"v{at}\"")).collect();
    let wide = parse(&format!(r#"{{"data": {{"a": [{}]}}}}"#, wide.join(",")));
    assert!(wide.validate().unwrap_err().to_string().contains("1000 parts"));
    let deep =
        (0..40).fold(r#"{"sql": "TRUE"}"#.to_owned(), |inner, _| format!(r#"{{"not": {inner}}}"#));
    assert!(parse(&deep).validate().unwrap_err().to_string().contains("32 levels"));
}

#[test]
fn filters_print_as_they_are_read() {
    let text = r#"{"all":[{"exact":{"type":"a"}},{"data":{"a":[{"prefix":"x"}]}},{"sql":"TRUE"}]}"#;
    assert_eq!(serde_json::to_string(&parse(text)).unwrap(), text);
    let schema = serde_json::to_string(&schemars::schema_for!(Filter)).unwrap();
    for word in ["exact", "sql", "data"] {
        assert!(schema.contains(word));
    }
}
