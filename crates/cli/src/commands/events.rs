//! `nexus events`: what happened.

use clap::{Args, Subcommand};
use nexus_model::view::EventView;
use nexus_model::{EventId, InvocationId};

use super::history::{self, Item, Places, RangeArgs, SearchArgs};
use crate::client::Place;
use crate::render;
use crate::{Error, Session, Terminal};

/// What happened: list, follow and show events
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct EventsArgs {
    /// Something else than a list
    #[command(subcommand)]
    pub command: Option<EventsCommand>,
    /// Which events
    #[command(flatten)]
    pub filter: EventsFilter,
}

/// Other commands about events.
#[derive(Subcommand, Debug)]
pub enum EventsCommand {
    /// Show one event with its data
    Show {
        /// The event's id, or `last` for the newest
        id: String,
    },
}

/// Which events.
#[derive(Args, Debug)]
pub struct EventsFilter {
    /// Of this type; a trailing * matches any ending
    #[arg(long = "type", value_name = "TYPE")]
    pub ty: Option<String>,
    /// From this source
    #[arg(long, value_name = "URI")]
    pub source: Option<String>,
    /// About this subject
    #[arg(long, value_name = "TEXT")]
    pub subject: Option<String>,
    /// Emitted by this invocation
    #[arg(long, value_name = "ID")]
    pub cause: Option<InvocationId>,
    /// With the data of each event, in JSON output
    #[arg(long)]
    pub with_data: bool,
    /// Whether to count or to look into payloads
    #[command(flatten)]
    pub search: SearchArgs,
    /// When and how many
    #[command(flatten)]
    pub range: RangeArgs,
}

impl Item for EventView {
    fn key(&self) -> String {
        self.id.to_string()
    }
}

pub(crate) fn run(session: &mut Session, args: EventsArgs) -> Result<(), Error> {
    match args.command {
        Some(EventsCommand::Show { id }) => show(session, &id),
        None if args.filter.range.follow => follow(session, &args.filter),
        None => list(session, &args.filter),
    }
}

fn place(
    session: &Session,
    filter: &EventsFilter,
    segments: &[&'static str],
) -> Result<Place, Error> {
    Ok(session
        .history(filter.range.all_projects, segments.iter().copied())?
        .maybe("type", filter.ty.as_ref())
        .maybe("source", filter.source.as_ref())
        .maybe("subject", filter.subject.as_ref())
        .maybe("cause", filter.cause))
}

fn list(session: &mut Session, filter: &EventsFilter) -> Result<(), Error> {
    let segments: &[&str] = match (filter.search.count, filter.search.is_search()) {
        (true, _) => &["events", "count"],
        (_, true) => &["events", "search"],
        _ => &["events"],
    };
    let place = place(session, filter, segments)?;
    let place = filter.search.filter(filter.range.filter(place, &session.terminal)?);
    if filter.search.count {
        return history::count(session, place);
    }
    let place = place.maybe("data", filter.with_data.then_some("true"));
    let mut table = render::event_table();
    let mut show = |terminal: &mut Terminal, view: EventView| {
        if terminal.json() {
            return terminal.value(&view);
        }
        table.row(render::event_row(terminal, &view));
        Ok(())
    };
    let limit = filter.range.limit;
    let more = if filter.search.is_search() {
        history::search(session, place, limit, &mut show)?
    } else {
        let Session { client, terminal, .. } = session;
        client.pages(place, limit, &mut |view| show(terminal, view))?
    };
    table.print(&mut session.terminal)?;
    if table.is_empty() && !session.terminal.json() {
        history::say_empty(session, "events", (filter.range.all_projects, None))?;
    }
    if more {
        history::say_more(&mut session.terminal, filter.range.limit);
    }
    Ok(())
}

fn follow(session: &mut Session, filter: &EventsFilter) -> Result<(), Error> {
    let list = place(session, filter, &["events"])?;
    let places = Places {
        list: filter
            .range
            .filter(list, &session.terminal)?
            .maybe("data", filter.with_data.then_some("true")),
        stream: place(session, filter, &["events", "stream"])?,
        past: filter.range.past(),
    };
    history::follow(session, &places, &mut |terminal, view: &EventView| {
        if terminal.json() {
            return terminal.value(view);
        }
        let line = render::event_line(terminal, view);
        terminal.line(line)
    })
}

fn show(session: &mut Session, which: &str) -> Result<(), Error> {
    let id = match which {
        "last" => newest(session)?,
        id => id.parse::<EventId>().map_err(|error| Error::Usage {
            message: error.to_string(),
            hint: Some("`nexus events` lists them; `last` is the newest".into()),
        })?,
    };
    let view: EventView = session.client.get(session.place(["events", &id.to_string()])?)?;
    if session.terminal.json() {
        return session.terminal.value(&view);
    }
    render::show_event(&mut session.terminal, &view)
}

fn newest(session: &Session) -> Result<EventId, Error> {
    let mut newest = None;
    session.client.pages(session.place(["events"])?, 1, &mut |view: EventView| {
        newest = Some(view.id);
        Ok(())
    })?;
    newest.ok_or_else(|| Error::Missing {
        message: "no event yet".into(),
        hint: Some("`nexus emit` sends one".into()),
    })
}
