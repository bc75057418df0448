//! `nexus replay … --against`: one invocation, two versions.

use clap::Args;
use nexus_model::InvocationId;
use nexus_model::view::{CompareRules, Comparison, Cost, EffectChange, EffectView, Part, Sameness};

use super::versions::change_line;
use crate::client::Send;
use crate::units::{show_duration, show_size};
use crate::{Error, Paint, Session, Terminal, Tone, exit};

/// What does not matter in a comparison.
#[derive(Args, Clone, Debug, Default)]
pub struct RulesArgs {
    /// Ignore this JSON path (RFC 9535) in outputs, events and requests, such as
    /// '$.items[*].id' (repeatable)
    #[arg(long, value_name = "PATH")]
    pub ignore: Vec<String>,
    /// Ignore this header (repeatable)
    #[arg(long, value_name = "NAME")]
    pub ignore_header: Vec<String>,
    /// Texts that are moments in time may differ
    #[arg(long)]
    pub ignore_timestamps: bool,
    /// Texts that look like generated ids may differ
    #[arg(long)]
    pub ignore_ids: bool,
    /// Log lines count as well
    #[arg(long)]
    pub with_logs: bool,
}

impl RulesArgs {
    /// The rules; nothing where none are stated.
    pub(crate) fn stated(&self) -> Option<CompareRules> {
        let rules = CompareRules {
            ignore: self.ignore.clone(),
            ignore_headers: self.ignore_header.clone(),
            timestamps: self.ignore_timestamps,
            ids: self.ignore_ids,
            logs: self.with_logs,
        };
        (rules != CompareRules::default()).then_some(rules)
    }
}

pub(crate) fn run(
    session: &mut Session,
    id: InvocationId,
    (against, rules, instructions): (&str, &RulesArgs, bool),
) -> Result<(), Error> {
    let place = session.place(["invocations", &id.to_string(), "compare"])?;
    let rules = rules.stated().unwrap_or_default();
    let request = serde_json::json!({
        "against": version_of(against), "rules": rules, "instructions": instructions,
    });
    let body = Some(request.to_string().into_bytes());
    let send = Send { method: "POST", place, content_type: "application/json", body };
    let comparison: Comparison = session.client.json(send)?;
    if session.terminal.json() {
        session.terminal.value(&comparison)?;
    } else {
        print(&mut session.terminal, &comparison)?;
    }
    match comparison.verdict {
        Sameness::Identical | Sameness::Equivalent => Ok(()),
        Sameness::Different => Err(Error::Told(exit::FAILED)),
        Sameness::CannotTell => Err(Error::Told(exit::USAGE)),
    }
}

/// `1.4.0` of `f@1.4.0`.
pub(crate) fn version_of(against: &str) -> &str {
    against.split_once('@').map_or(against, |(_, version)| version)
}

pub(crate) const fn tone(verdict: Sameness) -> Tone {
    match verdict {
        Sameness::Identical | Sameness::Equivalent => Tone::Good,
        Sameness::Different => Tone::Bad,
        Sameness::CannotTell => Tone::Warn,
    }
}

/// The first thing that matters in a comparison, in a line; why nobody can say where that is so.
pub fn first_change(comparison: &Comparison) -> String {
    let change = comparison.changes.iter().find(|change| change.ignored.is_none());
    if let Some(change) = change {
        return format!("{} {}", part_name(change.part), change_line(change));
    }
    let effect = comparison.effects.iter().find(|effect| effect.ignored.is_none());
    effect.map_or_else(|| comparison.summary.clone(), effect_line)
}

fn effect_line(effect: &EffectView) -> String {
    let (sign, what) = match effect.kind {
        EffectChange::Added => ("+", "new, not performed"),
        EffectChange::Removed => ("-", "no longer asked for"),
        EffectChange::Changed => ("~", "other arguments"),
        EffectChange::Repeated => ("=", "asked again"),
        EffectChange::Reordered => ("^", "in another order"),
    };
    let function = effect.function.rsplit('/').next().unwrap_or_default();
    format!("{sign} {function} {}  {what}", effect.target)
}

fn part_name(part: Part) -> &'static str {
    match part {
        Part::Status => "status",
        Part::Header => "header",
        Part::Output => "output",
        Part::Failure => "failure",
        Part::Event => "event",
        Part::ExitCode => "exit code",
        Part::Logs => "logs",
        Part::Request => "request",
        Part::Config => "config",
    }
}

/// Prints a comparison for people.
///
/// # Errors
/// It cannot be written.
pub fn print(terminal: &mut Terminal, comparison: &Comparison) -> Result<(), Error> {
    terminal.line(Paint(tone(comparison.verdict), comparison.verdict.word()))?;
    for change in &comparison.changes {
        line(terminal, part_name(change.part), &change_line(change), change.ignored.as_deref())?;
    }
    for effect in &comparison.effects {
        line(terminal, "effect", &effect_line(effect), effect.ignored.as_deref())?;
        for change in effect.changes.iter().filter(|_| effect.kind == EffectChange::Changed) {
            line(terminal, "", &format!("  {}", change_line(change)), change.ignored.as_deref())?;
        }
    }
    if comparison.changes_omitted > 0 {
        terminal.say(format_args!("and {} more changes", comparison.changes_omitted));
    }
    terminal.say(&comparison.summary);
    let (old, new) = (comparison.recorded_cost, comparison.against_cost);
    if old == Cost::default() {
        // Held against a file, which knows of no cost.
        return Ok(());
    }
    terminal.say(Paint(
        Tone::Faint,
        format_args!(
            "version {} → {}: {} → {} in the guest, {} → {} of memory, {} → {} host calls",
            comparison.recorded.number,
            comparison.against.number,
            show_duration(old.guest_ns),
            show_duration(new.guest_ns),
            show_size(old.memory_peak_bytes),
            show_size(new.memory_peak_bytes),
            old.host_calls,
            new.host_calls,
        ),
    ));
    if let (Some(old), Some(new)) = (old.instructions, new.instructions) {
        let percent = 100.0 * (new as f64 - old as f64) / (old.max(1) as f64);
        let said = format_args!("{old} → {new} instructions ({percent:+.1} %)");
        terminal.say(Paint(Tone::Faint, said));
    }
    Ok(())
}

fn line(
    terminal: &mut Terminal,
    title: &str,
    text: &str,
    ignored: Option<&str>,
) -> Result<(), Error> {
    match ignored {
        None => terminal.line(format_args!("  {title:<9} {text}")),
        Some(rule) => {
            let text = format!("  {title:<9} {text}  (ignored: {rule})");
            terminal.line(Paint(Tone::Faint, text))
        }
    }
}
