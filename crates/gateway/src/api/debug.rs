//! Debug sessions over invocations of the past, and profiles of them.

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use nexus_model::Code;
use nexus_model::view::{DebugCommand, DebugOpened, DebugState, ProfileView};
use nexus_node::ProfileFormat;
use schemars::JsonSchema;
use serde::Deserialize;

use super::App;
use super::caller::Caller;
use super::endpoint::Endpoint;
use super::extract::{Json, Path, Query, invocation_id};
use crate::fault::Fault;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/api/v1/projects/{project}/invocations/{invocation}/debug";
    const ONE: &str = "/api/v1/projects/{project}/invocations/{invocation}/debug/{session}";
    const PROFILE: &str = "/api/v1/projects/{project}/invocations/{invocation}/profile";
    vec![
        Endpoint::post(ALL, ["debug_open", "Open a debug session over a past invocation"], open)
            .scope("replay")
            .answers::<DebugOpened>()
            .status(201)
            .fails(&[Code::NotReplayable, Code::BadJournal, Code::Gone, Code::DebugSessions]),
        Endpoint::post(ONE, ["debug_run", "Do one command in a debug session"], run)
            .scope("replay")
            .takes::<DebugCommand>()
            .answers::<DebugState>()
            .fails(&[Code::DebugEnded, Code::NotReplayable, Code::Diverged, Code::BadJournal]),
        Endpoint::delete(ONE, ["debug_close", "Close a debug session"], close)
            .scope("replay")
            .empty()
            .fails(&[Code::DebugEnded]),
        Endpoint::get(PROFILE, ["invocation_profile", "Profile a past invocation"], profile)
            .scope("replay")
            .query::<ProfileQuery>()
            .answers_bytes("image/svg+xml")
            .answers_bytes("application/octet-stream")
            .answers::<ProfileJson>()
            .answers_bytes("text/plain")
            .fails(&[Code::NotReplayable, Code::Diverged, Code::BadJournal, Code::Gone]),
    ]
}

async fn open(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((_, id)): Path<(String, String)>,
) -> Result<(StatusCode, Answer<DebugOpened>), Fault> {
    let opened = app.node.debug_open(&ctx, invocation_id(&id)?).await?;
    Ok((StatusCode::CREATED, Answer(opened)))
}

async fn run(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((_, id, session)): Path<(String, String, String)>,
    Json(command): Json<DebugCommand>,
) -> Result<Answer<DebugState>, Fault> {
    let session = (invocation_id(&id)?, session.as_str());
    Ok(Answer(app.node.debug_run(&ctx, session, command).await?))
}

async fn close(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((_, id, session)): Path<(String, String, String)>,
) -> Result<StatusCode, Fault> {
    app.node.debug_close(&ctx, (invocation_id(&id)?, session.as_str()))?;
    Ok(StatusCode::NO_CONTENT)
}

/// How to write a profile.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct ProfileQuery {
    /// `svg` (a flame graph, the default), `pprof`, `firefox`, `text`, `folded` or `json`.
    format: Option<String>,
}

/// A profile in JSON.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum ProfileJson {
    /// With `format=json`.
    Data(ProfileView),
    /// With `format=firefox`: what the Firefox profiler reads.
    Firefox(serde_json::Map<String, serde_json::Value>),
}

async fn profile(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((_, id)): Path<(String, String)>,
    Query(query): Query<ProfileQuery>,
) -> Result<impl IntoResponse, Fault> {
    let word = query.format.as_deref().unwrap_or("svg");
    let format = ProfileFormat::from_word(word).ok_or_else(|| {
        let known = ProfileFormat::ALL.map(|(word, _)| word).join(", ");
        Fault::bad_request(format!("format: '{word}' is none of {known}"))
    })?;
    let bytes = app.node.profile(&ctx, invocation_id(&id)?, format).await?;
    Ok(([(CONTENT_TYPE, format.media_type())], bytes))
}
