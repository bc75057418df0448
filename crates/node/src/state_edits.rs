//! Changes of functions' state from outside.
//!
//! A change goes through the same operation of the store as one that a function makes, so neither can
//! come into the middle of the other; its audit event is written with it.

use bytes::Bytes;
use nexus_exec::StateError;
use nexus_model::view::StateClearedView;
use nexus_model::{Code, Name, OpContext, Scope, limits};
use nexus_store::{ReadLimit, StateChange, StateClear, StateEdit, StateId};

use crate::state::{check_key, fits};
use crate::state_views::{invalid, state_id};
use crate::{Error, Node, StatePlace, StateSpace};

impl Node {
    /// Writes the value of a key, if it has the version `expected` (0: if it does not exist) where
    /// one is given. Gives its version.
    ///
    /// # Errors
    /// The caller may not write there; there is no such function; the key or value is too large; the
    /// key has another version; the store fails.
    pub async fn set_state(
        &self,
        ctx: &OpContext,
        place: StatePlace<'_>,
        (value, expected): (Bytes, Option<u64>),
    ) -> Result<u64, Error> {
        check_key(place.key).map_err(invalid)?;
        fits("a value", value.len(), limits::STATE_VALUE_BYTES_MAX).map_err(too_large)?;
        let id = self.writable_state(ctx, place).await?;
        self.change_state(ctx, place, (id, StateEdit::Put(value), expected)).await
    }

    /// Deletes a key, if it has the version `expected` where one is given.
    ///
    /// # Errors
    /// The key does not exist, or has another version; the caller may not write there; the store
    /// fails.
    pub async fn delete_state(
        &self,
        ctx: &OpContext,
        place: StatePlace<'_>,
        expected: Option<u64>,
    ) -> Result<(), Error> {
        check_key(place.key).map_err(invalid)?;
        let id = self.writable_state(ctx, place).await?;
        if self.parts.store.state(&id).await?.is_none() {
            return Err(self.no_key(ctx, place, &id).await?);
        }
        self.change_state(ctx, place, (id, StateEdit::Delete, expected)).await.map(drop)
    }

    async fn change_state(
        &self,
        ctx: &OpContext,
        place: StatePlace<'_>,
        (id, edit, expected): (StateId, StateEdit, Option<u64>),
    ) -> Result<u64, Error> {
        let by = Some(ctx.principal.clone());
        let change = StateChange { id, edit, expected, operation: None, by };
        match self.parts.store.change_state(change).await {
            Ok(version) => {
                self.audit_due.notify_one();
                Ok(version)
            }
            Err(nexus_store::Error::StateConflict { version }) => {
                let StatePlace { space, key, .. } = place;
                let expected = expected.unwrap_or_default();
                let detail = match (version, expected) {
                    (0, _) => format!("key '{key}' of {space} does not exist any more"),
                    (_, 0) => format!("key '{key}' of {space} exists, with version {version}"),
                    _ => format!("key '{key}' of {space} has version {version}, not {expected}"),
                };
                let hint = "somebody else has changed it: read it again, then decide";
                Err(Error::new(Code::Conflict, detail).with_hint(hint))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Removes all keys and streams of a namespace, or one stream, in steps; at most
    /// [`limits::STATE_CLEARED_MAX`] keys and events. Functions that use it meanwhile find what is
    /// left.
    ///
    /// # Errors
    /// There is neither such a function nor state of one; the caller may not write there; the store
    /// fails: what was removed stays removed.
    pub async fn clear_state(
        &self,
        ctx: &OpContext,
        (project, space): (&Name, &StateSpace),
        stream: Option<&str>,
    ) -> Result<StateClearedView, Error> {
        let place = StatePlace { project, space, key: stream.unwrap_or_default() };
        if stream.is_some() {
            check_key(place.key).map_err(invalid)?;
        }
        nexus_policy::authorize(ctx, Scope::Write, Some(project))?;
        let id = self.known_state(place).await?;
        let clear = StateClear {
            project: project.clone(),
            namespace: id.namespace.clone(),
            stream: stream.map(str::to_owned),
            by: ctx.principal.clone(),
        };
        let mut all = StateClearedView { keys: 0, events: 0, bytes: 0, more: true };
        while all.more && all.keys + all.events < limits::STATE_CLEARED_MAX {
            let step = self.parts.store.clear_state(clear.clone()).await?;
            all.keys += step.keys;
            all.events += step.events;
            all.bytes += step.bytes;
            all.more = step.more;
            self.audit_due.notify_one();
        }
        // The last step may have taken just what there was.
        all.more = all.more && self.is_left(&id, stream.is_some()).await?;
        if stream.is_some() && all.events == 0 {
            return Err(self.no_stream(ctx, place, &id).await?);
        }
        Ok(all)
    }

    /// Whether there is anything in the namespace, or in the stream, of this name.
    async fn is_left(&self, id: &StateId, stream: bool) -> Result<bool, Error> {
        let one = ReadLimit { items: 1, bytes: 0 };
        Ok(match stream {
            true => !self.parts.store.stream(id, 0, one).await?.is_empty(),
            false => self.parts.store.state_summary(&id.project, &id.namespace, 0).await?.more,
        })
    }

    /// A place that the caller may write to: functions make a shared namespace by writing there.
    async fn writable_state(
        &self,
        ctx: &OpContext,
        place: StatePlace<'_>,
    ) -> Result<StateId, Error> {
        nexus_policy::authorize(ctx, Scope::Write, Some(place.project))?;
        match place.space {
            StateSpace::Function(_) => self.known_state(place).await,
            StateSpace::Shared(_) => {
                self.require_project(place.project)?;
                state_id(place)
            }
        }
    }
}

fn too_large(error: StateError) -> Error {
    let error = invalid(error);
    Error::new(Code::TooLarge, error.detail().to_owned())
}
