//! Schemas of events.

use axum::Json as Answer;
use axum::extract::{Request, State};
use http::StatusCode;
use nexus_model::resource::{Kind, ResourceKey};
use nexus_model::view::{InferredSchema, SchemaCheck, SchemaView};
use nexus_model::{Code, Event, Timestamp, limits};
use schemars::JsonSchema;
use serde::Deserialize;

use super::caller::Caller;
use super::endpoint::Endpoint;
use super::extract::{Path, Query, name, whole};
use super::projects::Guard;
use super::{App, Items, Listing, listing};
use crate::cloudevents;
use crate::fault::Fault;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/api/v1/projects/{project}/schemas";
    const ONE: &str = "/api/v1/projects/{project}/schemas/{schema}";
    const CHECK: &str = "/api/v1/projects/{project}/schemas/check";
    const INFER: &str = "/api/v1/projects/{project}/schemas/infer";
    vec![
        Endpoint::get(ALL, ["schema_list", "List the schemas of a project's events"], list)
            .answers::<Items<SchemaView>>(),
        Endpoint::delete(ONE, ["schema_delete", "Delete a schema"], delete)
            .scope("write")
            .query::<Guard>()
            .fails(&[Code::BadResource, Code::Conflict]),
        Endpoint::post(CHECK, ["schema_check", "Hold an event against its schema"], check)
            .takes_as::<Event>("application/cloudevents+json")
            .takes_bytes("*/*")
            .answers::<SchemaCheck>()
            .fails(&[Code::BadEvent]),
        Endpoint::get(INFER, ["schema_infer", "Propose a schema from recorded events"], infer)
            .scope("read-payload")
            .query::<InferQuery>()
            .answers::<InferredSchema>(),
    ]
}

async fn list(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(project): Path<String>,
) -> Listing<SchemaView> {
    listing(app.node.schemas(&ctx, &name("project", &project)?).await?)
}

async fn delete(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((project, schema)): Path<(String, String)>,
    Query(guard): Query<Guard>,
) -> Result<StatusCode, Fault> {
    let (project, schema) = (name("project", &project)?, name("schema", &schema)?);
    let key = ResourceKey { kind: Kind::Schema, project: Some(project), name: schema };
    app.node.delete_resource(&ctx, &key, guard.revision).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn check(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(project): Path<String>,
    request: Request,
) -> Result<Answer<SchemaCheck>, Fault> {
    let project = name("project", &project)?;
    let (head, body) = request.into_parts();
    let body = whole(body, limits::EVENT_BYTES_MAX).await?;
    let events = cloudevents::parse(&head.headers, body)?;
    let [event] = &events[..] else {
        return Err(Fault::new(Code::BadRequest, "one event is checked at a time"));
    };
    Ok(Answer(app.node.check_event(&ctx, &project, event)?))
}

/// Which events.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct InferQuery {
    /// The event type, exactly.
    #[serde(rename = "type")]
    ty: String,
    /// Accepted at or after this moment.
    #[serde(default)]
    since: Option<Timestamp>,
}

async fn infer(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(project): Path<String>,
    Query(query): Query<InferQuery>,
) -> Result<Answer<InferredSchema>, Fault> {
    let project = name("project", &project)?;
    Ok(Answer(app.node.infer_schema(&ctx, &project, (&query.ty, query.since)).await?))
}
