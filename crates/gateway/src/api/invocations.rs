//! Invocations: list, show, follow, replay.

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use http::HeaderMap;
use nexus_model::record::Status;
use nexus_model::view::{InvocationRow, InvocationView, ReplayView};
use nexus_model::{
    Code, EventId, InvocationFilter, InvocationId, Page, TimeRange, Timestamp, VersionId,
};
use nexus_node::{PageOptions, ReplayOptions};
use schemars::JsonSchema;
use serde::Deserialize;

use super::endpoint::Endpoint;
use super::extract::{
    Caller, Path, Project, Query, cursor, duration_ns, invocations_in, page_limit,
};
use super::{App, sse};
use crate::fault::Fault;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/api/v1/projects/{project}/invocations";
    const ONE: &str = "/api/v1/projects/{project}/invocations/{invocation}";
    const STREAM: &str = "/api/v1/projects/{project}/invocations/stream";
    const REPLAY: &str = "/api/v1/projects/{project}/invocations/{invocation}/replay";
    vec![
        Endpoint::get(ALL, ["invocation_list", "List invocations, newest first"], list)
            .query::<InvocationQuery>()
            .answers::<Page<InvocationRow>>(),
        Endpoint::get(STREAM, ["invocation_follow", "Follow invocations as they end"], follow)
            .query::<InvocationStream>()
            .answers_as::<InvocationRow>("text/event-stream"),
        Endpoint::get(ONE, ["invocation_show", "Show everything about an invocation"], show)
            .answers::<InvocationView>(),
        Endpoint::post(
            REPLAY,
            ["invocation_replay", "Run an invocation again against its journal"],
            replay,
        )
        .scope("replay")
        .query::<ReplayQuery>()
        .answers::<ReplayView>(),
    ]
}

/// Which invocations.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct InvocationQuery {
    /// The function's name.
    function: Option<String>,
    /// The function's version.
    version: Option<VersionId>,
    /// How they ended: one or several, separated by commas.
    status: Option<String>,
    /// Accepted at or after this moment.
    since: Option<Timestamp>,
    /// Accepted before this moment.
    until: Option<Timestamp>,
    /// They took at least this long: `250ms`, `1.5s`.
    min_duration: Option<String>,
    /// They handled this event.
    event: Option<EventId>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// Items on the page.
    limit: Option<usize>,
}

async fn list(
    State(app): State<App>,
    Caller(ctx): Caller,
    project: Project,
    Query(query): Query<InvocationQuery>,
) -> Result<Answer<Page<InvocationRow>>, Fault> {
    let page = PageOptions {
        cursor: cursor(query.cursor.as_deref())?,
        limit: page_limit(query.limit)?,
        data: false,
    };
    let filter = InvocationFilter {
        range: TimeRange { since: query.since, until: query.until },
        function: query.function,
        version: query.version,
        statuses: statuses(query.status.as_deref())?,
        duration_ns_min: duration(query.min_duration.as_deref())?,
        event: query.event,
        ..invocations_in(&project)
    };
    Ok(Answer(app.node.invocations(&ctx, filter, page).await?))
}

fn statuses(text: Option<&str>) -> Result<Vec<Status>, Fault> {
    let words = text.into_iter().flat_map(|text| text.split(',')).filter(|word| !word.is_empty());
    words
        .map(|word| {
            Status::from_word(word).ok_or_else(|| {
                let known = Status::WORDS.join(", ");
                Fault::bad_request(format!("status: '{word}' is none of {known}"))
            })
        })
        .collect()
}

fn duration(text: Option<&str>) -> Result<Option<u64>, Fault> {
    text.map(|text| duration_ns("min_duration", text)).transpose()
}

fn invocation_id(text: &str) -> Result<InvocationId, Fault> {
    text.parse().map_err(|error| Fault::bad_request(format!("invocation: {error}")))
}

async fn show(
    State(app): State<App>,
    Caller(ctx): Caller,
    project: Project,
    Path((_, id)): Path<(String, String)>,
) -> Result<Answer<InvocationView>, Fault> {
    let id = invocation_id(&id)?;
    let view = app.node.invocation(&ctx, id).await?;
    match &project.0 {
        Some(project) if project.as_str() != view.row.project => {
            let detail = format!("invocation {id} is not in project '{project}'");
            Err(Fault::new(Code::NotFound, detail))
        }
        _ => Ok(Answer(view)),
    }
}

/// Which invocations to follow, and from where.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct InvocationStream {
    /// The function's name.
    function: Option<String>,
    /// The function's version.
    version: Option<VersionId>,
    /// How they ended: one or several, separated by commas.
    status: Option<String>,
    /// They took at least this long: `250ms`, `1.5s`.
    min_duration: Option<String>,
    /// They handled this event.
    event: Option<EventId>,
    /// Behind this cursor; default: from now on. A `Last-Event-ID` header wins.
    after: Option<String>,
}

async fn follow(
    State(app): State<App>,
    Caller(ctx): Caller,
    project: Project,
    Query(query): Query<InvocationStream>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Fault> {
    let after = sse::resume(&headers, query.after.as_deref())?;
    let filter = InvocationFilter {
        function: query.function,
        version: query.version,
        statuses: statuses(query.status.as_deref())?,
        duration_ns_min: duration(query.min_duration.as_deref())?,
        event: query.event,
        ..invocations_in(&project)
    };
    let rows = app.node.follow_invocations(&ctx, filter, after).await?;
    Ok(sse::stream(&app, "invocation", rows))
}

/// How to replay.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct ReplayQuery {
    /// Insist on comparing the final memory.
    verify: bool,
}

async fn replay(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((_, id)): Path<(String, String)>,
    Query(query): Query<ReplayQuery>,
) -> Result<Answer<ReplayView>, Fault> {
    let options = ReplayOptions { verify: query.verify };
    Ok(Answer(app.node.replay(&ctx, invocation_id(&id)?, options).await?))
}
