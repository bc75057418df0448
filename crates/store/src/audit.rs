//! The audit event of a change: who did what to which resource, without any value of it.

use bytes::Bytes;
use nexus_model::resource::Resource;
use nexus_model::{Digest, Event, Principal, Timestamp};
use serde_json::{Value, json};

use crate::OutboxEntry;

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
