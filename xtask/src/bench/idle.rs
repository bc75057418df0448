//! What functions cost that nobody calls: memory, and time at the start.

use std::time::Instant;

use super::Bench;
use super::nexus::{Deploy, PROJECT, Place, http_spec};
use super::report::{Report, Row};
use crate::shell;

/// Functions of a medium installation.
const SOME: u32 = 1_000;
/// Starts that are timed.
const STARTS: u32 = 5;

pub(super) fn measure(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let place = Place::empty(bench, "idle")?;
    let nexus = place.start()?;
    let spec = http_spec("/hello");
    nexus.deploy(&Deploy { name: "hello", component: &bench.guests.http, spec })?;
    drop(nexus);
    let empty = starts(&place, report, 1)?;
    seed(bench, &place, SOME)?;
    starts(&place, report, SOME)?;
    seed(bench, &place, bench.options.functions)?;
    let full = starts(&place, report, bench.options.functions)?;
    let count = f64::from(bench.options.functions);
    let names = ["resident memory per idle function", "memory of its own per idle function"];
    for (index, name) in names.into_iter().enumerate() {
        let bytes = (full[index] - empty[index]) * 1024.0 / count;
        report.add(Row {
            name: name.to_owned(),
            unit: format!("bytes, {} functions", bench.options.functions),
            values: vec![bytes],
            baseline: None,
        });
    }
    Ok(())
}

/// Copies the function in the store of the stopped server.
fn seed(bench: &Bench<'_>, place: &Place, count: u32) -> anyhow::Result<()> {
    let mut command = bench.workspace.cargo(&["run", "--release", "--locked", "--quiet"]);
    command.args(["--package", "nexus-store", "--example", "seed", "--"]);
    command.arg(place.folder.join("store.sqlite"));
    command.args([PROJECT, "hello", &count.to_string()]);
    shell::run(&mut command)
}

/// Starts the server several times; gives its memory in KiB (resident, its own) after the last.
fn starts(place: &Place, report: &mut Report, functions: u32) -> anyhow::Result<[f64; 2]> {
    let mut times = Vec::new();
    let mut memory = (0, 0);
    for _ in 0..STARTS {
        let started = Instant::now();
        let nexus = place.start()?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        crate::http::wait_for(nexus.admin, "/readyz", std::time::Duration::from_secs(120))?;
        memory = nexus.server.memory_kib()?;
    }
    let unit = |unit: &str| format!("{unit}, {functions} functions");
    report.add(Row {
        name: "start until the first answer".to_owned(),
        unit: unit("ms"),
        values: times,
        baseline: None,
    });
    let memory = [memory.0, memory.1].map(|kib| f64::from(u32::try_from(kib).unwrap_or(u32::MAX)));
    for (name, kib) in ["resident memory, idle", "memory of its own, idle"].iter().zip(memory) {
        report.add(Row {
            name: (*name).to_owned(),
            unit: unit("MiB"),
            values: vec![kib / 1024.0],
            baseline: None,
        });
    }
    Ok(memory)
}
