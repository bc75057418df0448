//! `nexus dead-letters`: deliveries that were given up.

use clap::Args;
use serde_json::Value;

use crate::render::{Cell, Column, Table};
use crate::{Error, Session, Tone};

/// List deliveries that were given up
#[derive(Args, Debug)]
pub struct DeadLettersArgs {
    /// At most this many
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 50)]
    pub limit: usize,
    /// In all projects
    #[arg(short = 'A', long)]
    pub all_projects: bool,
}

pub(crate) fn run(session: &mut Session, args: &DeadLettersArgs) -> Result<(), Error> {
    let place = session.history(args.all_projects, ["dead-letters"])?;
    let Session { client, terminal, .. } = session;
    let mut letters: Vec<Value> = Vec::new();
    let more = client.pages(place, args.limit, &mut |letter| {
        letters.push(letter);
        Ok(())
    })?;
    if terminal.json() {
        return letters.iter().try_for_each(|letter| terminal.value(letter));
    }
    let mut table = Table::new([
        Column::left("TIME"),
        Column::left("EVENT"),
        Column::left("FUNCTION"),
        Column::left("REASON"),
        Column::right("ATTEMPTS"),
        Column::left("LAST INVOCATION").optional(),
    ]);
    for letter in &letters {
        let text = |names: &[&str]| {
            let found = names.iter().find_map(|name| letter.get(*name));
            match found {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Null) | None => String::new(),
                Some(other) => other.to_string(),
            }
        };
        let at = text(&["at", "time"]);
        let at = nexus_model::Timestamp::parse(&at).map_or(at, |at| terminal.time(at));
        table.row([
            Cell::toned(Tone::Faint, at),
            Cell::toned(Tone::Key, text(&["event", "event_id"])),
            Cell::toned(Tone::Strong, text(&["function"])),
            Cell::new(text(&["reason", "message", "code"])),
            Cell::new(text(&["attempts", "attempt"])),
            Cell::toned(Tone::Key, text(&["invocation", "last_invocation"])),
        ]);
    }
    if table.is_empty() {
        terminal.say("no dead letters");
    }
    table.print(terminal)?;
    if more {
        super::history::say_more(terminal, args.limit);
    }
    Ok(())
}
