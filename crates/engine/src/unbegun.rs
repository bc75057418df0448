//! Calls that are decided without an attempt: cancelled, given up or taken back before they began.
//! Whoever made one has the id of its invocation, so that is recorded beside the decision: it is found
//! by its id and stands in lists like any other.

use bytes::Bytes;
use nexus_model::Code;
use nexus_model::record::{
    DeliveryDecision, DeliveryRecord, EventRecord, Failure, Input, InvocationRecord, Level, Meta,
    ScheduleRecord, Status, Trigger, input,
};

use crate::outgoing::INVOKE_TYPE;

/// The invocation of a call about which something was decided instead of its first attempt.
pub(crate) fn of_event(event: &EventRecord, decided: &DeliveryRecord) -> InvocationRecord {
    InvocationRecord {
        function: event.target.clone(),
        accepted_ns: event.received_ns,
        chain: event.links(),
        input: Some(Input { form: Some(input::Form::EventRef(event.id.clone())) }),
        ..record((&event.id, &event.meta), decided)
    }
}

/// The same of a call that was to begin later; `None` where it was to be an event, not a call.
pub(crate) fn of_schedule(
    schedule: &ScheduleRecord,
    decided: &DeliveryRecord,
) -> Option<InvocationRecord> {
    (schedule.event.ty == INVOKE_TYPE).then(|| InvocationRecord {
        function: schedule.target.clone(),
        accepted_ns: schedule.received_ns,
        chain: schedule.chain,
        input: Some(Input { form: Some(input::Form::Event(schedule.event.clone())) }),
        ..record((&schedule.id, &schedule.meta), decided)
    })
}

fn record((id, meta): (&Bytes, &Meta), decided: &DeliveryRecord) -> InvocationRecord {
    let (status, code) = match decided.decision() {
        DeliveryDecision::Cancelled => (Status::Cancelled, Code::Cancelled),
        DeliveryDecision::Duplicate => (Status::Rejected, Code::Conflict),
        _ => (Status::Rejected, Code::parse(&decided.code).unwrap_or(Code::GuestFailed)),
    };
    let message = match decided.reason.is_empty() {
        true => code.title().to_owned(),
        false => decided.reason.clone(),
    };
    let mut record = InvocationRecord {
        id: id.clone(),
        meta: meta.clone(),
        // No attempt.
        attempt: 0,
        ended_ns: decided.at_ns,
        failure: Some(Failure { code: code.as_str().to_owned(), message, ..Failure::default() }),
        not_replayable: "it never began".to_owned(),
        ..InvocationRecord::default()
    };
    record.set_trigger(Trigger::Event);
    record.set_status(status);
    record.set_level(Level::None);
    record
}
