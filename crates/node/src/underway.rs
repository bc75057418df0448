//! What has not ended: attempts that run or sleep, and asynchronous calls that wait for their first
//! one, as the engine knows them, and calls whose callers wait. The log has only what ended.

use std::collections::HashSet;

use nexus_engine::{DeliveryFilter, DeliveryState, INVOKE_TYPE, PendingDelivery, Stands};
use nexus_model::record::{InvocationRecord, Level, Status, Trigger, input};
use nexus_model::view::InvocationRow;
use nexus_model::{InvocationFilter, InvocationId, Timestamp};

use crate::ongoing::elapsed_ns;
use crate::record::bytes_of;
use crate::unbegun::{Accepted, Outcome};
use crate::{Error, Node};

impl Node {
    /// What has not ended and was asked for. Without a word about the status only asynchronous calls
    /// that wait.
    pub(crate) async fn unfinished(
        &self,
        filter: &InvocationFilter,
        limit: usize,
    ) -> Result<Vec<InvocationRow>, Error> {
        let now = self.parts.clock.now();
        let mut rows = match filter.statuses.contains(&Status::Running) {
            true => self.ongoing.rows(filter, (limit, now)),
            false => Vec::new(),
        };
        let event = filter.triggers.is_empty() || filter.triggers.contains(&Trigger::Event);
        let other = filter.version.is_some()
            || filter.duration_ns_min.is_some()
            || filter.cold == Some(true)
            || filter.trace.is_some()
            || !event;
        if other {
            return Ok(rows);
        }
        for (status, stands) in [
            (Status::Queued, Stands::Queued),
            (Status::Running, Stands::Running),
            (Status::Suspended, Stands::Suspended),
        ] {
            let by_itself = filter.statuses.is_empty() && status == Status::Queued;
            if !by_itself && !filter.statuses.contains(&status) {
                continue;
            }
            let wanted = DeliveryFilter {
                project: filter.project.clone(),
                function: filter.function.clone(),
                event: filter.event,
                stands,
                ..DeliveryFilter::default()
            };
            let found = self.engine()?.deliveries(wanted, None, limit).await?;
            let found = found.into_iter().filter(|at| filter.range.contains(at.since));
            rows.extend(found.filter_map(|at| row(at, now)));
        }
        // An attempt for a batch stands for several deliveries.
        let mut seen = HashSet::new();
        rows.retain(|row| seen.insert(row.id));
        Ok(rows)
    }

    /// What is known of an attempt that runs or sleeps.
    pub(crate) async fn underway(
        &self,
        id: InvocationId,
    ) -> Result<Option<InvocationRecord>, Error> {
        let now = self.parts.clock.now();
        if let Some(record) = self.ongoing.record(id, now) {
            return Ok(Some(record));
        }
        let wanted = DeliveryFilter { stands: Stands::In(id), ..DeliveryFilter::default() };
        let mut found = self.engine()?.deliveries(wanted, None, 1).await?;
        let Some(pending) = found.pop() else { return Ok(None) };
        let Some((_, status, attempt)) = stage(&pending) else { return Ok(None) };
        let Some(event) = self.parts.log.event(pending.key.event).await? else { return Ok(None) };
        let accepted = Accepted {
            meta: &event.meta,
            function: &pending.key.function,
            at_ns: event.received_ns,
            input: input::Form::EventRef(event.id.clone()),
        };
        let at_ns = now.unix_ns();
        let mut record = accepted.record(id, Outcome { status, failure: None, at_ns });
        record.attempt = attempt;
        record.trigger_name = pending.key.trigger.to_string();
        record.meta.cause_event = bytes_of(pending.key.event.as_bytes());
        Ok(Some(record))
    }
}

/// The invocation that a delivery is, if it is one already, with how far it is and which attempt.
fn stage(at: &PendingDelivery) -> Option<(InvocationId, Status, u32)> {
    match at.state {
        // The first attempt will have the id of the event; later ones have none yet.
        DeliveryState::Ready { attempt: attempt @ 1 }
        | DeliveryState::Waiting { attempt: attempt @ 1, .. }
            if *at.ty == *INVOKE_TYPE =>
        {
            Some((InvocationId::from_bytes(*at.key.event.as_bytes()), Status::Queued, attempt))
        }
        DeliveryState::Running { attempt, invocation, .. } => {
            Some((invocation, Status::Running, attempt))
        }
        DeliveryState::Suspended { attempt, invocation, .. } => {
            Some((invocation, Status::Suspended, attempt))
        }
        _ => None,
    }
}

fn row(at: PendingDelivery, now: Timestamp) -> Option<InvocationRow> {
    let (id, status, attempt) = stage(&at)?;
    Some(InvocationRow {
        id,
        project: at.key.project.to_string(),
        function: at.key.function.to_string(),
        version: None,
        trigger: Trigger::Event,
        status,
        http_status: None,
        attempt,
        accepted: at.since,
        duration_ns: elapsed_ns(at.since, now),
        cold: false,
        level: Level::None,
        trace_id: String::new(),
    })
}
