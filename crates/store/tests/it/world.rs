//! A store in a folder of its own, on a clock that stands still, and short names for test data.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nexus_model::resource::{Kind, Resource, ResourceKey};
use nexus_model::{IdMint, ManualClock, Name, Principal, Timestamp};
use nexus_store::{Applied, Change, Error, Op, Store, StoreConfig};
use serde_json::Value;

pub(crate) const START: Timestamp = Timestamp::from_unix_ms(1_795_000_000_000);

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) dir: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(START));
        let store = open(&path(dir.path()), clock.clone()).await.unwrap();
        World { store, clock, dir }
    }

    /// The same folder, as after a restart.
    pub(crate) async fn reopen(&mut self) {
        self.store.close().await.unwrap();
        self.store = open(&path(self.dir.path()), self.clock.clone()).await.unwrap();
    }

    pub(crate) async fn apply(&self, ops: Vec<Op>) -> Result<Applied, Error> {
        self.store.apply(Change::new(principal(), ops)).await
    }
}

pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join("store.sqlite")
}

pub(crate) async fn open(path: &Path, clock: Arc<ManualClock>) -> Result<Store, Error> {
    let mint = Arc::new(IdMint::new(clock.clone(), 7));
    Store::open(StoreConfig::new(path), clock, mint).await
}

pub(crate) fn principal() -> Principal {
    Principal::token("ci")
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// `Function shop/hello` for `function("shop", "hello")`.
pub(crate) fn function(project: &str, at: &str) -> ResourceKey {
    ResourceKey { kind: Kind::Function, project: Some(name(project)), name: name(at) }
}

pub(crate) fn project(at: &str) -> ResourceKey {
    ResourceKey { kind: Kind::Project, project: None, name: name(at) }
}

pub(crate) fn put(key: &ResourceKey, spec: Value) -> Op {
    Op::put(Resource::new(key, spec))
}
