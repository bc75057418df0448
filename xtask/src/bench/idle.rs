//! What functions cost that nobody calls: memory, and time at the start.

use std::process::Command;
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
    let count = bench.options.functions;
    let what = |count| format!("{count} functions");
    let empty = starts(&place, report, &what(1))?;
    seed(bench, (&place, "hello"), SOME, &[])?;
    starts(&place, report, &what(SOME))?;
    seed(bench, (&place, "hello"), count, &[])?;
    let full = starts(&place, report, &what(count))?;
    each(report, "idle function", count, [empty, full]);
    Ok(())
}

/// What each of many costs, from the memory without and with them.
pub(super) fn each(report: &mut Report, what: &str, count: u32, memory: [[f64; 2]; 2]) {
    let [without, with] = memory;
    for (index, kind) in ["resident memory", "memory of its own"].into_iter().enumerate() {
        let bytes = (with[index] - without[index]) * 1024.0 / f64::from(count);
        report.add(Row {
            name: format!("{kind} per {what}"),
            unit: format!("bytes, {count} functions"),
            values: vec![bytes],
            baseline: None,
        });
    }
}

/// Copies the function in the store of the stopped server.
pub(super) fn seed(
    bench: &Bench<'_>,
    (place, function): (&Place, &str),
    count: u32,
    more: &[&str],
) -> anyhow::Result<()> {
    let mut command = Command::new(bench.dist.example("seed"));
    command.arg(place.folder.join("store.sqlite"));
    command.args([PROJECT, function, &count.to_string()]).args(more);
    shell::run(&mut command)
}

/// Starts the server several times; gives its memory in KiB (resident, its own) after the last.
/// `what` says what it holds.
pub(super) fn starts(place: &Place, report: &mut Report, what: &str) -> anyhow::Result<[f64; 2]> {
    let mut times = Vec::new();
    let mut memory = (0, 0);
    for _ in 0..STARTS {
        let started = Instant::now();
        let nexus = place.start()?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        nexus.ready()?;
        memory = nexus.server.memory_kib()?;
    }
    let unit = |unit: &str| format!("{unit}, {what}");
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
