//! `nexus deploy` of a project: builds everything here, then uploads it all at once.

use std::path::Path;

use nexus_cli::{
    DeployArgs, Deployment, Error, Globals, HostFailure, Paint, Session, Terminal, Tone, Upload,
};
use nexus_model::resource::{Kind, Resource};

use crate::caches;
use crate::project::{Artifact, BuildError, Function, Project};

pub(crate) fn run(
    globals: &Globals,
    args: &DeployArgs,
    terminal: &mut Terminal,
) -> Result<(), Error> {
    let project = Project::load(&args.folder)?;
    let mut functions = project.functions()?;
    if let Some(name) = &args.name {
        let known: Vec<String> = functions.iter().map(|at| at.name.to_string()).collect();
        functions.retain(|function| function.name == *name);
        if functions.is_empty() {
            return Err(Error::Missing {
                message: format!(
                    "nexus.toml has no function '{name}'; it has {}",
                    known.join(", ")
                ),
                hint: Some("to deploy a component that is built already, add --component".into()),
            });
        }
    }
    let own = Terminal::of_process(globals, terminal.now);
    let mut session =
        Session::open(globals, own, project.folder.clone()).map_err(|failed| failed.0)?;
    let cache = project.folder.join(".nexus").join("build");
    let declared = match args.name.is_none() && !args.candidate {
        true => Some(declared(globals, &project)?),
        false => None,
    };
    // All are built before the first one is sent: one that does not build leaves all as they are.
    let mut uploads = Vec::with_capacity(functions.len());
    for function in functions {
        let artifact = built(&function, &cache, &mut session.terminal)
            .map_err(|failure| failure.hint("nothing was deployed: every function is as it was"))?;
        uploads.push(Upload {
            name: function.name,
            component: artifact.component,
            spec: Some(function.spec),
            language: artifact.language,
            bundle: artifact.bundle,
            sources: artifact.sources,
            label: args.label.clone().or(function.label).unwrap_or_default(),
        });
    }
    if let several @ 2.. = uploads.len() {
        session.terminal.say(Paint(Tone::Faint, format_args!("deploying {several} functions…")));
    }
    let deployment = Deployment {
        project: globals.project.clone().unwrap_or_else(|| project.manifest.project.clone()),
        functions: uploads,
        declared,
        candidate: args.candidate,
    };
    nexus_cli::deploy(&mut session, deployment)
}

/// Builds a function, and says so.
pub(crate) fn built(
    function: &Function,
    cache: &Path,
    terminal: &mut Terminal,
) -> Result<Artifact, HostFailure> {
    terminal.say(Paint(Tone::Faint, format_args!("building {}…", function.name)));
    let artifact =
        function.build(&caches::build_options(cache)).map_err(|error| failed(error, terminal))?;
    for note in &artifact.notes {
        terminal.say(format_args!("{} {note}", Paint(Tone::Warn, "note:")));
    }
    Ok(artifact)
}

/// The schemas and triggers of the manifest, and what it says of the project.
fn declared(globals: &Globals, project: &Project) -> Result<Vec<Resource>, Error> {
    let mut resources = project.declared()?;
    if project.states_project {
        // A manifest that says nothing of it leaves the project as it is.
        let own = project.manifest.resources().into_iter();
        resources.extend(own.filter(|resource| resource.kind == Kind::Project));
    }
    if let Some(other) = &globals.project {
        for resource in &mut resources {
            match resource.kind {
                Kind::Project => resource.metadata.name = other.clone(),
                _ => resource.metadata.project = Some(other.clone()),
            }
        }
    }
    Ok(resources)
}

fn failed(error: BuildError, terminal: &mut Terminal) -> HostFailure {
    if let BuildError::Build(nexus_toolchain::Error::MissingTools { tools }) = &error {
        crate::new::say_missing(tools, terminal);
    }
    HostFailure::new(error)
}
