//! Dead letters: list, count, show with their history, redrive, drop.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use nexus_engine::{DeadFilter, Redrive};
use nexus_model::record::{EventRecord, StoredEvent};
use nexus_model::view::{
    AttemptView, BulkView, DeadLetterCount, DeadLetterDetail, DeadLetterView, InvocationRow,
};
use nexus_model::{
    Code, Event, EventId, InvocationFilter, Name, OpContext, Partition, Scope, Timestamp, limits,
};

use crate::history::{page_size, payloads, reach};
use crate::record::bytes_of;
use crate::{Error, Node};

/// Which dead letters. Everything that is stated must hold.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct DeadLetterFilter {
    /// The project; `None` for all that the caller reaches.
    pub project: Option<Name>,
    /// The function.
    pub function: Option<String>,
    /// The trigger; empty for the function's own.
    pub trigger: Option<String>,
    /// The event.
    pub event: Option<EventId>,
    /// The stable code of the reason.
    pub code: Option<String>,
    /// The event's type; a trailing `*` matches any ending.
    pub ty: Option<String>,
    /// Given up at this time or later.
    pub since: Option<Timestamp>,
    /// Given up before this time.
    pub until: Option<Timestamp>,
}

/// How dead letters are tried again.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RedriveOptions {
    /// How many begin per second; `None` for as many as the limits allow.
    pub rate: Option<NonZeroU32>,
    /// Other data in the place of the event's, with its media type: for one dead letter only.
    pub data: Option<(Bytes, String)>,
    /// For people; kept with the decision.
    pub reason: String,
}

impl Node {
    /// Deliveries that were given up, by event.
    ///
    /// # Errors
    /// The caller may not read there.
    pub async fn dead_letters(
        &self,
        ctx: &OpContext,
        filter: DeadLetterFilter,
        limit: usize,
    ) -> Result<Vec<DeadLetterView>, Error> {
        let filter = readable(ctx, filter)?;
        let found = self.engine()?.dead_letters(filter, None, page_size(limit)).await?;
        Ok(found.into_iter().map(view).collect())
    }

    /// How many there are, by function, trigger and code.
    ///
    /// # Errors
    /// The caller may not read there.
    pub async fn dead_letter_counts(
        &self,
        ctx: &OpContext,
        filter: DeadLetterFilter,
    ) -> Result<Vec<DeadLetterCount>, Error> {
        let filter = readable(ctx, filter)?;
        let found = self.engine()?.dead_counts(filter).await?;
        let view = |at: nexus_engine::DeadCount| DeadLetterCount {
            project: at.project.to_string(),
            function: at.function.to_string(),
            trigger: at.trigger.to_string(),
            code: at.code,
            count: at.count,
        };
        Ok(found.into_iter().map(view).collect())
    }

    /// The dead letters of one event, with every attempt and the event itself.
    ///
    /// # Errors
    /// It has none, or not for this caller.
    pub async fn dead_letter(
        &self,
        ctx: &OpContext,
        project: Option<&Name>,
        event: EventId,
    ) -> Result<Vec<DeadLetterDetail>, Error> {
        let filter = DeadLetterFilter {
            project: project.cloned(),
            event: Some(event),
            ..DeadLetterFilter::default()
        };
        let letters = self.dead_letters(ctx, filter, limits::PAGE_ITEMS_MAX).await?;
        if letters.is_empty() {
            return Err(self.missing(format_args!("a dead letter of event {event}"), event.time()));
        }
        let mut details = Vec::with_capacity(letters.len());
        for letter in letters {
            let content = match self.parts.log.event(event).await? {
                None => None,
                Some(record) => {
                    let payloads = payloads(ctx, Some(&letter.project));
                    self.event_shown(record, payloads).await?
                }
            };
            let mut history = Vec::new();
            for row in self.attempts_of(&letter.project, event).await? {
                if row.function == letter.function {
                    history.push(self.attempt_view(&row).await?);
                }
            }
            details.push(DeadLetterDetail { letter, history, content });
        }
        Ok(details)
    }

    /// The attempts to deliver an event, the first one first.
    pub(crate) async fn attempts_of(
        &self,
        project: &str,
        event: EventId,
    ) -> Result<Vec<InvocationRow>, Error> {
        let filter = InvocationFilter {
            project: Some(project.to_owned()),
            event: Some(event),
            ..InvocationFilter::default()
        };
        let page = self.parts.log.invocations(&filter, None, limits::PAGE_ITEMS_MAX).await?;
        let mut rows = page.items;
        // A call that was given up at once has a row, and no attempt.
        rows.retain(|row| row.attempt > 0);
        rows.reverse();
        Ok(rows)
    }

    async fn attempt_view(&self, row: &InvocationRow) -> Result<AttemptView, Error> {
        let failure = match self.parts.log.invocation(row.id).await? {
            Some(record) => record.failure,
            None => None,
        };
        let told = |at: nexus_model::record::Failure| (at.code, crate::stack::message(&at.message));
        let (code, reason) = failure.map(told).unwrap_or_default();
        Ok(AttemptView {
            invocation: row.id,
            attempt: row.attempt,
            status: row.status,
            at: row.accepted,
            duration_ns: row.duration_ns,
            code,
            reason,
        })
    }

    /// How many dead letters a redrive or drop would mean.
    ///
    /// # Errors
    /// The caller may not read there.
    pub async fn dead_letters_matched(
        &self,
        ctx: &OpContext,
        filter: DeadLetterFilter,
    ) -> Result<BulkView, Error> {
        let counts = self.dead_letter_counts(ctx, filter).await?;
        let matched = counts.iter().map(|at| at.count).sum();
        Ok(BulkView { matched, done: 0, until: None, replaced_by: None })
    }

    /// Tries dead letters again from their first attempt, in the order of their events, at most
    /// [`limits::DEAD_LETTERS_BULK_MAX`].
    ///
    /// # Errors
    /// The caller may not write there; other data was given for more than one; the log refuses.
    pub async fn redrive(
        &self,
        ctx: &OpContext,
        filter: DeadLetterFilter,
        options: RedriveOptions,
    ) -> Result<BulkView, Error> {
        let filter = writable(ctx, filter)?;
        let how = Redrive {
            principal: ctx.principal.to_string(),
            reason: options.reason,
            rate: options.rate,
        };
        if let Some(data) = options.data {
            return self.redrive_edited(ctx, (filter, how), data).await;
        }
        let begun = self.parts.clock.now();
        let done = self.engine()?.redrive(filter, how).await? as u64;
        let until = options.rate.filter(|_| done > 0).map(|rate| {
            let ns = (done - 1) * 1_000_000_000 / u64::from(rate.get());
            begun.after(Duration::from_nanos(ns))
        });
        Ok(BulkView { matched: done, done, until, replaced_by: None })
    }

    async fn redrive_edited(
        &self,
        ctx: &OpContext,
        (filter, how): (DeadFilter, Redrive),
        (data, content_type): (Bytes, String),
    ) -> Result<BulkView, Error> {
        let found = self.engine()?.dead_letters(filter, None, 2).await?;
        let [dead] = &found[..] else {
            let detail = match found.len() {
                0 => "no dead letter fits",
                _ => "other data goes to one dead letter at a time",
            };
            return Err(Error::new(Code::BadRequest, detail)
                .with_hint("name the event, and the function where several failed"));
        };
        let record = self.parts.log.event(dead.key.event).await?;
        let record =
            record.ok_or_else(|| Error::new(Code::Gone, "the event was removed by retention"))?;
        let mut event = record.event.to_event();
        event.datacontenttype = Some(edited_type(&event, (&data, content_type))?);
        event.data = Some(data);
        event.validate().map_err(|error| Error::new(Code::BadEvent, error.to_string()))?;
        let project =
            Name::new(&dead.key.project).map_err(|error| Error::internal("read a name", error))?;
        if !event.ty.starts_with(crate::emit::OWN_TYPES) {
            self.check_schemas(&project, std::slice::from_ref(&event))?;
        }
        let partition = Partition::of(project.as_str(), &record.meta.ordering_key);
        let id: EventId = self.parts.mint.mint(partition);
        let mut meta = record.meta.clone();
        meta.principal = ctx.principal.to_string();
        meta.cause_event = record.id.clone();
        let edited = EventRecord {
            id: bytes_of(id.as_bytes()),
            meta,
            received_ns: self.parts.clock.now().unix_ns(),
            event: StoredEvent::from(&event),
            schedule: Bytes::new(),
            ..record
        };
        let made = self.engine()?.redrive_edited(dead.key.clone(), edited, how).await?;
        Ok(BulkView { matched: 1, done: 1, until: None, replaced_by: Some(made) })
    }

    /// Takes dead letters out for good, at most [`limits::DEAD_LETTERS_BULK_MAX`]. The log keeps
    /// who did it and why.
    ///
    /// # Errors
    /// The caller may not write there; no reason was given; the log refuses.
    pub async fn drop_dead_letters(
        &self,
        ctx: &OpContext,
        filter: DeadLetterFilter,
        reason: &str,
    ) -> Result<BulkView, Error> {
        let filter = writable(ctx, filter)?;
        if reason.trim().is_empty() {
            return Err(Error::new(Code::BadRequest, "say why: it is kept with the decision"));
        }
        let who = (ctx.principal.to_string(), reason.to_owned());
        let done = self.engine()?.drop_dead(filter, who).await? as u64;
        Ok(BulkView { matched: done, done, until: None, replaced_by: None })
    }
}

/// The media type of an event with other data. JSON stays JSON: its function can read nothing else,
/// and what an editor left half written is not meant to be sent.
fn edited_type(original: &Event, (data, stated): (&Bytes, String)) -> Result<String, Error> {
    if original.data.is_none() || !original.data_is_json() {
        return Ok(stated);
    }
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(data) {
        return Err(Error::new(
            Code::BadRequest,
            format!("the data of the event is JSON, and the other data is not: {error}"),
        )
        .with_hint("nothing was redriven; correct it, or emit an event of another media type"));
    }
    // Whoever edits JSON says no more than that it is JSON.
    Ok(original.datacontenttype.clone().unwrap_or(stated))
}

fn readable(ctx: &OpContext, filter: DeadLetterFilter) -> Result<DeadFilter, Error> {
    let mut project = filter.project.as_ref().map(Name::to_string);
    reach(ctx, &mut project)?;
    Ok(DeadFilter { project, ..engine_filter(filter) })
}

fn writable(ctx: &OpContext, filter: DeadLetterFilter) -> Result<DeadFilter, Error> {
    let project = filter.project.clone().or_else(|| ctx.project.clone());
    nexus_policy::authorize(ctx, Scope::Write, project.as_ref())?;
    Ok(DeadFilter { project: project.map(|at| at.to_string()), ..engine_filter(filter) })
}

fn engine_filter(filter: DeadLetterFilter) -> DeadFilter {
    DeadFilter {
        project: None,
        function: filter.function,
        trigger: filter.trigger,
        event: filter.event,
        code: filter.code,
        ty: filter.ty,
        since: filter.since,
        until: filter.until,
    }
}

fn view(at: nexus_engine::DeadLetter) -> DeadLetterView {
    DeadLetterView {
        event: at.key.event,
        project: at.key.project.to_string(),
        function: at.key.function.to_string(),
        trigger: at.key.trigger.to_string(),
        ty: at.ty.to_string(),
        reason: crate::stack::message(&at.reason),
        code: at.code,
        attempts: at.attempts,
        at: at.at,
    }
}
