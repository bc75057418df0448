//! Events from accepting to the recorded result.

use anyhow::Context as _;
use serde_json::json;

use super::super::events::Loads;
use super::super::nexus::{Deploy, Nexus, PROJECT, Place, event_spec};
use super::super::report::{Report, Row};
use super::super::{Bench, server};
use super::peers::{Nats, Peers};
use super::restate::Restate;
use super::{BATCH, FUNCTION, HANDLED, MANY};
use crate::http::{self, Request};

const UNIT: &str = "events/s, accepted and handled";
const AXUM: &str = "axum, POST 1 KiB";
const NEXUS: &str = "Nexus, events to recorded results";
const NATS: &str = "NATS JetStream, pull consumer";

/// A name, and what measures one round of it: events per second.
type Candidate<'a> = (&'a str, Box<dyn Fn(u32) -> anyhow::Result<f64> + 'a>);

pub(crate) fn measure(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let peers = Peers::build(bench)?;
    let axum = server::axum(bench)?;
    let place = Place::empty(bench, "handled")?;
    let nexus = place.start()?;
    let spec = event_spec(HANDLED);
    nexus.deploy(&Deploy { name: FUNCTION, component: &bench.guests.event, spec })?;
    let nats = Nats::start(bench)?;
    let restates = Restate::start_all(bench, &peers)?;

    let events = bench.options.events;
    let take = Loads::write(&place.folder)?.bare(&axum);
    let mut candidates: Vec<Candidate<'_>> = vec![
        (AXUM, Box::new(|_| Ok(take.run(bench)?.per_second))),
        (NEXUS, Box::new(|round| nexus.handle(&peers, events, round))),
    ];
    if let Some(nats) = &nats {
        candidates.push((NATS, Box::new(|_| nats.handle(&peers, BATCH, events))));
    }
    for restate in &restates {
        candidates.push((restate.name, Box::new(|_| restate.handle(&peers, events))));
    }
    let mut values = vec![Vec::new(); candidates.len()];
    for round in 0..bench.options.rounds {
        for ((name, run), values) in candidates.iter().zip(&mut values) {
            let rate = run(round)?;
            println!("round {round}: {rate:>9.0} events/s  {name}");
            values.push(rate);
        }
    }
    for ((name, _), values) in candidates.iter().zip(values) {
        let baseline = (*name != AXUM).then(|| AXUM.to_owned());
        let (name, unit) = ((*name).to_owned(), UNIT.to_owned());
        report.add(Row { name, unit, values, baseline });
    }
    for (peer, _) in &candidates[2..] {
        let name = format!("handled, Nexus ÷ {peer}");
        report.ratio(&name, (NEXUS, UNIT), (peer, UNIT));
    }
    Ok(())
}

impl Nexus {
    /// Sends events and waits until the results of all are recorded: events per second.
    fn handle(&self, peers: &Peers, events: u32, round: u32) -> anyhow::Result<f64> {
        let before = self.progress()?;
        let load = peers.http(json!({
            "address": self.admin,
            "path": format!("/api/v1/projects/{PROJECT}/events"),
            "headers": {
                "authorization": format!("Bearer {}", self.token),
                "content-type": "application/cloudevents-batch+json",
            },
            "connections": MANY,
            "count": events,
            "what": { "batch": { "size": BATCH, "type": HANDLED, "run": round.to_string() } },
        }))?;
        let begun = load.begun;
        load.end()?;
        let all = before.succeeded + f64::from(events);
        super::wait_until(|| {
            let now = self.progress()?;
            anyhow::ensure!(now.other == before.other, "invocations failed");
            Ok(now.pending == 0.0 && now.succeeded >= all)
        })
        .context("not all events were handled")?;
        Ok(f64::from(events) / begun.elapsed().as_secs_f64())
    }

    fn progress(&self) -> anyhow::Result<Progress> {
        let head = format!("authorization: Bearer {}\r\n", self.token);
        let request = Request { method: "GET", path: "/metrics", head: &head, body: b"" };
        let answer = http::send(self.admin, &request)?;
        anyhow::ensure!(answer.status == 200, "/metrics was answered with {}", answer.status);
        Ok(Progress::read(&String::from_utf8_lossy(&answer.body)))
    }
}

/// How far the handling of events is.
#[derive(Debug, PartialEq)]
struct Progress {
    /// Deliveries whose end is not on disk.
    pending: f64,
    /// Invocations that succeeded.
    succeeded: f64,
    /// Invocations that ended in another way.
    other: f64,
}

impl Progress {
    /// From metrics as text.
    fn read(text: &str) -> Self {
        let sum = |wanted: &dyn Fn(&str) -> bool| -> f64 {
            let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
            let values = lines.filter(|(name, _)| wanted(name)).map(|(_, value)| value.parse());
            values.map(|value: Result<f64, _>| value.unwrap_or(f64::NAN)).sum()
        };
        let ended = |name: &str| name.starts_with("faas_invocations_total{");
        let succeeded = |name: &str| name.contains("status=\"succeeded\"");
        Progress {
            pending: sum(&|name| name == "nexus_deliveries_pending"),
            succeeded: sum(&|name| ended(name) && succeeded(name)),
            other: sum(&|name| ended(name) && !succeeded(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_say_how_far_it_is() {
        let text = "# TYPE faas_invocations counter\n\
                    faas_invocations_total{project=\"b\",function=\"order\",status=\"succeeded\"} 7\n\
                    faas_invocations_total{project=\"b\",function=\"x\",status=\"succeeded\"} 1\n\
                    faas_invocations_total{project=\"b\",function=\"x\",status=\"trapped\"} 2\n\
                    nexus_deliveries_pending 3\n# EOF\n";
        let expected = Progress { pending: 3.0, succeeded: 8.0, other: 2.0 };
        assert_eq!(Progress::read(text), expected);
        assert_eq!(Progress::read("").succeeded, 0.0);
    }
}
