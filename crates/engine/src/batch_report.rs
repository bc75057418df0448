//! What a function says of the events of its batch.
//!
//! A result is a report when it is an object with the field `batchItemFailures`; every other result
//! says that all of them were handled, unless it looks like a report that went wrong. A report that cannot be read, or that names what is not in the
//! batch, fails all events: some of them were not handled, and nobody knows which.

use nexus_model::EventId;
use nexus_model::record::InvocationRecord;
use serde_json::Value;

/// The field that makes a result a report.
const FIELD: &str = "batchItemFailures";
/// Stands behind the failed events where the report could not be read. The record of an invocation
/// has no other place for it, and no event has this id.
const UNREADABLE: EventId = EventId::from_bytes([0; 16]);
/// The same where the report named an event that is not in the batch.
const STRANGER: EventId = EventId::from_bytes([0xff; 16]);

/// Which events of a batch a function reported as failed in its result:
/// `{"batchItemFailures":[{"itemIdentifier": <evt_… or the CloudEvents id>}]}`; none of them where
/// there is no report, or its list is empty or null.
///
/// Where the function could not say what it means, all of them, and an id that is no event's behind
/// them: it belongs into the record of the invocation with the others, for the reason that the
/// deliveries get.
pub fn batch_failures(result: &[u8], events: &[(EventId, String)]) -> Vec<EventId> {
    let all = |why| events.iter().map(|(id, _)| *id).chain([why]).collect();
    let names = match report(result) {
        Report::None => return Vec::new(),
        Report::Unreadable => return all(UNREADABLE),
        Report::Names(names) => names,
    };
    let mut failed = Vec::new();
    for name in names {
        let own = |(id, own): &&(EventId, String)| *own == name || id.to_string() == name;
        let before = failed.len();
        failed.extend(events.iter().filter(own).map(|(id, _)| *id));
        if failed.len() == before {
            return all(STRANGER);
        }
    }
    failed.sort_unstable();
    failed.dedup();
    failed
}

enum Report {
    None,
    Unreadable,
    Names(Vec<String>),
}

fn report(result: &[u8]) -> Report {
    match result.trim_ascii_start().first() {
        Some(b'{') => {}
        Some(b'[') => return Report::None,
        // A text is no report, but it may be one that was written into a string.
        _ if mentions_field(result) => return Report::Unreadable,
        _ => return Report::None,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Fields {
        batch_item_failures: Option<Value>,
    }
    let found = match serde_json::from_slice::<Fields>(result) {
        Ok(fields) => fields.batch_item_failures,
        // Some other text in braces, unless it was to be a report.
        Err(_) if mentions_field(result) => return Report::Unreadable,
        Err(_) => None,
    };
    let items = match found {
        None => return Report::None,
        Some(Value::Array(items)) => items,
        Some(_) => return Report::Unreadable,
    };
    let name = |item: &Value| match item.get("itemIdentifier") {
        Some(Value::String(name)) if !name.is_empty() => Some(name.clone()),
        _ => None,
    };
    match items.iter().map(name).collect() {
        Some(names) => Report::Names(names),
        None => Report::Unreadable,
    }
}

fn mentions_field(result: &[u8]) -> bool {
    result.windows(FIELD.len()).any(|part| part == FIELD.as_bytes())
}

/// Why an event of a batch failed although the function succeeded; `None` where it did not.
pub fn reported(record: &InvocationRecord, event: EventId) -> Option<&'static str> {
    let has = |id: EventId| record.batch_failed.iter().any(|at| at[..] == id.as_bytes()[..]);
    if !has(event) {
        return None;
    }
    Some(if has(UNREADABLE) {
        "the function's report on its batch could not be read: it must be an object whose \
         batchItemFailures is a list of objects with an itemIdentifier"
    } else if has(STRANGER) {
        "the function's report on its batch named an event that is not in it, so nobody knows which \
         ones it handled"
    } else {
        "the function reported this event of its batch as failed"
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;

    fn events() -> Vec<(EventId, String)> {
        (1..4).map(|n| (EventId::from_bytes([n; 16]), format!("own-{n}"))).collect()
    }

    /// Why each of the events failed.
    fn reasons(result: &str) -> Vec<Option<&'static str>> {
        let failed = batch_failures(result.as_bytes(), &events());
        let failed = failed.iter().map(|id| Bytes::copy_from_slice(id.as_bytes()));
        let record =
            InvocationRecord { batch_failed: failed.collect(), ..InvocationRecord::default() };
        events().iter().map(|(id, _)| reported(&record, *id)).collect()
    }

    #[test]
    fn a_function_reports_failed_events_by_either_id() {
        let events = events();
        let report = |items: &[&str]| {
            let items: Vec<Value> =
                items.iter().map(|at| json!({ "itemIdentifier": at })).collect();
            let result = json!({ "batchItemFailures": items }).to_string();
            batch_failures(result.as_bytes(), &events)
        };
        assert_eq!(report(&[]), []);
        assert_eq!(report(&["own-2", "own-2"]), [events[1].0]);
        assert_eq!(report(&[&events[2].0.to_string(), "own-1"]), [events[0].0, events[2].0]);
        let reason = reasons(r#"{"batchItemFailures":[{"itemIdentifier":"own-2"}]}"#);
        assert!(reason[0].is_none() && reason[2].is_none());
        assert!(reason[1].is_some_and(|reason| reason.contains("reported this event")));
    }

    #[test]
    fn a_result_that_is_no_report_says_that_all_were_handled() {
        for result in [
            "",
            "null",
            "\"done\"",
            "done",
            "{}",
            "{ not json",
            "[\"x\"]",
            r#"[[{"itemIdentifier":"own-1"}]]"#,
            r#"{"batchItemFailures":null}"#,
            r#"{"batchItemFailures":[]}"#,
            r#"{"handled":3,"batch":{"batchItemFailures":"x"}}"#,
        ] {
            assert_eq!(batch_failures(result.as_bytes(), &events()), [], "{result}");
        }
    }

    #[test]
    fn a_report_that_cannot_be_read_fails_all() {
        for result in [
            r#"{"batchItemFailures":[{"id":"own-1"}]}"#,
            r#"{"batchItemFailures":"x"}"#,
            r#"{"batchItemFailures":{"itemIdentifier":"own-1"}}"#,
            r#"{"batchItemFailures":["own-1"]}"#,
            r#"{"batchItemFailures":[["own-1"]]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":7}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"own-1"},{"id":"own-2"}]}"#,
            r#"{"batchItemFailures":[],"batchItemFailures":[]}"#,
            r#"  {"batchItemFailures":[{"itemIdentifier":"own-1"}"#,
            r#""{\"batchItemFailures\":[{\"itemIdentifier\":\"own-1\"}]}""#,
            "\u{feff}{\"batchItemFailures\":[]}",
        ] {
            let unreadable =
                |at: &Option<&str>| at.is_some_and(|at| at.contains("could not be read"));
            assert!(reasons(result).iter().all(unreadable), "{result}");
        }
    }

    #[test]
    fn a_report_that_names_a_stranger_fails_all_and_says_so() {
        let items = r#"[{"itemIdentifier":"own-1"},{"itemIdentifier":"stranger"}]"#;
        let reasons = reasons(&format!(r#"{{"batchItemFailures":{items}}}"#));
        let stranger = |at: &Option<&str>| at.is_some_and(|at| at.contains("not in it"));
        assert!(reasons.iter().all(stranger));
    }
}
