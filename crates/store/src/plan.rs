//! What a change does, decided without any I/O: from the resources it touches to the rows to write.

use std::collections::{BTreeMap, BTreeSet};

use nexus_model::limits::{APPLY_RESOURCES_MAX, RESOURCE_BYTES_MAX};
use nexus_model::resource::{API_VERSION, Kind, Resource, ResourceKey};
use nexus_model::{Digest, IdMint, Partition, ResourceUid, Timestamp};
use serde_json::Value;

use crate::audit::{Actor, Operation, Transition, entry};
use crate::row::{Stored, project_column};
use crate::{Applied, AppliedResource, Change, Effect, Error, Expect, Op, OutboxEntry};

/// What the plan starts from.
pub(crate) struct Base<'a> {
    /// The store's revision.
    pub(crate) revision: u64,
    /// All resources that the change names, as far as they exist.
    pub(crate) found: BTreeMap<ResourceKey, Stored>,
    /// The time of the change.
    pub(crate) now: Timestamp,
    /// Gives uids.
    pub(crate) mint: &'a IdMint,
}

/// The rows to write, and what to answer then.
pub(crate) struct Plan {
    pub(crate) applied: Applied,
    /// Resources as they are after the change.
    pub(crate) written: Vec<Stored>,
    /// Resources that do not exist after the change.
    pub(crate) removed: Vec<ResourceKey>,
    /// The last deletion of every name that the change deletes, also if it makes it anew.
    pub(crate) deletions: Vec<(ResourceKey, u64)>,
    pub(crate) labels_removed: Vec<LabelRow>,
    pub(crate) labels_added: Vec<LabelRow>,
    pub(crate) events: Vec<OutboxEntry>,
}

/// A row of the label index.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LabelRow {
    pub(crate) key: ResourceKey,
    pub(crate) label: String,
    pub(crate) value: String,
}

/// Checks what can be checked without looking into the store.
pub(crate) fn check(change: &Change) -> Result<(), Error> {
    if change.ops.len() > APPLY_RESOURCES_MAX {
        return Err(Error::TooMany {
            what: "operations in one change",
            count: change.ops.len(),
            limit: APPLY_RESOURCES_MAX,
        });
    }
    for op in &change.ops {
        let key = op.key();
        check_key(&key)?;
        let size_bytes = match op {
            Op::Put { resource, .. } => json_size(&resource.spec)
                .saturating_add(json_size(&resource.metadata.labels))
                .saturating_add(json_size(&resource.metadata.annotations)),
            Op::SetStatus { status, .. } => json_size(status),
            Op::Delete { .. } | Op::Check { .. } => 0,
        };
        if size_bytes > RESOURCE_BYTES_MAX {
            return Err(Error::TooLarge { key, size_bytes, limit_bytes: RESOURCE_BYTES_MAX });
        }
    }
    Ok(())
}

/// A kind inside projects needs one, the others have none.
pub(crate) fn check_key(key: &ResourceKey) -> Result<(), Error> {
    if key.kind.in_project() == key.project.is_some() {
        Ok(())
    } else {
        Err(Error::Project { kind: key.kind })
    }
}

/// Decides what the change does.
pub(crate) fn plan(change: Change, base: Base<'_>) -> Result<Plan, Error> {
    let before = base.found.iter().flat_map(|(key, stored)| labels(key, stored)).collect();
    let mut planner = Planner {
        actor: Actor { principal: &change.principal, now: base.now },
        mint: base.mint,
        revision: base.revision,
        current: base.found,
        touched: BTreeSet::new(),
        deletions: BTreeMap::new(),
        events: Vec::new(),
    };
    let mut resources = Vec::with_capacity(change.ops.len());
    for op in change.ops {
        let key = op.key();
        let effect = planner.step(op)?;
        if effect.changed() {
            planner.touched.insert(key.clone());
        }
        let resource = planner.current.get(&key).map(|stored| stored.resource.clone());
        resources.push(AppliedResource { key, effect, resource });
    }
    Ok(planner.finish(&before, resources))
}

struct Planner<'a> {
    actor: Actor<'a>,
    mint: &'a IdMint,
    revision: u64,
    current: BTreeMap<ResourceKey, Stored>,
    touched: BTreeSet<ResourceKey>,
    deletions: BTreeMap<ResourceKey, u64>,
    events: Vec<OutboxEntry>,
}

impl Planner<'_> {
    fn step(&mut self, op: Op) -> Result<Effect, Error> {
        match op {
            Op::Put { resource, expect } => self.put(resource, expect),
            Op::SetStatus { key, status, expect } => self.set_status(key, status, expect),
            Op::Delete { key, expect } => self.delete(key, expect),
            Op::Check { key, expect } => {
                self.expect(&key, expect)?;
                Ok(Effect::Unchanged)
            }
        }
    }

    fn put(&mut self, wanted: Resource, expect: Expect) -> Result<Effect, Error> {
        let key = wanted.key();
        self.expect(&key, expect)?;
        let spec_digest = digest(&wanted.spec);
        let old = self.current.get(&key);
        let same_spec = old.is_some_and(|old| old.spec_digest == spec_digest);
        if let Some(old) = old {
            let (is, to_be) = (&old.resource.metadata, &wanted.metadata);
            if same_spec && is.labels == to_be.labels && is.annotations == to_be.annotations {
                return Ok(Effect::Unchanged);
            }
        }
        let mut new = wanted;
        new.api_version = API_VERSION.to_owned();
        let was = old.map(|old| &old.resource);
        new.status = was.map_or(Value::Null, |was| was.status.clone());
        let was = was.map(|was| &was.metadata);
        new.metadata.uid = was.and_then(|was| was.uid).or_else(|| Some(self.mint_uid(&key)));
        let generation = was.and_then(|was| was.generation).unwrap_or(0);
        new.metadata.generation = Some(generation + u64::from(!same_spec));
        new.metadata.created_at = was.and_then(|was| was.created_at).or(Some(self.actor.now));
        let created = old.is_none();
        let operation = if created { Operation::Create } else { Operation::Replace };
        self.write(operation, Stored { resource: new, spec_digest });
        Ok(if created { Effect::Created } else { Effect::Updated })
    }

    fn set_status(
        &mut self,
        key: ResourceKey,
        status: Value,
        expect: Expect,
    ) -> Result<Effect, Error> {
        let mut new = self.existing(&key, expect)?.clone();
        if new.resource.status == status {
            return Ok(Effect::Unchanged);
        }
        new.resource.status = status;
        self.write(Operation::SetStatus, new);
        Ok(Effect::Updated)
    }

    fn delete(&mut self, key: ResourceKey, expect: Expect) -> Result<Effect, Error> {
        let spec_digest = self.existing(&key, expect)?.spec_digest;
        let old = self.current.remove(&key);
        self.revision += 1;
        let transition = Transition {
            operation: Operation::Delete,
            revision: self.revision,
            old: old.as_ref().map(|old| &old.resource),
            new: None,
            spec_digest,
        };
        self.events.extend(entry(self.actor, &transition));
        self.deletions.insert(key, self.revision);
        Ok(Effect::Deleted)
    }

    fn write(&mut self, operation: Operation, mut new: Stored) {
        self.revision += 1;
        new.resource.metadata.revision = Some(self.revision);
        new.resource.metadata.updated_at = Some(self.actor.now);
        let key = new.resource.key();
        let transition = Transition {
            operation,
            revision: self.revision,
            old: self.current.get(&key).map(|old| &old.resource),
            new: Some(&new.resource),
            spec_digest: new.spec_digest,
        };
        self.events.extend(entry(self.actor, &transition));
        self.current.insert(key, new);
    }

    fn expect(&self, key: &ResourceKey, expected: Expect) -> Result<(), Error> {
        let found = self.current.get(key).and_then(|stored| stored.resource.metadata.revision);
        if expected.holds(found) {
            return Ok(());
        }
        Err(Error::Conflict { key: key.clone(), expected, found })
    }

    /// What is changed must exist, whatever else is expected of it.
    fn existing(&self, key: &ResourceKey, expected: Expect) -> Result<&Stored, Error> {
        let stored = self.current.get(key).ok_or_else(|| Error::NotFound { key: key.clone() })?;
        self.expect(key, expected)?;
        Ok(stored)
    }

    fn mint_uid(&self, key: &ResourceKey) -> ResourceUid {
        // A project lies in its own partition, like everything inside it.
        let project = match key.kind {
            Kind::Project => key.name.as_str(),
            _ => project_column(key),
        };
        self.mint.mint(Partition::of(project, ""))
    }

    fn finish(self, before: &BTreeSet<LabelRow>, resources: Vec<AppliedResource>) -> Plan {
        let mut plan = Plan {
            applied: Applied { revision: self.revision, resources },
            written: Vec::new(),
            removed: Vec::new(),
            deletions: self.deletions.into_iter().collect(),
            labels_removed: Vec::new(),
            labels_added: Vec::new(),
            events: self.events,
        };
        let mut after = BTreeSet::new();
        for (key, stored) in &self.current {
            after.extend(labels(key, stored));
        }
        plan.labels_removed.extend(before.difference(&after).cloned());
        plan.labels_added.extend(after.difference(before).cloned());
        for key in self.touched {
            match self.current.get(&key) {
                Some(now) => plan.written.push(now.clone()),
                None => plan.removed.push(key),
            }
        }
        plan
    }
}

/// The rows that the label index holds for a resource.
fn labels<'a>(
    key: &'a ResourceKey,
    stored: &'a Stored,
) -> impl Iterator<Item = LabelRow> + use<'a> {
    stored.resource.metadata.labels.iter().map(|(label, value)| LabelRow {
        key: key.clone(),
        label: label.clone(),
        value: value.clone(),
    })
}

/// The digest of a JSON value, whatever the order of its keys.
pub(crate) fn digest(value: &Value) -> Digest {
    let mut text = String::new();
    canonical(value, &mut text);
    Digest::of(text.as_bytes())
}

fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_unstable_by_key(|(name, _)| name.as_str());
            text.push('{');
            for (name, value) in members {
                text.push_str(&Value::String(name.clone()).to_string());
                text.push(':');
                canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

/// The size of a value's JSON form, in bytes, without keeping it.
fn json_size<T: serde::Serialize>(value: &T) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}
