//! `nexus schemas`: what the data of events looks like.

use clap::{Args, Subcommand};
use nexus_model::Event;
use nexus_model::resource::{Resource, SchemaSpec};
use nexus_model::view::{InferredSchema, SchemaCheck, SchemaView};
use serde_json::Value;

use super::history;
use crate::client::{Place, Send};
use crate::commands::input;
use crate::render::{Cell, Column, Table};
use crate::{Error, Paint, Session, Tone, exit};

/// What the data of events looks like: list, show, check and infer schemas
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SchemasArgs {
    /// Something else than a list
    #[command(subcommand)]
    pub command: Option<SchemasCommand>,
}

/// Other commands about schemas.
#[derive(Subcommand, Debug)]
pub enum SchemasCommand {
    /// Print a JSON Schema
    Show {
        /// The schema's name
        name: String,
        /// Which version [default: the latest]
        #[arg(long, value_name = "NUMBER")]
        version: Option<u32>,
    },
    /// Hold data, or a whole event, against the schema of its type
    Check {
        /// The event's type; without it the data is a whole event in JSON
        #[arg(long = "type", value_name = "TYPE")]
        ty: Option<String>,
        /// The data: text, @file or @- for standard input
        #[arg(short, long, value_name = "DATA")]
        data: String,
    },
    /// Propose a schema that recorded events of a type follow
    Infer {
        /// The event's type, exactly
        #[arg(value_name = "TYPE")]
        ty: String,
        /// From here on: 1d, 1h, a date or a time
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Write the schema to this file instead of printing it
        #[arg(long, value_name = "FILE")]
        save: Option<std::path::PathBuf>,
    },
    /// Delete a schema
    Delete {
        /// The schema's name
        name: String,
    },
}

pub(crate) fn run(session: &mut Session, args: SchemasArgs) -> Result<(), Error> {
    match args.command {
        None => list(session),
        Some(SchemasCommand::Show { name, version }) => show(session, &name, version),
        Some(SchemasCommand::Check { ty, data }) => check(session, ty.as_deref(), &data),
        Some(SchemasCommand::Infer { ty, since, save }) => {
            let since = history::moment(since.as_deref(), &session.terminal)?;
            let place = session.place(["schemas", "infer"])?;
            let place = place.with("type", ty).maybe("since", since);
            let inferred: InferredSchema = session.client.get(place)?;
            print_inferred(session, &inferred, save.as_deref())
        }
        Some(SchemasCommand::Delete { name }) => {
            session.client.delete(session.place(["schemas", &name])?)?;
            session.terminal.say(format_args!("deleted schema {name}"));
            Ok(())
        }
    }
}

fn list(session: &mut Session) -> Result<(), Error> {
    let views: Vec<SchemaView> = session.client.list(session.place(["schemas"])?)?;
    if session.terminal.json() {
        return views.iter().try_for_each(|view| session.terminal.value(view));
    }
    let word = |value: Value| value.as_str().unwrap_or_default().to_owned();
    let mut table = Table::new([
        Column::left("NAME"),
        Column::left("TYPE"),
        Column::left("VERSIONS"),
        Column::left("COMPATIBILITY"),
        Column::left("EVENTS THAT BREAK IT"),
    ]);
    for view in &views {
        let versions: Vec<String> = view.versions.iter().map(ToString::to_string).collect();
        let mode = match view.mode {
            nexus_model::resource::SchemaMode::Off => "are not looked at",
            nexus_model::resource::SchemaMode::Warn => "are accepted with a warning",
            nexus_model::resource::SchemaMode::Enforce => "are refused",
        };
        table.row([
            Cell::toned(Tone::Strong, view.name.as_str()),
            Cell::new(view.ty.as_str()),
            Cell::new(versions.join(", ")),
            Cell::new(word(serde_json::to_value(view.compatibility).unwrap_or_default())),
            Cell::new(mode),
        ]);
    }
    if table.is_empty() {
        session.terminal.say("no schemas");
    }
    table.print(&mut session.terminal)
}

fn show(session: &mut Session, name: &str, version: Option<u32>) -> Result<(), Error> {
    let place = Place::api(["resources", "schemas", name]).with("project", session.project()?);
    let resource: Resource = session.client.get(place)?;
    let protocol = |reason: String| Error::Protocol { what: "the schema".to_owned(), reason };
    let spec: SchemaSpec =
        serde_json::from_value(resource.spec).map_err(|error| protocol(error.to_string()))?;
    let found = match version {
        Some(version) => spec.versions.get_key_value(&version),
        None => spec.versions.last_key_value(),
    };
    let Some((version, schema)) = found else {
        let known: Vec<String> = spec.versions.keys().map(ToString::to_string).collect();
        return Err(Error::Missing {
            message: format!("schema '{name}' has no such version"),
            hint: Some(format!("it has {}", known.join(", "))),
        });
    };
    if session.terminal.json() {
        return session.terminal.value(schema);
    }
    let text = serde_json::to_string_pretty(schema).map_err(|error| protocol(error.to_string()))?;
    session.terminal.line(text)?;
    session.terminal.say(Paint(Tone::Faint, format_args!("{} version {version}", spec.ty)));
    Ok(())
}

fn check(session: &mut Session, ty: Option<&str>, data: &str) -> Result<(), Error> {
    let bytes = input::data(data)?;
    let body = match ty {
        None => bytes,
        Some(ty) => {
            let mut event = Event::new("check", "/nexus/cli", ty);
            event.datacontenttype = Some(input::media_type(&bytes).to_owned());
            event.data = Some(bytes.into());
            event.validate().map_err(|error| Error::usage(error.to_string()))?;
            serde_json::to_vec(&event).map_err(|error| Error::Protocol {
                what: "the event".to_owned(),
                reason: error.to_string(),
            })?
        }
    };
    let place = session.place(["schemas", "check"])?;
    let content_type = "application/cloudevents+json";
    let send = Send { method: "POST", place, content_type, body: Some(body) };
    let checked: SchemaCheck = session.client.json(send)?;
    if session.terminal.json() {
        session.terminal.value(&checked)?;
    } else {
        match (&checked.schema, &checked.breach) {
            (None, _) => session.terminal.line("no schema for this type")?,
            (Some(name), None) => {
                session.terminal.line(format_args!("{} {name}", Paint(Tone::Good, "follows")))?;
            }
            (_, Some(breach)) => {
                session.terminal.line(format_args!("{} {breach}", Paint(Tone::Bad, "breaks")))?;
            }
        }
    }
    if checked.valid { Ok(()) } else { Err(Error::Told(exit::FAILED)) }
}

fn print_inferred(
    session: &mut Session,
    inferred: &InferredSchema,
    save: Option<&std::path::Path>,
) -> Result<(), Error> {
    let mut text = serde_json::to_string_pretty(&inferred.schema).map_err(|error| {
        Error::Protocol { what: "the schema".to_owned(), reason: error.to_string() }
    })?;
    match save {
        Some(path) => {
            text.push('\n');
            std::fs::write(path, text).map_err(|source| Error::Io {
                operation: "write",
                subject: path.display().to_string(),
                source,
            })?;
        }
        None if session.terminal.json() => session.terminal.value(&inferred.schema)?,
        None => session.terminal.line(text)?,
    }
    session.terminal.say(Paint(
        Tone::Faint,
        format_args!("from {} events of the type {}", inferred.events, inferred.ty),
    ));
    Ok(())
}
