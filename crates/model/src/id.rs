//! Ids: UUIDv7 (RFC 9562) with a type per id, printed as a short prefix and Crockford base 32.
//!
//! ```text
//!  48 bits          4    12 bits     2    62 bits
//! ┌────────────────┬───┬────────────┬───┬──────────────────────────────┐
//! │ milliseconds   │ 7 │ partition  │ 2 │ 18 bits sequence, 44 random  │
//! └────────────────┴───┴────────────┴───┴──────────────────────────────┘
//! ```
//!
//! Being time-ordered and carrying its [`Partition`], an id finds its place in the log without an
//! index. Ids minted by one [`IdMint`] for one partition are strictly increasing, also when the
//! clock stands still or goes back.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::{Clock, Timestamp};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A 12-bit hash of project and ordering key: fixed for ever, so that it can live inside ids.
/// A shard owns a range of partitions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Partition(u16);

impl Partition {
    /// How many partitions there are.
    pub const COUNT: u16 = 4096;

    /// The partition of an ordering key within a project. The key is empty where none is given.
    pub fn of(project: &str, key: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(project.as_bytes()).update(&[0]).update(key.as_bytes());
        let hash = hasher.finalize();
        let bytes = hash.as_bytes();
        Partition(u16::from_be_bytes([bytes[0], bytes[1]]) % Self::COUNT)
    }

    /// The partition with this number, or `None` at 4096 and above.
    pub fn new(number: u16) -> Option<Self> {
        (number < Self::COUNT).then_some(Partition(number))
    }

    /// 0 to 4095.
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The prefix names another type of id, or none.
    #[error("'{text}' is not an id of this kind: expected {expected}_ and 26 letters or digits")]
    Prefix {
        /// What was given.
        text: String,
        /// The prefix that this type of id has.
        expected: &'static str,
    },
    /// The part after the prefix is not 26 digits of Crockford base 32, or is out of range.
    #[error(
        "'{text}' has a wrong character or length: expected {expected}_ and 26 letters or digits"
    )]
    Digits {
        /// What was given.
        text: String,
        /// The prefix that this type of id has.
        expected: &'static str,
    },
    /// The raw form does not have 16 bytes.
    #[error("an id has 16 bytes, not {length}")]
    Length {
        /// How many bytes were given.
        length: usize,
    },
}

fn encode(value: u128, prefix: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = [0u8; 26];
    for (index, digit) in text.iter_mut().enumerate() {
        *digit = ALPHABET[(value >> (125 - 5 * index)) as usize & 31];
    }
    let text = std::str::from_utf8(&text).map_err(|_| fmt::Error)?;
    write!(f, "{prefix}_{text}")
}

fn decode(text: &str, prefix: &'static str) -> Result<u128, IdError> {
    let body = text
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .ok_or_else(|| IdError::Prefix { text: text.to_owned(), expected: prefix })?;
    let wrong = || IdError::Digits { text: text.to_owned(), expected: prefix };
    if body.len() != 26 {
        return Err(wrong());
    }
    let mut value: u128 = 0;
    for (index, letter) in body.bytes().enumerate() {
        let digit = match letter.to_ascii_lowercase() {
            // Crockford: letters that people confuse with digits are read as the digits.
            b'o' => 0,
            b'i' | b'l' => 1,
            other => ALPHABET.iter().position(|&at| at == other).ok_or_else(wrong)?,
        };
        if index == 0 && digit > 7 {
            return Err(wrong());
        }
        value = value << 5 | digit as u128;
    }
    Ok(value)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The prefix of the printed form.
            pub const PREFIX: &'static str = $prefix;

            /// An id from its raw form.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                $name(Uuid::from_bytes(bytes))
            }

            /// The raw form: 16 bytes, ordered by time.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// When the id was minted, to the millisecond.
            pub fn time(&self) -> Timestamp {
                Timestamp::from_unix_ms((self.0.as_u128() >> 80) as i64)
            }

            /// Where in the log what it names is found.
            pub fn partition(&self) -> Partition {
                Partition((self.0.as_u128() >> 64) as u16 & 0x0fff)
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = IdError;

            fn try_from(bytes: &[u8]) -> Result<Self, IdError> {
                <[u8; 16]>::try_from(bytes)
                    .map($name::from_bytes)
                    .map_err(|_| IdError::Length { length: bytes.len() })
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                $name(uuid)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                decode(text, $prefix).map(|value| $name(Uuid::from_u128(value)))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                encode(self.0.as_u128(), $prefix, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "description": "A UUIDv7 in Crockford base 32 behind its prefix.",
                    "pattern": concat!("^", $prefix, "_[0-7][0-9a-hjkmnp-tv-z]{25}$")
                })
            }
        }
    )*};
}

ids! {
    /// An event in the log. Not the CloudEvents `id`, which its source chose.
    EventId = "evt";
    /// One attempt to handle one event (or request) with one function version.
    InvocationId = "inv";
    /// An immutable version of a function.
    VersionId = "ver";
    /// A resource through all its revisions.
    ResourceUid = "res";
    /// Somebody or something that acts: a token, the engine, a function.
    PrincipalId = "pri";
}

/// Mints ids that never repeat and, per mint, never go back.
///
/// Lock-free: one atomic holds milliseconds (46 bits) and a sequence (18 bits). When a clock goes
/// back or 262,144 ids fall into one millisecond, minting borrows from the next millisecond.
pub struct IdMint {
    clock: Arc<dyn Clock>,
    last: AtomicU64,
    salt: u64,
    mixed: AtomicU64,
}

impl fmt::Debug for IdMint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdMint").field("last", &self.last).finish_non_exhaustive()
    }
}

impl IdMint {
    /// A mint. `salt` must be random per process: it makes the ids of two nodes differ.
    pub fn new(clock: Arc<dyn Clock>, salt: u64) -> Self {
        IdMint { clock, last: AtomicU64::new(0), salt, mixed: AtomicU64::new(salt) }
    }

    /// A fresh id in `partition`.
    pub fn mint<T: From<Uuid>>(&self, partition: Partition) -> T {
        let now_ms = self.clock.now().unix_ms().max(0) as u64;
        let floor = now_ms << 18;
        let previous = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(floor.max(last + 1)))
            .unwrap_or(floor);
        let stamp = floor.max(previous + 1);
        let (ms, sequence) = (stamp >> 18, stamp & 0x3_ffff);
        let random = self.random() & 0xfff_ffff_ffff;
        let high = u128::from(ms & 0xffff_ffff_ffff) << 80
            | 0x7 << 76
            | u128::from(partition.number()) << 64;
        let low = 0b10 << 62 | u128::from(sequence) << 44 | u128::from(random);
        T::from(Uuid::from_u128(high | low))
    }

    /// SplitMix64: the ids need no secrecy, only no collisions between nodes.
    fn random(&self) -> u64 {
        let mut z = self
            .mixed
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
            .wrapping_add(self.salt.rotate_left(17));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::ManualClock;

    #[test]
    fn ids_rise_even_when_the_clock_goes_back() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_ms(1_795_000_000_000)));
        let mint = IdMint::new(clock.clone(), 7);
        let partition = Partition::of("shop", "");
        let mut last: EventId = mint.mint(partition);
        for step in 0..300_000 {
            if step % 1000 == 0 {
                clock.set(clock.now().before(Duration::from_millis(5)));
            }
            let next: EventId = mint.mint(partition);
            assert!(next > last);
            last = next;
        }
        assert_eq!(last.partition(), partition);
    }

    #[test]
    fn the_time_of_an_id_is_its_clocks() {
        let at = Timestamp::from_unix_ms(1_795_000_000_123);
        let mint = IdMint::new(Arc::new(ManualClock::new(at)), 1);
        let id: InvocationId = mint.mint(Partition::of("shop", "a"));
        assert_eq!(id.time(), at);
    }

    #[test]
    fn wrong_texts_are_named() {
        for text in ["", "evt_", "inv_00000000000000000000000000", "evt_z0000000000000000000000000"]
        {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
        assert!("EVT_x".parse::<EventId>().unwrap_err().to_string().contains("evt_"));
    }

    proptest! {
        #[test]
        fn ids_print_and_parse(bytes: [u8; 16]) {
            let id = VersionId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(id.to_string().to_uppercase().replace("VER_", "ver_").parse(), Ok(id));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,40}") {
            let _ = text.parse::<EventId>();
            let _ = format!("evt_{text}").parse::<EventId>();
        }
    }
}
