//! Events that happen later.

use axum::extract::State;
use http::StatusCode;
use nexus_model::EventId;
use nexus_model::view::ScheduleView;
use schemars::JsonSchema;
use serde::Deserialize;

use super::caller::Caller;
use super::endpoint::Endpoint;
use super::extract::{Path, Project, Query, name, page_limit};
use super::{App, Items, Listing, listing};
use crate::fault::Fault;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/api/v1/projects/{project}/schedules";
    const ONE: &str = "/api/v1/projects/{project}/schedules/{schedule}";
    vec![
        Endpoint::get(ALL, ["schedule_list", "List events that happen later"], list)
            .query::<ScheduleQuery>()
            .answers::<Items<ScheduleView>>(),
        Endpoint::delete(ONE, ["schedule_cancel", "Take back an event that happens later"], cancel)
            .scope("emit"),
    ]
}

/// How many.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct ScheduleQuery {
    /// How many, the next ones first.
    limit: Option<usize>,
}

async fn list(
    State(app): State<App>,
    Caller(ctx): Caller,
    project: Project,
    Query(query): Query<ScheduleQuery>,
) -> Listing<ScheduleView> {
    let limit = page_limit(query.limit)?;
    listing(app.node.schedules(&ctx, project.0.as_ref(), limit).await?)
}

async fn cancel(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((project, id)): Path<(String, String)>,
) -> Result<StatusCode, Fault> {
    let project = name("project", &project)?;
    let id: EventId =
        id.parse().map_err(|error| Fault::bad_request(format!("schedule: {error}")))?;
    app.node.cancel_schedule(&ctx, &project, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
