//! What was decided about the deliveries of an event: cancelled, given up, sent to a fallback,
//! dropped, replaced. Only the log knows it once a delivery has ended.

use std::time::Duration;

use nexus_engine::DeliveryKey;
use nexus_log::Position;
use nexus_model::record::{
    DeliveryDecision, DeliveryRecord, EventRecord, InvocationRecord, Record, Status,
};
use nexus_model::{
    Code, EventId, InvocationFilter, InvocationId, Principal, TimeRange, Timestamp, limits,
};

use crate::words::because;
use crate::{Error, Node};

/// Rows of the log that are looked at after an event.
pub(crate) const ROWS_MAX: u64 = 5_000_000;
/// By how much the clock may have been set back between an event and its attempts.
const CLOCK_SLACK: Duration = Duration::from_secs(3600);

/// A decision about a delivery.
pub(crate) struct Decided {
    pub(crate) record: DeliveryRecord,
    /// The event that follows from it: for the fallback or a destination, or in the place of the
    /// original. It stands in the same append.
    pub(crate) followed: Option<EventRecord>,
}

/// Everything that was decided about an event, in the order of the log.
pub(crate) struct Decisions {
    pub(crate) all: Vec<Decided>,
    /// A limit was reached: there may be more.
    pub(crate) cut: bool,
}

impl Decisions {
    /// Those about one function by one trigger.
    pub(crate) fn of<'a>(
        &'a self,
        (function, trigger): (&'a str, &'a str),
    ) -> impl DoubleEndedIterator<Item = &'a Decided> {
        let own =
            move |at: &&Decided| at.record.function == function && at.record.trigger == trigger;
        self.all.iter().filter(own)
    }
}

impl Node {
    /// What was decided about the deliveries of an event of a project.
    pub(crate) async fn decisions(
        &self,
        project: &str,
        event: EventId,
    ) -> Result<Decisions, Error> {
        let found = self.parts.log.decisions(event, ROWS_MAX).await?;
        let mut all = Vec::with_capacity(found.records.len());
        for (position, record) in found.records {
            // A decision without a function is about a schedule.
            if record.project == project && !record.function.is_empty() {
                let followed = self.followed(position, &record).await?;
                all.push(Decided { record, followed });
            }
        }
        Ok(Decisions { all, cut: found.cut })
    }

    async fn followed(
        &self,
        decided: Position,
        record: &DeliveryRecord,
    ) -> Result<Option<EventRecord>, Error> {
        // The record right before the decision.
        let Some(after) = decided.sequence.checked_sub(2) else { return Ok(None) };
        let after = Position { sequence: after, ..decided };
        let before = match self.parts.log.read_from(after, 1).await {
            Ok(entries) => entries.into_iter().next(),
            Err(nexus_log::Error::Retained { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(before.and_then(|entry| match entry.record {
            Record::Event(event) if follows(&event, record) => Some(event),
            _ => None,
        }))
    }

    /// The attempts to deliver an event to one function by one trigger, the first one first.
    pub(crate) async fn attempts_to(
        &self,
        key: &DeliveryKey,
    ) -> Result<Vec<InvocationRecord>, Error> {
        let mut attempts = self.attempts_at(&key.project, key.event).await?;
        attempts.retain(|at| *at.function == *key.function && *at.trigger_name == *key.trigger);
        Ok(attempts)
    }

    /// The attempts to deliver an event, alone or in batches, the first one first.
    pub(crate) async fn attempts_at(
        &self,
        project: &str,
        event: EventId,
    ) -> Result<Vec<InvocationRecord>, Error> {
        let filter = InvocationFilter {
            project: Some(project.to_owned()),
            event: Some(event),
            // Attempts come after their event: what lies before need not be looked through.
            range: TimeRange { since: Some(before(event.time())), until: None },
            ..InvocationFilter::default()
        };
        let found = self.parts.log.invocation_records(&filter, None, limits::PAGE_ITEMS_MAX);
        let records = found.await?.items.into_iter().rev().map(|(_, record)| record);
        Ok(records.filter(InvocationRecord::was_tried).collect())
    }
}

/// A moment before which no attempt began, although the clock may have been set since.
fn before(at: Timestamp) -> Timestamp {
    let slack = i64::try_from(CLOCK_SLACK.as_nanos()).unwrap_or(i64::MAX);
    Timestamp::from_unix_ns(at.unix_ns().saturating_sub(slack))
}

/// Whether an event was made by a decision.
fn follows(event: &EventRecord, decided: &DeliveryRecord) -> bool {
    let follows = match decided.decision() {
        DeliveryDecision::FellBack | DeliveryDecision::Dead | DeliveryDecision::Reported => true,
        DeliveryDecision::Redriven => event.id == decided.replaced_by,
        _ => false,
    };
    follows && event.meta.cause_event == decided.event
}

/// Who decided.
pub(crate) fn who(principal: &str) -> &str {
    match principal == Principal::system().to_string() {
        true => "the server",
        false => principal,
    }
}

impl Decided {
    /// When it was decided.
    pub(crate) fn at(&self) -> Timestamp {
        Timestamp::from_unix_ns(self.record.at_ns)
    }

    /// What it is about.
    pub(crate) fn event(&self) -> Option<EventId> {
        EventId::try_from(&self.record.event[..]).ok()
    }

    /// How the delivery stands since then, in one word.
    pub(crate) fn state(&self) -> &'static str {
        match self.record.decision() {
            DeliveryDecision::Cancelled => "cancelled",
            DeliveryDecision::FellBack => "fell-back",
            DeliveryDecision::Dead => "dead",
            DeliveryDecision::Dropped => "dropped",
            DeliveryDecision::Redriven if !self.record.replaced_by.is_empty() => "replaced",
            DeliveryDecision::Redriven => "redriven",
            DeliveryDecision::Duplicate => "duplicate",
            DeliveryDecision::Reported => "succeeded",
            DeliveryDecision::Unknown => "decided",
        }
    }

    /// What was decided, by whom and why.
    pub(crate) fn told(&self) -> String {
        format!("{}{}", self.told_without_reason(), because(&self.record.reason))
    }

    /// The same without the reason, where that was said already.
    pub(crate) fn told_without_reason(&self) -> String {
        let (at, who) = (self.at(), who(&self.record.principal));
        match self.record.decision() {
            DeliveryDecision::Cancelled => format!("it was cancelled by {who} at {at}"),
            DeliveryDecision::FellBack => match self.target() {
                Some(target) => format!("it went to the fallback function '{target}' at {at}"),
                None => format!("it went to its fallback function at {at}"),
            },
            DeliveryDecision::Dead => format!("it was given up at {at}"),
            DeliveryDecision::Dropped => {
                format!("it was dropped from the dead letters by {who} at {at}")
            }
            DeliveryDecision::Redriven => match EventId::try_from(&self.record.replaced_by[..]) {
                Ok(event) => {
                    format!("it was replaced by {event}, with other data, by {who} at {at}")
                }
                Err(_) => format!("it was redriven from the dead letters by {who} at {at}"),
            },
            DeliveryDecision::Duplicate => "it counts as handled".to_owned(),
            DeliveryDecision::Reported => match self.target() {
                Some(target) => format!("its outcome went to the function '{target}' at {at}"),
                None => format!("its outcome was sent at {at}"),
            },
            DeliveryDecision::Unknown => format!("a newer version of Nexus decided at {at}"),
        }
    }

    /// The function that gets what follows.
    pub(crate) fn target(&self) -> Option<&str> {
        let target = self.followed.as_ref().map(|event| event.target.as_str());
        target.filter(|target| !target.is_empty())
    }

    /// The event that follows.
    pub(crate) fn follower(&self) -> Option<EventId> {
        let replaced = EventId::try_from(&self.record.replaced_by[..]).ok();
        replaced.or_else(|| self.followed.as_ref()?.event_id())
    }

    /// Whether it ends what the attempts up to `last` came to: an attempt that somebody wanted to
    /// stop may succeed all the same.
    pub(crate) fn cancels(&self, last: Option<&InvocationRecord>) -> bool {
        let succeeded = last.is_some_and(|last| {
            last.status() == Status::Succeeded && last.ended_ns >= self.record.at_ns
        });
        self.record.decision() == DeliveryDecision::Cancelled && !succeeded
    }

    /// What whoever waits for the result of the call is told.
    pub(crate) fn error(&self, id: InvocationId) -> Error {
        let code = match self.record.decision() {
            DeliveryDecision::Cancelled => Code::Cancelled,
            DeliveryDecision::Duplicate => Code::Conflict,
            _ => Code::parse(&self.record.code).unwrap_or(Code::GuestFailed),
        };
        Error::new(code, self.told())
            .with_hint(format!("see what became of it: nexus why {id}"))
            .with_invocation(id)
    }
}
