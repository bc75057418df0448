//! A journal for people.

use bytes::Bytes;
use nexus_model::view::JournalEntryView;

use super::{Error, Function, Journal, Outcome, Player};

/// The entries of an encoded journal, with short summaries and the times of those that waited.
///
/// # Errors
/// The journal cannot be read.
pub fn entries(bytes: &Bytes) -> Result<Vec<JournalEntryView>, Error> {
    let journal = Journal::decode(bytes)?;
    let count = journal.operations;
    let waits = journal.waits.clone();
    let mut waits = waits.into_iter().peekable();
    let mut player = Player::new(journal);
    let mut views = Vec::new();
    let mut last_ns = 0;
    for operation in 0..count {
        let (function, arguments, text, outcome) =
            player.skip().ok_or(Error::Malformed { part: "entries" })?;
        let mut duration_ns = 0;
        if let Some((_, began, waited)) = waits.next_if(|(at, ..)| *at == operation) {
            last_ns = began.saturating_add(waited);
            duration_ns = waited;
        } else if let (Function::MonotonicNow, Outcome::Clock(ns)) = (function, &outcome) {
            last_ns = u64::try_from(*ns).unwrap_or(last_ns);
        }
        views.push(JournalEntryView {
            operation,
            function: function.name().to_owned(),
            summary: summary(function, arguments, &text, &outcome),
            at_ns: last_ns,
            duration_ns,
        });
    }
    Ok(views)
}

fn summary(function: Function, arguments: u64, text: &str, outcome: &Outcome) -> String {
    let arguments = match function {
        Function::SubscribeDuration => format!("{} ms", arguments / 1_000_000),
        Function::RandomBytes | Function::InsecureBytes => format!("{arguments} bytes"),
        Function::GrowRefused => format!("to {arguments} bytes: refused"),
        Function::TableRefused => format!("to {arguments} elements: refused"),
        Function::Poll => format!("{arguments} asked for"),
        _ => text.to_owned(),
    };
    match (arguments.is_empty(), outcome.summary()) {
        (true, result) => result,
        (false, result) if result.is_empty() => arguments,
        (false, result) => format!("{arguments} → {result}"),
    }
}
