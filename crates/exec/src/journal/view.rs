//! A journal for people.

use bytes::Bytes;
use nexus_model::view::JournalEntryView;

use super::{Entry, Error, Function, Journal, Outcome};

/// The entries of an encoded journal, with short summaries and the times of those that waited.
///
/// # Errors
/// The journal cannot be read.
pub fn entries(bytes: &Bytes) -> Result<Vec<JournalEntryView>, Error> {
    let entries = Journal::decode(bytes)?.read_entries()?;
    let view = |(operation, entry): (usize, &Entry)| JournalEntryView {
        operation: operation as u32,
        function: entry.function.name().to_owned(),
        summary: summary(entry.described(), &entry.outcome),
        at_ns: entry.at_ns,
        duration_ns: entry.duration_ns,
    };
    Ok(entries.iter().enumerate().map(view).collect())
}

/// Arguments for people; empty where only a hash of them is known.
pub(super) fn described(function: Function, arguments: u64, text: &str) -> String {
    match function {
        Function::SubscribeDuration => format!("{} ms", arguments / 1_000_000),
        Function::Sleep => format!("{arguments} ms"),
        Function::RandomBytes | Function::InsecureBytes => format!("{arguments} bytes"),
        Function::GrowRefused => format!("to {arguments} bytes: refused"),
        Function::TableRefused => format!("to {arguments} elements: refused"),
        Function::Poll => format!("{arguments} asked for"),
        _ => text.to_owned(),
    }
}

fn summary(arguments: String, outcome: &Outcome) -> String {
    match (arguments.is_empty(), outcome.summary()) {
        (true, result) => result,
        (false, result) if result.is_empty() => arguments,
        (false, result) => format!("{arguments} → {result}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by the last build whose journals had version 1; never changed, only read.
    const VERSION_1: &[u8] = include_bytes!("../../tests/fixtures/journal-v1.bin");

    #[test]
    fn journals_of_version_1_are_read() {
        let bytes = Bytes::from_static(VERSION_1);
        let journal = Journal::decode(&bytes).unwrap();
        assert!(journal.header.verify && !journal.header.durable);
        assert_eq!(journal.header.attempt, 2);
        assert_eq!((journal.operations, journal.masks.len()), (17, 1));
        let shown: Vec<String> = entries(&bytes)
            .unwrap()
            .iter()
            .map(|entry| format!("{} {}", entry.function, entry.summary))
            .collect();
        let expected = [
            "wasi:clocks/wall-clock.now 1795000000.000000500",
            "wasi:clocks/monotonic-clock.now 0.000000700",
            "wasi:random/random.get-random-bytes 16 bytes",
            "wasi:http/outgoing-handler.handle GET http://example.com/",
            "wasi:io/poll.poll 2 asked for → ready: [1, 0]",
            "wasi:http/types.future-incoming-response.get not yet",
            "wasi:http/types.future-incoming-response.get 200, 1 headers",
            "wasi:io/streams.input-stream.blocking-read 19 bytes: a ************ here",
            "wasi:io/streams.input-stream.read end",
            "wasi:http/types.future-trailers.get 1 trailers",
            "wasi:http/types.future-trailers.get no trailers",
            "wasi:http/types.future-incoming-response.get taken before",
            "wasi:http/types.future-incoming-response.get failed: broken",
            "wasi:io/streams.input-stream.read 5 bytes of the input",
            "wasi:io/streams.output-stream.check-write 65536",
            "nexus:function/events.emit evt_1, evt_2",
            "memory.grow to 1073741824 bytes: refused",
        ];
        assert_eq!(shown, expected);
    }

    /// A checksum keeps accidents out, not those who can compute one: whatever stands in a journal,
    /// reading it comes to an end and says what is wrong.
    #[test]
    fn forged_journals_are_read_or_refused() {
        use crate::journal::{CHECKSUM_BYTES, Journal, Player};
        let content = &VERSION_1[..VERSION_1.len() - CHECKSUM_BYTES];
        let mut readable = 0;
        for at in 0..content.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff, content[at] ^ 1, content[at].wrapping_add(1)] {
                let mut forged = content.to_vec();
                forged[at] = byte;
                let checksum = blake3::hash(&forged);
                forged.extend_from_slice(&checksum.as_bytes()[..CHECKSUM_BYTES]);
                let forged = Bytes::from(forged);
                let Ok(mut journal) = Journal::decode(&forged) else { continue };
                journal.unmask(|_| Some(b"a value that is put back"));
                let body = Bytes::from_static(b"of the input");
                let _ = journal.unmask_input(body, |_| Some(b"a value"));
                let _ = entries(&forged);
                let _ = journal.encode();
                let mut player = Player::new(journal.clone());
                let _ = player.next(super::Function::WallNow, 0, "");
                let _ = journal.cut(3);
                readable += 1;
            }
        }
        assert!(readable > content.len(), "{readable} of {} bytes", content.len());
    }
}
