//! Secrets. Their values go in and never come out.

use axum::Json as Answer;
use axum::extract::State;
use http::StatusCode;
use nexus_model::resource::{Kind, Resource, ResourceKey};
use nexus_model::{Code, limits};
use schemars::JsonSchema;
use serde::Serialize;

use super::caller::Caller;
use super::endpoint::Endpoint;
use super::extract::{Path, Query, name, whole};
use super::projects::Guard;
use super::{App, Items, Listing, listing};
use crate::fault::Fault;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/api/v1/projects/{project}/secrets";
    const ONE: &str = "/api/v1/projects/{project}/secrets/{secret}";
    vec![
        Endpoint::get(ALL, ["secret_list", "List the secrets, without values"], list)
            .answers::<Items<Resource>>(),
        Endpoint::get(ONE, ["secret_show", "Show a secret, without its value"], show)
            .answers::<Resource>(),
        Endpoint::put(ONE, ["secret_set", "Give a secret a new value: the body"], set)
            .scope("write")
            .takes_bytes("*/*")
            .answers::<SecretSet>()
            .fails(&[Code::BadResource, Code::Conflict]),
        Endpoint::delete(ONE, ["secret_delete", "Delete a secret with all its values"], delete)
            .scope("write")
            .query::<Guard>()
            .fails(&[Code::BadResource, Code::Conflict]),
    ]
}

/// A value was stored.
#[derive(Serialize, JsonSchema)]
struct SecretSet {
    /// The version that new calls see.
    version: u32,
}

fn key((project, secret): (String, String)) -> Result<ResourceKey, Fault> {
    let project = Some(name("project", &project)?);
    Ok(ResourceKey { kind: Kind::Secret, project, name: name("secret", &secret)? })
}

async fn list(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(project): Path<String>,
) -> Listing<Resource> {
    let project = name("project", &project)?;
    listing(app.node.list_resources(&ctx, Kind::Secret, Some(&project)).await?)
}

async fn show(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(path): Path<(String, String)>,
) -> Result<Answer<Resource>, Fault> {
    Ok(Answer(app.node.get_resource(&ctx, &key(path)?).await?))
}

async fn set(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((project, secret)): Path<(String, String)>,
    body: axum::body::Body,
) -> Result<Answer<SecretSet>, Fault> {
    let (project, secret) = (name("project", &project)?, name("secret", &secret)?);
    // Encrypted and in base 64 it must still fit into a resource.
    let value = whole(body, limits::RESOURCE_BYTES_MAX / 4).await?;
    let version = app.node.set_secret(&ctx, &project, &secret, &value).await?;
    Ok(Answer(SecretSet { version }))
}

async fn delete(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(path): Path<(String, String)>,
    Query(guard): Query<Guard>,
) -> Result<StatusCode, Fault> {
    app.node.delete_resource(&ctx, &key(path)?, guard.revision).await?;
    Ok(StatusCode::NO_CONTENT)
}
