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

pub(crate) const PRUNE_DELETIONS: &str = "DELETE FROM deletions WHERE revision <= $1";
pub(crate) const OUTBOX: &str =
    "SELECT sequence, project, event FROM outbox ORDER BY sequence LIMIT $1";
pub(crate) const OUTBOX_DONE: &str = "DELETE FROM outbox WHERE sequence <= $1";

pub(crate) const GET_LEASE: &str = "SELECT holder, epoch, expires_at FROM leases WHERE name = $1";
pub(crate) const PUT_LEASE: &str =
    "INSERT INTO leases (name, holder, epoch, expires_at) VALUES ($1, $2, $3, $4) \
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
