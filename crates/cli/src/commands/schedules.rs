//! `nexus schedules`: events that happen later.

use clap::{Args, Subcommand};
use nexus_model::view::ScheduleView;

use super::history;
use crate::render::{Cell, Column, Table};
use crate::{Error, Session, Tone};

/// Events that happen later: list and cancel; `nexus emit --at` makes them
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SchedulesArgs {
    /// Something else than a list
    #[command(subcommand)]
    pub command: Option<SchedulesCommand>,
    /// At most this many, the next ones first
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 50, value_parser = history::limit)]
    pub limit: usize,
    /// In all projects
    #[arg(short = 'A', long)]
    pub all_projects: bool,
}

/// Other commands about schedules.
#[derive(Subcommand, Debug)]
pub enum SchedulesCommand {
    /// Take back an event that has not happened
    Cancel {
        /// The schedule's id, as `nexus emit --at` printed it
        id: String,
    },
}

pub(crate) fn run(session: &mut Session, args: &SchedulesArgs) -> Result<(), Error> {
    if let Some(SchedulesCommand::Cancel { id }) = &args.command {
        session.client.delete(session.place(["schedules", id])?)?;
        session.terminal.say(format_args!("cancelled {id}"));
        return Ok(());
    }
    let place = session.history(args.all_projects, ["schedules"])?;
    let Session { client, terminal, .. } = session;
    let mut views: Vec<ScheduleView> = Vec::new();
    client.pages(place, args.limit, &mut |view| {
        views.push(view);
        Ok(())
    })?;
    if terminal.json() {
        return views.iter().try_for_each(|view| terminal.value(view));
    }
    let mut table = Table::new([
        Column::left("DUE"),
        Column::left("ID"),
        Column::left("TYPE"),
        Column::left("SUBJECT").optional(),
        Column::left("TO").optional(),
        Column::left("BY").optional(),
    ]);
    for view in &views {
        table.row([
            Cell::new(terminal.time(view.due)),
            Cell::toned(Tone::Key, view.id.to_string()),
            Cell::toned(Tone::Strong, view.event.ty.as_str()),
            Cell::new(view.event.subject.clone().unwrap_or_default()),
            Cell::new(view.target.as_str()),
            Cell::toned(Tone::Faint, view.principal.as_str()),
        ]);
    }
    if table.is_empty() {
        terminal.say("no schedules");
    }
    table.print(terminal)
}
