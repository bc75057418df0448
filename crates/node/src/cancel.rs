//! Stopping what was accepted and has not ended: an invocation, or everything that an event led to.

use nexus_engine::{Cancellation, DeliveryFilter, DeliveryKey, DeliveryState};
use nexus_model::record::InvocationRecord;
use nexus_model::{Code, EventId, InvocationId, Name, OpContext, Scope};

use crate::schedules::Fate;
use crate::{Error, Node};

/// Deliveries of one event that are cancelled at once.
const DELIVERIES_MAX: usize = 10_000;

impl Node {
    /// Stops an invocation that has not ended: one that waits or sleeps is gone, one that runs is
    /// being stopped. The last attempt of a delivery stands for the next one, which has no id yet.
    ///
    /// # Errors
    /// It has ended or does not exist; the caller may not call functions there.
    pub async fn cancel_invocation(
        &self,
        ctx: &OpContext,
        (project, id): (&Name, InvocationId),
        reason: &str,
    ) -> Result<(), Error> {
        nexus_policy::authorize(ctx, Scope::Invoke, Some(project))?;
        let ended = || {
            Error::new(Code::Conflict, format!("invocation {id} has ended"))
                .with_hint(format!("see how: nexus why {id}"))
        };
        let who = (ctx.principal.to_string(), reason.to_owned());
        if self.ongoing.cancel((project, id), (&who.0, reason)) {
            return Ok(());
        }
        let event = EventId::from_bytes(*id.as_bytes());
        if self.begins_at(project, id).await?.is_some()
            && self.engine()?.cancel_schedule((project.as_str(), event), who.clone()).await?
        {
            return Ok(());
        }
        let key = match self.key_of(project, id).await? {
            Some(key) => key,
            None => self.waits_after(ctx, (project, id)).await?.ok_or_else(ended)?,
        };
        match self.engine()?.cancel(key, who).await? {
            Cancellation::Done => Ok(()),
            Cancellation::TooLate | Cancellation::NotFound => Err(ended()),
        }
    }

    /// The delivery that waits for its next attempt after this one.
    async fn waits_after(
        &self,
        ctx: &OpContext,
        (project, id): (&Name, InvocationId),
    ) -> Result<Option<DeliveryKey>, Error> {
        let event = EventId::from_bytes(*id.as_bytes());
        let schedule = self.parts.log.schedule(event).await?;
        if schedule.is_some_and(|schedule| schedule.meta.project == project.as_str()) {
            // It was taken back before it began.
            return Ok(None);
        }
        let record = self.invocation_record(ctx, Scope::Invoke, id).await?;
        if record.meta.project != project.as_str() {
            return Err(Error::not_found(format_args!("invocation {id} in project '{project}'")));
        }
        let Some(key) = key_of_attempt(&record) else { return Ok(None) };
        let waits = match self.engine()?.why(key.clone()).await? {
            Some(why) => {
                matches!(why.state, DeliveryState::Waiting { .. } | DeliveryState::Ready { .. })
            }
            None => false,
        };
        let last = self.attempts_to(&key).await?.pop();
        let is_last = last.is_some_and(|last| last.id == record.id);
        Ok(Some(key).filter(|_| waits && is_last))
    }

    /// Stops every delivery of an event that has not ended, or takes an event back that has not
    /// happened. Returns how many were stopped.
    ///
    /// # Errors
    /// All have ended; it does not exist; the caller may not call functions there.
    pub async fn cancel_event(
        &self,
        ctx: &OpContext,
        (project, id): (&Name, EventId),
        reason: &str,
    ) -> Result<u64, Error> {
        nexus_policy::authorize(ctx, Scope::Invoke, Some(project))?;
        let who = (ctx.principal.to_string(), reason.to_owned());
        let engine = self.engine()?;
        if engine.scheduled(project.as_str(), id).await?.is_some() {
            nexus_policy::authorize(ctx, Scope::Emit, Some(project))?;
            if engine.cancel_schedule((project.as_str(), id), who.clone()).await? {
                return Ok(1);
            }
        }
        let ended = || {
            Error::new(Code::Conflict, format!("every delivery of event {id} has ended"))
                .with_hint(format!("see how: nexus why {id}"))
        };
        let own = |found: &str| found == project.as_str();
        let found = match self.parts.log.event(id).await? {
            Some(event) => Some(event),
            None => match self.fate_of(id).await? {
                Some((_, Fate::Happened(event))) => Some(*event),
                Some((schedule, Fate::TakenBack(_))) if own(&schedule.meta.project) => {
                    return Err(ended());
                }
                _ => None,
            },
        };
        let found = found.filter(|event| own(&event.meta.project));
        let missing = || self.missing(format_args!("event {id} in project '{project}'"), id.time());
        let event = found.and_then(|event| event.event_id()).ok_or_else(missing)?;
        let filter = DeliveryFilter {
            project: Some(project.to_string()),
            event: Some(event),
            ..DeliveryFilter::default()
        };
        let mut stopped = 0;
        for delivery in engine.deliveries(filter, None, DELIVERIES_MAX).await? {
            let cancelled = engine.cancel(delivery.key, who.clone()).await?;
            stopped += u64::from(cancelled == Cancellation::Done);
        }
        match stopped {
            0 => Err(ended()),
            stopped => Ok(stopped),
        }
    }
}

/// The delivery that an attempt belongs to. A batch is an attempt of several: none of them is meant.
fn key_of_attempt(record: &InvocationRecord) -> Option<DeliveryKey> {
    let event = EventId::try_from(&record.meta.cause_event[..]).ok()?;
    record.batch.is_empty().then(|| DeliveryKey {
        event,
        project: record.meta.project.as_str().into(),
        function: record.function.as_str().into(),
        trigger: record.trigger_name.as_str().into(),
    })
}
