//! The audit event of a change: who did what to which resource or state, without any value of it.

use bytes::Bytes;
use nexus_model::resource::Resource;
use nexus_model::{Digest, Event, EventId, IdMint, Name, Partition, Principal, Timestamp};
use serde_json::{Value, json};

use crate::{OutboxEntry, StateChange, StateCleared, StateEdit};

/// Who acts, and when.
#[derive(Clone, Copy)]
pub(crate) struct Actor<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) now: Timestamp,
}

/// What was done.
#[derive(Clone, Copy)]
pub(crate) enum Operation {
    Create,
    Replace,
    SetStatus,
    Delete,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Operation::Create => "create",
            Operation::Replace => "replace",
            Operation::SetStatus => "set-status",
            Operation::Delete => "delete",
        }
    }

    fn event_type(self) -> &'static str {
        match self {
            Operation::Create => "dev.nexus.resource.created",
            Operation::Replace | Operation::SetStatus => "dev.nexus.resource.updated",
            Operation::Delete => "dev.nexus.resource.deleted",
        }
    }
}

/// A change of one resource: as it was and as it is, at least one of them.
pub(crate) struct Transition<'a> {
    pub(crate) operation: Operation,
    pub(crate) revision: u64,
    pub(crate) old: Option<&'a Resource>,
    pub(crate) new: Option<&'a Resource>,
    /// Of the spec after the change, or of the last one.
    pub(crate) spec_digest: Digest,
}

/// The outbox entry of a change. `None` only for a transition from nothing to nothing.
pub(crate) fn entry(actor: Actor<'_>, transition: &Transition<'_>) -> Option<OutboxEntry> {
    let resource = transition.new.or(transition.old)?;
    let generation = |resource: Option<&Resource>| -> Value {
        resource.and_then(|resource| resource.metadata.generation).into()
    };
    let uid = resource.metadata.uid.map(|uid| uid.to_string()).unwrap_or_default();
    let data = json!({
        "principal": actor.principal.to_string(),
        "operation": transition.operation.as_str(),
        "uid": uid,
        "revision": transition.revision,
        "generation": { "old": generation(transition.old), "new": generation(transition.new) },
        "specDigest": transition.spec_digest.to_string(),
    });
    let mut event = Event::new(
        format!("{uid}.{}", transition.revision),
        "/nexus/store",
        transition.operation.event_type(),
    );
    event.subject = Some(resource.key().to_string());
    event.time = Some(actor.now);
    event.datacontenttype = Some("application/json".to_owned());
    event.data = Some(Bytes::from(data.to_string()));
    let project = resource.metadata.project.clone();
    Some(OutboxEntry { sequence: transition.revision, event, project })
}

/// What was done to the state of functions from outside.
pub(crate) enum StateDone<'a> {
    /// A key or a stream has another version now: 0 where nothing is.
    Changed { change: &'a StateChange, old: u64, new: u64 },
    /// A part of a namespace, or of one of its streams, was removed.
    Cleared { stream: Option<&'a str>, removed: StateCleared },
}

impl StateDone<'_> {
    fn event_type(&self) -> &'static str {
        match self {
            StateDone::Changed { change, .. } => match change.edit {
                StateEdit::Put(_) => "dev.nexus.state.set",
                StateEdit::Delete => "dev.nexus.state.deleted",
                StateEdit::Append(_) => "dev.nexus.state.appended",
            },
            StateDone::Cleared { .. } => "dev.nexus.state.cleared",
        }
    }

    /// Keys stand in the data, which not everybody may read, and not in the subject.
    fn data(&self) -> Value {
        match self {
            StateDone::Changed { change, old, new } => json!({
                "key": change.id.key,
                "version": { "old": old, "new": new },
                "bytes": match &change.edit {
                    StateEdit::Put(value) => value.len(),
                    StateEdit::Delete => 0,
                    StateEdit::Append(events) => events.iter().map(Bytes::len).sum(),
                },
            }),
            StateDone::Cleared { stream, removed } => json!({
                "stream": stream,
                "keys": removed.keys,
                "events": removed.events,
                "bytes": removed.bytes,
            }),
        }
    }
}

/// The outbox entry of what was done to the state of a namespace.
pub(crate) fn state_entry(
    (actor, mint): (Actor<'_>, &IdMint),
    ((project, namespace), done): ((&Name, &str), StateDone<'_>),
    revision: u64,
) -> OutboxEntry {
    let mut data = done.data();
    data["principal"] = actor.principal.to_string().into();
    data["namespace"] = namespace.into();
    data["revision"] = revision.into();
    let id: EventId = mint.mint(Partition::of(project.as_str(), ""));
    let mut event = Event::new(id.to_string(), "/nexus/store", done.event_type());
    // The name of a shared namespace may hold anything, the subject of an event may not.
    let plain = |letter: char| if letter.is_control() { '\u{fffd}' } else { letter };
    let namespace: String = namespace.chars().map(plain).collect();
    event.subject = Some(format!("State {project}/{namespace}"));
    event.time = Some(actor.now);
    event.datacontenttype = Some("application/json".to_owned());
    event.data = Some(Bytes::from(data.to_string()));
    OutboxEntry { sequence: revision, event, project: Some(project.clone()) }
}
