//! `nexus deploy` of a project: builds here, uploads to the server.

use std::path::Path;

use nexus_cli::{DeployArgs, Error, Globals, HostFailure, Paint, Session, Terminal, Tone, Upload};
use nexus_model::resource::Kind;
use nexus_toolchain::BuildOptions;

use crate::project::{Artifact, BuildError, Function, Project};

pub(crate) fn run(
    globals: &Globals,
    args: &DeployArgs,
    terminal: &mut Terminal,
) -> Result<(), Error> {
    let project = Project::load(&args.folder)?;
    let mut functions = project.functions()?;
    if let Some(name) = &args.name {
        functions.retain(|function| function.name == *name);
        if functions.is_empty() {
            return Err(Error::Missing {
                message: format!("nexus.toml has no function '{name}'"),
                hint: Some("to deploy a component that is built already, add --component".into()),
            });
        }
    }
    let own = Terminal::of_process(globals, terminal.now);
    let mut session =
        Session::open(globals, own, project.folder.clone()).map_err(|failed| failed.0)?;
    let cache = project.folder.join(".nexus").join("build");
    for function in &functions {
        let artifact = built(function, &cache, &mut session.terminal)?;
        let upload = Upload {
            project: globals.project.clone().unwrap_or_else(|| function.project.clone()),
            name: function.name.clone(),
            component: artifact.component,
            spec: Some(function.spec.clone()),
            language: artifact.language,
            bundle: artifact.bundle,
            sources: artifact.sources,
            label: args.label.clone().or_else(|| function.label.clone()).unwrap_or_default(),
            candidate: args.candidate,
        };
        nexus_cli::upload(&mut session, &upload)?;
    }
    if args.name.is_none() && !args.candidate {
        declare(globals, &project, &mut session)?;
    }
    Ok(())
}

/// Builds a function, and says so.
pub(crate) fn built(
    function: &Function,
    cache: &Path,
    terminal: &mut Terminal,
) -> Result<Artifact, Error> {
    terminal.say(Paint(Tone::Faint, format_args!("building {}…", function.name)));
    let artifact = function
        .build(&BuildOptions::new(cache))
        .map_err(|error| failed(function, error, terminal))?;
    for note in &artifact.notes {
        terminal.say(format_args!("{} {note}", Paint(Tone::Warn, "note:")));
    }
    Ok(artifact)
}

/// Applies the schemas and triggers of the manifest, and removes those that it no longer has.
fn declare(globals: &Globals, project: &Project, session: &mut Session) -> Result<(), Error> {
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
    nexus_cli::declare(session, &resources)
}

fn failed(function: &Function, error: BuildError, terminal: &mut Terminal) -> Error {
    if let BuildError::Build(nexus_toolchain::Error::MissingTools { tools }) = &error {
        crate::new::say_missing(tools, terminal);
    }
    let hint = format!("there is no new version of {}", function.name);
    Error::Host(HostFailure::new(error).hint(hint))
}
