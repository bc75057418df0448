//! Waiting for a server that has gone away for a while, such as to start again in another version.

use std::time::{Duration, Instant};

use nexus_model::Code;

use crate::{Error, Paint, Terminal, Tone};

/// How long between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Asks a server again and again while it is away. One that never was there is not waited for: the
/// address is wrong, or nobody has started it.
pub(crate) struct Away {
    until: Option<Instant>,
    met: bool,
    said: bool,
}

impl Away {
    /// Waits until a moment; without one, as long as it takes.
    pub(crate) fn until(until: Option<Instant>) -> Self {
        Away { until, met: false, said: false }
    }

    /// The server has answered this command already.
    pub(crate) fn met(mut self) -> Self {
        self.met = true;
        self
    }

    /// When patience ends.
    pub(crate) fn end(&self) -> Option<Instant> {
        self.until
    }

    /// Whether patience has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.until.is_some_and(|end| Instant::now() >= end)
    }

    /// Asks until there is an answer. Says once that the server is away, and that it is back.
    ///
    /// # Errors
    /// What the server answers; that it is away, where it never was there or patience has ended.
    pub(crate) fn ask<T>(
        &mut self,
        terminal: &mut Terminal,
        mut ask: impl FnMut() -> Result<T, Error>,
    ) -> Result<T, Error> {
        loop {
            let error = match ask() {
                Ok(answer) => {
                    self.met = true;
                    if std::mem::take(&mut self.said) {
                        terminal.say(Paint(Tone::Faint, "the server is back"));
                    }
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let left = self.until.map(|end| end.saturating_duration_since(Instant::now()));
            if !self.met || !is_away(&error) || left.is_some_and(|left| left.is_zero()) {
                return Err(error);
            }
            if !std::mem::replace(&mut self.said, true) {
                terminal.say(Paint(Tone::Faint, "the server is away; waiting for it"));
            }
            std::thread::sleep(left.map_or(PAUSE, |left| left.min(PAUSE)));
        }
    }
}

/// Whether an error says that nobody answers now, and not that something is wrong.
fn is_away(error: &Error) -> bool {
    match error {
        Error::Unreachable { .. } | Error::Connection { .. } | Error::Away { .. } => true,
        // That of an invocation is its result.
        Error::Problem(problem) => {
            problem.code == Code::ShuttingDown && problem.invocation_id.is_none()
        }
        _ => false,
    }
}
