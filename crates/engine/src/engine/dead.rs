//! Dead letters: looking at them, trying them again, dropping them.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use nexus_model::record::{DeliveryDecision, DeliveryRecord, EventRecord, Record};
use nexus_model::{EventId, limits};

use super::Engine;
use crate::Error;
use crate::outgoing::CHAIN_EXTENSION;
use crate::shard::DeliveryKey;
use crate::snapshot::{DeadCount, DeadFilter, DeadLetter};

/// Decisions that are appended together.
const TOGETHER_MAX: usize = 500;

/// How dead letters are tried again.
#[derive(Clone, PartialEq, Debug)]
pub struct Redrive {
    /// Who wants it, as printed by [`Principal`](nexus_model::Principal).
    pub principal: String,
    /// Why, for people.
    pub reason: String,
    /// How many may begin per second; `None` for as many as the limits allow.
    pub rate: Option<NonZeroU32>,
}

impl Engine {
    /// Dead letters by event, at most `limit`, after `after`.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn dead_letters(
        &self,
        filter: DeadFilter,
        after: Option<DeliveryKey>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, Error> {
        self.look(move |state| state.dead_letters(&filter, (after.as_ref(), limit))).await
    }

    /// How many dead letters there are, by function, trigger and code.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn dead_counts(&self, filter: DeadFilter) -> Result<Vec<DeadCount>, Error> {
        self.look(move |state| state.dead_counts(&filter)).await
    }

    /// Tries dead letters again from their first attempt, in the order of their events, at most
    /// `DEAD_LETTERS_BULK_MAX`. Returns how many. Where it fails half-way, the rest stays dead.
    ///
    /// # Errors
    /// The log refuses.
    pub async fn redrive(&self, filter: DeadFilter, how: Redrive) -> Result<usize, Error> {
        let begin = self.inner.clock.now();
        let rate = how.rate.map_or(0, NonZeroU32::get);
        let mut index: u64 = 0;
        self.decide(filter, move |mut record| {
            record.set_decision(DeliveryDecision::Redriven);
            record.principal.clone_from(&how.principal);
            record.reason.clone_from(&how.reason);
            if rate > 0 {
                let after = Duration::from_nanos(index * 1_000_000_000 / u64::from(rate));
                record.due_ns = begin.after(after).unix_ns();
            }
            index += 1;
            record
        })
        .await
    }

    /// Replaces a dead letter's event by another one for the same function: both or none. The ids
    /// in the record must be fresh.
    ///
    /// # Errors
    /// It is not dead; the log refuses.
    pub async fn redrive_edited(
        &self,
        key: DeliveryKey,
        event: EventRecord,
        how: Redrive,
    ) -> Result<EventId, Error> {
        let not_dead = || Error::NotDead {
            event: key.event,
            function: key.function.to_string(),
            trigger: key.trigger.to_string(),
        };
        let filter = DeadFilter { event: Some(key.event), ..DeadFilter::default() };
        let found = self.dead_letters(filter, None, usize::MAX).await?;
        let dead = found.into_iter().find(|at| at.key == key).ok_or_else(not_dead)?;
        let replaced_by = event.id.clone();
        let id = event.event_id().ok_or_else(not_dead)?;
        let mut record = self.decision_about(&dead);
        record.set_decision(DeliveryDecision::Redriven);
        record.principal = how.principal;
        record.reason = how.reason;
        record.replaced_by = replaced_by;
        let mut event = EventRecord {
            target: key.function.to_string(),
            trigger: key.trigger.to_string(),
            replaces: Bytes::copy_from_slice(key.event.as_bytes()),
            ..event
        };
        // Somebody has looked at it: it is a beginning, even where the one that it replaces was dead
        // because too much led to it.
        event.event.extensions.retain(|at| at.name != CHAIN_EXTENSION);
        let records = vec![Record::Event(event), Record::Delivery(record)];
        self.inner.log.append(records).await.map_err(Error::Append)?;
        self.settled().await?;
        Ok(id)
    }

    /// Takes dead letters out for good, at most `DEAD_LETTERS_BULK_MAX`. Returns how many.
    ///
    /// # Errors
    /// The log refuses.
    pub async fn drop_dead(
        &self,
        filter: DeadFilter,
        (principal, reason): (String, String),
    ) -> Result<usize, Error> {
        self.decide(filter, move |mut record| {
            record.set_decision(DeliveryDecision::Dropped);
            record.principal.clone_from(&principal);
            record.reason.clone_from(&reason);
            record
        })
        .await
    }

    async fn decide(
        &self,
        filter: DeadFilter,
        mut decide: impl FnMut(DeliveryRecord) -> DeliveryRecord,
    ) -> Result<usize, Error> {
        let found = self.dead_letters(filter, None, limits::DEAD_LETTERS_BULK_MAX).await?;
        for part in found.chunks(TOGETHER_MAX) {
            let records =
                part.iter().map(|dead| Record::Delivery(decide(self.decision_about(dead))));
            self.inner.log.append(records.collect()).await.map_err(Error::Append)?;
        }
        self.settled().await?;
        Ok(found.len())
    }

    fn decision_about(&self, dead: &DeadLetter) -> DeliveryRecord {
        let key = &dead.key;
        DeliveryRecord {
            id: Bytes::copy_from_slice(self.inner.fresh_id(&key.project).as_bytes()),
            project: key.project.to_string(),
            event: Bytes::copy_from_slice(key.event.as_bytes()),
            function: key.function.to_string(),
            trigger: key.trigger.to_string(),
            attempts: dead.attempts,
            at_ns: self.inner.clock.now().unix_ns(),
            ..DeliveryRecord::default()
        }
    }
}
