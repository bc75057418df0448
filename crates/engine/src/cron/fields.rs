//! The fields of a schedule.

use super::CronError;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A kind of field: its name, its range, and the names that its numbers may have.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) min: u32,
    pub(super) max: u32,
    names: &'static [&'static str],
}

pub(super) const SECOND: Kind = Kind { name: "second", min: 0, max: 59, names: &[] };
pub(super) const MINUTE: Kind = Kind { name: "minute", min: 0, max: 59, names: &[] };
pub(super) const HOUR: Kind = Kind { name: "hour", min: 0, max: 23, names: &[] };
pub(super) const DAY: Kind = Kind { name: "day of month", min: 1, max: 31, names: &[] };
pub(super) const MONTH: Kind = Kind { name: "month", min: 1, max: 12, names: &MONTHS };
/// Sunday is 0 and 7.
pub(super) const WEEKDAY: Kind = Kind { name: "weekday", min: 0, max: 7, names: &WEEKDAYS };

/// A set of small numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Set(u64);

impl Set {
    pub(super) fn has(self, number: u32) -> bool {
        self.0 & (1 << number) != 0
    }

    pub(super) fn add(&mut self, number: u32) {
        self.0 |= 1 << number;
    }

    pub(super) fn is_all(self, kind: &Kind) -> bool {
        (kind.min..=kind.max).all(|number| self.has(number))
    }

    /// The smallest number that is not below `from`.
    pub(super) fn from(self, from: u32) -> Option<u32> {
        if from > 63 {
            return None;
        }
        let left = self.0 >> from << from;
        (left != 0).then(|| left.trailing_zeros())
    }
}

impl Kind {
    fn wrong(&self, text: &str, reason: impl std::fmt::Display) -> CronError {
        CronError::Field { field: self.name, text: text.to_owned(), reason: reason.to_string() }
    }

    fn number(&self, text: &str, whole: &str) -> Result<u32, CronError> {
        let lower = text.to_ascii_lowercase();
        if let Some(at) = self.names.iter().position(|name| *name == lower) {
            return Ok(at as u32 + self.min);
        }
        let number: u32 =
            text.parse().map_err(|_| self.wrong(whole, format_args!("'{text}' is no number")))?;
        if number < self.min || number > self.max {
            let (min, max) = (self.min, self.max);
            return Err(self.wrong(whole, format_args!("{number} is not between {min} and {max}")));
        }
        Ok(number)
    }

    /// One element of a list: `*`, `3`, `1-5`, `*/10`, `8-18/2`.
    pub(super) fn element(&self, text: &str) -> Result<Set, CronError> {
        let (range, step) = match text.split_once('/') {
            None => (text, None),
            Some((range, step)) => {
                let step: u32 = step.parse().ok().filter(|step| *step > 0).ok_or_else(|| {
                    self.wrong(text, format_args!("the step '{step}' is no number above 0"))
                })?;
                (range, Some(step))
            }
        };
        let (from, to) = match (range, range.split_once('-')) {
            ("*" | "?", _) => (self.min, self.max),
            (_, Some((from, to))) => (self.number(from, text)?, self.number(to, text)?),
            (single, None) => {
                let from = self.number(single, text)?;
                (from, if step.is_some() { self.max } else { from })
            }
        };
        let mut set = Set::default();
        let mut add = |from: u32, to: u32| {
            let numbers = (from..=to).step_by(step.unwrap_or(1) as usize);
            numbers.for_each(|number| set.add(number));
        };
        match from <= to {
            true => add(from, to),
            // `fri-mon` goes over the end of the week.
            false if step.is_none() => {
                add(from, self.max);
                add(self.min, to);
            }
            false => return Err(self.wrong(text, "the range ends before it begins")),
        }
        Ok(set)
    }

    /// A list without the special forms of days.
    pub(super) fn list(&self, text: &str) -> Result<Set, CronError> {
        let mut set = Set::default();
        for element in text.split(',') {
            let Set(bits) = self.element(element)?;
            set.0 |= bits;
        }
        Ok(set)
    }
}

/// Which days of a month.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Days {
    pub(super) set: Set,
    /// So many days before the last one.
    pub(super) before_last: Vec<u32>,
    /// The working day (Monday to Friday) nearest to this day, within the month; 0 for the last day.
    pub(super) working: Vec<u32>,
}

/// Which days of the week.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Weekdays {
    /// Sunday is 0.
    pub(super) set: Set,
    /// The last such weekday of the month.
    pub(super) last: Vec<u32>,
    /// The nth such weekday of the month.
    pub(super) nth: Vec<(u32, u32)>,
}

impl Days {
    pub(super) fn parse(text: &str) -> Result<Self, CronError> {
        let mut days = Days::default();
        for element in text.split(',') {
            let upper = element.to_ascii_uppercase();
            if upper == "L" {
                days.before_last.push(0);
            } else if upper == "LW" {
                days.working.push(0);
            } else if let Some(before) = upper.strip_prefix("L-") {
                days.before_last.push(DAY.number(before, element)?);
            } else if let Some(day) = upper.strip_suffix('W') {
                days.working.push(DAY.number(day, element)?);
            } else {
                days.set.0 |= DAY.element(element)?.0;
            }
        }
        Ok(days)
    }

    pub(super) fn is_all(&self) -> bool {
        self.set.is_all(&DAY)
    }

    /// Whether a day of a month of `length` days that begins on weekday `first` is one of them.
    pub(super) fn has(&self, day: u32, length: u32, first: u32) -> bool {
        let working = |wanted: &u32| {
            let wanted = if *wanted == 0 { length } else { *wanted };
            wanted <= length && nearest_working(wanted, length, first) == day
        };
        self.set.has(day)
            || self.before_last.iter().any(|before| day + before == length)
            || self.working.iter().any(working)
    }
}

fn nearest_working(day: u32, length: u32, first: u32) -> u32 {
    match (first + day - 1) % 7 {
        6 if day > 1 => day - 1,
        6 => day + 2,
        0 if day < length => day + 1,
        0 => day - 2,
        _ => day,
    }
}

impl Weekdays {
    pub(super) fn parse(text: &str) -> Result<Self, CronError> {
        let mut days = Weekdays::default();
        for element in text.split(',') {
            let upper = element.to_ascii_uppercase();
            if let Some((day, nth)) = upper.split_once('#') {
                let nth: u32 =
                    nth.parse().ok().filter(|nth| (1..=5).contains(nth)).ok_or_else(|| {
                        WEEKDAY.wrong(element, "the number after '#' is not between 1 and 5")
                    })?;
                days.nth.push((WEEKDAY.number(day, element)? % 7, nth));
            } else if let Some(day) = upper.strip_suffix('L').filter(|day| !day.is_empty()) {
                days.last.push(WEEKDAY.number(day, element)? % 7);
            } else {
                let set = WEEKDAY.element(element)?;
                days.set.0 |= set.0;
                if set.has(7) {
                    days.set.add(0);
                }
            }
        }
        Ok(days)
    }

    pub(super) fn is_all(&self) -> bool {
        (0..7).all(|day| self.set.has(day))
    }

    /// Whether a day of a month of `length` days, which is this weekday, is one of them.
    pub(super) fn has(&self, day: u32, length: u32, weekday: u32) -> bool {
        self.set.has(weekday)
            || (self.last.contains(&weekday) && day + 7 > length)
            || self.nth.contains(&(weekday, day.div_ceil(7)))
    }
}
