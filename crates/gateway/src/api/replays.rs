//! Comparisons with other versions, batches of replays, suites.

use axum::Json as Answer;
use axum::extract::State;
use http::StatusCode;
use nexus_model::Code;
use nexus_model::view::{
    CompareRules, Comparison, ReplayBatch, ReplayRequest, ReplayRows, SuiteRequest, SuiteView,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::caller::Caller;
use super::endpoint::Endpoint;
use super::extract::{Json, Path, Query, invocation_id, name, page_limit};
use super::{App, Items, Listing, listing};
use crate::fault::Fault;

/// How a recording can turn out to be none that could be run again.
pub(super) const REPLAY_CODES: &[Code] =
    &[Code::NotReplayable, Code::Diverged, Code::BadJournal, Code::Gone, Code::Conflict];

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = batches();
    endpoints.extend(suites());
    const COMPARE: &str = "/api/v1/projects/{project}/invocations/{invocation}/compare";
    endpoints.push(
        Endpoint::post(
            COMPARE,
            ["invocation_compare", "Hold a recorded invocation against another version"],
            compare,
        )
        .scope("replay")
        .takes::<CompareRequest>()
        .answers::<Comparison>()
        .fails(REPLAY_CODES),
    );
    endpoints
}

fn batches() -> Vec<Endpoint> {
    const ALL: &str = "/api/v1/projects/{project}/replays";
    const ONE: &str = "/api/v1/projects/{project}/replays/{replay}";
    const ROWS: &str = "/api/v1/projects/{project}/replays/{replay}/results";
    const PAUSE: &str = "/api/v1/projects/{project}/replays/{replay}/pause";
    const RESUME: &str = "/api/v1/projects/{project}/replays/{replay}/resume";
    const CANCEL: &str = "/api/v1/projects/{project}/replays/{replay}/cancel";
    let order = |endpoint: Endpoint| {
        endpoint.scope("replay").answers::<ReplayBatch>().fails(&[Code::Conflict])
    };
    vec![
        Endpoint::post(ALL, ["replay_start", "Replay many invocations; 202: it runs"], start)
            .scope("replay")
            .takes::<ReplayRequest>()
            .status(202)
            .answers::<ReplayBatch>()
            .fails(&[Code::Conflict, Code::Overloaded, Code::Throttled]),
        Endpoint::get(ALL, ["replay_list", "List batches of replays, newest first"], list)
            .answers::<Items<ReplayBatch>>(),
        Endpoint::get(ONE, ["replay_show", "Show a batch of replays and its progress"], show)
            .answers::<ReplayBatch>(),
        Endpoint::get(ROWS, ["replay_results", "List what came of each invocation"], rows)
            .query::<RowsQuery>()
            .answers::<ReplayRows>(),
        order(Endpoint::post(PAUSE, ["replay_pause", "Stop a batch of replays for now"], pause)),
        order(Endpoint::post(RESUME, ["replay_resume", "Let a paused batch go on"], resume)),
        order(Endpoint::post(CANCEL, ["replay_cancel", "End a batch of replays"], cancel)),
        Endpoint::delete(ONE, ["replay_delete", "Delete a batch with its report"], delete)
            .scope("replay")
            .fails(&[Code::Conflict]),
    ]
}

fn suites() -> Vec<Endpoint> {
    const ALL: &str = "/api/v1/projects/{project}/suites";
    const ONE: &str = "/api/v1/projects/{project}/suites/{suite}";
    vec![
        Endpoint::get(ALL, ["suite_list", "List suites of recordings"], list_suites)
            .answers::<Items<SuiteView>>(),
        Endpoint::get(ONE, ["suite_show", "Show a suite of recordings"], show_suite)
            .answers::<SuiteView>(),
        Endpoint::put(ONE, ["suite_save", "Keep recordings as a suite of tests"], save_suite)
            .scope("write")
            .takes::<SuiteRequest>()
            .answers::<SuiteView>()
            .fails(&[Code::BadResource, Code::NotReplayable, Code::Conflict, Code::Gone]),
        Endpoint::delete(ONE, ["suite_delete", "Delete a suite"], delete_suite)
            .scope("write")
            .fails(&[Code::Conflict]),
    ]
}

/// What to hold an invocation against.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct CompareRequest {
    /// A version: its number, label, id or alias, `live` or `latest`.
    against: String,
    /// What does not matter.
    #[serde(default)]
    rules: CompareRules,
    /// Count the instructions of both versions: they are compiled once more for that.
    #[serde(default)]
    instructions: bool,
}

async fn compare(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((_, id)): Path<(String, String)>,
    Json(request): Json<CompareRequest>,
) -> Result<Answer<Comparison>, Fault> {
    let against = (request.against.as_str(), &request.rules, request.instructions);
    Ok(Answer(app.node.compare(&ctx, invocation_id(&id)?, against).await?))
}

async fn start(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(project): Path<String>,
    Json(request): Json<ReplayRequest>,
) -> Result<(StatusCode, Answer<ReplayBatch>), Fault> {
    let batch = app.node.start_replays(&ctx, &name("project", &project)?, request).await?;
    Ok((StatusCode::ACCEPTED, Answer(batch)))
}

async fn list(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(project): Path<String>,
) -> Listing<ReplayBatch> {
    listing(app.node.replay_batches(&ctx, &name("project", &project)?).await?)
}

async fn show(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((project, replay)): Path<(String, String)>,
) -> Result<Answer<ReplayBatch>, Fault> {
    let (project, replay) = (name("project", &project)?, name("replay", &replay)?);
    Ok(Answer(app.node.replay_batch(&ctx, &project, &replay).await?))
}

/// Which rows.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct RowsQuery {
    /// Only what came to this: `different`, `diverged`, `cannot-tell`, …
    verdict: Option<String>,
    /// The `next` of the answer before.
    after: u64,
    /// Rows in the answer.
    limit: Option<usize>,
}

async fn rows(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((project, replay)): Path<(String, String)>,
    Query(query): Query<RowsQuery>,
) -> Result<Answer<ReplayRows>, Fault> {
    let (project, replay) = (name("project", &project)?, name("replay", &replay)?);
    let page = (query.after, page_limit(query.limit)?);
    let verdict = query.verdict.as_deref();
    Ok(Answer(app.node.replay_rows(&ctx, (&project, &replay), verdict, page).await?))
}

async fn pause(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((project, replay)): Path<(String, String)>,
) -> Result<Answer<ReplayBatch>, Fault> {
    let (project, replay) = (name("project", &project)?, name("replay", &replay)?);
    Ok(Answer(app.node.pause_replays(&ctx, (&project, &replay)).await?))
}

async fn resume(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((project, replay)): Path<(String, String)>,
) -> Result<Answer<ReplayBatch>, Fault> {
    let (project, replay) = (name("project", &project)?, name("replay", &replay)?);
    Ok(Answer(app.node.resume_replays(&ctx, (&project, &replay)).await?))
}

async fn cancel(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((project, replay)): Path<(String, String)>,
) -> Result<Answer<ReplayBatch>, Fault> {
    let (project, replay) = (name("project", &project)?, name("replay", &replay)?);
    Ok(Answer(app.node.cancel_replays(&ctx, (&project, &replay)).await?))
}

async fn delete(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((project, replay)): Path<(String, String)>,
) -> Result<StatusCode, Fault> {
    let (project, replay) = (name("project", &project)?, name("replay", &replay)?);
    app.node.delete_replays(&ctx, (&project, &replay)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_suites(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(project): Path<String>,
) -> Listing<SuiteView> {
    listing(app.node.suites(&ctx, &name("project", &project)?).await?)
}

async fn show_suite(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((project, suite)): Path<(String, String)>,
) -> Result<Answer<SuiteView>, Fault> {
    let (project, suite) = (name("project", &project)?, name("suite", &suite)?);
    Ok(Answer(app.node.suite(&ctx, &project, &suite).await?))
}

async fn save_suite(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((project, suite)): Path<(String, String)>,
    Json(request): Json<SuiteRequest>,
) -> Result<Answer<SuiteView>, Fault> {
    let (project, suite) = (name("project", &project)?, name("suite", &suite)?);
    let head = (request.description, request.rules);
    Ok(Answer(app.node.save_suite(&ctx, (&project, &suite), head, &request.select).await?))
}

async fn delete_suite(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((project, suite)): Path<(String, String)>,
) -> Result<StatusCode, Fault> {
    let (project, suite) = (name("project", &project)?, name("suite", &suite)?);
    app.node.delete_suite(&ctx, &project, &suite).await?;
    Ok(StatusCode::NO_CONTENT)
}
