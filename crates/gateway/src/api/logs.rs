//! What functions wrote.

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use http::HeaderMap;
use nexus_model::view::LogView;
use nexus_model::{Code, Page, Timestamp};
use nexus_node::{LogFilter, LogPlace};
use schemars::JsonSchema;
use serde::Deserialize;

use super::caller::{Caller, Reader};
use super::endpoint::Endpoint;
use super::extract::{Project, Query, name, page_limit};
use super::{App, sse};
use crate::fault::Fault;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/api/v1/projects/{project}/logs";
    const STREAM: &str = "/api/v1/projects/{project}/logs/stream";
    vec![
        Endpoint::get(ALL, ["log_list", "Show the newest log lines, oldest first"], list)
            .scope("read-payload")
            .query::<LogQuery>()
            .answers::<Page<LogView>>()
            .fails(&[Code::CursorExpired]),
        Endpoint::get(STREAM, ["log_follow", "Follow log lines as invocations end"], follow)
            .scope("read-payload")
            .query::<LogStream>()
            .answers_as::<LogView>("text/event-stream")
            .fails(&[Code::CursorExpired]),
    ]
}

/// Which log lines.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct LogQuery {
    /// The function's name.
    function: Option<String>,
    /// Of invocations accepted at or after this moment.
    since: Option<Timestamp>,
    /// Only lines written before this moment.
    until: Option<Timestamp>,
    /// How many lines: 1 to 1000.
    limit: Option<usize>,
    /// `next` of the page before: with older lines.
    cursor: Option<String>,
}

async fn list(
    State(app): State<App>,
    Caller(ctx): Caller,
    project: Project,
    Query(query): Query<LogQuery>,
) -> Result<Answer<Page<LogView>>, Fault> {
    let filter = filter(project, query.function.as_deref(), (query.since, query.until))?;
    let from = query.cursor.filter(|text| !text.is_empty());
    let from = from.map(|text| text.parse::<LogPlace>()).transpose();
    let from = from.map_err(|error| Fault::bad_request(error.to_string()))?;
    Ok(Answer(app.node.logs(&ctx, filter, (from, page_limit(query.limit)?)).await?))
}

fn filter(
    project: Project,
    function: Option<&str>,
    (since, until): (Option<Timestamp>, Option<Timestamp>),
) -> Result<LogFilter, Fault> {
    let function = function.map(|function| name("function", function)).transpose()?;
    Ok(LogFilter { project: project.0, function, since, until })
}

/// Which log lines to follow, and from where.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct LogStream {
    /// The function's name.
    function: Option<String>,
    /// Behind this cursor; default: from now on. A `Last-Event-ID` header wins.
    after: Option<String>,
}

async fn follow(
    State(app): State<App>,
    Reader(ctx, reader): Reader,
    project: Project,
    Query(query): Query<LogStream>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Fault> {
    let after = sse::resume(&headers, query.after.as_deref())?;
    let filter = filter(project, query.function.as_deref(), (None, None))?;
    let lines = app.node.follow_logs(&ctx, filter, after).await?;
    Ok(sse::live((&app, reader), "log", lines))
}
