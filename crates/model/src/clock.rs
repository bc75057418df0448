//! Time as a value. Everything below `node` receives a [`Clock`]; nothing reads the wall clock itself.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment in UTC, in nanoseconds since 1970-01-01T00:00:00Z. Leap seconds are not counted.
///
/// Range: years 1678 to 2262. Printed and parsed as RFC 3339 with nanoseconds where present.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The epoch itself; also the "unknown" of wire formats that have no optional fields.
    pub const EPOCH: Timestamp = Timestamp(0);
    /// The last representable moment.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// From nanoseconds since the Unix epoch.
    pub const fn from_unix_ns(ns: i64) -> Self {
        Timestamp(ns)
    }

    /// From milliseconds since the Unix epoch, saturating at the ends of the range.
    pub const fn from_unix_ms(ms: i64) -> Self {
        Timestamp(ms.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn unix_ns(self) -> i64 {
        self.0
    }

    /// Milliseconds since the Unix epoch, rounded down.
    pub const fn unix_ms(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The moment `duration` later, saturating.
    pub fn after(self, duration: Duration) -> Self {
        Timestamp(self.0.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// The moment `duration` earlier, saturating.
    pub fn before(self, duration: Duration) -> Self {
        Timestamp(self.0.saturating_sub(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// The time from `earlier` to `self`; zero when `earlier` is not earlier (a clock went back).
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Parses RFC 3339 (`2026-11-20T19:00:00.5Z`, offsets allowed).
    ///
    /// # Errors
    /// The text is not an RFC 3339 date-time with an offset, or lies outside the range.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parsed: jiff::Timestamp = text.parse().map_err(|error: jiff::Error| {
            format!("'{text}' is not an RFC 3339 time such as 2026-11-20T19:00:00Z: {error}")
        })?;
        i64::try_from(parsed.as_nanosecond())
            .map(Timestamp)
            .map_err(|_| format!("'{text}' lies outside the years 1678 to 2262"))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(at) => at.fmt(f),
            Err(_) => write!(f, "{}ns", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Timestamp::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// The wall clock. Two implementations: [`SystemClock`] and, under test, [`ManualClock`].
///
/// `now` may go backwards when the machine's clock is set; callers that need order use ids
/// ([`IdMint`](crate::IdMint) never goes backwards) or positions in the log.
pub trait Clock: Send + Sync + 'static {
    /// The present moment. Never blocks.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        let ns = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_nanos()).unwrap_or(i64::MAX),
        };
        Timestamp(ns)
    }
}

/// A clock that stands still until it is told to move: virtual time for simulations and tests.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `start`.
    pub fn new(start: Timestamp) -> Self {
        ManualClock(AtomicI64::new(start.0))
    }

    /// Moves the clock on by `step`.
    pub fn advance(&self, step: Duration) {
        let next = Timestamp(self.0.load(Ordering::Relaxed)).after(step);
        self.0.store(next.0, Ordering::Relaxed);
    }

    /// Sets the clock, also backwards.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_and_parse_as_rfc_3339() {
        let at = Timestamp::from_unix_ns(1_795_000_000_123_456_789);
        assert_eq!(Timestamp::parse(&at.to_string()), Ok(at));
        assert_eq!(Timestamp::parse("1970-01-01T01:00:00+01:00"), Ok(Timestamp::EPOCH));
        assert!(Timestamp::parse("yesterday").is_err());
    }

    #[test]
    fn a_clock_that_went_back_gives_no_negative_duration() {
        let early = Timestamp::from_unix_ms(1);
        let late = Timestamp::from_unix_ms(3);
        assert_eq!(late.since(early), Duration::from_millis(2));
        assert_eq!(early.since(late), Duration::ZERO);
    }
}
