//! Where a debug session stands, put together for its client.

use nexus_model::Timestamp;
use nexus_model::record::{InvocationRecord, LogLine};
use nexus_model::view::{DebugState, LogView, OperationView, StopReason, TimelineEntry};

use super::control::Facts;
use super::inspect::Guest;
use super::symbols::is_own;
use super::tape::Answered;
use crate::ledger::{Ledger, Tape};

pub(super) fn empty(reason: StopReason, facts: &Facts) -> DebugState {
    DebugState {
        reason,
        description: String::new(),
        operation: 0,
        operations: facts.entries.len() as u32,
        current: None,
        frames: Vec::new(),
        globals: Vec::new(),
        memories: Vec::new(),
        logs: Vec::new(),
        what_if: Vec::new(),
        breakpoints: Vec::new(),
        ended: None,
        memory: None,
        variables: None,
    }
}

pub(super) fn of_guest(state: &mut DebugState, guest: &mut Guest<'_>) {
    state.frames = guest.frames();
    state.globals = guest.globals();
    state.memories = guest.memories();
}

/// What has happened in this run until now.
pub(super) fn of_ledger(state: &mut DebugState, ledger: &Ledger, facts: &Facts) {
    state.logs = logs(ledger.logs.lines(), &facts.record);
    let Tape::Explore(explorer) = &ledger.tape else { return };
    let all = explorer.answered();
    state.operation = all.len() as u32;
    let view = |(at, answered): (usize, &Answered)| answered.view(at as u32);
    state.current = all.last().map(|last| view((all.len() - 1, last)));
    let changed = all.iter().enumerate().filter(|(_, answered)| answered.edited || answered.new);
    state.what_if = changed.map(view).collect();
}

/// Log lines with the times at which they were written in the recorded run.
pub(super) fn logs(lines: &[LogLine], record: &InvocationRecord) -> Vec<LogView> {
    let view = |(at, line): (usize, &LogLine)| {
        let recorded = record.logs.get(at).filter(|recorded| recorded.text == line.text);
        log_view(recorded.unwrap_or(line))
    };
    lines.iter().enumerate().map(view).collect()
}

fn log_view(line: &LogLine) -> LogView {
    LogView {
        at: Timestamp::from_unix_ns(line.at_ns),
        stream: line.stream(),
        level: line.level.clone(),
        text: line.text.clone(),
        fields: serde_json::from_str(&line.fields).unwrap_or_default(),
        function: String::new(),
        invocation: None,
        trace_id: String::new(),
    }
}

/// One sentence about where it stands.
pub(super) fn describe(state: &mut DebugState, because: &str) {
    let lines = || {
        state
            .frames
            .iter()
            .filter_map(|frame| Some((frame.at.file.as_ref()?, frame.at.line?, &frame.at.function)))
    };
    // The user's own code says more than where in a library it came to.
    let own = lines().find(|(file, ..)| is_own(file));
    let place = own.or_else(|| lines().next()).map(|(file, line, function)| {
        let name = file.rsplit('/').next().unwrap_or(file);
        format!(" at {name}:{line}, in {function}")
    });
    let place = place.or_else(|| state.frames.first().map(|it| format!(" in {}", it.at.function)));
    let at_place = place.unwrap_or_default();
    let current = state.current.as_ref().map(|at| {
        let call = match at.arguments.as_str() {
            "" => at.function.clone(),
            arguments => format!("{} {arguments}", at.function),
        };
        match at.summary.as_str() {
            "" => format!("operation {}: {call}", at.operation),
            summary => format!("operation {}: {call} → {summary}", at.operation),
        }
    });
    let current = current.unwrap_or_else(|| "before the first operation".to_owned());
    state.description = match state.reason {
        StopReason::Entry => "before the function is called".to_owned(),
        StopReason::Operation => current,
        StopReason::Breakpoint => format!("breakpoint{at_place}, {current}"),
        StopReason::Step => format!("step{at_place}"),
        StopReason::Pause => format!("still computing{at_place}: the time of the command is over"),
        StopReason::Trap => format!("trap{at_place}: {because}"),
        StopReason::NewEffect => format!("not performed: {current}"),
        StopReason::Diverged => format!("differs from the recording{at_place}: {because}"),
        StopReason::End => match &state.ended {
            Some(ended) if ended.failure.is_empty() => {
                format!("the function has ended: {}", ended.status.word())
            }
            Some(ended) => {
                format!("the function has ended: {}: {}", ended.status.word(), ended.failure)
            }
            None => "the function has ended".to_owned(),
        },
    };
}

/// The recording in order.
pub(super) fn timeline(facts: &Facts) -> Vec<TimelineEntry> {
    let log =
        |line: &LogLine| TimelineEntry::Log { after: line.after_operation, log: log_view(line) };
    let mut lines = facts.record.logs.iter().peekable();
    let mut timeline = Vec::with_capacity(facts.entries.len() + facts.record.logs.len());
    for (at, entry) in facts.entries.iter().enumerate() {
        while let Some(line) = lines.next_if(|line| line.after_operation as usize <= at) {
            timeline.push(log(line));
        }
        let answered = Answered { entry: entry.clone(), edited: false, new: false };
        let view: OperationView = answered.view(at as u32);
        timeline.push(TimelineEntry::Operation(view));
    }
    timeline.extend(lines.map(log));
    timeline
}
