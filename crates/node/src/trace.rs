//! W3C Trace Context: the caller's trace goes on, or a new one begins.

use std::sync::Arc;

use nexus_model::trace::traceparent;
use nexus_model::{EventId, InvocationId};

/// A `traceparent` for an invocation: the caller's trace id, if it sent a valid one, and a span id
/// of the invocation's own. Both come from the invocation's id where there is no caller's.
pub(crate) fn child(parent: Option<&str>, id: InvocationId) -> Arc<str> {
    let number = u128::from_be_bytes(*id.as_bytes());
    // An odd factor keeps different ids different; zero, which is not allowed, cannot come of it.
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let span = ((mixed >> 64) as u64).max(1);
    match parent.and_then(traceparent) {
        Some(at) => format!("00-{}-{span:016x}-{}", at.trace_id, at.flags).into(),
        None => format!("00-{:032x}-{span:016x}-01", mixed.max(1)).into(),
    }
}

/// The `traceparent` of an event: that of whoever sent it, or one that comes from the event's id. So
/// all attempts to handle it belong to one trace.
pub(crate) fn of_event(sent: &str, id: EventId) -> Arc<str> {
    match traceparent(sent) {
        Some(_) => sent.into(),
        None => child(None, InvocationId::from_bytes(*id.as_bytes())),
    }
}

/// The `tracestate` that a record has, if any.
pub(crate) fn state(recorded: &str) -> Option<Arc<str>> {
    (!recorded.is_empty()).then(|| recorded.into())
}

/// The trace id inside a `traceparent`, or nothing.
pub(crate) fn trace_id(text: &str) -> &str {
    traceparent(text).map_or("", |at| at.trace_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_trace_goes_on_and_a_wrong_one_is_replaced() {
        let id = InvocationId::from_bytes([7; 16]);
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let made = child(Some(parent), id);
        assert!(made.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && made.ends_with("-00"));
        assert_ne!(&*made, parent);
        for wrong in ["", "00-0-0-0", &parent.replace("4bf9", "4BF9"), &format!("{parent}-x")] {
            let made = child(Some(wrong), id);
            assert_eq!(made, child(None, id), "{wrong}");
            assert_eq!(trace_id(&made).len(), 32);
        }
    }

    #[test]
    fn all_attempts_of_an_event_are_of_one_trace() {
        let event = EventId::from_bytes([9; 16]);
        let trace = |attempt| child(Some(&of_event("", event)), InvocationId::from_bytes(attempt));
        let (first, second) = (trace([1; 16]), trace([2; 16]));
        assert_ne!(first, second);
        assert_eq!(trace_id(&first), trace_id(&second));
        let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        assert_eq!(&*of_event(sent, event), sent);
    }
}
