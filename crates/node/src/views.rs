//! Records as people see them.

use base64::Engine as _;
use bytes::Bytes;
use nexus_model::record::{
    Body, EventRecord, Failure, Header, Input, InvocationRecord, LogLine, Output, StoredEvent,
    input,
};
use nexus_model::view::{EventView, FailureView, InvocationRow, InvocationView, LogView};
use nexus_model::{Digest, EventId, InvocationId, Timestamp};
use serde_json::{Map, Value, json};

use crate::bodies::{is_away, lost};
use crate::trace::trace_id;

/// Whether bodies and data may be shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payloads {
    Shown,
    Hidden,
}

pub(crate) fn event_view(record: &EventRecord, payloads: Payloads) -> Option<EventView> {
    let data_bytes = record.event.data.as_ref().map_or(0, |data| data.size);
    let mut event = record.event.to_event();
    if payloads == Payloads::Hidden || record.event.data.as_ref().is_some_and(is_away) {
        event.data = None;
    }
    Some(EventView {
        id: record.event_id()?,
        project: record.meta.project.clone(),
        principal: record.meta.principal.clone(),
        received: Timestamp::from_unix_ns(record.received_ns),
        cause: InvocationId::try_from(&record.meta.cause_invocation[..]).ok(),
        schedule: EventId::try_from(&record.schedule[..]).ok(),
        chain: record.links(),
        traceparent: record.meta.traceparent.clone(),
        event,
        data_bytes,
        data_problem: None,
    })
}

pub(crate) fn row(record: &InvocationRecord) -> Option<InvocationRow> {
    let http_status = record.output.as_ref().and_then(|at| u16::try_from(at.http_status).ok());
    Some(InvocationRow {
        id: record.invocation_id()?,
        project: record.meta.project.clone(),
        function: record.function.clone(),
        version: record.version_id(),
        trigger: record.trigger(),
        status: record.status(),
        http_status: http_status.filter(|&status| status > 0),
        attempt: record.attempt,
        accepted: Timestamp::from_unix_ns(record.accepted_ns),
        duration_ns: record.timings.total_ns,
        cold: !record.cold.is_empty(),
        level: record.level(),
        trace_id: trace_id(&record.meta.traceparent).to_owned(),
    })
}

/// Everything about an invocation. Large bodies must have been fetched.
pub(crate) fn invocation_view(
    record: &InvocationRecord,
    event: Option<&EventRecord>,
    payloads: Payloads,
) -> Option<InvocationView> {
    let shown = payloads == Payloads::Shown;
    let journal = record.journal.as_ref().filter(|_| shown);
    let lost_journal = journal.and_then(lost);
    let journal = journal.filter(|at| !at.inline.is_empty());
    let entries = journal.map(|at| nexus_exec::journal::entries(&at.inline)).transpose();
    let (journal, journal_problem) = match entries {
        Ok(entries) => (entries.unwrap_or_default(), lost_journal),
        Err(error) => {
            let invocation = record.invocation_id().map(|id| id.to_string()).unwrap_or_default();
            tracing::error!(%error, invocation, "a recorded journal cannot be read");
            (Vec::new(), Some(format!("the journal cannot be read: {error}")))
        }
    };
    Some(InvocationView {
        row: row(record)?,
        principal: record.meta.principal.clone(),
        cause_event: EventId::try_from(&record.meta.cause_event[..]).ok(),
        cause_invocation: InvocationId::try_from(&record.meta.cause_invocation[..]).ok(),
        traceparent: record.meta.traceparent.clone(),
        deadline: (record.meta.deadline_ns > 0)
            .then(|| Timestamp::from_unix_ns(record.meta.deadline_ns)),
        component: Digest::try_from(&record.component[..]).ok(),
        executed: Digest::try_from(&record.executed[..]).ok(),
        timings: record.timings,
        meter: record.meter,
        cold_reason: record.cold.clone(),
        not_replayable: record.not_replayable.clone(),
        failure: record.failure.as_ref().map(failure_view),
        input: match (&record.input, shown) {
            (Some(input), true) => input_value(input, event),
            _ => Value::Null,
        },
        output: match (&record.output, shown) {
            (Some(output), true) => output_value(output),
            _ => Value::Null,
        },
        journal,
        journal_problem,
        logs: match shown {
            true => record.logs.iter().map(log_view).collect(),
            false => Vec::new(),
        },
        logs_dropped: record.logs_dropped,
        redacted: record.redacted.clone(),
        trigger_name: record.trigger_name.clone(),
        resumes: record.resumes,
        cached_from: InvocationId::try_from(&record.cached_from[..]).ok(),
        waited_for: record.waited_for.clone(),
        batch: record.batch.iter().filter_map(|id| EventId::try_from(&id[..]).ok()).collect(),
        payloads_hidden: !shown,
        chain: record.chain,
    })
}

fn failure_view(failure: &Failure) -> FailureView {
    FailureView {
        code: failure.code.clone(),
        message: crate::stack::message(&failure.message),
        backtrace: failure.backtrace.clone(),
        frames: Vec::new(),
    }
}

pub(crate) fn log_view(line: &LogLine) -> LogView {
    LogView {
        at: Timestamp::from_unix_ns(line.at_ns),
        stream: line.stream(),
        level: line.level.clone(),
        text: line.text.clone(),
        fields: serde_json::from_str(&line.fields).unwrap_or_default(),
        function: String::new(),
        invocation: None,
        trace_id: String::new(),
    }
}

/// The log lines of an invocation, each with where it comes from.
pub(crate) fn log_views(record: &InvocationRecord) -> impl Iterator<Item = LogView> + '_ {
    let invocation = record.invocation_id();
    let trace_id = trace_id(&record.meta.traceparent);
    record.logs.iter().map(move |line| LogView {
        function: record.function.clone(),
        invocation,
        trace_id: trace_id.to_owned(),
        ..log_view(line)
    })
}

fn input_value(input: &Input, event: Option<&EventRecord>) -> Value {
    match &input.form {
        Some(input::Form::Http(http)) => json!({
            "method": http.method,
            "url": format!("{}://{}{}", http.scheme, http.authority, http.path_and_query),
            "headers": headers_value(&http.headers),
            "body": body_value(&http.body),
        }),
        Some(input::Form::EventRef(id)) => match event {
            Some(event) => input_event_value(&event.event),
            None => json!({ "event": EventId::try_from(&id[..]).ok() }),
        },
        Some(input::Form::Event(event)) => input_event_value(event),
        Some(input::Form::Command(command)) => json!({
            "arguments": command.arguments,
            "stdin": body_value(&command.stdin),
        }),
        None => Value::Null,
    }
}

pub(crate) fn output_value(output: &Output) -> Value {
    let mut object = Map::new();
    if output.http_status > 0 {
        object.insert("status".into(), output.http_status.into());
        object.insert("headers".into(), headers_value(&output.headers));
    }
    if !output.content_type.is_empty() {
        object.insert("contentType".into(), output.content_type.clone().into());
    }
    if let Some(body) = &output.body {
        object.insert("body".into(), body_value(body));
    }
    if !output.events.is_empty() {
        let events: Vec<Value> = output.events.iter().map(stored_event_value).collect();
        object.insert("events".into(), events.into());
    }
    if let Some(code) = output.exit_code {
        object.insert("exitCode".into(), code.into());
    }
    if !output.trailers.is_empty() {
        object.insert("trailers".into(), headers_value(&output.trailers));
    }
    Value::Object(object)
}

fn input_event_value(stored: &StoredEvent) -> Value {
    let mut event = stored.to_event();
    match stored.data.as_ref().and_then(lost) {
        None => json!({ "event": event }),
        Some(lost) => {
            event.data = None;
            json!({ "event": event, "lost": lost })
        }
    }
}

fn stored_event_value(event: &StoredEvent) -> Value {
    // Returned events may lack an id, which they get when they are sent.
    serde_json::to_value(event.to_event()).unwrap_or_default()
}

/// A list of pairs, because order and repetition matter in HTTP.
fn headers_value(headers: &[Header]) -> Value {
    let pair = |header: &Header| json!([header.name, String::from_utf8_lossy(&header.value)]);
    headers.iter().map(pair).collect::<Vec<_>>().into()
}

/// JSON where it is JSON, else text, else base 64; always with the size, so that a body that was
/// not kept (`dropped`) or is gone (`lost`) can be told from an empty one.
pub(crate) fn body_value(body: &Body) -> Value {
    let mut object = Map::new();
    object.insert("size".into(), body.size.into());
    if body.dropped {
        object.insert("dropped".into(), true.into());
        return Value::Object(object);
    }
    if let Some(lost) = lost(body) {
        object.insert("lost".into(), lost.into());
    }
    if body.inline.is_empty() {
        return Value::Object(object);
    }
    let (key, value) = bytes_value(&body.inline);
    object.insert(key.into(), value);
    Value::Object(object)
}

pub(crate) fn bytes_value(bytes: &Bytes) -> (&'static str, Value) {
    let looks_like_json = bytes.first().is_some_and(|first| b"{[\"".contains(first));
    if looks_like_json && let Ok(value) = serde_json::from_slice::<Value>(bytes) {
        return ("json", value);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => ("text", text.into()),
        Err(_) => ("base64", base64::engine::general_purpose::STANDARD.encode(bytes).into()),
    }
}
