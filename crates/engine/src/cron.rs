//! Times of cron triggers: schedules, zones, what was missed. Pure: the time is an argument.
//!
//! A schedule names local times of its zone. Where the clocks go forward, a time that is skipped
//! fires once, at the first moment after the gap; where they go back, a time that comes twice fires
//! the first time only. A schedule of every hour (`*/5 * * * *`) goes by elapsed time instead: nothing
//! is skipped or repeated in it, so nothing is made up for or left out.

mod fields;
mod schedule;

use std::collections::VecDeque;
use std::time::Duration;

use nexus_model::record::StoredEvent;
use nexus_model::resource::{CatchUp, CronTrigger};
use nexus_model::{Timestamp, limits};

pub use schedule::{CronError, CronSchedule};

/// The type of the events that cron triggers make.
pub const CRON_TYPE: &str = "dev.nexus.cron";
/// How late a firing may be at most and still count as on time, where missed ones are skipped.
const ON_TIME: Duration = Duration::from_secs(60);
/// The first stretch of time that is searched for missed firings; it grows eightfold.
const SEARCH_FIRST: Duration = Duration::from_secs(120);

/// A cron trigger, ready to say when it fires.
#[derive(Clone, Debug)]
pub(crate) struct Cron {
    /// Of schedule and zone: what it is known by in the log.
    pub(crate) hash: u64,
    pub(crate) schedule: CronSchedule,
    catch_up: CatchUp,
    jitter: Duration,
    pub(crate) data: serde_json::Value,
}

impl Cron {
    pub(crate) fn new(trigger: &CronTrigger) -> Result<Self, CronError> {
        Ok(Cron {
            hash: hash_of(trigger),
            schedule: CronSchedule::parse(&trigger.schedule, trigger.zone.as_deref())?,
            catch_up: trigger.catch_up,
            jitter: trigger.jitter.map_or(Duration::ZERO, |at| at.duration()),
            data: trigger.data.clone(),
        })
    }

    /// By how much a firing is moved: always the same for one time and trigger.
    fn offset(&self, salt: &str, scheduled: Timestamp) -> Duration {
        let range = u64::try_from(self.jitter.as_millis()).unwrap_or(u64::MAX);
        if range == 0 {
            return Duration::ZERO;
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(salt.as_bytes()).update(&self.hash.to_be_bytes());
        hasher.update(&scheduled.unix_ns().to_be_bytes());
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        Duration::from_millis(u64::from_be_bytes(bytes) % (range + 1))
    }

    /// When the first time after `last` fires, with its jitter.
    pub(crate) fn next(&self, last: Timestamp, salt: &str) -> Option<Timestamp> {
        let scheduled = self.schedule.next(last)?;
        Some(scheduled.after(self.offset(salt, scheduled)))
    }

    /// The scheduled times that are to fire now, the oldest first, and the time up to which nothing
    /// is missed any more. Nothing fires before its jitter has passed.
    pub(crate) fn due(
        &self,
        last: Timestamp,
        now: Timestamp,
        salt: &str,
    ) -> (Vec<Timestamp>, Option<Timestamp>) {
        let mut missed = self.missed(last, now);
        missed.retain(|at| at.after(self.offset(salt, *at)) <= now);
        let seen = missed.back().copied();
        let first = match self.catch_up {
            CatchUp::All => 0,
            CatchUp::Last => missed.len().saturating_sub(1),
            CatchUp::Skip => {
                let late = |at: &&Timestamp| now.since(**at) > self.grace(**at);
                missed.iter().take_while(late).count()
            }
        };
        (missed.into_iter().skip(first).collect(), seen)
    }

    /// How late a firing may be and still count as on time: by half of the time to the next one, since
    /// what is later than that is rather one that was missed.
    fn grace(&self, scheduled: Timestamp) -> Duration {
        let next = self.schedule.next(scheduled);
        let half = next.map_or(ON_TIME, |next| next.since(scheduled) / 2);
        half.min(ON_TIME) + self.jitter
    }

    /// The latest times in `last < t ≤ now`, at most `CRON_CATCH_UP_MAX`.
    fn missed(&self, last: Timestamp, now: Timestamp) -> VecDeque<Timestamp> {
        let mut stretch = SEARCH_FIRST;
        loop {
            let from = last.max(now.before(stretch));
            let mut found = VecDeque::new();
            let mut at = from;
            while let Some(next) = self.schedule.next(at).filter(|next| *next <= now) {
                if found.len() == limits::CRON_CATCH_UP_MAX {
                    found.pop_front();
                }
                found.push_back(next);
                at = next;
            }
            let enough = match self.catch_up {
                CatchUp::All => found.len() == limits::CRON_CATCH_UP_MAX,
                CatchUp::Last | CatchUp::Skip => found.len() > 1 || stretch > ON_TIME * 10_000,
            };
            if from == last || enough {
                return found;
            }
            stretch = stretch.saturating_mul(8);
        }
    }

    /// The CloudEvents id of a firing: the same whenever it is made.
    pub(crate) fn event_id(&self, scheduled: Timestamp) -> String {
        format!("cron-{:016x}-{}", self.hash, scheduled.unix_ms() / 1_000)
    }
}

/// What a trigger is known by in the log.
pub(crate) fn hash_of(trigger: &CronTrigger) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(trigger.schedule.as_bytes()).update(&[0]);
    hasher.update(trigger.zone.as_deref().unwrap_or_default().as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_be_bytes(bytes)
}

/// Which trigger an event comes from, and the scheduled time, where a cron trigger made it.
pub(crate) fn fired(event: &StoredEvent) -> Option<(u64, i64)> {
    if event.ty != CRON_TYPE {
        return None;
    }
    let (hash, seconds) = event.id.strip_prefix("cron-")?.split_once('-')?;
    let seconds: i64 = seconds.parse().ok()?;
    Some((u64::from_str_radix(hash, 16).ok()?, seconds.checked_mul(1_000_000_000)?))
}

#[cfg(test)]
mod tests;
