//! What durable invocations ask of the engine: pieces of journals, signals, invocations that nobody
//! waits for, progress.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use nexus_engine::{DeliveryKey, Error as EngineError, INVOKE_TYPE, Outcome};
use nexus_exec::{
    CallContext, CallError, FunctionCall, Payload, Piece, Progress, Signal, StartOptions,
    Unavailable,
};
use nexus_log::{Entry, Position};
use nexus_model::record::{
    EventRecord, JournalRecord, Meta, ProgressRecord, Record, ScheduleRecord, StoredEvent,
};
use nexus_model::{Digest, Event, EventId, InvocationId, Name, Partition, Principal, limits};

use crate::calls::callee;
use crate::chain::Place;
use crate::host::CallHost;
use crate::record::bytes_of;
use crate::{Error, Node};

/// The source of the events that start invocations.
const CALL_SOURCE: &str = "/nexus/calls";

/// An id for a record that is about an invocation.
fn record_id(node: &Node, context: &CallContext) -> Bytes {
    let id: EventId = node.parts.mint.mint(Partition::of(context.project.as_str(), ""));
    bytes_of(id.as_bytes())
}

/// Appends a piece of a journal and waits for the disk.
pub(crate) async fn persist(
    host: &CallHost,
    context: &CallContext,
    piece: Piece,
) -> Result<(), Unavailable> {
    let number = host.pieces.load(Ordering::Relaxed);
    let redactor = host.loaded.redactor.as_ref();
    let bytes = match redactor {
        Some(redactor) => {
            redactor.seal_piece(context.id, number, &piece.bytes).map_err(unavailable)?
        }
        None => piece.bytes,
    };
    let bytes = host.node.stored_body(bytes).await.map_err(unavailable)?;
    let record = JournalRecord {
        id: record_id(&host.node, context),
        project: context.project.to_string(),
        invocation: bytes_of(context.id.as_bytes()),
        number,
        bytes,
        at_ns: host.node.parts.clock.now().unix_ns(),
        signals: piece.signals.iter().map(|id| bytes_of(id)).collect(),
        sealed: redactor.is_some(),
    };
    let appended = host.node.parts.log.append(vec![Record::Journal(record)]).await;
    appended.map_err(|error| Unavailable(error.to_string()))?;
    host.pieces.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Notes how far an invocation is. What does not fit into the buffer now is dropped: newer news
/// follow.
pub(crate) fn progress(host: &CallHost, context: &CallContext, progress: Progress) {
    let record = ProgressRecord {
        id: record_id(&host.node, context),
        project: context.project.to_string(),
        invocation: bytes_of(context.id.as_bytes()),
        percent: progress.percent.map(u32::from),
        message: progress.message,
        at_ns: host.node.parts.clock.now().unix_ns(),
    };
    if let Err(pressure) = host.node.parts.log.record(&Record::Progress(record)) {
        tracing::debug!(%pressure, "progress was dropped");
    }
}

/// The oldest signal of a name that the invocation has not got.
pub(crate) async fn signal(
    host: &CallHost,
    context: &CallContext,
    name: &str,
) -> Result<Option<Signal>, Unavailable> {
    let engine = host.node.engine().map_err(unavailable)?;
    let waiting = engine.signals(context.id).await.map_err(unavailable)?;
    match waiting.into_iter().find(|at| at.name == name) {
        Some(found) => signal_at(&host.node, found.sequence).await.map(Some),
        None => Ok(None),
    }
}

fn unavailable(error: impl std::fmt::Display) -> Unavailable {
    Unavailable(error.to_string())
}

/// The signal whose record stands there in the log.
pub(crate) async fn signal_at(node: &Node, sequence: u64) -> Result<Signal, Unavailable> {
    let before = Position { sequence: sequence.saturating_sub(1), ..Position::START };
    let entries = node.parts.log.read_from(before, 1).await.map_err(unavailable)?;
    let Some(Entry { record: Record::Signal(record), .. }) = entries.into_iter().next() else {
        return Err(Unavailable(format!("record {sequence} of the log is no signal")));
    };
    let id = record.id[..].try_into().map_err(unavailable)?;
    let data = match Digest::try_from(&record.data.blob[..]) {
        Err(_) => record.data.inline,
        Ok(digest) => node.blob(digest).await.map_err(unavailable)?,
    };
    let payload = Payload { content_type: record.content_type, data };
    Ok(Signal { id, payload })
}

/// Makes an invocation that nobody waits for: an event that only its function gets, at once or
/// later. Its first attempt has the id of the event.
pub(crate) async fn start(
    node: &Arc<Node>,
    (context, place): (&CallContext, &Place),
    (call, options): (FunctionCall, StartOptions),
) -> Result<InvocationId, CallError> {
    let name = callee(context, &call.function)?;
    if node.catalog.function(&context.project, &name).is_none() {
        return Err(CallError::NotFound(format!("function '{name}'")));
    }
    // Nobody waits for it: it is not one deeper.
    let StartOptions { delay, ordering_key } = options;
    let chain = match delay >= limits::CHAIN_DELAY_MIN {
        true => 0,
        false => {
            let told = |error: Error| CallError::TooDeep(error.detail().to_owned());
            node.next_link(context, place).await.map_err(told)?
        }
    };
    let record = EventRecord { chain, ..call_event(node, (context, &name), call, ordering_key)? };
    let failed = |error: String| CallError::Unavailable(error);
    let engine = node.engine().map_err(|error| failed(error.to_string()))?;
    let accepted = if delay.is_zero() {
        engine.accept(vec![record]).await
    } else {
        let due = node.parts.clock.now().after(delay);
        engine.schedule(vec![schedule_of(record, due.unix_ns())]).await
    };
    let accepted = accepted.map_err(|error| match error {
        EngineError::TooFarAhead { .. } => CallError::Invalid(error.to_string()),
        error => failed(error.to_string()),
    })?;
    let accepted = accepted.first().ok_or_else(|| failed("it was not accepted".to_owned()))?;
    Ok(InvocationId::from_bytes(*accepted.id.as_bytes()))
}

/// The event of a call, for its function only. The same key is the same event, which the engine
/// accepts once.
pub(crate) fn call_event(
    node: &Node,
    (context, callee): (&CallContext, &Name),
    call: FunctionCall,
    ordering_key: String,
) -> Result<EventRecord, CallError> {
    let mut event = Event::new(call.key, CALL_SOURCE, INVOKE_TYPE);
    if !call.payload.content_type.is_empty() {
        event.datacontenttype = Some(call.payload.content_type);
    }
    event.data = Some(call.payload.data);
    event.validate().map_err(|error| CallError::Invalid(error.to_string()))?;
    let id: EventId = node.parts.mint.mint(Partition::of(context.project.as_str(), &ordering_key));
    Ok(EventRecord {
        id: bytes_of(id.as_bytes()),
        meta: Meta {
            project: context.project.to_string(),
            principal: Principal::function(&context.project, &context.function).to_string(),
            cause_invocation: bytes_of(context.id.as_bytes()),
            traceparent: context.traceparent.to_string(),
            tracestate: context.tracestate.as_deref().unwrap_or_default().to_owned(),
            ordering_key,
            ..Meta::default()
        },
        received_ns: node.parts.clock.now().unix_ns(),
        event: StoredEvent::from(&event),
        target: callee.to_string(),
        ..EventRecord::default()
    })
}

/// The same, later.
fn schedule_of(record: EventRecord, due_ns: i64) -> ScheduleRecord {
    ScheduleRecord {
        id: record.id,
        meta: record.meta,
        received_ns: record.received_ns,
        due_ns,
        event: record.event,
        target: record.target,
        cron: String::new(),
        chain: record.chain,
    }
}

/// Where an invocation is that was started: the last attempt's id once it has ended, or nothing
/// while it goes on. `None` when no function started it.
pub(crate) async fn ended(
    node: &Node,
    context: &CallContext,
    id: InvocationId,
) -> Result<Option<Option<InvocationId>>, CallError> {
    let failed = |error: String| CallError::Unavailable(error);
    let event = EventId::from_bytes(*id.as_bytes());
    let engine = node.engine().map_err(|error| failed(error.to_string()))?;
    // Asked first: once it is not scheduled any more its event is in the log.
    let due = engine.scheduled(context.project.as_str(), event).await;
    if due.map_err(|error| failed(error.to_string()))?.is_some() {
        return Ok(Some(None));
    }
    let found = node.parts.log.event(event).await.map_err(|error| failed(error.to_string()))?;
    let found = found
        .filter(|found| found.meta.project == context.project.as_str() && !found.target.is_empty());
    let Some(found) = found else { return Ok(None) };
    let key = DeliveryKey {
        event,
        project: context.project.as_str().into(),
        function: found.target.as_str().into(),
        trigger: found.trigger.as_str().into(),
    };
    Ok(Some(match engine.outcome(key).await.map_err(|error| failed(error.to_string()))? {
        Outcome::Pending(_) => None,
        Outcome::Ended(ended) => Some(ended.invocation.unwrap_or(id)),
        Outcome::Unknown => Some(id),
    }))
}
