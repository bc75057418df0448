//! `nexus why`: why an event or an invocation is as it is.

use clap::Args;
use nexus_model::view::WhyView;

use crate::{Error, Paint, Session, Terminal, Tone};

/// Say why an event or invocation is queued, delayed, retried, dead, cold or finished
#[derive(Args, Debug)]
pub struct WhyArgs {
    /// An event (evt_…), an invocation (inv_…), or `last` for the newest invocation
    pub id: String,
}

pub(crate) fn run(session: &mut Session, args: &WhyArgs) -> Result<(), Error> {
    let id = match args.id.as_str() {
        "last" => session.invocation("last")?.to_string(),
        id => id.to_owned(),
    };
    let views: Vec<WhyView> = session.client.list(session.place(["why", &id])?)?;
    let terminal = &mut session.terminal;
    if terminal.json() {
        return views.iter().try_for_each(|view| terminal.value(view));
    }
    for view in &views {
        let tone = match view.state.as_str() {
            "succeeded" => Tone::Good,
            "dead" | "failed" | "trapped" | "refused" | "timed-out" | "out-of-memory"
            | "crashed" | "rejected" => Tone::Bad,
            _ => Tone::Warn,
        };
        let function = match view.function.as_str() {
            "" => String::new(),
            function => format!("  {}", Paint(Tone::Strong, function)),
        };
        terminal.line(format_args!(
            "{}{function}  {}",
            Paint(Tone::Key, &view.about),
            Paint(tone, &view.state)
        ))?;
        answer(terminal, &view.answer)?;
        for fact in &view.because {
            let fact = fact.trim_end().replace('\n', "\n    ");
            terminal.line(format_args!("  {} {fact}", Paint(Tone::Faint, "·")))?;
        }
        if let Some(until) = view.until {
            let until = terminal.time(until);
            terminal.line(format_args!("  {} {until}", Paint(Tone::Faint, "until")))?;
        }
        if !view.hint.is_empty() {
            terminal.line(format_args!("  {} {}", Paint(Tone::Good, "to do:"), view.hint))?;
        }
    }
    Ok(())
}

/// The sentence; what a function said may go on below it, such as a stack, and ends without the full
/// stop of the sentence.
fn answer(terminal: &mut Terminal, text: &str) -> Result<(), Error> {
    let Some((first, more)) = text.split_once('\n') else {
        return terminal.line(format_args!("  {text}"));
    };
    terminal.line(format_args!("  {}", first.trim_end()))?;
    let more = more.strip_suffix('.').unwrap_or(more).trim_end();
    more.lines().try_for_each(|line| terminal.line(format_args!("  {}", line.trim_end())))
}
