//! Accepting events durably: one a request, and in batches.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::engine::{Nats, Peers};
use super::nexus::{Nexus, PROJECT, Place};
use super::report::{Report, Row};
use super::server::Server;
use super::wrk::{Load, Measured};
use super::{Bench, server, sync};

/// Connections of a saturated server.
const MANY: u32 = 64;
/// Events in one batch request.
const BATCH: u32 = 32;
const AXUM: &str = "axum, POST 1 KiB";
const SINGLE: &str = "Nexus, durable accept, 1 KiB events";
const BATCHES: &str = "Nexus, durable accept, batches of 32";
const RATE: &str = "events/s, 64 connections";

/// Something that takes its turn in each round.
pub(super) struct Candidate<'a> {
    pub(super) name: &'a str,
    /// Events of one request.
    pub(super) size: u32,
    /// What it is divided by.
    pub(super) baseline: Option<&'a str>,
    pub(super) run: Box<dyn Fn() -> anyhow::Result<Measured> + 'a>,
}

pub(super) fn measure(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let axum = server::axum(bench)?;
    let place = Place::empty(bench, "events")?;
    let nexus = place.start()?;
    nexus.call("PUT", &format!("/api/v1/projects/{PROJECT}"), ("application/json", b"{}"))?;
    let nats = Nats::start(bench)?;
    let peers = nats.is_some().then(|| Peers::build(bench)).transpose()?;
    let loads = Loads::write(&place.folder)?;
    let (bare, [single, batch]) = (loads.bare(&axum), loads.accept(&nexus));
    let wrk = |name, size, load: Load| Candidate {
        name,
        size,
        baseline: (name != AXUM).then_some(AXUM),
        run: Box::new(move || load.run(bench)),
    };
    let mut candidates =
        vec![wrk(AXUM, 1, bare), wrk(SINGLE, 1, single), wrk(BATCHES, BATCH, batch)];
    let beside = [
        ("NATS JetStream, synced, 1 KiB messages", 1, SINGLE),
        ("NATS JetStream, synced, batches of 32", BATCH, BATCHES),
    ];
    if let (Some(nats), Some(peers)) = (&nats, &peers) {
        for (name, size, _) in beside {
            let run = Box::new(move || nats.publish(bench, peers, size));
            candidates.push(Candidate { name, size, baseline: Some(AXUM), run });
        }
    }
    rounds(bench, &candidates, report)?;
    for (peer, _, ours) in beside {
        report.ratio(&format!("{ours} ÷ NATS JetStream"), (ours, RATE), (peer, RATE));
    }
    Ok(())
}

/// Each candidate in turn, as many times as the options say; then their rows.
pub(super) fn rounds(
    bench: &Bench<'_>,
    candidates: &[Candidate<'_>],
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut values = vec![Vec::new(); candidates.len()];
    for round in 0..bench.options.rounds {
        for (Candidate { name, size, run, .. }, values) in candidates.iter().zip(&mut values) {
            let measured = run()?;
            let rate = measured.per_second * f64::from(*size);
            println!("round {round}: {rate:>9.0} events/s  {name}");
            anyhow::ensure!(measured.errors == 0, "{name}: {} requests failed", measured.errors);
            values.push(Measured { per_second: rate, ..measured });
        }
    }
    type Quantity = (&'static str, fn(&Measured) -> f64);
    let quantities: [Quantity; 3] = [
        (RATE, |at| at.per_second),
        ("p50 in µs, accepting, 64 connections", |at| at.p50_us),
        ("p99 in µs, accepting, 64 connections", |at| at.p99_us),
    ];
    for (candidate, values) in candidates.iter().zip(&values) {
        for (unit, field) in quantities {
            report.add(Row {
                name: candidate.name.to_owned(),
                unit: unit.to_owned(),
                values: values.iter().map(field).collect(),
                baseline: candidate.baseline.map(str::to_owned),
            });
        }
    }
    Ok(())
}

/// Scripts for `wrk` that send events.
pub(super) struct Loads {
    single: PathBuf,
    batch: PathBuf,
}

impl Loads {
    /// Writes the scripts.
    pub(super) fn write(folder: &Path) -> anyhow::Result<Self> {
        let script = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).context("failed to write a script of wrk").map(|()| path)
        };
        let single = script("single.lua", single_script())?;
        Ok(Loads { single, batch: script("batch.lua", batch_script())? })
    }

    /// The bare server gets the same requests.
    pub(super) fn bare(&self, axum: &Server) -> Load {
        Load { script: Some(self.single.clone()), ..Load::get(axum, "/take", MANY) }
    }

    /// One event a request, and batches.
    pub(super) fn accept(&self, nexus: &Nexus) -> [Load; 2] {
        [&self.single, &self.batch].map(|script| Load {
            headers: vec![format!("Authorization: Bearer {}", nexus.token)],
            script: Some(script.clone()),
            ..Load::get(&nexus.server, &format!("/api/v1/projects/{PROJECT}/events"), MANY)
        })
    }
}

/// A binary-mode event with an id of its own in each request.
fn single_script() -> String {
    format!(
        r#"local n = 0
local run = tostring(os.time()) .. "-" .. tostring({{}}):sub(8) .. "-"
local body = [==[{}]==]
local headers = {{
  ["content-type"] = "application/json", ["ce-specversion"] = "1.0",
  ["ce-source"] = "/bench", ["ce-type"] = "bench.accepted",
}}
function request()
  n = n + 1
  headers["ce-id"] = run .. n
  for name, value in pairs(wrk.headers) do headers[name] = headers[name] or value end
  return wrk.format("POST", nil, headers, body)
end
"#,
        sync::order()
    )
}

/// Batches of structured events with ids of their own.
fn batch_script() -> String {
    format!(
        r#"local n = 0
local run = tostring(os.time()) .. "-" .. tostring({{}}):sub(8) .. "-"
local start = [==[{{"specversion":"1.0","source":"/bench","type":"bench.accepted","data":{},"id":"]==]
function request()
  local events = {{}}
  for at = 1, {BATCH} do
    n = n + 1
    events[at] = start .. run .. n .. '"}}'
  end
  wrk.headers["content-type"] = "application/cloudevents-batch+json"
  return wrk.format("POST", nil, wrk.headers, "[" .. table.concat(events, ",") .. "]")
end
"#,
        sync::order()
    )
}
