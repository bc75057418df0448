//! Asynchronous calls: results, progress, cancellation, signals; and why things are as they are.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::IntoResponse;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use nexus_model::view::{PendingView, ProgressView, WhyView};
use nexus_model::{Code, EventId, InvocationId, Name, limits, units};
use nexus_node::{InvokeInput, ResultOf};
use schemars::JsonSchema;
use serde::Deserialize;

use super::caller::{Caller, Reader};
use super::endpoint::Endpoint;
use super::extract::{Path, Query, invocation_id, name, whole};
use super::invoke::{RESULT_CODES, answer};
use super::{App, Items, Listing, listing, sse};
use crate::fault::{Fault, INVOCATION_HEADER};

pub(super) fn endpoints() -> Vec<Endpoint> {
    const RESULT: &str = "/api/v1/projects/{project}/invocations/{invocation}/result";
    const PROGRESS: &str = "/api/v1/projects/{project}/invocations/{invocation}/progress";
    const CANCEL: &str = "/api/v1/projects/{project}/invocations/{invocation}/cancel";
    const SIGNAL: &str = "/api/v1/projects/{project}/invocations/{invocation}/signals/{signal}";
    const WHY: &str = "/api/v1/projects/{project}/why/{id}";
    vec![
        Endpoint::get(
            RESULT,
            ["invocation_result", "Fetch a result; 202 while there is none"],
            result,
        )
        .scope("read-payload")
        .query::<ResultQuery>()
        .answers_bytes("*/*")
        .answers_as::<PendingView>("application/vnd.nexus.pending+json")
        .also(&[(202, "There is no result yet.")])
        .answers_as_functions_do(RESULT_CODES),
        Endpoint::get(PROGRESS, ["invocation_progress", "Follow how far it says it is"], progress)
            .scope("read-payload")
            .query::<ProgressQuery>()
            .answers_as::<ProgressView>("text/event-stream")
            .fails(&[Code::CursorExpired]),
        Endpoint::post(CANCEL, ["invocation_cancel", "Stop an invocation"], cancel)
            .scope("invoke")
            .query::<CancelQuery>()
            .empty()
            .fails(&[Code::Conflict]),
        Endpoint::post(SIGNAL, ["invocation_signal", "Wake a durable invocation"], signal)
            .scope("invoke")
            .takes_bytes("*/*")
            .status(202)
            .fails(&[Code::Conflict, Code::NotDurable]),
        Endpoint::get(WHY, ["why", "Say why an event or invocation is as it is"], why)
            .answers::<Items<WhyView>>(),
    ]
}

/// How long to wait.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct ResultQuery {
    /// How long to wait for the end, at most 60 s: `30s`.
    wait: Option<String>,
}

type InvocationPath = Path<(String, String)>;

fn ids((project, id): (String, String)) -> Result<(Name, InvocationId), Fault> {
    let id = invocation_id(&id)?;
    Ok((name("project", &project)?, id))
}

async fn result(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(path): InvocationPath,
    Query(query): Query<ResultQuery>,
) -> Result<Response<axum::body::Body>, Fault> {
    let (project, id) = ids(path)?;
    let patience = query.wait.as_deref().map_or(Ok(Duration::ZERO), patience)?;
    match app.node.invocation_result(&ctx, (&project, id), patience).await? {
        ResultOf::Ready(output) => answer(*output),
        ResultOf::Pending(view) => Ok(pending(&view)),
    }
}

/// How long somebody wants to wait for a result.
pub(super) fn patience(text: &str) -> Result<Duration, Fault> {
    let patience = units::parse_duration(text)
        .map_err(|error| Fault::bad_request(format!("wait: {error}")))?;
    if patience > limits::RESULT_WAIT_MAX {
        return Err(Fault::bad_request(format!(
            "wait is {}; the limit is {}",
            units::exact_duration(patience),
            units::exact_duration(limits::RESULT_WAIT_MAX)
        )));
    }
    Ok(patience)
}

/// What there is to say instead of a result.
pub(super) fn pending(view: &PendingView) -> Response<axum::body::Body> {
    let body = serde_json::to_vec(view).unwrap_or_default();
    let mut response = Response::new(axum::body::Body::from(body));
    *response.status_mut() = StatusCode::ACCEPTED;
    let headers = response.headers_mut();
    let media_type = HeaderValue::from_static("application/vnd.nexus.pending+json");
    headers.insert(CONTENT_TYPE, media_type);
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    if let Ok(id) = HeaderValue::from_str(&view.invocation.to_string()) {
        headers.insert(INVOCATION_HEADER, id);
    }
    response
}

/// From where to follow.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct ProgressQuery {
    /// Behind this cursor; default: from now on. A `Last-Event-ID` header wins.
    after: Option<String>,
}

async fn progress(
    State(app): State<App>,
    Reader(ctx, reader): Reader,
    Path(path): InvocationPath,
    Query(query): Query<ProgressQuery>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Fault> {
    let (project, id) = ids(path)?;
    let after = sse::resume(&headers, query.after.as_deref())?;
    let items = app.node.follow_progress(&ctx, (&project, id), after).await?;
    Ok(sse::live((&app, reader), "progress", items))
}

/// Why it is stopped.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CancelQuery {
    /// Kept with the decision.
    reason: Option<String>,
}

impl CancelQuery {
    pub(super) fn reason(self) -> String {
        self.reason.unwrap_or_else(|| "cancelled".to_owned())
    }
}

async fn cancel(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(path): InvocationPath,
    Query(query): Query<CancelQuery>,
) -> Result<StatusCode, Fault> {
    let (project, id) = ids(path)?;
    app.node.cancel_invocation(&ctx, (&project, id), &query.reason()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn signal(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((project, id, signal)): Path<(String, String, String)>,
    request: Request,
) -> Result<StatusCode, Fault> {
    let (project, id) = ids((project, id))?;
    let (head, body) = request.into_parts();
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let input = InvokeInput {
        data: whole(body, limits::SIGNAL_BYTES_MAX).await?,
        content_type: content_type.map(str::to_owned),
        ..InvokeInput::default()
    };
    app.node.signal(&ctx, (&project, id), (&signal, input)).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn why(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((project, id)): Path<(String, String)>,
) -> Listing<WhyView> {
    let project = name("project", &project)?;
    if let Ok(event) = id.parse::<EventId>() {
        return listing(app.node.why_event(&ctx, &project, event).await?);
    }
    let invocation: InvocationId = id.parse().map_err(|_| {
        Fault::bad_request(format!("'{id}' is neither an event (evt_…) nor an invocation (inv_…)"))
    })?;
    listing(vec![app.node.why_invocation(&ctx, &project, invocation).await?])
}
