//! From the state to rows.

use bytes::Bytes;
use nexus_model::EventId;
use nexus_model::resource::Kind;
use prost::Message;

use super::rows::{
    Body, DEDUP_TAG, DeadRow, DeclaredRow, DedupRow, DeliveryRow, EarlyRow, FiredRow, GoneRow,
    LaneRow, RunRow, ScheduleRow, SeenRow, SignalRow, SuspensionRow, VerdictRow,
};
use crate::dedup::Dedup;
use crate::lanes::{Declared, LaneId};
use crate::shard::{BreakerState, Dead, Id, Pending, Run, State, Verdict, WaitingSignal};
use crate::snapshot::Snapshot;

/// What a deduplication row takes at most, in bytes.
const DEDUP_ROW_BYTES: usize = 48;

/// Puts the state behind what is there.
pub(super) fn body(state: &Snapshot, dedup: &Dedup, encoded: &mut Vec<u8>) {
    let mut body = Body {
        position: state.position,
        lanes: lanes(state),
        declared: declared(state),
        deliveries: state.deliveries.iter().map(|(id, at)| delivery(*id, at)).collect(),
        runs: state.runs.iter().map(|(_, at)| run(at)).collect(),
        early: Vec::new(),
        schedules: Vec::new(),
        dead: state.dead.iter().map(|(id, at)| dead(*id, at)).collect(),
        seen: Vec::new(),
        dedup: Vec::new(),
    };
    for (invocation, signals) in state.early.iter() {
        let invocation = bytes(invocation.as_bytes());
        body.early.push(EarlyRow { invocation, signals: signals.iter().map(signal).collect() });
    }
    for (id, at) in state.schedules.iter() {
        body.schedules.push(ScheduleRow {
            id: event(*id),
            project: at.project.to_string(),
            due_ns: at.due_ns,
            sequence: at.sequence,
        });
    }
    for ((lane, key), at_ns) in state.seen.iter() {
        body.seen.push(SeenRow { lane: lane.0, key: bytes(key), at_ns: *at_ns });
    }
    sort(&mut body);
    encoded.reserve(body.encoded_len() + dedup.len() * DEDUP_ROW_BYTES);
    body.encode_raw(encoded);
    append_dedup(dedup, encoded);
}

/// Most of a checkpoint: encoded row by row, without a copy of them all. A field that repeats may
/// stand anywhere in a message.
fn append_dedup(dedup: &Dedup, encoded: &mut Vec<u8>) {
    let mut row = DedupRow::default();
    dedup.each(|at, key, id| {
        row.key.clear();
        row.key.extend_from_slice(&key.0);
        row.event.clear();
        row.event.extend_from_slice(id.as_bytes());
        row.at_ns = at.unix_ns();
        prost::encoding::message::encode(DEDUP_TAG, &row, encoded);
    });
}

/// The tables have no order of their own.
fn sort(body: &mut Body) {
    body.declared
        .sort_by(|a, b| (&a.kind, &a.project, &a.name).cmp(&(&b.kind, &b.project, &b.name)));
    body.deliveries.sort_by(|a, b| (a.order, &a.event, a.lane).cmp(&(b.order, &b.event, b.lane)));
    body.runs.sort_by(|a, b| (a.sequence, &a.started.id).cmp(&(b.sequence, &b.started.id)));
    body.early.sort_by(|a, b| a.invocation.cmp(&b.invocation));
    body.schedules.sort_by(|a, b| a.id.cmp(&b.id));
    body.dead.sort_by(|a, b| (&a.event, a.lane).cmp(&(&b.event, b.lane)));
    body.seen.sort_by(|a, b| (a.lane, &a.key).cmp(&(b.lane, &b.key)));
}

fn bytes(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn event(id: EventId) -> Bytes {
    bytes(id.as_bytes())
}

fn lanes(state: &Snapshot) -> Vec<LaneRow> {
    let row = |(number, lane): (usize, &std::sync::Arc<crate::lanes::Lane>)| {
        let at = state.states.get(&LaneId(number as u32)).cloned().unwrap_or_default();
        let (failures, open_until_ns) = match at.breaker {
            BreakerState::Closed { failures } => (failures, 0),
            BreakerState::Open { until_ns } => (0, until_ns),
        };
        let fired = at.fired.iter().map(|(cron, at_ns)| FiredRow { cron: *cron, at_ns: *at_ns });
        LaneRow {
            project: lane.project.to_string(),
            function: lane.function.to_string(),
            trigger: lane.trigger.to_string(),
            failures,
            open_until_ns,
            spent_until_ns: at.bucket.spent_until_ns,
            fired: fired.collect(),
            gone: lane.gone.as_ref().map(|gone| GoneRow {
                spec: gone.spec.to_string(),
                given_up_through: gone.given_up_through,
            }),
        }
    };
    state.lanes.iter().enumerate().map(row).collect()
}

fn declared(state: &Snapshot) -> Vec<DeclaredRow> {
    let row = |kind: Kind, project: &str, name: &str, at: &Declared| DeclaredRow {
        kind: kind.as_str().to_owned(),
        project: project.to_owned(),
        name: name.to_owned(),
        revision: at.revision,
        spec: at.spec.to_string(),
        at_ns: at.at_ns,
    };
    let functions = state.lanes.iter().filter_map(|lane| {
        Some(row(Kind::Function, &lane.project, &lane.function, lane.declared.as_ref()?))
    });
    let triggers = state.triggers.iter();
    let triggers = triggers.map(|((project, name), at)| row(Kind::Trigger, project, name, at));
    functions.chain(triggers).collect()
}

fn delivery(id: Id, pending: &Pending) -> DeliveryRow {
    let row = DeliveryRow {
        event: event(id.event),
        lane: id.lane.0,
        sequence: pending.sequence,
        order: pending.order,
        since_ns: pending.since_ns,
        key: pending.key.as_deref().map(str::to_owned),
        ty: pending.ty.to_string(),
        attempt: pending.attempt,
        named: pending.named,
        ..DeliveryRow::default()
    };
    match &pending.state {
        State::Queued { due_ns, failed } => {
            DeliveryRow { due_ns: *due_ns, failed: failed.as_deref().map(str::to_owned), ..row }
        }
        State::Running { run, cancelled } => {
            DeliveryRow { run: bytes(run.as_bytes()), cancelled: *cancelled, ..row }
        }
        State::Settling(at) => DeliveryRow { verdict: Some(verdict(at)), ..row },
    }
}

fn verdict(at: &Verdict) -> VerdictRow {
    VerdictRow {
        decision: at.decision.into(),
        reason: at.reason.clone(),
        code: at.code.clone(),
        status: at.status.into(),
        invocation: at.invocation.map(|id| bytes(id.as_bytes())).unwrap_or_default(),
        attempts: at.attempts,
    }
}

fn run(run: &Run) -> RunRow {
    RunRow {
        started: run.started.clone(),
        sequence: run.sequence,
        lane: run.lane.0,
        members: run.members.iter().map(|id| event(*id)).collect(),
        pieces: run.pieces.clone(),
        stalled: run.stalled,
        suspension: run.suspension.as_ref().map(|at| SuspensionRow {
            until_ns: at.until_ns,
            signal: at.signal.to_string(),
            ran_ns: at.ran_ns,
        }),
        signals: run.signals.iter().map(signal).collect(),
    }
}

fn signal(at: &WaitingSignal) -> SignalRow {
    SignalRow { id: bytes(&at.id), sequence: at.sequence, name: at.name.to_string() }
}

fn dead(id: Id, dead: &Dead) -> DeadRow {
    DeadRow {
        event: event(id.event),
        lane: id.lane.0,
        sequence: dead.sequence,
        key: dead.key.as_deref().map(str::to_owned),
        ty: dead.ty.to_string(),
        attempts: dead.attempts,
        reason: dead.reason.to_string(),
        code: dead.code.to_string(),
        at_ns: dead.at_ns,
    }
}
