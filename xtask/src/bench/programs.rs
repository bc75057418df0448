//! Parts that are programs of their crates: each prints one JSON object a line with `name`, `unit`
//! and `value`; other lines are for people.

use serde_json::Value;

use super::Bench;
use super::report::{Report, Row};
use crate::shell;

/// Append rates of the log beside a raw preallocated file.
pub(super) fn log(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    example(bench, report, ("nexus-log", "append_rates"))
}

/// Fresh instances on one and two threads, without HTTP.
pub(super) fn fresh(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    example(bench, report, ("nexus-wasm", "fresh"))
}

fn example(
    bench: &Bench<'_>,
    report: &mut Report,
    (package, name): (&str, &str),
) -> anyhow::Result<()> {
    let mut command = bench.workspace.cargo(&["run", "--release", "--locked", "--quiet"]);
    command.args(["--package", package, "--example", name]);
    let mut rows = Vec::new();
    let good = shell::watch(&mut command, &mut |line| rows.extend(row(line)))?;
    anyhow::ensure!(good, "the example {name} of {package} failed");
    anyhow::ensure!(!rows.is_empty(), "the example {name} of {package} printed no results");
    rows.into_iter().for_each(|row| report.add(row));
    Ok(())
}

fn row(line: &str) -> Option<Row> {
    let value: Value = serde_json::from_str(line).ok()?;
    Some(Row {
        name: value["name"].as_str()?.to_owned(),
        unit: value["unit"].as_str()?.to_owned(),
        values: vec![value["value"].as_f64()?],
        baseline: value["baseline"].as_str().map(str::to_owned),
    })
}
