//! `nexus triggers`: what calls functions.

use clap::{Args, Subcommand};
use nexus_model::view::TriggerView;

use crate::client::Send;
use crate::render::{self, Cell, Column, Table};
use crate::units::{exact_duration, show_ago};
use crate::{Error, Paint, Session, Tone};

/// What calls functions: list, show, pause and resume triggers
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct TriggersArgs {
    /// Something else than a list
    #[command(subcommand)]
    pub command: Option<TriggersCommand>,
    /// Only those of this function
    #[arg(long, value_name = "NAME")]
    pub function: Option<String>,
}

/// Other commands about triggers.
#[derive(Subcommand, Debug)]
pub enum TriggersCommand {
    /// Show one trigger with its settings
    Show {
        /// The trigger
        name: String,
    },
    /// Let the events of a trigger wait; its cron does not fire
    ///
    /// Only a Trigger resource can be paused: it has a NAME in the list, and a STATE. What a function
    /// states itself (`[[on.events]]`, `[[on.cron]]`) has none; a route cannot be paused.
    Pause {
        /// The trigger, by its NAME in the list
        name: String,
    },
    /// Let a paused trigger go on
    Resume {
        /// The trigger, by its NAME in the list
        name: String,
    },
    /// Delete a trigger
    Delete {
        /// The trigger
        name: String,
    },
}

pub(crate) fn run(session: &mut Session, args: &TriggersArgs) -> Result<(), Error> {
    match &args.command {
        None => list(session, args.function.as_deref()),
        Some(TriggersCommand::Show { name }) => {
            let view: TriggerView = session.client.get(session.place(["triggers", name])?)?;
            show(session, &view)
        }
        Some(TriggersCommand::Pause { name }) => steer(session, name, "pause"),
        Some(TriggersCommand::Resume { name }) => steer(session, name, "resume"),
        Some(TriggersCommand::Delete { name }) => {
            session.client.delete(session.place(["triggers", name])?)?;
            session.terminal.say(format_args!("deleted trigger {name}"));
            Ok(())
        }
    }
}

fn list(session: &mut Session, function: Option<&str>) -> Result<(), Error> {
    let mut views: Vec<TriggerView> = session.client.list(session.place(["triggers"])?)?;
    views.retain(|view| function.is_none_or(|name| view.spec.function.as_str() == name));
    if session.terminal.json() {
        return views.iter().try_for_each(|view| session.terminal.value(view));
    }
    let mut table = Table::new([
        Column::left("NAME").optional(),
        Column::left("KIND"),
        Column::left("WHAT"),
        Column::left("AUTH"),
        Column::left("FUNCTION"),
        Column::left("STATE"),
        Column::left("LAST").optional(),
        Column::left("NEXT").optional(),
    ]);
    for view in &views {
        let (kind, what) = render::describe(view);
        let name = view.name.as_ref().map(|name| name.to_string()).unwrap_or_default();
        table.row([
            Cell::toned(Tone::Key, name),
            Cell::new(kind),
            Cell::new(what),
            Cell::new(view.spec.http.as_ref().map(render::auth).unwrap_or_default()),
            Cell::toned(Tone::Strong, view.spec.function.as_str()),
            state(view),
            Cell::new(
                view.last
                    .as_ref()
                    .map(|it| show_ago(it.at, session.terminal.now))
                    .unwrap_or_default(),
            ),
            Cell::new(view.next.map(|at| session.terminal.time(at)).unwrap_or_default()),
        ]);
    }
    if table.is_empty() {
        super::history::say_empty(session, "triggers", (false, function))?;
    }
    table.print(&mut session.terminal)?;
    if let Some(note) = note(&views) {
        session.terminal.say(format_args!("{}", Paint(Tone::Faint, note)));
    }
    Ok(())
}

/// What can be paused of it, where that is not all.
fn note(views: &[TriggerView]) -> Option<&'static str> {
    let waits = |view: &&TriggerView| view.spec.http.is_none();
    let own = views.iter().filter(waits).any(|view| view.name.is_none());
    let named = views.iter().filter(waits).any(|view| view.name.is_some());
    match (own, named) {
        (false, _) => None,
        (true, true) => Some(
            "triggers with a name can be paused (nexus triggers pause NAME); the others stand in their \
             functions' own settings",
        ),
        (true, false) => Some(
            "none of these can be paused: they stand in their functions' own settings. A Trigger \
             resource has a name and can (nexus apply)",
        ),
    }
}

fn state(view: &TriggerView) -> Cell {
    match view.spec.paused {
        true => Cell::toned(Tone::Warn, "paused"),
        false => Cell::toned(Tone::Good, "active"),
    }
}

fn show(session: &mut Session, view: &TriggerView) -> Result<(), Error> {
    let terminal = &mut session.terminal;
    if terminal.json() {
        return terminal.value(view);
    }
    let (kind, what) = render::describe(view);
    let name = view.name.as_ref().map(|name| name.to_string()).unwrap_or_default();
    terminal.line(format_args!(
        "{}  {kind}  {what}",
        Paint(Tone::Strong, format_args!("{}/{name}", view.project))
    ))?;
    let mut facts = vec![
        ("function", view.spec.function.to_string()),
        ("state", if view.spec.paused { "paused" } else { "active" }.to_owned()),
        ("pending", view.pending.to_string()),
    ];
    if let Some(last) = &view.last {
        let (at, ago) = (terminal.time(last.at), show_ago(last.at, terminal.now));
        facts.push(("last", format!("{at} ({ago}), {} {}", last.status.word(), last.invocation)));
    }
    if let Some(url) = &view.url {
        facts.push(("url", url.clone()));
    }
    if let Some(next) = view.next {
        facts.push(("next", terminal.time(next)));
    }
    if let Some(route) = &view.spec.http {
        facts.push(("auth", render::auth(route).to_owned()));
    }
    if let Some(cron) = &view.spec.cron {
        let catch_up = serde_json::to_value(cron.catch_up).unwrap_or_default();
        facts.push(("catch-up", catch_up.as_str().unwrap_or_default().to_owned()));
        if let Some(jitter) = cron.jitter {
            facts.push(("jitter", exact_duration(jitter.duration())));
        }
    }
    if !view.spec.description.is_empty() {
        facts.push(("about", view.spec.description.clone()));
    }
    for (name, value) in facts {
        terminal.line(format_args!("  {} {value}", Paint(Tone::Faint, format!("{name:<9}"))))?;
    }
    let delivery = serde_json::to_value(&view.spec.delivery).unwrap_or_default();
    if delivery.as_object().is_some_and(|fields| !fields.is_empty()) {
        let text = serde_yaml_ng::to_string(&delivery).unwrap_or_default();
        terminal.line(format_args!("  {}", Paint(Tone::Faint, "delivery")))?;
        for line in text.lines() {
            terminal.line(format_args!("    {line}"))?;
        }
    }
    Ok(())
}

fn steer(session: &mut Session, name: &str, what: &str) -> Result<(), Error> {
    let place = session.place(["triggers", name, what])?;
    let send = Send { method: "POST", place, content_type: "", body: None };
    let view: TriggerView = session.client.json(send)?;
    if session.terminal.json() {
        return session.terminal.value(&view);
    }
    let state = if view.spec.paused { "is paused: its events wait" } else { "is active" };
    session.terminal.say(format_args!("trigger {name} {state}"));
    Ok(())
}
