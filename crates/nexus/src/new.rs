//! `nexus new`: a project that builds, runs and is tested as it stands.

use std::path::Path;

use nexus_cli::{Error, HostFailure, NewArgs, Paint, Terminal, Tone};
use nexus_model::Name;
use nexus_toolchain::{Language, MissingTool, Scaffold, Template};

pub(crate) fn run(args: &NewArgs, terminal: &mut Terminal) -> Result<(), Error> {
    let language: Language =
        args.lang.parse().map_err(|error| Error::usage(format!("--lang: {error}")))?;
    let template: Template =
        args.template.parse().map_err(|error| Error::usage(format!("--template: {error}")))?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => name_of(&args.folder)?,
    };
    let scaffold = Scaffold { name, language, template, dir: args.folder.clone() };
    let files = nexus_toolchain::scaffold(&scaffold).map_err(|error| {
        let used = matches!(error, nexus_toolchain::Error::NotEmpty { .. });
        let failure = HostFailure::new(error);
        if used { failure.hint("name a folder that does not exist yet") } else { failure }
    })?;
    if terminal.json() {
        terminal.value(&serde_json::json!({
            "project": scaffold.name, "folder": args.folder, "files": files,
        }))?;
    } else {
        for file in &files {
            terminal.line(args.folder.join(file).display())?;
        }
    }
    say_missing(&nexus_toolchain::check(language), terminal);
    terminal.say("");
    let next = match args.folder.as_os_str() == "." {
        true => "nexus dev".to_owned(),
        false => format!("cd {} && nexus dev", args.folder.display()),
    };
    terminal.say(format_args!("next: {}", Paint(Tone::Key, next)));
    Ok(())
}

/// The folder's own name, where it can be a project's.
fn name_of(folder: &Path) -> Result<Name, Error> {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let text = absolute.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    Name::new(text).map_err(|error| Error::Usage {
        message: error.to_string(),
        hint: Some("choose another folder, or name the project with --name".to_owned()),
    })
}

/// Names each missing tool with the command that installs it.
pub(crate) fn say_missing(tools: &[MissingTool], terminal: &mut Terminal) {
    for tool in tools {
        let name = Paint(Tone::Strong, &tool.tool);
        terminal.say(format_args!("{} {name}: {}", Paint(Tone::Warn, "missing:"), tool.why));
        terminal.say(format_args!("  install it: {}", Paint(Tone::Key, &tool.install)));
    }
}
