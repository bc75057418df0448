//! Secrets. Their values go in and never come out.

use axum::Json as Answer;
use axum::extract::State;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
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
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Answer<SecretSet>, Fault> {
    let (project, secret) = (name("project", &project)?, name("secret", &secret)?);
    // Encrypted and in base 64 it must still fit into a resource.
    let value = whole(body, limits::RESOURCE_BYTES_MAX / 4).await?;
    refuse_wrapped(&headers, &value)?;
    let version = app.node.set_secret(&ctx, &project, &secret, &value).await?;
    Ok(Answer(SecretSet { version }))
}

/// A value inside `{"value": …}` was hardly meant so: the whole text would be the secret, and nobody
/// could see that. Under a media type that is not JSON's or a form's it is taken as it is.
fn refuse_wrapped(headers: &HeaderMap, body: &[u8]) -> Result<(), Fault> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let bare = media_type.is_some_and(|media_type| {
        let name = media_type.split(';').next().unwrap_or_default().trim();
        !["application/json", "application/x-www-form-urlencoded"].contains(&name)
    });
    let fields = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body);
    if bare || !fields.is_ok_and(|fields| fields.contains_key("value")) {
        return Ok(());
    }
    let detail = "the body is the value itself, not an object with a field 'value'";
    Err(Fault::new(Code::BadRequest, detail).hint(
        "send the bare value; to store this text as it is, send it with 'content-type: text/plain'",
    ))
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
