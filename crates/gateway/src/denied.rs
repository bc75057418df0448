//! Failed authentication leaves a trace: each is counted by its reason, and those that showed
//! something wrong are logged with where they came from, as long as they are few.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nexus_observe::{AuthFailure, Listener, Metrics};

use crate::fault::Fault;

/// Lines in one window; beyond them failures are only counted.
const LINES_MAX: u32 = 10;
/// How long a window is.
const WINDOW: Duration = Duration::from_secs(10);

/// Sees what one listener refuses because it does not know who asks.
#[derive(Debug)]
pub(crate) struct Doorkeeper {
    metrics: Metrics,
    listener: Listener,
    window: Mutex<Window>,
}

impl Doorkeeper {
    pub(crate) fn new(metrics: Metrics, listener: Listener) -> Self {
        Doorkeeper { metrics, listener, window: Mutex::default() }
    }

    /// Counts and perhaps logs a fault, if it is about who asks.
    pub(crate) fn saw(&self, fault: &Fault, remote: IpAddr, request_id: &str) {
        let Some(reason) = fault.auth_failure() else { return };
        self.metrics.http(self.listener).denied(reason);
        // Whoever has shown nothing has tried nothing: probes, browsers before they sign in.
        if reason == AuthFailure::Missing {
            return;
        }
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(withheld) = window.admit(Instant::now()) else { return };
        drop(window);
        tracing::warn!(
            listener = self.listener.word(),
            reason = reason.word(),
            %remote,
            request_id,
            withheld,
            "authentication failed"
        );
    }
}

/// Which failures are logged.
#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    logged: u32,
    withheld: u64,
}

impl Window {
    /// Whether one may be logged now; how many were not since the last one that was.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.began.is_none_or(|began| now.duration_since(began) >= WINDOW) {
            (self.began, self.logged) = (Some(now), 0);
        }
        if self.logged == LINES_MAX {
            self.withheld += 1;
            return None;
        }
        self.logged += 1;
        Some(std::mem::take(&mut self.withheld))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_not_logged_and_the_next_line_says_how_much_was_left_out() {
        let mut window = Window::default();
        let begin = Instant::now();
        let admitted: Vec<_> = (0..50).map(|_| window.admit(begin)).collect();
        assert_eq!(admitted.iter().flatten().collect::<Vec<_>>(), [&0; 10]);
        let later = begin + WINDOW - Duration::from_millis(1);
        assert_eq!(window.admit(later), None);
        assert_eq!(window.admit(begin + WINDOW), Some(41));
        assert_eq!(window.admit(begin + WINDOW), Some(0));
    }
}
