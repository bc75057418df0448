//! Events that the engine makes: what cron fires, outcomes, fallbacks, batches.

use bytes::Bytes;
use nexus_model::record::{
    Body, DeliveryDecision, EventRecord, InvocationRecord, Meta, ScheduleRecord, StoredEvent,
};
use nexus_model::resource::Destination;
use nexus_model::{Event, EventId, InvocationId, Principal, Timestamp, limits};
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
    let made = record(making, &key.project, &event);
    EventRecord {
        meta: caused(made.meta, original),
        target: fallback.to_owned(),
        depth: original.depth + 1,
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
    let made = record(making, &key.project, &event);
    EventRecord {
        meta: caused(made.meta, told.original),
        target: destination.function.as_ref().map(ToString::to_string).unwrap_or_default(),
        depth: told.original.depth + 1,
        ..made
    }
}

/// An event that follows from another one carries its trace and names it as its cause.
fn caused(meta: Meta, original: &EventRecord) -> Meta {
    Meta {
        cause_event: original.id.clone(),
        traceparent: original.meta.traceparent.clone(),
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

/// Which events of a batch a function reported as failed in its result:
/// `{"batchItemFailures":[{"itemIdentifier": <evt_… or the CloudEvents id>}]}`. An identifier that
/// names none of them fails all: the function could not say what it means.
pub fn batch_failures(result: &[u8], events: &[(EventId, String)]) -> Vec<EventId> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Item {
        item_identifier: String,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Report {
        batch_item_failures: Vec<Item>,
    }
    let Ok(report) = serde_json::from_slice::<Report>(result) else { return Vec::new() };
    let mut failed = Vec::new();
    for item in report.batch_item_failures {
        let own = |(id, name): &&(EventId, String)| {
            *name == item.item_identifier || id.to_string() == item.item_identifier
        };
        let before = failed.len();
        failed.extend(events.iter().filter(own).map(|(id, _)| *id));
        if failed.len() == before {
            return events.iter().map(|(id, _)| *id).collect();
        }
    }
    failed.sort_unstable();
    failed.dedup();
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> Vec<(EventId, String)> {
        (1..4).map(|n| (EventId::from_bytes([n; 16]), format!("own-{n}"))).collect()
    }

    #[test]
    fn a_function_reports_failed_events_by_either_id() {
        let events = events();
        let report = |items: &[&str]| {
            let items: Vec<Value> =
                items.iter().map(|at| json!({ "itemIdentifier": at })).collect();
            let result = json!({ "batchItemFailures": items }).to_string();
            batch_failures(result.as_bytes(), &events)
        };
        assert_eq!(report(&[]), []);
        assert_eq!(report(&["own-2", "own-2"]), [events[1].0]);
        assert_eq!(report(&[&events[2].0.to_string(), "own-1"]), [events[0].0, events[2].0]);
        assert_eq!(report(&["own-1", "stranger"]).len(), 3, "nobody knows what it means");
        assert_eq!(batch_failures(b"\"done\"", &events), []);
        assert_eq!(batch_failures(b"", &events), []);
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
