//! A recording that is run again here, as often as somebody wants.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use nexus_exec::journal::Journal;
use nexus_exec::{CallContext, Cancel, Error, Unit};
use nexus_model::record::InvocationRecord;
use nexus_model::{Clock, Event};

use crate::invoke::Setting;
use crate::ledger::{Ledger, Shared, Tape};
use crate::logs::Logs;
use crate::replay::{self, Input};
use crate::runtime::Ready;
use crate::state::{State, StopAt, Work};

/// A record with its journal, and with the unit that made it.
pub(super) struct Recorded {
    pub(super) record: InvocationRecord,
    event: Option<Event>,
    pub(super) journal: Journal,
    pub(super) unit: Arc<Unit>,
    pub(super) context: Arc<CallContext>,
}

impl Recorded {
    pub(super) fn read(
        ready: &Ready,
        record: &InvocationRecord,
        event: Option<Event>,
    ) -> Result<Self, Error> {
        let mut journal = replay::read_journal(record)?;
        replay::check_identity(&journal, &ready.unit)?;
        let unit = Arc::new(replay::unit_of(&journal, &ready.unit)?);
        journal.unmask(|env| replay::secret(&unit, env));
        let context = Arc::new(replay::context_of(&journal, record, &unit));
        Ok(Recorded { record: record.clone(), event, journal, unit, context })
    }

    /// What the guest is given, once more.
    pub(super) fn input(&self) -> Result<Input, Error> {
        let recorded = (&self.record, self.event.clone());
        replay::input_of(recorded, (&self.journal, &self.unit), self.unit.world)
    }

    /// A ledger that plays `tape`.
    pub(super) fn ledger(tape: Tape, input: &Input, clock: Arc<dyn Clock>) -> Shared {
        let mut ledger = Ledger::new(tape, true, (Logs::new(clock), Instant::now()));
        ledger.whole_input = input.body.clone();
        Arc::new(Mutex::new(ledger))
    }

    /// What a store begins with whose outside world is `ledger`.
    pub(super) fn state(
        &self,
        input: &Input,
        ledger: Shared,
        (clock, stop_at): (Arc<dyn Clock>, StopAt),
    ) -> State {
        let setting = Setting {
            context: self.context.clone(),
            unit: self.unit.clone(),
            host: None,
            clock,
            ledger,
            seed: self.journal.header.seed,
            durable: self.journal.header.durable.then(Box::default),
            work: Work::of(input.event.as_ref()),
            stop_at,
            cancel: Cancel::default(),
            stdin: input.stdin.clone(),
            arguments: input.arguments.clone(),
        };
        setting.state()
    }
}
