//! Durations and sizes as people write them.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const DURATION_UNITS: &[(&str, u128)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
    ("d", 86_400 * 1_000_000_000),
    ("w", 604_800 * 1_000_000_000),
];

const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// A duration in whole milliseconds: read from a text such as `30s` or a number of milliseconds,
/// written as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// As a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&exact_duration(self.duration()))
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MillisVisitor;

        impl de::Visitor<'_> for MillisVisitor {
            type Value = Millis;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"30s\", or a number of milliseconds")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Millis, E> {
                let duration = parse_duration(text).map_err(E::custom)?;
                u64::try_from(duration.as_millis()).map(Millis).map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, ms: u64) -> Result<Millis, E> {
                Ok(Millis(ms))
            }

            fn visit_i64<E: de::Error>(self, ms: i64) -> Result<Millis, E> {
                u64::try_from(ms).map(Millis).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(MillisVisitor)
    }
}

impl schemars::JsonSchema for Millis {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "integer"],
            "description": "A duration such as 250ms, 30s, 1h30m or 7d, or a number of milliseconds."
        })
    }
}

/// Splits `1h30m` or `64MiB` into numbers with their units.
fn parts(text: &str) -> Option<Vec<(f64, &str)>> {
    let mut rest = text.trim();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let letters =
            rest.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(rest.len());
        found.push((number, &rest[..letters]));
        rest = rest[letters..].trim_start();
    }
    (!found.is_empty()).then_some(found)
}

/// Parses `250ms`, `30s`, `1h30m`, `7d`.
///
/// # Errors
/// The text is no such duration, or longer than 500 years.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is not a duration such as 250ms, 30s, 1h30m or 7d");
    let mut total_ns: u128 = 0;
    for (number, unit) in parts(text).ok_or_else(wrong)? {
        let (_, factor) =
            DURATION_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        total_ns = total_ns.saturating_add((number * *factor as f64).round() as u128);
    }
    match u64::try_from(total_ns) {
        Ok(ns) => Ok(Duration::from_nanos(ns)),
        Err(_) => Err(format!("'{text}' is longer than 500 years")),
    }
}

/// Parses `65536`, `64KiB`, `64MiB`, `1.5GB`.
///
/// # Errors
/// The text is no such size.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is not a size such as 65536, 64KiB, 64MiB or 1GB");
    let found = parts(text).ok_or_else(wrong)?;
    let [(number, unit)] = found[..] else { return Err(wrong()) };
    let factor = match unit {
        "" => 1,
        unit => {
            SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(wrong)?.1
        }
    };
    let bytes = number * factor as f64;
    if bytes <= u64::MAX as f64 { Ok(bytes.round() as u64) } else { Err(wrong()) }
}

/// A duration that [`parse_duration`] reads back unchanged: `30s`, `1h30m`, `250ms`.
pub fn exact_duration(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, factor) in
        DURATION_UNITS.iter().rev().filter(|(unit, _)| !matches!(*unit, "µs" | "w"))
    {
        if rest >= *factor {
            text.push_str(&format!("{}{unit}", rest / factor));
            rest %= factor;
        }
    }
    text
}

/// A duration for people, to three digits: `820 ns`, `3.12 ms`, `1m 20s`.
pub fn show_duration(ns: u64) -> String {
    let three = |value: f64, unit: &str| {
        let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
        format!("{value:.decimals$} {unit}")
    };
    let value = ns as f64;
    match ns {
        0 => "0".to_owned(),
        1..1_000 => format!("{ns} ns"),
        1_000..999_500 => three(value / 1e3, "µs"),
        999_500..999_500_000 => three(value / 1e6, "ms"),
        999_500_000..59_500_000_000 => three(value / 1e9, "s"),
        _ => show_seconds((value / 1e9).round() as u64),
    }
}

/// The same of whole seconds: `12s`, `1m 20s`, `3h 5m`, `2d 4h`.
pub fn show_seconds(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// A size that [`parse_size`] reads back unchanged: `64MiB`, `1000`.
pub fn exact_size(bytes: u64) -> String {
    let binary = SIZE_UNITS.iter().filter(|(unit, _)| unit.contains('i')).rev();
    for (unit, factor) in binary {
        if bytes > 0 && bytes.is_multiple_of(*factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    format!("{bytes}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, ms) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1_500),
            ("2d", 172_800_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
            let exact = exact_duration(Duration::from_millis(ms));
            assert_eq!(parse_duration(&exact), Ok(Duration::from_millis(ms)), "{exact}");
        }
        for wrong in ["", "5", "s", "1x", "1h 5", "-1s", "1..5s", "2026-11-20"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in
            [("64MiB", 64 << 20), ("64mib", 64 << 20), ("1000", 1_000), ("1kB", 1_000)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
            assert_eq!(parse_size(&exact_size(bytes)), Ok(bytes));
        }
        for wrong in ["", "MiB", "1 parsec", "1MiB2", "99999999TB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
