//! What is declared, kept: resources with revisions and an audit outbox, leases with epochs, and
//! content-addressed blobs. Beside them the state of functions, because it changes in transactions,
//! too.
//!
//! [`Store`] is SQL (SQLite today; the statements are portable on purpose) and the only place in
//! Nexus that knows it. [`Blobs`] is a folder of immutable files named by their digest.

mod audit;
mod blobs;
mod change;
mod error;
mod folder;
mod plan;
mod row;
mod schema;
mod sqlite;
mod state;
mod statement;
mod store;
mod writer;

pub use blobs::{BLOB_BYTES_MAX, BLOBS_DIR, BlobInfo, Blobs, blob_file, check_blob};
pub use change::{
    Applied, AppliedResource, Change, ChangeEntry, Effect, Expect, Lease, Op, OutboxEntry,
};
pub use error::Error;
pub use folder::{FolderAccess, private_folder};
pub use state::{
    ReadLimit, StateChange, StateClear, StateCleared, StateEdit, StateId, StateItem, StateRow,
    StateSummary, StreamRow,
};
pub use statement::FORGET_SECRETS;
pub use store::{LIST_ITEMS_MAX, Selector, Store, StoreConfig};
