//! `nexus stats`: how often functions ran, how it ended, how long it took.

use clap::Args;
use nexus_model::view::{StatsView, TotalsView};

use super::history::moment;
use crate::render::{Cell, Column, Table};
use crate::units::show_duration;
use crate::{Error, Paint, Session, Tone};

/// Count what ran: how often, how it ended, how long it took
#[derive(Args, Debug)]
pub struct StatsArgs {
    /// Only this function
    pub function: Option<String>,
    /// From here on: 1h, 30m, a date or a time
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub since: String,
    /// Up to here: 1h, 30m, a date or a time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// In all projects
    #[arg(short = 'A', long)]
    pub all_projects: bool,
}

pub(crate) fn run(session: &mut Session, args: &StatsArgs) -> Result<(), Error> {
    let place = session
        .history(args.all_projects, ["stats"])?
        .maybe("since", moment(Some(&args.since), &session.terminal)?)
        .maybe("until", moment(args.until.as_deref(), &session.terminal)?)
        .maybe("function", args.function.as_ref());
    let stats: StatsView = session.client.get(place)?;
    let terminal = &mut session.terminal;
    if terminal.json() {
        return terminal.value(&stats);
    }
    let mut table = Table::new([
        Column::left("FUNCTION"),
        Column::right("CALLS"),
        Column::right("FAILED"),
        Column::right("COLD"),
        Column::right("P50"),
        Column::right("P95"),
        Column::right("P99"),
        Column::right("MAX"),
    ]);
    for function in &stats.functions {
        let name = match args.all_projects {
            true => format!("{}/{}", function.project, function.function),
            false => function.function.clone(),
        };
        table.row(row(name, &function.totals));
    }
    if stats.functions.len() != 1 {
        table.row(row("all".to_owned(), &stats.totals));
    }
    table.print(terminal)?;
    let waiting = stats.now.deliveries;
    let now = format!(
        "now: {} queued, {} retrying, {} running, {} suspended; {} dead letters",
        waiting.queued,
        waiting.retrying,
        waiting.running,
        waiting.suspended,
        stats.now.dead_letters
    );
    terminal.say(Paint(Tone::Faint, now));
    Ok(())
}

fn row(name: String, totals: &TotalsView) -> Vec<Cell> {
    let time = |ns: Option<u64>| ns.map_or_else(|| "-".to_owned(), show_duration);
    let failed = match totals.failed {
        0 => Cell::new("0"),
        failed => Cell::toned(Tone::Bad, failed.to_string()),
    };
    vec![
        Cell::new(name),
        Cell::new(totals.invocations.to_string()),
        failed,
        Cell::new(totals.cold.to_string()),
        Cell::new(time(totals.p50_ns)),
        Cell::new(time(totals.p95_ns)),
        Cell::new(time(totals.p99_ns)),
        Cell::new(time(totals.max_ns)),
    ]
}
