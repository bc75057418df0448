//! Parts that are examples of their crates: each prints one JSON document.

use std::process::Command;

use anyhow::Context as _;
use serde_json::Value;

use super::Bench;
use super::report::{Report, Row};
use crate::shell;

/// The fewest and the most subscriptions.
const MATCHING_MIN: u64 = 10;
const MATCHING_MAX: u64 = 10_000;

/// Append rates of the log beside a raw preallocated file.
pub(super) fn log(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let folder = bench.workspace.target.to_string_lossy().into_owned();
    let document = example(bench, "append_rates", &[&folder])?;
    for rates in document["append"].as_array().into_iter().flatten() {
        let unit = format!("records/s of 1 KiB, batches of {}", rates["batch"]);
        let candidates = [
            ("raw preallocated file", "raw_per_s"),
            ("log, one appender", "log_per_s"),
            ("log, several appenders", "log_pipelined_per_s"),
        ];
        for (name, field) in candidates {
            report.add(Row {
                name: name.to_owned(),
                unit: unit.clone(),
                values: rates[field].as_f64().into_iter().collect(),
                baseline: (field != "raw_per_s").then(|| "raw preallocated file".to_owned()),
            });
        }
    }
    flatten(report, "recording", &document["recording"]);
    Ok(())
}

/// Fresh instances on one and two threads, without HTTP.
pub(super) fn fresh(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let component = bench.guests.http_file.to_string_lossy();
    let document = example(bench, "fresh", &[&component])?;
    flatten(report, "fresh", &document);
    Ok(())
}

/// What finding an event's subscriptions costs, by how many there are.
pub(super) fn matching(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let arguments = ["0.5", &MATCHING_MAX.to_string()];
    let document = example(bench, "match_rates", &arguments)?;
    let unit = |size: u64| format!("µs per event, {size} subscriptions");
    for (kind, size, time) in matching_times(&document)? {
        let name = format!("matching, {kind}");
        let values = vec![time];
        report.add(Row { name: name.clone(), unit: unit(size), values, baseline: None });
        if size == MATCHING_MAX {
            let times = format!("{name}, {MATCHING_MAX} ÷ {MATCHING_MIN} subscriptions");
            report.ratio(&times, (&name, &unit(size)), (&name, &unit(MATCHING_MIN)));
        }
    }
    Ok(())
}

/// What subscriptions look at, how many there are, and microseconds per event.
fn matching_times(document: &Value) -> anyhow::Result<Vec<(String, u64, f64)>> {
    let rows = document["matching"].as_array().context("no rows")?;
    let read = |row: &Value| {
        let kind = row["kind"].as_str()?.to_owned();
        Some((kind, row["subscriptions"].as_u64()?, row["us_per_event"].as_f64()?))
    };
    rows.iter().map(|row| read(row).with_context(|| format!("not understood: {row}"))).collect()
}

/// What a million pending timers cost.
pub(super) fn timers(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let document = example(bench, "timers", &[])?;
    flatten(report, "timers", &document);
    Ok(())
}

/// Runs an example and reads the document that it prints.
fn example(bench: &Bench<'_>, name: &str, arguments: &[&str]) -> anyhow::Result<Value> {
    let mut command = Command::new(bench.dist.example(name));
    command.args(arguments);
    println!("$ {}", shell::line(&command));
    let text = shell::output(&mut command)?;
    print!("{text}");
    let start = text.find('{').with_context(|| format!("{name} printed no JSON"))?;
    serde_json::from_str(&text[start..]).with_context(|| format!("{name} printed no JSON"))
}

/// A row for each number of a document, named by the way to it.
fn flatten(report: &mut Report, name: &str, value: &Value) {
    match value {
        Value::Number(number) => report.add(Row {
            name: name.to_owned(),
            unit: String::new(),
            values: number.as_f64().into_iter().collect(),
            baseline: None,
        }),
        Value::Object(fields) => {
            for (field, value) in fields {
                flatten(report, &format!("{name}, {}", field.replace('_', " ")), value);
            }
        }
        Value::Array(items) => {
            for (index, value) in (1..).zip(items) {
                flatten(report, &format!("{name} {index}"), value);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_of_matching_are_understood() {
        let row = json!({ "kind": "type exact", "subscriptions": 10, "us_per_event": 0.5 });
        let document = json!({ "matching": [row] });
        let expected = vec![("type exact".to_owned(), 10, 0.5)];
        assert_eq!(matching_times(&document).unwrap(), expected);
        assert!(matching_times(&json!({ "matching": [{ "kind": "type exact" }] })).is_err());
        assert!(matching_times(&json!({})).is_err());
    }
}
