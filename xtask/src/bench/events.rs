//! Accepting events durably: one a request, and in batches.

use anyhow::Context as _;

use super::nexus::{PROJECT, Place};
use super::report::{Report, Row};
use super::wrk::Load;
use super::{Bench, server, sync};

/// Connections of a saturated server.
const MANY: u32 = 64;
/// Events in one batch request.
const BATCH: u32 = 32;

pub(super) fn measure(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let axum = server::axum(bench)?;
    let place = Place::empty(bench, "events")?;
    let nexus = place.start()?;
    let project = format!("/api/v1/projects/{PROJECT}");
    nexus.call("PUT", &project, ("application/json", b"{}"))?;
    let script = |name: &str, text: String| {
        let path = place.folder.join(name);
        std::fs::write(&path, text).context("failed to write a script of wrk").map(|()| path)
    };
    let load = |server, path: &str, script| Load {
        headers: vec![format!("Authorization: Bearer {}", nexus.token)],
        script: Some(script),
        ..Load::get(server, path, MANY)
    };
    let single = script("single.lua", single_script())?;
    let batch = script("batch.lua", batch_script())?;
    let events = format!("{project}/events");
    let candidates = [
        ("axum, POST 1 KiB", 1, load(&axum, "/take", single.clone())),
        ("Nexus, durable accept, 1 KiB events", 1, load(&nexus.server, &events, single)),
        ("Nexus, durable accept, batches of 32", BATCH, load(&nexus.server, &events, batch)),
    ];
    let mut values = vec![(Vec::new(), Vec::new()); candidates.len()];
    for round in 0..bench.options.rounds {
        for ((name, size, load), (rates, p99)) in candidates.iter().zip(&mut values) {
            let measured = load.run(bench)?;
            let rate = measured.per_second * f64::from(*size);
            println!("round {round}: {rate:>9.0} events/s  {name}");
            anyhow::ensure!(measured.errors == 0, "{name}: {} requests failed", measured.errors);
            rates.push(rate);
            p99.push(measured.p99_us);
        }
    }
    for ((name, ..), (rates, p99)) in candidates.iter().zip(values) {
        let baseline = name.starts_with("Nexus").then(|| "axum, POST 1 KiB".to_owned());
        report.add(Row {
            name: (*name).to_owned(),
            unit: "events/s, 64 connections".to_owned(),
            values: rates,
            baseline: baseline.clone(),
        });
        report.add(Row {
            name: (*name).to_owned(),
            unit: "p99 in µs, accepting, 64 connections".to_owned(),
            values: p99,
            baseline,
        });
    }
    Ok(())
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
