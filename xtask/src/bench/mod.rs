//! `cargo xtask bench`: Nexus beside bare servers, in one run, with recording on. See
//! `bench/README.md` for what is measured and how to read it.

mod cold;
mod engine;
mod events;
mod guests;
mod idle;
mod nexus;
mod programs;
mod report;
mod server;
mod sync;
mod wrk;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::dist::{self, Dist};
use crate::shell::Workspace;
use report::Report;

/// Options of `cargo xtask bench`.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// What to measure.
    #[arg(default_value = "all")]
    part: Part,
    /// Seconds of load per candidate and round.
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// Rounds; candidates take turns in each.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Functions that are registered to measure idle ones.
    #[arg(long, default_value_t = 100_000)]
    functions: u32,
    /// Events that are handled in each round.
    #[arg(long, default_value_t = 20_000)]
    events: u32,
    /// Measure the newest build that is there ('cargo xtask dist' makes one).
    #[arg(long, conflicts_with = "trained")]
    no_build: bool,
    /// Measure a build that was trained ('cargo xtask dist --trained').
    #[arg(long)]
    trained: bool,
    /// Where the results go.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Parts of the benchmark.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Everything.
    All,
    /// Requests per second and latency of synchronous calls.
    Sync,
    /// Accepting events.
    Events,
    /// Everything about the durable engine: `events` and the next five.
    Engine,
    /// Events from accepting to the recorded result.
    Handled,
    /// Durable calls and their results.
    Durable,
    /// Event triggers that no event meets.
    Triggers,
    /// Matching events with many subscriptions.
    Matching,
    /// A million pending timers.
    Timers,
    /// First calls after a start.
    Cold,
    /// Memory and start-up with many functions.
    Idle,
    /// Append rates of the log.
    Log,
    /// Fresh instances on one and two threads.
    Fresh,
}

impl Part {
    /// Whether it belongs to what was asked for.
    fn wanted(self, asked: Part) -> bool {
        use Part::{Durable, Events, Handled, Matching, Timers, Triggers};
        let engine = [Events, Handled, Durable, Triggers, Matching, Timers].contains(&self);
        asked == Part::All || asked == self || (asked == Part::Engine && engine)
    }
}

/// What every part needs.
struct Bench<'a> {
    workspace: &'a Workspace,
    options: &'a Options,
    /// The programs under test.
    dist: Dist,
    guests: guests::Guests,
}

/// Runs `cargo xtask bench`.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<ExitCode> {
    needs_wrk(workspace)?;
    let dist = match (options.no_build, options.trained) {
        (true, _) => Dist::newest(workspace)?,
        (false, true) => dist::trained(workspace)?,
        (false, false) => dist::plain(workspace)?,
    };
    let guests = guests::build(workspace)?;
    let bench = Bench { workspace, options, dist, guests };
    let mut report = Report::new(workspace)?;
    type Measure = fn(&Bench<'_>, &mut Report) -> anyhow::Result<()>;
    let parts: [(Part, Measure); 11] = [
        (Part::Sync, sync::measure),
        (Part::Events, events::measure),
        (Part::Handled, engine::handled),
        (Part::Durable, engine::durable),
        (Part::Triggers, engine::triggers),
        (Part::Matching, programs::matching),
        (Part::Timers, programs::timers),
        (Part::Cold, cold::measure),
        (Part::Idle, idle::measure),
        (Part::Log, programs::log),
        (Part::Fresh, programs::fresh),
    ];
    let mut failed = false;
    for (part, measure) in parts {
        if !part.wanted(options.part) {
            continue;
        }
        println!("\n== {part:?}");
        if let Err(error) = measure(&bench, &mut report) {
            failed = true;
            println!("failed: {error:#}");
            report.failed(&format!("{part:?}"), &format!("{error:#}"));
        }
    }
    report.print();
    let default = workspace.root.join("bench/results/latest.json");
    report.write(options.json.as_ref().unwrap_or(&default))?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Puts an instrumented build under load, so that it learns what it is used for.
pub(crate) fn train(workspace: &Workspace, dist: &Dist) -> anyhow::Result<()> {
    needs_wrk(workspace)?;
    let options = Options {
        part: Part::All,
        seconds: 8,
        rounds: 1,
        functions: 1_000,
        events: 5_000,
        no_build: true,
        trained: false,
        json: None,
    };
    let guests = guests::build(workspace)?;
    let bench = Bench { workspace, options: &options, dist: dist.clone(), guests };
    // What is measured of such a build means nothing.
    let mut report = Report::new(workspace)?;
    sync::measure(&bench, &mut report)?;
    events::measure(&bench, &mut report)?;
    cold::measure(&bench, &mut report)?;
    engine::handled(&bench, &mut report)?;
    engine::train_durable(&bench)
}

fn needs_wrk(workspace: &Workspace) -> anyhow::Result<()> {
    let found = workspace.which("wrk").is_some();
    anyhow::ensure!(found, "wrk is missing: install it with 'cargo xtask setup --bench'");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_has_several_parts() {
        assert!(Part::Events.wanted(Part::Engine) && Part::Timers.wanted(Part::Engine));
        assert!(!Part::Sync.wanted(Part::Engine) && !Part::Sync.wanted(Part::Events));
        assert!(Part::Sync.wanted(Part::All) && Part::Sync.wanted(Part::Sync));
    }
}
