//! The one task that writes. It owns the writing connection, so no lock is waited for, and a caller
//! that goes away leaves its change whole: once handed over, a change runs to its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nexus_model::resource::ResourceKey;
use nexus_model::{Clock, IdMint, Timestamp};
use sqlx::{Connection as _, Row as _};
use tokio::sync::{mpsc, oneshot, watch};

use crate::plan::{self, Base, Plan};
use crate::row::{self, Stored, bind_key, bind_stored, from_column, to_column};
use crate::sqlite::{self, BEGIN_WRITE, Connection, database};
use crate::{
    Applied, Change, Error, Lease, OutboxEntry, StateChange, StateClear, StateCleared, StoreConfig,
    state, statement,
};

/// Changes that wait for the writer; callers beyond wait for a place.
const QUEUE_LEN_MAX: usize = 256;

/// Changes of state in one transaction.
const STATE_CHANGES_MAX: usize = 128;

type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// What the writer can be asked for.
pub(crate) enum Command {
    Apply(Change, Answer<Applied>),
    Preview(Change, Answer<Applied>),
    OutboxDone(u64, Answer<()>),
    PruneDeletions(u64, Answer<()>),
    Acquire { name: String, holder: String, ttl: Duration, answer: Answer<Lease> },
    Renew(Lease, Duration, Answer<Lease>),
    Release(Lease, Answer<()>),
    ChangeState(StateChange, Answer<u64>),
    ClearState(StateClear, Answer<StateCleared>),
    Close(Answer<()>),
}

/// What the writer works with.
pub(crate) struct Parts {
    pub(crate) config: StoreConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) mint: Arc<IdMint>,
    pub(crate) revision: watch::Sender<u64>,
}

/// The service; [`Writer::start`] gives its handle.
pub(crate) struct Writer {
    parts: Parts,
    /// `None` after a failure that may have left a transaction open: the next command reconnects.
    connection: Option<Connection>,
}

impl Writer {
    /// Starts the task. It ends when all handles are gone or with [`Command::Close`].
    pub(crate) fn start(parts: Parts, connection: Connection) -> mpsc::Sender<Command> {
        let (commands, queue) = mpsc::channel(QUEUE_LEN_MAX);
        let writer = Writer { parts, connection: Some(connection) };
        #[expect(clippy::disallowed_methods, reason = "the store's only task, named here")]
        tokio::spawn(writer.run(queue));
        commands
    }

    async fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        // An answer that nobody waits for any more is dropped: the change itself stands.
        let mut next = None;
        while let Some(command) = match next.take() {
            Some(command) => Some(command),
            None => queue.recv().await,
        } {
            match command {
                Command::ChangeState(change, answer) => {
                    next = self.change_states((change, answer), &mut queue).await;
                }
                Command::ClearState(clear, answer) => {
                    drop(answer.send(self.clear_state(&clear).await));
                }
                Command::Apply(change, answer) => drop(answer.send(self.apply(change).await)),
                Command::Preview(change, answer) => drop(answer.send(self.preview(change).await)),
                Command::OutboxDone(through, answer) => {
                    drop(answer.send(self.outbox_done(through).await));
                }
                Command::PruneDeletions(through, answer) => {
                    drop(answer.send(self.prune_deletions(through).await));
                }
                Command::Acquire { name, holder, ttl, answer } => {
                    drop(answer.send(self.acquire(name, holder, ttl).await));
                }
                Command::Renew(lease, ttl, answer) => {
                    drop(answer.send(self.renew(lease, ttl).await));
                }
                Command::Release(lease, answer) => drop(answer.send(self.release(lease).await)),
                Command::Close(answer) => {
                    queue.close();
                    drop(answer.send(self.close().await));
                    return;
                }
            }
        }
        if let Err(error) = self.close().await {
            tracing::warn!(%error, "closing the store failed; nothing is lost");
        }
    }

    async fn apply(&mut self, change: Change) -> Result<Applied, Error> {
        const OPERATION: &str = "apply a change";
        let failed = || database(OPERATION);
        let (clock, mint) = (self.parts.clock.clone(), self.parts.mint.clone());
        let connection = self.begin(OPERATION).await?;
        let planned = async {
            let plan = planned(connection, change, (&*clock, &mint), OPERATION).await?;
            if plan.applied.changed() {
                write(connection, &plan).await.map_err(failed())?;
            }
            Ok(plan.applied)
        };
        let applied: Result<Applied, Error> = planned.await;
        let applied = match applied {
            // Nothing to keep: a rollback costs no disk write.
            Ok(applied) if !applied.changed() => {
                self.rollback().await;
                return Ok(applied);
            }
            other => self.end(OPERATION, other).await?,
        };
        self.parts.revision.send_replace(applied.revision);
        Ok(applied)
    }

    async fn preview(&mut self, change: Change) -> Result<Applied, Error> {
        const OPERATION: &str = "preview a change";
        let (clock, mint) = (self.parts.clock.clone(), self.parts.mint.clone());
        let connection = self.begin(OPERATION).await?;
        let plan = planned(connection, change, (&*clock, &mint), OPERATION).await;
        self.rollback().await;
        Ok(plan?.applied)
    }

    /// Makes this change and all that wait behind it in one transaction. Gives the first command
    /// that is something else.
    async fn change_states(
        &mut self,
        first: (StateChange, Answer<u64>),
        queue: &mut mpsc::Receiver<Command>,
    ) -> Option<Command> {
        const OPERATION: &str = "change state";
        let (now, mint) = (self.parts.clock.now(), self.parts.mint.clone());
        let (mut made, mut next, mut revision) = (Vec::new(), None, None);
        let mut waiting = Some(first);
        let done = match self.begin(OPERATION).await {
            Err(error) => Err(error),
            Ok(connection) => loop {
                let Some((change, answer)) = waiting.take() else { break Ok(()) };
                match state::change(connection, &change, state::Stamp { now, mint: &mint }).await {
                    Err(error @ (Error::Database { .. } | Error::DiskFull { .. })) => {
                        made.push((answer, Ok(0)));
                        break Err(error);
                    }
                    Ok(changed) => {
                        revision = changed.revision.or(revision);
                        made.push((answer, Ok(changed.version)));
                    }
                    Err(error) => made.push((answer, Err(error))),
                }
                if made.len() < STATE_CHANGES_MAX {
                    match queue.try_recv() {
                        Ok(Command::ChangeState(change, answer)) => {
                            waiting = Some((change, answer));
                        }
                        Ok(other) => next = Some(other),
                        Err(_) => {}
                    }
                }
            },
        };
        if let Some((_, answer)) = waiting {
            made.push((answer, Ok(0)));
        }
        let ended = match done {
            Err(error) => {
                self.rollback().await;
                Err(error)
            }
            Ok(()) => self.end(OPERATION, Ok(())).await,
        };
        let failed = ended.err();
        if let (Some(revision), None) = (revision, &failed) {
            self.parts.revision.send_replace(revision);
        }
        for (answer, result) in made {
            // Nobody may wait for it any more: the change itself stands.
            drop(answer.send(match (&failed, result) {
                (Some(error), Ok(_)) => Err(shared(OPERATION, error)),
                (_, result) => result,
            }));
        }
        next
    }

    async fn clear_state(&mut self, clear: &StateClear) -> Result<StateCleared, Error> {
        const OPERATION: &str = "clear state";
        let (now, mint) = (self.parts.clock.now(), self.parts.mint.clone());
        let connection = self.begin(OPERATION).await?;
        let cleared = state::clear(connection, clear, state::Stamp { now, mint: &mint }).await;
        let cleared = cleared.map_err(database(OPERATION));
        let (cleared, revision) = self.end(OPERATION, cleared).await?;
        if let Some(revision) = revision {
            self.parts.revision.send_replace(revision);
        }
        Ok(cleared)
    }

    async fn outbox_done(&mut self, through: u64) -> Result<(), Error> {
        const OPERATION: &str = "forget moved audit events";
        let connection = self.begin(OPERATION).await?;
        let done = sqlx::query(statement::OUTBOX_DONE)
            .bind(to_column(through))
            .execute(connection)
            .await
            .map(drop)
            .map_err(database(OPERATION));
        self.end(OPERATION, done).await
    }

    async fn prune_deletions(&mut self, through: u64) -> Result<(), Error> {
        const OPERATION: &str = "forget old deletions";
        let connection = self.begin(OPERATION).await?;
        let pruned = async {
            let compacted = counter(connection, "compacted").await?;
            let revision = counter(connection, "revision").await?;
            let through = through.clamp(compacted, revision.max(compacted));
            set_counter(connection, "compacted", through).await?;
            sqlx::query(statement::PRUNE_DELETIONS)
                .bind(to_column(through))
                .execute(&mut *connection)
                .await
                .map(drop)
        };
        let pruned = pruned.await.map_err(database(OPERATION));
        self.end(OPERATION, pruned).await
    }

    async fn acquire(
        &mut self,
        name: String,
        holder: String,
        ttl: Duration,
    ) -> Result<Lease, Error> {
        let now = self.parts.clock.now();
        self.change_lease("take a lease", name.clone(), |found| {
            let epoch = found.as_ref().map_or(0, |found| found.epoch) + 1;
            match found {
                Some(found) if found.holder != holder && found.expires > now => {
                    Err(Error::LeaseHeld { name, holder: found.holder, expires: found.expires })
                }
                _ => Ok(Lease { name, holder, epoch, expires: now.after(ttl) }),
            }
        })
        .await
    }

    async fn renew(&mut self, lease: Lease, ttl: Duration) -> Result<Lease, Error> {
        let now = self.parts.clock.now();
        self.change_lease("renew a lease", lease.name.clone(), |found| match found {
            Some(found) if found.epoch == lease.epoch && found.expires > now => {
                Ok(Lease { expires: now.after(ttl), ..lease })
            }
            _ => Err(Error::LeaseLost { name: lease.name, epoch: lease.epoch }),
        })
        .await
    }

    async fn release(&mut self, lease: Lease) -> Result<(), Error> {
        self.change_lease("release a lease", lease.name.clone(), |found| match found {
            // The row stays, for its epoch.
            Some(found) if found.epoch == lease.epoch => {
                Ok(Lease { expires: Timestamp::EPOCH, ..lease })
            }
            _ => Err(Error::LeaseLost { name: lease.name, epoch: lease.epoch }),
        })
        .await
        .map(drop)
    }

    async fn change_lease(
        &mut self,
        operation: &'static str,
        name: String,
        decide: impl FnOnce(Option<Lease>) -> Result<Lease, Error>,
    ) -> Result<Lease, Error> {
        let connection = self.begin(operation).await?;
        let changed = async {
            let found = lease(connection, &name).await.map_err(database(operation))?;
            let lease = decide(found)?;
            sqlx::query(statement::PUT_LEASE)
                .bind(&lease.name)
                .bind(&lease.holder)
                .bind(to_column(lease.epoch))
                .bind(lease.expires.unix_ns())
                .execute(&mut *connection)
                .await
                .map_err(database(operation))?;
            Ok(lease)
        };
        let changed = changed.await;
        self.end(operation, changed).await
    }

    async fn begin(&mut self, operation: &'static str) -> Result<&mut Connection, Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => sqlite::connect_writer(&self.parts.config).await?,
        };
        sqlx::query(BEGIN_WRITE).execute(&mut connection).await.map_err(database(operation))?;
        Ok(self.connection.insert(connection))
    }

    /// Commits what succeeded, undoes the rest.
    async fn end<T>(
        &mut self,
        operation: &'static str,
        result: Result<T, Error>,
    ) -> Result<T, Error> {
        let committed = match (result, &mut self.connection) {
            (Ok(value), Some(connection)) => {
                let committed = sqlx::query("COMMIT").execute(connection).await;
                committed.map(|_| value).map_err(database(operation))
            }
            (result, _) => result,
        };
        if committed.is_err() {
            self.rollback().await;
        }
        committed
    }

    /// A connection on which even this fails (SQLite may have rolled back by itself) is replaced:
    /// closing it undoes whatever it had begun.
    async fn rollback(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && sqlx::query("ROLLBACK").execute(&mut connection).await.is_ok()
        {
            self.connection = Some(connection);
        }
    }

    async fn close(&mut self) -> Result<(), Error> {
        match self.connection.take() {
            Some(connection) => connection.close().await.map_err(database("close the store")),
            None => Ok(()),
        }
    }
}

/// The failure of a transaction, for each of those whose changes were in it.
fn shared(operation: &'static str, error: &Error) -> Error {
    let reason = match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    let source = Box::new(std::io::Error::other(reason));
    match error {
        Error::DiskFull { .. } => Error::DiskFull { operation, source },
        _ => Error::Database { operation, source },
    }
}

pub(crate) async fn counter(
    connection: &mut Connection,
    name: &'static str,
) -> Result<u64, sqlx::Error> {
    let row = sqlx::query(statement::GET_COUNTER).bind(name).fetch_one(connection).await?;
    row.try_get(0).map(from_column)
}

pub(crate) async fn set_counter(
    connection: &mut Connection,
    name: &'static str,
    value: u64,
) -> Result<(), sqlx::Error> {
    let set = sqlx::query(statement::SET_COUNTER).bind(name).bind(to_column(value));
    set.execute(connection).await.map(drop)
}

async fn lease(connection: &mut Connection, name: &str) -> Result<Option<Lease>, sqlx::Error> {
    let row = sqlx::query(statement::GET_LEASE).bind(name).fetch_optional(connection).await?;
    row.map(|row| {
        Ok(Lease {
            name: name.to_owned(),
            holder: row.try_get(0)?,
            epoch: from_column(row.try_get(1)?),
            expires: Timestamp::from_unix_ns(row.try_get(2)?),
        })
    })
    .transpose()
}

/// What a change comes to, on what is stored now.
async fn planned(
    connection: &mut Connection,
    change: Change,
    (clock, mint): (&dyn Clock, &IdMint),
    operation: &'static str,
) -> Result<Plan, Error> {
    let revision = counter(connection, "revision").await.map_err(database(operation))?;
    let keys: Vec<ResourceKey> = change.ops.iter().map(crate::Op::key).collect();
    let found = find(connection, &keys).await?;
    plan::plan(change, Base { revision, found, now: clock.now(), mint })
}

/// The resources of these keys, as far as they exist.
async fn find(
    connection: &mut Connection,
    keys: &[ResourceKey],
) -> Result<BTreeMap<ResourceKey, Stored>, Error> {
    let mut found = BTreeMap::new();
    for keys in batches(keys) {
        let text = statement::find(keys.len());
        let query = keys.iter().fold(sqlx::query(&text), bind_key);
        let rows = query.fetch_all(&mut *connection).await;
        for row in rows.map_err(database("look for resources"))? {
            let stored = row::stored(&row)?;
            found.insert(stored.resource.key(), stored);
        }
    }
    Ok(found)
}

async fn write(connection: &mut Connection, plan: &Plan) -> Result<(), sqlx::Error> {
    set_counter(connection, "revision", plan.applied.revision).await?;
    for key in &plan.removed {
        let delete = bind_key(sqlx::query(statement::DELETE_RESOURCE), key);
        delete.execute(&mut *connection).await?;
    }
    for row in &plan.labels_removed {
        let delete = bind_key(sqlx::query(statement::DELETE_LABEL), &row.key);
        delete.bind(&row.label).bind(&row.value).execute(&mut *connection).await?;
    }
    for rows in batches(&plan.written) {
        let text = statement::upsert_resources(rows.len());
        let query = rows.iter().fold(sqlx::query(&text), bind_stored);
        query.execute(&mut *connection).await?;
    }
    for rows in batches(&plan.labels_added) {
        let text = statement::insert_labels(rows.len());
        let query = rows.iter().fold(sqlx::query(&text), |query, row| {
            bind_key(query, &row.key).bind(&row.label).bind(&row.value)
        });
        query.execute(&mut *connection).await?;
    }
    for rows in batches(&plan.deletions) {
        let text = statement::upsert_deletions(rows.len());
        let query = rows.iter().fold(sqlx::query(&text), |query, (key, revision)| {
            bind_key(query, key).bind(to_column(*revision))
        });
        query.execute(&mut *connection).await?;
    }
    insert_outbox(connection, &plan.events).await
}

/// Writes audit events that are to be moved to the log.
pub(crate) async fn insert_outbox(
    connection: &mut Connection,
    entries: &[OutboxEntry],
) -> Result<(), sqlx::Error> {
    for rows in batches(entries) {
        let text = statement::insert_outbox(rows.len());
        let query = rows.iter().fold(sqlx::query(&text), |query, entry| {
            // JSON is UTF-8.
            let event = String::from_utf8_lossy(&entry.event.to_json()).into_owned();
            let project = entry.project.as_ref().map(|project| project.as_str());
            query.bind(to_column(entry.sequence)).bind(project).bind(event)
        });
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Cuts rows into pieces of the lengths in [`statement::BATCHES`], the largest first.
fn batches<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = statement::BATCHES.iter().copied().find(|size| *size <= rows.len())?;
        let (batch, rest) = rows.split_at(size);
        rows = rest;
        Some(batch)
    })
}
