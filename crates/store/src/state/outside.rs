//! State as it is looked at from outside: what there is, without values; and how all of it goes.
//!
//! Nothing here reads more than it is asked for: names are found by jumping from one to the next in
//! the index, counts stop at a bound, and what goes, goes in steps between which other changes have
//! their turn.

use nexus_model::{Name, Principal};
use sqlx::Row as _;

use super::{Stamp, StateId, audited, bind_range, range};
use crate::audit::StateDone;
use crate::row::{from_column, to_column};
use crate::sqlite::{Connection, Pool, database};
use crate::writer::Command;
use crate::{Error, Store, statement};

/// Keys and events that one step removes at most.
const STEP_ITEMS_MAX: u64 = 1_000;
/// Bytes of values that one step removes at most; one value always goes.
const STEP_BYTES_MAX: u64 = 16 << 20;

/// What a namespace holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StateSummary {
    /// Its keys.
    pub keys: u64,
    /// The bytes of their values.
    pub key_bytes: u64,
    /// Its streams.
    pub streams: u64,
    /// Their events.
    pub events: u64,
    /// The bytes of the events.
    pub event_bytes: u64,
    /// Whether there is more than was counted.
    pub more: bool,
}

/// A key without its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateRow {
    /// The key.
    pub key: String,
    /// Its version.
    pub version: u64,
    /// The bytes of its value.
    pub bytes: u64,
}

/// A stream without its events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamRow {
    /// Its name.
    pub name: String,
    /// Its version: that of its last event.
    pub version: u64,
    /// How many events it has.
    pub events: u64,
}

/// What is removed, and by whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateClear {
    /// The project.
    pub project: Name,
    /// The namespace in the project.
    pub namespace: String,
    /// Only this stream; `None` for all keys and streams.
    pub stream: Option<String>,
    /// Who removes it.
    pub by: Principal,
}

/// What a step removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StateCleared {
    /// Keys.
    pub keys: u64,
    /// Events of streams.
    pub events: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// Whether there may be more.
    pub more: bool,
}

impl Store {
    /// The next namespace of a project after a text; `None` behind the last one.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn next_state_namespace(
        &self,
        project: &Name,
        after: &str,
    ) -> Result<Option<String>, Error> {
        let mut next: Option<String> = None;
        for text in statement::NEXT_NAMESPACE {
            let query = sqlx::query(text).bind(project.as_str()).bind(after);
            let found = query.fetch_optional(&self.readers).await;
            let found = found.and_then(|row| row.map(|row| row.try_get(0)).transpose());
            let found: Option<String> = found.map_err(database("list namespaces of state"))?;
            next = [next, found].into_iter().flatten().min();
        }
        Ok(next)
    }

    /// What a namespace holds: at most `max` keys and `max` events are counted.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn state_summary(
        &self,
        project: &Name,
        namespace: &str,
        max: u64,
    ) -> Result<StateSummary, Error> {
        let count = async |text: &'static str| {
            let query = sqlx::query(text).bind(project.as_str()).bind(namespace);
            query.bind(to_column(max + 1)).fetch_one(&self.readers).await
        };
        let summed = async {
            let keys = count(statement::COUNT_KEYS).await?;
            let events = count(statement::COUNT_EVENTS).await?;
            let (of_keys, of_events) =
                (|at| keys.try_get(at).map(from_column), |at| events.try_get(at).map(from_column));
            Ok(StateSummary {
                keys: of_keys(0)?.min(max),
                key_bytes: of_keys(1)?,
                events: of_events(0)?.min(max),
                event_bytes: of_events(1)?,
                streams: of_events(2)?,
                more: of_keys(0)? > max || of_events(0)? > max,
            })
        };
        summed.await.map_err(database("count state"))
    }

    /// Up to `limit` keys that begin like the key of `prefix` and follow `after`, by key.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn state_keys(
        &self,
        prefix: &StateId,
        after: &str,
        limit: usize,
    ) -> Result<Vec<StateRow>, Error> {
        let (from, below) = range(&prefix.key, after);
        let text = statement::scan_state("key, version, LENGTH(value)", below.is_some());
        let query = bind_range(sqlx::query(&text), prefix, (&from, below.as_deref()));
        let rows = query.bind(to_column(limit as u64)).fetch_all(&self.readers).await;
        let row = |row: sqlx::sqlite::SqliteRow| {
            let (version, bytes) =
                (row.try_get(1).map(from_column)?, row.try_get(2).map(from_column)?);
            Ok(StateRow { key: row.try_get(0)?, version, bytes })
        };
        rows.and_then(|rows| rows.into_iter().map(row).collect()).map_err(database("list state"))
    }

    /// Up to `limit` streams whose names begin like the key of `prefix` and follow `after`, by name.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn state_streams(
        &self,
        prefix: &StateId,
        after: &str,
        limit: usize,
    ) -> Result<Vec<StreamRow>, Error> {
        let listed = streams(&self.readers, prefix, (after, limit)).await;
        listed.map_err(database("list streams"))
    }

    /// Removes a part of a namespace or stream, the first keys and the oldest events first, with an
    /// audit event. To be repeated as long as there is more. Somebody who reads or writes meanwhile
    /// finds what is left.
    ///
    /// # Errors
    /// [`Error::DiskFull`], [`Error::Database`], [`Error::Closed`].
    pub async fn clear_state(&self, clear: StateClear) -> Result<StateCleared, Error> {
        self.ask(|answer| Command::ClearState(clear, answer)).await
    }
}

async fn streams(
    readers: &Pool,
    prefix: &StateId,
    (after, limit): (&str, usize),
) -> Result<Vec<StreamRow>, sqlx::Error> {
    let mut reader = readers.acquire().await?;
    let mut found = Vec::new();
    let mut after = after.to_owned();
    while found.len() < limit {
        let (from, below) = range(&prefix.key, &after);
        let text = statement::next_stream(below.is_some());
        let query = bind_range(sqlx::query(&text), prefix, (&from, below.as_deref()));
        let Some(row) = query.fetch_optional(&mut *reader).await? else { break };
        let name: String = row.try_get(0)?;
        let bounds = sqlx::query(statement::STREAM_BOUNDS)
            .bind(prefix.project.as_str())
            .bind(prefix.namespace.as_str())
            .bind(&name);
        let bounds = bounds.fetch_one(&mut *reader).await?;
        // Between the two statements it may have been removed.
        let (first, last): (Option<i64>, Option<i64>) = (bounds.try_get(0)?, bounds.try_get(1)?);
        if let (Some(first), Some(last)) = (first, last) {
            let events = from_column(last - first + 1);
            found.push(StreamRow { name: name.clone(), version: from_column(last), events });
        }
        after = name;
    }
    Ok(found)
}

/// One step, inside of a transaction; with the revision of its audit event.
pub(crate) async fn clear(
    connection: &mut Connection,
    clear: &StateClear,
    stamp: Stamp<'_>,
) -> Result<(StateCleared, Option<u64>), sqlx::Error> {
    let mut removed = StateCleared::default();
    if clear.stream.is_none() {
        clear_keys(connection, clear, &mut removed).await?;
    }
    if !removed.more {
        clear_events(connection, clear, &mut removed).await?;
    }
    if removed.keys == 0 && removed.events == 0 {
        return Ok((removed, None));
    }
    let about = (&clear.project, clear.namespace.as_str());
    let done = StateDone::Cleared { stream: clear.stream.as_deref(), removed };
    let revision = audited(connection, (&clear.by, about, done), stamp).await?;
    Ok((removed, Some(revision)))
}

impl StateCleared {
    fn is_full(&self) -> bool {
        self.keys + self.events >= STEP_ITEMS_MAX || self.bytes >= STEP_BYTES_MAX
    }
}

async fn clear_keys(
    connection: &mut Connection,
    clear: &StateClear,
    removed: &mut StateCleared,
) -> Result<(), sqlx::Error> {
    let query = sqlx::query(statement::FIRST_KEYS)
        .bind(clear.project.as_str())
        .bind(&clear.namespace)
        .bind(to_column(STEP_ITEMS_MAX));
    let mut last: Option<String> = None;
    for row in query.fetch_all(&mut *connection).await? {
        if removed.is_full() {
            break;
        }
        removed.keys += 1;
        removed.bytes += row.try_get(1).map(from_column)?;
        last = Some(row.try_get(0)?);
    }
    removed.more = removed.is_full();
    if let Some(last) = last {
        let delete = sqlx::query(statement::DELETE_KEYS)
            .bind(clear.project.as_str())
            .bind(&clear.namespace)
            .bind(last);
        delete.execute(connection).await?;
    }
    Ok(())
}

async fn clear_events(
    connection: &mut Connection,
    clear: &StateClear,
    removed: &mut StateCleared,
) -> Result<(), sqlx::Error> {
    let [one, all] = statement::FIRST_EVENTS;
    let query = sqlx::query(if clear.stream.is_some() { one } else { all })
        .bind(clear.project.as_str())
        .bind(&clear.namespace);
    let query = match &clear.stream {
        Some(stream) => query.bind(stream),
        None => query,
    };
    let rows = query.bind(to_column(STEP_ITEMS_MAX)).fetch_all(&mut *connection).await?;
    // The last version of each stream that goes, in the order of the streams.
    let mut ends: Vec<(String, u64)> = Vec::new();
    for row in rows {
        if removed.is_full() {
            break;
        }
        removed.events += 1;
        removed.bytes += row.try_get(1).map(from_column)?;
        let (stream, version): (String, u64) = (row.try_get(2)?, row.try_get(0).map(from_column)?);
        match ends.last_mut() {
            Some((last, end)) if *last == stream => *end = version,
            _ => ends.push((stream, version)),
        }
    }
    removed.more = removed.is_full();
    for (stream, version) in ends {
        let delete = sqlx::query(statement::DELETE_EVENTS)
            .bind(clear.project.as_str())
            .bind(&clear.namespace)
            .bind(stream)
            .bind(to_column(version));
        delete.execute(&mut *connection).await?;
    }
    Ok(())
}
