//! What to do about the failures that people meet most.

use nexus_model::Code;

/// A hint for a code, where the server or the recording gave none.
pub fn hint_for(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::Unauthenticated => {
            "pass a token with --token or NEXUS_TOKEN; a server keeps one in the file `token` of its \
             data folder, `nexus dev` in .nexus/token"
        }
        Code::Forbidden => "`nexus tokens create` makes a token with other scopes",
        Code::NoRoute => "`nexus functions` lists the functions and their URLs",
        Code::GuestTrapped => {
            "`nexus invocations show` prints the backtrace, which names the place"
        }
        Code::GuestTimedOut => {
            "raise the function's `timeout`, or see in the journal what it waited for"
        }
        Code::GuestOutOfMemory => "raise the function's `memory`",
        Code::GuestNoAnswer => "a handler has to set its response before it returns",
        Code::OutputTooLarge => "`nexus limits` lists the limits; stream large answers over HTTP",
        Code::EgressDenied => "add the host to the function's `allow-hosts`",
        Code::Overloaded | Code::RecordingPressure | Code::ShuttingDown => "try again in a moment",
        Code::Throttled => "raise the function's `concurrency`, or call it less often",
        Code::TooLarge => "`nexus limits` lists the limits",
        Code::WasiP3 => "build the component for WASI 0.2, such as with the target wasm32-wasip2",
        Code::CursorExpired => "list again from the start",
        Code::DataLocked => "stop the other server, or choose another folder with --data",
        Code::NewerFormat => "run the version of Nexus that wrote it, or a newer one",
        Code::Internal => "this is a defect of Nexus: please report it with the request id",
        _ => return None,
    })
}

/// Why an invocation cannot be replayed, without the words that say that it cannot.
pub(crate) fn reason_of(detail: &str) -> &str {
    let reason = detail.strip_prefix("not replayable: ").unwrap_or(detail);
    reason.strip_prefix("not exact: ").unwrap_or(reason)
}
