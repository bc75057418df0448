//! Durations and sizes as people write and read them.

use std::time::Duration;

use jiff::tz::TimeZone;
use nexus_model::Timestamp;

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

fn show_seconds(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// A size for people, to three digits: `14 B`, `1.5 KiB`.
pub fn show_size(bytes: u64) -> String {
    let mut value = bytes as f64;
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    for unit in ["KiB", "MiB", "GiB", "TiB"] {
        value /= 1_024.0;
        if value < 1_000.0 || unit == "TiB" {
            let text = format!("{value:.1}");
            return format!("{} {unit}", text.strip_suffix(".0").unwrap_or(&text));
        }
    }
    format!("{bytes} B")
}

/// How long ago, roughly: `just now`, `12s ago`, `3h 5m ago`.
pub fn show_ago(at: Timestamp, now: Timestamp) -> String {
    match now.since(at).as_secs() {
        0 => "just now".to_owned(),
        seconds => format!("{} ago", show_seconds(seconds)),
    }
}

/// A moment in `zone`, to the millisecond: `2026-11-20 19:36:06.123`, with a `Z` in UTC.
pub fn show_time(at: Timestamp, zone: &TimeZone) -> String {
    let Ok(parsed) = jiff::Timestamp::from_nanosecond(i128::from(at.unix_ns())) else {
        return at.to_string();
    };
    let zoned = parsed.to_zoned(zone.clone());
    let text = zoned.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string();
    if *zone == TimeZone::UTC { format!("{text}Z") } else { text }
}

/// Parses the value of `--since` and `--until`: `1h` (ago), RFC 3339, `2026-11-20`,
/// `2026-11-20 19:00`, or `19:00` today, in `zone` where it has none of its own.
///
/// # Errors
/// The text is none of these.
pub fn parse_moment(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, String> {
    if let Ok(ago) = parse_duration(text) {
        return Ok(now.before(ago));
    }
    if let Ok(at) = Timestamp::parse(text) {
        return Ok(at);
    }
    let local = |civil: jiff::civil::DateTime| {
        let zoned = civil.to_zoned(zone.clone()).ok()?;
        i64::try_from(zoned.timestamp().as_nanosecond()).ok().map(Timestamp::from_unix_ns)
    };
    let today = || {
        let at = jiff::Timestamp::from_nanosecond(i128::from(now.unix_ns())).ok()?;
        Some(at.to_zoned(zone.clone()).date())
    };
    let civil = text.parse::<jiff::civil::DateTime>().ok().or_else(|| {
        let time: jiff::civil::Time = text.parse().ok()?;
        Some(today()?.to_datetime(time))
    });
    civil.and_then(local).ok_or_else(|| {
        format!("'{text}' is not a time: use 1h, 30m, 2026-11-20, '2026-11-20 19:00' or RFC 3339")
    })
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

    #[test]
    fn durations_and_sizes_for_people() {
        let shown: Vec<_> = [0, 820, 1_000, 3_120_000, 999_700, 12_340_000_000, 80_000_000_000]
            .map(show_duration)
            .into();
        assert_eq!(shown, ["0", "820 ns", "1.00 µs", "3.12 ms", "1.00 ms", "12.3 s", "1m 20s"]);
        let sizes: Vec<_> = [14, 1_024, 1_536, 67_108_864].map(show_size).into();
        assert_eq!(sizes, ["14 B", "1 KiB", "1.5 KiB", "64 MiB"]);
    }

    #[test]
    fn moments_are_relative_absolute_or_local() {
        let now = Timestamp::parse("2026-11-20T19:36:06Z").unwrap();
        let at = |text: &str| parse_moment(text, now, &TimeZone::UTC).map(|at| at.to_string());
        assert_eq!(at("1h"), Ok("2026-11-20T18:36:06Z".into()));
        assert_eq!(at("2026-11-19"), Ok("2026-11-19T00:00:00Z".into()));
        assert_eq!(at("2026-11-19 08:30"), Ok("2026-11-19T08:30:00Z".into()));
        assert_eq!(at("08:30"), Ok("2026-11-20T08:30:00Z".into()));
        assert_eq!(at("2026-11-19T08:30:00+02:00"), Ok("2026-11-19T06:30:00Z".into()));
        assert!(at("yesterday").is_err());
    }
}
