//! `nexus projects`.

use clap::{Args, Subcommand};
use nexus_model::Name;
use nexus_model::resource::{ProjectSpec, Resource};
use serde_json::Value;

use crate::client::{Place, Send};
use crate::render::{Cell, Column, Table};
use crate::units::show_ago;
use crate::{Error, Session, Tone};

/// List, create and delete projects, and say which one is the default
#[derive(Args, Debug)]
pub struct ProjectsArgs {
    /// Something else than a list
    #[command(subcommand)]
    pub command: Option<ProjectsCommand>,
}

/// Other commands about projects.
#[derive(Subcommand, Debug)]
pub enum ProjectsCommand {
    /// List projects
    List,
    /// Create a project
    Create {
        /// Its name
        name: Name,
        /// What it is, for people
        #[arg(long, default_value = "", hide_default_value = true)]
        description: String,
        /// Answer on hosts of no project as well, instead of the project that did
        #[arg(long)]
        default: bool,
    },
    /// Let a project answer on hosts of no project, instead of the one that did
    Default {
        /// Its name
        name: Name,
    },
    /// Delete a project with everything declared in it; its history stays
    Delete {
        /// Its name
        name: Name,
    },
}

pub(crate) fn run(session: &mut Session, args: &ProjectsArgs) -> Result<(), Error> {
    match &args.command {
        None | Some(ProjectsCommand::List) => list(session),
        Some(ProjectsCommand::Create { name, description, default }) => {
            let spec = ProjectSpec {
                description: description.clone(),
                default: default.then_some(true),
                ..ProjectSpec::default()
            };
            create(session, name, &spec)
        }
        Some(ProjectsCommand::Default { name }) => make_default(session, name),
        Some(ProjectsCommand::Delete { name }) => {
            session.client.delete(Place::api(["projects", name.as_str()]))?;
            session.terminal.say(format_args!("deleted project {name}"));
            Ok(())
        }
    }
}

fn create(session: &mut Session, name: &Name, spec: &ProjectSpec) -> Result<(), Error> {
    let before: Vec<Resource> = session.client.list(Place::api(["projects"]))?;
    let body = serde_json::to_vec(spec).unwrap_or_default();
    let place = Place::api(["projects", name.as_str()]);
    let send = Send { method: "PUT", place, content_type: "application/json", body: Some(body) };
    let created: Value = session.client.json(send)?;
    if before.iter().any(|project| project.metadata.name == *name) {
        session.terminal.say(format_args!("project {name} was there already"));
    }
    match session.terminal.json() {
        true => session.terminal.value(&created)?,
        false => session.terminal.line(name)?,
    }
    // Which requests reach the new project is what surprises people.
    let default = before.iter().find(|project| is_default(project, &before));
    match default.map(|project| &project.metadata.name).filter(|default| *default != name) {
        Some(default) if spec.default == Some(true) => session.terminal.say(format_args!(
            "{name} answers on hosts of no project from now on; {default} did before, and answers on \
             {default}.localhost"
        )),
        Some(default) => session.terminal.say(format_args!(
            "it answers on {name}.localhost; hosts of no project stay with {default}: change that with \
             nexus projects default {name}"
        )),
        None => {}
    }
    Ok(())
}

fn make_default(session: &mut Session, name: &Name) -> Result<(), Error> {
    let mut project: Resource = session.client.get(Place::api(["projects", name.as_str()]))?;
    if let Some(spec) = project.spec.as_object_mut() {
        spec.insert("default".to_owned(), true.into());
    }
    let body = serde_json::to_vec(&[&project]).unwrap_or_default();
    let place = Place::api(["apply"]);
    let send = Send { method: "POST", place, content_type: "application/json", body: Some(body) };
    let applied: Value = session.client.json(send)?;
    match session.terminal.json() {
        true => session.terminal.value(&applied),
        false => session.terminal.line(format_args!("{name} answers on hosts of no project")),
    }
}

/// Whether a project answers on hosts that no project has: one that is alone does.
fn is_default(project: &Resource, all: &[Resource]) -> bool {
    all.len() == 1 || project.spec.get("default") == Some(&Value::Bool(true))
}

fn list(session: &mut Session) -> Result<(), Error> {
    let projects: Vec<Resource> = session.client.list(Place::api(["projects"]))?;
    if session.terminal.json() {
        return projects.iter().try_for_each(|project| session.terminal.value(project));
    }
    let mut table = Table::new([
        Column::left("NAME"),
        Column::left("DEFAULT"),
        Column::left("CREATED"),
        Column::left("DESCRIPTION"),
    ]);
    for project in &projects {
        let spec: ProjectSpec = serde_json::from_value(project.spec.clone()).unwrap_or_default();
        let created = project.metadata.created_at;
        let created = created.map(|at| show_ago(at, session.terminal.now)).unwrap_or_default();
        table.row([
            Cell::toned(Tone::Strong, project.metadata.name.as_str()),
            Cell::new(if is_default(project, &projects) { "yes" } else { "" }),
            Cell::toned(Tone::Faint, created),
            Cell::new(spec.description),
        ]);
    }
    if table.is_empty() {
        session.terminal.say("no projects; `nexus projects create NAME` makes one");
    }
    table.print(&mut session.terminal)
}
