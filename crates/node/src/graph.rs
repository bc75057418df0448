//! What an event or invocation led to: deliveries, invocations, and the events that these emitted.

use std::collections::HashMap;

use bytes::Bytes;
use nexus_engine::{DeadFilter, DeliveryFilter, DeliveryState};
use nexus_log::{EffectLimit, EffectLimits, Effects, Origin};
use nexus_model::record::{EventRecord, InvocationRecord, Record, StartedRecord, Status, Trigger};
use nexus_model::view::{DeliveryWord, GraphEdge, GraphNode, GraphView};
use nexus_model::{Code, EventId, InvocationId, OpContext, Scope, Timestamp, limits};

use crate::trace::trace_id;
use crate::{Error, Node};

/// Rows of the log that are looked at.
const ROWS_MAX: u64 = 5_000_000;
/// Records that are read because their rows may be meant.
const READS_MAX: u64 = 20_000;
/// Deliveries of one event that are shown.
const DELIVERIES_MAX: usize = 100;

/// How far a graph goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GraphOptions {
    /// Steps from the beginning: 1 to [`limits::GRAPH_DEPTH_MAX`].
    pub depth: u32,
    /// Events and invocations: 1 to [`limits::GRAPH_NODES_MAX`].
    pub nodes: usize,
}

impl Default for GraphOptions {
    fn default() -> Self {
        GraphOptions { depth: 10, nodes: 200 }
    }
}

impl Node {
    /// What an event led to.
    ///
    /// # Errors
    /// It does not exist, or not for this caller; the options are out of bounds.
    pub async fn event_graph(
        &self,
        ctx: &OpContext,
        id: EventId,
        options: GraphOptions,
    ) -> Result<GraphView, Error> {
        check(options)?;
        let record = self.event_record_of(ctx, id).await?;
        let origin = Origin { id: *id.as_bytes(), trace: trace_bytes(&record.meta.traceparent) };
        self.graph((0, Record::Event(record)), origin, options).await
    }

    /// What an invocation led to.
    ///
    /// # Errors
    /// It does not exist, or not for this caller; the options are out of bounds.
    pub async fn invocation_graph(
        &self,
        ctx: &OpContext,
        id: InvocationId,
        options: GraphOptions,
    ) -> Result<GraphView, Error> {
        check(options)?;
        let record = self.invocation_record(ctx, Scope::Read, id).await?;
        let origin = Origin { id: *id.as_bytes(), trace: trace_bytes(&record.meta.traceparent) };
        self.graph((0, Record::Invocation(Box::new(record))), origin, options).await
    }

    async fn graph(
        &self,
        root: (u32, Record),
        origin: Origin,
        options: GraphOptions,
    ) -> Result<GraphView, Error> {
        let bounds = EffectLimits {
            depth: options.depth,
            nodes: options.nodes,
            rows: ROWS_MAX,
            reads: READS_MAX,
        };
        let Effects { records, cut } = self.parts.log.effects(origin, bounds).await?;
        let project = root.1.project().to_owned();
        let mut view = GraphView {
            root: id_of(&root.1),
            nodes: Vec::new(),
            edges: Vec::new(),
            truncated: cut.map(|cut| cut_by(cut, options)),
        };
        let all: Vec<(u32, Record)> = std::iter::once(root)
            .chain(records)
            // What another project did is not for this one to see.
            .filter(|(_, record)| record.project() == project)
            .collect();
        let ids: HashMap<Vec<u8>, String> =
            all.iter().map(|(_, record)| (record.id().to_vec(), id_of(record))).collect();
        for (depth, record) in &all {
            if *depth > 0
                && let Some(from) = causes(record).find_map(|cause| ids.get(cause))
            {
                view.edges.push(GraphEdge { from: from.clone(), to: id_of(record) });
            }
            view.nodes.extend(node(*depth, record));
            if let Record::Event(event) = record
                && let Some(id) = event.event_id()
            {
                self.add_deliveries(&mut view, id, *depth + 1).await?;
            }
        }
        Ok(view)
    }

    /// Deliveries of an event that have not ended in an invocation that succeeded.
    async fn add_deliveries(
        &self,
        view: &mut GraphView,
        event: EventId,
        depth: u32,
    ) -> Result<(), Error> {
        let engine = self.engine()?;
        let mut add = |key: &nexus_engine::DeliveryKey, rest: Standing| {
            let id = format!("{event}/{}/{}", key.function, key.trigger);
            view.edges.push(GraphEdge { from: event.to_string(), to: id.clone() });
            view.nodes.push(GraphNode::Delivery {
                id,
                depth,
                function: key.function.to_string(),
                trigger: key.trigger.to_string(),
                state: rest.state,
                attempts: rest.attempts,
                code: rest.code,
                reason: rest.reason,
                at: rest.at,
            });
        };
        let filter = DeliveryFilter { event: Some(event), ..DeliveryFilter::default() };
        for pending in engine.deliveries(filter, None, DELIVERIES_MAX).await? {
            add(&pending.key, Standing::of(&pending.state, pending.since));
        }
        let filter = DeadFilter { event: Some(event), ..DeadFilter::default() };
        for dead in engine.dead_letters(filter, None, DELIVERIES_MAX).await? {
            let rest = Standing {
                state: DeliveryWord::Dead,
                attempts: dead.attempts,
                code: Some(dead.code),
                reason: Some(dead.reason),
                at: dead.at,
            };
            add(&dead.key, rest);
        }
        Ok(())
    }
}

/// Where a delivery stands.
struct Standing {
    state: DeliveryWord,
    attempts: u32,
    code: Option<String>,
    reason: Option<String>,
    at: Timestamp,
}

impl Standing {
    fn of(state: &DeliveryState, at: Timestamp) -> Self {
        let (state, attempts, reason) = match state {
            DeliveryState::Ready { attempt } => (DeliveryWord::Queued, attempt - 1, None),
            DeliveryState::Waiting { attempt, reason, .. } => {
                (DeliveryWord::Retrying, attempt - 1, Some(reason.clone()))
            }
            DeliveryState::Running { attempt, .. } => (DeliveryWord::Running, *attempt, None),
            DeliveryState::Suspended { attempt, signal, .. } => {
                let reason =
                    signal.as_ref().map(|name| format!("it waits for the signal '{name}'"));
                (DeliveryWord::Suspended, *attempt, reason)
            }
            DeliveryState::Settling { attempts, reason, .. } => {
                (DeliveryWord::Running, *attempts, Some(reason.to_string()))
            }
        };
        let reason = reason.filter(|reason| !reason.is_empty());
        Standing { state, attempts, code: None, reason, at }
    }
}

fn check(options: GraphOptions) -> Result<(), Error> {
    let within = |what: &str, asked: u64, limit: u64| match (1..=limit).contains(&asked) {
        true => Ok(()),
        false => {
            let detail = format!("{what} is {asked}; it must lie between 1 and {limit}");
            Err(Error::new(Code::BadRequest, detail))
        }
    };
    within("depth", options.depth.into(), limits::GRAPH_DEPTH_MAX.into())?;
    within("nodes", options.nodes as u64, limits::GRAPH_NODES_MAX as u64)
}

fn cut_by(limit: EffectLimit, options: GraphOptions) -> String {
    match limit {
        EffectLimit::Depth => format!("it goes on after {} steps", options.depth),
        EffectLimit::Nodes => {
            format!("there is more than {} events and invocations", options.nodes)
        }
        EffectLimit::Rows => {
            format!(
                "only the {ROWS_MAX} records that followed were looked through, and {READS_MAX} of them read"
            )
        }
    }
}

fn node(depth: u32, record: &Record) -> Option<GraphNode> {
    match record {
        Record::Event(event) => event_node(depth, event),
        Record::Started(started) => started_node(depth, started),
        Record::Invocation(ended) => invocation_node(depth, ended),
        _ => None,
    }
}

fn event_node(depth: u32, record: &EventRecord) -> Option<GraphNode> {
    Some(GraphNode::Event {
        id: record.event_id()?,
        depth,
        project: record.meta.project.clone(),
        ty: record.event.ty.clone(),
        source: record.event.source.clone(),
        subject: record.event.subject.clone(),
        at: Timestamp::from_unix_ns(record.received_ns),
    })
}

fn started_node(depth: u32, record: &StartedRecord) -> Option<GraphNode> {
    Some(GraphNode::Invocation {
        id: InvocationId::try_from(&record.id[..]).ok()?,
        depth,
        project: record.meta.project.clone(),
        function: record.function.clone(),
        status: Status::Running,
        attempt: record.attempt,
        trigger: Trigger::Event,
        at: Timestamp::from_unix_ns(record.started_ns),
        duration_ns: 0,
    })
}

fn invocation_node(depth: u32, record: &InvocationRecord) -> Option<GraphNode> {
    let row = crate::views::row(record)?;
    Some(GraphNode::Invocation {
        id: row.id,
        depth,
        project: row.project,
        function: row.function,
        status: row.status,
        attempt: row.attempt,
        trigger: row.trigger,
        at: row.accepted,
        duration_ns: row.duration_ns,
    })
}

fn id_of(record: &Record) -> String {
    let id = record.id();
    match record {
        Record::Event(_) => EventId::try_from(id).map(|id| id.to_string()),
        _ => InvocationId::try_from(id).map(|id| id.to_string()),
    }
    .unwrap_or_default()
}

/// What led to a record, the nearest cause first.
fn causes(record: &Record) -> impl Iterator<Item = &[u8]> {
    let none: &[Bytes] = &[];
    let (meta, input, batch) = match record {
        Record::Event(at) => (Some((&at.meta, true)), None, none),
        Record::Started(at) => (Some((&at.meta, false)), None, &at.batch[..]),
        Record::Invocation(at) => (Some((&at.meta, false)), at.input.as_ref(), &at.batch[..]),
        _ => (None, None, none),
    };
    let handled = input.and_then(|input| match &input.form {
        Some(nexus_model::record::input::Form::EventRef(id)) => Some(&id[..]),
        _ => None,
    });
    let causes = meta.map(|(meta, is_event)| match is_event {
        true => [&meta.cause_invocation[..], &meta.cause_event[..]],
        false => [&meta.cause_event[..], &meta.cause_invocation[..]],
    });
    let causes = handled.into_iter().chain(causes.into_iter().flatten());
    causes.chain(batch.iter().map(|id| &id[..])).filter(|id| !id.is_empty())
}

/// The bytes of the trace id of a `traceparent`; zeros where there is none.
fn trace_bytes(traceparent: &str) -> [u8; 16] {
    nexus_model::parse_trace_id(trace_id(traceparent)).unwrap_or_default()
}
