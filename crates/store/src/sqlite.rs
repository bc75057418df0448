//! What is particular to SQLite: how a connection is made, and what its error codes mean. The
//! statements themselves (see `statement`) are portable.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Sqlite};

use crate::{Error, StoreConfig};

pub(crate) type Db = Sqlite;
pub(crate) type Connection = SqliteConnection;
pub(crate) type Pool = SqlitePool;
pub(crate) type Query<'q> = sqlx::query::Query<'q, Db, sqlx::sqlite::SqliteArguments<'q>>;

/// Begins a transaction that writes. Taking the write lock at once means that nobody else can
/// change what the transaction has read, and that it never fails half-way because of a neighbour.
pub(crate) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// How long to wait for another process's write, for example a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait for one of the reading connections.
const READER_TIMEOUT: Duration = Duration::from_secs(10);
const READERS_MAX: u32 = 4;
/// What each of them keeps of the file in memory, at most.
const READER_CACHE_KIB: u32 = 512;
const PAGE_BYTES: u64 = 4096;
/// The write-ahead log is cut back to this size after a large change.
const WAL_BYTES_KEPT: u64 = 64 << 20;

const SQLITE_FULL: &str = "13";
const SQLITE_NOTADB: &str = "26";
/// `SQLITE_IOERR_SHMSIZE`: the index of the write-ahead log cannot be made larger, which is how a start
/// on a full disk ends.
const SQLITE_SHM_SIZE: &str = "4874";

/// Makes the file if there is none, readable by its owner only: it holds hashes of tokens and
/// encrypted secrets. SQLite gives its side files the same mode.
pub(crate) fn create_file(path: &Path) -> Result<(), Error> {
    let failed = |operation| {
        let path = path.to_owned();
        move |source| Error::Io { operation, path, source }
    };
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(failed("open the store"))?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))
        .and_then(|folder| folder.sync_all())
        .map_err(failed("sync the folder of the store"))
}

fn options(config: &StoreConfig) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(&config.path)
        .create_if_missing(false)
        .busy_timeout(BUSY_TIMEOUT)
        .journal_mode(SqliteJournalMode::Wal)
        // The only level at which a commit in WAL mode survives a power failure.
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", WAL_BYTES_KEPT.to_string())
        .disable_statement_logging()
}

/// The one connection that writes.
pub(crate) async fn connect_writer(config: &StoreConfig) -> Result<Connection, Error> {
    let pages_max = (config.bytes_max / PAGE_BYTES).clamp(1, u64::from(u32::MAX) - 1);
    options(config)
        .pragma("max_page_count", pages_max.to_string())
        .connect()
        .await
        .map_err(|error| open_error(error, &config.path))
}

/// Connections that only read; they see each commit as soon as it has happened.
pub(crate) async fn connect_readers(config: &StoreConfig) -> Result<Pool, Error> {
    SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        .acquire_timeout(READER_TIMEOUT)
        .test_before_acquire(false)
        .connect_with(
            options(config)
                .pragma("query_only", "ON")
                // What they read lies in the system's cache as well, which all of them share.
                .pragma("cache_size", format!("-{READER_CACHE_KIB}")),
        )
        .await
        .map_err(|error| open_error(error, &config.path))
}

fn open_error(error: sqlx::Error, path: &Path) -> Error {
    if has_code(&error, SQLITE_NOTADB) {
        return Error::NotAStore { path: path.to_owned() };
    }
    database("open the store")(error)
}

/// Names the operation that the database failed at.
pub(crate) fn database(operation: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |error| match error {
        full if has_code(&full, SQLITE_FULL) || has_code(&full, SQLITE_SHM_SIZE) => {
            Error::DiskFull { operation, source: Box::new(full) }
        }
        sqlx::Error::PoolClosed => Error::Closed,
        other => Error::Database { operation, source: Box::new(other) },
    }
}

fn has_code(error: &sqlx::Error, code: &str) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|found| found == code)
}
