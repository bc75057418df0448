//! From the store's outbox to the log: audit events, and what the engine must know of functions and triggers.
//!
//! A change commits with its audit event in one transaction of the store; this moves it on. Moving
//! twice is harmless: audit events have ids of their own, and the engine ignores a configuration
//! that it has. So a crash anywhere loses nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nexus_engine::DeclaredKey;
use nexus_model::record::ConfigRecord;
use nexus_model::resource::{Kind, ResourceKey};
use nexus_model::{EventId, Name, Partition};
use nexus_store::OutboxEntry;

use crate::record::bytes_of;
use crate::{Error, Node};

/// Outbox entries moved at a time.
const BATCH: usize = 256;
/// How long the outbox rests after an error.
const AGAIN: Duration = Duration::from_secs(2);

impl Node {
    /// Moves everything that waits. Called after each change, so that a change is in force when its
    /// caller gets the answer, and by the background task for what a crash or an error left behind.
    pub(crate) async fn move_audit(&self) -> Result<(), Error> {
        let _alone = self.auditing.lock().await;
        loop {
            let entries = self.parts.store.outbox(BATCH).await?;
            let Some(last) = entries.last().map(|entry| entry.sequence) else { return Ok(()) };
            let configs = self.configs(&entries).await?;
            let engine = self.engine()?;
            if !configs.is_empty() {
                engine.configure(configs).await?;
                engine.settled().await?;
            }
            let events = entries.into_iter().map(|entry| {
                let project = entry.project.map(|at| at.to_string()).unwrap_or_default();
                (project, entry.event)
            });
            self.emit_own(events.collect()).await?;
            self.parts.store.outbox_done(last).await?;
        }
    }

    /// Tells the engine again of functions and triggers that it does not know although they are
    /// declared: its checkpoint was lost, and retention has removed the records that told it first.
    pub(crate) async fn tell_engine(&self, unknown: Vec<DeclaredKey>) -> Result<(), Error> {
        let wrong = |error| Error::internal("read a name", error);
        let mut changed = BTreeMap::new();
        for key in unknown {
            let project = Name::new(&key.project).map_err(wrong)?;
            let name = Name::new(&key.name).map_err(wrong)?;
            changed.insert((key.kind, project, name), key.revision);
        }
        let configs = self.configs_of(changed).await?;
        if configs.is_empty() {
            return Ok(());
        }
        let engine = self.engine()?;
        engine.configure(configs).await?;
        engine.settled().await.map_err(Error::from)
    }

    /// The configuration records of functions and triggers that changed: their present specs.
    async fn configs(&self, entries: &[OutboxEntry]) -> Result<Vec<ConfigRecord>, Error> {
        let mut changed: BTreeMap<(Kind, Name, Name), u64> = BTreeMap::new();
        for entry in entries {
            if let Some((kind, name)) = subject_of(entry)
                && let Some(project) = &entry.project
            {
                changed.insert((kind, project.clone(), name), entry.sequence);
            }
        }
        self.configs_of(changed).await
    }

    async fn configs_of(
        &self,
        changed: BTreeMap<(Kind, Name, Name), u64>,
    ) -> Result<Vec<ConfigRecord>, Error> {
        let at_ns = self.parts.clock.now().unix_ns();
        let mut configs = Vec::with_capacity(changed.len());
        for ((kind, project, name), sequence) in changed {
            let key = ResourceKey { kind, project: Some(project.clone()), name: name.clone() };
            let found = self.parts.store.get(&key).await?;
            let (revision, spec) = match found {
                // Without code nothing can be delivered: such a function subscribes to nothing yet.
                Some(resource)
                    if kind == Kind::Function && crate::node::current_of(&resource).is_none() =>
                {
                    (resource.metadata.revision.unwrap_or(sequence), "{}".to_owned())
                }
                Some(resource) => {
                    (resource.metadata.revision.unwrap_or(sequence), resource.spec.to_string())
                }
                None => (sequence, String::new()),
            };
            let id: EventId = self.parts.mint.mint(Partition::of(project.as_str(), ""));
            configs.push(ConfigRecord {
                id: bytes_of(id.as_bytes()),
                project: project.to_string(),
                kind: kind.as_str().to_owned(),
                name: name.to_string(),
                revision,
                spec,
                at_ns,
            });
        }
        Ok(configs)
    }

    pub(crate) async fn audit_loop(self: Arc<Self>) {
        loop {
            let wake = self.audit_due.notified();
            let moved = self.move_audit().await;
            if let Err(error) = &moved {
                tracing::warn!(
                    error = error as &dyn std::error::Error,
                    "audit events wait in the store"
                );
            }
            tokio::select! {
                () = self.tasks.stopping() => return,
                () = wake => {}
                () = tokio::time::sleep(AGAIN), if moved.is_err() => {}
            }
        }
    }
}

/// The function or trigger that an audit event is about: the subject is `Function shop/hello`.
fn subject_of(entry: &OutboxEntry) -> Option<(Kind, Name)> {
    let (kind, key) = entry.event.subject.as_deref()?.split_once(' ')?;
    let (_, name) = key.split_once('/')?;
    let kind = Kind::parse(kind).filter(|at| matches!(at, Kind::Function | Kind::Trigger))?;
    Some((kind, Name::new(name).ok()?))
}
