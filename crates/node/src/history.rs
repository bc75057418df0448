//! What happened and what ran: lists and single views.

use nexus_model::record::{EventRecord, InvocationRecord};
use nexus_model::resource::Kind;
use nexus_model::view::{EventView, InvocationRow, InvocationView};
use nexus_model::{
    Code, EventFilter, EventId, InvocationFilter, InvocationId, Name, OpContext, Page, Scope,
    Timestamp, limits,
};

use crate::bodies::{Lost, lost};
use crate::schedules::{Fate, taken_back};
use crate::views::{self, Payloads};
use crate::{Error, Node, PageOptions};

impl Node {
    /// Events, the newest first.
    ///
    /// # Errors
    /// The caller may not read there; the cursor has expired; the log cannot be read.
    pub async fn events(
        &self,
        ctx: &OpContext,
        mut filter: EventFilter,
        page: PageOptions,
    ) -> Result<Page<EventView>, Error> {
        reach(ctx, &mut filter.project)?;
        let payloads = match page.data {
            true => payloads(ctx, filter.project.as_deref()),
            false => Payloads::Hidden,
        };
        let found = self.parts.log.events(&filter, page.cursor, page_size(page.limit)).await?;
        let mut items = Vec::with_capacity(found.items.len());
        for event in found.items {
            items.extend(self.event_shown(event, payloads).await?);
        }
        Ok(Page { items, next: found.next })
    }

    /// One event, with its data where the caller may read payloads.
    ///
    /// # Errors
    /// It does not exist, or not for this caller.
    pub async fn event(&self, ctx: &OpContext, id: EventId) -> Result<EventView, Error> {
        let record = self.event_record_of(ctx, id).await?;
        let payloads = payloads(ctx, Some(&record.meta.project));
        let shown = self.event_shown(record, payloads).await?;
        shown.ok_or_else(|| Error::not_found(format_args!("event {id}")))
    }

    /// An event as people see it, with its data where that may be shown.
    pub(crate) async fn event_shown(
        &self,
        mut record: EventRecord,
        payloads: Payloads,
    ) -> Result<Option<EventView>, Error> {
        if payloads == Payloads::Hidden {
            return Ok(views::event_view(&record, payloads));
        }
        self.fetch_event(&mut record, Lost::IsSaid).await?;
        let data_problem = record.event.data.as_ref().and_then(lost);
        let view = views::event_view(&record, payloads);
        Ok(view.map(|view| EventView { data_problem, ..view }))
    }

    /// The record of an event that the caller may see; of a schedule the event that it became.
    pub(crate) async fn event_record_of(
        &self,
        ctx: &OpContext,
        id: EventId,
    ) -> Result<EventRecord, Error> {
        let missing = || self.missing(format_args!("event {id}"), id.time());
        let reach = |project: &str| {
            may_know(ctx, project).ok_or_else(missing)?;
            read_in(ctx, project)
        };
        if let Some(record) = self.parts.log.event(id).await? {
            reach(&record.meta.project)?;
            return Ok(record);
        }
        let (schedule, fate) = self.fate_of(id).await?.ok_or_else(missing)?;
        reach(&schedule.meta.project)?;
        let why = match fate {
            Fate::Happened(record) => return Ok(*record),
            Fate::TakenBack(record) => {
                format!("event {id} never happened: {}", taken_back(&record))
            }
            Fate::Unknown => {
                let due = Timestamp::from_unix_ns(schedule.due_ns);
                let waits = self.engine()?.scheduled(&schedule.meta.project, id).await?.is_some();
                match waits {
                    true => format!("event {id} has not happened: it is due at {due}"),
                    false => return Err(missing()),
                }
            }
        };
        Err(Error::new(Code::NotFound, why).with_hint(format!("nexus why {id}")))
    }

    /// Invocations, the newest first.
    ///
    /// # Errors
    /// The caller may not read there; the cursor has expired; the log cannot be read.
    pub async fn invocations(
        &self,
        ctx: &OpContext,
        mut filter: InvocationFilter,
        page: PageOptions,
    ) -> Result<Page<InvocationRow>, Error> {
        reach(ctx, &mut filter.project)?;
        let size = page_size(page.limit);
        let mut first = match page.cursor {
            None => {
                self.parts.log.settle().await;
                self.unfinished(&filter, size).await?
            }
            Some(_) => Vec::new(),
        };
        let ended = self.parts.log.invocations(&filter, page.cursor, size).await?;
        first.extend(ended.items);
        Ok(Page { items: first, next: ended.next })
    }

    /// One invocation with everything that was kept; payloads only for callers who may read them.
    ///
    /// # Errors
    /// It does not exist, or not for this caller.
    pub async fn invocation(
        &self,
        ctx: &OpContext,
        id: InvocationId,
    ) -> Result<InvocationView, Error> {
        let mut record = self.record_or_unbegun(ctx, Scope::Read, id).await?;
        let payloads = payloads(ctx, Some(&record.meta.project));
        let (mut event, mut no_journal) = (None, None);
        if payloads == Payloads::Shown {
            no_journal = self.gather_journal(&mut record).await;
            self.fetch_bodies(&mut record, Lost::IsSaid).await?;
            event = self.input_event(&record, Lost::IsSaid).await?;
        }
        let mut view = views::invocation_view(&record, event.as_ref(), payloads)
            .ok_or_else(|| Error::not_found(format_args!("invocation {id}")))?;
        view.journal_problem = view.journal_problem.or(no_journal);
        if let (Some(failure), Some(shown)) = (&record.failure, &mut view.failure) {
            shown.frames = self.failure_frames(&record, failure).await;
        }
        Ok(view)
    }

    /// A record that the caller may see with `scope`.
    pub(crate) async fn invocation_record(
        &self,
        ctx: &OpContext,
        scope: Scope,
        id: InvocationId,
    ) -> Result<InvocationRecord, Error> {
        let missing = || self.missing(format_args!("invocation {id}"), id.time());
        let mut record = self.parts.log.invocation(id).await?;
        if record.is_none() {
            // It may have ended a moment ago and not be on disk yet.
            self.parts.log.flush().await?;
            record = self.parts.log.invocation(id).await?;
        }
        let now = self.parts.clock.now();
        let ongoing = || self.ongoing.record(id, now).filter(|_| record.is_none());
        if let Some(call) = ongoing()
            && may_know(ctx, &call.meta.project).is_some()
        {
            let detail = format!("invocation {id} has not ended");
            return Err(Error::new(Code::NotFound, detail)
                .with_hint(format!("see how long it may run: nexus why {id}")));
        }
        let record = record.ok_or_else(missing)?;
        may_know(ctx, &record.meta.project).ok_or_else(missing)?;
        let project = Name::new(&record.meta.project).ok();
        nexus_policy::authorize(ctx, scope, project.as_ref())?;
        Ok(record)
    }
}

/// Narrows "all projects" to the one that the caller is bound to, and checks that it may read.
pub(crate) fn reach(ctx: &OpContext, project: &mut Option<String>) -> Result<(), Error> {
    if project.is_none() {
        *project = ctx.project.as_ref().map(Name::to_string);
    }
    match project.as_deref() {
        None => nexus_policy::authorize(ctx, Scope::Read, None)?,
        Some(text) => {
            let name = Name::new(text).map_err(|_| {
                Error::not_found(format_args!("{} '{text}'", Kind::Project.as_str().to_lowercase()))
            })?;
            nexus_policy::authorize(ctx, Scope::Read, Some(&name))?;
        }
    }
    Ok(())
}

/// Whether the caller may know that something exists in this project.
pub(crate) fn may_know(ctx: &OpContext, project: &str) -> Option<()> {
    ctx.project.as_ref().is_none_or(|own| own.as_str() == project).then_some(())
}

pub(crate) fn read_in(ctx: &OpContext, project: &str) -> Result<(), Error> {
    let name = Name::new(project).ok();
    nexus_policy::authorize(ctx, Scope::Read, name.as_ref()).map_err(Error::from)
}

/// Whether the caller may read payloads in a project (`None`: in all of them).
pub(crate) fn payloads(ctx: &OpContext, project: Option<&str>) -> Payloads {
    let name = project.and_then(|at| Name::new(at).ok());
    match ctx.allows(Scope::ReadPayload, name.as_ref()) {
        true => Payloads::Shown,
        false => Payloads::Hidden,
    }
}

pub(crate) fn page_size(limit: usize) -> usize {
    if limit == 0 { limits::PAGE_ITEMS_DEFAULT } else { limit.min(limits::PAGE_ITEMS_MAX) }
}
