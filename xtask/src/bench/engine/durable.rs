//! Calls that are on disk before they run, and whose results are on disk before they are given.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;

use super::super::Bench;
use super::super::nexus::{Deploy, Nexus, PROJECT, Place, event_spec};
use super::super::report::{Report, Row};
use super::super::wrk::Measured;
use super::peers::Peers;
use super::restate::Restate;
use super::{FUNCTION, HANDLED, MANY};

const NEXUS: &str = "Nexus, durable call with its result";
const RAW: &str = "raw fdatasync of 1 KiB";
const RATE: &str = "durable calls/s, 64 connections";
const P99: &str = "p99 in µs, durable calls, 64 connections";
const LATENCY: &str = "p50 in µs, durable calls, 1 connection";
/// The size of the file that is synced: preallocated, as Nexus's log is.
const RAW_BYTES: usize = 16 << 20;

/// A name, and what makes load with a number of connections.
type Candidate<'a> = (&'a str, Box<dyn Fn(u32) -> anyhow::Result<Measured> + 'a>);

/// The load alone, beside nothing.
pub(crate) fn train(bench: &Bench<'_>) -> anyhow::Result<()> {
    let peers = Peers::build(bench)?;
    let place = Place::empty(bench, "durable")?;
    let nexus = started(bench, &place)?;
    for connections in [MANY, 1] {
        nexus.call_durably(bench, &peers, connections)?;
    }
    Ok(())
}

fn started(bench: &Bench<'_>, place: &Place) -> anyhow::Result<Nexus> {
    let nexus = place.start()?;
    let spec = event_spec(HANDLED);
    nexus.deploy(&Deploy { name: FUNCTION, component: &bench.guests.event, spec })?;
    Ok(nexus)
}

pub(crate) fn measure(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let peers = Peers::build(bench)?;
    let place = Place::empty(bench, "durable")?;
    let nexus = started(bench, &place)?;
    let restates = Restate::start_all(bench, &peers)?;
    let mut candidates: Vec<Candidate<'_>> =
        vec![(NEXUS, Box::new(|connections| nexus.call_durably(bench, &peers, connections)))];
    for restate in &restates {
        let run = |connections| restate.call(bench, &peers, connections);
        candidates.push((restate.name, Box::new(run)));
    }
    let raw = place.folder.join("raw");
    let mut saturated = vec![Vec::new(); candidates.len()];
    let mut alone = vec![Vec::new(); candidates.len()];
    let mut syncs = Vec::new();
    for round in 0..bench.options.rounds {
        for (index, (name, run)) in candidates.iter().enumerate() {
            let many = run(MANY).with_context(|| format!("{name}, {MANY} connections"))?;
            let one = run(1).with_context(|| format!("{name}, 1 connection"))?;
            let (rate, p50) = (many.per_second, one.p50_us);
            println!("round {round}: {rate:>9.0}/s, p50 {p50:>7.0} µs alone  {name}");
            saturated[index].push(many);
            alone[index].push(one);
        }
        let took = raw_sync(&raw, Duration::from_secs(1))?;
        println!("round {round}: p50 {took:>7.0} µs  {RAW}");
        syncs.push(took);
    }
    report.add(row((RAW, LATENCY), syncs, None));
    for ((name, _), (many, one)) in candidates.iter().zip(saturated.iter().zip(&alone)) {
        let of = |all: &[Measured], field: fn(&Measured) -> f64| all.iter().map(field).collect();
        report.add(row((name, RATE), of(many, |at| at.per_second), None));
        report.add(row((name, P99), of(many, |at| at.p99_us), None));
        report.add(row((name, LATENCY), of(one, |at| at.p50_us), Some(RAW)));
    }
    for (peer, _) in &candidates[1..] {
        report.ratio(&format!("durable calls/s, Nexus ÷ {peer}"), (NEXUS, RATE), (peer, RATE));
        let name = format!("durable latency, Nexus ÷ {peer}");
        report.ratio(&name, (NEXUS, LATENCY), (peer, LATENCY));
    }
    Ok(())
}

fn row((name, unit): (&str, &str), values: Vec<f64>, baseline: Option<&str>) -> Row {
    let baseline = baseline.map(str::to_owned);
    Row { name: name.to_owned(), unit: unit.to_owned(), values, baseline }
}

impl Nexus {
    /// Calls that are on disk before they run, and wait for their results.
    fn call_durably(
        &self,
        bench: &Bench<'_>,
        peers: &Peers,
        connections: u32,
    ) -> anyhow::Result<Measured> {
        let load = peers.http(json!({
            "address": self.admin,
            "path": format!(
                "/api/v1/projects/{PROJECT}/functions/{FUNCTION}/invoke?async=true&wait=30s"
            ),
            "headers": {
                "authorization": format!("Bearer {}", self.token),
                "content-type": "application/json",
            },
            "connections": connections,
            "seconds": bench.options.seconds,
            "what": "single",
        }))?;
        load.end()
    }
}

/// The median time of writing 1 KiB into a preallocated file and syncing it, in microseconds.
fn raw_sync(path: &Path, time: Duration) -> anyhow::Result<f64> {
    let failed = || format!("failed to write {}", path.display());
    std::fs::write(path, vec![0; RAW_BYTES]).with_context(failed)?;
    let file = std::fs::OpenOptions::new().write(true).open(path).with_context(failed)?;
    file.sync_all().with_context(failed)?;
    let block = [7; 1024];
    let mut took = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < time {
        let at = took.len() * block.len() % RAW_BYTES;
        let one = Instant::now();
        file.write_all_at(&block, at as u64).with_context(failed)?;
        file.sync_data().with_context(failed)?;
        took.push(one.elapsed().as_secs_f64() * 1e6);
    }
    took.sort_by(f64::total_cmp);
    took.get(took.len() / 2).copied().context("no sync ended in time")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_takes_time() {
        let path = std::env::temp_dir().join(format!("nexus-bench-{}", std::process::id()));
        let took = raw_sync(&path, Duration::from_millis(20));
        std::fs::remove_file(&path).ok();
        assert!(took.unwrap() > 0.0);
    }
}
