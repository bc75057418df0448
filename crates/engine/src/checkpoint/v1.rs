//! Version 1: functions with types and attempts, deliveries by function.

use bytes::Bytes;
use nexus_model::record::{ConfigRecord, DeliveryDecision, StartedRecord};
use nexus_model::resource::Kind;
use nexus_model::{EventId, InvocationId};
use prost::Message;
use serde_json::json;

use super::load;
use super::rows::DedupRow;
use crate::dedup::Dedup;
use crate::shard::{Dead, Id, Pending, Run, Shard, State, Verdict};

#[derive(Clone, PartialEq, Message)]
struct Body {
    #[prost(uint64, tag = "1")]
    position: u64,
    #[prost(message, repeated, tag = "2")]
    functions: Vec<FunctionRow>,
    #[prost(message, repeated, tag = "3")]
    deliveries: Vec<DeliveryRow>,
    #[prost(message, repeated, tag = "4")]
    dedup: Vec<DedupRow>,
}

#[derive(Clone, PartialEq, Message)]
struct FunctionRow {
    #[prost(string, tag = "1")]
    project: String,
    #[prost(string, tag = "2")]
    function: String,
    #[prost(uint64, tag = "3")]
    revision: u64,
    #[prost(uint32, tag = "4")]
    attempts_max: u32,
    #[prost(string, repeated, tag = "5")]
    patterns: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct DeliveryRow {
    #[prost(bytes = "bytes", tag = "1")]
    event: Bytes,
    #[prost(string, tag = "2")]
    project: String,
    #[prost(string, tag = "3")]
    function: String,
    #[prost(enumeration = "Stage", tag = "4")]
    stage: i32,
    #[prost(uint32, tag = "5")]
    attempt: u32,
    #[prost(int64, tag = "6")]
    at_ns: i64,
    #[prost(string, tag = "7")]
    reason: String,
    #[prost(message, optional, tag = "8")]
    started: Option<StartedRecord>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, prost::Enumeration)]
#[repr(i32)]
enum Stage {
    Ready = 0,
    Running = 1,
    Waiting = 2,
    Exhausted = 3,
    Dead = 4,
}

pub(super) fn body(bytes: &[u8]) -> Option<(Shard, Dedup)> {
    let mut body = Body::decode(bytes).ok()?;
    let mut shard = Shard { position: body.position, ..Shard::default() };
    for row in &body.functions {
        let events: Vec<_> = row.patterns.iter().map(|ty| json!({ "type": ty })).collect();
        let spec = json!({ "on": { "events": events }, "attempts": row.attempts_max });
        let record = ConfigRecord {
            project: row.project.clone(),
            kind: Kind::Function.as_str().to_owned(),
            name: row.function.clone(),
            revision: row.revision,
            spec: spec.to_string(),
            ..ConfigRecord::default()
        };
        shard.lanes.configure(&record, body.position);
    }
    // Ids are ordered by time, and so was the log.
    body.deliveries.sort_by(|a, b| (&a.event, &a.function).cmp(&(&b.event, &b.function)));
    for (order, row) in body.deliveries.into_iter().enumerate() {
        delivery(&mut shard, row, order as u64);
    }
    Some((shard, load::dedup(body.dedup)))
}

fn delivery(shard: &mut Shard, row: DeliveryRow, order: u64) -> Option<()> {
    let event = EventId::try_from(&row.event[..]).ok()?;
    let lane = shard.lanes.lane(&row.project, &row.function, "");
    let id = Id { event, lane };
    let stage = row.stage();
    // Where the event stands was not kept: somewhere from the beginning on.
    let sequence = 1;
    let state = match (stage, row.started) {
        (Stage::Dead, _) => {
            let dead = Dead {
                sequence,
                key: None,
                ty: "".into(),
                attempts: row.attempt,
                reason: row.reason.into(),
                code: "".into(),
                at_ns: row.at_ns,
            };
            shard.dead.insert(id, dead);
            return Some(());
        }
        (Stage::Exhausted, _) => {
            let verdict = Verdict::new(DeliveryDecision::Dead, row.reason, "");
            State::Settling(Box::new(Verdict { attempts: row.attempt, ..verdict }))
        }
        (Stage::Running, Some(started)) => {
            let run = InvocationId::try_from(&started.id[..]).ok()?;
            shard.runs.insert(run, Run::new(started, lane, (vec![event], sequence)));
            State::Running { run, cancelled: false }
        }
        (Stage::Waiting, _) => State::Queued { due_ns: row.at_ns, failed: Some(row.reason.into()) },
        (Stage::Ready | Stage::Running, _) => State::Queued { due_ns: 0, failed: None },
    };
    let since_ns = event.time().unix_ns();
    let (ty, attempt) = (shard.intern(""), row.attempt);
    let pending =
        Pending { sequence, order, since_ns, key: None, ty, attempt, named: false, state };
    shard.restore(id, pending);
    Some(())
}

#[cfg(test)]
pub(super) mod fixture {
    //! What version 1 wrote for one function, and a delivery in each stage.

    use super::*;

    pub(in super::super) fn bytes() -> Vec<u8> {
        let function = FunctionRow {
            project: "shop".into(),
            function: "resize".into(),
            revision: 4,
            attempts_max: 2,
            patterns: vec!["image.*".into()],
        };
        let row = |number: u8, stage: Stage| DeliveryRow {
            event: Bytes::copy_from_slice(&[number; 16]),
            project: "shop".into(),
            function: "resize".into(),
            stage: stage.into(),
            attempt: 1,
            at_ns: 5,
            reason: "because".into(),
            started: None,
        };
        let started = StartedRecord {
            id: Bytes::copy_from_slice(&[9; 16]),
            function: "resize".into(),
            attempt: 1,
            ..StartedRecord::default()
        };
        let body = Body {
            position: 7,
            functions: vec![function],
            deliveries: vec![
                row(1, Stage::Ready),
                DeliveryRow { started: Some(started), ..row(2, Stage::Running) },
                row(3, Stage::Waiting),
                row(4, Stage::Exhausted),
                row(5, Stage::Dead),
            ],
            dedup: Vec::new(),
        };
        let body = body.encode_to_vec();
        let mut bytes = b"NXCP\x01\0\0\0".to_vec();
        bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
        bytes.extend_from_slice(blake3::hash(&body).as_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }
}
