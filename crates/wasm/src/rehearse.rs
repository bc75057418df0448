//! A rehearsal: this unit runs for the input of a recording that another version may have made, and
//! everything outside is answered by what that recording knows.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use nexus_exec::rehearsal::{Frame, Rehearsed, Scene, Script};
use nexus_exec::{CallContext, Cancel, EnvVar, Error, Replayed, Unit};
use nexus_model::record::InvocationRecord;
use nexus_model::{Event, Timestamp};

use crate::durable::{Durable, Keeper};
use crate::finish;
use crate::input::{Input, given, whole_input};
use crate::invoke::{GuestInput, Setting, execute};
use crate::ledger::{Ledger, Tape, lock};
use crate::logs::Logs;
use crate::replay::{self, Recorded, TIME_MAX};
use crate::runtime::Ready;
use crate::state::{StopAt, Work};
use crate::witness::Stage;

/// Replays a record and gives its scene.
pub(crate) async fn witness(
    ready: &Ready,
    (record, event): (&InvocationRecord, Option<Event>),
) -> Result<(Replayed, Scene), Error> {
    let Recorded { journal, unit, context, .. } = Recorded::read(ready, record)?;
    let input = whole_input((record, event.clone()), (&journal, &unit))?;
    let (replayed, effects) = replay::replay(ready, (record, event), Some(Box::default())).await?;
    let frame = Frame {
        input,
        secrets: unit.env.iter().filter(|var| var.secret.is_some()).cloned().collect(),
        project: context.project.clone(),
        accepted: context.accepted,
    };
    Ok((replayed, Scene::new(&journal, effects, frame)))
}

/// Runs the unit in a scene, and counts its instructions where that is asked for.
pub(crate) async fn rehearse(
    ready: &Ready,
    scene: &Scene,
    counted: bool,
) -> Result<Rehearsed, Error> {
    let unit = Arc::new(with_secrets(&ready.unit, scene));
    let mut input = given(&scene.input, unit.world)?;
    let (flavour, slot) = match counted {
        false => (ready.inner.pooling(), ready.slot.clone()),
        true => {
            let flavour = ready.inner.counting(unit.component).await?;
            (flavour, flavour.registry.slot(unit.component, unit.world))
        }
    };
    let loaded = flavour.registry.get(&slot).await?;
    let context = Arc::new(context_in(scene, &unit));
    let started = Instant::now();
    let clock = ready.inner.clock.clone();
    let tape = Tape::Rehearse(Box::new(Script::new(scene)));
    let mut ledger = Ledger::new(tape, true, (Logs::new(clock.clone()), started));
    ledger.whole_input = give_body(&mut input, scene.durable);
    let ledger = Arc::new(std::sync::Mutex::new(ledger));
    let stage = Stage::of(unit.clone(), ledger.clone());
    let durable = scene.durable.then(|| {
        let keeper = Keeper::new(stage.clone(), context.clone(), unit.clone(), ledger.clone());
        Box::new(Durable { keeper: Some(Arc::new(keeper)), ..Durable::default() })
    });
    let state = Setting {
        context: context.clone(),
        unit: unit.clone(),
        host: Some(stage),
        clock: clock.clone(),
        ledger: ledger.clone(),
        seed: scene.seed,
        durable,
        work: Work::of(input.event.as_ref()),
        stop_at: StopAt { deadline: started + TIME_MAX, struck_budget: None },
        cancel: Cancel::default(),
        stdin: input.stdin.clone(),
        arguments: input.arguments,
    }
    .state();
    let executed = execute(flavour, &loaded, state, (input.guest, false)).await;
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
        lenient: false,
    };
    let ended = finish::finish(ledger, executed, facts);
    let (asked, recorded, missed) = script.map(|script| script.finish()).unwrap_or_default();
    Ok(Rehearsed { ended, asked, recorded, missed })
}

fn context_in(scene: &Scene, unit: &Unit) -> CallContext {
    CallContext {
        id: scene.invocation,
        project: scene.project.clone(),
        function: unit.function.clone(),
        version: unit.version,
        attempt: scene.attempt,
        traceparent: Arc::from(&*scene.traceparent),
        tracestate: None,
        accepted: scene.accepted,
        deadline: Timestamp::from_unix_ns(scene.deadline_ns),
        // Only the host looks at it, and a rehearsal has none.
        depth: 0,
    }
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

/// The unit with the values that its secrets had in the scene.
fn with_secrets(unit: &Unit, scene: &Scene) -> Unit {
    let name = |var: &EnvVar| var.secret.as_ref().map(|(name, _)| name.clone());
    let then = |var: &EnvVar| {
        let known = scene.secrets.iter().find(|then| name(then) == name(var));
        let known = known.filter(|_| var.secret.is_some());
        known.map_or_else(|| var.clone(), |then| EnvVar { name: var.name.clone(), ..then.clone() })
    };
    Unit { env: unit.env.iter().map(then).collect(), ..unit.clone() }
}
