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
