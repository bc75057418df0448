//! Parts that are examples of their crates: each prints one JSON document.

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
    let document = example(bench, ("nexus-log", "append_rates"), &[&folder])?;
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
    let document = example(bench, ("nexus-wasm", "fresh"), &[])?;
    flatten(report, "fresh", &document);
    Ok(())
}

/// What finding an event's subscriptions costs, by how many there are.
pub(super) fn matching(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let arguments = ["0.5", &MATCHING_MAX.to_string()];
    let document = example(bench, ("nexus-content", "match_rates"), &arguments)?;
    report_matching(report, &document)
}

fn report_matching(report: &mut Report, document: &Value) -> anyhow::Result<()> {
    let rows = document["matching"].as_array().context("no rows")?;
    let unit = |size: u64| format!("µs per event, {size} subscriptions");
    for row in rows {
        let (kind, size) = (row["kind"].as_str(), row["subscriptions"].as_u64());
        let (kind, size) = kind.zip(size).context("a row without kind or size")?;
        let name = format!("matching, {kind}");
        let time = row["us_per_event"].as_f64().context("a row without time")?;
        report.add(Row {
            name: name.clone(),
            unit: unit(size),
            values: vec![time],
            baseline: None,
        });
        if size == MATCHING_MAX {
            let times = format!("{name}, {MATCHING_MAX} ÷ {MATCHING_MIN} subscriptions");
            report.ratio(&times, (&name, &unit(size)), (&name, &unit(MATCHING_MIN)));
        }
    }
    Ok(())
}

/// What a million pending timers cost.
pub(super) fn timers(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let document = example(bench, ("nexus-engine", "timers"), &[])?;
    flatten(report, "timers", &document);
    Ok(())
}

/// Runs an example and reads the document that it prints.
fn example(
    bench: &Bench<'_>,
    (package, name): (&str, &str),
    arguments: &[&str],
) -> anyhow::Result<Value> {
    let mut command = bench.workspace.cargo(&["run", "--release", "--locked", "--quiet"]);
    command.args(["--package", package, "--example", name, "--"]).args(arguments);
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
