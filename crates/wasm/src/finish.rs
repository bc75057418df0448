//! From what was kept of a run to how it ended.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nexus_exec::journal::{self, Ending, Mask, MaskPlace};
use nexus_exec::{CallContext, CapturedBody, Ended, Unit};
use nexus_model::record::{Failure, Meter, Status, StoredEvent, Timings};
use nexus_model::resource::World;
use nexus_model::{Code, Event, limits};
use nexus_wit::{handler, types};
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::debug::demangle;
use crate::drive::Interrupted;
use crate::event;
use crate::host::{HeadersTooLarge, OutputTooLarge, fields};
use crate::invoke::{Executed, Returned, Stopped, nanoseconds};
use crate::ledger::{Answer, Ledger, Tape};

/// What is known about an invocation besides its run.
pub(crate) struct Facts<'a> {
    pub(crate) unit: &'a Unit,
    pub(crate) context: &'a CallContext,
    pub(crate) event: Option<&'a Event>,
    pub(crate) stdin: Bytes,
    pub(crate) timeout: Duration,
    /// An answer whose body the guest did not finish is no failure. Recordings say that such calls
    /// succeeded where they were made before it was one.
    pub(crate) lenient: bool,
}

/// Adds what a run took and used.
pub(crate) fn measured(ended: Ended, ledger: &Ledger, executed: &Executed) -> Ended {
    let operations = ledger.operations();
    Ended {
        timings: Timings {
            instantiate_ns: nanoseconds(executed.instantiate),
            guest_ns: nanoseconds(executed.guest),
            first_answer_ns: nanoseconds(
                ledger
                    .answer
                    .at
                    .map_or(executed.guest, |at| at.saturating_duration_since(executed.started)),
            ),
            ..Timings::default()
        },
        meter: Meter {
            cpu_ns: nanoseconds(executed.busy),
            memory_peak_bytes: executed.memory_peak as u64,
            memory_grown_pages: (executed.grown >> 16) as u64,
            host_calls: u64::from(operations),
            bytes_out: ledger.output.size,
            fuel: executed.fuel,
            ..Meter::default()
        },
        memory_hash: executed.memory_hash,
        ..ended
    }
}

/// Puts together how an invocation ended.
pub(crate) fn finish(ledger: Ledger, executed: Executed, facts: Facts<'_>) -> Ended {
    let operations = ledger.operations();
    let mut ended = measured(Ended::default(), &ledger, &executed);
    let in_flight = ledger.in_flight;
    let (answer, output, input) = (ledger.answer, ledger.output, ledger.input);
    if let Some((status, headers)) = &answer.head {
        ended.http_status = *status;
        ended.headers = fields(headers);
        ended.trailers = answer.trailers.as_ref().map(fields).unwrap_or_default();
    }
    ended.output = output.finish();
    ended.input_body = input.finish();
    if ended.input_body.size == 0 {
        let data = facts.event.map_or(Some(&facts.stdin), |event| event.data.as_ref());
        ended.input_body = whole(data.cloned().unwrap_or_default());
    }
    ended.meter.bytes_in = ended.input_body.size;
    (ended.logs, ended.logs_dropped) = ledger.logs.finish(operations);
    let ending = match executed.result {
        Ok(returned) => {
            returned_status(&mut ended, returned, (&facts, &answer));
            Ending::Returned
        }
        Err(stopped) => {
            let waited = in_flight.map(|function| function.name());
            let known = (&facts, &answer);
            let ending = stopped_status(&mut ended, stopped, (executed.refused, waited), known);
            if let Some(failure) = &mut ended.failure {
                failure.offsets = executed.places;
            }
            ending
        }
    };
    let masks = mask_secrets(&mut ended, facts.unit);
    if let Tape::Record(recorder) = ledger.tape {
        if recorder.overflowed() {
            ended.not_replayable = format!("journal > {} MiB", limits::JOURNAL_BYTES_MAX >> 20);
        } else {
            let secrets = secrets(facts.unit);
            let flight = in_flight.filter(|_| ending.is_struck());
            ended.journal = recorder.finish(ending, flight, &secrets, &masks);
        }
        if ended.input_body.dropped {
            ended.not_replayable =
                format!("input body > {} MiB", limits::RECORD_BODY_BYTES_MAX >> 20);
        }
    }
    ended
}

/// A body that came in one piece.
fn whole(bytes: Bytes) -> CapturedBody {
    if bytes.is_empty() {
        return CapturedBody::default();
    }
    let pieces = vec![bytes.len() as u32];
    CapturedBody { size: bytes.len() as u64, pieces, bytes, dropped: false }
}

/// What Wasmtime says where a store holds too many handles.
const HANDLES_FULL: &str = "store handle limit exceeded";

/// Cuts what a function says of its failure. What was cut is not cut again.
pub(crate) fn shorten(message: &mut String) {
    const MARK_BYTES: usize = 64;
    if message.len() > limits::FAILURE_BYTES_MAX + MARK_BYTES {
        let cut = message.floor_char_boundary(limits::FAILURE_BYTES_MAX);
        let left = message.len() - cut;
        message.truncate(cut);
        message.push_str(&format!("… ({left} bytes cut)"));
    }
}

fn fail(ended: &mut Ended, status: Status, code: Code, mut message: String) {
    shorten(&mut message);
    ended.status = status;
    ended.failure = Some(Failure { code: code.as_str().to_owned(), message, ..Failure::default() });
}

fn returned_status(ended: &mut Ended, returned: Returned, (facts, answer): (&Facts<'_>, &Answer)) {
    ended.status = Status::Succeeded;
    match returned {
        Returned::Http => http_status(ended, facts, answer),
        Returned::Command(success) => exit_status(ended, i32::from(!success)),
        Returned::Event(Ok(output)) => event_output(ended, output, facts),
        Returned::Event(Err(types::Error::Transient(message))) => {
            fail(ended, Status::Failed, Code::GuestFailed, message);
        }
        Returned::Event(Err(types::Error::Permanent(message))) => {
            fail(ended, Status::Refused, Code::GuestRefused, message);
        }
    }
}

fn http_status(ended: &mut Ended, facts: &Facts<'_>, answer: &Answer) {
    if let Some(code) = &answer.refused {
        let message = format!("the function answered with the error {code}");
        return fail(ended, Status::Failed, Code::GuestFailed, message);
    }
    if ended.http_status == 0 {
        let message = "the function returned without setting a response".to_owned();
        return fail(ended, Status::Failed, Code::GuestNoAnswer, message);
    }
    if let Some((_, media_type)) = ended.headers.iter().find(|(name, _)| name == "content-type") {
        ended.content_type = String::from_utf8_lossy(media_type).into_owned();
    }
    if answer.is_unfinished() && !facts.lenient {
        let mut message = "the function ended before its answer was complete".to_owned();
        // What it said last is the best that is known of the reason.
        if let Some(last) = ended.logs.iter().rfind(|line| line.level == "error") {
            message = format!("{message}: {}", last.text);
        }
        return fail(ended, Status::Failed, Code::GuestFailed, message);
    }
    if facts.event.is_none() {
        return;
    }
    // For an event the answer's status is the outcome. What only time can heal is tried again.
    let message = || format!("the function answered the event with status {}", ended.http_status);
    match ended.http_status {
        200..=299 => {}
        408 | 425 | 429 | 500.. => {
            let message = message();
            fail(ended, Status::Failed, Code::GuestFailed, message);
        }
        _ => {
            let message = message();
            fail(ended, Status::Refused, Code::GuestRefused, message);
        }
    }
}

fn exit_status(ended: &mut Ended, code: i32) {
    ended.exit_code = Some(code);
    ended.status = Status::Succeeded;
    if std::str::from_utf8(&ended.output.bytes).is_ok() {
        ended.content_type = "text/plain; charset=utf-8".to_owned();
    }
    if code != 0 {
        let message = format!("the command ended with exit code {code}");
        fail(ended, Status::Failed, Code::GuestFailed, message);
    }
}

fn event_output(ended: &mut Ended, output: handler::Output, facts: &Facts<'_>) {
    if let Some(payload) = output.payload {
        if payload.data.len() > limits::OUTPUT_BYTES_MAX {
            let message = format!(
                "a result of {} bytes exceeds the limit of {}",
                payload.data.len(),
                limits::OUTPUT_BYTES_MAX
            );
            return fail(ended, Status::Refused, Code::OutputTooLarge, message);
        }
        if payload.content_type.len() > limits::MEDIA_TYPE_BYTES_MAX {
            let message = format!(
                "the media type of the result has {} bytes; the limit is {}",
                payload.content_type.len(),
                limits::MEDIA_TYPE_BYTES_MAX
            );
            return fail(ended, Status::Refused, Code::OutputTooLarge, message);
        }
        ended.content_type = payload.content_type;
        ended.meter.bytes_out = payload.data.len() as u64;
        ended.output = whole(Bytes::from(payload.data));
    }
    if output.events.len() > limits::EMITTED_EVENTS_MAX {
        let message = format!(
            "{} events returned; the limit is {}",
            output.events.len(),
            limits::EMITTED_EVENTS_MAX
        );
        return fail(ended, Status::Refused, Code::OutputTooLarge, message);
    }
    let mut size = 0;
    for (index, event) in output.events.into_iter().enumerate() {
        size += event.data.as_ref().map_or(0, Vec::len);
        if size > limits::BATCH_BYTES_MAX {
            ended.events.clear();
            let limit = limits::BATCH_BYTES_MAX;
            let message = format!("the returned events hold more than {limit} bytes, the limit");
            return fail(ended, Status::Refused, Code::OutputTooLarge, message);
        }
        match event::from_guest(event, facts.context, ("return", index)) {
            Ok(event) => ended.events.push(StoredEvent::from(&event)),
            Err(reason) => {
                ended.events.clear();
                let message = format!("the returned event {index} is not valid: {reason}");
                return fail(ended, Status::Refused, Code::BadEvent, message);
            }
        }
    }
}

fn stopped_status(
    ended: &mut Ended,
    stopped: Stopped,
    (refused, waited): (bool, Option<&'static str>),
    (facts, answer): (&Facts<'_>, &Answer),
) -> Ending {
    let waiting = waited.map(|name| format!(" while it waited in {name}")).unwrap_or_default();
    let error = match stopped {
        Stopped::Interrupted(Interrupted::TimedOut) => {
            let message =
                format!("the function ran longer than its timeout of {:?}{waiting}", facts.timeout);
            fail(ended, Status::TimedOut, Code::GuestTimedOut, message);
            return Ending::TimedOut;
        }
        Stopped::Interrupted(Interrupted::Cancelled) => {
            let message = format!("the invocation was cancelled{waiting}");
            fail(ended, Status::Cancelled, Code::Cancelled, message);
            return Ending::Cancelled;
        }
        Stopped::Interrupted(Interrupted::Starved) => {
            let message = "the server has no memory left: the function was stopped when it asked \
                           for more";
            fail(ended, Status::OutOfMemory, Code::Overloaded, message.to_owned());
            return Ending::Cancelled;
        }
        Stopped::Failed(error) => error,
    };
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        match facts.unit.world {
            World::Command => exit_status(ended, exit.0),
            _ if exit.0 == 0 => returned_status(ended, Returned::Http, (facts, answer)),
            _ => {
                let message = format!("the function left with exit code {}", exit.0);
                fail(ended, Status::Trapped, Code::GuestTrapped, message);
            }
        }
        return Ending::Returned;
    }
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        let message = "the pool of instances has no room for one of this component now";
        fail(ended, Status::Rejected, Code::Overloaded, message.to_owned());
    } else if error.is::<OutputTooLarge>() || error.is::<HeadersTooLarge>() {
        fail(ended, Status::Trapped, Code::OutputTooLarge, error.root_cause().to_string());
    } else if refused {
        let limit = facts.unit.limits.memory_bytes;
        let message = format!("the function needed more memory than its limit of {limit} bytes");
        fail(ended, Status::OutOfMemory, Code::GuestOutOfMemory, message);
    } else {
        let message = match error.downcast_ref::<Trap>() {
            Some(trap) => trap.to_string(),
            None => match error.root_cause().to_string() {
                full if full.contains(HANDLES_FULL) => format!(
                    "the function held more than {} requests, streams and open files at once",
                    limits::HANDLES_MAX
                ),
                other => other,
            },
        };
        fail(ended, Status::Trapped, Code::GuestTrapped, message);
    }
    if let (Some(failure), Some(trace)) =
        (&mut ended.failure, error.downcast_ref::<WasmBacktrace>())
    {
        failure.backtrace = trace.frames().iter().map(frame).collect();
    }
    Ending::Trapped
}

fn frame(frame: &wasmtime::FrameInfo) -> String {
    let module = frame.module().name().unwrap_or("wasm");
    match frame.func_name() {
        Some(name) => format!("{module}!{}", demangle(name)),
        None => format!("{module}!function {}", frame.func_index()),
    }
}

/// Values of secrets with the place of their variable.
pub(crate) fn secrets(unit: &Unit) -> Vec<(u32, &[u8])> {
    unit.env
        .iter()
        .enumerate()
        .filter(|(_, var)| var.secret.is_some())
        .map(|(at, var)| (at as u32, var.value.as_bytes()))
        .collect()
}

/// Masks known secret values in everything that is kept. The masked places of the input are given
/// back: a replay needs the bytes as the guest saw them.
fn mask_secrets(ended: &mut Ended, unit: &Unit) -> Vec<Mask> {
    let mut masks = Vec::new();
    for (env, secret) in secrets(unit) {
        mask_bytes(&mut ended.output.bytes, secret, |_| {});
        mask_bytes(&mut ended.input_body.bytes, secret, |offset| {
            masks.push(Mask { place: MaskPlace::Input, offset: offset as u32, env });
        });
        for (_, value) in ended.headers.iter_mut().chain(&mut ended.trailers) {
            mask_bytes(value, secret, |_| {});
        }
        for line in &mut ended.logs {
            mask_text(&mut line.text, secret);
            mask_text(&mut line.fields, secret);
        }
        if let Some(failure) = &mut ended.failure {
            mask_text(&mut failure.message, secret);
        }
        for event in &mut ended.events {
            if let Some(data) = &mut event.data {
                mask_bytes(&mut data.inline, secret, |_| {});
            }
        }
    }
    masks
}

fn mask_bytes(bytes: &mut Bytes, secret: &[u8], mut found: impl FnMut(usize)) {
    let mut any = false;
    let mut copy = BytesMut::from(&bytes[..]);
    journal::mask(&mut copy, secret, |offset| {
        any = true;
        found(offset);
    });
    if any {
        *bytes = copy.freeze();
    }
}

pub(crate) fn mask_text(text: &mut String, secret: &[u8]) {
    let Ok(secret) = std::str::from_utf8(secret) else { return };
    if secret.len() >= journal::MASKED_SECRET_BYTES_MIN && text.contains(secret) {
        *text = text.replace(secret, &"*".repeat(secret.len()));
    }
}
