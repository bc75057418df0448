//! Live streams over the log: nothing polls; a stream waits until something durable lies past it.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream;
use nexus_log::Position;
use nexus_model::record::{EventRecord, InvocationRecord, Record};
use nexus_model::view::{EventView, InvocationRow, LogView, ProgressView};
use nexus_model::{
    Cursor, EventFilter, InvocationFilter, InvocationId, Name, OpContext, Scope, Timestamp,
    parse_trace_id,
};

use crate::history::{payloads, reach};
use crate::log_lines::log_invocations;
use crate::trace::trace_id;
use crate::{Error, Followed, Following, LogFilter, Node, views};

/// Records read at a time; all that a stream ever buffers.
const BATCH: usize = 256;

type Items<T> = Vec<T>;
type Select<T> = Box<dyn Fn(&Record) -> Items<T> + Send + Sync>;

struct State<T> {
    node: Arc<Node>,
    position: Position,
    ready: VecDeque<Followed<T>>,
    select: Select<T>,
}

impl Node {
    /// Events as they are accepted, from `after` or from now on, with their data where the caller
    /// may read payloads. The stream ends when the node stops.
    ///
    /// # Errors
    /// The caller may not read there.
    pub async fn follow_events(
        self: &Arc<Self>,
        ctx: &OpContext,
        mut filter: EventFilter,
        after: Option<Cursor>,
    ) -> Result<Following<EventView>, Error> {
        reach(ctx, &mut filter.project)?;
        let payloads = payloads(ctx, filter.project.as_deref());
        let select = move |record: &Record| match record {
            Record::Event(event) if matches_event(&filter, event) => {
                views::event_view(event, payloads).into_iter().collect()
            }
            _ => Vec::new(),
        };
        self.follow(after, Box::new(select)).await
    }

    /// Invocations as they end, from `after` or from now on.
    ///
    /// # Errors
    /// The caller may not read there.
    pub async fn follow_invocations(
        self: &Arc<Self>,
        ctx: &OpContext,
        mut filter: InvocationFilter,
        after: Option<Cursor>,
    ) -> Result<Following<InvocationRow>, Error> {
        reach(ctx, &mut filter.project)?;
        let select = move |record: &Record| match record {
            Record::Invocation(at) if matches_invocation(&filter, at) => {
                views::row(at).into_iter().collect()
            }
            _ => Vec::new(),
        };
        self.follow(after, Box::new(select)).await
    }

    /// What an invocation says about how far it is, from `after` or from now on.
    ///
    /// # Errors
    /// The caller may not read payloads there.
    pub async fn follow_progress(
        self: &Arc<Self>,
        ctx: &OpContext,
        (project, id): (&Name, InvocationId),
        after: Option<Cursor>,
    ) -> Result<Following<ProgressView>, Error> {
        nexus_policy::authorize(ctx, Scope::ReadPayload, Some(project))?;
        let project = project.clone();
        let select = move |record: &Record| match record {
            Record::Progress(at)
                if at.project == project.as_str() && at.invocation[..] == id.as_bytes()[..] =>
            {
                vec![ProgressView {
                    invocation: id,
                    at: Timestamp::from_unix_ns(at.at_ns),
                    percent: at.percent,
                    message: at.message.clone(),
                }]
            }
            _ => Vec::new(),
        };
        self.follow(after, Box::new(select)).await
    }

    /// Log lines of invocations as they end, from `after` or from now on.
    ///
    /// # Errors
    /// The caller may not read payloads there.
    pub async fn follow_logs(
        self: &Arc<Self>,
        ctx: &OpContext,
        filter: LogFilter,
        after: Option<Cursor>,
    ) -> Result<Following<LogView>, Error> {
        let filter = log_invocations(ctx, &filter)?;
        let select = move |record: &Record| match record {
            Record::Invocation(at) if matches_invocation(&filter, at) => {
                views::log_views(at).collect()
            }
            _ => Vec::new(),
        };
        self.follow(after, Box::new(select)).await
    }

    async fn follow<T: Send + 'static>(
        self: &Arc<Self>,
        after: Option<Cursor>,
        select: Select<T>,
    ) -> Result<Following<T>, Error> {
        let position = match after {
            None => self.parts.log.durable(),
            Some(after) => Position { shard: after.shard, sequence: after.sequence },
        };
        if after.is_some() {
            // A place that retention has removed is said at once, not by a stream that skips.
            self.parts.log.read_from(position, 1).await?;
        }
        let from = position.cursor().to_string();
        let state = State { node: Arc::clone(self), position, ready: VecDeque::new(), select };
        Ok(Following { from, items: stream::unfold(state, next).boxed() })
    }
}

async fn next<T>(mut state: State<T>) -> Option<(Followed<T>, State<T>)> {
    loop {
        if let Some(item) = state.ready.pop_front() {
            return Some((item, state));
        }
        let node = Arc::clone(&state.node);
        tokio::select! {
            () = node.tasks.stopping() => return None,
            () = node.parts.log.wait_past(state.position) => {}
        }
        let entries = match node.parts.log.read_from(state.position, BATCH).await {
            Ok(entries) => entries,
            Err(nexus_log::Error::Retained { first }) => {
                // The reader was slower than retention: it goes on with what is left.
                state.position.sequence = first.saturating_sub(1);
                continue;
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a live stream ends");
                return None;
            }
        };
        for entry in entries {
            let before = std::mem::replace(&mut state.position, entry.position);
            let items = (state.select)(&entry.record);
            let last = items.len().saturating_sub(1);
            // Whoever goes on between two items of one record gets both of them again, not neither.
            let cursor = |at| if at == last { entry.position } else { before }.cursor().to_string();
            let items = items.into_iter().enumerate();
            state.ready.extend(items.map(|(at, item)| Followed { cursor: cursor(at), item }));
        }
    }
}

fn matches_event(filter: &EventFilter, record: &EventRecord) -> bool {
    let ty = |wanted: &String| match wanted.strip_suffix('*') {
        Some(start) => record.event.ty.starts_with(start),
        None => record.event.ty == *wanted,
    };
    filter.project.as_ref().is_none_or(|at| *at == record.meta.project)
        && filter.range.contains(Timestamp::from_unix_ns(record.received_ns))
        && filter.ty.as_ref().is_none_or(ty)
        && filter.source.as_ref().is_none_or(|at| *at == record.event.source)
        && filter.subject.as_ref().is_none_or(|at| Some(at) == record.event.subject.as_ref())
        && filter.cause.is_none_or(|at| at.as_bytes()[..] == record.meta.cause_invocation[..])
}

fn matches_invocation(filter: &InvocationFilter, record: &InvocationRecord) -> bool {
    filter.project.as_ref().is_none_or(|at| *at == record.meta.project)
        && filter.range.contains(Timestamp::from_unix_ns(record.accepted_ns))
        && filter.function.as_ref().is_none_or(|at| *at == record.function)
        && filter.version.is_none_or(|at| at.as_bytes()[..] == record.version[..])
        && (filter.statuses.is_empty() || filter.statuses.contains(&record.status()))
        && filter.duration_ns_min.is_none_or(|at| record.timings.total_ns >= at)
        && filter.duration_ns_max.is_none_or(|at| record.timings.total_ns <= at)
        && filter.cold.is_none_or(|cold| cold != record.cold.is_empty())
        && (filter.triggers.is_empty() || filter.triggers.contains(&record.trigger()))
        && filter
            .trace
            .is_none_or(|at| parse_trace_id(trace_id(&record.meta.traceparent)) == Some(at))
        && filter.event.is_none_or(|at| at.as_bytes()[..] == record.meta.cause_event[..])
}
