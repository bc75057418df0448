//! What can go wrong.

use std::path::PathBuf;

use nexus_model::units::exact_duration;
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
    /// The checkpoint is of a log that went further: files of the log were lost, or replaced by older
    /// ones. Going on would repeat work and give numbers of records twice.
    #[error(
        "the log ends with record {durable}, and the checkpoint {} is of record {position}",
        path.display()
    )]
    LogShorter {
        /// The checkpoint.
        path: PathBuf,
        /// The record that it is of.
        position: u64,
        /// The last record of the log.
        durable: u64,
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
    #[error("{}, the limit is {limit}: events are not accepted now", unfinished(*pending as u64))]
    Full {
        /// How many there are.
        pending: usize,
        /// The limit.
        limit: usize,
    },
    /// The queue of a function or trigger that an event would go to is full.
    #[error(
        "{}, which is the limit of the queue of {}",
        unfinished(u64::from(*limit)),
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
    #[error(
        "{}, the limit is {limit}",
        counted(*scheduled as u64, ("event is scheduled", "events are scheduled"))
    )]
    SchedulesFull {
        /// How many there are.
        scheduled: usize,
        /// The limit.
        limit: usize,
    },
    /// An event is scheduled too far ahead.
    #[error(
        "the event is scheduled for {due}, which is more than {} ahead",
        exact_duration(*limit)
    )]
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
    #[error(
        "{} for invocation {invocation}, which is the limit (`signals-waiting-max`): this one was not \
         taken",
        counted(*limit as u64, ("signal waits", "signals wait"))
    )]
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
            Error::LogShorter { .. } => false,
        }
    }
}

/// `1 event is scheduled`, `2 events are scheduled`.
pub(crate) fn counted(count: u64, (one, many): (&str, &str)) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn unfinished(count: u64) -> String {
    counted(count, ("delivery is unfinished", "deliveries are unfinished"))
}

fn lane_name(function: &str, trigger: &str) -> String {
    match trigger {
        "" => format!("function '{function}'"),
        trigger => format!("trigger '{trigger}' of function '{function}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_sentences() {
        let texts = |error: Error| error.to_string();
        let full = |pending, limit| texts(Error::Full { pending, limit });
        assert_eq!(
            full(1, 1),
            "1 delivery is unfinished, the limit is 1: events are not accepted now"
        );
        assert!(full(2, 2).starts_with("2 deliveries are unfinished"));
        let (function, trigger) = ("f".to_owned(), String::new());
        assert_eq!(
            texts(Error::QueueFull { function, trigger, limit: 1 }),
            "1 delivery is unfinished, which is the limit of the queue of function 'f'"
        );
        let (due, limit) = (Timestamp::EPOCH, nexus_model::limits::SCHEDULE_AHEAD_MAX);
        assert_eq!(
            texts(Error::TooFarAhead { due, limit }),
            "the event is scheduled for 1970-01-01T00:00:00Z, which is more than 1825d ahead"
        );
    }
}
