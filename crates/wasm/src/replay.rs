//! A recorded invocation again, with its journal as the outside world.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nexus_exec::journal::{Divergence, EnvEntry, Journal, Player, Stop};
use nexus_exec::rehearsal::Effect;
use nexus_exec::{CallContext, Cancel, Ended, EnvVar, Error, Replayed, Unit};
use nexus_model::record::{InvocationRecord, LogLine, Output, Status};
use nexus_model::view::{DivergenceView, ReplayView, Verdict};
use nexus_model::{Clock, Digest, Event, InvocationId, Name, Timestamp, VersionId};

use crate::input::{Input, input_of};
use crate::invoke::{Executed, Setting, Stopped, execute, nanoseconds};
use crate::ledger::{Ledger, Shared, Tape, lock};
use crate::logs::{Logs, structure};
use crate::runtime::Ready;
use crate::state::{State, StopAt, Work};
use crate::witness::Witness;
use crate::{engine, finish};

/// A replay that computes longer than this since its last operation has left its recording.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(60);
/// How long a replay may compute after the last operation of a recording that was stopped.
const STRUCK_BUDGET: Duration = Duration::from_millis(20);

pub(crate) fn not_replayable(reason: impl Into<String>) -> Error {
    Error::NotReplayable { reason: reason.into() }
}

/// Runs a record again. With a witness it also tells what was asked of the world.
pub(crate) async fn replay(
    ready: &Ready,
    (record, event): (&InvocationRecord, Option<Event>),
    witness: Option<Box<Witness>>,
) -> Result<(Replayed, Vec<Effect>), Error> {
    let recorded = Recorded::read(ready, record)?;
    let (journal, unit) = (&recorded.journal, &recorded.unit);
    let input = input_of((record, event), (journal, unit), unit.world)?;
    let verify = journal.header.verify;
    let flavour = match verify {
        true => ready.inner.verifying(unit.component).await?,
        false => ready.inner.pooling(),
    };
    let slot = flavour.registry.slot(unit.component, unit.world);
    let loaded = flavour.registry.get(&slot).await?;
    let struck = journal.ending.is_struck();
    let started = Instant::now();
    let clock = ready.inner.clock.clone();
    let tape = Tape::Replay(Box::new(Player::new(recorded.journal.clone())));
    let ledger = Recorded::ledger(tape, &input, clock.clone());
    lock(&ledger).witness = witness;
    let stop_at =
        StopAt { deadline: started + TIME_MAX, struck_budget: struck.then_some(STRUCK_BUDGET) };
    let state = recorded.state(&input, ledger.clone(), (clock.clone(), stop_at));
    let Recorded { unit, context, succeeded, .. } = recorded;
    let executed = execute(flavour, &loaded, state, (input.guest, verify)).await;
    let mut ledger = std::mem::replace(&mut *lock(&ledger), Ledger::empty(Logs::new(clock)));
    let effects = ledger.witness.take().map(|witness| witness.finish(&unit)).unwrap_or_default();
    let end = End::of(&ledger, &executed, struck);
    let played = ledger.operations();
    let facts = finish::Facts {
        unit: &unit,
        context: &context,
        event: input.event.as_ref(),
        stdin: input.stdin,
        timeout: TIME_MAX,
        lenient: succeeded,
    };
    let ended = finish::finish(ledger, executed, facts);
    let divergence = match end {
        End::Diverged(divergence) => Some(divergence),
        End::Struck => compare_prefix(record, &ended),
        End::Complete => compare(record, &ended),
    };
    let view = view(record, (divergence, struck), (played, started.elapsed(), &ended));
    Ok((Replayed { view, ended }, effects))
}

/// A recording that can be replayed here, with its secrets.
pub(crate) struct Recorded {
    pub(crate) journal: Journal,
    pub(crate) unit: Arc<Unit>,
    pub(crate) context: Arc<CallContext>,
    pub(crate) succeeded: bool,
}

impl Recorded {
    pub(crate) fn read(ready: &Ready, record: &InvocationRecord) -> Result<Self, Error> {
        let mut journal = read_journal(record)?;
        check_identity(&journal, &ready.unit)?;
        let unit = Arc::new(unit_of(&journal, &ready.unit)?);
        journal.unmask(|env| secret(&unit, env));
        let context = Arc::new(context_of(&journal, record, &unit));
        let succeeded = record.status() == Status::Succeeded;
        Ok(Recorded { journal, unit, context, succeeded })
    }

    /// What a store begins with whose outside world is `ledger`.
    pub(crate) fn state(
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

    /// A ledger that plays `tape`.
    pub(crate) fn ledger(tape: Tape, input: &Input, clock: Arc<dyn Clock>) -> Shared {
        let mut ledger = Ledger::new(tape, true, (Logs::new(clock), Instant::now()));
        ledger.whole_input = input.body.clone();
        Arc::new(std::sync::Mutex::new(ledger))
    }
}

/// How a replay came to its end.
enum End {
    Diverged(Divergence),
    /// At the place where the recording was stopped from outside.
    Struck,
    Complete,
}

impl End {
    fn of(ledger: &Ledger, executed: &Executed, struck: bool) -> Self {
        let stop = ledger.stop.clone().or_else(|| match &executed.result {
            Err(Stopped::Failed(error)) => error.downcast_ref::<Stop>().cloned(),
            _ => None,
        });
        match stop {
            Some(Stop::Diverged(divergence)) => return End::Diverged(divergence),
            Some(Stop::Struck { .. }) => return End::Struck,
            None => {}
        }
        if let Err(Stopped::Interrupted(_)) = executed.result {
            return End::Diverged(Divergence {
                operation: ledger.operations(),
                what: "end".to_owned(),
                expected: "the end of the function".to_owned(),
                actual: format!("still computing after {TIME_MAX:?}"),
            });
        }
        if let Tape::Replay(player) = &ledger.tape
            && let Some(left) = player.left_over()
        {
            return End::Diverged(left);
        }
        if struck { End::Struck } else { End::Complete }
    }
}

pub(crate) fn read_journal(record: &InvocationRecord) -> Result<Journal, Error> {
    if !record.not_replayable.is_empty() {
        return Err(not_replayable(record.not_replayable.clone()));
    }
    let bytes = record.journal.as_ref().map(|journal| journal.inline.clone()).unwrap_or_default();
    if bytes.is_empty() {
        return Err(not_replayable("it has no journal"));
    }
    Journal::decode(&bytes).map_err(Error::Journal)
}

pub(crate) fn check_identity(journal: &Journal, unit: &Unit) -> Result<(), Error> {
    let semantics = engine::semantics();
    if journal.header.semantics != semantics {
        return Err(not_replayable(format!(
            "it was recorded with engine semantics {}, this engine has {}",
            Digest::from_bytes(journal.header.semantics).short(),
            Digest::from_bytes(semantics).short(),
        )));
    }
    let recorded = Digest::from_bytes(journal.header.component);
    if recorded != unit.component {
        return Err(not_replayable(format!(
            "it was recorded with component {}, this is component {}",
            recorded.hex(),
            unit.component.hex(),
        )));
    }
    Ok(())
}

/// The unit with the environment as it was.
pub(crate) fn unit_of(journal: &Journal, unit: &Unit) -> Result<Unit, Error> {
    let mut env = Vec::with_capacity(journal.header.env.len());
    for entry in &journal.header.env {
        env.push(match entry {
            EnvEntry::Plain { name, value } => {
                EnvVar { name: name.clone(), value: value.clone(), secret: None }
            }
            EnvEntry::Secret { name, secret, version } => unit
                .env
                .iter()
                .find(|var| {
                    var.secret
                        .as_ref()
                        .is_some_and(|(known, at)| known.as_str() == secret && at == version)
                })
                .map(|var| EnvVar { name: name.clone(), ..var.clone() })
                .ok_or_else(|| {
                    not_replayable(format!("version {version} of secret {secret} is gone"))
                })?,
        });
    }
    Ok(Unit { env, ..unit.clone() })
}

pub(crate) fn secret(unit: &Unit, env: u32) -> Option<&[u8]> {
    let var = unit.env.get(env as usize)?;
    var.secret.as_ref().map(|_| var.value.as_bytes())
}

pub(crate) fn context_of(journal: &Journal, record: &InvocationRecord, unit: &Unit) -> CallContext {
    CallContext {
        id: InvocationId::try_from(&journal.header.invocation[..])
            .unwrap_or_else(|_| unreachable_id()),
        project: Name::new(&record.meta.project).unwrap_or_else(|_| unit.project.clone()),
        function: Name::new(&record.function).unwrap_or_else(|_| unit.function.clone()),
        version: VersionId::try_from(&record.version[..]).unwrap_or(unit.version),
        attempt: journal.header.attempt,
        traceparent: Arc::from(journal.header.traceparent.as_str()),
        tracestate: None,
        accepted: Timestamp::from_unix_ns(record.accepted_ns),
        deadline: Timestamp::from_unix_ns(journal.header.deadline_ns),
        // Only the host looks at it, and a replay has none.
        depth: 0,
    }
}

/// Any sixteen bytes make an id.
fn unreachable_id() -> InvocationId {
    InvocationId::from(uuid::Uuid::nil())
}

fn differs(what: &str, expected: impl ToString, actual: impl ToString) -> Option<Divergence> {
    Some(Divergence {
        operation: u32::MAX,
        what: what.to_owned(),
        expected: expected.to_string(),
        actual: actual.to_string(),
    })
}

/// Compares everything that an invocation leaves behind.
pub(crate) fn compare(record: &InvocationRecord, ended: &Ended) -> Option<Divergence> {
    let status = Status::try_from(record.status).unwrap_or(Status::Unknown);
    if status != ended.status {
        return differs("status", status.word(), ended.status.word());
    }
    let failure = |failure: Option<&nexus_model::record::Failure>| {
        failure.map_or_else(String::new, |failure| {
            // Recordings have longer messages where they were made before these were cut.
            let mut message = failure.message.clone();
            finish::shorten(&mut message);
            format!("{} {message}", failure.code)
        })
    };
    let (expected, actual) = (failure(record.failure.as_ref()), failure(ended.failure.as_ref()));
    // Older recordings have a backtrace in the place of some messages.
    let is_trace = expected.contains(" error while executing at wasm backtrace");
    if expected != actual && !(is_trace && expected.get(..6) == actual.get(..6)) {
        return differs("failure", expected, actual);
    }
    let nothing = Output::default();
    let output = record.output.as_ref().unwrap_or(&nothing);
    compare_output(output, ended).or_else(|| compare_rest(record, output, ended))
}

fn compare_output(output: &Output, ended: &Ended) -> Option<Divergence> {
    if output.http_status != u32::from(ended.http_status) {
        return differs("output status", output.http_status, ended.http_status);
    }
    let expected = output.headers.iter().map(|header| (header.name.as_str(), &header.value));
    let expected: Vec<_> = expected.filter(|(name, _)| !is_hop_by_hop(name)).collect();
    let actual = ended.headers.iter().map(|(name, value)| (name.as_str(), value));
    let actual: Vec<_> = actual.filter(|(name, _)| !is_hop_by_hop(name)).collect();
    if expected != actual {
        return differs("output headers", format!("{expected:?}"), format!("{actual:?}"));
    }
    let body = output.body.clone().unwrap_or_default();
    if body.size != ended.output.size {
        let bytes = |size: u64| format!("{size} bytes");
        return differs("output body", bytes(body.size), bytes(ended.output.size));
    }
    if !body.dropped && body.inline != ended.output.bytes {
        return first_difference(&body.inline, &ended.output.bytes);
    }
    None
}

fn compare_rest(record: &InvocationRecord, output: &Output, ended: &Ended) -> Option<Divergence> {
    if output.events != ended.events {
        let events = |count: usize| format!("{count} events");
        let (expected, actual) = (events(output.events.len()), events(ended.events.len()));
        return differs("returned events", expected, actual);
    }
    if output.exit_code != ended.exit_code {
        let code = |code: Option<i32>| format!("{code:?}");
        return differs("exit code", code(output.exit_code), code(ended.exit_code));
    }
    if record.logs.len() != ended.logs.len() || record.logs_dropped != ended.logs_dropped {
        let lines = |count: usize| format!("{count} lines");
        return differs("logs", lines(record.logs.len()), lines(ended.logs.len()));
    }
    let mut lines = record.logs.iter().zip(&ended.logs);
    if let Some(different) = lines.find_map(|(expected, actual)| line_difference(expected, actual))
    {
        return Some(different);
    }
    if let (false, Some(actual)) = (record.memory_hash.is_empty(), ended.memory_hash)
        && record.memory_hash[..] != actual[..]
    {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        return differs("memory", hex(&record.memory_hash), hex(&actual));
    }
    None
}

/// Compares what both have of a recording that was stopped at an arbitrary instruction.
fn compare_prefix(record: &InvocationRecord, ended: &Ended) -> Option<Divergence> {
    let nothing = Output::default();
    let output = record.output.as_ref().unwrap_or(&nothing);
    if output.http_status != 0
        && ended.http_status != 0
        && output.http_status != u32::from(ended.http_status)
    {
        return differs("output status", output.http_status, ended.http_status);
    }
    let body = output.body.clone().unwrap_or_default();
    let common = body.inline.len().min(ended.output.bytes.len());
    if body.inline[..common] != ended.output.bytes[..common] {
        return first_difference(&body.inline[..common], &ended.output.bytes[..common]);
    }
    // The last line of either may have been cut in the middle.
    let whole = record.logs.len().min(ended.logs.len()).saturating_sub(1);
    record
        .logs
        .iter()
        .zip(&ended.logs)
        .take(whole)
        .find_map(|(expected, actual)| line_difference(expected, actual))
}

/// Compares what a line says. Recordings hold lines of JSON as they were printed where they were
/// made before such lines were taken apart.
fn line_difference(expected: &LogLine, actual: &LogLine) -> Option<Divergence> {
    let mut expected = expected.clone();
    structure(&mut expected);
    let said = |line: &LogLine| {
        let parts = [&line.level, &line.text, &line.fields].map(String::as_str);
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    };
    let same = expected.level == actual.level
        && expected.text == actual.text
        && expected.fields == actual.fields;
    if same { None } else { differs("logs", said(&expected), said(actual)) }
}

fn first_difference(expected: &[u8], actual: &[u8]) -> Option<Divergence> {
    const SHOWN: usize = 40;
    let at = expected.iter().zip(actual).take_while(|(a, b)| a == b).count();
    let from = at.saturating_sub(8);
    let shown = |bytes: &[u8]| {
        let part = &bytes[from.min(bytes.len())..bytes.len().min(from + SHOWN)];
        format!("byte {at}: …{}…", String::from_utf8_lossy(part))
    };
    differs("output body", shown(expected), shown(actual))
}

fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" | "te"
    )
}

fn view(
    record: &InvocationRecord,
    (divergence, struck): (Option<Divergence>, bool),
    (operations, took, ended): (u32, Duration, &Ended),
) -> ReplayView {
    let verdict = match (&divergence, struck) {
        (Some(_), _) => Verdict::Diverged,
        (None, true) => Verdict::IdenticalUpTo,
        (None, false) => Verdict::Identical,
    };
    let memory_compared = verdict == Verdict::Identical
        && !record.memory_hash.is_empty()
        && ended.memory_hash.is_some();
    let divergence = divergence.map(|divergence| DivergenceView {
        operation: (divergence.operation != u32::MAX).then_some(divergence.operation),
        what: divergence.what,
        expected: divergence.expected,
        actual: divergence.actual,
    });
    let summary = match (&divergence, verdict) {
        (Some(at), _) => {
            let place = match at.operation {
                Some(operation) => format!("operation {operation} ({})", at.what),
                None => at.what.clone(),
            };
            format!("differs at {place}: expected {}, found {}", at.expected, at.actual)
        }
        (None, Verdict::IdenticalUpTo) => {
            format!("identical up to operation {operations}, where the recording was stopped")
        }
        _ if memory_compared => format!("identical: {operations} operations, output and memory"),
        _ => format!("identical: {operations} operations and output"),
    };
    ReplayView {
        invocation: record.invocation_id().unwrap_or_else(unreachable_id),
        verdict,
        operations,
        summary,
        divergence,
        duration_ns: nanoseconds(took),
        original_ns: record.timings.total_ns,
        output: serde_json::Value::Null,
        memory_compared,
    }
}
