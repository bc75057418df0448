//! From rows to the state. A row that makes no sense is left out: the checksum was right, so it
//! would be a defect of the writer.

use std::sync::Arc;

use nexus_model::record::{ConfigRecord, DeliveryDecision, Status};
use nexus_model::resource::Kind;
use nexus_model::{EventId, InvocationId, Timestamp};
use prost::Message;

use super::rows::{
    Body, DeadRow, DedupRow, DeliveryRow, GoneRow, LaneRow, RunRow, SignalRow, VerdictRow,
};
use crate::dedup::{Dedup, DedupKey};
use crate::lanes::{Gone, LaneId};
use crate::scheduler::Bucket;
use crate::shard::{
    BreakerState, Dead, Id, LaneState, Pending, Run, Scheduled, Seen, Shard, State, Suspension,
    Verdict, WaitingSignal,
};

pub(super) fn body(bytes: &[u8]) -> Option<(Shard, Dedup)> {
    let body = Body::decode(bytes).ok()?;
    let mut shard = Shard { position: body.position, ..Shard::default() };
    for row in body.lanes {
        lane(&mut shard, row);
    }
    // Functions first: the settings of a trigger are made over those of its function.
    let (functions, triggers): (Vec<_>, Vec<_>) =
        body.declared.into_iter().partition(|row| row.kind == Kind::Function.as_str());
    for row in functions.into_iter().chain(triggers) {
        let record = ConfigRecord {
            project: row.project,
            kind: row.kind,
            name: row.name,
            revision: row.revision,
            spec: row.spec,
            at_ns: row.at_ns,
            ..ConfigRecord::default()
        };
        shard.lanes.configure(&record, body.position);
    }
    let lanes = shard.lanes.iter().count() as u32;
    for row in body.deliveries.into_iter().filter(|row| row.lane < lanes) {
        delivery(&mut shard, row);
    }
    for row in body.runs.into_iter().filter(|row| row.lane < lanes) {
        run(&mut shard, row);
    }
    for row in body.early {
        if let Ok(id) = InvocationId::try_from(&row.invocation[..]) {
            shard.early.insert(id, row.signals.into_iter().filter_map(signal).collect());
        }
    }
    for row in body.schedules {
        if let Ok(id) = EventId::try_from(&row.id[..]) {
            let project = shard.intern(&row.project);
            let (due_ns, sequence) = (row.due_ns, row.sequence);
            shard.schedules.insert(id, Scheduled { project, due_ns, sequence });
        }
    }
    for row in body.dead.into_iter().filter(|row| row.lane < lanes) {
        dead(&mut shard, row);
    }
    let seen = body.seen.into_iter().filter_map(|row| {
        let key = <[u8; 16]>::try_from(&row.key[..]).ok()?;
        Some(((LaneId(row.lane), key), row.at_ns))
    });
    shard.seen = Seen::restore(seen.collect());
    Some((shard, dedup(body.dedup)))
}

pub(super) fn dedup(rows: Vec<DedupRow>) -> Dedup {
    let dedup = Dedup::new();
    for row in rows {
        if let (Ok(key), Ok(event)) =
            (<[u8; 16]>::try_from(&row.key[..]), EventId::try_from(&row.event[..]))
        {
            dedup.insert(DedupKey(key), event, Timestamp::from_unix_ns(row.at_ns));
        }
    }
    dedup
}

fn lane(shard: &mut Shard, row: LaneRow) {
    let id = shard.lanes.lane(&row.project, &row.function, &row.trigger);
    let state = LaneState {
        pending: 0,
        breaker: match row.open_until_ns {
            0 => BreakerState::Closed { failures: row.failures },
            until_ns => BreakerState::Open { until_ns },
        },
        bucket: Bucket { spent_until_ns: row.spent_until_ns },
        fired: row.fired.into_iter().map(|at| (at.cron, at.at_ns)).collect(),
    };
    if state != LaneState::default() {
        shard.states.insert(id, state);
    }
    if let Some(GoneRow { spec, given_up_through }) = row.gone {
        shard.lanes.orphan(id, Gone { spec: spec.into(), given_up_through });
    }
}

fn delivery(shard: &mut Shard, row: DeliveryRow) {
    let Ok(event) = EventId::try_from(&row.event[..]) else { return };
    let state = match (row.verdict, InvocationId::try_from(&row.run[..])) {
        (Some(at), _) => State::Settling(Box::new(verdict(at))),
        (None, Ok(run)) => State::Running { run, cancelled: row.cancelled },
        (None, Err(_)) => {
            State::Queued { due_ns: row.due_ns, failed: row.failed.map(String::into_boxed_str) }
        }
    };
    let pending = Pending {
        sequence: row.sequence,
        order: row.order,
        since_ns: row.since_ns,
        key: row.key.map(Arc::from),
        ty: shard.intern(&row.ty),
        attempt: row.attempt,
        named: row.named,
        state,
    };
    shard.restore(Id { event, lane: LaneId(row.lane) }, pending);
}

fn verdict(row: VerdictRow) -> Verdict {
    Verdict {
        decision: DeliveryDecision::try_from(row.decision).unwrap_or(DeliveryDecision::Dead),
        reason: row.reason,
        code: row.code,
        status: Status::try_from(row.status).unwrap_or(Status::Unknown),
        invocation: InvocationId::try_from(&row.invocation[..]).ok(),
        attempts: row.attempts,
    }
}

fn run(shard: &mut Shard, row: RunRow) {
    let Ok(id) = InvocationId::try_from(&row.started.id[..]) else { return };
    let members = row.members.iter().filter_map(|id| EventId::try_from(&id[..]).ok());
    let run = Run::new(row.started, LaneId(row.lane), (members.collect(), row.sequence));
    let run = Run {
        pieces: row.pieces,
        stalled: row.stalled,
        suspension: row.suspension.map(|at| Suspension {
            until_ns: at.until_ns,
            signal: at.signal.into(),
            ran_ns: at.ran_ns,
        }),
        signals: row.signals.into_iter().filter_map(signal).collect(),
        ..run
    };
    shard.runs.insert(id, run);
}

fn signal(row: SignalRow) -> Option<WaitingSignal> {
    let id = <[u8; 16]>::try_from(&row.id[..]).ok()?;
    Some(WaitingSignal { id, sequence: row.sequence, name: row.name.into() })
}

fn dead(shard: &mut Shard, row: DeadRow) {
    let Ok(event) = EventId::try_from(&row.event[..]) else { return };
    let dead = Dead {
        sequence: row.sequence,
        key: row.key.map(Arc::from),
        ty: shard.intern(&row.ty),
        attempts: row.attempts,
        reason: row.reason.into(),
        code: row.code.into(),
        at_ns: row.at_ns,
    };
    shard.dead.insert(Id { event, lane: LaneId(row.lane) }, dead);
}
