//! Waiting for hours or days without costing anything. Only in functions with `durable = true`; the
//! function goes on in a fresh instance that has done all the same again.

use std::time::Duration;

use crate::bindings::nexus::function::durable as host;
use crate::{Error, FromData};

/// Sleeps. The time is not counted against the timeout.
pub fn sleep(duration: Duration) -> Result<(), Error> {
    host::sleep(milliseconds(duration)).map_err(error)
}

/// Waits for a signal of this name (`nexus signal`), or takes one that came before.
pub fn signal<T: FromData>(name: &str) -> Result<T, Error> {
    match host::wait_signal(name, None).map_err(error)? {
        Some(payload) => T::from_data(payload.data),
        // Only a timeout ends a wait without a signal.
        None => Err(Error::transient(format!("no signal {name}"))),
    }
}

/// The same for at most so long; `None` when no signal came.
pub fn signal_within<T: FromData>(name: &str, timeout: Duration) -> Result<Option<T>, Error> {
    let found = host::wait_signal(name, Some(milliseconds(timeout))).map_err(error)?;
    found.map(|payload| T::from_data(payload.data)).transpose()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn error(error: host::DurableError) -> Error {
    match error {
        host::DurableError::NotDurable => {
            Error::permanent("the function is not durable: set durable = true")
        }
        host::DurableError::Invalid(reason) => Error::permanent(reason),
        host::DurableError::Unavailable(reason) => Error::transient(reason),
    }
}
