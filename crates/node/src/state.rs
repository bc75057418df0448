//! State of functions: names, limits, and the store. From outside it is seen by
//! [`state_views`](crate::state_views).

use nexus_exec::{
    CallContext, Keyed, Namespace, StateAppend, StateError, StateKey, StateScan, StateWrite,
};
use nexus_model::{Name, limits};
use nexus_store::{Error, ReadLimit, StateChange, StateEdit, StateId, StateItem};

use crate::Node;

pub(crate) async fn get(
    node: &Node,
    context: &CallContext,
    key: StateKey,
) -> Result<Option<Keyed>, StateError> {
    let id = place(context, key)?;
    Ok(node.parts.store.state(&id).await.map_err(error)?.map(keyed))
}

pub(crate) async fn write(
    node: &Node,
    context: &CallContext,
    write: StateWrite,
) -> Result<u64, StateError> {
    let StateWrite { key, value, expected, operation } = write;
    let edit = match value {
        Some(value) => {
            fits("a value", value.len(), limits::STATE_VALUE_BYTES_MAX)?;
            StateEdit::Put(value)
        }
        None => StateEdit::Delete,
    };
    let change = StateChange { id: place(context, key)?, edit, expected, operation, by: None };
    node.parts.store.change_state(change).await.map_err(error)
}

pub(crate) async fn scan(
    node: &Node,
    context: &CallContext,
    scan: StateScan,
) -> Result<Vec<Keyed>, StateError> {
    let StateScan { prefix, after, max } = scan;
    let id = StateId {
        project: context.project.clone(),
        namespace: namespace(context, &prefix.namespace)?,
        key: prefix.key,
    };
    let found = node.parts.store.state_scan(&id, &after, limit(max)).await.map_err(error)?;
    Ok(found.into_iter().map(keyed).collect())
}

pub(crate) async fn append(
    node: &Node,
    context: &CallContext,
    append: StateAppend,
) -> Result<u64, StateError> {
    let StateAppend { stream, expected, events, operation } = append;
    let (count, most) = (events.len(), limits::STREAM_APPEND_MAX);
    if count > most {
        return Err(StateError::Invalid(format!("{count} events at once; the limit is {most}")));
    }
    for event in &events {
        fits("an event", event.len(), limits::STATE_VALUE_BYTES_MAX)?;
    }
    let edit = StateEdit::Append(events);
    let change = StateChange { id: place(context, stream)?, edit, expected, operation, by: None };
    node.parts.store.change_state(change).await.map_err(error)
}

pub(crate) async fn read(
    node: &Node,
    context: &CallContext,
    stream: StateKey,
    (after, max): (u64, u32),
) -> Result<Vec<Keyed>, StateError> {
    let id = place(context, stream)?;
    let found = node.parts.store.stream(&id, after, limit(max)).await.map_err(error)?;
    Ok(found.into_iter().map(keyed).collect())
}

fn limit(max: u32) -> ReadLimit {
    ReadLimit {
        items: (max as usize).min(limits::STATE_ITEMS_MAX),
        bytes: limits::STATE_READ_BYTES_MAX,
    }
}

fn keyed(item: StateItem) -> Keyed {
    Keyed { key: item.key, version: item.version, value: item.value }
}

fn place(context: &CallContext, key: StateKey) -> Result<StateId, StateError> {
    check_key(&key.key)?;
    Ok(StateId {
        project: context.project.clone(),
        namespace: namespace(context, &key.namespace)?,
        key: key.key,
    })
}

/// Rules of keys and of streams' names.
pub(crate) fn check_key(key: &str) -> Result<(), StateError> {
    if key.is_empty() {
        return Err(StateError::Invalid("a key or stream needs a name".to_owned()));
    }
    fits("a key", key.len(), limits::STATE_KEY_BYTES_MAX)
}

fn namespace(context: &CallContext, namespace: &Namespace) -> Result<String, StateError> {
    match namespace {
        Namespace::Own => Ok(own(&context.function)),
        Namespace::Shared(name) => shared(name),
    }
}

/// How the store calls a function's own namespace. Functions and shared ones may have the same names.
pub(crate) fn own(function: &Name) -> String {
    format!("{OWN}{function}")
}

/// How the store calls a namespace that functions share.
pub(crate) fn shared(name: &str) -> Result<String, StateError> {
    fits("a namespace", name.len(), limits::STATE_KEY_BYTES_MAX)?;
    Ok(format!("{SHARED}{name}"))
}

pub(crate) const OWN: &str = "function/";
pub(crate) const SHARED: &str = "shared/";

pub(crate) fn fits(what: &str, bytes: usize, limit: usize) -> Result<(), StateError> {
    match bytes > limit {
        true => Err(StateError::Invalid(format!(
            "{what} of {bytes} bytes exceeds the limit of {limit} bytes"
        ))),
        false => Ok(()),
    }
}

fn error(error: Error) -> StateError {
    match error {
        Error::StateConflict { version } => StateError::Conflict { version },
        error @ Error::TooMany { .. } => StateError::Invalid(error.to_string()),
        error => {
            tracing::warn!(error = &error as &dyn std::error::Error, "state failed");
            StateError::Unavailable(error.to_string())
        }
    }
}
