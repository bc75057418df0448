//! First calls after a start: code that lies compiled on the disk, never used by this process.

use serde_json::Value;

use super::nexus::{Deploy, Nexus, PROJECT, Place, http_spec};
use super::report::{Report, Row};
use super::{Bench, guests};
use crate::http::{self, Request};

/// Components with digests of their own: each is cold once per start.
const COMPONENTS: u32 = 20;
/// Parts of the time of an invocation.
const PARTS: [&str; 5] = ["fetch_ns", "load_ns", "instantiate_ns", "first_answer_ns", "total_ns"];

pub(super) fn measure(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let place = Place::empty(bench, "cold")?;
    let nexus = place.start()?;
    for number in 0..COMPONENTS {
        let component = guests::distinct(&bench.guests.http, number);
        let name = format!("hello-{number}");
        let spec = http_spec(&format!("/{name}"));
        nexus.deploy(&Deploy { name: &name, component: &component, spec })?;
    }
    drop(nexus);
    let nexus = place.start()?;
    let mut values: Vec<Vec<f64>> = vec![Vec::new(); PARTS.len()];
    for number in 0..COMPONENTS {
        let name = format!("hello-{number}");
        call(&nexus, &name)?;
        let timings = timings(&nexus, &name)?;
        for (part, values) in PARTS.iter().zip(&mut values) {
            values.push(timings[part].as_f64().unwrap_or_default() / 1e3);
        }
    }
    for (part, values) in PARTS.iter().zip(values) {
        let name = format!("cold call, {}", part.trim_end_matches("_ns").replace('_', " "));
        report.add(Row { name, unit: "µs, Rust component".to_owned(), values, baseline: None });
    }
    Ok(())
}

fn call(nexus: &Nexus, name: &str) -> anyhow::Result<()> {
    let path = format!("/api/v1/projects/{PROJECT}/functions/{name}/invoke");
    let head = format!("authorization: Bearer {}\r\n", nexus.token);
    let request = Request { method: "POST", path: &path, head: &head, body: b"" };
    let answer = http::send(nexus.admin, &request)?;
    anyhow::ensure!(answer.status == 200, "{name} was answered with {}", answer.status);
    Ok(())
}

/// The timings of the function's only invocation, once its recording is there.
fn timings(nexus: &Nexus, name: &str) -> anyhow::Result<Value> {
    let project = format!("/api/v1/projects/{PROJECT}/invocations");
    loop {
        let page = nexus.get(&format!("{project}?function={name}&limit=1"))?;
        if let Some(id) = page["items"][0]["id"].as_str() {
            return Ok(nexus.get(&format!("{project}/{id}"))?["timings"].clone());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
