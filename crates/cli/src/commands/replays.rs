//! `nexus replays`, and `nexus replay` of many invocations.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use nexus_model::record::Status;
use nexus_model::view::{ReplayBatch, ReplayRequest, ReplayRows, ReplaySelection, ReplayState};
use nexus_model::{InvocationId, Name};

use super::compare::{RulesArgs, version_of};
use super::history::moment;
use crate::away::Away;
use crate::client::Send;
use crate::render::{Cell, Column, Table};
use crate::units::show_duration;
use crate::{Error, Paint, Session, Terminal, Tone, exit, render};

/// How often a batch that runs is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(300);
/// How often its progress is said.
const SAY_EVERY: Duration = Duration::from_secs(3);
/// Rows of differences that a command prints by itself.
const ROWS_SHOWN: usize = 20;

/// Batches of replays: list, show, pause, go on, cancel and delete them
#[derive(Args, Debug)]
pub struct ReplaysArgs {
    /// Something else than a list
    #[command(subcommand)]
    pub command: Option<ReplaysCommand>,
}

/// Other commands about batches of replays.
#[derive(Subcommand, Debug)]
pub enum ReplaysCommand {
    /// Show how far a batch is, and what differs
    Show {
        /// Its name
        name: String,
        /// Wait until it ends
        #[arg(long)]
        wait: bool,
    },
    /// List what came of each invocation
    Results {
        /// Its name
        name: String,
        /// Only what came to this: different, diverged, cannot-tell, identical, …
        #[arg(long, value_name = "VERDICT")]
        verdict: Option<String>,
    },
    /// Stop it for now
    Pause {
        /// Its name
        name: String,
    },
    /// Let it go on
    Resume {
        /// Its name
        name: String,
    },
    /// End it
    Cancel {
        /// Its name
        name: String,
    },
    /// Delete it with its report
    Delete {
        /// Its name
        name: String,
    },
}

/// Which invocations.
#[derive(Args, Clone, Debug, Default)]
pub struct SelectArgs {
    /// Of this function
    #[arg(long, value_name = "NAME")]
    pub function: Option<Name>,
    /// With one of these statuses, comma-separated
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = super::invocations::status)]
    pub status: Vec<Status>,
    /// From here on: 1h, 30m, a date or a time
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Up to here: 1h, 30m, a date or a time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// That handled events of this type
    #[arg(long = "type", value_name = "TYPE")]
    pub ty: Option<String>,
    /// With this text in what was recorded, in any case
    #[arg(long, value_name = "TEXT")]
    pub text: Option<String>,
    /// For which this jq expression holds, such as '.input.body.json.total > 100'
    #[arg(long = "where", value_name = "JQ")]
    pub expression: Option<String>,
    /// The newest so many
    #[arg(long, value_name = "COUNT")]
    pub last: Option<u64>,
}

impl SelectArgs {
    pub(crate) fn is_stated(&self) -> bool {
        self.function.is_some()
            || !self.status.is_empty()
            || [&self.since, &self.until, &self.ty, &self.text, &self.expression]
                .iter()
                .any(|at| at.is_some())
            || self.last.is_some()
    }

    pub(crate) fn selection(&self, terminal: &Terminal) -> Result<ReplaySelection, Error> {
        Ok(ReplaySelection {
            function: self.function.clone(),
            status: self.status.clone(),
            since: moment(self.since.as_deref(), terminal)?,
            until: moment(self.until.as_deref(), terminal)?,
            ty: self.ty.clone(),
            text: self.text.clone(),
            expression: self.expression.clone(),
            limit: self.last,
            ..ReplaySelection::default()
        })
    }
}

/// How a batch is made.
#[derive(Args, Clone, Debug, Default)]
pub struct BatchArgs {
    /// How many at the same time; by default all processors are used
    #[arg(long, value_name = "COUNT")]
    pub parallel: Option<u32>,
    /// Do not wait for the end
    #[arg(long)]
    pub detach: bool,
}

pub(crate) fn run(session: &mut Session, args: &ReplaysArgs) -> Result<(), Error> {
    match &args.command {
        None => list(session),
        Some(ReplaysCommand::Show { name, wait }) => show(session, name, *wait),
        Some(ReplaysCommand::Results { name, verdict }) => {
            results(session, name, verdict.as_deref())
        }
        Some(ReplaysCommand::Pause { name }) => order(session, name, "pause"),
        Some(ReplaysCommand::Resume { name }) => order(session, name, "resume"),
        Some(ReplaysCommand::Cancel { name }) => order(session, name, "cancel"),
        Some(ReplaysCommand::Delete { name }) => {
            session.client.delete(session.place(["replays", name])?)?;
            session.terminal.say(format_args!("deleted {name}"));
            Ok(())
        }
    }
}

/// Makes a batch, and waits for its end unless told otherwise.
pub(crate) fn make(
    session: &mut Session,
    select: ReplaySelection,
    (against, rules): (Option<&str>, &RulesArgs),
    batch: &BatchArgs,
) -> Result<(), Error> {
    let request = ReplayRequest {
        select,
        against: against.map(|against| version_of(against).to_owned()),
        rules: rules.stated(),
        parallel: batch.parallel,
    };
    let body = serde_json::to_vec(&request).map_err(|error| Error::Protocol {
        what: "the selection".to_owned(),
        reason: error.to_string(),
    })?;
    let place = session.place(["replays"])?;
    let send = Send { method: "POST", place, content_type: "application/json", body: Some(body) };
    let made: ReplayBatch = session.client.json(send)?;
    if batch.detach {
        return match session.terminal.json() {
            true => session.terminal.value(&made),
            false => session.terminal.line(&made.id),
        };
    }
    show(session, made.id.as_str(), true)
}

fn list(session: &mut Session) -> Result<(), Error> {
    let batches: Vec<ReplayBatch> = session.client.list(session.place(["replays"])?)?;
    if session.terminal.json() {
        return batches.iter().try_for_each(|batch| session.terminal.value(batch));
    }
    if batches.is_empty() {
        session.terminal.say("no batches of replays; `nexus replay --since 1h` makes one");
    }
    let mut table = Table::new([
        Column::left("CREATED"),
        Column::left("ID"),
        Column::left("STATE"),
        Column::right("DONE"),
        Column::left("AGAINST").optional(),
        Column::left("CAME TO"),
    ]);
    for batch in &batches {
        table.row([
            Cell::toned(Tone::Faint, session.terminal.time(batch.created)),
            Cell::toned(Tone::Key, batch.id.as_str()),
            Cell::toned(state_tone(batch.state), state_word(batch.state)),
            Cell::new(format!("{}/{}", batch.done, batch.selected)),
            Cell::new(batch.request.against.clone().unwrap_or_default()),
            Cell::new(verdicts(batch)),
        ]);
    }
    table.print(&mut session.terminal)
}

fn order(session: &mut Session, name: &str, order: &str) -> Result<(), Error> {
    let place = session.place(["replays", name, order])?;
    let send = Send { method: "POST", place, content_type: "", body: Some(Vec::new()) };
    let batch: ReplayBatch = session.client.json(send)?;
    match session.terminal.json() {
        true => session.terminal.value(&batch),
        false => {
            session.terminal.say(progress(&batch));
            Ok(())
        }
    }
}

fn show(session: &mut Session, name: &str, wait: bool) -> Result<(), Error> {
    let place = session.place(["replays", name])?;
    let mut batch: ReplayBatch = session.client.get(place.clone())?;
    let mut said = Instant::now();
    let mut away = Away::until(None).met();
    while wait && batch.state == ReplayState::Running {
        std::thread::sleep(ASK_EVERY);
        let Session { client, terminal, .. } = session;
        batch = away.ask(terminal, || client.get(place.clone()))?;
        if said.elapsed() >= SAY_EVERY && !session.terminal.json() {
            session.terminal.say(Paint(Tone::Faint, progress(&batch)));
            said = Instant::now();
        }
    }
    let bad = ["different", "diverged", "cannot-tell"];
    if session.terminal.json() {
        session.terminal.value(&batch)?;
    } else {
        print(session, &batch)?;
        for verdict in bad.iter().filter(|verdict| batch.verdicts.contains_key(**verdict)) {
            rows(session, name, (Some(verdict), ROWS_SHOWN))?;
        }
    }
    verdict_of(&batch)
}

/// What a script wants to know: whether all did the same.
fn verdict_of(batch: &ReplayBatch) -> Result<(), Error> {
    let differs = ["different", "diverged"].iter().any(|at| batch.verdicts.contains_key(*at));
    let failed = matches!(batch.state, ReplayState::Failed);
    let nothing = batch.done == 0 && batch.state == ReplayState::Done;
    match (differs || failed, nothing) {
        (true, _) => Err(Error::Told(exit::FAILED)),
        (false, true) => Err(Error::Told(exit::USAGE)),
        (false, false) => Ok(()),
    }
}

fn print(session: &mut Session, batch: &ReplayBatch) -> Result<(), Error> {
    let terminal = &mut session.terminal;
    let state = Paint(state_tone(batch.state), state_word(batch.state));
    terminal.line(format_args!("{} {state}", Paint(Tone::Key, batch.id.as_str())))?;
    if !batch.reason.is_empty() {
        terminal.line(format_args!("  reason   {}", batch.reason))?;
    }
    if let Some(against) = &batch.request.against {
        terminal.line(format_args!("  against  {against}"))?;
    }
    for (verdict, count) in &batch.verdicts {
        let tone = match verdict.as_str() {
            "different" | "diverged" => Tone::Bad,
            "cannot-tell" => Tone::Warn,
            _ => Tone::Good,
        };
        terminal.line(format_args!("  {:<8} {}", count, Paint(tone, verdict)))?;
    }
    if batch.done == 0 && batch.state == ReplayState::Done {
        terminal.say("nothing was selected: no such invocation was recorded");
        return Ok(());
    }
    let seconds = batch.took_ns as f64 / 1e9;
    let rate = if seconds > 0.0 { batch.done as f64 / seconds } else { 0.0 };
    terminal.say(Paint(
        Tone::Faint,
        format_args!(
            "{} in {} ({rate:.0}/s); they took {} when they were recorded: {:.1} times real time",
            render::counted(batch.done as usize, "invocation"),
            show_duration(batch.took_ns),
            show_duration(batch.original_ns),
            batch.times_real_time
        ),
    ));
    Ok(())
}

fn progress(batch: &ReplayBatch) -> String {
    let of = if batch.selecting { "at least " } else { "" };
    format!("{}: {} of {of}{}", state_word(batch.state), batch.done, batch.selected)
}

fn verdicts(batch: &ReplayBatch) -> String {
    let all: Vec<String> =
        batch.verdicts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
    all.join(", ")
}

const fn state_word(state: ReplayState) -> &'static str {
    match state {
        ReplayState::Running => "running",
        ReplayState::Paused => "paused",
        ReplayState::Done => "done",
        ReplayState::Cancelled => "cancelled",
        ReplayState::Failed => "failed",
    }
}

const fn state_tone(state: ReplayState) -> Tone {
    match state {
        ReplayState::Done => Tone::Good,
        ReplayState::Failed => Tone::Bad,
        ReplayState::Paused | ReplayState::Cancelled => Tone::Warn,
        ReplayState::Running => Tone::Plain,
    }
}

fn results(session: &mut Session, name: &str, verdict: Option<&str>) -> Result<(), Error> {
    rows(session, name, (verdict, usize::MAX))
}

fn rows(
    session: &mut Session,
    name: &str,
    (verdict, limit): (Option<&str>, usize),
) -> Result<(), Error> {
    let mut after = None;
    let mut shown = 0;
    loop {
        let place = session.place(["replays", name, "results"])?;
        let place = place.maybe("verdict", verdict).maybe("after", after);
        let page: ReplayRows = session.client.get(place)?;
        for row in &page.items {
            if shown == limit {
                session.terminal.say(format_args!(
                    "…and more: nexus replays results {name} --verdict {}",
                    row.verdict
                ));
                return Ok(());
            }
            shown += 1;
            if session.terminal.json() {
                session.terminal.value(row)?;
                continue;
            }
            let id: InvocationId = row.invocation;
            session.terminal.line(format_args!(
                "{}  {:<12} {}  {}",
                Paint(Tone::Key, id),
                row.verdict,
                Paint(Tone::Strong, &row.function),
                row.summary
            ))?;
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}
