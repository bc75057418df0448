//! Durations, sizes and moments as people read them.

use jiff::tz::TimeZone;
use nexus_model::Timestamp;
pub use nexus_model::units::{
    exact_duration, exact_size, parse_duration, parse_size, show_duration, show_seconds,
};

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
