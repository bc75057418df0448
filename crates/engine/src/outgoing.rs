//! Events that the engine makes: what cron fires, outcomes, fallbacks, batches.

use bytes::Bytes;
use nexus_model::record::{
    Body, DeliveryDecision, EventRecord, InvocationRecord, Meta, ScheduleRecord, StoredEvent,
};
use nexus_model::resource::Destination;
use nexus_model::{AttributeValue, Event, EventId, InvocationId, Principal, Timestamp, limits};
use serde_json::{Value, json};

use crate::cron::{CRON_TYPE, Cron};
use crate::shard::{DeliveryKey, Verdict};

/// The type of the event behind an asynchronous call.
pub const INVOKE_TYPE: &str = "dev.nexus.invoke";
/// The type of the event that carries a batch.
pub const BATCH_TYPE: &str = "dev.nexus.batch";
/// The type of the event that a fallback function gets.
pub const FALLBACK_TYPE: &str = "dev.nexus.fallback";
/// The type of the event that a destination function gets.
pub const OUTCOME_TYPE: &str = "dev.nexus.outcome";
/// The extension attribute of outcomes and of what fallback functions get: how many of these led to
/// it, one after the other, itself included.
pub(crate) const CHAIN_EXTENSION: &str = "nexuschain";
/// The media type of a batch.
pub const BATCH_CONTENT_TYPE: &str = "application/cloudevents-batch+json";

/// What every event that the engine makes has.
pub(crate) struct Making {
    pub(crate) id: EventId,
    pub(crate) now: Timestamp,
}

/// `/nexus/<project>/<function or trigger>`.
fn source(key: &DeliveryKey) -> String {
    let name = if key.trigger.is_empty() { &key.function } else { &key.trigger };
    format!("/nexus/{}/{name}", key.project)
}

fn record(making: &Making, project: &str, event: &Event) -> EventRecord {
    EventRecord {
        id: Bytes::copy_from_slice(making.id.as_bytes()),
        meta: Meta {
            project: project.to_owned(),
            principal: Principal::system().to_string(),
            ..Meta::default()
        },
        received_ns: making.now.unix_ns(),
        event: StoredEvent::from(event),
        ..EventRecord::default()
    }
}

fn set_json(event: &mut Event, data: &Value) {
    event.datacontenttype = Some("application/json".to_owned());
    event.data = Some(Bytes::from(data.to_string()));
}

/// The event of a firing. Its id follows from trigger and time, so a repeat is a duplicate.
pub(crate) fn cron_event(
    making: &Making,
    key: &DeliveryKey,
    (cron, scheduled): (&Cron, Timestamp),
) -> EventRecord {
    let mut event = Event::new(cron.event_id(scheduled), source(key), CRON_TYPE);
    event.time = Some(scheduled);
    let data = match &cron.data {
        Value::Null => json!({ "scheduledAt": scheduled.to_string() }),
        data => data.clone(),
    };
    set_json(&mut event, &data);
    EventRecord {
        target: key.function.to_string(),
        trigger: key.trigger.to_string(),
        ..record(making, &key.project, &event)
    }
}

/// The event that a schedule becomes. That of a call keeps the id, which its caller knows as that of
/// the invocation.
pub(crate) fn scheduled_event(making: &Making, schedule: ScheduleRecord) -> EventRecord {
    let id = match schedule.event.ty == INVOKE_TYPE {
        true => schedule.id.clone(),
        false => Bytes::copy_from_slice(making.id.as_bytes()),
    };
    EventRecord {
        id,
        meta: schedule.meta,
        received_ns: making.now.unix_ns(),
        event: schedule.event,
        target: schedule.target,
        schedule: schedule.id,
        chain: schedule.chain,
        ..EventRecord::default()
    }
}

/// The event for a fallback function: its data is the original event.
pub(crate) fn fallback_event(
    making: &Making,
    (key, fallback): (&DeliveryKey, &str),
    original: &EventRecord,
) -> EventRecord {
    let id = format!("{}.{}.{}.fallback", key.event, key.function, key.trigger);
    let mut event = Event::new(id, source(key), FALLBACK_TYPE);
    event.subject = Some(key.event.to_string());
    event.time = Some(making.now);
    event.datacontenttype = Some("application/cloudevents+json".to_owned());
    event.data = Some(Bytes::from(original.event.to_event().to_json()));
    set_chain(&mut event, original);
    let made = record(making, &key.project, &event);
    EventRecord {
        meta: caused(made.meta, original),
        target: fallback.to_owned(),
        chain: original.links() + 1,
        ..made
    }
}

/// What a destination is told, beside the verdict.
pub(crate) struct Told<'a> {
    pub(crate) key: &'a DeliveryKey,
    pub(crate) verdict: &'a Verdict,
    pub(crate) original: &'a EventRecord,
    pub(crate) invocation: Option<&'a InvocationRecord>,
}

/// The event for a destination. Its id follows from the delivery and its last attempt.
pub(crate) fn outcome_event(
    making: &Making,
    destination: &Destination,
    told: &Told<'_>,
) -> EventRecord {
    let key = told.key;
    let attempt = told.verdict.invocation.map(|id| id.to_string()).unwrap_or_default();
    let id = format!("{}.{}.{}.{attempt}.outcome", key.event, key.function, key.trigger);
    let ty = destination.event.as_deref().unwrap_or(OUTCOME_TYPE);
    let mut event = Event::new(id, source(key), ty);
    event.subject = Some(key.event.to_string());
    event.time = Some(making.now);
    set_json(&mut event, &outcome(told));
    if event.data.as_ref().is_some_and(|data| data.len() > limits::EVENT_BYTES_MAX / 2) {
        let small = Told { invocation: None, ..*told };
        set_json(&mut event, &outcome(&small));
    }
    set_chain(&mut event, told.original);
    let made = record(making, &key.project, &event);
    EventRecord {
        meta: caused(made.meta, told.original),
        target: destination.function.as_ref().map(ToString::to_string).unwrap_or_default(),
        chain: told.original.links() + 1,
        ..made
    }
}

/// How many outcomes and fallbacks led to an event, one after the other. An event that somebody sends,
/// be it a function, is a beginning, whatever it says of itself: how far a function goes on by what
/// it sends has a limit of its own, which the node keeps ([`EventRecord::links`]).
pub(crate) fn chain_of(record: &EventRecord) -> u32 {
    let found = record.event.extensions.iter().find(|at| at.name == CHAIN_EXTENSION);
    let length = found.and_then(|at| u32::try_from(at.integer?).ok()).unwrap_or(0);
    match length > 0 && record.meta.principal == Principal::system().to_string() {
        true => length,
        false => 0,
    }
}

fn set_chain(event: &mut Event, original: &EventRecord) {
    let length = i32::try_from(chain_of(original).saturating_add(1)).unwrap_or(i32::MAX);
    event.extensions.push((CHAIN_EXTENSION.to_owned(), AttributeValue::Integer(length)));
}

/// An event that follows from another one carries its trace and names it as its cause.
fn caused(meta: Meta, original: &EventRecord) -> Meta {
    Meta {
        cause_event: original.id.clone(),
        traceparent: original.meta.traceparent.clone(),
        tracestate: original.meta.tracestate.clone(),
        ..meta
    }
}

fn outcome(told: &Told<'_>) -> Value {
    let (key, verdict) = (told.key, told.verdict);
    let mut data = json!({
        "event": key.event.to_string(),
        "function": &*key.function,
        "status": verdict.status.word(),
        "attempts": verdict.attempts,
    });
    if !key.trigger.is_empty() {
        data["trigger"] = Value::from(&*key.trigger);
    }
    if let Some(invocation) = verdict.invocation {
        data["invocation"] = Value::from(invocation.to_string());
    }
    match verdict.decision {
        DeliveryDecision::Reported => {
            let output = told.invocation.and_then(|record| record.output.as_ref());
            let body = output.and_then(|output| output.body.as_ref());
            data["result"] = match (output, body) {
                (Some(output), Some(body)) => result(&output.content_type, body),
                _ => Value::Null,
            };
        }
        _ => data["error"] = json!({ "code": verdict.code, "message": verdict.reason }),
    }
    data
}

fn result(content_type: &str, body: &Body) -> Value {
    use base64::Engine as _;
    if body.inline.is_empty() {
        return Value::Null;
    }
    let json = content_type.is_empty() || content_type.contains("json");
    if json && let Ok(value) = serde_json::from_slice(&body.inline) {
        return value;
    }
    match std::str::from_utf8(&body.inline) {
        Ok(text) => Value::from(text),
        Err(_) => {
            json!({ "base64": base64::engine::general_purpose::STANDARD.encode(&body.inline) })
        }
    }
}

/// The event that carries a batch to its function. `events` must have their data inside.
pub fn batch_event(id: InvocationId, source: &str, events: &[Event]) -> Event {
    let mut data = Vec::with_capacity(events.len() * 256);
    data.push(b'[');
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            data.push(b',');
        }
        data.extend(event.to_json());
    }
    data.push(b']');
    let mut batch = Event::new(id.to_string(), source, BATCH_TYPE);
    batch.datacontenttype = Some(BATCH_CONTENT_TYPE.to_owned());
    batch.data = Some(Bytes::from(data));
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_and_fallbacks_count_how_many_of_them_led_to_one_another() {
        let making = Making { id: EventId::from_bytes([9; 16]), now: Timestamp::EPOCH };
        let key = DeliveryKey {
            event: EventId::from_bytes([1; 16]),
            project: "shop".into(),
            function: "f".into(),
            trigger: "".into(),
        };
        let verdict = Verdict::new(DeliveryDecision::Dead, "no".into(), "NX5002");
        let destination = Destination { event: Some("t".into()), ..Destination::default() };
        let told = |original: &EventRecord| {
            let told = Told { key: &key, verdict: &verdict, original, invocation: None };
            outcome_event(&making, &destination, &told)
        };
        let mut sent = EventRecord::default();
        sent.meta.principal = "function:shop/f".into();
        let first = told(&sent);
        let second = fallback_event(&making, (&key, "g"), &first);
        let third = told(&second);
        let lengths = [&sent, &first, &second, &third].map(chain_of);
        assert_eq!(lengths, [0, 1, 2, 3]);
        // What a function sends is a beginning, also when it passes on what it was given.
        sent.event.extensions = third.event.extensions.clone();
        assert_eq!(chain_of(&told(&sent)), 1);
    }

    #[test]
    fn a_batch_is_a_cloudevents_batch() {
        let mut one = Event::new("1", "/s", "t");
        one.data = Some(Bytes::from_static(b"{\"a\":1}"));
        let events = [one, Event::new("2", "/s", "t")];
        let batch = batch_event(InvocationId::from_bytes([1; 16]), "/nexus/shop/f", &events);
        assert_eq!(batch.ty, BATCH_TYPE);
        assert_eq!(Event::from_json_batch(&batch.data.unwrap()).unwrap(), events);
    }
}
