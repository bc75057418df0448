//! What the host knows about the running invocation.

use crate::bindings::nexus::function::context as host;

/// `inv_…`: changes with every attempt.
pub fn invocation_id() -> String {
    host::invocation_id()
}

/// 1 for the first attempt.
pub fn attempt() -> u32 {
    host::attempt()
}

/// The function's name.
pub fn function() -> String {
    host::function()
}

/// The project's name.
pub fn project() -> String {
    host::project()
}

/// The W3C `traceparent` of this invocation.
pub fn traceparent() -> String {
    host::traceparent()
}

/// Milliseconds since the Unix epoch at which the invocation is stopped.
pub fn deadline_ms() -> u64 {
    host::deadline_ms()
}

/// The same text for every attempt to handle the same event with this function: what must not
/// happen twice elsewhere can be named by it. Another one for each direct call.
pub fn idempotency_key() -> String {
    host::idempotency_key()
}

/// Tells those who watch how far the function is: a percentage, if it
/// can be said, and a text.
pub fn progress(percent: impl Into<Option<u8>>, message: impl AsRef<str>) {
    host::progress(percent.into(), message.as_ref());
}
