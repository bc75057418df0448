//! `nexus versions`, `nexus rollback`, `nexus alias`: which version runs, and what versions are
//! called.

use clap::{Args, Subcommand};
use nexus_model::view::{DifferenceView, FunctionView, VersionDiff, VersionView};

use crate::client::Send;
use crate::units::show_size;
use crate::{Error, Paint, Session, Tone, render};

/// Versions of a function: list them, see what changed between two
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct VersionsArgs {
    /// Something else than a list
    #[command(subcommand)]
    pub command: Option<VersionsCommand>,
    /// The function
    pub function: Option<String>,
}

/// Other commands about versions.
#[derive(Subcommand, Debug)]
pub enum VersionsCommand {
    /// Show what changed between two versions: imports, limits, environment, size
    Diff {
        /// The function
        function: String,
        /// The first version: a number, label, id or alias, `live` or `latest`
        from: String,
        /// The second version
        #[arg(default_value = "live")]
        to: String,
    },
}

/// Let new calls run an earlier version again
///
/// Without --to: the version that was live before. Calls that run go on with the version that they
/// began with.
#[derive(Args, Debug)]
pub struct RollbackArgs {
    /// The function
    pub function: String,
    /// The version: a number, label, id or alias, or `latest`
    #[arg(long, value_name = "VERSION")]
    pub to: Option<String>,
}

/// Names of versions: set, move and delete them
#[derive(Args, Debug)]
pub struct AliasArgs {
    /// What to do
    #[command(subcommand)]
    pub command: AliasCommand,
}

/// Commands about names of versions.
#[derive(Subcommand, Debug)]
pub enum AliasCommand {
    /// Give a version a name, or move the name to it
    Set {
        /// The function
        function: String,
        /// The name, such as `stable`
        alias: String,
        /// The version: a number, label, id or alias, `live` or `latest`
        #[arg(default_value = "live")]
        version: String,
    },
    /// Take the name away
    Delete {
        /// The function
        function: String,
        /// The name
        alias: String,
    },
}

pub(crate) fn run(session: &mut Session, args: &VersionsArgs) -> Result<(), Error> {
    match (&args.command, &args.function) {
        (Some(VersionsCommand::Diff { function, from, to }), _) => {
            diff(session, function, (from, to))
        }
        (None, Some(function)) => list(session, function),
        (None, None) => Err(Error::usage("name the function: nexus versions NAME")),
    }
}

pub(crate) fn list(session: &mut Session, function: &str) -> Result<(), Error> {
    let place = session.place(["functions", function, "versions"])?;
    let versions: Vec<VersionView> = session.client.list(place)?;
    if session.terminal.json() {
        return versions.iter().try_for_each(|version| session.terminal.value(version));
    }
    render::version_table(&session.terminal, &versions).print(&mut session.terminal)
}

fn diff(session: &mut Session, function: &str, (from, to): (&str, &str)) -> Result<(), Error> {
    let place = session.place(["functions", function, "versions", from, "diff", to])?;
    let diff: VersionDiff = session.client.get(place)?;
    let terminal = &mut session.terminal;
    if terminal.json() {
        return terminal.value(&diff);
    }
    let named = |version: &VersionView| match version.label.is_empty() {
        true => version.number.to_string(),
        false => format!("{} ({})", version.number, version.label),
    };
    let head = format!("{function}: {} → {}", named(&diff.from), named(&diff.to));
    terminal.line(Paint(Tone::Strong, head))?;
    let (old, new) = (diff.from.component_bytes, diff.to.component_bytes);
    let code = match diff.same_code {
        true => "the same code".to_owned(),
        false => format!("other code, {} → {}", show_size(old), show_size(new)),
    };
    terminal.line(format_args!("  code     {code}"))?;
    for import in &diff.imports_added {
        terminal.line(format_args!("  import   {}", Paint(Tone::Warn, format!("+ {import}"))))?;
    }
    for import in &diff.imports_removed {
        terminal.line(format_args!("  import   {}", Paint(Tone::Faint, format!("- {import}"))))?;
    }
    for change in &diff.config {
        terminal.line(format_args!("  config   {}", change_line(change)))?;
    }
    if diff.same_code && diff.config.is_empty() {
        terminal.say("nothing differs");
    }
    Ok(())
}

/// `path: before → after`.
pub(crate) fn change_line(change: &DifferenceView) -> String {
    let path = change.path.trim_start_matches('/');
    let shown = |value: &Option<serde_json::Value>| match value {
        Some(value) => value.to_string(),
        None => "nothing".to_owned(),
    };
    let (before, after) = (shown(&change.before), shown(&change.after));
    match path.is_empty() {
        true => format!("{before} → {after}"),
        false => format!("{path}: {before} → {after}"),
    }
}

pub(crate) fn rollback(session: &mut Session, args: &RollbackArgs) -> Result<(), Error> {
    let place = session.place(["functions", &args.function, "live"])?;
    let place = place.maybe("version", args.to.as_ref());
    let send = Send { method: "POST", place, content_type: "", body: Some(Vec::new()) };
    let function: FunctionView = session.client.json(send)?;
    said(session, &function)
}

pub(crate) fn alias(session: &mut Session, args: &AliasArgs) -> Result<(), Error> {
    let (method, function, alias, version) = match &args.command {
        AliasCommand::Set { function, alias, version } => {
            ("PUT", function, alias, Some(version.as_str()))
        }
        AliasCommand::Delete { function, alias } => ("DELETE", function, alias, None),
    };
    let place = session.place(["functions", function, "aliases", alias])?;
    let place = place.maybe("version", version);
    let body = version.map(|_| Vec::new());
    let send = Send { method, place, content_type: "", body };
    let view: FunctionView = session.client.json(send)?;
    if session.terminal.json() {
        return session.terminal.value(&view);
    }
    match version {
        Some(version) => session.terminal.say(format_args!("{function}@{alias} is {version}")),
        None => session.terminal.say(format_args!("{function}@{alias} is gone")),
    }
    Ok(())
}

/// Which version new calls run.
fn said(session: &mut Session, function: &FunctionView) -> Result<(), Error> {
    let terminal = &mut session.terminal;
    if terminal.json() {
        return terminal.value(function);
    }
    let version = function.version.as_ref();
    let number = version.map_or(0, |version| version.number);
    let label = version.map(|version| version.label.as_str()).filter(|label| !label.is_empty());
    let label = label.map(|label| format!(" ({label})")).unwrap_or_default();
    let name = format!("{}/{}", function.project, function.name);
    terminal.line(format_args!("{} runs version {number}{label}", Paint(Tone::Strong, name)))
}
