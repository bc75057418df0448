//! Events that happen later: `nexus emit --at`, `--in`; and what became of them.

use nexus_model::record::{DeliveryRecord, EventRecord, Record, ScheduleRecord};
use nexus_model::view::{Accepted, AcceptedEvent, ScheduleView};
use nexus_model::{Code, Event, EventId, Name, OpContext, Scope, Timestamp};

use crate::decisions::{ROWS_MAX, who};
use crate::emit::Cause;
use crate::history::{page_size, payloads, reach};
use crate::views::Payloads;
use crate::words::{NO_REASON, because};
use crate::{Error, Node};

/// What became of a schedule, as far as the log knows.
pub(crate) enum Fate {
    /// Somebody took it back.
    TakenBack(Box<DeliveryRecord>),
    /// It is an event now.
    Happened(Box<EventRecord>),
    /// It waits still, or retention has removed its event: the engine knows which.
    Unknown,
}

/// Who took a schedule back, when and why.
pub(crate) fn taken_back(record: &DeliveryRecord) -> String {
    let at = Timestamp::from_unix_ns(record.at_ns);
    let who = who(&record.principal);
    format!("it was taken back by {who} at {at}{}", because(&record.reason))
}

impl Node {
    /// Accepts events that happen at `due`: durable when it returns, all or none. Until then they
    /// can be cancelled. What is due already happens at once.
    ///
    /// # Errors
    /// As for [`emit`](Self::emit); the time is too far ahead; too many are scheduled.
    pub async fn schedule(
        &self,
        ctx: &OpContext,
        project: &Name,
        (events, due): (Vec<Event>, Timestamp),
    ) -> Result<Accepted, Error> {
        nexus_policy::authorize(ctx, Scope::Emit, Some(project))?;
        self.require_project(project)?;
        if self.is_draining() {
            return Err(Error::new(Code::ShuttingDown, "the server is shutting down"));
        }
        crate::emit::check(&events)?;
        let warnings = self.check_schemas(project, &events)?;
        let now_ns = self.parts.clock.now().unix_ns();
        let records = events.into_iter().map(|event| {
            let record =
                self.event_record((ctx, project.as_str()), event.into(), Cause::default(), now_ns);
            ScheduleRecord {
                id: record.id,
                meta: record.meta,
                received_ns: now_ns,
                due_ns: due.unix_ns(),
                event: record.event,
                target: String::new(),
                cron: String::new(),
                chain: 0,
            }
        });
        let engine = self.engine()?;
        let accepted = engine.schedule(records.collect()).await?;
        // Who scheduled it can list it and take it back.
        engine.settled().await?;
        let mut warnings = warnings.into_iter();
        let view = |at: nexus_engine::Accepted| AcceptedEvent {
            id: at.id,
            duplicate: at.duplicate,
            warning: warnings.next().flatten(),
        };
        Ok(Accepted { events: accepted.into_iter().map(view).collect() })
    }

    /// Events that have not happened, by due time.
    ///
    /// # Errors
    /// The caller may not read there; the log cannot be read.
    pub async fn schedules(
        &self,
        ctx: &OpContext,
        project: Option<&Name>,
        limit: usize,
    ) -> Result<Vec<ScheduleView>, Error> {
        let mut project = project.map(Name::to_string);
        reach(ctx, &mut project)?;
        let payloads = payloads(ctx, project.as_deref());
        let found = self.engine()?.schedules(project.as_deref(), None, page_size(limit)).await?;
        let mut views = Vec::with_capacity(found.len());
        for at in found {
            let Some(record) = self.schedule_record(at.sequence).await? else { continue };
            let mut event = record.event.to_event();
            if payloads == Payloads::Hidden {
                event.data = None;
            }
            views.push(ScheduleView {
                id: at.id,
                project: record.meta.project,
                due: at.due,
                principal: record.meta.principal,
                received: Timestamp::from_unix_ns(record.received_ns),
                target: record.target,
                event,
            });
        }
        Ok(views)
    }

    async fn schedule_record(&self, sequence: u64) -> Result<Option<ScheduleRecord>, Error> {
        let shard = self.parts.log.durable().shard;
        let before = nexus_log::Position { shard, sequence: sequence.saturating_sub(1) };
        let read = self.parts.log.read_from(before, 1).await?;
        Ok(read.into_iter().find(|entry| entry.position.sequence == sequence).and_then(|entry| {
            match entry.record {
                Record::Schedule(record) => Some(record),
                _ => None,
            }
        }))
    }

    /// Takes back an event that has not happened.
    ///
    /// # Errors
    /// It has happened or does not exist; the caller may not emit there.
    pub async fn cancel_schedule(
        &self,
        ctx: &OpContext,
        project: &Name,
        id: EventId,
    ) -> Result<(), Error> {
        nexus_policy::authorize(ctx, Scope::Emit, Some(project))?;
        let who = (ctx.principal.to_string(), NO_REASON.to_owned());
        match self.engine()?.cancel_schedule((project.as_str(), id), who).await? {
            true => Ok(()),
            false => Err(self
                .missing(format_args!("schedule {id} in project '{project}'"), id.time())
                .with_hint(format!("it may have happened already: nexus why {id}"))),
        }
    }

    /// What became of a schedule; `None` when there was none.
    pub(crate) async fn fate_of(
        &self,
        id: EventId,
    ) -> Result<Option<(ScheduleRecord, Fate)>, Error> {
        let log = &self.parts.log;
        let Some(schedule) = log.schedule(id).await? else { return Ok(None) };
        let mut decided = log.decisions(id, ROWS_MAX).await?.records.into_iter();
        let about_it = |record: &DeliveryRecord| record.function.is_empty();
        if let Some((_, record)) = decided.find(|(_, record)| about_it(record)) {
            return Ok(Some((schedule, Fate::TakenBack(Box::new(record)))));
        }
        // That of a call keeps the id.
        let event = match log.event(id).await? {
            Some(event) => Some(event),
            None => log.happened(&schedule, ROWS_MAX).await?,
        };
        let fate = event.map_or(Fate::Unknown, |event| Fate::Happened(Box::new(event)));
        Ok(Some((schedule, fate)))
    }
}
