//! What event triggers cost that no event meets: memory, time at the start, and the rate of
//! accepting other events.

use super::super::events::{self, Candidate, Loads};
use super::super::nexus::{Deploy, Place, event_spec};
use super::super::report::Report;
use super::super::{Bench, idle};
use super::{BATCH, FUNCTION};

const RATE: &str = "events/s, 64 connections";

pub(crate) fn measure(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let count = bench.options.functions;
    let what = |count| format!("{count} triggers");
    let [few, many] = [Place::empty(bench, "trigger")?, Place::empty(bench, "triggers")?];
    for place in [&few, &many] {
        // Nobody sends such events.
        let spec = event_spec("bench.idle");
        place.start()?.deploy(&Deploy { name: FUNCTION, component: &bench.guests.event, spec })?;
    }
    let before = idle::starts(&few, report, &what(1))?;
    idle::seed(bench, (&many, FUNCTION), count, &["events"])?;
    let after = idle::starts(&many, report, &what(count))?;
    idle::each(report, "idle trigger", count, [before, after]);

    let servers = [few.start()?, many.start()?];
    for server in &servers {
        server.ready()?;
    }
    let loads = Loads::write(&few.folder)?;
    let names = [1, count].map(|count| {
        ["1 KiB events", "batches of 32"]
            .map(|kind| format!("durable accept, {kind}, {}", what(count)))
    });
    let mut candidates = Vec::new();
    for (server, names) in servers.iter().zip(&names) {
        let sizes = [1, BATCH].into_iter().zip(loads.accept(server));
        for ((size, load), name) in sizes.zip(names) {
            let run = Box::new(move || load.run(bench));
            candidates.push(Candidate { name, size, baseline: None, run });
        }
    }
    events::rounds(bench, &candidates, report)?;
    for (few, many) in names[0].iter().zip(&names[1]) {
        report.ratio(&format!("{many} ÷ 1"), (many, RATE), (few, RATE));
    }
    Ok(())
}
