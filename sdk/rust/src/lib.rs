//! Functions for Nexus. An event function handles one CloudEvent ([`event!`]), an HTTP function one
//! request ([`http!`]); either runs in a fresh instance for each call.
//!
//! ```ignore
//! use nexus_sdk::{Error, Event, Output};
//!
//! fn handle(order: Event<serde_json::Value>) -> Result<Output, Error> {
//!     nexus_sdk::info!("an order", id = order.id);
//!     Ok(Output::none())
//! }
//!
//! nexus_sdk::event!(handle);
//! ```
#![warn(missing_docs)]

#[doc(hidden)]
#[allow(warnings, clippy::all, reason = "generated")]
#[rustfmt::skip]
pub mod bindings;
#[cfg(feature = "json")]
mod aggregate;
mod calls;
pub mod context;
pub mod durable;
mod error;
mod event;
pub mod http;
pub mod log;
pub mod state;

#[cfg(feature = "json")]
pub use aggregate::{Aggregate, Loaded};
pub use calls::{CallError, Start, State, call, call_all, outcome, start};
pub use error::{Error, Permanent};
pub use event::{Event, FromData, IntoOutput, Output, ToData, emit};

#[doc(hidden)]
pub mod __private {
    pub use crate::event::run_event;
    pub use crate::http::run_http;
    pub use wasip2;
}

/// Makes a function the component's event handler: any `fn(Event<T>) -> R` where `T` is what the
/// data is ([`FromData`]) and `R` what comes of it ([`IntoOutput`]), or a `Result` of it with
/// [`Error`].
#[macro_export]
macro_rules! event {
    ($handler:path) => {
        struct NexusEventHandler;

        impl $crate::bindings::exports::nexus::function::handler::Guest for NexusEventHandler {
            fn handle(
                event: $crate::bindings::exports::nexus::function::handler::Event,
            ) -> ::std::result::Result<
                $crate::bindings::exports::nexus::function::handler::Output,
                $crate::bindings::exports::nexus::function::handler::Error,
            > {
                $crate::__private::run_event(event, $handler)
            }
        }

        $crate::bindings::export!(NexusEventHandler with_types_in $crate::bindings);
    };
}

/// Makes a function the component's HTTP handler: any `fn(Request) -> R` where `R` is a
/// [`http::Response`] or a `Result` of one with [`Error`].
#[macro_export]
macro_rules! http {
    ($handler:path) => {
        struct NexusHttpHandler;

        impl $crate::__private::wasip2::exports::http::incoming_handler::Guest for NexusHttpHandler {
            fn handle(
                request: $crate::__private::wasip2::exports::http::incoming_handler::IncomingRequest,
                out: $crate::__private::wasip2::exports::http::incoming_handler::ResponseOutparam,
            ) {
                $crate::__private::run_http(request, out, $handler)
            }
        }

        $crate::__private::wasip2::http::proxy::export!(
            NexusHttpHandler with_types_in $crate::__private::wasip2
        );
    };
}
