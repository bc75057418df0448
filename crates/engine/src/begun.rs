//! Invocations that have begun and did not end by themselves, or not yet, in the form of a record.

use nexus_model::record::{Failure, Input, InvocationRecord, StartedRecord, Status, input};
use nexus_model::{Code, Timestamp};

use crate::settings::Settings;
use crate::shard::Run;

/// The end of an invocation whose node stopped, or that was cancelled while it slept.
pub(crate) fn end_of(
    (run, lane): (&Run, &Settings),
    cancelled: bool,
    now: Timestamp,
) -> InvocationRecord {
    let (status, code) = match cancelled {
        true => (Status::Cancelled, Code::Cancelled),
        false => (Status::Crashed, Code::Crashed),
    };
    let failure = Failure {
        code: code.as_str().to_owned(),
        message: code.title().to_owned(),
        ..Failure::default()
    };
    InvocationRecord {
        failure: Some(failure),
        not_replayable: "it did not end by itself, so its journal was not kept whole".to_owned(),
        ..record((run, lane), status, now)
    }
}

/// What is known of one that goes on.
pub(crate) fn so_far((run, lane): (&Run, &Settings), now: Timestamp) -> InvocationRecord {
    let status = match run.suspension {
        Some(_) => Status::Suspended,
        None => Status::Running,
    };
    InvocationRecord {
        not_replayable: "it has not ended".to_owned(),
        ..record((run, lane), status, now)
    }
}

fn record((run, lane): (&Run, &Settings), status: Status, now: Timestamp) -> InvocationRecord {
    let (started, at_ns) = (&run.started, now.unix_ns());
    let mut record = InvocationRecord {
        status: status.into(),
        input: input_of(started, lane),
        pieces: run.pieces.clone(),
        ..started.invocation(at_ns)
    };
    record.timings.total_ns = u64::try_from(at_ns - started.started_ns).unwrap_or(0);
    record
}

/// The event as it stands in the log, unless the function got something else: a transformation may be
/// there to remove something. Of a durable invocation it is known what it was; of others it is taken for
/// what the lane says now.
fn input_of(started: &StartedRecord, lane: &Settings) -> Option<Input> {
    let as_it_is = match started.durable {
        true => started.transform.is_empty() && !started.batched,
        false => lane.transform.is_none() && lane.batch.is_none(),
    };
    let event = Some(&started.meta.cause_event).filter(|id| as_it_is && !id.is_empty())?;
    Some(Input { form: Some(input::Form::EventRef(event.clone())) })
}
