//! Reading a journal, and playing it to a guest.

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::write::{FLAG_DURABLE, FLAG_VERIFY, Progress, Recorder, clock_of};
use super::{
    CHECKSUM_BYTES, Cursor, Ending, EnvEntry, Error, Function, Header, MAGIC, Mask, MaskPlace,
    Outcome, VERSION,
};

/// What a cut journal has after its last operation.
const CUT: &str = "nothing: the journal was cut here";

/// A journal that was read and whose checksum is right.
#[derive(Clone, Debug)]
pub struct Journal {
    /// What stands before the entries.
    pub header: Header,
    /// How the recording ended.
    pub ending: Ending,
    /// The function that was waiting when it ended, if any.
    pub in_flight: Option<Function>,
    /// How many operations were recorded.
    pub operations: u32,
    /// Where secrets were masked.
    pub masks: Vec<Mask>,
    pub(super) waits: Vec<(u32, u64, u64)>,
    pub(super) entries: Bytes,
}

/// Where a replay differs from its recording.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("operation {operation} ({what}) differs: expected {expected}, found {actual}")]
pub struct Divergence {
    /// The number of the operation, from 0.
    pub operation: u32,
    /// The host function that the recording has there, or `end`.
    pub what: String,
    /// What the recording has.
    pub expected: String,
    /// What the replay did.
    pub actual: String,
}

/// Why a replay stops.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// The guest did something else.
    #[error(transparent)]
    Diverged(#[from] Divergence),
    /// All is replayed up to the moment at which the recording was cut off from outside.
    #[error("replayed up to operation {operations}, where the recording was stopped")]
    Struck {
        /// How many operations were replayed.
        operations: u32,
    },
}

impl Journal {
    /// Reads a journal.
    ///
    /// # Errors
    /// It is damaged, changed, of a newer version, or no journal.
    pub fn decode(bytes: &Bytes) -> Result<Self, Error> {
        if bytes.len() < MAGIC.len() + 1 + CHECKSUM_BYTES || !bytes.starts_with(MAGIC) {
            return Err(Error::Magic);
        }
        let (content, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
        let version = content[MAGIC.len()];
        if blake3::hash(content).as_bytes()[..CHECKSUM_BYTES] != *checksum {
            // A newer version may compute its checksum otherwise.
            return Err(if version > VERSION {
                Error::Version { found: version }
            } else {
                Error::Checksum
            });
        }
        if !(1..=VERSION).contains(&version) {
            return Err(Error::Version { found: version });
        }
        let mut cursor = Cursor::new(bytes.slice(MAGIC.len() + 1..content.len()));
        let header = take_header(&mut cursor).ok_or(Error::Malformed { part: "header" })?;
        let entries = cursor
            .array::<4>()
            .and_then(|length| cursor.take(u32::from_le_bytes(length) as usize))
            .ok_or(Error::Malformed { part: "entries" })?;
        take_end(&mut cursor, header, entries).ok_or(Error::Malformed { part: "end" })
    }

    /// The journal cut after its first `operations` operations, as after a crash.
    ///
    /// # Errors
    /// The entries are malformed.
    pub fn cut(mut self, operations: u32) -> Result<Self, Error> {
        let mut player = Player::new(self.clone());
        for _ in 0..operations.min(self.operations) {
            player.skip().ok_or(Error::Malformed { part: "entries" })?;
        }
        self.entries = self.entries.slice(..player.cursor.at);
        self.operations = player.operation;
        self.ending = Ending::Cut;
        self.in_flight = None;
        Ok(self)
    }

    /// Puts the values of secrets back where they were masked. `value` gives the value of the
    /// environment variable with this place in the header.
    pub fn unmask<'a>(&mut self, value: impl Fn(u32) -> Option<&'a [u8]>) {
        let masks = self.masks.iter().filter(|mask| mask.place == MaskPlace::Entries);
        if masks.clone().next().is_none() {
            return;
        }
        let mut entries = BytesMut::from(&self.entries[..]);
        for mask in masks {
            restore(&mut entries, mask.offset, value(mask.env));
        }
        self.entries = entries.freeze();
    }

    /// The recorded input body with the values of secrets put back.
    pub fn unmask_input<'a>(&self, body: Bytes, value: impl Fn(u32) -> Option<&'a [u8]>) -> Bytes {
        let masks = self.masks.iter().filter(|mask| mask.place == MaskPlace::Input);
        if masks.clone().next().is_none() {
            return body;
        }
        let mut bytes = BytesMut::from(&body[..]);
        for mask in masks {
            restore(&mut bytes, mask.offset, value(mask.env));
        }
        bytes.freeze()
    }
}

/// Puts the value of a secret back where it was masked.
pub(crate) fn restore(bytes: &mut [u8], offset: u32, value: Option<&[u8]>) {
    let Some(value) = value else { return };
    let start = offset as usize;
    if let Some(place) = bytes.get_mut(start..start + value.len()) {
        place.copy_from_slice(value);
    }
}

/// Plays the entries of a journal to a guest, one after the other.
#[derive(Debug)]
pub struct Player {
    cursor: Cursor,
    operation: u32,
    clocks: [i64; 2],
    ending: Ending,
}

/// What stands before an outcome.
struct Call {
    function: Function,
    arguments: u64,
    text: String,
}

impl Player {
    /// Begins at the first entry.
    pub fn new(journal: Journal) -> Self {
        Player {
            clocks: [journal.header.started_ns, 0],
            cursor: Cursor::new(journal.entries),
            operation: 0,
            ending: journal.ending,
        }
    }

    /// How many operations were played.
    pub fn operations(&self) -> u32 {
        self.operation
    }

    /// The last reading of the monotonic clock that was played, in nanoseconds.
    pub fn monotonic_ns(&self) -> u64 {
        self.clocks[1].unsigned_abs()
    }

    /// Goes on with the journal where it ends: what is recorded from now on follows what was
    /// played. `origin` is the zero of the guest's monotonic clock. Only after
    /// [`is_at_end`](Self::is_at_end).
    pub fn go_on(&self, header: &Header, origin: Instant, limit_bytes: usize) -> Recorder {
        let progress = Progress { operations: self.operation, clocks: self.clocks };
        Recorder::go_on((header, &self.cursor.bytes), progress, origin, limit_bytes)
    }

    /// Whether every entry was played.
    pub fn is_at_end(&self) -> bool {
        self.cursor.is_at_end()
    }

    /// The outcome of the next operation, which must be this one.
    ///
    /// # Errors
    /// The recording has another one there, or ends there.
    pub fn next(
        &mut self,
        function: Function,
        arguments: u64,
        text: &str,
    ) -> Result<Outcome, Stop> {
        if self.cursor.is_at_end() {
            return Err(self.after_the_end(function, arguments, text));
        }
        let Some(call) = self.call() else { return Err(self.malformed(function)) };
        if call.function != function || call.arguments != arguments || call.text != text {
            return Err(Stop::Diverged(Divergence {
                operation: self.operation,
                what: call.function.name().to_owned(),
                expected: describe(call.function, call.arguments, &call.text),
                actual: describe(function, arguments, text),
            }));
        }
        let clock = &mut self.clocks[clock_of(function)];
        let Some(outcome) = Outcome::take(&mut self.cursor, clock) else {
            return Err(self.malformed(function));
        };
        self.operation += 1;
        Ok(outcome)
    }

    /// A recorded outcome that the function cannot have given: only a forged journal has one.
    pub fn unexpected(&self, function: Function, outcome: &Outcome) -> Stop {
        Stop::Diverged(Divergence {
            operation: self.operation.saturating_sub(1),
            what: function.name().to_owned(),
            expected: format!("an outcome that does not belong there: {}", outcome.summary()),
            actual: function.name().to_owned(),
        })
    }

    /// Whether the next operation is this one, without playing it.
    pub fn peek(&self, function: Function, arguments: u64) -> bool {
        let mut ahead = Player {
            cursor: self.cursor.clone(),
            operation: 0,
            clocks: [0; 2],
            ending: self.ending,
        };
        ahead.call().is_some_and(|call| call.function == function && call.arguments == arguments)
    }

    /// What the guest left undone, if it ended before the recording did. Of a journal that was cut
    /// nobody knows what the guest did then: its end is never the recorded one.
    pub fn left_over(&self) -> Option<Divergence> {
        if self.cursor.is_at_end() {
            return (self.ending == Ending::Cut).then(|| Divergence {
                operation: self.operation,
                what: "end".to_owned(),
                expected: CUT.to_owned(),
                actual: "the guest ended".to_owned(),
            });
        }
        let mut ahead = Player {
            cursor: self.cursor.clone(),
            operation: 0,
            clocks: [0; 2],
            ending: self.ending,
        };
        let expected = ahead.call().map_or_else(
            || "an unreadable entry".to_owned(),
            |call| describe(call.function, call.arguments, &call.text),
        );
        Some(Divergence {
            operation: self.operation,
            what: "end".to_owned(),
            expected,
            actual: "the guest ended".to_owned(),
        })
    }

    pub(crate) fn skip(&mut self) -> Option<(Function, u64, String, Outcome)> {
        let call = self.call()?;
        let clock = &mut self.clocks[clock_of(call.function)];
        let outcome = Outcome::take(&mut self.cursor, clock)?;
        self.operation += 1;
        Some((call.function, call.arguments, call.text, outcome))
    }

    fn call(&mut self) -> Option<Call> {
        let function = Function::from_number(self.cursor.byte()?)?;
        let arguments = if function.hashes_arguments() {
            u64::from_le_bytes(self.cursor.array()?)
        } else {
            self.cursor.number()?
        };
        let text = if function.is_described() { self.cursor.text()? } else { String::new() };
        Some(Call { function, arguments, text })
    }

    fn after_the_end(&self, function: Function, arguments: u64, text: &str) -> Stop {
        if self.ending.is_struck() {
            return Stop::Struck { operations: self.operation };
        }
        Stop::Diverged(Divergence {
            operation: self.operation,
            what: "end".to_owned(),
            expected: if self.ending == Ending::Cut {
                CUT.to_owned()
            } else {
                "the end of the function".to_owned()
            },
            actual: describe(function, arguments, text),
        })
    }

    fn malformed(&self, function: Function) -> Stop {
        Stop::Diverged(Divergence {
            operation: self.operation,
            what: function.name().to_owned(),
            expected: "an unreadable entry".to_owned(),
            actual: function.name().to_owned(),
        })
    }
}

fn describe(function: Function, arguments: u64, text: &str) -> String {
    let name = function.name();
    match (function, text) {
        (_, text) if !text.is_empty() => format!("{name} {text} [{arguments:016x}]"),
        (Function::Read | Function::BlockingRead, _) => {
            format!("{name}(stream {}, {} bytes)", arguments >> 32, arguments & 0xffff_ffff)
        }
        _ if function.hashes_arguments() => format!("{name} [{arguments:016x}]"),
        _ => format!("{name}({arguments})"),
    }
}

pub(super) fn take_header(cursor: &mut Cursor) -> Option<Header> {
    let mut header = Header {
        semantics: cursor.array()?,
        component: cursor.array()?,
        invocation: cursor.array()?,
        started_ns: cursor.signed()?,
        deadline_ns: cursor.signed()?,
        attempt: u32::try_from(cursor.number()?).ok()?,
        seed: cursor.array()?,
        ..Header::default()
    };
    let flags = cursor.byte()?;
    (header.verify, header.durable) = (flags & FLAG_VERIFY != 0, flags & FLAG_DURABLE != 0);
    header.traceparent = cursor.text()?;
    for _ in 0..cursor.length()? {
        header.env.push(match cursor.byte()? {
            0 => EnvEntry::Plain { name: cursor.text()?, value: cursor.text()? },
            1 => EnvEntry::Secret {
                name: cursor.text()?,
                secret: cursor.text()?,
                version: u32::try_from(cursor.number()?).ok()?,
            },
            _ => return None,
        });
    }
    Some(header)
}

fn take_end(cursor: &mut Cursor, header: Header, entries: Bytes) -> Option<Journal> {
    let ending = Ending::from_number(cursor.byte()?)?;
    let in_flight = match cursor.byte()? {
        0 => None,
        number => Some(Function::from_number(number)?),
    };
    let operations = u32::try_from(cursor.number()?).ok()?;
    let mut masks = Vec::new();
    for _ in 0..cursor.length()? {
        masks.push(Mask {
            place: if cursor.byte()? == 1 { MaskPlace::Input } else { MaskPlace::Entries },
            offset: u32::try_from(cursor.number()?).ok()?,
            env: u32::try_from(cursor.number()?).ok()?,
        });
    }
    let mut waits = Vec::new();
    for _ in 0..cursor.length()? {
        waits.push((u32::try_from(cursor.number()?).ok()?, cursor.number()?, cursor.number()?));
    }
    if !cursor.is_at_end() {
        return None;
    }
    Some(Journal { header, ending, in_flight, operations, masks, waits, entries })
}
