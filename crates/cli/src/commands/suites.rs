//! `nexus suites` and `nexus verify`: recorded traffic as tests.

use clap::{Args, Subcommand};
use nexus_model::Name;
use nexus_model::view::{ReplaySelection, SuiteRequest, SuiteView};

use super::compare::RulesArgs;
use super::replays::{self, BatchArgs, SelectArgs};
use crate::client::Send;
use crate::render::{Cell, Column, Table};
use crate::{Error, Paint, Session, Tone, render};

/// Suites of recordings: list, show, save and delete them
#[derive(Args, Debug)]
pub struct SuitesArgs {
    /// Something else than a list
    #[command(subcommand)]
    pub command: Option<SuitesCommand>,
}

/// Other commands about suites.
#[derive(Subcommand, Debug)]
pub enum SuitesCommand {
    /// Show one suite
    Show {
        /// Its name
        name: String,
    },
    /// Keep recorded invocations as a suite, in place of one of this name
    Save(Box<SaveArgs>),
    /// Delete a suite
    Delete {
        /// Its name
        name: String,
    },
}

/// `nexus suites save`.
#[derive(Args, Debug)]
pub struct SaveArgs {
    /// Its name
    pub name: String,
    /// For people
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub description: String,
    /// These invocations, comma-separated
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub ids: Vec<nexus_model::InvocationId>,
    /// Which invocations
    #[command(flatten)]
    pub select: SelectArgs,
    /// What does not matter when a version is held against them
    #[command(flatten)]
    pub rules: RulesArgs,
}

/// Hold a version against a suite of recordings
///
/// The exit code is 0 when it does the same (but for what the suite ignores), 1 when something
/// differs: made for CI.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// The suite
    pub suite: Name,
    /// The version: a number, label, id or alias, `live` or `latest`
    #[arg(long, value_name = "VERSION", default_value = "latest")]
    pub against: String,
    /// Rules in place of those of the suite
    #[command(flatten)]
    pub rules: RulesArgs,
    /// How it is done
    #[command(flatten)]
    pub batch: BatchArgs,
}

pub(crate) fn run(session: &mut Session, args: &SuitesArgs) -> Result<(), Error> {
    match &args.command {
        None => list(session),
        Some(SuitesCommand::Show { name }) => {
            let suite: SuiteView = session.client.get(session.place(["suites", name])?)?;
            print(session, &suite)
        }
        Some(SuitesCommand::Save(args)) => {
            let select = match args.ids.is_empty() {
                true => args.select.selection(&session.terminal)?,
                false => ReplaySelection { ids: args.ids.clone(), ..ReplaySelection::default() },
            };
            let rules = args.rules.stated().unwrap_or_default();
            let request = SuiteRequest { description: args.description.clone(), rules, select };
            save(session, &args.name, &request)
        }
        Some(SuitesCommand::Delete { name }) => {
            session.client.delete(session.place(["suites", name])?)?;
            session.terminal.say(format_args!("deleted suite {name}"));
            Ok(())
        }
    }
}

fn save(session: &mut Session, name: &str, request: &SuiteRequest) -> Result<(), Error> {
    let body = serde_json::to_vec(request).map_err(|error| Error::Protocol {
        what: "the suite".to_owned(),
        reason: error.to_string(),
    })?;
    let place = session.place(["suites", name])?;
    let send = Send { method: "PUT", place, content_type: "application/json", body: Some(body) };
    let suite: SuiteView = session.client.json(send)?;
    print(session, &suite)
}

fn print(session: &mut Session, suite: &SuiteView) -> Result<(), Error> {
    let terminal = &mut session.terminal;
    if terminal.json() {
        return terminal.value(suite);
    }
    let cases = render::counted(suite.cases.len(), "recording");
    terminal.line(format_args!("{}  {cases}", Paint(Tone::Strong, suite.name.as_str())))?;
    if !suite.description.is_empty() {
        terminal.line(format_args!("  {}", suite.description))?;
    }
    let functions: Vec<&str> = suite.functions.iter().map(Name::as_str).collect();
    terminal.line(format_args!("  of       {}", functions.join(", ")))?;
    let rules = serde_json::to_value(&suite.rules).unwrap_or_default();
    let rules = rules.as_object().into_iter().flatten();
    for (rule, value) in rules.filter(|(_, value)| **value != serde_json::json!(false)) {
        terminal.line(format_args!("  rule     {rule}: {value}"))?;
    }
    terminal.say(format_args!("nexus verify {} holds the newest version against it", suite.name));
    Ok(())
}

fn list(session: &mut Session) -> Result<(), Error> {
    let suites: Vec<SuiteView> = session.client.list(session.place(["suites"])?)?;
    if session.terminal.json() {
        return suites.iter().try_for_each(|suite| session.terminal.value(suite));
    }
    if suites.is_empty() {
        session
            .terminal
            .say("no suites; `nexus suites save NAME --function F --last 100` makes one");
    }
    let mut table = Table::new([
        Column::left("SUITE"),
        Column::right("RECORDINGS"),
        Column::left("FUNCTIONS"),
        Column::left("SAVED"),
    ]);
    for suite in &suites {
        let functions: Vec<&str> = suite.functions.iter().map(Name::as_str).collect();
        table.row([
            Cell::toned(Tone::Strong, suite.name.as_str()),
            Cell::new(suite.cases.len().to_string()),
            Cell::new(functions.join(", ")),
            Cell::toned(Tone::Faint, session.terminal.time(suite.updated)),
        ]);
    }
    table.print(&mut session.terminal)
}

pub(crate) fn verify(session: &mut Session, args: &VerifyArgs) -> Result<(), Error> {
    let select = ReplaySelection { suite: Some(args.suite.clone()), ..ReplaySelection::default() };
    replays::make(session, select, (Some(&args.against), &args.rules), &args.batch)
}
