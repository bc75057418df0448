//! Operations that pass `exec::Host`: played from the journal, or done and recorded. In a durable
//! invocation what precedes an effect is kept before it begins, and its result before the guest has
//! it.

use std::sync::Arc;
use std::time::Instant;

use nexus_exec::journal::{Function, Outcome};
use nexus_exec::rehearsal::Effect;
use nexus_exec::{CallContext, Host};

use crate::durable::Keeper;
use crate::ledger::{Tape, lock};
use crate::state::State;
use crate::witness::Stage;

/// One use of a capability.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) function: Function,
    pub(super) arguments: u64,
    /// For people.
    pub(super) text: String,
}

/// What an operation reaches the world with.
pub(super) struct Live {
    pub(super) host: Arc<dyn Host>,
    pub(super) context: Arc<CallContext>,
    /// Its number in the journal.
    pub(super) number: u32,
    pub(super) durable: bool,
}

impl Live {
    /// Names the operation for ever.
    pub(super) fn key(&self) -> String {
        format!("{}-{}", self.context.id, self.number)
    }

    /// The same, where the operation may be repeated.
    pub(super) fn repeatable(&self) -> Option<String> {
        self.durable.then(|| self.key())
    }
}

/// What [`State::known`] found.
enum Known<L> {
    Outcome(Outcome),
    /// The world has to be asked.
    Nothing(L),
}

/// The recorded outcome, unless the guest asked for another number of things than the recorded
/// version did: then nobody knows the answer.
fn fitting(known: Outcome, own: Outcome) -> Outcome {
    match (&known, &own) {
        (Outcome::Many(known), Outcome::Many(asked)) if known.len() != asked.len() => own,
        _ => known,
    }
}

impl State {
    pub(super) fn keeper(&self) -> Option<Arc<Keeper>> {
        self.durable.as_ref()?.keeper.clone()
    }

    pub(super) fn is_durable_live(&self) -> bool {
        self.durable.as_ref().is_some_and(|durable| durable.keeper.is_some())
    }

    /// Keeps what was recorded until now, in a durable invocation.
    pub(super) fn keep_journal(&self) -> impl Future<Output = wasmtime::Result<()>> + Send + use<> {
        let keeper = self.keeper();
        async move {
            match keeper {
                Some(keeper) => keeper.keep().await.map_err(wasmtime::Error::new),
                None => Ok(()),
            }
        }
    }

    /// What only reads: its result is kept with the next effect.
    pub(super) async fn ask<F>(
        &mut self,
        operation: &Operation,
        live: impl FnOnce(Live) -> F + Send,
    ) -> wasmtime::Result<Outcome>
    where
        F: Future<Output = Outcome> + Send,
    {
        match self.known(operation, live).await? {
            Known::Outcome(outcome) => Ok(outcome),
            Known::Nothing(live) => self.reach(operation, live).await,
        }
    }

    /// What changes the world.
    pub(super) async fn effect<F>(
        &mut self,
        operation: &Operation,
        live: impl FnOnce(Live) -> F + Send,
    ) -> wasmtime::Result<Outcome>
    where
        F: Future<Output = Outcome> + Send,
    {
        let live = match self.known(operation, live).await? {
            Known::Outcome(outcome) => return Ok(outcome),
            Known::Nothing(live) => live,
        };
        self.keep_journal().await?;
        let outcome = self.reach(operation, live).await?;
        self.keep_journal().await?;
        Ok(outcome)
    }

    /// What is known without the world: a recorded outcome, or that of a rehearsal. A witness is told
    /// the arguments, which it gets from the call as it would reach the world.
    async fn known<L, F>(&mut self, operation: &Operation, live: L) -> wasmtime::Result<Known<L>>
    where
        L: FnOnce(Live) -> F + Send,
        F: Future<Output = Outcome> + Send,
    {
        let (number, watched, rehearsed) = {
            let ledger = lock(&self.ledger);
            let rehearsed = matches!(ledger.tape, Tape::Rehearse(_));
            (ledger.operations(), ledger.witness.is_some(), rehearsed)
        };
        let played = self.played(operation)?;
        let outcome = match played {
            Some(outcome) if watched => outcome,
            Some(outcome) => return Ok(Known::Outcome(outcome)),
            None if rehearsed => Outcome::Pending,
            None => return Ok(Known::Nothing(live)),
        };
        let (stage, context) = (Stage::notes(self.unit.clone()), self.context.clone());
        let own = live(Live { host: stage.clone(), context, number, durable: false }).await;
        let function = operation.function;
        let Some((target, details)) = stage.take() else {
            // The arguments break a rule: no world is needed to say so.
            lock(&self.ledger).record(function, operation.arguments, &operation.text, &own);
            return Ok(Known::Outcome(if rehearsed { own } else { outcome }));
        };
        let mut ledger = lock(&self.ledger);
        if let Tape::Rehearse(script) = &mut ledger.tape {
            let known = script.ask((function, &target, details));
            script.count();
            return Ok(Known::Outcome(known.map_or(own.clone(), |known| fitting(known, own))));
        }
        ledger.watch(|witness| {
            let outcome = outcome.clone();
            witness.saw(Effect {
                operation: number,
                function,
                target,
                details,
                outcome,
                answered: None,
                whole: true,
            });
        });
        Ok(Known::Outcome(outcome))
    }

    pub(super) fn played(&mut self, operation: &Operation) -> wasmtime::Result<Option<Outcome>> {
        let Operation { function, arguments, text } = operation;
        lock(&self.ledger).replayed(*function, *arguments, text)
    }

    pub(super) fn record(&mut self, operation: &Operation, outcome: &Outcome) {
        let Operation { function, arguments, text } = operation;
        lock(&self.ledger).record(*function, *arguments, text, outcome);
    }

    pub(super) fn unexpected(&self, function: Function, outcome: &Outcome) -> wasmtime::Error {
        lock(&self.ledger).unexpected(function, outcome)
    }

    /// Only where [`played`](Self::played) gave nothing: then there is a world.
    async fn reach<F>(
        &mut self,
        operation: &Operation,
        live: impl FnOnce(Live) -> F + Send,
    ) -> wasmtime::Result<Outcome>
    where
        F: Future<Output = Outcome> + Send,
    {
        let Some(host) = self.host.clone() else {
            wasmtime::bail!("{} without a host", operation.function.name());
        };
        let number = {
            let mut ledger = lock(&self.ledger);
            ledger.in_flight = Some(operation.function);
            ledger.operations()
        };
        let (context, durable) = (self.context.clone(), self.durable.is_some());
        let began = Instant::now();
        let outcome = live(Live { host, context, number, durable }).await;
        let Operation { function, arguments, text } = operation;
        lock(&self.ledger).record_wait((*function, *arguments, text), began, &outcome);
        Ok(outcome)
    }
}
