//! What is counted for each listener.

use std::time::Duration;

use crate::sharded::{Counter, Histogram};

/// Which listener served a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listener {
    /// Functions.
    Ingress = 0,
    /// The API.
    Admin = 1,
}

impl Listener {
    /// Both, by number.
    pub const ALL: [Listener; 2] = [Listener::Ingress, Listener::Admin];

    /// Its name in metrics and log lines.
    pub const fn word(self) -> &'static str {
        match self {
            Listener::Ingress => "ingress",
            Listener::Admin => "admin",
        }
    }
}

/// What is counted for one listener.
#[derive(Debug, Default)]
pub struct HttpMetrics {
    pub(crate) by_class: [Histogram; 6],
    pub(crate) denied: [Counter; AuthFailure::ALL.len()],
    /// Connections accepted.
    pub connections: Counter,
    /// Connections refused because `connections-max` stood already.
    pub connections_refused: Counter,
    /// Connections closed because a request came too slowly or none came.
    pub connections_timed_out: Counter,
}

impl HttpMetrics {
    /// Counts an answered request: its status, and the time from its head to the answer's head.
    pub fn answered(&self, status: u16, duration: Duration) {
        self.by_class[usize::from(status / 100).min(5)].record(duration);
    }

    /// Counts a request that was refused because nobody knows who asks.
    pub fn denied(&self, reason: AuthFailure) {
        self.denied[reason as usize].one();
    }
}

/// How somebody failed to show who they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthFailure {
    /// Nothing was shown.
    Missing = 0,
    /// What was shown cannot be a token.
    Malformed = 1,
    /// A token that is not known, or has expired.
    Token = 2,
    /// A session that is not known, or has ended.
    Session = 3,
    /// The code of a sign-in link that is not known, was used, or is too old.
    Link = 4,
    /// The signature of a webhook is missing, wrong or too old.
    Signature = 5,
}

impl AuthFailure {
    /// All of them, by number.
    pub const ALL: [AuthFailure; 6] = [
        AuthFailure::Missing,
        AuthFailure::Malformed,
        AuthFailure::Token,
        AuthFailure::Session,
        AuthFailure::Link,
        AuthFailure::Signature,
    ];

    /// Its name in metrics and log lines.
    pub const fn word(self) -> &'static str {
        match self {
            AuthFailure::Missing => "missing",
            AuthFailure::Malformed => "malformed",
            AuthFailure::Token => "token",
            AuthFailure::Session => "session",
            AuthFailure::Link => "link",
            AuthFailure::Signature => "signature",
        }
    }
}
