//! The handle.

use std::path::Path;
use std::sync::Arc;

use nexus_model::record::{EventRecord, InvocationRecord, Record};
use nexus_model::view::InvocationRow;
use nexus_model::{
    Clock, Cursor, EventFilter, EventId, InvocationFilter, InvocationId, Page,
};

use crate::report::{LogStats, Opened, RetentionReport, VerifyReport};
use crate::{Disk, Entry, Error, LogConfig, Position, Pressure};

/// A log. Cheap to clone; all clones are the same log.
#[derive(Clone)]
pub struct Log {
    _shared: Arc<()>,
}

#[allow(missing_docs, clippy::missing_errors_doc, reason = "being written")]
impl Log {
    pub fn open(_config: LogConfig, _disk: Arc<dyn Disk>, _clock: Arc<dyn Clock>) -> Result<(Log, Opened), Error> { Err(Error::Closed) }
    pub async fn append(&self, _records: Vec<Record>) -> Result<Vec<Position>, Error> { Err(Error::Closed) }
    pub fn record(&self, _record: Record) -> Result<(), Pressure> { Ok(()) }
    pub async fn ready_to_record(&self) {}
    pub async fn record_durable(&self, _record: Record) -> Result<Position, Error> { Err(Error::Closed) }
    pub async fn flush(&self) -> Result<(), Error> { Err(Error::Closed) }
    pub async fn event(&self, _id: EventId) -> Result<Option<EventRecord>, Error> { Err(Error::Closed) }
    pub async fn invocation(&self, _id: InvocationId) -> Result<Option<InvocationRecord>, Error> { Err(Error::Closed) }
    pub async fn events(&self, _filter: &EventFilter, _cursor: Option<Cursor>, _limit: usize) -> Result<Page<EventRecord>, Error> { Err(Error::Closed) }
    pub async fn invocations(&self, _filter: &InvocationFilter, _cursor: Option<Cursor>, _limit: usize) -> Result<Page<InvocationRow>, Error> { Err(Error::Closed) }
    pub async fn count_invocations(&self, _filter: &InvocationFilter) -> Result<u64, Error> { Err(Error::Closed) }
    pub async fn read_from(&self, _after: Position, _max: usize) -> Result<Vec<Entry>, Error> { Err(Error::Closed) }
    pub fn durable(&self) -> Position { Position::START }
    pub async fn wait_past(&self, _position: Position) {}
    pub async fn enforce_retention(&self) -> Result<RetentionReport, Error> { Err(Error::Closed) }
    pub async fn verify(&self) -> Result<VerifyReport, Error> { Err(Error::Closed) }
    pub async fn stats(&self) -> Result<LogStats, Error> { Err(Error::Closed) }
    pub async fn close(&self) -> Result<(), Error> { Err(Error::Closed) }
}

/// Checks every file of the log in `dir`, which no process may have open.
///
/// # Errors
/// The folder is locked, or a file cannot be read at all.
pub fn verify_dir(_dir: &Path, _disk: Arc<dyn Disk>) -> Result<VerifyReport, Error> { Err(Error::Closed) }

/// Numbers about the log in `dir`, which no process may have open.
///
/// # Errors
/// The folder is locked, or a file cannot be read.
pub fn stats_dir(_dir: &Path, _disk: Arc<dyn Disk>) -> Result<LogStats, Error> { Err(Error::Closed) }
