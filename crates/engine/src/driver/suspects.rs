//! Durable invocations that were under way in several crashes without getting any further: one of
//! them may be what crashes the node, the others only happen to be there. They go on one after the
//! other, so that the next crash is the fault of one.

use std::collections::VecDeque;

use nexus_model::{InvocationId, limits};

use super::Driver;

/// So many crashes nobody in particular is blamed for.
const TOGETHER_MAX: u32 = limits::RESUMES_WITHOUT_PROGRESS_MAX / 2;

#[derive(Default)]
pub(crate) struct Suspects {
    /// The one that goes on; until it gets further, sleeps or ends.
    alone: Option<InvocationId>,
    waiting: VecDeque<InvocationId>,
}

impl Driver {
    /// Whether an invocation that may go on has to wait for another suspect.
    pub(super) fn must_wait(&mut self, run: InvocationId) -> bool {
        if self.shard.runs.get(&run).is_none_or(|found| found.stalled < TOGETHER_MAX) {
            return false;
        }
        let suspects = &mut self.suspects;
        let waits = suspects.alone.is_some_and(|other| other != run);
        if !waits {
            suspects.alone = Some(run);
        } else if !suspects.waiting.contains(&run) {
            suspects.waiting.push_back(run);
        }
        waits
    }

    /// Lets the next suspect go on when the one before it is cleared.
    pub(super) fn next_suspect(&mut self) {
        let Some(alone) = self.suspects.alone else { return };
        let found = self.shard.runs.get(&alone);
        if found.is_some_and(|run| run.stalled > 0 && run.suspension.is_none()) {
            return;
        }
        self.suspects.alone = None;
        while self.suspects.alone.is_none()
            && let Some(next) = self.suspects.waiting.pop_front()
        {
            self.resume(next);
        }
    }

    /// Ends an invocation that was cancelled while it waited here.
    pub(super) fn cancel_suspect(&mut self, run: InvocationId) {
        let waiting = &mut self.suspects.waiting;
        if let Some(at) = waiting.iter().position(|other| *other == run) {
            waiting.remove(at);
            self.close(run);
        }
    }
}
