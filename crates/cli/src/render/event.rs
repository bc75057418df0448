//! Events.

use nexus_model::Event;
use nexus_model::view::EventView;

use super::{Cell, Column, Table, block, payload, text_or_base64};
use crate::units::{show_ago, show_size};
use crate::{Error, Paint, Terminal, Tone};

pub(crate) fn event_table() -> Table {
    Table::new([
        Column::left("TIME"),
        Column::left("ID"),
        Column::left("TYPE"),
        Column::left("SOURCE"),
        Column::left("SUBJECT").optional(),
        Column::right("DATA").optional(),
    ])
}

pub(crate) fn event_row(terminal: &Terminal, view: &EventView) -> Vec<Cell> {
    vec![
        Cell::toned(Tone::Faint, terminal.time(view.received)),
        Cell::toned(Tone::Key, view.id.to_string()),
        Cell::new(view.event.ty.as_str()),
        Cell::new(view.event.source.as_str()),
        Cell::new(view.event.subject.as_deref().unwrap_or("")),
        Cell::new(show_size(view.data_bytes)),
    ]
}

/// One line of a stream, where columns cannot know their width.
pub(crate) fn event_line(terminal: &Terminal, view: &EventView) -> String {
    let mut line = format!(
        "{}  {}  {}  {}",
        Paint(Tone::Faint, terminal.time(view.received)),
        Paint(Tone::Key, view.id),
        Paint(Tone::Strong, &view.event.ty),
        view.event.source
    );
    if let Some(subject) = &view.event.subject {
        line.push_str(&format!("  {subject}"));
    }
    line
}

/// One event, whole.
pub(crate) fn show_event(terminal: &mut Terminal, view: &EventView) -> Result<(), Error> {
    let event = &view.event;
    terminal.line(format_args!(
        "{}  {}",
        Paint(Tone::Key, view.id),
        Paint(Tone::Strong, &event.ty)
    ))?;
    terminal.line("")?;
    let received = terminal.time(view.received);
    let ago = show_ago(view.received, terminal.now);
    let mut facts = vec![
        ("project", view.project.clone()),
        ("received", format!("{received} ({ago})")),
        ("by", view.principal.clone()),
        ("source", event.source.clone()),
        ("id", event.id.clone()),
    ];
    let optional = [
        ("subject", event.subject.clone()),
        ("time", event.time.map(|at| terminal.time(at))),
        ("datatype", event.datacontenttype.clone()),
        ("schema", event.dataschema.clone()),
        ("scheduled", view.schedule.map(|id| id.to_string())),
        ("emitted by", view.cause.map(|id| id.to_string())),
        ("trace", Some(view.traceparent.clone()).filter(|text| !text.is_empty())),
    ];
    facts.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
    for (name, value) in facts {
        terminal.line(format_args!("  {} {value}", Paint(Tone::Faint, format!("{name:<10}"))))?;
    }
    for (name, value) in &event.extensions {
        terminal.line(format_args!("  {} {value}", Paint(Tone::Faint, format!("{name:<10}"))))?;
    }
    show_data(terminal, event, (view.data_bytes, view.data_problem.as_deref()))
}

fn show_data(
    terminal: &mut Terminal,
    event: &Event,
    (bytes, problem): (u64, Option<&str>),
) -> Result<(), Error> {
    if let Some(problem) = problem {
        block(terminal, "Data", &show_size(bytes))?;
        return terminal.line(Paint(Tone::Bad, format_args!("  lost: {problem}")));
    }
    match &event.data {
        Some(data) => {
            block(terminal, "Data", &show_size(bytes))?;
            payload(terminal, &text_or_base64(data))
        }
        None if bytes > 0 => {
            block(terminal, "Data", &show_size(bytes))?;
            terminal.line(Paint(Tone::Faint, "  hidden: the token lacks the scope read-payload"))
        }
        None => Ok(()),
    }
}
