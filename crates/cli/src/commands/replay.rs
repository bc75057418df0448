//! `nexus replay`: runs invocations again, and says whether they were the same.

use clap::Args;
use nexus_model::view::{ReplayView, Verdict};
use nexus_model::{Code, InvocationId};

use super::compare::RulesArgs;
use super::replays::{BatchArgs, SelectArgs};
use super::{cases, compare, replays};
use crate::client::Send;
use crate::problem::reason_of;
use crate::units::show_duration;
use crate::{Error, Paint, Session, Tone, exit, render};

/// Run invocations again, exactly or with another version, and compare
///
/// Nothing outside is touched: the recording is the outside world. With an id, one invocation is
/// replayed; with --since, --function and the like, all that are meant, on the server. The exit code
/// is 0 when everything is the same, 1 when something differs, 2 when nothing can be said.
#[derive(Args, Debug)]
pub struct ReplayArgs {
    /// The invocation's id, or `last` for the newest
    pub id: Option<String>,
    /// Hold it against this version: a number, label, id or alias, `live` or `latest`, also as
    /// FUNCTION@VERSION
    #[arg(long, value_name = "VERSION")]
    pub against: Option<String>,
    /// Compare the final memory as well, where the recording has it
    #[arg(long, conflicts_with = "against")]
    pub verify: bool,
    /// Count the instructions of both versions; they are compiled once more for that
    #[arg(long, requires = "id", requires = "against")]
    pub instructions: bool,
    /// Print the output of the replay as well
    #[arg(long)]
    pub show_output: bool,
    /// Save it as a test of this project, which `nexus test` runs; a name, or the path of a file
    #[arg(long, value_name = "NAME", num_args = 0..=1, requires = "id", conflicts_with_all = ["against", "verify"])]
    pub save_test: Option<Option<String>>,
    /// Keep credentials and what the function redacts in the test; values of secrets never are
    #[arg(long, requires = "save_test")]
    pub unredacted: bool,
    /// Which invocations, where no id is given
    #[command(flatten)]
    pub select: SelectArgs,
    /// What does not matter
    #[command(flatten)]
    pub rules: RulesArgs,
    /// How many are replayed
    #[command(flatten)]
    pub batch: BatchArgs,
}

pub(crate) fn run(session: &mut Session, args: &ReplayArgs) -> Result<(), Error> {
    let against = args.against.as_deref();
    match (&args.id, args.select.is_stated(), against) {
        (Some(_), true, _) => Err(Error::usage("an id, or which invocations; not both")),
        (None, false, _) => Err(Error::Usage {
            message: "which invocation?".to_owned(),
            hint: Some("nexus replay last; or many: nexus replay --since 1h".to_owned()),
        }),
        (None, true, _) => {
            let select = args.select.selection(&session.terminal)?;
            replays::make(session, select, (against, &args.rules), &args.batch)
        }
        (Some(id), false, Some(against)) => {
            let id = session.invocation(id)?;
            compare::run(session, id, (against, &args.rules, args.instructions))
        }
        (Some(id), false, None) => {
            let id = session.invocation(id)?;
            match &args.save_test {
                None => exactly(session, args, id),
                Some(name) => cases::save(session, id, (name.as_deref(), args.unredacted)),
            }
        }
    }
}

fn exactly(session: &mut Session, args: &ReplayArgs, id: InvocationId) -> Result<(), Error> {
    let place = session
        .place(["invocations", &id.to_string(), "replay"])?
        .maybe("verify", args.verify.then_some("true"));
    let send = Send { method: "POST", place, content_type: "", body: Some(Vec::new()) };
    let view: ReplayView = session.client.json(send).or_else(|error| cannot(session, id, error))?;
    if session.terminal.json() {
        session.terminal.value(&view)?;
    } else {
        print(session, args, &view)?;
    }
    match view.verdict {
        Verdict::Identical | Verdict::IdenticalUpTo => Ok(()),
        Verdict::Diverged => Err(Error::Told(exit::FAILED)),
    }
}

/// An invocation that cannot be replayed has an exit code of its own.
fn cannot(session: &mut Session, id: InvocationId, error: Error) -> Result<ReplayView, Error> {
    let mut problem = match error {
        Error::Problem(problem)
            if matches!(problem.code, Code::NotReplayable | Code::BadJournal | Code::Gone) =>
        {
            problem
        }
        other => return Err(other),
    };
    problem.hint = Error::Problem(problem.clone()).hint();
    problem.detail = format!("{id} cannot be replayed: {}", reason_of(&problem.detail));
    crate::run::report(&Error::Problem(problem), &mut session.terminal);
    Err(Error::Told(exit::USAGE))
}

fn print(session: &mut Session, args: &ReplayArgs, view: &ReplayView) -> Result<(), Error> {
    let (tone, word) = match view.verdict {
        Verdict::Identical => (Tone::Good, "identical"),
        // It names the operation.
        Verdict::IdenticalUpTo if !view.summary.is_empty() => (Tone::Good, view.summary.as_str()),
        Verdict::IdenticalUpTo => (Tone::Good, "identical up to the last operation"),
        Verdict::Diverged => (Tone::Bad, "diverged"),
    };
    let terminal = &mut session.terminal;
    terminal.line(Paint(tone, word))?;
    if let Some(divergence) = &view.divergence {
        let place = match divergence.operation {
            Some(number) => format!("operation {number}: {}", divergence.what),
            None => divergence.what.clone(),
        };
        terminal.line(format_args!("  at       {}", Paint(Tone::Strong, place)))?;
        for (name, text) in [("expected", &divergence.expected), ("actual", &divergence.actual)] {
            for (index, line) in text.lines().enumerate() {
                let title = if index == 0 { name } else { "" };
                terminal.line(format_args!("  {title:<8} {line}"))?;
            }
        }
    }
    if args.show_output {
        render::show_exchange(terminal, "Output", &view.output)?;
    }
    // The summary begins with the verdict, which was said; the rest is what was compared.
    let what = match view.summary.strip_prefix("identical: ") {
        Some(what) => what.to_owned(),
        None => render::counted(view.operations as usize, "operation"),
    };
    let (took, original) = (show_duration(view.duration_ns), show_duration(view.original_ns));
    let times = format!("{what} in {took}; the original took {original}");
    terminal.say(Paint(Tone::Faint, times));
    Ok(())
}
