//! The HTTP binding of CloudEvents 1.0.2: binary, structured and batch mode. Pure.
//!
//! The mode follows from the media type (binding, section 3): `application/cloudevents-batch+json`,
//! `application/cloudevents+json`, everything else is data in binary mode with `ce-` headers.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use nexus_model::{AttributeValue, Code, Event, EventError, Timestamp, limits};

use crate::fault::Fault;

const PREFIX: &str = "ce-";
const SPEC: &str = "see CloudEvents 1.0.2, HTTP protocol binding";

/// The events of a request: one in binary and structured mode, any number in a batch.
pub(crate) fn parse(headers: &HeaderMap, body: Bytes) -> Result<Vec<Event>, Fault> {
    as_it_is(headers)?;
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let content_type = types.next().map(|value| text("content-type", value.as_bytes())).transpose();
    let content_type = content_type.map_err(bad)?;
    if types.next().is_some() {
        return Err(Fault::bad_request("there are several Content-Type headers"));
    }
    let essence = content_type.as_deref().map(essence).unwrap_or_default();
    if let Some(format) = essence.strip_prefix("application/cloudevents-batch") {
        json_only(format, &essence, content_type.as_deref())?;
        return batch(&body);
    }
    if let Some(format) = essence.strip_prefix("application/cloudevents") {
        json_only(format, &essence, content_type.as_deref())?;
        return Event::from_json(&body).map(|event| vec![event]).map_err(bad);
    }
    binary(headers, content_type, body).map(|event| vec![event]).map_err(bad)
}

/// A body that would have to be decoded is refused: kept as it is, it would not be what its type says.
pub(crate) fn as_it_is(headers: &HeaderMap) -> Result<(), Fault> {
    let coded = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .find(|value| !value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"));
    let Some(coded) = coded else { return Ok(()) };
    let coding = String::from_utf8_lossy(coded.as_bytes());
    let detail = format!("events are not taken with content-encoding: {coding}");
    Err(Fault::new(Code::UnsupportedMediaType, detail).hint("send the event uncompressed"))
}

fn batch(body: &[u8]) -> Result<Vec<Event>, Fault> {
    let events = Event::from_json_batch(body).map_err(|(index, error)| match error {
        EventError::Json { .. } if index == 0 && first_byte(body) != Some(b'[') => {
            Fault::new(Code::BadEvent, "a batch is a JSON array of CloudEvents")
        }
        error => Fault::new(Code::BadEvent, format!("event {index} of the batch: {error}")),
    })?;
    if events.len() > limits::BATCH_EVENTS_MAX {
        let detail = format!(
            "the batch has {} events; the limit is {} events",
            events.len(),
            limits::BATCH_EVENTS_MAX
        );
        return Err(Fault::new(Code::TooLarge, detail));
    }
    Ok(events)
}

fn first_byte(body: &[u8]) -> Option<u8> {
    body.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

fn bad(error: EventError) -> Fault {
    let unmarked = matches!(error, EventError::Missing { attribute: "specversion" });
    let fault = Fault::new(Code::BadEvent, error.to_string());
    if unmarked {
        return fault.hint(
            "send ce-specversion, ce-id, ce-source and ce-type headers with the data as body, or \
             the whole event as application/cloudevents+json",
        );
    }
    fault
}

fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Only the JSON format is understood, and JSON is UTF-8 (RFC 8259, section 8.1).
fn json_only(format: &str, essence: &str, content_type: Option<&str>) -> Result<(), Fault> {
    if format != "+json" {
        let detail = format!("the event format of '{essence}' is not supported: use JSON");
        return Err(Fault::new(Code::UnsupportedMediaType, detail).hint(SPEC));
    }
    let charset = content_type.unwrap_or_default().split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    match charset {
        Some(charset) if !charset.eq_ignore_ascii_case("utf-8") => {
            let detail = format!("events in JSON are UTF-8, not '{charset}'");
            Err(Fault::new(Code::UnsupportedMediaType, detail).hint(SPEC))
        }
        _ => Ok(()),
    }
}

fn binary(
    headers: &HeaderMap,
    content_type: Option<String>,
    body: Bytes,
) -> Result<Event, EventError> {
    let mut event = Event::new("", "", "");
    let mut spec_version = None;
    for name in headers.keys() {
        let Some(attribute) = name.as_str().strip_prefix(PREFIX) else { continue };
        let mut values = headers.get_all(name).iter();
        let Some(value) = values.next() else { continue };
        if values.next().is_some() {
            return Err(wrong(attribute, "the header is there more than once"));
        }
        let value = text(attribute, value.as_bytes())?;
        if value.is_empty() {
            return Err(wrong(attribute, "must not be empty when present"));
        }
        match attribute {
            "specversion" => spec_version = Some(value),
            "id" => event.id = value,
            "source" => event.source = value,
            "type" => event.ty = value,
            "subject" => event.subject = Some(value),
            "dataschema" => event.dataschema = Some(value),
            "time" => {
                let time = Timestamp::parse(&value).map_err(|reason| wrong(attribute, &reason))?;
                event.time = Some(time);
            }
            // Section 3.1.1: the Content-Type header carries it.
            "datacontenttype" => {
                return Err(wrong(attribute, "send it as the Content-Type header, without 'ce-'"));
            }
            _ => event.extensions.push((attribute.to_owned(), AttributeValue::String(value))),
        }
    }
    match spec_version {
        None => return Err(EventError::Missing { attribute: "specversion" }),
        Some(found) if found != "1.0" => return Err(EventError::SpecVersion { found }),
        Some(_) => {}
    }
    event.datacontenttype = content_type.filter(|value| !value.is_empty());
    event.data = (!body.is_empty()).then_some(body);
    event.validate()?;
    Ok(event)
}

fn wrong(attribute: &str, reason: &str) -> EventError {
    EventError::Attribute { attribute: attribute.to_owned(), reason: reason.to_owned() }
}

/// Section 3.1.3.2: take off double quotes with their backslashes, then one round of percent
/// decoding, then UTF-8. Names of headers come in lowercase already.
fn text(attribute: &str, value: &[u8]) -> Result<String, EventError> {
    // A media type is no attribute of its own: it is never percent-encoded.
    let decoded = if attribute == "content-type" {
        value.to_vec()
    } else {
        percent_decoded(attribute, &unquoted(attribute, value)?)?
    };
    String::from_utf8(decoded).map_err(|_| wrong(attribute, "the value is not UTF-8"))
}

fn unquoted(attribute: &str, value: &[u8]) -> Result<Vec<u8>, EventError> {
    if value.first() != Some(&b'"') {
        return Ok(value.to_vec());
    }
    let unfinished = || wrong(attribute, "the quoted value has no end");
    let mut inner = Vec::with_capacity(value.len());
    let mut bytes = value[1..].iter();
    loop {
        match bytes.next().ok_or_else(unfinished)? {
            b'\\' => inner.push(*bytes.next().ok_or_else(unfinished)?),
            b'"' => break,
            &byte => inner.push(byte),
        }
    }
    match bytes.next() {
        None => Ok(inner),
        Some(_) => Err(wrong(attribute, "there is something behind the quoted value")),
    }
}

fn percent_decoded(attribute: &str, value: &[u8]) -> Result<Vec<u8>, EventError> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            decoded.push(byte);
            rest = after;
            continue;
        }
        let digit = |at: usize| after.get(at).and_then(|&digit| (digit as char).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return Err(wrong(attribute, "'%' must be followed by two hexadecimal digits"));
        };
        decoded.push((high << 4 | low) as u8);
        rest = &after[2..];
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    const REQUIRED: [(&str, &str); 4] =
        [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t")];

    fn request(headers: &[(&str, &[u8])], body: &str) -> Result<Vec<Event>, String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value).unwrap(),
            );
        }
        parse(&map, Bytes::copy_from_slice(body.as_bytes())).map_err(|fault| {
            let problem = fault.problem("");
            format!("{} {}", problem.code, problem.detail)
        })
    }

    /// Binary mode with the required attributes, changed or joined by `more`; an empty value with
    /// the name of a required one leaves that out.
    fn binary(more: &[(&str, &[u8])], body: &str) -> Result<Event, String> {
        let mut headers: Vec<(&str, &[u8])> = Vec::new();
        for (name, value) in REQUIRED {
            if !more.iter().any(|(changed, _)| *changed == name) {
                headers.push((name, value.as_bytes()));
            }
        }
        headers.extend(more.iter().filter(|(_, value)| *value != b"-"));
        request(&headers, body).map(|mut events| events.remove(0))
    }

    #[test]
    fn binary_mode_reads_every_attribute() {
        let event = binary(
            &[
                ("ce-subject", b"orders/1"),
                ("ce-time", b"2026-11-20T19:00:00Z"),
                ("ce-dataschema", b"https://schemas.example/order"),
                ("ce-comexampleext", b"x"),
                ("content-type", b"application/json; charset=utf-8"),
                ("x-other", b"ignored"),
            ],
            "{\"a\":1}",
        )
        .unwrap();
        assert_eq!(event.subject.as_deref(), Some("orders/1"));
        assert_eq!(event.time.unwrap().to_string(), "2026-11-20T19:00:00Z");
        assert_eq!(event.dataschema.as_deref(), Some("https://schemas.example/order"));
        assert_eq!(event.datacontenttype.as_deref(), Some("application/json; charset=utf-8"));
        assert_eq!(event.data.as_deref(), Some(&b"{\"a\":1}"[..]));
        assert_eq!(
            event.extensions,
            [("comexampleext".into(), AttributeValue::String("x".into()))]
        );
    }

    #[test]
    fn an_event_without_data_has_none() {
        let event = binary(&[], "").unwrap();
        assert_eq!((event.data, event.datacontenttype), (None, None));
    }

    #[test]
    fn header_values_are_unquoted_and_percent_decoded_once() {
        for (value, text) in [
            (&b"Euro%20%E2%82%AC%20%F0%9F%98%80"[..], "Euro € 😀"),
            (b"100%25", "100%"),
            (b"%2525", "%25"),
            (b"\"a \\\"quoted\\\" value\"", "a \"quoted\" value"),
            (b"\"%20\"", " "),
            (b"a%2fb%2Fc", "a/b/c"),
            ("größe".as_bytes(), "größe"),
        ] {
            let event = binary(&[("ce-subject", value)], "").unwrap();
            assert_eq!(event.subject.as_deref(), Some(text));
        }
    }

    /// Each rule of the specification that a request in binary mode can break.
    #[test]
    fn wrong_binary_requests_name_the_attribute() {
        let cases: &[(&str, &[u8], &str)] = &[
            ("ce-specversion", b"-", "NX1002 the required attribute 'specversion' is missing"),
            ("ce-specversion", b"0.3", "NX1002 specversion '0.3' is not supported: use '1.0'"),
            ("ce-specversion", b"1.0.2", "NX1002 specversion '1.0.2' is not supported: use '1.0'"),
            ("ce-id", b"-", "NX1002 the required attribute 'id' is missing"),
            ("ce-id", b"", "NX1002 the attribute 'id' is wrong: must not be empty when present"),
            ("ce-source", b"-", "NX1002 the required attribute 'source' is missing"),
            (
                "ce-source",
                b"a b",
                "NX1002 the attribute 'source' is wrong: a URI reference (RFC 3986) cannot contain ' '",
            ),
            ("ce-type", b"-", "NX1002 the required attribute 'type' is missing"),
            (
                "ce-subject",
                b"",
                "NX1002 the attribute 'subject' is wrong: must not be empty when present",
            ),
            (
                "ce-dataschema",
                b"",
                "NX1002 the attribute 'dataschema' is wrong: must not be empty when present",
            ),
            (
                "ce-datacontenttype",
                b"text/plain",
                "NX1002 the attribute 'datacontenttype' is wrong: send it as the Content-Type \
                 header, without 'ce-'",
            ),
            (
                "content-type",
                b"nonsense",
                "NX1002 the attribute 'datacontenttype' is wrong: 'nonsense' is not a media type \
                 (RFC 2046)",
            ),
            (
                "ce-subject",
                b"%",
                "NX1002 the attribute 'subject' is wrong: '%' must be followed by two hexadecimal \
                 digits",
            ),
            (
                "ce-subject",
                b"%zz",
                "NX1002 the attribute 'subject' is wrong: '%' must be followed by two hexadecimal \
                 digits",
            ),
            (
                "ce-subject",
                b"%C0%A0",
                "NX1002 the attribute 'subject' is wrong: the value is not UTF-8",
            ),
            (
                "ce-subject",
                b"\xff",
                "NX1002 the attribute 'subject' is wrong: the value is not UTF-8",
            ),
            (
                "ce-subject",
                b"%07",
                "NX1002 the attribute 'subject' is wrong: the character U+0007 is not allowed",
            ),
            (
                "ce-subject",
                b"%EF%BF%BE",
                "NX1002 the attribute 'subject' is wrong: the character U+FFFE is not allowed",
            ),
            (
                "ce-subject",
                b"\"open",
                "NX1002 the attribute 'subject' is wrong: the quoted value has no end",
            ),
            (
                "ce-subject",
                b"\"a\"b",
                "NX1002 the attribute 'subject' is wrong: there is something behind the quoted value",
            ),
            (
                "ce-my-ext",
                b"x",
                "NX1002 the attribute 'my-ext' is wrong: extension names have 1 to 64 lowercase \
                 letters or digits",
            ),
            (
                "ce-data",
                b"x",
                "NX1002 the attribute 'data' is wrong: extension names have 1 to 64 lowercase \
                 letters or digits",
            ),
        ];
        for (name, value, expected) in cases {
            assert_eq!(binary(&[(name, value)], "").unwrap_err(), *expected, "{name} {value:?}");
        }
        let time = binary(&[("ce-time", b"yesterday")], "").unwrap_err();
        assert!(time.starts_with("NX1002 the attribute 'time' is wrong: 'yesterday'"), "{time}");
        let twice = binary(&[("ce-subject", b"a"), ("ce-subject", b"b")], "").unwrap_err();
        assert!(
            twice.contains("'subject' is wrong: the header is there more than once"),
            "{twice}"
        );
    }

    const EVENT: &str = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;

    fn structured(content_type: &str, body: &str) -> Result<Vec<Event>, String> {
        request(&[("content-type", content_type.as_bytes())], body)
    }

    #[test]
    fn structured_mode_and_batches_are_json() {
        for content_type in [
            "application/cloudevents+json",
            "application/cloudevents+json; charset=UTF-8",
            "Application/CloudEvents+JSON;charset=\"utf-8\"",
        ] {
            assert_eq!(structured(content_type, EVENT).unwrap().len(), 1);
        }
        let batch = |body: &str| structured("application/cloudevents-batch+json", body);
        assert_eq!(batch(&format!("[{EVENT}, {EVENT}]")).unwrap().len(), 2);
        assert_eq!(batch("[]").unwrap().len(), 0);
    }

    #[test]
    fn attributes_of_structured_mode_win_over_headers() {
        let headers: [(&str, &[u8]); 2] =
            [("content-type", b"application/cloudevents+json"), ("ce-id", b"other")];
        assert_eq!(request(&headers, EVENT).unwrap()[0].id, "1");
    }

    #[test]
    fn wrong_structured_requests_are_explained() {
        let cases = [
            (
                "application/cloudevents+avro",
                EVENT,
                "NX1004 the event format of 'application/cloudevents+avro' is not supported: use JSON",
            ),
            (
                "application/cloudevents",
                EVENT,
                "NX1004 the event format of 'application/cloudevents' is not supported: use JSON",
            ),
            (
                "application/cloudevents-batch+xml",
                EVENT,
                "NX1004 the event format of 'application/cloudevents-batch+xml' is not supported: \
                 use JSON",
            ),
            (
                "application/cloudevents+json; charset=latin1",
                EVENT,
                "NX1004 events in JSON are UTF-8, not 'latin1'",
            ),
            (
                "application/cloudevents+json",
                r#"{"specversion":"1.0","source":"/s","type":"t"}"#,
                "NX1002 the required attribute 'id' is missing",
            ),
            (
                "application/cloudevents+json",
                r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","Upper":"x"}"#,
                "NX1002 the attribute 'Upper' is wrong: extension names have 1 to 64 lowercase \
                 letters or digits",
            ),
            (
                "application/cloudevents+json",
                r#"{"specversion":"1.0","id":1,"source":"/s","type":"t"}"#,
                "NX1002 the attribute 'id' is wrong: expected a string, found 1",
            ),
            (
                "application/cloudevents+json",
                r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":1,"data_base64":"AA=="}"#,
                "NX1002 the attribute 'data' is wrong: an event has 'data' or 'data_base64', not both",
            ),
            (
                "application/cloudevents-batch+json",
                EVENT,
                "NX1002 a batch is a JSON array of CloudEvents",
            ),
            (
                "application/cloudevents-batch+json",
                r#"[{"specversion":"1.0","id":"1","source":"/s","type":"t"},{"specversion":"1.0"}]"#,
                "NX1002 event 1 of the batch: the required attribute 'id' is missing",
            ),
        ];
        for (content_type, body, expected) in cases {
            assert_eq!(structured(content_type, body).unwrap_err(), expected);
        }
        assert!(
            structured("application/cloudevents+json", "{").unwrap_err().starts_with("NX1002 not")
        );
    }

    #[test]
    fn a_batch_has_a_limit() {
        let body = format!("[{}]", vec![EVENT; limits::BATCH_EVENTS_MAX + 1].join(","));
        let error = structured("application/cloudevents-batch+json", &body).unwrap_err();
        assert_eq!(error, "NX1003 the batch has 1001 events; the limit is 1000 events");
    }

    proptest::proptest! {
        #[test]
        fn no_header_value_panics(value in "[ -~]{0,40}") {
            let _ = binary(&[("ce-subject", value.as_bytes())], "");
        }
    }
}
