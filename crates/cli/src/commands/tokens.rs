//! `nexus tokens`. A token is shown once, when it is made.

use std::time::Duration;

use clap::{Args, Subcommand};
use nexus_model::{Name, Scope, Timestamp};
use serde_json::{Value, json};

use crate::client::{Place, Send};
use crate::render::{Cell, Column, Table};
use crate::{Error, Paint, Session, Tone, units};

/// List, create and delete tokens
#[derive(Args, Debug)]
pub struct TokensArgs {
    /// Something else than a list
    #[command(subcommand)]
    pub command: Option<TokensCommand>,
}

/// Other commands about tokens.
#[derive(Subcommand, Debug)]
pub enum TokensCommand {
    /// List tokens
    List,
    /// Make a token and print it, this once
    Create {
        /// Its name
        name: Name,
        /// What it may do: admin, read, read-payload, write, emit, invoke, replay (repeatable)
        #[arg(
            long = "scope",
            value_name = "SCOPE",
            value_delimiter = ',',
            required = true,
            value_parser = scope
        )]
        scopes: Vec<Scope>,
        /// Every project and the whole server, instead of the project that --project or nexus.toml
        /// names
        #[arg(long)]
        all_projects: bool,
        /// Stop working after this long, such as 30d
        #[arg(long, value_name = "DURATION", value_parser = units::parse_duration)]
        ttl: Option<Duration>,
    },
    /// Delete a token: it stops working at once
    Delete {
        /// Its name
        name: Name,
    },
}

fn scope(text: &str) -> Result<Scope, String> {
    serde_json::from_value(Value::String(text.to_owned())).map_err(|_| {
        "the scopes are admin, read, read-payload, write, emit, invoke, replay".to_owned()
    })
}

pub(crate) fn run(session: &mut Session, args: &TokensArgs) -> Result<(), Error> {
    match &args.command {
        None | Some(TokensCommand::List) => list(session),
        Some(TokensCommand::Create { name, scopes, all_projects, ttl }) => {
            let project = match *all_projects {
                true => None,
                false => Some(session.project()?),
            };
            create(
                session,
                &json!({
                    "name": name,
                    "scopes": scopes,
                    "project": project,
                    "ttl_seconds": ttl.map(|ttl| ttl.as_secs().max(1)),
                }),
            )
        }
        Some(TokensCommand::Delete { name }) => {
            session.client.delete(Place::api(["tokens", name.as_str()]))?;
            session.terminal.say(format_args!("deleted token {name}"));
            Ok(())
        }
    }
}

fn create(session: &mut Session, wanted: &Value) -> Result<(), Error> {
    let place = Place::api(["tokens"]);
    let body = Some(wanted.to_string().into_bytes());
    let content_type = "application/json";
    let answer: Value = session.client.json(Send { method: "POST", place, content_type, body })?;
    if session.terminal.json() {
        return session.terminal.value(&answer);
    }
    let token = answer.get("token").and_then(Value::as_str).unwrap_or_default().to_owned();
    session.terminal.line(token)?;
    let reach = match wanted["project"].as_str() {
        Some(project) => format!("it works in project {project}"),
        None => "it works in every project and for the whole server".to_owned(),
    };
    let keep = format!("keep it now: it is not shown again; {reach}");
    session.terminal.say(Paint(Tone::Faint, keep));
    Ok(())
}

fn list(session: &mut Session) -> Result<(), Error> {
    let tokens: Vec<Value> = session.client.list(Place::api(["tokens"]))?;
    if session.terminal.json() {
        return tokens.iter().try_for_each(|token| session.terminal.value(token));
    }
    let mut table = Table::new([
        Column::left("NAME"),
        Column::left("SCOPES"),
        Column::left("PROJECT"),
        Column::left("EXPIRES"),
    ]);
    for token in &tokens {
        let spec = token.get("spec").unwrap_or(token);
        let text = |value: Option<&Value>| {
            value.and_then(Value::as_str).map(str::to_owned).unwrap_or_default()
        };
        let name = text(token.pointer("/metadata/name").or_else(|| token.get("name")));
        let scopes = spec.get("scopes").and_then(Value::as_array).cloned().unwrap_or_default();
        let scopes: Vec<_> = scopes.iter().filter_map(Value::as_str).collect();
        let expires = spec.get("expires-at").or_else(|| spec.get("expires_at"));
        let expires = match text(expires).as_str() {
            "" => "never".to_owned(),
            at => Timestamp::parse(at).map_or(at.to_owned(), |at| session.terminal.time(at)),
        };
        let project = text(spec.get("project"));
        table.row([
            Cell::toned(Tone::Strong, name),
            Cell::new(scopes.join(", ")),
            Cell::new(if project.is_empty() { "all".to_owned() } else { project }),
            Cell::toned(Tone::Faint, expires),
        ]);
    }
    table.print(&mut session.terminal)
}
