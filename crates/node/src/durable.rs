//! What durable invocations ask of the engine: pieces of journals, signals, invocations that nobody
//! waits for, progress.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use nexus_exec::{
    CallContext, CallError, FunctionCall, Piece, Progress, Signal, StartOptions, Unavailable,
};
use nexus_model::record::{Body, JournalRecord, ProgressRecord, Record};
use nexus_model::{EventId, InvocationId, Partition};

use crate::Node;
use crate::calls::callee;
use crate::host::CallHost;
use crate::record::bytes_of;

/// An id for a record that is about an invocation.
fn record_id(node: &Node, context: &CallContext) -> Bytes {
    let id: EventId = node.parts.mint.mint(Partition::of(context.project.as_str(), ""));
    bytes_of(id.as_bytes())
}

/// Appends a piece of a journal and waits for the disk.
pub(crate) async fn persist(
    host: &CallHost,
    context: &CallContext,
    piece: Piece,
) -> Result<(), Unavailable> {
    let record = JournalRecord {
        id: record_id(&host.node, context),
        project: context.project.to_string(),
        invocation: bytes_of(context.id.as_bytes()),
        number: host.pieces.load(Ordering::Relaxed),
        bytes: Body::inline(piece.bytes),
        at_ns: host.node.parts.clock.now().unix_ns(),
        signals: piece.signals.iter().map(|id| bytes_of(id)).collect(),
    };
    let appended = host.node.parts.log.append(vec![Record::Journal(record)]).await;
    appended.map_err(|error| Unavailable(error.to_string()))?;
    host.pieces.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Notes how far an invocation is. What does not fit into the buffer now is dropped: newer news
/// follow.
pub(crate) fn progress(host: &CallHost, context: &CallContext, progress: Progress) {
    let record = ProgressRecord {
        id: record_id(&host.node, context),
        project: context.project.to_string(),
        invocation: bytes_of(context.id.as_bytes()),
        percent: progress.percent.map(u32::from),
        message: progress.message,
        at_ns: host.node.parts.clock.now().unix_ns(),
    };
    if let Err(pressure) = host.node.parts.log.record(Record::Progress(record)) {
        tracing::debug!(%pressure, "progress was dropped");
    }
}

/// The oldest signal of a name that the invocation has not got.
pub(crate) async fn signal(
    _host: &CallHost,
    context: &CallContext,
    name: &str,
) -> Result<Option<Signal>, Unavailable> {
    Err(Unavailable(format!("signal {name} of {}: the engine keeps no signals", context.id)))
}

/// Makes an invocation that nobody waits for.
pub(crate) async fn start(
    _node: &Arc<Node>,
    context: &CallContext,
    (call, _options): (FunctionCall, StartOptions),
) -> Result<InvocationId, CallError> {
    let name = callee(context, &call.function)?;
    Err(CallError::Unavailable(format!("the engine cannot start function '{name}' by itself")))
}
