//! What `nexus dev` tells: for people, or one JSON object a line.

use std::time::Duration;

use nexus_cli::units::show_duration;
use nexus_cli::{Error, Paint, ServerFile, Terminal, Tone, counted, invocation_line};
use nexus_model::Code;
use nexus_model::manifest::FILE;
use nexus_model::view::{Deployed, FunctionView, InvocationRow, TriggerView};
use serde_json::{Value, json};

use super::build::{self, Failed, Standing};
use super::from::{Brought, Held};
use crate::project::{BuildError, ManifestError, Project};

/// Calls that differ, of which a line is printed each.
const DIFFERENCES_SHOWN: usize = 3;

/// Something to tell.
pub(crate) enum Report<'a> {
    /// The server answers; `console` is a link that signs in.
    Ready { file: &'a ServerFile, console: Option<&'a str>, projects: &'a [Project] },
    /// A build began.
    Building(&'a str),
    /// A function was up to date.
    Unchanged(&'a str, &'a Option<Box<Standing>>),
    /// A new version runs.
    Live { key: &'a str, deployed: &'a Deployed, took: Duration, notes: &'a [String] },
    /// A build or deploy failed.
    Failed { key: &'a str, error: &'a Failed, serving: bool, watching: bool },
    /// A function is in no manifest any more.
    Removed(&'a str),
    /// A trigger or schema of a manifest was applied or removed.
    Declared { resource: &'a str, effect: &'a str },
    /// A manifest was saved that cannot be used: what runs goes on.
    ManifestBroken(&'a ManifestError),
    /// That manifest can be used again.
    ManifestMended(&'a Project),
    /// Anything else that went wrong.
    Problem(&'a (dyn std::error::Error + 'static)),
    /// Real calls of a function are here, or why they are not.
    Brought { key: &'a str, fetched: &'a Result<Brought, Error> },
    /// A version was held against them.
    Held { key: &'a str, held: &'a Held },
    /// A function was called.
    Invocation(&'a InvocationRow),
    /// The end has begun.
    Stopping,
}

impl Report<'_> {
    /// Tells it.
    pub(crate) fn tell(&self, terminal: &mut Terminal) -> Result<(), Error> {
        if terminal.json() {
            return terminal.value(&self.json());
        }
        match self {
            Report::Ready { file, console, projects } => ready(terminal, file, *console, projects),
            Report::Building(key) => say(terminal, key, Paint(Tone::Faint, "building…")),
            Report::Unchanged(key, standing) => {
                say(terminal, key, Paint(Tone::Good, "live"));
                if let Some(standing) = standing {
                    say_calls(terminal, &standing.0, &standing.1);
                }
            }
            Report::Live { key, deployed, took, notes } => {
                live(terminal, key, deployed, *took);
                for note in notes.iter().chain(&deployed.notes) {
                    terminal.say(format_args!("  {} {note}", Paint(Tone::Warn, "note:")));
                }
            }
            Report::Failed { key, error, serving, watching } => {
                failed(terminal, (key, error), *serving, *watching);
            }
            Report::Removed(key) => say(terminal, key, Paint(Tone::Faint, "removed")),
            Report::Declared { resource, effect } => {
                say(terminal, resource, Paint(Tone::Faint, effect));
            }
            Report::ManifestBroken(error) => {
                problem(terminal, *error);
                terminal.say(Paint(Tone::Faint, "  everything goes on with the last good one"));
            }
            Report::ManifestMended(project) => {
                let name = project.manifest.project.as_str();
                say(terminal, name, Paint(Tone::Good, format_args!("{FILE} is good again")));
            }
            Report::Problem(error) => problem(terminal, *error),
            Report::Brought { key, fetched } => brought(terminal, key, fetched),
            Report::Held { key, held } => held_against(terminal, key, held),
            Report::Invocation(row) => {
                let line = invocation_line(terminal, row);
                terminal.line(line)?;
            }
            Report::Stopping => {
                terminal.say(Paint(Tone::Faint, "stopping; once more stops at once"));
            }
        }
        Ok(())
    }

    fn json(&self) -> Value {
        match self {
            Report::Ready { file, console, projects } => {
                let projects: Vec<_> =
                    projects.iter().map(|project| &project.manifest.project).collect();
                json!({
                    "event": "ready", "server": file, "console": console, "projects": projects,
                })
            }
            Report::Building(key) => json!({ "event": "building", "function": key }),
            Report::Unchanged(key, _) => json!({ "event": "unchanged", "function": key }),
            Report::Live { key, deployed, took, notes } => json!({
                "event": "live", "function": key, "deployed": deployed,
                "took_ms": took.as_millis() as u64, "notes": notes,
            }),
            Report::Failed { key, error, serving, .. } => json!({
                "event": "failed", "function": key, "error": chain(*error), "hint": error.hint(),
                "serving": serving,
            }),
            Report::Removed(key) => json!({ "event": "removed", "function": key }),
            Report::Declared { resource, effect } => {
                json!({ "event": "declared", "resource": resource, "effect": effect })
            }
            Report::ManifestBroken(error) => json!({ "event": "problem", "error": chain(*error) }),
            Report::ManifestMended(project) => {
                json!({ "event": "mended", "project": project.manifest.project })
            }
            Report::Problem(error) => json!({
                "event": "problem", "error": chain(*error), "hint": hint_of(*error),
            }),
            Report::Brought { key, fetched: Ok(brought) } => json!({
                "event": "brought", "function": key, "calls": brought.cases,
                "skipped": brought.skipped, "folder": brought.folder,
            }),
            Report::Brought { key, fetched: Err(error) } => json!({
                "event": "brought", "function": key, "error": chain(error),
            }),
            Report::Held { key, held } => {
                let other = held.other.iter();
                let other: Vec<_> =
                    other.map(|(id, why)| json!({ "invocation": id, "summary": why })).collect();
                json!({
                    "event": "held", "function": key, "version": held.version,
                    "same": held.same, "other": other,
                })
            }
            Report::Invocation(row) => json!({ "event": "invocation", "invocation": row }),
            Report::Stopping => json!({ "event": "stopping" }),
        }
    }
}

fn say(terminal: &mut Terminal, key: &str, what: impl std::fmt::Display) {
    terminal.say(format_args!("{}  {what}", Paint(Tone::Strong, key)));
}

fn ready(terminal: &mut Terminal, file: &ServerFile, console: Option<&str>, projects: &[Project]) {
    let names: Vec<_> =
        projects.iter().map(|project| project.manifest.project.to_string()).collect();
    terminal.say(format_args!(
        "{} {} serves {}",
        Paint(Tone::Strong, "nexus"),
        file.version,
        Paint(Tone::Strong, names.join(", "))
    ));
    terminal.say("");
    let token = file.token_file.display().to_string();
    let console = console.map(|link| ("console", link));
    let places = [("functions", &*file.ingress), ("API", &*file.api), ("token", &*token)];
    for (name, value) in places.into_iter().chain(console) {
        terminal.say(format_args!(
            "  {} {}",
            Paint(Tone::Faint, format!("{name:<9}")),
            Paint(Tone::Key, value)
        ));
    }
    terminal.say("");
}

fn live(terminal: &mut Terminal, key: &str, deployed: &Deployed, took: Duration) {
    let number = deployed.function.version.as_ref().map_or(0, |version| version.number);
    let took = show_duration(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    let compiling = match deployed.compile_ms {
        0 => String::new(),
        ms => format!(", {} of it to compile the component", show_duration(ms * 1_000_000)),
    };
    say(
        terminal,
        key,
        format_args!(
            "{} version {number} {}",
            Paint(Tone::Good, "live"),
            Paint(Tone::Faint, format_args!("in {took}{compiling}"))
        ),
    );
    say_calls(terminal, &deployed.function, &deployed.triggers);
}

fn say_calls(terminal: &mut Terminal, view: &FunctionView, triggers: &[TriggerView]) {
    for line in nexus_cli::calls(terminal, view, triggers) {
        terminal.say(format_args!("  {line}"));
    }
}

fn failed(terminal: &mut Terminal, (key, error): (&str, &Failed), serving: bool, watching: bool) {
    say(terminal, key, Paint(Tone::Bad, "failed"));
    if let Failed::Build(BuildError::Build(nexus_toolchain::Error::MissingTools { tools })) = error
    {
        crate::new::say_missing(tools, terminal);
        terminal.say(match watching {
            true => "  then save a file, or start `nexus dev` again",
            false => "  then start `nexus dev` again",
        });
    } else {
        for line in chain(error).lines() {
            terminal.say(format_args!("  {line}"));
        }
    }
    if let Some(hint) = error.hint() {
        terminal.say(format_args!("  {} {hint}", Paint(Tone::Good, "hint:")));
    }
    if serving {
        terminal.say(Paint(Tone::Faint, "  the last good version goes on serving"));
    }
}

fn problem(terminal: &mut Terminal, error: &(dyn std::error::Error + 'static)) {
    terminal.say(format_args!("{} {}", Paint(Tone::Bad, "error:"), chain(error)));
    if let Some(hint) = hint_of(error) {
        terminal.say(format_args!("  {} {hint}", Paint(Tone::Good, "hint:")));
    }
}

/// What to do about a problem, where the node said it.
fn hint_of<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a str> {
    error.downcast_ref().and_then(build::hint)
}

fn brought(terminal: &mut Terminal, key: &str, fetched: &Result<Brought, Error>) {
    match fetched {
        Ok(brought) => {
            let calls = counted(brought.cases, "real call");
            say(terminal, key, Paint(Tone::Faint, format_args!("{calls} brought")));
            if brought.skipped > 0 {
                let skipped = counted(brought.skipped as usize, "call");
                let why = &brought.reason;
                terminal.say(format_args!("  {skipped} left out; the first: {why}"));
            }
        }
        Err(error) => {
            say(terminal, key, Paint(Tone::Bad, "real calls could not be brought"));
            nexus_cli::report(error, terminal);
            if matches!(error, Error::Problem(problem) if problem.code == Code::Unauthenticated) {
                terminal.say("  --from-token or NEXUS_FROM_TOKEN gives the token of that server");
            }
        }
    }
}

fn held_against(terminal: &mut Terminal, key: &str, held: &Held) {
    let calls = counted(held.same + held.other.len(), "real call");
    if held.other.is_empty() {
        if held.same > 0 {
            say(terminal, key, Paint(Tone::Good, format_args!("does the same in {calls}")));
        }
        return;
    }
    let differ = held.other.len();
    say(terminal, key, Paint(Tone::Bad, format_args!("differs in {differ} of {calls}")));
    for (id, why) in held.other.iter().take(DIFFERENCES_SHOWN) {
        terminal.say(format_args!("  {id}  {why}"));
    }
    let folder = held.folder.display();
    terminal.say(Paint(Tone::Faint, format_args!("  nexus test {folder} shows them")));
}

/// An error with its reasons.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(reason) = source {
        text.push_str(&format!(": {reason}"));
        source = reason.source();
    }
    text
}
