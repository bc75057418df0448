//! `nexus get` and `nexus delete`: resources of any kind.

use clap::Args;
use nexus_model::resource::{Kind, Resource};

use crate::client::Place;
use crate::render::{Cell, Column, Table};
use crate::units::show_ago;
use crate::{Error, Session, Tone};

/// Print resources
#[derive(Args, Debug)]
pub struct GetArgs {
    /// The kind: projects, functions, versions, triggers, schemas, tokens or secrets
    #[arg(value_parser = kind)]
    pub kind: Kind,
    /// Only this one, as YAML
    pub name: Option<String>,
    /// In all projects
    #[arg(short = 'A', long, conflicts_with = "name")]
    pub all_projects: bool,
}

/// Delete a resource
#[derive(Args, Debug)]
pub struct DeleteArgs {
    /// The kind: project, function, trigger, schema, token or secret
    #[arg(value_parser = kind)]
    pub kind: Kind,
    /// The name
    pub name: String,
}

fn kind(text: &str) -> Result<Kind, String> {
    Kind::parse(text).ok_or_else(|| {
        let all: Vec<_> = Kind::ALL.iter().map(|kind| kind.plural()).collect();
        format!("the kinds are {}", all.join(", "))
    })
}

pub(crate) fn get(session: &mut Session, args: &GetArgs) -> Result<(), Error> {
    let mut place = Place::api(["resources", args.kind.plural()]);
    if args.kind.in_project() && !args.all_projects {
        place = place.with("project", session.project()?);
    }
    let resources: Vec<Resource> = match &args.name {
        Some(name) => vec![session.client.get(place.join(name))?],
        None => session.client.list(place)?,
    };
    if session.terminal.json() {
        return resources.iter().try_for_each(|resource| session.terminal.value(resource));
    }
    match args.name {
        Some(_) => resources.iter().try_for_each(|resource| yaml(session, resource)),
        None => table(session, args, &resources),
    }
}

fn yaml(session: &mut Session, resource: &Resource) -> Result<(), Error> {
    let text = serde_yaml_ng::to_string(resource).map_err(|error| Error::Protocol {
        what: "the resource".to_owned(),
        reason: error.to_string(),
    })?;
    session.terminal.line(text.trim_end())
}

fn table(session: &mut Session, args: &GetArgs, resources: &[Resource]) -> Result<(), Error> {
    let mut table = Table::new([
        Column::left("PROJECT"),
        Column::left("NAME"),
        Column::right("REVISION"),
        Column::left("UPDATED"),
    ]);
    for resource in resources {
        let metadata = &resource.metadata;
        let project = metadata.project.as_ref().filter(|_| args.all_projects);
        let updated = metadata.updated_at.map(|at| show_ago(at, session.terminal.now));
        table.row([
            Cell::new(project.map(|name| name.to_string()).unwrap_or_default()),
            Cell::toned(Tone::Strong, metadata.name.as_str()),
            Cell::new(metadata.revision.map(|revision| revision.to_string()).unwrap_or_default()),
            Cell::toned(Tone::Faint, updated.unwrap_or_default()),
        ]);
    }
    if table.is_empty() {
        session.terminal.say(format_args!("no {}", args.kind.plural()));
    }
    table.print(&mut session.terminal)
}

pub(crate) fn delete(session: &mut Session, args: &DeleteArgs) -> Result<(), Error> {
    let place = match args.kind {
        Kind::Project => Place::api(["projects", &args.name]),
        Kind::Token => Place::api(["tokens", &args.name]),
        Kind::Function => return super::functions::delete(session, &args.name),
        Kind::Secret => session.place(["secrets", &args.name])?,
        Kind::Trigger | Kind::Schema | Kind::Replay | Kind::Suite => {
            session.place([args.kind.plural(), &args.name])?
        }
        Kind::Version => {
            return Err(Error::Usage {
                message: "versions are immutable and cannot be deleted".into(),
                hint: Some("`nexus delete function` deletes a function".into()),
            });
        }
    };
    session.client.delete(place)?;
    let kind = args.kind.as_str().to_lowercase();
    session.terminal.say(format_args!("deleted {kind} {}", args.name));
    Ok(())
}
