//! From an invocation that ended to the record that is kept of it.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use nexus_exec::{CapturedBody, Ended, Recording, mask_input};
use nexus_model::record::{
    Body, CommandInput, Failure, Header, HttpInput, Input, InvocationRecord, Level, Meta, Output,
    Record, Status, StoredEvent, Trigger, input,
};
use nexus_model::resource::{RecordPolicy, World};
use nexus_model::{Code, Event, EventId, InvocationId, Principal, Timestamp, limits};

use crate::catalog::Function;
use crate::loaded::{LoadTimes, Loaded};
use crate::{Error, Node};

/// Why nothing but a row was kept: nobody wanted more.
pub(crate) const OFF: &str = "recording is off";
/// Why nothing but a row was kept: chance.
pub(crate) const NOT_SAMPLED: &str = "not in the sample";
/// Why nothing but a row was kept: it succeeded.
pub(crate) const ONLY_ERRORS: &str = "only errors are recorded";

/// What the caller of an invocation knows before it begins.
pub(crate) struct Facts {
    pub(crate) id: InvocationId,
    pub(crate) function: Arc<Function>,
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) trigger: Trigger,
    pub(crate) attempt: u32,
    pub(crate) principal: Principal,
    pub(crate) traceparent: Arc<str>,
    pub(crate) tracestate: Option<Arc<str>>,
    pub(crate) ordering_key: String,
    pub(crate) cause_event: Option<EventId>,
    /// The invocation whose function called.
    pub(crate) cause_invocation: Option<InvocationId>,
    pub(crate) depth: u32,
    /// How many links led to it, through calls and events.
    pub(crate) chain: u32,
    pub(crate) accepted: Timestamp,
    pub(crate) deadline: Timestamp,
    pub(crate) queue_ns: u64,
    pub(crate) load: LoadTimes,
    pub(crate) recording: Recording,
    pub(crate) input: InputHead,
}

/// The part of the input that is known before the guest reads it.
pub(crate) enum InputHead {
    Http { method: http::Method, uri: http::Uri, headers: HeaderMap },
    EventRef(EventId),
    Event(Event),
    Command { arguments: Vec<String> },
}

/// How much of a call is kept while it runs; `errors` is decided at the end (decision 35).
pub(crate) fn recording_of(policy: RecordPolicy, id: InvocationId, verify: bool) -> Recording {
    let full = if verify { Recording::Verify } else { Recording::Full };
    match policy {
        RecordPolicy::Always | RecordPolicy::Durable | RecordPolicy::Errors => full,
        RecordPolicy::Off => Recording::RowOnly,
        RecordPolicy::Sample(share) => {
            let bytes = id.as_bytes();
            let random = u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
            if f64::from(random) < share * f64::from(u32::MAX) { full } else { Recording::RowOnly }
        }
    }
}

impl Facts {
    /// The record of the end. Large bodies are still inside it.
    pub(crate) fn record(self, mut ended: Ended, now: Timestamp) -> InvocationRecord {
        self.judge(&mut ended);
        let total = now.since(self.accepted);
        let kept = match (self.recording, self.loaded.record) {
            (Recording::RowOnly, RecordPolicy::Off) => Err(OFF),
            (Recording::RowOnly, _) => Err(NOT_SAMPLED),
            (_, RecordPolicy::Errors) if ended.status == Status::Succeeded => Err(ONLY_ERRORS),
            _ => Ok(()),
        };
        let load_ns = nanos(self.load.load);
        let cold = match (self.load.cold, ended.timings.load_ns) {
            (true, _) => "first call",
            (false, 0) => "",
            (false, _) => "evicted",
        };
        ended.timings.queue_ns = self.queue_ns;
        ended.timings.fetch_ns += nanos(self.load.fetch);
        ended.timings.load_ns += load_ns;
        ended.timings.total_ns = nanos(total);
        let mut record = InvocationRecord {
            id: bytes_of(self.id.as_bytes()),
            function: self.function.name.to_string(),
            version: bytes_of(self.loaded.version.as_bytes()),
            component: bytes_of(self.loaded.component.as_bytes()),
            executed: self.loaded.executed.map(|at| bytes_of(at.as_bytes())).unwrap_or_default(),
            attempt: self.attempt,
            accepted_ns: self.accepted.unix_ns(),
            ended_ns: now.unix_ns(),
            timings: ended.timings,
            meter: ended.meter,
            logs: std::mem::take(&mut ended.logs),
            logs_dropped: ended.logs_dropped,
            failure: ended.failure.take(),
            cold: cold.to_owned(),
            chain: self.chain,
            memory_hash: ended.memory_hash.map(|hash| bytes_of(&hash)).unwrap_or_default(),
            ..InvocationRecord::default()
        };
        record.set_trigger(self.trigger);
        record.set_status(ended.status);
        record.meta = self.meta();
        match kept {
            Err(reason) => {
                record.set_level(Level::None);
                record.not_replayable = reason.to_owned();
                record.output = (ended.http_status > 0)
                    .then(|| Output { http_status: ended.http_status.into(), ..Output::default() });
            }
            Ok(()) => {
                record.set_level(Level::Exact);
                record.not_replayable = std::mem::take(&mut ended.not_replayable);
                self.payload(&mut record, ended);
            }
        }
        record
    }

    /// An HTTP function that handles an event says with its status how that went. A durable one that
    /// answers a request just answers.
    fn judge(&self, ended: &mut Ended) {
        if self.trigger != Trigger::Event
            || matches!(self.input, InputHead::Http { .. })
            || self.loaded.world != World::Http
            || ended.status != Status::Succeeded
        {
            return;
        }
        let (status, code) = match ended.http_status {
            200..=299 => return,
            408 | 425 | 429 | 500.. => (Status::Failed, Code::GuestFailed),
            _ => (Status::Refused, Code::GuestRefused),
        };
        ended.status = status;
        ended.failure = Some(Failure {
            code: code.as_str().to_owned(),
            message: format!("the function answered {}", ended.http_status),
            ..Failure::default()
        });
    }

    fn meta(&self) -> Meta {
        Meta {
            project: self.function.project.to_string(),
            principal: self.principal.to_string(),
            cause_event: self.cause_event.map(|id| bytes_of(id.as_bytes())).unwrap_or_default(),
            cause_invocation: self
                .cause_invocation
                .map(|id| bytes_of(id.as_bytes()))
                .unwrap_or_default(),
            traceparent: self.traceparent.to_string(),
            ordering_key: self.ordering_key.clone(),
            deadline_ns: self.deadline.unix_ns(),
            tracestate: self.tracestate.as_deref().unwrap_or_default().to_owned(),
        }
    }

    fn payload(self, record: &mut InvocationRecord, ended: Ended) {
        let mut lost = None;
        let mut body = |name: &str, captured: CapturedBody| {
            if captured.dropped {
                lost.get_or_insert(format!("{name} > {} MiB", limits::RECORD_BODY_BYTES_MAX >> 20));
            }
            stored(captured)
        };
        let input_body = body("input body", ended.input_body);
        let output_body = body("output body", ended.output);
        let form = match self.input {
            InputHead::Http { method, uri, headers } => {
                let mut http = http_input(&method, &uri, &headers);
                http.body = input_body;
                http.trailers = pairs(ended.input_trailers);
                input::Form::Http(http)
            }
            InputHead::EventRef(id) => input::Form::EventRef(bytes_of(id.as_bytes())),
            InputHead::Event(event) => input::Form::Event(StoredEvent::from(&event)),
            InputHead::Command { arguments } => {
                input::Form::Command(CommandInput { arguments, stdin: input_body })
            }
        };
        let mut input = Input { form: Some(form) };
        record.input_masks = mask_input(&mut input, self.loaded.prepared.env());
        record.input = Some(input);
        record.output = Some(Output {
            http_status: ended.http_status.into(),
            headers: pairs(ended.headers),
            body: Some(output_body),
            content_type: ended.content_type,
            events: ended.events,
            exit_code: ended.exit_code,
            trailers: pairs(ended.trailers),
        });
        record.journal = Some(Body::inline(ended.journal));
        if let Some(lost) = lost
            && record.not_replayable.is_empty()
        {
            record.not_replayable = lost;
        }
    }
}

pub(crate) fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A short value as the bytes of a record.
pub(crate) fn bytes_of(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn stored(captured: CapturedBody) -> Body {
    Body {
        inline: if captured.dropped { Bytes::new() } else { captured.bytes },
        size: captured.size,
        // One piece is what everybody expects: its length is the body's.
        pieces: if captured.pieces.len() > 1 { captured.pieces } else { Vec::new() },
        dropped: captured.dropped,
        ..Body::default()
    }
}

fn pairs(headers: Vec<(String, Bytes)>) -> Vec<Header> {
    let header = |(name, value)| Header { name, value, sealed: Bytes::new() };
    headers.into_iter().map(header).collect()
}

fn http_input(method: &http::Method, uri: &http::Uri, headers: &HeaderMap) -> HttpInput {
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| Header {
        name: name.as_str().to_owned(),
        value: bytes_of(value.as_bytes()),
        sealed: Bytes::new(),
    };
    HttpInput {
        method: method.as_str().to_owned(),
        scheme: uri.scheme_str().unwrap_or("http").to_owned(),
        authority: uri.authority().map(|at| at.as_str().to_owned()).unwrap_or_default(),
        path_and_query: uri.path_and_query().map_or("/", |at| at.as_str()).to_owned(),
        headers: headers.iter().map(header).collect(),
        body: Body::default(),
        trailers: Vec::new(),
    }
}

impl Node {
    /// Moves large parts to the blob store. What cannot be stored makes the invocation not
    /// replayable; it is never an error of the call, which has ended.
    pub(crate) async fn store_large(&self, record: &mut InvocationRecord) {
        let mut lost = None;
        for body in large_bodies(record) {
            let bytes = std::mem::take(&mut body.inline);
            match self.parts.blobs.put(bytes).await {
                Ok(digest) => body.blob = bytes_of(digest.as_bytes()),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "failed to keep a body"
                    );
                    body.dropped = true;
                    lost = Some(format!("a large body could not be stored: {error}"));
                }
            }
        }
        if let Some(lost) = lost
            && record.not_replayable.is_empty()
        {
            record.not_replayable = lost;
        }
        settle_level(record);
    }

    /// Puts a record into the log's buffer if it has room; otherwise gives it back.
    pub(crate) fn try_keep_record(&self, record: InvocationRecord) -> Option<InvocationRecord> {
        let record = Record::Invocation(Box::new(record));
        match (self.parts.log.record(&record), record) {
            (Err(_), Record::Invocation(record)) => Some(*record),
            _ => None,
        }
    }

    /// Puts a record into the log's buffer. Under pressure it waits for room, unless the log is to
    /// drop and count it then (decision 6).
    pub(crate) async fn keep_record(&self, record: InvocationRecord) {
        let record = Record::Invocation(Box::new(record));
        while let Err(pressure) = self.parts.log.record(&record) {
            tracing::debug!(%pressure, "a recording waits");
            self.under_pressure.store(true, std::sync::atomic::Ordering::Relaxed);
            self.parts.log.ready_to_record().await;
            self.under_pressure.store(false, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Puts a record on disk and waits for it.
    pub(crate) async fn keep_record_durably(&self, record: InvocationRecord) -> Result<(), Error> {
        let id = record.invocation_id();
        let kept = self.parts.log.append_one(&Record::Invocation(Box::new(record))).await;
        kept.map(drop).map_err(|error| {
            let error = Error::new(
                Code::RecordingPressure,
                "the invocation ran, but could not be recorded",
            )
            .with_source(error);
            match id {
                Some(id) => error.with_invocation(id),
                None => error,
            }
        })
    }
}

/// What cannot be replayed has no level.
pub(crate) fn settle_level(record: &mut InvocationRecord) {
    if !record.not_replayable.is_empty() {
        record.set_level(Level::None);
    }
}

/// Whether all of a record may stay in it.
pub(crate) fn is_small(record: &mut InvocationRecord) -> bool {
    large_bodies(record).next().is_none()
}

/// The parts of a record that are too large to stay in it.
fn large_bodies(record: &mut InvocationRecord) -> impl Iterator<Item = &mut Body> {
    record.bodies_mut().filter(|body| body.inline.len() > limits::RECORD_INLINE_BYTES_MAX)
}
