//! Schedules: parsing, and the next time after a moment.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use nexus_model::Timestamp;

use crate::error::counted;

use super::fields::{Days, HOUR, MINUTE, MONTH, SECOND, Set, Weekdays};

/// How far ahead a time is searched for: a 29 February that is a certain weekday comes every 28
/// years, or after 40 where a century without leap day lies between.
const YEARS_MAX: i16 = 41;
/// Changes of the zone's offset that are looked at between two times.
const TRANSITIONS_MAX: usize = 200;

/// Why a text is no schedule.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CronError {
    /// A field breaks a rule.
    #[error("the {field} '{text}': {reason}")]
    Field {
        /// Which one.
        field: &'static str,
        /// The part that is wrong.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Neither five nor six fields, nor a known name.
    #[error(
        "'{text}' has {}; expected five (minute, hour, day of month, month, weekday), \
         six (second first), or @hourly, @daily, @weekly, @monthly, @yearly",
        counted(*count as u64, ("field", "fields"))
    )]
    Fields {
        /// The text.
        text: String,
        /// How many fields it has.
        count: usize,
    },
    /// There is no such time zone.
    #[error("there is no time zone '{zone}'; expected an IANA name such as Europe/Berlin")]
    Zone {
        /// The name.
        zone: String,
    },
    /// No time ever matches.
    #[error("'{text}' never happens")]
    Never {
        /// The text.
        text: String,
    },
}

/// Times at which something happens, in a time zone.
#[derive(Clone, Debug)]
pub struct CronSchedule {
    second: Set,
    minute: Set,
    hour: Set,
    day: Days,
    month: Set,
    weekday: Weekdays,
    zone: TimeZone,
    /// Every hour: it goes by elapsed time.
    elapsed: bool,
}

impl CronSchedule {
    /// Parses five or six fields, or a name such as `@daily`; `None` is UTC.
    ///
    /// # Errors
    /// The first wrong field; an unknown zone; no time ever matches.
    pub fn parse(text: &str, zone: Option<&str>) -> Result<Self, CronError> {
        let named = match text.trim().to_ascii_lowercase().as_str() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            _ => text,
        };
        let fields: Vec<&str> = named.split_ascii_whitespace().collect();
        let (second, rest) = match fields[..] {
            [_, _, _, _, _] => ("0", &fields[..]),
            [second, _, _, _, _, _] => (second, &fields[1..]),
            _ => return Err(CronError::Fields { text: text.to_owned(), count: fields.len() }),
        };
        let hour = HOUR.list(rest[1])?;
        let schedule = CronSchedule {
            second: SECOND.list(second)?,
            minute: MINUTE.list(rest[0])?,
            hour,
            day: Days::parse(rest[2])?,
            month: MONTH.list(rest[3])?,
            weekday: Weekdays::parse(rest[4])?,
            zone: zone_of(zone.unwrap_or("UTC"))?,
            elapsed: hour.is_all(&HOUR),
        };
        let start = DateTime::constant(2000, 1, 1, 0, 0, 0, 0);
        if schedule.matching(start).is_none() {
            return Err(CronError::Never { text: text.to_owned() });
        }
        Ok(schedule)
    }

    /// The first time after a moment; `None` when there is none within 41 years.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let seconds = after.unix_ns().div_euclid(1_000_000_000).checked_add(1)?;
        let mut start = jiff::Timestamp::from_second(seconds).ok()?;
        for _ in 0..TRANSITIONS_MAX {
            let offset = self.zone.to_offset(start);
            let from = offset.to_datetime(start).max(self.repeated_until(start, offset));
            let found = self.matching(from)?;
            let instant = offset.to_timestamp(found).ok()?;
            let Some(change) = self.zone.following(start).next() else { return stamp(instant) };
            if instant < change.timestamp() {
                return stamp(instant);
            }
            // The offset changes before that: look again with the new one.
            start = change.timestamp();
            let skipped = (offset.to_datetime(start), change.offset().to_datetime(start));
            let lost = self.matching(skipped.0).filter(|found| *found < skipped.1);
            if !self.elapsed && lost.is_some() {
                return stamp(start);
            }
        }
        None
    }

    /// The end of the local times that come a second time, when `start` lies among them.
    fn repeated_until(&self, start: jiff::Timestamp, offset: Offset) -> DateTime {
        let none = DateTime::MIN;
        if self.elapsed {
            return none;
        }
        // `preceding` gives changes before its argument, and `start` may be one itself.
        let Ok(beyond) = start.checked_add(jiff::Span::new().nanoseconds(1)) else { return none };
        let Some(change) = self.zone.preceding(beyond).next() else { return none };
        let Ok(before) = change.timestamp().checked_sub(jiff::Span::new().nanoseconds(1)) else {
            return none;
        };
        let old = self.zone.to_offset(before);
        if old > offset { old.to_datetime(change.timestamp()) } else { none }
    }

    /// The first matching local time that is not before `from`.
    fn matching(&self, from: DateTime) -> Option<DateTime> {
        let mut date = from.date();
        let mut time = self.time_from(from.time());
        let last_year = date.year().saturating_add(YEARS_MAX);
        loop {
            if date.year() > last_year {
                return None;
            }
            if !self.month.has(date.month() as u32) {
                date = date.first_of_month().checked_add(jiff::Span::new().months(1)).ok()?;
                time = self.time_from(Time::midnight());
                continue;
            }
            if let Some(time) = time
                && self.day_matches(date)
            {
                return Some(date.to_datetime(time));
            }
            date = date.tomorrow().ok()?;
            time = self.time_from(Time::midnight());
        }
    }

    fn day_matches(&self, date: Date) -> bool {
        let (day, length) = (date.day() as u32, date.days_in_month() as u32);
        let weekday = date.weekday().to_sunday_zero_offset() as u32;
        let first = date.first_of_month().weekday().to_sunday_zero_offset() as u32;
        let of_month = self.day.has(day, length, first);
        let of_week = self.weekday.has(day, length, weekday);
        // crontab(5): where both are restricted, either is enough.
        match self.day.is_all() || self.weekday.is_all() {
            true => of_month && of_week,
            false => of_month || of_week,
        }
    }

    /// The first matching time of a day that is not before `from`.
    fn time_from(&self, from: Time) -> Option<Time> {
        let (mut hour, mut minute, mut second) =
            (from.hour() as u32, from.minute() as u32, from.second() as u32);
        if from.subsec_nanosecond() > 0 {
            second += 1;
        }
        loop {
            let at = self.hour.from(hour)?;
            if at > hour {
                (hour, minute, second) = (at, 0, 0);
            }
            let Some(at) = self.minute.from(minute) else {
                (hour, minute, second) = (hour + 1, 0, 0);
                continue;
            };
            if at > minute {
                (minute, second) = (at, 0);
            }
            let Some(second) = self.second.from(second) else {
                (minute, second) = (minute + 1, 0);
                continue;
            };
            return Time::new(hour as i8, minute as i8, second as i8, 0).ok();
        }
    }
}

fn stamp(at: jiff::Timestamp) -> Option<Timestamp> {
    i64::try_from(at.as_nanosecond()).ok().map(Timestamp::from_unix_ns)
}

/// A zone of the data that is built in: the same on every machine.
fn zone_of(name: &str) -> Result<TimeZone, CronError> {
    let wrong = |_| CronError::Zone { zone: name.to_owned() };
    static ZONES: std::sync::OnceLock<TimeZoneDatabase> = std::sync::OnceLock::new();
    ZONES.get_or_init(TimeZoneDatabase::bundled).get(name).map_err(wrong)
}
