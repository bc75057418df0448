//! A rehearsal: this unit runs for the input of a recording that another version may have made, and
//! everything outside is answered by what that recording knows.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use nexus_exec::journal::{EnvEntry, Journal};
use nexus_exec::rehearsal::{Effect, Rehearsed, Script};
use nexus_exec::{CallContext, Cancel, EnvVar, Error, Unit};
use nexus_model::Event;
use nexus_model::record::InvocationRecord;

use crate::durable::{Durable, Keeper};
use crate::finish;
use crate::invoke::{GuestInput, Setting, execute};
use crate::ledger::{Ledger, Tape, lock};
use crate::logs::Logs;
use crate::replay::{Input, TIME_MAX, context_of, input_of, read_journal, secret};
use crate::runtime::Ready;
use crate::state::{StopAt, Work};
use crate::witness::Stage;

/// Runs the unit with a recording as its world.
pub(crate) async fn rehearse(
    ready: &Ready,
    (record, event): (&InvocationRecord, Option<Event>),
    effects: Vec<Effect>,
) -> Result<Rehearsed, Error> {
    let mut journal = read_journal(record)?;
    let unit = ready.unit.clone();
    let known = known_secrets(&journal, &unit);
    journal.unmask(|env| secret(&known, env));
    let mut input = input_of((record, event), (&journal, &known), unit.world)?;
    let loaded = ready.inner.pooling().registry.get(&ready.slot).await?;
    let context = CallContext {
        function: unit.function.clone(),
        version: unit.version,
        ..context_of(&journal, record, &unit)
    };
    let context = Arc::new(context);
    let started = Instant::now();
    let clock = ready.inner.clock.clone();
    let (seed, is_durable) = (journal.header.seed, journal.header.durable);
    let tape = Tape::Rehearse(Box::new(Script::new(&journal, effects)));
    let mut ledger = Ledger::new(tape, true, (Logs::new(clock.clone()), started));
    ledger.whole_input = give_body(&mut input, is_durable);
    let ledger = Arc::new(std::sync::Mutex::new(ledger));
    let stage = Stage::of(unit.clone(), ledger.clone());
    let durable = is_durable.then(|| {
        let keeper = Keeper::new(stage.clone(), context.clone(), unit.clone(), ledger.clone());
        Box::new(Durable { keeper: Some(Arc::new(keeper)), ..Durable::default() })
    });
    let state = Setting {
        context: context.clone(),
        unit: unit.clone(),
        host: Some(stage),
        clock: clock.clone(),
        ledger: ledger.clone(),
        seed,
        durable,
        work: Work::of(input.event.as_ref()),
        stop_at: StopAt { deadline: started + TIME_MAX, struck_budget: None },
        cancel: Cancel::default(),
        stdin: input.stdin.clone(),
        arguments: input.arguments,
    }
    .state();
    let executed = execute(ready.inner.pooling(), &loaded, state, (input.guest, false)).await;
    let mut ledger = std::mem::replace(&mut *lock(&ledger), Ledger::empty(Logs::new(clock)));
    let script = match std::mem::replace(&mut ledger.tape, Tape::Off(0)) {
        Tape::Rehearse(script) => {
            ledger.tape = Tape::Off(script.operations());
            Some(script)
        }
        _ => None,
    };
    let facts = finish::Facts {
        unit: &unit,
        context: &context,
        event: input.event.as_ref(),
        stdin: input.stdin,
        timeout: TIME_MAX,
    };
    let ended = finish::finish(ledger, executed, facts);
    let (asked, recorded, missed) = script.map(|script| script.finish()).unwrap_or_default();
    Ok(Rehearsed { ended, asked, recorded, missed })
}

/// Puts the whole body into the request. A durable invocation reads it from elsewhere: it is given
/// back.
fn give_body(input: &mut Input, is_durable: bool) -> Bytes {
    let body = std::mem::take(&mut input.body);
    match &mut input.guest {
        GuestInput::Http(_) if is_durable => return body,
        GuestInput::Http(request) if input.event.is_none() => {
            let body = http_body_util::Full::new(body);
            *request.body_mut() = body.map_err(|never| match never {}).boxed_unsync();
        }
        _ => {}
    }
    Bytes::new()
}

/// The unit with its environment in the order of the recording, as far as it has the same secrets:
/// where the recording says that a secret was, its value is put.
fn known_secrets(journal: &Journal, unit: &Unit) -> Unit {
    let value = |entry: &EnvEntry| match entry {
        EnvEntry::Plain { name, value } => {
            EnvVar { name: name.clone(), value: value.clone(), secret: None }
        }
        EnvEntry::Secret { name, secret, version } => {
            let same = |var: &&EnvVar| {
                let known = var.secret.as_ref();
                known.is_some_and(|(known, at)| known.as_str() == secret && at == version)
            };
            let found = unit.env.iter().find(same).cloned();
            found.unwrap_or(EnvVar { name: name.clone(), value: String::new(), secret: None })
        }
    };
    Unit { env: journal.header.env.iter().map(value).collect(), ..unit.clone() }
}
