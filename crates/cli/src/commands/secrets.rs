//! `nexus secrets`. Values go in and never come out.

use clap::{Args, Subcommand};
use nexus_model::Name;
use serde_json::Value;

use crate::client::Send;
use crate::commands::input;
use crate::render::{Cell, Column, Table};
use crate::{Error, Session, Tone};

/// List, set and delete secrets
#[derive(Args, Debug)]
pub struct SecretsArgs {
    /// Something else than a list
    #[command(subcommand)]
    pub command: Option<SecretsCommand>,
}

/// Other commands about secrets.
#[derive(Subcommand, Debug)]
pub enum SecretsCommand {
    /// List secrets; values are never shown
    List,
    /// Set a secret's value: a new version that new calls see
    ///
    /// The value is read from standard input, without the line end after it.
    Set {
        /// Its name
        name: Name,
        /// Read the value from this file instead of standard input
        #[arg(long, value_name = "FILE")]
        from_file: Option<String>,
    },
    /// Delete a secret with all its versions
    Delete {
        /// Its name
        name: Name,
    },
}

pub(crate) fn run(session: &mut Session, args: &SecretsArgs) -> Result<(), Error> {
    match &args.command {
        None | Some(SecretsCommand::List) => list(session),
        Some(SecretsCommand::Set { name, from_file }) => set(session, name, from_file.as_deref()),
        Some(SecretsCommand::Delete { name }) => {
            session.client.delete(session.place(["secrets", name.as_str()])?)?;
            session.terminal.say(format_args!("deleted secret {name}"));
            Ok(())
        }
    }
}

fn set(session: &mut Session, name: &Name, file: Option<&str>) -> Result<(), Error> {
    if file.is_none() && std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        session.terminal.say("type the value; end with Ctrl-D on a line of its own");
    }
    let mut value = input::file(file.unwrap_or("-"))?;
    if value.ends_with(b"\n") {
        value.truncate(value.len() - if value.ends_with(b"\r\n") { 2 } else { 1 });
    }
    if value.is_empty() {
        return Err(Error::usage(format!("the value of {name} is empty")));
    }
    let place = session.place(["secrets", name.as_str()])?;
    let content_type = "application/octet-stream";
    let answer: Value =
        session.client.json(Send { method: "PUT", place, content_type, body: Some(value) })?;
    match session.terminal.json() {
        true => session.terminal.value(&answer),
        false => {
            session.terminal.say(format_args!("set secret {name}"));
            Ok(())
        }
    }
}

fn list(session: &mut Session) -> Result<(), Error> {
    let secrets: Vec<Value> = session.client.list(session.place(["secrets"])?)?;
    if session.terminal.json() {
        return secrets.iter().try_for_each(|secret| session.terminal.value(secret));
    }
    let mut table = Table::new([Column::left("NAME"), Column::right("VERSION")]);
    for secret in &secrets {
        let name = secret.pointer("/metadata/name").or_else(|| secret.get("name"));
        let version = ["/spec/current", "/status/current", "/current", "/version"]
            .into_iter()
            .find_map(|path| secret.pointer(path)?.as_u64());
        table.row([
            Cell::toned(Tone::Strong, name.and_then(Value::as_str).unwrap_or_default()),
            Cell::new(version.map(|version| version.to_string()).unwrap_or_default()),
        ]);
    }
    if table.is_empty() {
        session.terminal.say("no secrets");
    }
    table.print(&mut session.terminal)
}
