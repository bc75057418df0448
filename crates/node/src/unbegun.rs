//! Calls that have not begun: they wait for their first turn, or never got one. Their callers have the
//! id all the same, so what is known of them is shown in the form of a record. Of those that never got
//! one the log has a record, but older builds made none.

use nexus_engine::{DeliveryKey, INVOKE_TYPE};
use nexus_model::record::{
    DeliveryDecision, Failure, Input, InvocationRecord, Level, Meta, Status, Trigger, input,
};
use nexus_model::{Code, EventId, InvocationId, Name, OpContext, Scope};

use crate::history::may_know;
use crate::record::bytes_of;
use crate::schedules::{Fate, taken_back};
use crate::{Error, Node};

/// What a call says from its beginning on.
pub(crate) struct Accepted<'a> {
    pub(crate) meta: &'a Meta,
    pub(crate) function: &'a str,
    pub(crate) at_ns: i64,
    pub(crate) input: input::Form,
}

/// What became of it so far.
pub(crate) struct Outcome {
    pub(crate) status: Status,
    pub(crate) failure: Option<(Code, String)>,
    /// Now for one that waits.
    pub(crate) at_ns: i64,
}

impl Node {
    /// A record that the caller may see with `scope`, or what is known of a call that has none.
    pub(crate) async fn record_or_unbegun(
        &self,
        ctx: &OpContext,
        scope: Scope,
        id: InvocationId,
    ) -> Result<InvocationRecord, Error> {
        let found = match self.invocation_record(ctx, scope, id).await {
            // Why it never began stands in the decision about it.
            Ok(record) if record.was_tried() => return Ok(record),
            Err(error) if !matches!(error.code(), Code::NotFound | Code::Gone) => {
                return Err(error);
            }
            found => found,
        };
        let mut unbegun = self.engine()?.begun(id).await?;
        if unbegun.is_none() {
            unbegun = self.unbegun(id).await?;
        }
        if unbegun.is_none() {
            unbegun = self.underway(id).await?;
        }
        let known = |at: &InvocationRecord| may_know(ctx, &at.meta.project).is_some();
        let Some(record) = unbegun.filter(known) else { return found };
        let project = Name::new(&record.meta.project).ok();
        nexus_policy::authorize(ctx, scope, project.as_ref())?;
        Ok(record)
    }

    pub(crate) async fn unbegun(
        &self,
        id: InvocationId,
    ) -> Result<Option<InvocationRecord>, Error> {
        let event = EventId::from_bytes(*id.as_bytes());
        let Some(record) = self.parts.log.event(event).await? else {
            return self.unbegun_later(id).await;
        };
        if record.event.ty != INVOKE_TYPE || record.target.is_empty() {
            return Ok(None);
        }
        let key = DeliveryKey {
            event,
            project: record.meta.project.as_str().into(),
            function: record.target.as_str().into(),
            trigger: record.trigger.as_str().into(),
        };
        let accepted = Accepted {
            meta: &record.meta,
            function: &record.target,
            at_ns: record.received_ns,
            input: input::Form::EventRef(record.id.clone()),
        };
        if let Some(pending) = self.pending_view(&key, id).await? {
            let at_ns = self.parts.clock.now().unix_ns();
            let outcome = Outcome { status: pending.status, failure: None, at_ns };
            return Ok((pending.invocation == id).then(|| accepted.record(id, outcome)));
        }
        let decisions = self.decisions(&key.project, event).await?;
        let decided = decisions.of((&key.function, &key.trigger)).next_back();
        Ok(decided.map(|decided| {
            let status = match decided.record.decision() {
                DeliveryDecision::Cancelled => Status::Cancelled,
                _ => Status::Rejected,
            };
            let failure = Some((decided.error(id).code(), decided.told()));
            accepted.record(id, Outcome { status, failure, at_ns: decided.record.at_ns })
        }))
    }

    /// The same for a call that was to begin later.
    async fn unbegun_later(&self, id: InvocationId) -> Result<Option<InvocationRecord>, Error> {
        let event = EventId::from_bytes(*id.as_bytes());
        let Some((schedule, fate)) = self.fate_of(event).await? else { return Ok(None) };
        let accepted = Accepted {
            meta: &schedule.meta,
            function: &schedule.target,
            at_ns: schedule.received_ns,
            input: input::Form::Event(schedule.event.clone()),
        };
        let outcome = match fate {
            _ if schedule.event.ty != INVOKE_TYPE => return Ok(None),
            Fate::TakenBack(record) => Outcome {
                status: Status::Cancelled,
                failure: Some((Code::Cancelled, taken_back(&record))),
                at_ns: record.at_ns,
            },
            Fate::Happened(_) | Fate::Unknown => {
                let engine = self.engine()?;
                let waits = engine.scheduled(&schedule.meta.project, event).await?.is_some();
                if !waits {
                    return Ok(None);
                }
                let at_ns = self.parts.clock.now().unix_ns();
                Outcome { status: Status::Queued, failure: None, at_ns }
            }
        };
        Ok(Some(accepted.record(id, outcome)))
    }
}

impl Accepted<'_> {
    pub(crate) fn record(&self, id: InvocationId, outcome: Outcome) -> InvocationRecord {
        let Outcome { status, failure, at_ns } = outcome;
        let (is_over, reason) = match status {
            Status::Queued => (false, "it has not begun"),
            Status::Running | Status::Suspended => (false, "it has not ended"),
            _ => (true, "it never began"),
        };
        let mut record = InvocationRecord {
            id: bytes_of(id.as_bytes()),
            meta: self.meta.clone(),
            function: self.function.to_owned(),
            attempt: u32::from(!is_over),
            accepted_ns: self.at_ns,
            ended_ns: at_ns,
            input: Some(Input { form: Some(self.input.clone()) }),
            failure: failure.map(|(code, message)| Failure {
                code: code.as_str().to_owned(),
                message,
                ..Failure::default()
            }),
            not_replayable: reason.to_owned(),
            ..InvocationRecord::default()
        };
        let waited_ns = u64::try_from(at_ns.saturating_sub(self.at_ns)).unwrap_or(0);
        record.timings.total_ns = waited_ns;
        if !matches!(status, Status::Running | Status::Suspended) {
            record.timings.queue_ns = waited_ns;
        }
        record.set_trigger(Trigger::Event);
        record.set_status(status);
        record.set_level(Level::None);
        record
    }
}
