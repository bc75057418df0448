//! The journal: everything that came in from outside, in order. Pure encoding and decoding.
//!
//! ```text
//!  magic "NXJ" · version u8
//!  header    semantics 32 · component 32 · invocation 16 · start · deadline · attempt · seed 32
//!            · flags · traceparent · environment (secrets by name and version, never by value)
//!  entries   length u32 · ( function u8 · arguments · outcome )*
//!  end       how it ended · function in flight · number of operations
//!            · masked places · waits (not compared)
//!  checksum  first 16 bytes of BLAKE3 over all of the above
//! ```
//!
//! A durable invocation keeps its journal piece by piece while it runs ([`Partial`]); its end is one
//! whole journal like any other.
//!
//! Numbers are LEB128 unless a width is given. An entry's number is its place. Arguments are either
//! a small number or the first eight bytes of a BLAKE3 hash ([`Function::hashes_arguments`]). The
//! whole is versioned: an unknown version is refused, never guessed.

mod entries;
mod function;
mod outcome;
mod piece;
mod read;
mod value;
mod view;
mod write;

pub use entries::Entry;
pub use function::Function;
pub use outcome::{Fault, Item, Outcome};
pub use piece::Partial;
pub(crate) use read::restore;
pub use read::{Divergence, Journal, Player, Stop};
pub use view::entries;
pub use write::Recorder;

use bytes::Bytes;

/// The version of the encoding that this build writes. Version 1 had fewer functions and outcomes
/// and is read as it is.
pub const VERSION: u8 = 2;

pub(crate) const MAGIC: &[u8; 3] = b"NXJ";
pub(crate) const CHECKSUM_BYTES: usize = 16;
/// The filler that stands where a secret's bytes were.
pub(crate) const MASK: u8 = b'*';
/// Secrets shorter than this are not searched for: they would be found everywhere.
pub const MASKED_SECRET_BYTES_MIN: usize = 4;

/// Why a journal cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The checksum does not match.
    #[error("its checksum does not match: it was damaged or changed")]
    Checksum,
    /// It is no journal at all.
    #[error("it does not begin like a journal")]
    Magic,
    /// Another version wrote it.
    #[error("it has format version {found}; this build reads up to {VERSION}")]
    Version {
        /// The version found.
        found: u8,
    },
    /// A piece of an unfinished journal is missing.
    #[error("a piece is missing: one begins at operation {found}, {expected} was expected")]
    Gap {
        /// The operation that should follow.
        expected: u32,
        /// The operation that follows.
        found: u32,
    },
    /// The checksum is right but the content is not: a bug or a forgery.
    #[error("it is malformed in its {part}")]
    Malformed {
        /// Where.
        part: &'static str,
    },
}

/// What stands before the first entry.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Header {
    /// The hash of the engine's semantics.
    pub semantics: [u8; 32],
    /// The digest of the component as executed.
    pub component: [u8; 32],
    /// The invocation's id.
    pub invocation: [u8; 16],
    /// The wall clock when the guest was called, in nanoseconds since the Unix epoch.
    pub started_ns: i64,
    /// When it was to be stopped, in nanoseconds since the Unix epoch.
    pub deadline_ns: i64,
    /// The attempt, from 1.
    pub attempt: u32,
    /// From which all random values of the guest are derived.
    pub seed: [u8; 32],
    /// Whether the final memory was hashed.
    pub verify: bool,
    /// Whether it was a durable invocation: HTTP exchanges are whole, and its deadline moves.
    pub durable: bool,
    /// W3C `traceparent`.
    pub traceparent: String,
    /// Environment variables in the order in which the guest saw them.
    pub env: Vec<EnvEntry>,
}

/// One environment variable as the journal keeps it.
#[derive(Clone, Debug, PartialEq)]
pub enum EnvEntry {
    /// A plain value.
    Plain {
        /// The name.
        name: String,
        /// The value.
        value: String,
    },
    /// A secret, by reference.
    Secret {
        /// The variable's name.
        name: String,
        /// The secret's name.
        secret: String,
        /// The secret's version.
        version: u32,
    },
}

/// How the recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ending {
    /// The guest returned or left through `exit`.
    Returned = 1,
    /// The guest trapped.
    Trapped = 2,
    /// The deadline struck, at an arbitrary instruction.
    TimedOut = 3,
    /// It was cancelled, at an arbitrary instruction.
    Cancelled = 4,
    /// The journal was cut: nothing is known about the end.
    Cut = 5,
}

impl Ending {
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Ending::Returned,
            2 => Ending::Trapped,
            3 => Ending::TimedOut,
            4 => Ending::Cancelled,
            5 => Ending::Cut,
            _ => return None,
        })
    }

    /// Whether the end came from outside, between two arbitrary instructions.
    pub fn is_struck(self) -> bool {
        matches!(self, Ending::TimedOut | Ending::Cancelled)
    }
}

/// Where bytes of a secret were replaced by filler of the same length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Where: in the journal's entries or in the recorded input body.
    pub place: MaskPlace,
    /// From which byte.
    pub offset: u32,
    /// Which environment variable of the header holds the secret.
    pub env: u32,
}

/// What a [`Mask`] lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskPlace {
    /// The encoded entries.
    Entries,
    /// The recorded body of the input.
    Input,
}

/// Replaces every occurrence of `secret` in `bytes` by filler of the same length and tells where.
/// Secrets shorter than [`MASKED_SECRET_BYTES_MIN`] are left alone.
pub fn mask(bytes: &mut [u8], secret: &[u8], mut found: impl FnMut(usize)) {
    if secret.len() < MASKED_SECRET_BYTES_MIN || bytes.len() < secret.len() {
        return;
    }
    let mut at = 0;
    while at + secret.len() <= bytes.len() {
        // The first byte is searched for in bulk; secrets are rare in what passes.
        let Some(next) =
            bytes[at..=bytes.len() - secret.len()].iter().position(|b| *b == secret[0])
        else {
            return;
        };
        at += next;
        if bytes[at..].starts_with(secret) {
            bytes[at..at + secret.len()].fill(MASK);
            found(at);
            at += secret.len();
        } else {
            at += 1;
        }
    }
}

/// The first eight bytes of the BLAKE3 hash, as a number: what entries keep of large arguments.
pub fn hash_arguments(parts: &[&[u8]]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

pub(crate) fn put_number(buffer: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        buffer.push((number as u8) | 0x80);
        number >>= 7;
    }
    buffer.push(number as u8);
}

pub(crate) fn put_signed(buffer: &mut Vec<u8>, number: i64) {
    put_number(buffer, ((number << 1) ^ (number >> 63)) as u64);
}

pub(crate) fn put_bytes(buffer: &mut Vec<u8>, bytes: &[u8]) {
    put_number(buffer, bytes.len() as u64);
    buffer.extend_from_slice(bytes);
}

/// A cursor over encoded bytes; every read says whether the bytes were there.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    pub(crate) bytes: Bytes,
    pub(crate) at: usize,
}

impl Cursor {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Cursor { bytes, at: 0 }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    pub(crate) fn take(&mut self, length: usize) -> Option<Bytes> {
        let end = self.at.checked_add(length)?;
        if end > self.bytes.len() {
            return None;
        }
        let taken = self.bytes.slice(self.at..end);
        self.at = end;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let end = self.at.checked_add(N)?;
        let array = self.bytes.get(self.at..end)?.try_into().ok()?;
        self.at = end;
        Some(array)
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(crate) fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some(((number >> 1) as i64) ^ -((number & 1) as i64))
    }

    pub(crate) fn length(&mut self) -> Option<usize> {
        let length = usize::try_from(self.number()?).ok()?;
        (length <= self.bytes.len() - self.at).then_some(length)
    }

    pub(crate) fn blob(&mut self) -> Option<Bytes> {
        let length = self.length()?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        let bytes = self.blob()?;
        std::str::from_utf8(&bytes).ok().map(str::to_owned)
    }
}
