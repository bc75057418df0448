//! Events: accepted when they are durable.

use std::sync::Arc;

use bytes::Bytes;
use nexus_model::record::{EventRecord, Meta, StoredEvent};
use nexus_model::view::{Accepted, AcceptedEvent};
use nexus_model::{
    AttributeValue, Code, Event, EventId, InvocationId, Name, OpContext, Partition, Scope, limits,
    trace,
};

use crate::catalog::Function;
use crate::record::bytes_of;
use crate::{Error, Node};

/// The type prefix of Nexus' own events; nobody else may send them.
pub(crate) const OWN_TYPES: &str = "dev.nexus.";
/// Attributes of an event, in bytes, beside its data.
const OVERHEAD_BYTES: usize = 64;

/// What an event follows from.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cause {
    /// The invocation that sent it.
    pub(crate) invocation: Option<InvocationId>,
    /// Of a call: how many functions wait for one another down to it.
    pub(crate) depth: u32,
    /// How many links led to it.
    pub(crate) chain: u32,
}

/// An event for one function, whatever triggers say.
pub(crate) struct Targeted {
    /// Fresh. For asynchronous calls also the id of the invocation.
    pub(crate) id: EventId,
    pub(crate) event: StoredEvent,
    /// The function.
    pub(crate) target: String,
    /// The trigger whose delivery settings hold, or empty.
    pub(crate) trigger: String,
    pub(crate) cause: Cause,
}

impl Node {
    /// Accepts events: durable when it returns, handled later. All or none. A duplicate (same
    /// source and id) gets the id of the first one.
    ///
    /// # Errors
    /// The caller may not emit; the first event that breaks a rule or limit, by its index; the log
    /// cannot take them.
    pub async fn emit(
        &self,
        ctx: &OpContext,
        project: &Name,
        events: Vec<Event>,
    ) -> Result<Accepted, Error> {
        self.emit_caused(ctx, project, events, Cause::default()).await
    }

    pub(crate) async fn emit_caused(
        &self,
        ctx: &OpContext,
        project: &Name,
        events: Vec<Event>,
        cause: Cause,
    ) -> Result<Accepted, Error> {
        nexus_policy::authorize(ctx, Scope::Emit, Some(project))?;
        self.require_project(project)?;
        if cause.invocation.is_none() && self.is_draining() {
            return Err(Error::new(Code::ShuttingDown, "the server is shutting down"));
        }
        check(&events)?;
        let warnings = self.check_schemas(project, &events)?;
        let now_ns = self.parts.clock.now().unix_ns();
        let records = events
            .into_iter()
            .map(|event| self.event_record((ctx, project.as_str()), event.into(), cause, now_ns));
        let accepted = self.engine()?.accept(records.collect()).await?;
        let duplicates = accepted.iter().filter(|at| at.duplicate).count() as u64;
        self.parts.metrics.events_accepted(accepted.len() as u64 - duplicates, duplicates);
        let mut warnings = warnings.into_iter();
        let view = |at: nexus_engine::Accepted| AcceptedEvent {
            id: at.id,
            duplicate: at.duplicate,
            warning: warnings.next().flatten(),
        };
        Ok(Accepted { events: accepted.into_iter().map(view).collect() })
    }

    /// Accepts one event for one function. The caller has checked who asks and what it says.
    pub(crate) async fn accept_targeted(
        &self,
        (ctx, project): (&OpContext, &Name),
        targeted: Targeted,
    ) -> Result<AcceptedEvent, Error> {
        let record = self.targeted_record((ctx, project), targeted)?;
        let accepted = self.engine()?.accept(vec![record]).await?;
        let accepted = accepted.first().ok_or_else(|| {
            Error::new(Code::Internal, "the event was neither accepted nor refused")
        })?;
        Ok(self.was_accepted(*accepted))
    }

    /// The same for a call that its caller waits for: where nothing is in the way it is made at once,
    /// and may have ended when this returns.
    pub(crate) async fn call_targeted(
        &self,
        (ctx, function): (&OpContext, &Function),
        targeted: Targeted,
    ) -> Result<AcceptedEvent, Error> {
        if !function.begins_early {
            return self.accept_targeted((ctx, &function.project), targeted).await;
        }
        let record = self.targeted_record((ctx, &function.project), targeted)?;
        let accepted = self.engine()?.call(record, function.durable).await?;
        Ok(self.was_accepted(accepted))
    }

    fn was_accepted(&self, accepted: nexus_engine::Accepted) -> AcceptedEvent {
        self.parts.metrics.events_accepted(1, u64::from(accepted.duplicate));
        AcceptedEvent { id: accepted.id, duplicate: accepted.duplicate, warning: None }
    }

    fn targeted_record(
        &self,
        (ctx, project): (&OpContext, &Name),
        targeted: Targeted,
    ) -> Result<EventRecord, Error> {
        let now_ns = self.parts.clock.now().unix_ns();
        // What lies in the blob store has a limit of its own.
        let size = size_of(&targeted.event.to_event());
        if size > limits::EVENT_BYTES_MAX {
            return Err(Error::new(
                Code::TooLarge,
                format!("{size} bytes, the limit of an event is {}", limits::EVENT_BYTES_MAX),
            ));
        }
        let Targeted { event, cause, .. } = targeted;
        let mut record = self.event_record((ctx, project.as_str()), event, cause, now_ns);
        record.id = bytes_of(targeted.id.as_bytes());
        record.target = targeted.target;
        record.trigger = targeted.trigger;
        Ok(record)
    }

    pub(crate) fn event_record(
        &self,
        (ctx, project): (&OpContext, &str),
        event: StoredEvent,
        cause: Cause,
        now_ns: i64,
    ) -> EventRecord {
        let key = event.extension_text("partitionkey").unwrap_or_default();
        let id: EventId = self.parts.mint.mint(Partition::of(project, key));
        // The event's own trace context (the distributed tracing extension) wins: it is older.
        let own = event.extension_text("traceparent");
        let own = own.filter(|at| trace::traceparent(at).is_some());
        let tracestate = match own {
            Some(_) => trace::tracestate(event.extension_text("tracestate")),
            None => ctx.tracestate.as_deref().map(str::to_owned),
        };
        let traceparent = own.or(ctx.traceparent.as_deref()).unwrap_or_default();
        let traceparent = crate::trace::of_event(traceparent, id);
        EventRecord {
            id: bytes_of(id.as_bytes()),
            meta: Meta {
                project: project.to_owned(),
                principal: ctx.principal.to_string(),
                cause_event: Bytes::new(),
                cause_invocation: cause
                    .invocation
                    .map(|id| bytes_of(id.as_bytes()))
                    .unwrap_or_default(),
                traceparent: traceparent.to_string(),
                ordering_key: key.to_owned(),
                deadline_ns: 0,
                tracestate: tracestate.unwrap_or_default(),
            },
            received_ns: now_ns,
            event,
            depth: cause.depth,
            chain: cause.chain,
            ..EventRecord::default()
        }
    }

    /// The audit trail: events that only Nexus makes, with the principal that the change had. The
    /// project is empty for what belongs to none.
    pub(crate) async fn emit_own(&self, events: Vec<(String, Event)>) -> Result<(), Error> {
        let now_ns = self.parts.clock.now().unix_ns();
        let records = events.iter().map(|(project, event)| {
            let ctx = OpContext::system(Arc::from("audit"));
            let mut record =
                self.event_record((&ctx, project.as_str()), event.into(), Cause::default(), now_ns);
            if let Some(principal) = principal_of(event) {
                record.meta.principal = principal;
            }
            record
        });
        self.engine()?.accept(records.collect()).await?;
        Ok(())
    }
}

/// The principal that an audit event names in its data.
fn principal_of(event: &Event) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Data {
        principal: String,
    }
    serde_json::from_slice::<Data>(event.data.as_ref()?).ok().map(|data| data.principal)
}

/// Rules and limits of a batch.
pub(crate) fn check(events: &[Event]) -> Result<(), Error> {
    if events.len() > limits::BATCH_EVENTS_MAX {
        return Err(Error::new(
            Code::TooLarge,
            format!(
                "{} events, the limit of a batch is {}",
                events.len(),
                limits::BATCH_EVENTS_MAX
            ),
        ));
    }
    let mut total = 0;
    for (index, event) in events.iter().enumerate() {
        let place = || if events.len() == 1 { String::new() } else { format!("event {index}: ") };
        if let Err(error) = event.validate() {
            return Err(Error::new(Code::BadEvent, format!("{}{error}", place())));
        }
        if event.ty.starts_with(OWN_TYPES) {
            return Err(Error::new(
                Code::BadEvent,
                format!("{}types that begin with {OWN_TYPES} are Nexus' own", place()),
            ));
        }
        let size = size_of(event);
        if size > limits::EVENT_BYTES_MAX {
            return Err(Error::new(
                Code::TooLarge,
                format!("{}{size} bytes, the limit is {}", place(), limits::EVENT_BYTES_MAX),
            )
            .with_hint("put the data into a store of your own and send its address"));
        }
        total += size;
    }
    if total > limits::BATCH_BYTES_MAX {
        return Err(Error::new(
            Code::TooLarge,
            format!("{total} bytes, the limit of a batch is {}", limits::BATCH_BYTES_MAX),
        ));
    }
    Ok(())
}

fn size_of(event: &Event) -> usize {
    let text = |at: &Option<String>| at.as_ref().map_or(0, String::len);
    let extension = |(name, value): &(String, AttributeValue)| {
        name.len()
            + match value {
                AttributeValue::String(value) => value.len(),
                AttributeValue::Boolean(_) | AttributeValue::Integer(_) => 4,
            }
    };
    OVERHEAD_BYTES
        + event.id.len()
        + event.source.len()
        + event.ty.len()
        + text(&event.subject)
        + text(&event.datacontenttype)
        + text(&event.dataschema)
        + event.extensions.iter().map(extension).sum::<usize>()
        + event.data.as_ref().map_or(0, Bytes::len)
}
