//! Durable invocations: pieces of the journal, sleeping, signals, going on.

use nexus_model::record::{JournalRecord, SignalRecord, StartedRecord, SuspendedRecord};
use nexus_model::{EventId, InvocationId, limits};

use super::{Action, Id, Run, Shard, State, Suspension, WaitingSignal};

/// What may become of a signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Receiver {
    /// The invocation takes it, or will.
    Open,
    /// Too many signals wait for it.
    Full,
    /// There is no such unfinished invocation.
    None,
}

impl Shard {
    /// A durable invocation goes on.
    pub(super) fn resumed(&mut self, id: InvocationId, record: &StartedRecord) {
        if let Some(run) = self.runs.get_mut(&id) {
            run.started.resumes = record.resumes;
            run.stalled += 1;
            run.suspension = None;
        }
    }

    pub(super) fn journaled(&mut self, record: &JournalRecord) {
        let sequence = self.position;
        let Ok(id) = InvocationId::try_from(&record.invocation[..]) else { return };
        let Some(run) = self.runs.get_mut(&id) else { return };
        let number = record.number as usize;
        if number <= run.pieces.len() {
            // A piece that is written again replaces itself and what followed it.
            run.pieces.truncate(number);
            run.pieces.push(sequence);
            run.stalled = 0;
        }
        run.signals.retain(|at| !record.signals.iter().any(|taken| taken[..] == at.id));
    }

    pub(super) fn suspended(&mut self, record: &SuspendedRecord, actions: &mut Vec<Action>) {
        let Ok(id) = InvocationId::try_from(&record.invocation[..]) else { return };
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.stalled = 0;
        run.suspension = Some(Suspension {
            until_ns: record.until_ns,
            signal: record.signal.as_str().into(),
            ran_ns: record.ran_ns,
        });
        let woken = run.waiting_signal().is_some();
        if self.is_cancelled(id) {
            actions.push(Action::Close(id));
        } else if woken {
            actions.push(Action::Resume(id));
        } else if record.until_ns != 0 {
            actions.push(Action::WakeAt(id, record.until_ns));
        }
    }

    pub(super) fn signalled(&mut self, record: &SignalRecord, actions: &mut Vec<Action>) {
        let Ok(id) = InvocationId::try_from(&record.invocation[..]) else { return };
        let Ok(own) = <[u8; 16]>::try_from(&record.id[..]) else { return };
        let signal =
            WaitingSignal { id: own, sequence: self.position, name: record.name.as_str().into() };
        if self.receiver(id) != Receiver::Open {
            return;
        }
        let Some(run) = self.runs.get_mut(&id) else {
            let mut early = self.early.remove(&id).unwrap_or_default();
            early.push(signal);
            self.early.insert(id, early);
            return;
        };
        let wakes = run.suspension.as_ref().is_some_and(|at| at.signal == signal.name);
        run.signals.push(signal);
        if wakes {
            actions.push(Action::Resume(id));
        }
    }

    /// Whether an invocation takes a signal.
    pub(crate) fn receiver(&self, id: InvocationId) -> Receiver {
        let waiting = match self.runs.get(&id) {
            Some(run) if run.started.durable => run.signals.len(),
            Some(_) => return Receiver::None,
            None if self.not_begun(id) => self.early.get(&id).map_or(0, Vec::len),
            None => return Receiver::None,
        };
        match waiting < limits::SIGNALS_WAITING_MAX {
            true => Receiver::Open,
            false => Receiver::Full,
        }
    }

    /// Whether this is the first attempt of an asynchronous invocation that waits for its turn.
    fn not_begun(&self, id: InvocationId) -> bool {
        self.named.contains_key(&EventId::from_bytes(*id.as_bytes()))
    }

    /// Whether nobody wants what an invocation does: of a batch all events were cancelled. While one
    /// is wanted the others go on with it.
    pub(crate) fn is_cancelled(&self, id: InvocationId) -> bool {
        let Some(run) = self.runs.get(&id) else { return false };
        run.members.iter().all(|event| {
            let pending = self.deliveries.get(&Id { event: *event, lane: run.lane });
            pending.is_some_and(|at| matches!(at.state, State::Running { cancelled: true, .. }))
        })
    }

    pub(crate) fn recover_run(&self, id: InvocationId, run: &Run) -> Action {
        match &run.suspension {
            _ if self.is_cancelled(id) => Action::Close(id),
            Some(_) if run.waiting_signal().is_some() => Action::Resume(id),
            // A sleep without end or signal ends only with the invocation.
            Some(at) if at.until_ns == 0 => Action::WakeAt(id, i64::MAX),
            Some(at) => Action::WakeAt(id, at.until_ns),
            None if run.started.durable && run.stalled < limits::RESUMES_WITHOUT_PROGRESS_MAX => {
                Action::Resume(id)
            }
            None => Action::Close(id),
        }
    }
}

impl Run {
    /// The signal that ends its sleep.
    pub(crate) fn waiting_signal(&self) -> Option<&WaitingSignal> {
        let wanted = self.suspension.as_ref().filter(|at| !at.signal.is_empty())?;
        self.signals.iter().find(|signal| signal.name == wanted.signal)
    }
}
