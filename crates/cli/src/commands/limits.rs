//! `nexus limits`.

use clap::Args;
use nexus_model::limits;
use serde_json::Value;

use crate::client::Place;
use crate::render::{Cell, Column, Table};
use crate::units::{exact_duration, exact_size};
use crate::{Error, Paint, Session, Terminal, Tone};

/// Print every limit
#[derive(Args, Debug)]
pub struct LimitsArgs {}

pub(crate) fn run(session: &mut Session) -> Result<(), Error> {
    let all: Vec<Value> = session.client.list(Place::api(["limits"]))?;
    print(&mut session.terminal, &all)
}

/// The limits of this program, where no server can be asked.
pub(crate) fn built_in(terminal: &mut Terminal) -> Result<(), Error> {
    terminal.say(Paint(Tone::Faint, "no server found: the limits of this version"));
    let all: Vec<Value> =
        limits::ALL.iter().map(|limit| serde_json::to_value(limit).unwrap_or_default()).collect();
    print(terminal, &all)
}

fn print(terminal: &mut Terminal, all: &[Value]) -> Result<(), Error> {
    if terminal.json() {
        return all.iter().try_for_each(|limit| terminal.value(limit));
    }
    let mut table =
        Table::new([Column::left("LIMIT"), Column::right("VALUE"), Column::left("BOUNDS")]);
    for limit in all {
        let text =
            |name: &str| limit.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let value = limit.get("value").and_then(Value::as_u64).unwrap_or_default();
        let shown = match text("unit").as_str() {
            "bytes" => sized(value),
            "ms" => exact_duration(std::time::Duration::from_millis(value)),
            unit => format!("{value} {unit}"),
        };
        table.row([
            Cell::toned(Tone::Strong, text("name")),
            Cell::new(shown),
            Cell::toned(Tone::Faint, text("what")),
        ]);
    }
    table.print(terminal)
}

/// A size with its unit, also where it is no whole number of larger ones.
fn sized(bytes: u64) -> String {
    let size = exact_size(bytes);
    if size.ends_with('B') { size } else { format!("{size} bytes") }
}
