//! When a failed delivery is tried again: a pure function of ids, so that a rebuild repeats it.

use std::time::Duration;

use nexus_model::{EventId, Name};

/// The pause before the second attempt.
pub const RETRY_DELAY_FIRST: Duration = Duration::from_secs(1);
/// The longest pause between two attempts, without its jitter.
pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(10 * 60);

/// The pause after attempt number `attempt` (from 1): doubling from [`RETRY_DELAY_FIRST`] up to
/// [`RETRY_DELAY_MAX`], plus up to a half of it, so that deliveries that failed together do not come
/// back together.
pub fn retry_delay(event: EventId, function: &Name, attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(20);
    let delay = RETRY_DELAY_FIRST.saturating_mul(1 << doublings).min(RETRY_DELAY_MAX);
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325 ^ u64::from(attempt);
    for byte in event.as_bytes().iter().chain(function.as_str().as_bytes()) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    // FNV leaves the high bits of short inputs alike; a final mix spreads them.
    hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let permille = (hash >> 40) % 500;
    delay + Duration::from_micros(delay.as_micros() as u64 / 1000 * permille)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_cap_and_differ_between_events() {
        let function = Name::new("f").unwrap();
        let mut seen = std::collections::HashSet::new();
        for number in 0..100u8 {
            let event = EventId::from_bytes([number; 16]);
            let mut floor = RETRY_DELAY_FIRST;
            for attempt in 1..40 {
                let delay = retry_delay(event, &function, attempt);
                assert_eq!(delay, retry_delay(event, &function, attempt));
                assert!(delay >= floor && delay <= floor + floor / 2, "{attempt}: {delay:?}");
                floor = (floor * 2).min(RETRY_DELAY_MAX);
            }
            seen.insert(retry_delay(event, &function, 1));
        }
        assert!(seen.len() > 50, "{} different delays", seen.len());
    }
}
