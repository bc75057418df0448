//! Events that happen later.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use nexus_model::record::{DeliveryDecision, DeliveryRecord, Record, ScheduleRecord};
use nexus_model::{EventId, Timestamp, limits};
use tokio::sync::oneshot;

use super::accept::Candidate;
use super::{Accepted, Engine};
use crate::Error;
use crate::dedup::DedupKey;
use crate::snapshot::ScheduledEvent;

/// Schedules that are carried forward at once.
const CARRY_MAX: usize = 1_000;

impl Engine {
    /// Schedules events, all or none: durable when it returns. The ids in the records must be
    /// fresh; a duplicate (same source and id as an event or a schedule) gets the first one's id.
    ///
    /// # Errors
    /// Too many are scheduled, or one too far ahead; the log refuses.
    pub async fn schedule(&self, schedules: Vec<ScheduleRecord>) -> Result<Vec<Accepted>, Error> {
        let scheduled = self.inner.shared.schedules.load(Ordering::Relaxed);
        if scheduled + schedules.len() > limits::SCHEDULES_MAX {
            return Err(Error::SchedulesFull { scheduled, limit: limits::SCHEDULES_MAX });
        }
        let latest = self.inner.clock.now().after(limits::SCHEDULE_AHEAD_MAX);
        let mut candidates = Vec::with_capacity(schedules.len());
        for record in schedules {
            let due = Timestamp::from_unix_ns(record.due_ns);
            if due > latest {
                return Err(Error::TooFarAhead { due, limit: limits::SCHEDULE_AHEAD_MAX });
            }
            let Ok(id) = EventId::try_from(&record.id[..]) else { continue };
            let (key, at) =
                (DedupKey::of_schedule(&record), Timestamp::from_unix_ns(record.received_ns));
            candidates.push(Candidate { key, id, at, record: Record::Schedule(record) });
        }
        self.accept_all(candidates).await
    }

    /// When a schedule of a project is due; `None` when its event has happened or there is none.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn scheduled(&self, project: &str, id: EventId) -> Result<Option<Timestamp>, Error> {
        self.settled().await?;
        let project = project.to_owned();
        self.ask(move |driver| driver.scheduled(&project, id)).await
    }

    /// Cancels a schedule of a project; `false` when its event has happened or there is none.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn cancel_schedule(
        &self,
        (project, id): (&str, EventId),
        (principal, reason): (String, String),
    ) -> Result<bool, Error> {
        self.settled().await?;
        let record = DeliveryRecord {
            id: Bytes::copy_from_slice(self.inner.fresh_id(project).as_bytes()),
            project: project.to_owned(),
            event: Bytes::copy_from_slice(id.as_bytes()),
            decision: DeliveryDecision::Cancelled.into(),
            reason,
            principal,
            at_ns: self.inner.clock.now().unix_ns(),
            ..DeliveryRecord::default()
        };
        let (reply, answer) = oneshot::channel();
        let project = project.to_owned();
        self.ask(move |driver| driver.cancel_schedule((&project, id), record, reply)).await?;
        answer.await.map_err(|_| Error::Stopped)
    }

    /// Events that have not happened, of a project (`None`: of all), by due time, after `after`.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn schedules(
        &self,
        project: Option<&str>,
        after: Option<(Timestamp, EventId)>,
        limit: usize,
    ) -> Result<Vec<ScheduledEvent>, Error> {
        let project = project.map(str::to_owned);
        self.look(move |state| state.schedules(project.as_deref(), (after, limit))).await
    }

    /// Moves the schedules whose records stand before `before` to the end of the log, so that
    /// [`floor`](Self::floor) can pass them. Returns how many were moved.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn carry_forward(&self, before: u64) -> Result<usize, Error> {
        let old = self.look(move |state| state.schedules_before(before)).await?;
        let count = old.len();
        for part in old.chunks(CARRY_MAX) {
            let part = part.to_vec();
            self.ask(move |driver| driver.carry(part)).await?;
            // One part after the other: the driver has other things to do as well.
            self.settled().await?;
        }
        Ok(count)
    }
}
