//! Answers about one delivery, invocation or event: pure, from what was found.

use nexus_engine::{
    DeliveryState, FALLBACK_TYPE, INVOKE_TYPE, OUTCOME_TYPE, Reason, batch_reported,
};
use nexus_model::record::{DeliveryDecision, EventRecord, InvocationRecord, Level, Status};
use nexus_model::units::{exact_duration, show_duration};
use nexus_model::view::WhyView;
use nexus_model::{EventId, InvocationId, Timestamp};

use crate::chain::sender_of;
use crate::decisions::Decided;
use crate::words::{attempts_made, because, brief, is_failure, sentence};

/// Failed events of a batch that are named.
const TOLD_MAX: usize = 5;
/// Earlier decisions about a delivery that are told.
const EARLIER_MAX: usize = 5;

pub(super) fn until_of(why: &nexus_engine::Why) -> Option<Timestamp> {
    let by_reason = match &why.reason {
        Some(
            Reason::Rate { until, .. } | Reason::Batch { until } | Reason::NotNow { until, .. },
        ) => Some(*until),
        Some(Reason::Breaker { until }) => Some(*until).filter(|at| *at != Timestamp::EPOCH),
        Some(Reason::Due { at }) => Some(*at),
        _ => None,
    };
    by_reason.or(match &why.state {
        DeliveryState::Waiting { due, .. } => Some(*due),
        DeliveryState::Suspended { until, .. } => *until,
        _ => None,
    })
}

/// A delivery that is not finished.
pub(super) fn of_delivery(
    about: &str,
    why: &nexus_engine::Why,
    (now, hint): (Timestamp, String),
) -> WhyView {
    let is_due = matches!(why.reason, Some(Reason::Due { .. }) | None);
    let (state, because) = match &why.state {
        DeliveryState::Ready { attempt } => ("queued", vec![format!("attempt {attempt} is next")]),
        DeliveryState::Waiting { attempt, reason, .. } => {
            let mut because = vec![format!("attempt {attempt} is next")];
            // The answer says it itself where that is all that it waits for.
            if !reason.is_empty() && !is_due {
                because.push(format!("the last one failed: {}", brief(reason)));
            }
            ("waiting", because)
        }
        DeliveryState::Running { attempt, invocation, .. } => {
            ("running", vec![format!("attempt {attempt} is {invocation}")])
        }
        DeliveryState::Suspended { attempt, invocation, .. } => {
            ("suspended", vec![format!("attempt {attempt} is {invocation}")])
        }
        DeliveryState::Settling { attempts, .. } => ("ending", vec![attempts_made(*attempts)]),
    };
    let until = until_of(why);
    let mut answer = sentence(&brief(&why.to_string()));
    if let Some(until) = until.filter(|until| *until > now) {
        answer = format!("{answer} {}", how_long(why, until.since(now)));
    }
    WhyView {
        about: about.to_owned(),
        state: state.to_owned(),
        answer,
        until,
        because,
        hint,
        function: why.key.function.to_string(),
    }
}

/// What the time means until which it waits. Who stands in line is not done when the next one may
/// begin.
fn how_long(why: &nexus_engine::Why, left: std::time::Duration) -> String {
    let left = exact_duration(std::time::Duration::from_secs(left.as_secs() + 1));
    match &why.reason {
        Some(Reason::Rate { .. } | Reason::Breaker { .. }) => {
            format!("The next one may begin in {left}.")
        }
        Some(Reason::NotNow { .. }) => format!("The server looks again in {left}."),
        _ => format!("That is at most {left} from now."),
    }
}

/// A delivery that lies in the dead letters. `spent` says why there was no further attempt.
pub(super) fn of_dead(
    about: &str,
    dead: &nexus_engine::DeadLetter,
    spent: Option<String>,
) -> WhyView {
    let answer = format!("it was given up at {}{}", dead.at, because(&dead.reason));
    let mut facts: Vec<String> = spent.into_iter().collect();
    facts.push(attempts_made(dead.attempts));
    if !dead.code.is_empty() {
        facts.push(format!("the code is {}", dead.code));
    }
    WhyView {
        about: about.to_owned(),
        state: "dead".to_owned(),
        answer: sentence(&answer),
        until: None,
        because: facts,
        hint: dead_hint(dead.key.event),
        function: dead.key.function.to_string(),
    }
}

fn dead_hint(event: EventId) -> String {
    format!("nexus dead-letters show {event}, then nexus dead-letters redrive {event}")
}

/// A delivery that ended by a decision. `facts` say what attempts it had.
pub(super) fn of_decided(about: &str, decided: &Decided, mut facts: Vec<String>) -> WhyView {
    let record = &decided.record;
    if !record.code.is_empty() {
        facts.push(format!("the code is {}", record.code));
    }
    facts.extend(followed(decided));
    let state = decided.state();
    let hint = match decided.follower() {
        Some(event) => format!("see how it went on: nexus why {event}"),
        None if state == "dead" => decided.event().map(dead_hint).unwrap_or_default(),
        None => String::new(),
    };
    WhyView {
        about: about.to_owned(),
        state: state.to_owned(),
        answer: sentence(&decided.told()),
        until: None,
        because: facts,
        hint,
        function: record.function.clone(),
    }
}

/// An attempt, with its failure where that was not `told` already.
pub(super) fn attempt(record: &InvocationRecord, told: &str) -> String {
    let id = record.invocation_id().map(|id| id.to_string()).unwrap_or_default();
    let failure = record.failure.as_ref().map(|failure| failure.message.as_str());
    let failure = failure.filter(|text| !is_failure(told, text)).unwrap_or_default();
    let (failure, word) = (because(failure), record.status().word());
    match batch_of(record) {
        None => format!("attempt {} was {id} ({word}){failure}", record.attempt),
        // Each event of a batch has a count of its own.
        Some(batch) => format!("the last attempt was {id}, {batch} ({word}){failure}"),
    }
}

/// The event that follows from a decision, where the decision itself does not name it.
pub(super) fn followed(decided: &Decided) -> Option<String> {
    let named = decided.record.decision() == DeliveryDecision::Redriven;
    let event = decided.follower().filter(|_| !named)?;
    Some(match decided.target() {
        Some(target) => format!("'{target}' gets the event {event}"),
        None => format!("the event is {event}"),
    })
}

/// What was decided before.
pub(super) fn earlier<'a>(decided: impl DoubleEndedIterator<Item = &'a Decided>) -> Vec<String> {
    let mut told: Vec<String> = decided
        .rev()
        .take(EARLIER_MAX)
        .map(|decided| format!("before that {}", decided.told()))
        .collect();
    told.reverse();
    told
}

/// The last attempt, where nothing was decided after it. A batch is an attempt of each of its events.
pub(super) fn of_attempt(event: EventId, record: &InvocationRecord) -> WhyView {
    let function = &record.function;
    let (count, took) = (record.attempt, show_duration(record.timings.total_ns));
    let reported = batch_reported(record, event);
    let status = match (record.status(), reported) {
        (Status::Succeeded, Some(_)) => Status::Failed,
        (status, _) => status,
    };
    let answer = match (status, batch_of(record)) {
        (Status::Succeeded, None) => {
            format!("Function {function} handled it in attempt {count} ({took}).")
        }
        (Status::Succeeded, Some(batch)) => {
            format!("Function {function} handled it in {batch} ({took}).")
        }
        (status, None) => {
            format!("Attempt {count} of function {function} ended as {} ({took}).", status.word())
        }
        (status, Some(batch)) => {
            let word = status.word();
            format!("Function {function} got it in {batch}, which ended as {word} ({took}).")
        }
    };
    let id = record.invocation_id().map(|id| id.to_string()).unwrap_or_default();
    let mut because = vec![match record.batch.is_empty() {
        true => format!("the attempt is {id}"),
        false => format!("the batch was delivered in {id}"),
    }];
    because.extend(reported.map(str::to_owned));
    WhyView {
        about: event.to_string(),
        state: status.word().to_owned(),
        answer,
        until: None,
        because,
        hint: String::new(),
        function: function.clone(),
    }
}

/// `a batch of 3 events`, where it was one of several.
fn batch_of(record: &InvocationRecord) -> Option<String> {
    let others = record.batch.len();
    (others > 0).then(|| format!("a batch of {} events", others + 1))
}

pub(super) fn unmatched(about: &str, record: &EventRecord) -> WhyView {
    WhyView {
        about: about.to_owned(),
        state: "unmatched".to_owned(),
        answer: format!("No function asked for events like it ({}).", record.event.ty),
        until: None,
        because: vec!["triggers that were added later do not see events of before".to_owned()],
        hint: "nexus triggers lists what is asked for".to_owned(),
        function: record.target.clone(),
    }
}

/// Where an event comes from, if that is something that people ask about by its id.
pub(super) fn origin(record: &EventRecord) -> Vec<String> {
    let mut facts = Vec::new();
    if let Ok(schedule) = EventId::try_from(&record.schedule[..])
        && Some(schedule) != record.event_id()
    {
        facts.push(format!("it was scheduled as {schedule}"));
    }
    if let Ok(cause) = EventId::try_from(&record.meta.cause_event[..]) {
        facts.push(match record.event.ty.as_str() {
            FALLBACK_TYPE => format!("it holds {cause}, which fell back"),
            OUTCOME_TYPE => format!("it tells what became of {cause}"),
            _ => format!("it follows from {cause}"),
        });
    }
    if let Ok(sender) = InvocationId::try_from(&record.meta.cause_invocation[..]) {
        let name = sender_of(&record.meta.principal).unwrap_or_default();
        facts.push(match record.event.ty.as_str() {
            INVOKE_TYPE => format!("function '{name}' called it in {sender}"),
            _ => format!("function '{name}' sent it in {sender}"),
        });
    }
    facts.extend(in_chain(record.links()));
    facts
}

/// How far something is in its chain, where that is worth a word.
fn in_chain(links: u32) -> Option<String> {
    (links > 1).then(|| format!("it is link {links} of a chain (`events.chain-max`)"))
}

/// An invocation that ended.
pub(super) fn of_record(about: &str, record: &InvocationRecord) -> WhyView {
    let status = record.status();
    let whole = show_duration(record.timings.total_ns);
    let answer = match (&record.failure, status) {
        (_, Status::Succeeded) => format!("It succeeded after {whole}."),
        (Some(failure), _) if !failure.message.is_empty() => {
            let told = format!("{} after {whole}: {}", status.word(), brief(&failure.message));
            sentence(&format!("it ended as {told}"))
        }
        _ => format!("It ended as {} after {whole}.", status.word()),
    };
    let hint = match status {
        Status::Succeeded => String::new(),
        _ if record.not_replayable.is_empty() => {
            format!("run it again with the same input: nexus replay {about}")
        }
        _ => format!("see its input and logs: nexus invocations show {about}"),
    };
    WhyView {
        about: about.to_owned(),
        state: status.word().to_owned(),
        answer,
        until: None,
        because: facts_of(record),
        hint,
        function: record.function.clone(),
    }
}

/// The events of a batch that its function reported as failed.
fn failed_events(record: &InvocationRecord) -> Vec<EventId> {
    let all = std::iter::once(&record.meta.cause_event).chain(&record.batch);
    let ids = all.filter_map(|id| EventId::try_from(&id[..]).ok());
    ids.filter(|id| batch_reported(record, *id).is_some()).collect()
}

fn facts_of(record: &InvocationRecord) -> Vec<String> {
    let mut facts = Vec::new();
    if let Some(code) = record.failure.as_ref().map(|at| &at.code).filter(|at| !at.is_empty()) {
        facts.push(format!("the code is {code}"));
    }
    if !record.cold.is_empty() {
        facts.push(format!("it began cold: {}", record.cold));
    }
    if !record.waited_for.is_empty() {
        facts.push(format!("it waited for {}", record.waited_for.join(", ")));
    }
    if record.timings.queue_ns > 1_000_000 {
        facts.push(format!("it waited {} for a slot", show_duration(record.timings.queue_ns)));
    }
    if record.attempt > 1 {
        facts.push(format!("it was attempt {}", record.attempt));
    }
    if let Some(batch) = batch_of(record) {
        facts.push(format!("it was {batch}"));
    }
    if let failed @ 1.. = failed_events(record).len() {
        let first = failed_events(record).into_iter().take(TOLD_MAX).map(|id| id.to_string());
        let (named, more) = (first.collect::<Vec<_>>().join(", "), failed > TOLD_MAX);
        let more = if more { ", …" } else { "" };
        facts.push(format!("{failed} of them failed: {named}{more}"));
    }
    facts.extend(in_chain(record.chain));
    match record.resumes {
        0 => {}
        1 => facts.push("it went on from its journal once".to_owned()),
        times => facts.push(format!("it went on from its journal {times} times")),
    }
    if let Ok(from) = InvocationId::try_from(&record.cached_from[..]) {
        facts.push(format!("the result was kept from {from}"));
    }
    facts.push(match (record.not_replayable.as_str(), record.level()) {
        ("", Level::Exact) => "it can be replayed exactly".to_owned(),
        ("", level) => format!("its level of replay is {}", level.word()),
        (reason, _) => format!("it cannot be replayed: {reason}"),
    });
    facts
}
