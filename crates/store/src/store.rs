//! The handle: what the rest of Nexus calls.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nexus_model::resource::{Kind, Resource, ResourceKey};
use nexus_model::{Clock, IdMint, Name};
use sqlx::sqlite::SqliteRow;
use tokio::sync::{mpsc, oneshot, watch};

use crate::row::{self, bind_key, to_column};
use crate::sqlite::{self, Pool, Query, database};
use crate::writer::{Command, Parts, Writer, counter};
use crate::{
    Applied, Change, ChangeEntry, Error, Lease, OutboxEntry, ReadLimit, StateChange, StateId,
    StateItem, plan, schema, state, statement,
};

/// Items on one page of [`Store::list`], [`Store::list_labelled`], [`Store::scan`],
/// [`Store::changes_since`] and [`Store::outbox`].
pub const LIST_ITEMS_MAX: usize = 10_000;

/// Where the store lives.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The SQLite file. It is made if it does not exist; its folder must exist.
    pub path: PathBuf,
    /// How large the file may grow; beyond it changes fail with [`Error::DiskFull`].
    pub bytes_max: u64,
}

impl StoreConfig {
    /// The default size limit: 64 GiB.
    pub const BYTES_MAX_DEFAULT: u64 = 64 << 30;

    /// A store in this file, with the default limits.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        StoreConfig { path: path.into(), bytes_max: Self::BYTES_MAX_DEFAULT }
    }
}

/// Resources, leases and the audit outbox. Cheap to clone; all clones are one store.
///
/// - Durable: what [`apply`](Store::apply) returned survives a crash and a power failure.
/// - Atomic: a change happens whole, with its audit events, or not at all.
/// - Ordered: every effective operation has a revision of its own; revisions rise in the order of
///   the commits and are never used again.
/// - Fresh: a read sees every change that returned before the read began.
/// - Cancel safe: a change whose future is dropped still happens whole or not at all.
/// - One writer: changes wait for one another (one disk sync each), reads for nobody.
#[derive(Clone)]
pub struct Store {
    commands: mpsc::Sender<Command>,
    pub(crate) readers: Pool,
    revision: watch::Receiver<u64>,
    path: Arc<Path>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("revision", &self.revision()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens or makes a store and upgrades its format. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// [`Error::NewerFormat`], [`Error::NotAStore`], [`Error::Io`], [`Error::Database`].
    pub async fn open(
        config: StoreConfig,
        clock: Arc<dyn Clock>,
        mint: Arc<IdMint>,
    ) -> Result<Store, Error> {
        sqlite::create_file(&config.path)?;
        let mut connection = sqlite::connect_writer(&config).await?;
        schema::upgrade(&mut connection, schema::VERSIONS, &config.path).await?;
        let found = counter(&mut connection, "revision").await;
        let (revision, seen) = watch::channel(found.map_err(database("read the revision"))?);
        let readers = sqlite::connect_readers(&config).await?;
        let path = config.path.as_path().into();
        let commands = Writer::start(Parts { config, clock, mint, revision }, connection);
        Ok(Store { commands, readers, revision: seen, path })
    }

    /// One resource.
    ///
    /// # Errors
    /// [`Error::Project`], [`Error::CorruptRow`], [`Error::Database`].
    pub async fn get(&self, key: &ResourceKey) -> Result<Option<Resource>, Error> {
        plan::check_key(key)?;
        let text = statement::get();
        let row = bind_key(sqlx::query(&text), key).fetch_optional(&self.readers).await;
        row.map_err(database("read a resource"))?.as_ref().map(row::resource).transpose()
    }

    /// Up to `limit` resources of one kind and project whose names follow `after`, by name.
    /// `project` is `None` exactly for kinds outside projects; [`Store::scan`] goes through all.
    ///
    /// # Errors
    /// [`Error::Project`], [`Error::TooMany`] above [`LIST_ITEMS_MAX`], [`Error::CorruptRow`],
    /// [`Error::Database`].
    pub async fn list(
        &self,
        kind: Kind,
        project: Option<&Name>,
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Vec<Resource>, Error> {
        if kind.in_project() != project.is_some() {
            return Err(Error::Project { kind });
        }
        let text = statement::list();
        let query = sqlx::query(&text)
            .bind(kind.as_str())
            .bind(project.map_or("", Name::as_str))
            .bind(after.map_or("", Name::as_str));
        self.page("list resources", query, limit, row::resource).await
    }

    /// Up to `limit` resources of one kind in all projects, by project and name, after a key.
    ///
    /// # Errors
    /// [`Error::TooMany`] above [`LIST_ITEMS_MAX`], [`Error::CorruptRow`], [`Error::Database`].
    pub async fn scan(
        &self,
        kind: Kind,
        after: Option<&ResourceKey>,
        limit: usize,
    ) -> Result<Vec<Resource>, Error> {
        let text = statement::scan();
        let query = sqlx::query(&text)
            .bind(kind.as_str())
            .bind(after.map_or("", row::project_column))
            .bind(after.map_or("", |after| after.name.as_str()));
        self.page("scan resources", query, limit, row::resource).await
    }

    /// Up to `limit` resources of one kind and project that carry a label with this value, by name.
    ///
    /// # Errors
    /// As for [`Store::list`].
    pub async fn list_labelled(
        &self,
        selector: Selector<'_>,
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Vec<Resource>, Error> {
        let Selector { kind, project, label, value } = selector;
        if kind.in_project() != project.is_some() {
            return Err(Error::Project { kind });
        }
        let text = statement::list_labelled();
        let query = sqlx::query(&text)
            .bind(kind.as_str())
            .bind(project.map_or("", Name::as_str))
            .bind(label)
            .bind(value)
            .bind(after.map_or("", Name::as_str));
        self.page("list resources by label", query, limit, row::resource).await
    }

    /// Makes a change, all or none. What already is as asked stays [`Unchanged`](crate::Effect):
    /// without a new revision and without an audit event.
    ///
    /// # Errors
    /// [`Error::Conflict`] and [`Error::NotFound`] name the first operation that cannot be done;
    /// [`Error::TooMany`], [`Error::TooLarge`], [`Error::Project`], [`Error::DiskFull`],
    /// [`Error::Database`], [`Error::Closed`].
    pub async fn apply(&self, change: Change) -> Result<Applied, Error> {
        plan::check(&change)?;
        self.ask(|answer| Command::Apply(change, answer)).await
    }

    /// What a change would come to, without making it. Whatever happens before the change is made is
    /// not foreseen.
    ///
    /// # Errors
    /// As [`Store::apply`].
    pub async fn preview(&self, change: Change) -> Result<Applied, Error> {
        plan::check(&change)?;
        self.ask(|answer| Command::Preview(change, answer)).await
    }

    /// Up to `limit` audit events that wait to be moved to the log, oldest first.
    ///
    /// # Errors
    /// [`Error::TooMany`] above [`LIST_ITEMS_MAX`], [`Error::CorruptRow`], [`Error::Database`].
    pub async fn outbox(&self, limit: usize) -> Result<Vec<OutboxEntry>, Error> {
        let query = sqlx::query(statement::OUTBOX);
        self.page("read audit events", query, limit, row::outbox_entry).await
    }

    /// Forgets audit events up to and including this sequence: they are durable in the log.
    ///
    /// # Errors
    /// [`Error::DiskFull`], [`Error::Database`], [`Error::Closed`].
    pub async fn outbox_done(&self, through: u64) -> Result<(), Error> {
        self.ask(|answer| Command::OutboxDone(through, answer)).await
    }

    /// The revision of the last effective operation; 0 in an empty store.
    pub fn revision(&self) -> u64 {
        *self.revision.borrow()
    }

    /// The store's revision, after every effective change. A receiver that sleeps sees the latest
    /// only; [`Store::changes_since`] tells what happened.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.revision.clone()
    }

    /// The last change of each resource that changed after `revision`, oldest first, up to `limit`.
    /// Go on after the revision of the last entry. A resource that changed twice appears once, one
    /// that was deleted and made again appears as both. From 0, it lists everything.
    ///
    /// # Errors
    /// [`Error::Compacted`] when deletions after `revision` have been forgotten;
    /// [`Error::TooMany`] above [`LIST_ITEMS_MAX`], [`Error::CorruptRow`], [`Error::Database`].
    pub async fn changes_since(
        &self,
        revision: u64,
        limit: usize,
    ) -> Result<Vec<ChangeEntry>, Error> {
        const OPERATION: &str = "read changes";
        let text = statement::changes_since();
        let query = sqlx::query(&text).bind(to_column(revision));
        let changes = self.page(OPERATION, query, limit, row::change_entry).await?;
        // Looked at afterwards: what was forgotten while we read is noticed too.
        let mut reader = self.readers.acquire().await.map_err(database(OPERATION))?;
        let first = counter(&mut reader, "compacted").await.map_err(database(OPERATION))?;
        if revision != 0 && revision < first {
            return Err(Error::Compacted { asked: revision, first });
        }
        Ok(changes)
    }

    /// Forgets deletions up to and including this revision; followers that are not yet there get
    /// [`Error::Compacted`]. The audit events in the log stay.
    ///
    /// # Errors
    /// [`Error::DiskFull`], [`Error::Database`], [`Error::Closed`].
    pub async fn prune_deletions(&self, through: u64) -> Result<(), Error> {
        self.ask(|answer| Command::PruneDeletions(through, answer)).await
    }

    /// Takes a lease that is free, expired, or held under the same name, for `ttl`. Each
    /// acquisition has a new epoch, so an earlier self is fenced as well.
    ///
    /// # Errors
    /// [`Error::LeaseHeld`]; [`Error::DiskFull`], [`Error::Database`], [`Error::Closed`].
    pub async fn lease(&self, name: &str, holder: &str, ttl: Duration) -> Result<Lease, Error> {
        let (name, holder) = (name.to_owned(), holder.to_owned());
        self.ask(|answer| Command::Acquire { name, holder, ttl, answer }).await
    }

    /// Extends a lease to `ttl` from now, in the same epoch.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when it has expired or was taken; [`Error::DiskFull`],
    /// [`Error::Database`], [`Error::Closed`].
    pub async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<Lease, Error> {
        let lease = lease.clone();
        self.ask(|answer| Command::Renew(lease, ttl, answer)).await
    }

    /// Gives a lease back, so that others need not wait for it to expire.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when somebody else has taken it; [`Error::DiskFull`],
    /// [`Error::Database`], [`Error::Closed`].
    pub async fn release(&self, lease: &Lease) -> Result<(), Error> {
        let lease = lease.clone();
        self.ask(|answer| Command::Release(lease, answer)).await
    }

    /// Changes a key or a stream of a function's state: durable when it returns. Changes that come at
    /// the same time share a disk sync. Gives the new version, 0 for a key that was deleted.
    ///
    /// # Errors
    /// [`Error::StateConflict`], [`Error::TooMany`] for a stream at its limit, [`Error::DiskFull`],
    /// [`Error::Database`], [`Error::Closed`].
    pub async fn change_state(&self, change: StateChange) -> Result<u64, Error> {
        self.ask(|answer| Command::ChangeState(change, answer)).await
    }

    /// The value of a key.
    ///
    /// # Errors
    /// [`Error::CorruptRow`], [`Error::Database`].
    pub async fn state(&self, id: &StateId) -> Result<Option<StateItem>, Error> {
        let row = state::bind_id(sqlx::query(statement::GET_STATE), id);
        let row = row.fetch_optional(&self.readers).await.map_err(database("read state"))?;
        row.as_ref().map(state::item).transpose()
    }

    /// Keys that begin like the key of `prefix` and follow `after`, by key.
    ///
    /// # Errors
    /// [`Error::CorruptRow`], [`Error::Database`].
    pub async fn state_scan(
        &self,
        prefix: &StateId,
        after: &str,
        limit: ReadLimit,
    ) -> Result<Vec<StateItem>, Error> {
        let (from, below) = state::range(&prefix.key, after);
        let text = statement::scan_state("key, version, value", below.is_some());
        let query = state::bind_range(sqlx::query(&text), prefix, (&from, below.as_deref()));
        state::read("read state", query, (&self.readers, limit)).await
    }

    /// Events of a stream after a version, oldest first.
    ///
    /// # Errors
    /// [`Error::CorruptRow`], [`Error::Database`].
    pub async fn stream(
        &self,
        id: &StateId,
        after: u64,
        limit: ReadLimit,
    ) -> Result<Vec<StateItem>, Error> {
        let query = state::bind_id(sqlx::query(statement::READ_STREAM), id);
        let query = query.bind(to_column(after));
        state::read("read a stream", query, (&self.readers, limit)).await
    }

    /// Bytes of the database's files, with its write-ahead log; `None` where the system does not say.
    pub fn file_bytes(&self) -> Option<u64> {
        let mut log = self.path.as_os_str().to_owned();
        log.push("-wal");
        let size = |path: &Path| std::fs::metadata(path).map(|found| found.len());
        // There is no write-ahead log while nothing has changed.
        Some(size(&self.path).ok()? + size(Path::new(&log)).unwrap_or(0))
    }

    /// Waits for the changes that were handed over, then closes the database. Everything that any
    /// clone asks for afterwards is [`Error::Closed`].
    ///
    /// # Errors
    /// [`Error::Database`]; nothing is lost then. [`Error::Closed`] when it was closed before.
    pub async fn close(&self) -> Result<(), Error> {
        // Readers first, so that the writer is the last one and leaves no write-ahead log behind.
        self.readers.close().await;
        self.ask(Command::Close).await
    }

    pub(crate) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Command,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| Error::Closed)?;
        answered.await.map_err(|_| Error::Closed)?
    }

    /// Runs a query whose last parameter is the limit.
    async fn page<T>(
        &self,
        operation: &'static str,
        query: Query<'_>,
        limit: usize,
        decode: fn(&SqliteRow) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        if limit > LIST_ITEMS_MAX {
            return Err(Error::TooMany {
                what: "items on one page",
                count: limit,
                limit: LIST_ITEMS_MAX,
            });
        }
        let rows = query.bind(to_column(limit as u64)).fetch_all(&self.readers).await;
        rows.map_err(database(operation))?.iter().map(decode).collect()
    }
}

/// Which resources [`Store::list_labelled`] lists.
#[derive(Clone, Copy, Debug)]
pub struct Selector<'a> {
    /// The kind.
    pub kind: Kind,
    /// The project; `None` exactly for kinds outside projects.
    pub project: Option<&'a Name>,
    /// The label.
    pub label: &'a str,
    /// Its value.
    pub value: &'a str,
}
