//! Questions to the history: filters, pages and cursors.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::record::{Status, Trigger};
use crate::{EventId, InvocationId, Timestamp};

/// A half-open stretch of time: `since <= t < until`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TimeRange {
    /// The first moment; `None` for the beginning.
    pub since: Option<Timestamp>,
    /// The moment after the last; `None` for "no end".
    pub until: Option<Timestamp>,
}

impl TimeRange {
    /// Whether `at` lies in the range.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at < until)
    }
}

/// Which events. Every given condition must hold.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct EventFilter {
    /// The project; `None` for all.
    pub project: Option<String>,
    /// When Nexus accepted it.
    pub range: TimeRange,
    /// The type; a trailing `*` matches any ending.
    pub ty: Option<String>,
    /// The source, exactly.
    pub source: Option<String>,
    /// The subject, exactly.
    pub subject: Option<String>,
    /// Caused by this invocation.
    pub cause: Option<InvocationId>,
}

/// Which invocations. Every given condition must hold.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct InvocationFilter {
    /// The project; `None` for all.
    pub project: Option<String>,
    /// When Nexus accepted it.
    pub range: TimeRange,
    /// The function's name.
    pub function: Option<String>,
    /// The function's version.
    pub version: Option<crate::VersionId>,
    /// One of these; empty for all.
    pub statuses: Vec<Status>,
    /// It took at least this long, in nanoseconds.
    pub duration_ns_min: Option<u64>,
    /// It took at most this long, in nanoseconds.
    pub duration_ns_max: Option<u64>,
    /// Set off by one of these; empty for all.
    pub triggers: Vec<Trigger>,
    /// Whether its code had to be loaded first.
    pub cold: Option<bool>,
    /// It belongs to this trace: the bytes of a W3C `trace-id`.
    pub trace: Option<[u8; 16]>,
    /// It handled this event.
    pub event: Option<EventId>,
}

/// The bytes of a W3C `trace-id`: 32 lowercase hexadecimal digits. `None` for anything else.
pub fn parse_trace_id(text: &str) -> Option<[u8; 16]> {
    let lowercase = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let proper = text.len() == 32 && text.bytes().all(lowercase);
    proper.then(|| u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)).flatten()
}

/// A place in a list: "what comes after this". It encodes a position in the log, so it survives
/// sealing; after retention has removed the position, [`CursorError::Expired`] says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Cursor {
    /// The shard.
    pub shard: u16,
    /// The sequence number of the last record that was returned.
    pub sequence: u64,
}

/// Why a cursor cannot be followed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CursorError {
    /// The text is not a cursor.
    #[error("'{text}' is not a cursor: pass the 'next' of the page before, unchanged")]
    Malformed {
        /// What was given.
        text: String,
    },
    /// What it points to is no longer kept.
    #[error("the cursor has expired: what it points to was removed by retention; list again")]
    Expired,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "c1-{:x}-{:x}", self.shard, self.sequence)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let parse = || {
            let (shard, sequence) = text.strip_prefix("c1-")?.split_once('-')?;
            Some(Cursor {
                shard: u16::from_str_radix(shard, 16).ok()?,
                sequence: u64::from_str_radix(sequence, 16).ok()?,
            })
        };
        parse().ok_or_else(|| CursorError::Malformed { text: text.to_owned() })
    }
}

/// One page of a list, newest first unless the call says otherwise.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; absent on the last one. A text for the outside ([`Cursor`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_ids_are_32_digits() {
        let id = parse_trace_id("4bf92f3577b34da6a3ce929d0e0e4736").unwrap();
        assert_eq!((id[0], id[15]), (0x4b, 0x36));
        for wrong in
            ["", "4bf9", "4BF92F3577B34DA6A3CE929D0E0E4736", "+bf92f3577b34da6a3ce929d0e0e4736"]
        {
            assert_eq!(parse_trace_id(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn cursors_print_and_parse() {
        let cursor = Cursor { shard: 3, sequence: u64::MAX };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for wrong in ["", "c1-", "c1-1", "c2-1-1", "c1-x-1"] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
        }
    }
}
