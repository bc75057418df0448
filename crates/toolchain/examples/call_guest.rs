//! Calls a component a few times and tells what it took: `call_guest FILE METHOD PATH [BODY]`, or
//! `call_guest FILE EVENT TYPE JSON`.

#![expect(clippy::print_stdout, reason = "a tool talks to its terminal")]

#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "shared with the tests, which use more of it"
)]
#[path = "../tests/it/runner.rs"]
mod runner;
#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "shared with the tests, which use more of it"
)]
#[path = "../tests/it/upstream.rs"]
mod upstream;

use anyhow::Context;

const CALLS: usize = 200;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [file, method, path, rest @ ..] = args.as_slice() else {
        anyhow::bail!("usage: call_guest FILE METHOD PATH [BODY]");
    };
    let body = rest.first().map_or("", String::as_str);
    let guest = runner::Guest::new(&std::fs::read(file).context("cannot read the component")?);
    println!("world {:?}, imports {:#?}", guest.world, guest.imports);
    let call = || match method.as_str() {
        "EVENT" => {
            let mut event = nexus_model::Event::new("1", "/test", path.as_str());
            event.datacontenttype = Some("application/json".into());
            event.data = Some(body.to_owned().into());
            let ended = guest.event(event);
            (0, String::from_utf8_lossy(&ended.output.bytes).into_owned(), ended)
        }
        _ => guest.http(method, path, body),
    };
    let (status, text, ended) = call();
    println!("{status} {text}\n{:?} {:?} {:?}", ended.status, ended.failure, ended.events);
    for line in &ended.logs {
        println!("log {}: {} {}", line.level, line.text, line.fields);
    }
    let mut times: Vec<_> = (0..if ended.failure.is_some() { 1 } else { CALLS })
        .map(|_| {
            let ended = call().2;
            (ended.timings.total_ns / 1000, ended.timings.instantiate_ns / 1000)
        })
        .collect();
    times.sort_unstable();
    println!(
        "median of {}: {:?} µs (total, instantiate); grew by {} pages, peak {} KiB, {} host calls",
        times.len(),
        times[times.len() / 2],
        ended.meter.memory_grown_pages,
        ended.meter.memory_peak_bytes >> 10,
        ended.meter.host_calls
    );
    Ok(())
}
