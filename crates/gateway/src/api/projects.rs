//! Projects.

use axum::Json as Answer;
use axum::extract::State;
use bytes::Bytes;
use http::StatusCode;
use nexus_model::Code;
use nexus_model::resource::{Kind, ProjectSpec, Resource, ResourceKey};
use schemars::JsonSchema;
use serde::Deserialize;

use super::caller::Caller;
use super::endpoint::Endpoint;
use super::extract::{Path, Query, name, whole};
use super::{App, Items, Listing, listing};
use crate::fault::Fault;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ONE: &str = "/api/v1/projects/{project}";
    vec![
        Endpoint::get("/api/v1/projects", ["project_list", "List the projects"], list)
            .answers::<Items<Resource>>(),
        Endpoint::get(ONE, ["project_show", "Show a project"], show).answers::<Resource>(),
        Endpoint::put(ONE, ["project_put", "Create or replace a project"], put)
            .scope("write")
            .takes::<ProjectSpec>()
            .body_may_be_empty()
            .answers::<Resource>()
            .fails(&[Code::BadResource, Code::Conflict]),
        Endpoint::delete(
            ONE,
            ["project_delete", "Delete a project without functions and schemas"],
            delete,
        )
        .scope("write")
        .query::<Guard>()
        .fails(&[Code::BadResource, Code::Conflict]),
    ]
}

/// Guards a change.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Guard {
    /// Only when this is still the resource's revision.
    pub(super) revision: Option<u64>,
}

fn key(project: &str) -> Result<ResourceKey, Fault> {
    Ok(ResourceKey { kind: Kind::Project, project: None, name: name("project", project)? })
}

async fn list(State(app): State<App>, Caller(ctx): Caller) -> Listing<Resource> {
    listing(app.node.list_resources(&ctx, Kind::Project, None).await?)
}

async fn show(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(project): Path<String>,
) -> Result<Answer<Resource>, Fault> {
    Ok(Answer(app.node.get_resource(&ctx, &key(&project)?).await?))
}

async fn put(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(project): Path<String>,
    body: axum::body::Body,
) -> Result<Answer<Resource>, Fault> {
    let body: Bytes = whole(body, nexus_model::limits::RESOURCE_BYTES_MAX).await?;
    let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
    let wrong = |error| Fault::bad_request(format!("the body is not a project's spec: {error}"));
    let spec: ProjectSpec = serde_json::from_slice(body).map_err(wrong)?;
    let spec = serde_json::to_value(spec).map_err(wrong)?;
    let applied = app.node.apply(&ctx, vec![Resource::new(&key(&project)?, spec)]).await?;
    let applied = applied.into_iter().next().map(|applied| applied.resource);
    applied
        .map(Answer)
        .ok_or_else(|| Fault::new(nexus_model::Code::Internal, "nothing was applied"))
}

async fn delete(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(project): Path<String>,
    Query(guard): Query<Guard>,
) -> Result<StatusCode, Fault> {
    app.node.delete_resource(&ctx, &key(&project)?, guard.revision).await?;
    Ok(StatusCode::NO_CONTENT)
}
