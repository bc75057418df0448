//! What can go wrong.

use std::path::PathBuf;

use nexus_model::{EventId, InvocationId, Timestamp};

/// Why the engine could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log refused an append.
    #[error("failed to append to the log")]
    Append(#[source] nexus_log::Error),
    /// The log could not be read.
    #[error("failed to read the log after record {sequence}")]
    Read {
        /// The last record that was read.
        sequence: u64,
        /// The log's reason.
        #[source]
        source: nexus_log::Error,
    },
    /// The checkpoint could not be written or read.
    #[error("failed to {operation} the checkpoint {}", path.display())]
    Checkpoint {
        /// `read`, `write`, …
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The checkpoint was written by a newer version.
    #[error("the checkpoint has version {found}; this build reads up to {supported}")]
    NewerCheckpoint {
        /// The version in the file.
        found: u32,
        /// The newest that this build reads.
        supported: u32,
    },
    /// Too many deliveries are unfinished to accept more events.
    #[error(
        "{pending} deliveries are unfinished, the limit is {limit}: events are not accepted now"
    )]
    Full {
        /// How many there are.
        pending: usize,
        /// The limit.
        limit: usize,
    },
    /// The queue of a function or trigger that an event would go to is full.
    #[error(
        "{limit} deliveries are unfinished, which is the limit of the queue of {}",
        lane_name(function, trigger)
    )]
    QueueFull {
        /// The function.
        function: String,
        /// The trigger; empty for the function's own.
        trigger: String,
        /// The limit.
        limit: u32,
    },
    /// Too many events are scheduled.
    #[error("{scheduled} events are scheduled, the limit is {limit}")]
    SchedulesFull {
        /// How many there are.
        scheduled: usize,
        /// The limit.
        limit: usize,
    },
    /// An event is scheduled too far ahead.
    #[error("the event is scheduled for {due}, which is more than {limit:?} ahead")]
    TooFarAhead {
        /// When it would happen.
        due: Timestamp,
        /// The limit.
        limit: std::time::Duration,
    },
    /// There is no durable invocation with this id that has not ended.
    #[error("invocation {invocation} is not durable, or has ended")]
    NoInvocation {
        /// The id.
        invocation: InvocationId,
    },
    /// Too many signals wait for an invocation.
    #[error("{limit} signals wait for invocation {invocation}, which is the limit")]
    SignalsFull {
        /// The invocation.
        invocation: InvocationId,
        /// The limit.
        limit: usize,
    },
    /// There is no such dead letter.
    #[error("event {event} is not in the dead letters of {}", lane_name(function, trigger))]
    NotDead {
        /// The event.
        event: EventId,
        /// The function.
        function: String,
        /// The trigger; empty for the function's own.
        trigger: String,
    },
    /// The engine has stopped.
    #[error("the engine has stopped")]
    Stopped,
}

impl Error {
    /// Whether trying again later, unchanged, may help.
    pub fn retryable(&self) -> bool {
        match self {
            Error::Append(source) | Error::Read { source, .. } => source.retryable(),
            Error::Full { .. } | Error::QueueFull { .. } | Error::Stopped => true,
            Error::SchedulesFull { .. } | Error::SignalsFull { .. } => true,
            Error::TooFarAhead { .. } | Error::NoInvocation { .. } | Error::NotDead { .. } => false,
            Error::Checkpoint { .. } | Error::NewerCheckpoint { .. } => false,
        }
    }
}

fn lane_name(function: &str, trigger: &str) -> String {
    match trigger {
        "" => format!("function '{function}'"),
        trigger => format!("trigger '{trigger}' of function '{function}'"),
    }
}
