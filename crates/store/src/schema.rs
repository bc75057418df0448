//! The format of the database, and how an older one becomes the present one.
//!
//! Every version is a list of statements that turn its predecessor into it, run in one transaction
//! together with the new version number. A released version is never edited; a new one is added,
//! and a database of every version is kept under `tests/fixtures` and opened by the tests.

use std::path::Path;

use sqlx::Row as _;

use crate::Error;
use crate::sqlite::{BEGIN_WRITE, Connection, database};

/// Statements by version: the first makes version 1 from nothing.
pub(crate) const VERSIONS: &[&[&str]] = &[FIRST, STATE];

const FIRST: &[&str] = &[
    "CREATE TABLE schema_version (version BIGINT NOT NULL)",
    "INSERT INTO schema_version (version) VALUES (0)",
    // `revision`: of the last change. `compacted`: deletions up to it have been forgotten.
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value BIGINT NOT NULL)",
    "INSERT INTO counters (name, value) VALUES ('revision', 0), ('compacted', 0)",
    // `project` is empty for kinds outside projects: NULL is not equal to itself in a key.
    "CREATE TABLE resources (
        kind TEXT NOT NULL,
        project TEXT NOT NULL,
        name TEXT NOT NULL,
        uid TEXT NOT NULL,
        revision BIGINT NOT NULL,
        generation BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        labels TEXT NOT NULL,
        annotations TEXT NOT NULL,
        spec TEXT NOT NULL,
        spec_digest TEXT NOT NULL,
        status TEXT NOT NULL,
        PRIMARY KEY (kind, project, name)
    )",
    "CREATE INDEX resources_by_revision ON resources (revision)",
    "CREATE TABLE labels (
        kind TEXT NOT NULL,
        project TEXT NOT NULL,
        label TEXT NOT NULL,
        value TEXT NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (kind, project, label, value, name)
    )",
    // The last deletion of each name: with `resources_by_revision` the feed of changes.
    "CREATE TABLE deletions (
        kind TEXT NOT NULL,
        project TEXT NOT NULL,
        name TEXT NOT NULL,
        revision BIGINT NOT NULL,
        PRIMARY KEY (kind, project, name)
    )",
    "CREATE INDEX deletions_by_revision ON deletions (revision)",
    "CREATE TABLE outbox (sequence BIGINT PRIMARY KEY, project TEXT, event TEXT NOT NULL)",
    "CREATE TABLE leases (
        name TEXT PRIMARY KEY,
        holder TEXT NOT NULL,
        epoch BIGINT NOT NULL,
        expires_at BIGINT NOT NULL
    )",
];

/// State of functions. `BLOB` is the one type here that PostgreSQL calls otherwise.
const STATE: &[&str] = &[
    // The version of the last write to any key: no key ever has the same one twice.
    "INSERT INTO counters (name, value) VALUES ('state', 0)",
    "CREATE TABLE state (
        project TEXT NOT NULL,
        namespace TEXT NOT NULL,
        key TEXT NOT NULL,
        version BIGINT NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY (project, namespace, key)
    )",
    "CREATE TABLE stream_events (
        project TEXT NOT NULL,
        namespace TEXT NOT NULL,
        key TEXT NOT NULL,
        version BIGINT NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY (project, namespace, key, version)
    )",
    // What operations that may be repeated came to, for a while.
    "CREATE TABLE state_operations (
        name TEXT PRIMARY KEY,
        version BIGINT NOT NULL,
        done_at BIGINT NOT NULL
    )",
    "CREATE INDEX state_operations_by_time ON state_operations (done_at)",
];

/// Brings the database to the newest of `versions`, one version and one transaction at a time.
///
/// # Errors
/// [`Error::NewerFormat`], [`Error::NotAStore`], or what the database says; then the database is
/// at the version that it had before the failing step.
pub(crate) async fn upgrade(
    connection: &mut Connection,
    versions: &[&[&str]],
    path: &Path,
) -> Result<(), Error> {
    let found = current_version(connection, path).await?;
    let known = versions.len() as u64;
    if found > known {
        return Err(Error::NewerFormat { found, known });
    }
    let failed = || database("upgrade the store");
    for (version, statements) in (1u64..).zip(versions).skip(found as usize) {
        sqlx::query(BEGIN_WRITE).execute(&mut *connection).await.map_err(failed())?;
        for statement in *statements {
            sqlx::query(statement).execute(&mut *connection).await.map_err(failed())?;
        }
        sqlx::query("UPDATE schema_version SET version = $1")
            .bind(version as i64)
            .execute(&mut *connection)
            .await
            .map_err(failed())?;
        sqlx::query("COMMIT").execute(&mut *connection).await.map_err(failed())?;
    }
    Ok(())
}

/// The version of the database; 0 for an empty one.
async fn current_version(connection: &mut Connection, path: &Path) -> Result<u64, Error> {
    let failed = || database("read the format version of the store");
    let tables = sqlx::query("SELECT name FROM sqlite_master WHERE type = 'table'")
        .fetch_all(&mut *connection)
        .await
        .map_err(failed())?;
    if tables.is_empty() {
        return Ok(0);
    }
    let names: Vec<String> =
        tables.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(failed())?;
    if !names.iter().any(|name| name == "schema_version") {
        return Err(Error::NotAStore { path: path.to_owned() });
    }
    let row = sqlx::query("SELECT version FROM schema_version")
        .fetch_optional(connection)
        .await
        .map_err(failed())?;
    let Some(row) = row else { return Err(Error::NotAStore { path: path.to_owned() }) };
    let version: i64 = row.try_get(0).map_err(failed())?;
    u64::try_from(version).map_err(|_| Error::NotAStore { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::{StoreConfig, sqlite};

    async fn old_store(dir: &tempfile::TempDir) -> (PathBuf, Connection) {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store-v1.sqlite");
        let path = dir.path().join("store.sqlite");
        fs::copy(fixture, &path).unwrap();
        let connection = sqlite::connect_writer(&StoreConfig::new(&path)).await.unwrap();
        (path, connection)
    }

    /// The machinery with further versions that do not exist.
    #[tokio::test]
    async fn an_older_store_is_upgraded_step_by_step() {
        let dir = tempfile::tempdir().unwrap();
        let (path, mut connection) = old_store(&dir).await;
        let second = &["ALTER TABLE leases ADD COLUMN note TEXT NOT NULL DEFAULT 'none'"][..];
        let third = &["UPDATE leases SET note = 'third'"][..];
        let versions = [VERSIONS[0], second, third];
        upgrade(&mut connection, &versions, &path).await.unwrap();
        assert_eq!(current_version(&mut connection, &path).await.unwrap(), 3);
        let row = sqlx::query("SELECT name, note FROM leases");
        let row = row.fetch_one(&mut connection).await.unwrap();
        assert_eq!(row.get::<String, _>(0), "shard-0");
        assert_eq!(row.get::<String, _>(1), "third");
        upgrade(&mut connection, &versions, &path).await.unwrap();
        let refused = upgrade(&mut connection, &VERSIONS[..1], &path).await;
        assert!(matches!(refused, Err(Error::NewerFormat { found: 3, known: 1 })));
    }

    #[tokio::test]
    async fn a_failing_upgrade_leaves_the_old_version() {
        let dir = tempfile::tempdir().unwrap();
        let (path, mut connection) = old_store(&dir).await;
        let wrong = &["DELETE FROM leases", "INSERT INTO nowhere VALUES (1)"][..];
        let failed = upgrade(&mut connection, &[VERSIONS[0], wrong], &path).await;
        assert!(matches!(failed, Err(Error::Database { operation: "upgrade the store", .. })));
        drop(connection);
        let mut connection = sqlite::connect_writer(&StoreConfig::new(&path)).await.unwrap();
        assert_eq!(current_version(&mut connection, &path).await.unwrap(), 1);
        let leases = sqlx::query("SELECT name FROM leases").fetch_all(&mut connection).await;
        assert_eq!(leases.unwrap().len(), 1);
    }
}
