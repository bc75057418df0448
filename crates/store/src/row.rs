//! Between rows and resources.

use std::collections::BTreeMap;

use nexus_model::resource::{API_VERSION, Kind, Metadata, Resource, ResourceKey};
use nexus_model::{Digest, Event, Name, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::error::Source;
use crate::sqlite::Query;
use crate::{ChangeEntry, Error, OutboxEntry};

/// A resource as stored: with the digest that tells whether a new spec is another one.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) resource: Resource,
    pub(crate) spec_digest: Digest,
}

/// What the `project` column holds for a key.
pub(crate) fn project_column(key: &ResourceKey) -> &str {
    key.project.as_ref().map_or("", Name::as_str)
}

/// Binds the primary key of `resources`.
pub(crate) fn bind_key<'q>(query: Query<'q>, key: &'q ResourceKey) -> Query<'q> {
    query.bind(key.kind.as_str()).bind(project_column(key)).bind(key.name.as_str())
}

/// Binds all columns of `resources`.
pub(crate) fn bind_stored<'q>(query: Query<'q>, stored: &'q Stored) -> Query<'q> {
    let metadata = &stored.resource.metadata;
    query
        .bind(stored.resource.kind.as_str())
        .bind(metadata.project.as_ref().map_or("", Name::as_str))
        .bind(metadata.name.as_str())
        .bind(metadata.uid.map(|uid| uid.to_string()))
        .bind(to_column(metadata.revision.unwrap_or_default()))
        .bind(to_column(metadata.generation.unwrap_or_default()))
        .bind(metadata.created_at.unwrap_or_default().unix_ns())
        .bind(metadata.updated_at.unwrap_or_default().unix_ns())
        .bind(json(&metadata.labels))
        .bind(json(&metadata.annotations))
        .bind(json(&stored.resource.spec))
        .bind(stored.spec_digest.hex())
        .bind(json(&stored.resource.status))
}

/// Counters start at zero and rise by one: none ever reaches 2⁶³.
pub(crate) fn to_column(counter: u64) -> i64 {
    i64::try_from(counter).unwrap_or(i64::MAX)
}

pub(crate) fn from_column(counter: i64) -> u64 {
    u64::try_from(counter).unwrap_or(0)
}

/// Maps of strings and JSON values always have a JSON form.
fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

pub(crate) fn stored(row: &SqliteRow) -> Result<Stored, Error> {
    let key = key(row)?;
    let what = || key.to_string();
    let decode = || -> Result<Stored, Source> {
        let uid: String = row.try_get(3)?;
        let spec_digest: String = row.try_get(11)?;
        Ok(Stored {
            resource: Resource {
                api_version: API_VERSION.to_owned(),
                kind: key.kind,
                metadata: Metadata {
                    project: key.project.clone(),
                    name: key.name.clone(),
                    labels: from_json::<BTreeMap<_, _>>(row, 8)?,
                    annotations: from_json::<BTreeMap<_, _>>(row, 9)?,
                    uid: Some(uid.parse()?),
                    revision: Some(from_column(row.try_get(4)?)),
                    generation: Some(from_column(row.try_get(5)?)),
                    created_at: Some(Timestamp::from_unix_ns(row.try_get(6)?)),
                    updated_at: Some(Timestamp::from_unix_ns(row.try_get(7)?)),
                },
                spec: from_json::<Value>(row, 10)?,
                status: from_json::<Value>(row, 12)?,
            },
            spec_digest: spec_digest.parse()?,
        })
    };
    decode().map_err(|source| Error::CorruptRow { what: what(), source })
}

pub(crate) fn resource(row: &SqliteRow) -> Result<Resource, Error> {
    stored(row).map(|stored| stored.resource)
}

pub(crate) fn change_entry(row: &SqliteRow) -> Result<ChangeEntry, Error> {
    let key = key(row)?;
    let read =
        || -> Result<(Option<String>, i64), sqlx::Error> { Ok((row.try_get(3)?, row.try_get(4)?)) };
    let (uid, revision) = read().map_err(|source| Error::CorruptRow {
        what: format!("change of {key}"),
        source: source.into(),
    })?;
    let resource = if uid.is_some() { Some(resource(row)?) } else { None };
    Ok(ChangeEntry { revision: from_column(revision), key, resource })
}

pub(crate) fn outbox_entry(row: &SqliteRow) -> Result<OutboxEntry, Error> {
    let decode = || -> Result<OutboxEntry, Source> {
        let project: Option<String> = row.try_get(1)?;
        let event: String = row.try_get(2)?;
        Ok(OutboxEntry {
            sequence: from_column(row.try_get(0)?),
            project: project.map(|project| Name::new(&project)).transpose()?,
            event: Event::from_json(event.as_bytes())?,
        })
    };
    decode().map_err(|source| Error::CorruptRow { what: "audit event".to_owned(), source })
}

fn key(row: &SqliteRow) -> Result<ResourceKey, Error> {
    let decode = || -> Result<ResourceKey, Source> {
        let kind: String = row.try_get(0)?;
        let project: String = row.try_get(1)?;
        let name: String = row.try_get(2)?;
        Ok(ResourceKey {
            kind: Kind::parse(&kind).ok_or_else(|| format!("'{kind}' is not a kind"))?,
            project: if project.is_empty() { None } else { Some(Name::new(&project)?) },
            name: Name::new(&name)?,
        })
    };
    decode().map_err(|source| Error::CorruptRow { what: "resource key".to_owned(), source })
}

fn from_json<T: DeserializeOwned>(row: &SqliteRow, column: usize) -> Result<T, Source> {
    let text: &str = row.try_get(column)?;
    Ok(serde_json::from_str(text)?)
}
