//! Synchronous calls: requests per second with 64 connections, latency with one.

use anyhow::Context as _;

use super::nexus::{Deploy, PROJECT, Place, event_spec, http_spec};
use super::report::{Report, Row};
use super::wrk::{Load, Measured};
use super::{Bench, server};

/// Connections of a saturated server.
const MANY: u32 = 64;

/// A server that takes its turn in each round.
struct Candidate {
    name: &'static str,
    /// What its throughput is divided by.
    baseline: Option<&'static str>,
    load: Load,
    measured: Vec<Measured>,
}

pub(super) fn measure(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let axum = server::axum(bench)?;
    let wasmtime = server::wasmtime(bench, &bench.guests.http_file)?;
    let place = Place::empty(bench, "sync")?;
    let nexus = place.start()?;
    let http = Deploy { name: "hello", component: &bench.guests.http, spec: http_spec("/hello") };
    nexus.deploy(&http)?;
    let spec = event_spec("bench.order");
    nexus.deploy(&Deploy { name: "order", component: &bench.guests.event, spec })?;

    let script = place.folder.join("post.lua");
    std::fs::write(&script, post_script()).context("failed to write the script of wrk")?;
    let host = format!("Host: {PROJECT}.localhost");
    let ours = Load {
        headers: vec![host],
        address: nexus.ingress,
        ..Load::get(&nexus.server, "/hello", MANY)
    };
    let post = |server, path: &str, headers: Vec<String>| Load {
        headers,
        script: Some(script.clone()),
        ..Load::get(server, path, MANY)
    };
    let bearer = format!("Authorization: Bearer {}", nexus.token);
    let invoke = format!("/api/v1/projects/{PROJECT}/functions/order/invoke");
    let mut candidates = vec![
        Candidate::new("axum, GET", None, Load::get(&axum, "/hello", MANY)),
        Candidate::new("Nexus, wasi:http component", Some("axum, GET"), ours),
        Candidate::new("axum, POST 1 KiB", None, post(&axum, "/take", Vec::new())),
        Candidate::new(
            "Nexus, nexus:function component, POST 1 KiB",
            Some("axum, POST 1 KiB"),
            post(&nexus.server, &invoke, vec![bearer]),
        ),
    ];
    if let Some(wasmtime) = &wasmtime {
        let load = Load::get(wasmtime, "/hello", MANY);
        candidates.push(Candidate::new("wasmtime serve, the same component", None, load));
    }
    rounds(bench, &mut candidates)?;
    for candidate in &candidates {
        candidate.report(report, "requests/s, 64 connections", |at| at.per_second);
        candidate.report(report, "server CPU in µs per request, 64 connections", |at| at.cpu_us);
        candidate.report(report, "p99 in µs, 64 connections", |at| at.p99_us);
    }
    if wasmtime.is_some() {
        report.ratio(
            "Nexus, wasi:http component ÷ wasmtime serve",
            ("Nexus, wasi:http component", "requests/s, 64 connections"),
            ("wasmtime serve, the same component", "requests/s, 64 connections"),
        );
    }
    for candidate in &mut candidates {
        candidate.load.connections = 1;
        candidate.measured.clear();
    }
    rounds(bench, &mut candidates)?;
    for candidate in &candidates {
        candidate.report(report, "p50 in µs, 1 connection", |at| at.p50_us);
    }
    Ok(())
}

/// Each candidate in turn, as many times as the options say.
fn rounds(bench: &Bench<'_>, candidates: &mut [Candidate]) -> anyhow::Result<()> {
    for round in 0..bench.options.rounds {
        for candidate in candidates.iter_mut() {
            let measured = candidate.load.run(bench)?;
            let Measured { per_second, p50_us, errors, .. } = measured;
            println!(
                "round {round}: {per_second:>9.0}/s, p50 {p50_us:>7.0} µs  {}",
                candidate.name
            );
            anyhow::ensure!(errors == 0, "{}: {errors} requests failed", candidate.name);
            candidate.measured.push(measured);
        }
    }
    Ok(())
}

impl Candidate {
    fn new(name: &'static str, baseline: Option<&'static str>, load: Load) -> Self {
        Candidate { name, baseline, load, measured: Vec::new() }
    }

    fn report(&self, report: &mut Report, unit: &'static str, field: fn(&Measured) -> f64) {
        report.add(Row {
            name: self.name.to_owned(),
            unit: unit.to_owned(),
            values: self.measured.iter().map(field).collect(),
            baseline: self.baseline.map(str::to_owned),
        });
    }
}

/// A `POST` of 1 KiB of JSON.
pub(super) fn post_script() -> String {
    format!(
        "wrk.method = \"POST\"\nwrk.headers[\"content-type\"] = \"application/json\"\nwrk.body = \
         [==[{}]==]\n",
        order()
    )
}

/// 1 KiB of JSON: a customer, items, and a note that fills up.
pub(super) fn order() -> String {
    let items: Vec<String> =
        (1..=8).map(|at| format!(r#"{{"sku":"item-{at}","price":{at},"count":2}}"#)).collect();
    let start = format!(r#"{{"customer":"ada","items":[{}],"note":""#, items.join(","));
    let end = r#""}"#;
    format!("{start}{}{end}", "x".repeat(1024 - start.len() - end.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_one_kib_of_json() {
        assert_eq!(order().len(), 1024);
        assert!(serde_json::from_str::<serde_json::Value>(&order()).is_ok());
    }
}
