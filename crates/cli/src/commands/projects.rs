//! `nexus projects`.

use clap::{Args, Subcommand};
use nexus_model::Name;
use nexus_model::resource::{ProjectSpec, Resource};
use serde_json::Value;

use crate::client::{Place, Send};
use crate::render::{Cell, Column, Table};
use crate::units::show_ago;
use crate::{Error, Session, Tone};

/// List, create and delete projects
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
        /// Answer on the bare host as well
        #[arg(long)]
        default: bool,
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
            let there =
                session.client.get::<Value>(Place::api(["projects", name.as_str()])).is_ok();
            let spec = ProjectSpec {
                description: description.clone(),
                default: *default,
                ..ProjectSpec::default()
            };
            let body = serde_json::to_vec(&spec).unwrap_or_default();
            let place = Place::api(["projects", name.as_str()]);
            let send =
                Send { method: "PUT", place, content_type: "application/json", body: Some(body) };
            let created: Value = session.client.json(send)?;
            if there {
                session.terminal.say(format_args!("project {name} was there already"));
            }
            match session.terminal.json() {
                true => session.terminal.value(&created),
                false => session.terminal.line(name),
            }
        }
        Some(ProjectsCommand::Delete { name }) => {
            session.client.delete(Place::api(["projects", name.as_str()]))?;
            session.terminal.say(format_args!("deleted project {name}"));
            Ok(())
        }
    }
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
            Cell::new(if spec.default { "yes" } else { "" }),
            Cell::toned(Tone::Faint, created),
            Cell::new(spec.description),
        ]);
    }
    if table.is_empty() {
        session.terminal.say("no projects; `nexus projects create NAME` makes one");
    }
    table.print(&mut session.terminal)
}
