//! State of functions: keys with versions, and streams of events.
//!
//! Changes go through the store's one writer, many of them in one transaction: what comes while the
//! disk syncs is written with the next sync. Those from outside ([`StateChange::by`]) write their audit
//! event in the same transaction.

mod outside;

use bytes::Bytes;
use futures::TryStreamExt as _;
use nexus_model::{IdMint, Name, Principal, Timestamp, limits};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::audit::{self, StateDone};
use crate::error::Source;
use crate::row::{from_column, to_column};
use crate::sqlite::{Connection, Query, database};
use crate::writer::{counter, insert_outbox, set_counter};
use crate::{Error, statement};

pub(crate) use outside::clear;
pub use outside::{StateClear, StateCleared, StateRow, StateSummary, StreamRow};

/// Old operations that one change forgets on the way.
const PRUNED_AT_ONCE: u64 = 100;

/// A key or a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateId {
    /// The project.
    pub project: Name,
    /// The namespace in the project.
    pub namespace: String,
    /// The key, or the stream's name. Keys and streams do not meet.
    pub key: String,
}

/// A value, or an event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateItem {
    /// The key; empty for events.
    pub key: String,
    /// The version.
    pub version: u64,
    /// The value.
    pub value: Bytes,
}

/// A change of a key or a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// Of what.
    pub id: StateId,
    /// Which change.
    pub edit: StateEdit,
    /// The version that it must have; 0 when it must not exist, or have no events; `None` when it
    /// does not matter.
    pub expected: Option<u64>,
    /// Names the operation. One that was done is not done again: it gives the same version.
    /// Remembered for [`limits::STATE_OPERATION_AGE`].
    pub operation: Option<String>,
    /// Who makes it from outside: the change has an audit event then, and a revision. `None` for a
    /// function, which has it in its journal.
    pub by: Option<Principal>,
}

/// What is done to a key or a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateEdit {
    /// Writes the value of a key.
    Put(Bytes),
    /// Deletes a key, if it exists.
    Delete,
    /// Appends events to a stream.
    Append(Vec<Bytes>),
}

/// How much a read gives at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    /// Items.
    pub items: usize,
    /// Bytes of values; the first item is given whatever its size.
    pub bytes: usize,
}

pub(crate) fn bind_id<'q>(query: Query<'q>, id: &'q StateId) -> Query<'q> {
    query.bind(id.project.as_str()).bind(id.namespace.as_str()).bind(id.key.as_str())
}

/// Binds the range of keys of a prefix's namespace.
pub(crate) fn bind_range<'q>(
    query: Query<'q>,
    prefix: &'q StateId,
    (from, below): (&'q str, Option<&'q str>),
) -> Query<'q> {
    let query = query.bind(prefix.project.as_str()).bind(prefix.namespace.as_str()).bind(from);
    match below {
        Some(below) => query.bind(below),
        None => query,
    }
}

/// The keys that begin with a prefix and follow a text: from here to below there (to the end).
pub(crate) fn range(prefix: &str, after: &str) -> (String, Option<String>) {
    // The next text after any is that one with a zero behind it.
    let from = match after < prefix {
        true => prefix.to_owned(),
        false if after.is_empty() => String::new(),
        false => format!("{after}\0"),
    };
    (from, Some(end_of(prefix)).filter(|end| !end.is_empty()))
}

/// The first text behind all that begin with `prefix`; empty when there is none.
pub(crate) fn end_of(prefix: &str) -> String {
    let mut letters: Vec<char> = prefix.chars().collect();
    while let Some(last) = letters.pop() {
        // Some numbers between letters are none.
        if let Some(next) = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32) {
            letters.push(next);
            return letters.into_iter().collect();
        }
    }
    String::new()
}

/// Runs a query for items, and stops at the limit.
pub(crate) async fn read(
    operation: &'static str,
    query: Query<'_>,
    (readers, limit): (&crate::sqlite::Pool, ReadLimit),
) -> Result<Vec<StateItem>, Error> {
    let mut rows = query.bind(to_column(limit.items as u64)).fetch(readers);
    let (mut items, mut bytes) = (Vec::new(), 0usize);
    while let Some(row) = rows.try_next().await.map_err(database(operation))? {
        let item = item(&row)?;
        bytes = bytes.saturating_add(item.value.len());
        if bytes > limit.bytes && !items.is_empty() {
            break;
        }
        items.push(item);
    }
    Ok(items)
}

pub(crate) fn item(row: &SqliteRow) -> Result<StateItem, Error> {
    let decode = || -> Result<StateItem, Source> {
        let value: Vec<u8> = row.try_get(2)?;
        let version = from_column(row.try_get(1)?);
        Ok(StateItem { key: row.try_get(0)?, version, value: Bytes::from(value) })
    };
    decode().map_err(|source| Error::CorruptRow { what: "state".to_owned(), source })
}

/// When a change is made, and where the ids of audit events come from.
#[derive(Clone, Copy)]
pub(crate) struct Stamp<'a> {
    pub(crate) now: Timestamp,
    pub(crate) mint: &'a IdMint,
}

/// What a change came to.
pub(crate) struct Changed {
    pub(crate) version: u64,
    /// The store's revision, where the change has one.
    pub(crate) revision: Option<u64>,
}

/// Makes a change inside of a transaction. A change that is refused has written nothing.
pub(crate) async fn change(
    connection: &mut Connection,
    change: &StateChange,
    stamp: Stamp<'_>,
) -> Result<Changed, Error> {
    let failed = || database("change state");
    if let Some(name) = &change.operation {
        let done = sqlx::query(statement::GET_OPERATION).bind(name.as_str());
        let done = done.fetch_optional(&mut *connection).await.map_err(failed())?;
        if let Some(row) = done {
            let version = row.try_get(0).map(from_column).map_err(failed())?;
            return Ok(Changed { version, revision: None });
        }
    }
    let old = version_of(connection, change).await.map_err(failed())?;
    if change.expected.is_some_and(|expected| expected != old) {
        return Err(Error::StateConflict { version: old });
    }
    let version = match &change.edit {
        StateEdit::Append(events) => append(connection, (&change.id, old), events).await?,
        edit => write(connection, &change.id, edit).await.map_err(failed())?,
    };
    if let Some(name) = &change.operation {
        remember(connection, (name, version), stamp.now).await.map_err(failed())?;
    }
    let revision = match &change.by {
        Some(principal) if version != old => {
            let done = StateDone::Changed { change, old, new: version };
            let about = (&change.id.project, change.id.namespace.as_str());
            Some(audited(connection, (principal, about, done), stamp).await.map_err(failed())?)
        }
        _ => None,
    };
    Ok(Changed { version, revision })
}

/// Writes the audit event of what was done from outside; gives the revision that it has.
pub(crate) async fn audited(
    connection: &mut Connection,
    (principal, about, done): (&Principal, (&Name, &str), StateDone<'_>),
    stamp: Stamp<'_>,
) -> Result<u64, sqlx::Error> {
    let revision = counter(connection, "revision").await? + 1;
    set_counter(connection, "revision", revision).await?;
    let actor = audit::Actor { principal, now: stamp.now };
    let entry = audit::state_entry((actor, stamp.mint), (about, done), revision);
    insert_outbox(connection, &[entry]).await?;
    Ok(revision)
}

async fn version_of(connection: &mut Connection, change: &StateChange) -> Result<u64, sqlx::Error> {
    let text = match change.edit {
        StateEdit::Append(_) => statement::STREAM_VERSION,
        StateEdit::Put(_) | StateEdit::Delete => statement::STATE_VERSION,
    };
    let row = bind_id(sqlx::query(text), &change.id).fetch_optional(connection).await?;
    row.map_or(Ok(0), |row| row.try_get(0).map(from_column))
}

async fn write(
    connection: &mut Connection,
    id: &StateId,
    edit: &StateEdit,
) -> Result<u64, sqlx::Error> {
    let StateEdit::Put(value) = edit else {
        bind_id(sqlx::query(statement::DELETE_STATE), id).execute(connection).await?;
        return Ok(0);
    };
    let version = counter(connection, "state").await? + 1;
    set_counter(connection, "state", version).await?;
    let put = bind_id(sqlx::query(statement::PUT_STATE), id);
    put.bind(to_column(version)).bind(&value[..]).execute(connection).await?;
    Ok(version)
}

async fn append(
    connection: &mut Connection,
    (id, version): (&StateId, u64),
    events: &[Bytes],
) -> Result<u64, Error> {
    let last = version + events.len() as u64;
    if last > limits::STREAM_EVENTS_MAX {
        return Err(Error::TooMany {
            what: "events of one stream",
            count: usize::try_from(last).unwrap_or(usize::MAX),
            limit: limits::STREAM_EVENTS_MAX as usize,
        });
    }
    for (version, event) in (version + 1..).zip(events) {
        let append = bind_id(sqlx::query(statement::APPEND_EVENT), id);
        let append = append.bind(to_column(version)).bind(&event[..]);
        append.execute(&mut *connection).await.map_err(database("append to a stream"))?;
    }
    Ok(last)
}

/// Remembers what an operation came to, and forgets a few old ones.
async fn remember(
    connection: &mut Connection,
    (name, version): (&str, u64),
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let put = sqlx::query(statement::PUT_OPERATION).bind(name).bind(to_column(version));
    put.bind(now.unix_ns()).execute(&mut *connection).await?;
    let age = i64::try_from(limits::STATE_OPERATION_AGE.as_nanos()).unwrap_or(i64::MAX);
    let prune = sqlx::query(statement::PRUNE_OPERATIONS).bind(now.unix_ns().saturating_sub(age));
    prune.bind(to_column(PRUNED_AT_ONCE)).execute(connection).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::{end_of, range};

    #[test]
    fn a_range_begins_behind_the_place_to_go_on_from() {
        let of = |prefix, after| {
            let (from, below) = range(prefix, after);
            (from, below.unwrap_or_default())
        };
        let pair = |from: &str, below: &str| (from.to_owned(), below.to_owned());
        assert_eq!(of("", ""), pair("", ""));
        assert_eq!(of("", "a"), pair("a\0", ""));
        assert_eq!(of("a/", ""), pair("a/", "a0"));
        assert_eq!(of("a/", "Z"), pair("a/", "a0"), "a place before the prefix");
        assert_eq!(of("a/", "a/"), pair("a/\0", "a0"));
        assert_eq!(of("a/", "b"), pair("b\0", "a0"), "behind: nothing");
    }

    #[test]
    fn the_end_of_a_prefix_is_behind_everything_that_begins_with_it() {
        for (prefix, end) in [("a", "b"), ("cart/", "cart0"), ("", ""), ("\u{10ffff}", "")] {
            assert_eq!(end_of(prefix), end);
        }
        assert_eq!(end_of("a\u{10ffff}"), "b");
        assert_eq!(end_of("\u{d7ff}"), "\u{e000}");
    }
}
