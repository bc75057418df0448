//! `nexus invocations`: what ran.

use clap::{Args, Subcommand};
use nexus_model::record::{Status, Trigger};
use nexus_model::view::{InvocationRow, InvocationView};
use nexus_model::{EventId, Sources, VersionId};

use super::history::{self, Item, Places, RangeArgs, SearchArgs};
use crate::client::Place;
use crate::render;
use crate::{Error, Session, Terminal, units};

/// What ran: list, follow and show invocations
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct InvocationsArgs {
    /// Something else than a list
    #[command(subcommand)]
    pub command: Option<InvocationsCommand>,
    /// Which invocations
    #[command(flatten)]
    pub filter: InvocationsFilter,
}

/// Other commands about invocations.
#[derive(Subcommand, Debug)]
pub enum InvocationsCommand {
    /// Show one invocation: times, input, output, journal, logs, failure
    Show {
        /// The invocation's id, or `last` for the newest
        id: String,
    },
}

/// Which invocations.
#[derive(Args, Debug)]
pub struct InvocationsFilter {
    /// Of this function
    #[arg(long, value_name = "NAME")]
    pub function: Option<String>,
    /// Of this version
    #[arg(long, value_name = "ID")]
    pub version: Option<VersionId>,
    /// With one of these statuses, comma-separated. Running and suspended: of events and asynchronous
    /// calls; queued: asynchronous calls that wait (an event that waits has no invocation yet)
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = status)]
    pub status: Vec<Status>,
    /// That took at least this long
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration)]
    pub min_duration: Option<std::time::Duration>,
    /// That took at most this long
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration)]
    pub max_duration: Option<std::time::Duration>,
    /// Set off by one of these, comma-separated: http, event, invoke
    #[arg(long, value_name = "TRIGGER", value_delimiter = ',', value_parser = trigger)]
    pub trigger: Vec<Trigger>,
    /// Whose code had to be loaded first (or, with =false, had not)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub cold: Option<bool>,
    /// That belong to this trace
    #[arg(long, value_name = "ID")]
    pub trace: Option<String>,
    /// That handled this event
    #[arg(long, value_name = "ID")]
    pub event: Option<EventId>,
    /// Whether to count or to look into payloads
    #[command(flatten)]
    pub search: SearchArgs,
    /// When and how many
    #[command(flatten)]
    pub range: RangeArgs,
}

fn trigger(word: &str) -> Result<Trigger, String> {
    Trigger::from_word(word)
        .ok_or_else(|| format!("the triggers are {}", Trigger::WORDS.join(", ")))
}

pub(crate) fn status(word: &str) -> Result<Status, String> {
    Status::from_word(word)
        .ok_or_else(|| format!("the statuses are {}", Status::WORDS[1..].join(", ")))
}

impl Item for InvocationRow {
    fn key(&self) -> String {
        // One invocation comes twice when it is followed: running, then ended.
        format!("{} {}", self.id, self.status.word())
    }
}

pub(crate) fn run(session: &mut Session, args: InvocationsArgs) -> Result<(), Error> {
    match args.command {
        Some(InvocationsCommand::Show { id }) => show(session, &id),
        None if args.filter.range.follow => follow(session, &args.filter),
        None => list(session, &args.filter),
    }
}

fn place(
    session: &Session,
    filter: &InvocationsFilter,
    segments: &[&'static str],
) -> Result<Place, Error> {
    let words: Vec<_> = filter.status.iter().map(|status| status.word()).collect();
    let statuses = (!words.is_empty()).then(|| words.join(","));
    let words: Vec<_> = filter.trigger.iter().map(|trigger| trigger.word()).collect();
    let triggers = (!words.is_empty()).then(|| words.join(","));
    Ok(session
        .history(filter.range.all_projects, segments.iter().copied())?
        .maybe("function", filter.function.as_ref())
        .maybe("version", filter.version)
        .maybe("status", statuses)
        .maybe("min_duration", filter.min_duration.map(units::exact_duration))
        .maybe("max_duration", filter.max_duration.map(units::exact_duration))
        .maybe("trigger", triggers)
        .maybe("cold", filter.cold)
        .maybe("trace", filter.trace.as_ref())
        .maybe("event", filter.event))
}

fn list(session: &mut Session, filter: &InvocationsFilter) -> Result<(), Error> {
    let segments: &[&str] = match (filter.search.count, filter.search.is_search()) {
        (true, _) => &["invocations", "count"],
        (_, true) => &["invocations", "search"],
        _ => &["invocations"],
    };
    let place = place(session, filter, segments)?;
    let place = filter.search.filter(filter.range.filter(place, &session.terminal)?);
    if filter.search.count {
        return history::count(session, place);
    }
    let mut table = render::invocation_table();
    let mut show = |terminal: &mut Terminal, row: InvocationRow| {
        if terminal.json() {
            return terminal.value(&row);
        }
        table.row(render::invocation_row(terminal, &row));
        Ok(())
    };
    let limit = filter.range.limit;
    let more = if filter.search.is_search() {
        history::search(session, place, limit, &mut show)?
    } else {
        let Session { client, terminal, .. } = session;
        client.pages(place, limit, &mut |row| show(terminal, row))?
    };
    table.print(&mut session.terminal)?;
    if table.is_empty() && !session.terminal.json() {
        let about = (filter.range.all_projects, filter.function.as_deref());
        history::say_empty(session, "invocations", about)?;
    }
    if more {
        history::say_more(&mut session.terminal, limit);
    }
    Ok(())
}

fn follow(session: &mut Session, filter: &InvocationsFilter) -> Result<(), Error> {
    let list = place(session, filter, &["invocations"])?;
    let places = Places {
        list: filter.range.filter(list, &session.terminal)?,
        stream: place(session, filter, &["invocations", "stream"])?,
        past: filter.range.past(),
    };
    history::follow(session, &places, &mut |terminal, row: &InvocationRow| {
        if terminal.json() {
            return terminal.value(row);
        }
        let line = render::invocation_line(terminal, row);
        terminal.line(line)
    })
}

fn show(session: &mut Session, which: &str) -> Result<(), Error> {
    let id = session.invocation(which)?;
    let view: InvocationView =
        session.client.get(session.place(["invocations", &id.to_string()])?)?;
    if session.terminal.json() {
        return session.terminal.value(&view);
    }
    let sources = sources(session, &view);
    render::show_invocation(&mut session.terminal, &view, sources.as_ref())
}

/// The text of the code where an invocation failed; it is shown without where it is not to be had.
fn sources(session: &Session, view: &InvocationView) -> Option<Sources> {
    let frames = &view.failure.as_ref()?.frames;
    frames.iter().find(|frame| frame.source.is_some())?;
    let version = view.row.version?.to_string();
    let place = ["functions", &view.row.function, "versions", &version, "sources"];
    session.client.get(session.place(place).ok()?).ok()
}
