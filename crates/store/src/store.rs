//! The handle: what the rest of Nexus calls.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nexus_model::resource::{Kind, Resource, ResourceKey};
use nexus_model::{Clock, IdMint, Name};
use tokio::sync::watch;

use crate::{Applied, Change, ChangeEntry, Error, Lease, OutboxEntry};

/// Items on one page of [`Store::list`], [`Store::scan`], [`Store::changes_since`] and
/// [`Store::outbox`].
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
#[derive(Clone)]
pub struct Store {}

impl Store {
    /// Opens or makes a store and upgrades its format.
    pub async fn open(_: StoreConfig, _: Arc<dyn Clock>, _: Arc<IdMint>) -> Result<Store, Error> {
        todo!()
    }
    /// One resource.
    pub async fn get(&self, _key: &ResourceKey) -> Result<Option<Resource>, Error> {
        todo!()
    }
    /// Resources of one kind and project by name. `project` is `None` only for kinds outside projects.
    pub async fn list(
        &self,
        _kind: Kind,
        _project: Option<&Name>,
        _after: Option<&Name>,
        _limit: usize,
    ) -> Result<Vec<Resource>, Error> {
        todo!()
    }
    /// Resources of one kind in all projects, by project and name.
    pub async fn scan(
        &self,
        _kind: Kind,
        _after: Option<&ResourceKey>,
        _limit: usize,
    ) -> Result<Vec<Resource>, Error> {
        todo!()
    }
    /// Makes a change, all or none.
    pub async fn apply(&self, _change: Change) -> Result<Applied, Error> {
        todo!()
    }
    /// Audit events that wait to be moved to the log, oldest first.
    pub async fn outbox(&self, _limit: usize) -> Result<Vec<OutboxEntry>, Error> {
        todo!()
    }
    /// Forgets audit events up to and including this sequence.
    pub async fn outbox_done(&self, _through: u64) -> Result<(), Error> {
        todo!()
    }
    /// The current revision.
    pub fn revision(&self) -> u64 {
        todo!()
    }
    /// The store's revision; it changes after every effective change.
    pub fn watch(&self) -> watch::Receiver<u64> {
        todo!()
    }
    /// The last change of every resource that changed after `revision`, oldest first.
    pub async fn changes_since(
        &self,
        _revision: u64,
        _limit: usize,
    ) -> Result<Vec<ChangeEntry>, Error> {
        todo!()
    }
    /// Takes a lease with a new epoch.
    pub async fn lease(&self, _name: &str, _holder: &str, _ttl: Duration) -> Result<Lease, Error> {
        todo!()
    }
    /// Extends a lease.
    pub async fn renew(&self, _lease: &Lease, _ttl: Duration) -> Result<Lease, Error> {
        todo!()
    }
    /// Gives a lease back.
    pub async fn release(&self, _lease: &Lease) -> Result<(), Error> {
        todo!()
    }
    /// Waits for running changes and closes the database.
    pub async fn close(&self) -> Result<(), Error> {
        todo!()
    }
}
