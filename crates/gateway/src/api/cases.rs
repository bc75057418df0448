//! Recorded invocations as case files, and versions held against them.

use axum::Json as Answer;
use axum::extract::State;
use nexus_model::case::Case;
use nexus_model::view::Comparison;
use nexus_model::{Code, limits};
use schemars::JsonSchema;
use serde::Deserialize;

use super::App;
use super::caller::Caller;
use super::endpoint::Endpoint;
use super::extract::{Path, Query, invocation_id, name, whole};
use super::replays::REPLAY_CODES;
use crate::fault::Fault;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const SAVE: &str = "/api/v1/projects/{project}/invocations/{invocation}/case";
    const TRY: &str = "/api/v1/projects/{project}/functions/{function}/case";
    vec![
        Endpoint::get(SAVE, ["invocation_case", "Get a recorded invocation as a case"], save)
            .scope("replay")
            .query::<SaveQuery>()
            .answers::<Case>()
            .fails(REPLAY_CODES),
        Endpoint::post(TRY, ["function_try_case", "Hold a version against a case"], hold)
            .scope("replay")
            .query::<TryQuery>()
            .takes::<Case>()
            .answers::<Comparison>()
            .fails(&[Code::NotReplayable, Code::TooLarge]),
    ]
}

/// What is kept.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct SaveQuery {
    /// Keep everything but the values of secrets: also credentials, and what the function's rules of
    /// redaction name.
    unredacted: bool,
}

async fn save(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((_, id)): Path<(String, String)>,
    Query(query): Query<SaveQuery>,
) -> Result<Answer<Case>, Fault> {
    Ok(Answer(app.node.case(&ctx, invocation_id(&id)?, !query.unredacted).await?))
}

/// Which version.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TryQuery {
    /// A version: its number, label, id or alias, `live` or `latest`.
    #[serde(default = "latest")]
    against: String,
}

fn latest() -> String {
    "latest".to_owned()
}

async fn hold(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((project, function)): Path<(String, String)>,
    Query(query): Query<TryQuery>,
    body: axum::body::Body,
) -> Result<Answer<Comparison>, Fault> {
    let (project, function) = (name("project", &project)?, name("function", &function)?);
    let body = whole(body, limits::CASE_BYTES_MAX).await?;
    let case =
        Case::read(&body).map_err(|error| Fault::bad_request(format!("the body: {error}")))?;
    let names = (&project, &function);
    Ok(Answer(app.node.try_case(&ctx, names, &query.against, &case).await?))
}
