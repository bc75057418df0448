//! What differs in how two runs ended.

use std::collections::BTreeMap;

use bytes::Bytes;
use nexus_content::{Difference, differences};
use nexus_exec::Ended;
use nexus_model::record::{LogLine, StoredEvent};
use nexus_model::view::{DifferenceView, Part};
use serde_json::{Value, json};

use super::Rules;

/// Values are shown up to this many bytes.
const SHOWN_BYTES_MAX: usize = 2_048;
/// Header fields that say how something was sent and not what.
const HOP_BY_HOP: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "te",
    "content-length",
];

/// Everything that differs, also what the rules ignore.
pub(super) fn changes(before: &Ended, after: &Ended, rules: &Rules) -> Vec<DifferenceView> {
    let mut changes = Vec::new();
    let mut plain = |part, path: &str, before: Value, after: Value| {
        if before != after {
            changes.push(change(part, path, (Some(before), Some(after)), None));
        }
    };
    plain(Part::Status, "", json!(before.status), json!(after.status));
    plain(Part::Status, "http", json!(before.http_status), json!(after.http_status));
    plain(Part::ExitCode, "", json!(before.exit_code), json!(after.exit_code));
    let failure = |ended: &Ended| {
        ended.failure.as_ref().map(|failure| format!("{} {}", failure.code, failure.message))
    };
    plain(Part::Failure, "", json!(failure(before)), json!(failure(after)));
    headers(&mut changes, (before, after), rules);
    body(&mut changes, before, after, rules);
    events(&mut changes, (&before.events, &after.events), rules);
    logs(&mut changes, (&before.logs, &after.logs), rules);
    changes
}

fn change(
    part: Part,
    path: &str,
    (before, after): (Option<Value>, Option<Value>),
    ignored: Option<String>,
) -> DifferenceView {
    let (before, after) = (before.map(shown), after.map(shown));
    DifferenceView { part, path: path.to_owned(), before, after, ignored }
}

/// A difference between documents as a change.
pub(super) fn of_document(part: Part, prefix: &str, at: Difference) -> DifferenceView {
    change(part, &format!("{prefix}{}", at.path), (at.before, at.after), at.ignored)
}

/// A value that is not too long to be looked at.
pub(super) fn shown(value: Value) -> Value {
    let text = match &value {
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => value.to_string(),
        _ => return value,
    };
    if text.len() <= SHOWN_BYTES_MAX {
        return value;
    }
    let cut = text.floor_char_boundary(SHOWN_BYTES_MAX);
    Value::String(format!("{}… ({} bytes)", &text[..cut], text.len()))
}

fn headers(changes: &mut Vec<DifferenceView>, (before, after): (&Ended, &Ended), rules: &Rules) {
    let fields = |headers: &[(String, Bytes)]| {
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            if !HOP_BY_HOP.contains(&&*name) {
                let value = String::from_utf8_lossy(value).into_owned();
                fields.entry(name).or_default().push(value);
            }
        }
        fields
    };
    let (before, after) = (fields(&before.headers), fields(&after.headers));
    let joined = |values: Option<&Vec<String>>| values.map(|values| json!(values.join(", ")));
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        if before.get(name) != after.get(name) {
            let ignored = rules.headers.contains(name).then(|| format!("header {name}"));
            let values = (joined(before.get(name)), joined(after.get(name)));
            changes.push(change(Part::Header, name, values, ignored));
        }
    }
}

/// Bodies by their structure where both are JSON, else as a whole.
fn body(changes: &mut Vec<DifferenceView>, before: &Ended, after: &Ended, rules: &Rules) {
    let (old, new) = (&before.output, &after.output);
    if old.dropped || new.dropped {
        if old.size != new.size {
            let sizes = (Some(json!(old.size)), Some(json!(new.size)));
            changes.push(change(Part::Output, "size", sizes, None));
        }
        return;
    }
    if old.bytes == new.bytes {
        return;
    }
    let parsed = |bytes: &Bytes| serde_json::from_slice::<Value>(bytes).ok();
    match (parsed(&old.bytes), parsed(&new.bytes)) {
        (Some(old), Some(new)) => {
            let found = differences(&old, &new, &rules.documents);
            match found.is_empty() {
                // The same document, written in another way.
                true => changes.push(change(
                    Part::Output,
                    "",
                    (None, None),
                    Some("the same JSON in other bytes".to_owned()),
                )),
                false => {
                    let found = found.into_iter().map(|at| of_document(Part::Output, "", at));
                    changes.extend(found);
                }
            }
        }
        _ => {
            let (old, new) = (whole(&old.bytes), whole(&new.bytes));
            let found = differences(&old, &new, &rules.documents);
            changes.extend(found.into_iter().map(|at| of_document(Part::Output, "", at)));
        }
    }
}

fn whole(bytes: &Bytes) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => {
            let digest = nexus_model::Digest::of(bytes);
            json!(format!("{} bytes, digest {}", bytes.len(), digest.short()))
        }
    }
}

fn events(
    changes: &mut Vec<DifferenceView>,
    (before, after): (&[StoredEvent], &[StoredEvent]),
    rules: &Rules,
) {
    let document = |events: &[StoredEvent]| {
        let each = |event: &StoredEvent| {
            let mut event = event.to_event();
            let data = event.data.take();
            let mut value = serde_json::to_value(&event).unwrap_or_default();
            if let Some(data) = data {
                value["data"] = serde_json::from_slice(&data).unwrap_or_else(|_| whole(&data));
            }
            value
        };
        events.iter().map(each).collect::<Value>()
    };
    if before == after {
        return;
    }
    let found = differences(&document(before), &document(after), &rules.documents);
    changes.extend(found.into_iter().map(|at| of_document(Part::Event, "", at)));
}

/// Log lines by what they say. They seldom matter, and often hold what differs in every run.
fn logs(
    changes: &mut Vec<DifferenceView>,
    (before, after): (&[LogLine], &[LogLine]),
    rules: &Rules,
) {
    let said = |lines: &[LogLine]| {
        let each =
            |line: &LogLine| json!([&*line.level, &*line.text, &*line.fields].join(" ").trim());
        lines.iter().map(each).collect::<Value>()
    };
    let ignored = (!rules.logs).then(|| "logs".to_owned());
    for at in differences(&said(before), &said(after), &rules.documents) {
        let change = of_document(Part::Logs, "", at);
        let ignored = change.ignored.clone().or_else(|| ignored.clone());
        changes.push(DifferenceView { ignored, ..change });
    }
}
