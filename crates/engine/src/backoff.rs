//! When a failed delivery is tried again.

use std::time::Duration;

use nexus_model::{EventId, limits};

/// The wait after attempt `attempt` (1 for the first): doubling from `RETRY_DELAY_FIRST` up to
/// `RETRY_DELAY_MAX`, spread by ±20 % so that what failed together does not return together.
///
/// The spread is a hash of event, function and attempt: a rebuild of the state from the log finds
/// the same moment again.
pub fn retry_delay(event: EventId, function: &str, attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(20);
    let full =
        limits::RETRY_DELAY_FIRST.saturating_mul(1 << doublings).min(limits::RETRY_DELAY_MAX);
    let mut hasher = blake3::Hasher::new();
    hasher.update(event.as_bytes()).update(function.as_bytes()).update(&attempt.to_be_bytes());
    let hash = hasher.finalize();
    let spread = u64::from(u16::from_be_bytes([hash.as_bytes()[0], hash.as_bytes()[1]]));
    // 80 % to 120 % in steps of 40 % / 65,536.
    let percent_of_65536 = 52_429 + spread * 26_214 / 65_536;
    let ns = full.as_nanos() as u64;
    Duration::from_nanos((u128::from(ns) * u128::from(percent_of_65536) / 65_536) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_within_their_spread_and_never_pass_the_limit() {
        for byte in 0..=255u8 {
            let event = EventId::from_bytes([byte; 16]);
            for attempt in 1..60 {
                let delay = retry_delay(event, "shop/resize", attempt);
                let full = limits::RETRY_DELAY_FIRST
                    .saturating_mul(1 << (attempt - 1).min(20))
                    .min(limits::RETRY_DELAY_MAX);
                assert!(delay >= full.mul_f64(0.79) && delay <= full.mul_f64(1.21), "{delay:?}");
                assert_eq!(delay, retry_delay(event, "shop/resize", attempt));
            }
        }
    }
}
