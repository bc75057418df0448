//! Invocations: rows, lines, and one of them whole.

use std::time::Duration;

use nexus_model::record::Status;
use nexus_model::view::{FailureView, FrameView, InvocationRow, InvocationView, JournalEntryView};
use nexus_model::{Code, Sources, Timestamp};

use super::exchange::show_exchange;
use super::{Cell, Column, Table, block, counted, log_line, status_tone};
use crate::problem::reason_of;
use crate::units::{show_ago, show_duration, show_size};
use crate::{Error, Paint, Terminal, Tone};

/// The cells of a full timing bar.
const BAR_CELLS: u64 = 40;
/// Journal entries that are shown before the table is cut.
const JOURNAL_ROWS_MAX: usize = 100;
/// Lines of code that are shown before and after the one that failed.
const EXCERPT_LINES: usize = 3;

/// Lists are in the order in which invocations ended, so that is the time which they show.
pub(crate) fn invocation_table() -> Table {
    Table::new([
        Column::left("ENDED"),
        Column::left("ID"),
        Column::left("FUNCTION"),
        Column::left("STATUS"),
        Column::right("HTTP").optional(),
        Column::right("TOOK"),
        Column::left("START"),
        Column::left("LEVEL").optional(),
        Column::right("ATTEMPT").optional(),
        Column::left("TRACE").optional(),
    ])
}

pub(crate) fn invocation_row(terminal: &Terminal, row: &InvocationRow) -> Vec<Cell> {
    let attempt = if row.attempt > 1 { row.attempt.to_string() } else { String::new() };
    let ended = ended(row).map_or_else(|| "not yet".to_owned(), |at| terminal.time(at));
    vec![
        Cell::toned(Tone::Faint, ended),
        Cell::toned(Tone::Key, row.id.to_string()),
        Cell::toned(Tone::Strong, row.function.as_str()),
        Cell::toned(status_tone(row.status), row.status.word()),
        Cell::new(row.http_status.map(|status| status.to_string()).unwrap_or_default()),
        Cell::new(show_duration(row.duration_ns)),
        if row.cold { Cell::toned(Tone::Warn, "cold") } else { Cell::new("warm") },
        Cell::new(row.level.word()),
        Cell::new(attempt),
        Cell::toned(Tone::Faint, row.trace_id.as_str()),
    ]
}

fn ended(row: &InvocationRow) -> Option<Timestamp> {
    match row.status {
        Status::Queued | Status::Running | Status::Suspended => None,
        _ => Some(row.accepted.after(Duration::from_nanos(row.duration_ns))),
    }
}

/// One line of a stream, where columns cannot know their width: when it ended, or began.
pub fn invocation_line(terminal: &Terminal, row: &InvocationRow) -> String {
    let status = match row.http_status {
        Some(http) => format!("{} {http}", row.status.word()),
        None => row.status.word().to_owned(),
    };
    format!(
        "{}  {}  {}  {}  {}  {}",
        Paint(Tone::Faint, terminal.time(ended(row).unwrap_or(row.accepted))),
        Paint(Tone::Key, row.id),
        Paint(Tone::Strong, &row.function),
        Paint(status_tone(row.status), status),
        show_duration(row.duration_ns),
        if row.cold { "cold" } else { "warm" },
    )
}

/// One invocation, whole; with the lines around a failure where `sources` has them.
pub(crate) fn show_invocation(
    terminal: &mut Terminal,
    view: &InvocationView,
    sources: Option<&Sources>,
) -> Result<(), Error> {
    let row = &view.row;
    terminal.line(format_args!(
        "{}  {}  {}  {}",
        Paint(Tone::Key, row.id),
        Paint(Tone::Strong, format_args!("{}/{}", row.project, row.function)),
        Paint(status_tone(row.status), row.status.word()),
        show_duration(row.duration_ns)
    ))?;
    terminal.line("")?;
    for (name, value) in facts(terminal, view) {
        terminal.line(format_args!("  {} {value}", Paint(Tone::Faint, format!("{name:<10}"))))?;
    }
    if let Some(failure) = &view.failure {
        show_failure(terminal, failure, (view.not_replayable.is_empty(), sources))?;
    }
    show_timings(terminal, view)?;
    if view.payloads_hidden {
        terminal.line("")?;
        terminal
            .line(Paint(Tone::Faint, "payloads hidden: the token lacks the scope read-payload"))?;
    }
    show_exchange(terminal, "Input", &view.input)?;
    show_exchange(terminal, "Output", &view.output)?;
    if let Some(problem) = &view.journal_problem {
        block(terminal, "Journal", "")?;
        terminal.line(format_args!("  {}", Paint(Tone::Bad, problem)))?;
    }
    show_journal(terminal, &view.journal)?;
    show_logs(terminal, view)
}

fn facts(terminal: &Terminal, view: &InvocationView) -> Vec<(&'static str, String)> {
    let row = &view.row;
    let accepted = terminal.time(row.accepted);
    let mut facts = vec![
        ("accepted", format!("{accepted} ({})", show_ago(row.accepted, terminal.now))),
        (
            "trigger",
            format!("{}, attempt {}, by {}", row.trigger.word(), row.attempt, view.principal),
        ),
    ];
    let optional = [
        ("version", row.version.map(|id| id.to_string())),
        ("event", view.cause_event.map(|id| id.to_string())),
        ("caused by", view.cause_invocation.map(|id| id.to_string())),
        ("trace", Some(row.trace_id.clone()).filter(|text| !text.is_empty())),
        ("deadline", view.deadline.map(|at| terminal.time(at))),
        ("component", view.component.map(|digest| digest.to_string())),
        ("executed", view.executed.map(|digest| digest.to_string())),
        ("redacted", Some(view.redacted.join(", ")).filter(|text| !text.is_empty())),
    ];
    facts.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let replay = match view.not_replayable.as_str() {
        "" => format!("{} (nexus replay {})", row.level.word(), row.id),
        reason => format!("not replayable: {}", reason_of(reason)),
    };
    facts.push(("level", replay));
    facts.push(("used", used(view)));
    facts
}

fn used(view: &InvocationView) -> String {
    let meter = &view.meter;
    let grown = match meter.memory_grown_pages {
        0 => String::new(),
        pages => format!(" (grew by {pages} pages)"),
    };
    let fuel = if meter.fuel > 0 { format!(", {} fuel", meter.fuel) } else { String::new() };
    format!(
        "{} CPU, {} memory{grown}, {} in, {} out, {}{fuel}",
        show_duration(meter.cpu_ns),
        show_size(meter.memory_peak_bytes),
        show_size(meter.bytes_in),
        show_size(meter.bytes_out),
        counted(usize::try_from(meter.host_calls).unwrap_or(usize::MAX), "host call"),
    )
}

fn show_failure(
    terminal: &mut Terminal,
    failure: &FailureView,
    (replayable, sources): (bool, Option<&Sources>),
) -> Result<(), Error> {
    let code = Code::parse(&failure.code);
    let title = code.map_or("", Code::title);
    terminal.line("")?;
    terminal.line(format_args!(
        "{}  {} {title}",
        Paint(Tone::Bad, "Failure"),
        Paint(Tone::Strong, &failure.code)
    ))?;
    for line in failure.message.lines() {
        terminal.line(format_args!("  {line}"))?;
    }
    show_stack(terminal, failure)?;
    if let Some(sources) = sources {
        show_excerpt(terminal, failure, sources)?;
    }
    let hint = match code {
        Some(Code::GuestTrapped) if replayable => {
            Some("the backtrace names the place; `nexus replay` runs it again with the same input")
        }
        Some(Code::GuestTrapped) => Some("the backtrace names the place"),
        code => code.and_then(crate::hint_for),
    };
    match hint {
        Some(hint) => terminal.line(format_args!("  {} {hint}", Paint(Tone::Good, "hint:"))),
        None => Ok(()),
    }
}

/// The lines around the innermost frame of the user's own code.
fn show_excerpt(
    terminal: &mut Terminal,
    failure: &FailureView,
    sources: &Sources,
) -> Result<(), Error> {
    let place = |frame: &FrameView| {
        let path = frame.source.as_ref()?;
        Some((path.clone(), frame.line? as usize, sources.files.get(path)?))
    };
    let Some((path, line, text)) = failure.frames.iter().find_map(place) else { return Ok(()) };
    let from = line.saturating_sub(EXCERPT_LINES).max(1);
    block(terminal, &path, "")?;
    for (at, text) in text.lines().enumerate().skip(from - 1).take(line + EXCERPT_LINES + 1 - from)
    {
        // What a file holds must not steer the terminal.
        let (number, text) = (at + 1, text.replace('\t', "    ").replace(char::is_control, ""));
        match number == line {
            true => terminal.line(format_args!(
                "  {} {}",
                Paint(Tone::Bad, format!("{number:>5} >")),
                Paint(Tone::Strong, text)
            ))?,
            false => terminal
                .line(format_args!("  {} {text}", Paint(Tone::Faint, format!("{number:>5}  "))))?,
        }
    }
    Ok(())
}

/// The guest's stack, with source lines where the component has debug information.
fn show_stack(terminal: &mut Terminal, failure: &FailureView) -> Result<(), Error> {
    if failure.backtrace.is_empty() {
        // The stack of a language is in the message.
        return Ok(());
    }
    let number = |number: usize| Paint(Tone::Faint, format!("{number:>3}:"));
    if failure.frames.iter().all(|frame| frame.file.is_none()) {
        for (at, frame) in failure.backtrace.iter().enumerate() {
            terminal.line(format_args!("  {} {frame}", number(at)))?;
        }
        return Ok(());
    }
    for (at, frame) in failure.frames.iter().enumerate() {
        let inlined = if frame.inlined { " (inlined)" } else { "" };
        let function = Paint(Tone::Strong, &frame.function);
        terminal.line(format_args!(
            "  {} {function}{}",
            number(at),
            Paint(Tone::Faint, inlined)
        ))?;
        if let Some(file) = &frame.file {
            let line = frame.line.map(|line| format!(":{line}")).unwrap_or_default();
            let column = frame.column.map(|column| format!(":{column}")).unwrap_or_default();
            let place = Paint(Tone::Key, format!("{file}{line}{column}"));
            terminal.line(format_args!("       at {place}"))?;
        }
    }
    Ok(())
}

fn show_timings(terminal: &mut Terminal, view: &InvocationView) -> Result<(), Error> {
    let timings = &view.timings;
    let start = match (view.row.cold, view.cold_reason.as_str()) {
        (true, "") => "cold".to_owned(),
        (true, reason) => format!("cold: {reason}"),
        (false, _) => "warm".to_owned(),
    };
    block(terminal, "Time", &format!("{}, {start}", show_duration(timings.total_ns)))?;
    let parts = [
        ("queue", timings.queue_ns),
        ("fetch", timings.fetch_ns),
        ("load", timings.load_ns),
        ("instantiate", timings.instantiate_ns),
        ("guest", timings.guest_ns),
    ];
    let known: u64 = parts.iter().map(|(_, ns)| ns).sum();
    let total = timings.total_ns.max(known);
    let mut before = 0;
    for (name, ns) in parts {
        let bar = bar(before, ns, total);
        before += ns;
        let took = if ns == 0 { "–".to_owned() } else { show_duration(ns) };
        let tone = if name == "guest" { Tone::Good } else { Tone::Warn };
        let note = match name {
            "guest" if timings.first_answer_ns > 0 => {
                format!("   first answer after {}", show_duration(timings.first_answer_ns))
            }
            _ => String::new(),
        };
        terminal.line(format_args!(
            "  {} {} {took:>9}{}",
            Paint(Tone::Faint, format!("{name:<11}")),
            Paint(tone, bar),
            Paint(Tone::Faint, note)
        ))?;
    }
    let rest = total - known;
    if rest > 0 {
        terminal.line(format_args!(
            "  {} {} {:>9}",
            Paint(Tone::Faint, format!("{:<11}", "other")),
            Paint(Tone::Faint, bar(before, rest, total)),
            show_duration(rest)
        ))?;
    }
    Ok(())
}

/// A bar of [`BAR_CELLS`] cells: empty up to `before`, filled for `ns`, in eighths of a cell. What
/// happened is always visible, however short.
fn bar(before: u64, ns: u64, total: u64) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let scale = |ns: u64| {
        let eighths = u128::from(ns) * u128::from(BAR_CELLS * 8) / u128::from(total.max(1));
        u64::try_from(eighths).unwrap_or(0)
    };
    let mut bar = String::new();
    if ns > 0 {
        let offset = (scale(before) / 8).min(BAR_CELLS - 1);
        let length = scale(ns).clamp(1, (BAR_CELLS - offset) * 8);
        bar.extend(std::iter::repeat_n(' ', offset as usize));
        bar.extend(std::iter::repeat_n('█', (length / 8) as usize));
        if length % 8 > 0 {
            bar.push(EIGHTHS[(length % 8) as usize]);
        }
    }
    let width = bar.chars().count();
    bar.extend(std::iter::repeat_n(' ', BAR_CELLS as usize - width));
    bar
}

fn show_journal(terminal: &mut Terminal, journal: &[JournalEntryView]) -> Result<(), Error> {
    if journal.is_empty() {
        return Ok(());
    }
    block(terminal, "Journal", &counted(journal.len(), "operation"))?;
    let mut table = Table::new([
        Column::right("  #"),
        Column::right("AT"),
        Column::right("TOOK"),
        Column::left("OPERATION"),
        Column::left("WHAT"),
    ]);
    for entry in journal.iter().take(JOURNAL_ROWS_MAX) {
        let at = if entry.at_ns == 0 { String::new() } else { show_duration(entry.at_ns) };
        table.row([
            Cell::toned(Tone::Faint, entry.operation.to_string()),
            Cell::toned(Tone::Faint, at),
            Cell::new(show_duration(entry.duration_ns)),
            Cell::toned(Tone::Strong, entry.function.as_str()),
            Cell::new(entry.summary.as_str()),
        ]);
    }
    table.print(terminal)?;
    match journal.len().saturating_sub(JOURNAL_ROWS_MAX) {
        0 => Ok(()),
        more => terminal.line(Paint(
            Tone::Faint,
            format_args!("  … {more} more operations (--json prints all)"),
        )),
    }
}

fn show_logs(terminal: &mut Terminal, view: &InvocationView) -> Result<(), Error> {
    if view.logs.is_empty() && view.logs_dropped == 0 {
        return Ok(());
    }
    let dropped = match view.logs_dropped {
        0 => String::new(),
        count => format!(", {count} more were not kept"),
    };
    block(terminal, "Logs", &format!("{}{dropped}", counted(view.logs.len(), "line")))?;
    for line in &view.logs {
        // Lines of one message stay together.
        let text = log_line(terminal, line).replace('\n', "\n  ");
        terminal.line(format_args!("  {text}"))?;
    }
    Ok(())
}
