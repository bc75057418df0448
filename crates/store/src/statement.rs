//! The statements. Portable between SQLite and PostgreSQL: numbered parameters, BIGINT and TEXT
//! only, `ON CONFLICT`, row values.

use std::fmt::Write as _;

/// Rows that go through one statement at once; what is left over goes through smaller ones, so that
/// few different statements have to be prepared.
pub(crate) const BATCHES: &[usize] = &[64, 8, 1];

pub(crate) const COLUMNS: &str = "kind, project, name, uid, revision, generation, created_at, \
    updated_at, labels, annotations, spec, spec_digest, status";
pub(crate) const COLUMN_COUNT: usize = 13;

pub(crate) const GET_COUNTER: &str = "SELECT value FROM counters WHERE name = $1";
pub(crate) const SET_COUNTER: &str = "UPDATE counters SET value = $2 WHERE name = $1";

pub(crate) const DELETE_RESOURCE: &str =
    "DELETE FROM resources WHERE kind = $1 AND project = $2 AND name = $3";
pub(crate) const DELETE_LABEL: &str = "DELETE FROM labels \
    WHERE kind = $1 AND project = $2 AND name = $3 AND label = $4 AND value = $5";

/// Removes all secrets, replay keys among them, from the database of a stopped server: what somebody
/// is told who has lost the master key. Such a server does not start, so no request can do it.
pub const FORGET_SECRETS: &str = "DELETE FROM resources WHERE kind = 'Secret'";

pub(crate) const PRUNE_DELETIONS: &str = "DELETE FROM deletions WHERE revision <= $1";
pub(crate) const OUTBOX: &str =
    "SELECT sequence, project, event FROM outbox ORDER BY sequence LIMIT $1";
pub(crate) const OUTBOX_DONE: &str = "DELETE FROM outbox WHERE sequence <= $1";

pub(crate) const GET_LEASE: &str = "SELECT holder, epoch, expires_at FROM leases WHERE name = $1";
pub(crate) const PUT_LEASE: &str = "INSERT INTO leases (name, holder, epoch, expires_at) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, epoch = excluded.epoch, \
     expires_at = excluded.expires_at";

pub(crate) fn get() -> String {
    format!("SELECT {COLUMNS} FROM resources WHERE kind = $1 AND project = $2 AND name = $3")
}

/// One project's resources of a kind, after a name.
pub(crate) fn list() -> String {
    format!(
        "SELECT {COLUMNS} FROM resources WHERE kind = $1 AND project = $2 AND name > $3 \
         ORDER BY name LIMIT $4"
    )
}

/// All projects' resources of a kind, after a project and name.
pub(crate) fn scan() -> String {
    format!(
        "SELECT {COLUMNS} FROM resources WHERE kind = $1 AND (project, name) > ($2, $3) \
         ORDER BY project, name LIMIT $4"
    )
}

/// One project's resources of a kind with a label, after a name.
pub(crate) fn list_labelled() -> String {
    format!(
        "SELECT {COLUMNS} FROM resources WHERE kind = $1 AND project = $2 AND name IN (\
           SELECT name FROM labels WHERE kind = $1 AND project = $2 AND label = $3 AND value = $4 \
           AND name > $5 ORDER BY name LIMIT $6\
         ) ORDER BY name"
    )
}

/// The last change of every resource after a revision. One statement, because two could miss a
/// change that commits between them.
pub(crate) fn changes_since() -> String {
    format!(
        "SELECT {COLUMNS} FROM resources WHERE revision > $1 \
         UNION ALL SELECT kind, project, name, NULL, revision, NULL, NULL, NULL, NULL, NULL, NULL, \
         NULL, NULL FROM deletions WHERE revision > $1 \
         ORDER BY revision LIMIT $2"
    )
}

pub(crate) fn find(rows: usize) -> String {
    let values = values(rows, 3);
    format!("SELECT {COLUMNS} FROM resources WHERE (kind, project, name) IN (VALUES {values})")
}

pub(crate) fn upsert_resources(rows: usize) -> String {
    let values = values(rows, COLUMN_COUNT);
    format!(
        "INSERT INTO resources ({COLUMNS}) VALUES {values} \
         ON CONFLICT (kind, project, name) DO UPDATE SET uid = excluded.uid, \
         revision = excluded.revision, generation = excluded.generation, \
         created_at = excluded.created_at, updated_at = excluded.updated_at, \
         labels = excluded.labels, annotations = excluded.annotations, spec = excluded.spec, \
         spec_digest = excluded.spec_digest, status = excluded.status"
    )
}

pub(crate) fn insert_labels(rows: usize) -> String {
    let values = values(rows, 5);
    format!("INSERT INTO labels (kind, project, name, label, value) VALUES {values}")
}

pub(crate) fn upsert_deletions(rows: usize) -> String {
    let values = values(rows, 4);
    format!(
        "INSERT INTO deletions (kind, project, name, revision) VALUES {values} \
         ON CONFLICT (kind, project, name) DO UPDATE SET revision = excluded.revision"
    )
}

pub(crate) fn insert_outbox(rows: usize) -> String {
    let values = values(rows, 3);
    format!("INSERT INTO outbox (sequence, project, event) VALUES {values}")
}

/// `($1, $2), ($3, $4)` for two rows of two columns.
fn values(rows: usize, columns: usize) -> String {
    let mut text = String::with_capacity(rows * columns * 6);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns {
            let comma = if column == 0 { "" } else { ", " };
            // Writing to a String cannot fail.
            let _ = write!(text, "{comma}${}", row * columns + column + 1);
        }
        text.push(')');
    }
    text
}

pub(crate) const GET_STATE: &str = "SELECT key, version, value FROM state \
    WHERE project = $1 AND namespace = $2 AND key = $3";
pub(crate) const READ_STREAM: &str = "SELECT '', version, value FROM stream_events \
    WHERE project = $1 AND namespace = $2 AND key = $3 AND version > $4 ORDER BY version LIMIT $5";
pub(crate) const STATE_VERSION: &str =
    "SELECT version FROM state WHERE project = $1 AND namespace = $2 AND key = $3";
pub(crate) const STREAM_VERSION: &str = "SELECT COALESCE(MAX(version), 0) FROM stream_events \
    WHERE project = $1 AND namespace = $2 AND key = $3";
pub(crate) const PUT_STATE: &str = "INSERT INTO state (project, namespace, key, version, value) \
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (project, namespace, key) DO UPDATE SET \
    version = excluded.version, value = excluded.value";
pub(crate) const DELETE_STATE: &str =
    "DELETE FROM state WHERE project = $1 AND namespace = $2 AND key = $3";
pub(crate) const APPEND_EVENT: &str = "INSERT INTO stream_events \
    (project, namespace, key, version, value) VALUES ($1, $2, $3, $4, $5)";
pub(crate) const GET_OPERATION: &str = "SELECT version FROM state_operations WHERE name = $1";
pub(crate) const PUT_OPERATION: &str =
    "INSERT INTO state_operations (name, version, done_at) VALUES ($1, $2, $3)";
pub(crate) const PRUNE_OPERATIONS: &str = "DELETE FROM state_operations WHERE name IN (\
    SELECT name FROM state_operations WHERE done_at < $1 ORDER BY done_at LIMIT $2)";

/// Keys from the third parameter on: to below the fourth one, or to the end of the namespace. Each
/// bound is one comparison, because only such ones limit what is looked at.
pub(crate) fn scan_state(columns: &str, bounded: bool) -> String {
    let (below, limit) = if bounded { (" AND key < $4", "$5") } else { ("", "$4") };
    format!(
        "SELECT {columns} FROM state WHERE project = $1 AND namespace = $2 AND key >= $3{below} \
         ORDER BY key LIMIT {limit}"
    )
}

/// The first stream of those that [`scan_state`] would give if they were keys.
pub(crate) fn next_stream(bounded: bool) -> String {
    let below = if bounded { " AND key < $4" } else { "" };
    format!(
        "SELECT key FROM stream_events WHERE project = $1 AND namespace = $2 AND key >= $3{below} \
         ORDER BY key LIMIT 1"
    )
}

pub(crate) const STREAM_BOUNDS: &str = "SELECT \
    (SELECT version FROM stream_events WHERE project = $1 AND namespace = $2 AND key = $3 \
     ORDER BY version LIMIT 1), \
    (SELECT version FROM stream_events WHERE project = $1 AND namespace = $2 AND key = $3 \
     ORDER BY version DESC LIMIT 1)";
/// The next namespace with keys, and the next one with streams.
pub(crate) const NEXT_NAMESPACE: [&str; 2] = [
    "SELECT namespace FROM state WHERE project = $1 AND namespace > $2 ORDER BY namespace LIMIT 1",
    "SELECT namespace FROM stream_events WHERE project = $1 AND namespace > $2 \
     ORDER BY namespace LIMIT 1",
];
/// How many of the first keys there are, and the bytes of their values.
pub(crate) const COUNT_KEYS: &str = "SELECT COUNT(*), CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM (\
       SELECT LENGTH(value) AS bytes FROM state WHERE project = $1 AND namespace = $2 \
       ORDER BY key LIMIT $3\
     ) AS first_keys";
/// The same for events, with the number of streams that they belong to.
pub(crate) const COUNT_EVENTS: &str = "SELECT COUNT(*), CAST(COALESCE(SUM(bytes), 0) AS BIGINT), COUNT(DISTINCT key) FROM (\
       SELECT key, LENGTH(value) AS bytes FROM stream_events \
       WHERE project = $1 AND namespace = $2 ORDER BY key, version LIMIT $3\
     ) AS first_events";

pub(crate) const FIRST_KEYS: &str = "SELECT key, LENGTH(value) FROM state \
    WHERE project = $1 AND namespace = $2 ORDER BY key LIMIT $3";
pub(crate) const DELETE_KEYS: &str =
    "DELETE FROM state WHERE project = $1 AND namespace = $2 AND key <= $3";
/// The oldest events of one stream, or of the first streams.
pub(crate) const FIRST_EVENTS: [&str; 2] = [
    "SELECT version, LENGTH(value), key FROM stream_events \
     WHERE project = $1 AND namespace = $2 AND key = $3 ORDER BY version LIMIT $4",
    "SELECT version, LENGTH(value), key FROM stream_events \
     WHERE project = $1 AND namespace = $2 ORDER BY key, version LIMIT $3",
];
/// The events of one stream up to a version.
pub(crate) const DELETE_EVENTS: &str = "DELETE FROM stream_events \
    WHERE project = $1 AND namespace = $2 AND key = $3 AND version <= $4";

#[cfg(test)]
mod tests {
    use sqlx::Row as _;

    use super::*;
    use crate::{StoreConfig, schema, sqlite};

    /// A statement that scans a table or sorts would be slow with many resources, whatever it
    /// returns: its plan tells, without a stopwatch.
    #[tokio::test]
    async fn no_statement_reads_more_rows_than_it_needs() {
        let dir = tempfile::tempdir().unwrap();
        let config = StoreConfig::new(dir.path().join("store.sqlite"));
        sqlite::create_file(&config.path).unwrap();
        let mut connection = sqlite::connect_writer(&config).await.unwrap();
        schema::upgrade(&mut connection, schema::VERSIONS, &config.path).await.unwrap();
        let statements = [
            get(),
            list(),
            scan(),
            list_labelled(),
            changes_since(),
            find(8),
            DELETE_RESOURCE.to_owned(),
            DELETE_LABEL.to_owned(),
            PRUNE_DELETIONS.to_owned(),
            OUTBOX.to_owned(),
            OUTBOX_DONE.to_owned(),
            GET_LEASE.to_owned(),
            scan_state("key, version, value", true),
            scan_state("key, version, LENGTH(value)", false),
            next_stream(true),
            next_stream(false),
            NEXT_NAMESPACE[0].to_owned(),
            NEXT_NAMESPACE[1].to_owned(),
            FIRST_KEYS.to_owned(),
            DELETE_KEYS.to_owned(),
            FIRST_EVENTS[0].to_owned(),
            FIRST_EVENTS[1].to_owned(),
            DELETE_EVENTS.to_owned(),
            READ_STREAM.to_owned(),
        ];
        for statement in statements {
            let explain = format!("EXPLAIN QUERY PLAN {statement}");
            let rows = sqlx::query(&explain).fetch_all(&mut connection).await.unwrap();
            let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
            for step in &plan {
                let ordered = step.starts_with("SCAN outbox USING INDEX");
                let values = step.ends_with("VALUES CLAUSE");
                let scans = step.starts_with("SCAN") && !ordered && !values;
                // A page of names that was chosen by an index may be sorted.
                let sorts = step.contains("TEMP B-TREE") && statement != list_labelled();
                assert!(!scans && !sorts, "{statement}\n{}", plan.join("\n"));
            }
        }
        let plan = |statement: String| format!("EXPLAIN QUERY PLAN {statement}");
        let scan = plan(scan());
        let rows = sqlx::query(&scan).fetch_all(&mut connection).await.unwrap();
        let detail: String = rows[0].get("detail");
        assert!(detail.contains("(project,name)>"), "{detail}");
        // Keys behind a prefix, and before the place to go on from, are not looked at.
        let keys = plan(scan_state("key, version, value", true));
        let rows = sqlx::query(&keys).fetch_all(&mut connection).await.unwrap();
        let detail: String = rows[0].get("detail");
        assert!(detail.contains("namespace=? AND key>? AND key<?"), "{detail}");
    }

    #[test]
    fn parameters_are_numbered_through() {
        assert_eq!(values(2, 3), "($1, $2, $3), ($4, $5, $6)");
        assert_eq!(values(1, 1), "($1)");
        assert_eq!(COLUMNS.split(',').count(), COLUMN_COUNT);
        assert_eq!(BATCHES.last(), Some(&1), "every number of rows can be cut into batches");
    }
}
