//! The values that go into the store and come out of it.

use std::fmt;

use nexus_model::resource::{Resource, ResourceKey};
use nexus_model::{Event, Name, Principal, Timestamp};
use serde_json::Value;

/// A set of operations that happen together or not at all.
#[derive(Clone, Debug)]
pub struct Change {
    /// Who changes; the audit events carry it.
    pub principal: Principal,
    /// At most [`APPLY_RESOURCES_MAX`](nexus_model::limits::APPLY_RESOURCES_MAX). They are applied
    /// in order, so a later one sees what an earlier one did.
    pub ops: Vec<Op>,
}

impl Change {
    /// A change.
    pub fn new(principal: Principal, ops: Vec<Op>) -> Self {
        Change { principal, ops }
    }
}

/// One operation of a [`Change`].
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a change with many operations has mostly puts")]
pub enum Op {
    /// Creates or replaces spec, labels and annotations. Status, uid, revision, generation and
    /// times inside `resource` are ignored: the store keeps them.
    Put {
        /// What is to be.
        resource: Resource,
        /// What must be the case before.
        expect: Expect,
    },
    /// Replaces the status. The generation stays.
    SetStatus {
        /// Which resource.
        key: ResourceKey,
        /// The new status; null for none.
        status: Value,
        /// What must be the case before.
        expect: Expect,
    },
    /// Removes a resource. Its name can be used again; its uid never is.
    Delete {
        /// Which resource.
        key: ResourceKey,
        /// What must be the case before.
        expect: Expect,
    },
    /// Changes nothing, but the whole change fails unless `expect` holds: guards a change against
    /// another resource, for example the project it goes into.
    Check {
        /// Which resource.
        key: ResourceKey,
        /// What must be the case.
        expect: Expect,
    },
}

impl Op {
    /// Creates or replaces a resource, whatever was there.
    pub fn put(resource: Resource) -> Self {
        Op::Put { resource, expect: Expect::Any }
    }

    /// Creates a resource that must not exist.
    pub fn create(resource: Resource) -> Self {
        Op::Put { resource, expect: Expect::Absent }
    }

    /// Deletes a resource at whatever revision.
    pub fn delete(key: ResourceKey) -> Self {
        Op::Delete { key, expect: Expect::Any }
    }

    /// Sets the status of a resource at whatever revision.
    pub fn set_status(key: ResourceKey, status: Value) -> Self {
        Op::SetStatus { key, status, expect: Expect::Any }
    }

    /// Which resource it is about.
    pub fn key(&self) -> ResourceKey {
        match self {
            Op::Put { resource, .. } => resource.key(),
            Op::SetStatus { key, .. } | Op::Delete { key, .. } | Op::Check { key, .. } => {
                key.clone()
            }
        }
    }
}

/// What must be the case before an operation, or the whole change is a
/// [`Conflict`](crate::Error::Conflict).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// Nothing in particular.
    Any,
    /// The resource does not exist.
    Absent,
    /// The resource exists, at whatever revision.
    Present,
    /// The resource exists at this revision.
    Revision(u64),
}

impl Expect {
    /// Whether a resource at `found` (`None`: it does not exist) is as expected.
    pub fn holds(self, found: Option<u64>) -> bool {
        match self {
            Expect::Any => true,
            Expect::Absent => found.is_none(),
            Expect::Present => found.is_some(),
            Expect::Revision(revision) => found == Some(revision),
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expect::Any => f.write_str("anything"),
            Expect::Absent => f.write_str("nothing"),
            Expect::Present => f.write_str("any revision"),
            Expect::Revision(revision) => write!(f, "revision {revision}"),
        }
    }
}

/// What a [`Change`] did.
#[derive(Clone, PartialEq, Debug)]
pub struct Applied {
    /// The store's revision after the change; what it was before where nothing changed.
    pub revision: u64,
    /// One per operation, in order.
    pub resources: Vec<AppliedResource>,
}

impl Applied {
    /// Whether anything changed.
    pub fn changed(&self) -> bool {
        self.resources.iter().any(|applied| applied.effect.changed())
    }

    /// The resource of the first operation, as it is now.
    pub fn first(&self) -> Option<&Resource> {
        self.resources.first().and_then(|applied| applied.resource.as_ref())
    }
}

/// What one operation did.
#[derive(Clone, PartialEq, Debug)]
pub struct AppliedResource {
    /// Which resource.
    pub key: ResourceKey,
    /// What happened to it.
    pub effect: Effect,
    /// The resource after the operation; `None` when it does not exist (any more).
    pub resource: Option<Resource>,
}

/// What happened to a resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// It is new.
    Created,
    /// Its spec, labels, annotations or status are different now.
    Updated,
    /// It is gone.
    Deleted,
    /// It already was as asked: no new revision, no audit event.
    Unchanged,
}

impl Effect {
    /// Whether the store is different now.
    pub fn changed(self) -> bool {
        self != Effect::Unchanged
    }
}

/// An audit event that waits to be moved to the log.
#[derive(Clone, PartialEq, Debug)]
pub struct OutboxEntry {
    /// Rises with every event; the revision of the change.
    pub sequence: u64,
    /// The event. Its `id` is unique for ever, so moving it twice is harmless.
    pub event: Event,
    /// The project of the resource; `None` for kinds outside projects.
    pub project: Option<Name>,
}

/// The last change of one resource.
#[derive(Clone, PartialEq, Debug)]
pub struct ChangeEntry {
    /// The store's revision at the change.
    pub revision: u64,
    /// Which resource.
    pub key: ResourceKey,
    /// The resource; `None` when it was deleted.
    pub resource: Option<Resource>,
}

/// The right to be the only one who does something, until it expires.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// What it protects.
    pub name: String,
    /// Who holds it.
    pub holder: String,
    /// Rises with every acquisition of this name; fences earlier holders.
    pub epoch: u64,
    /// When it ends by itself, by the clock of the store that gave it.
    pub expires: Timestamp,
}
