//! Events: emit, list, count, search, show, follow.

use axum::Json as Answer;
use axum::extract::{Request, State};
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode};
use nexus_model::view::{Accepted, CountView, EventSearch, EventView, GraphNode, GraphView};
use nexus_model::{
    Code, Event, EventFilter, EventId, InvocationId, Page, TimeRange, Timestamp, limits,
};
use nexus_node::{GraphOptions, PageOptions, Wanted};
use schemars::JsonSchema;
use serde::Deserialize;

use super::caller::{Caller, Reader};
use super::deferred::CancelQuery;
use super::endpoint::Endpoint;
use super::extract::{Path, Project, Query, cursor, name, page_limit, whole};
use super::{App, sse};
use crate::cloudevents;
use crate::fault::Fault;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/api/v1/projects/{project}/events";
    const ONE: &str = "/api/v1/projects/{project}/events/{event}";
    const STREAM: &str = "/api/v1/projects/{project}/events/stream";
    const COUNT: &str = "/api/v1/projects/{project}/events/count";
    const SEARCH: &str = "/api/v1/projects/{project}/events/search";
    const GRAPH: &str = "/api/v1/projects/{project}/events/{event}/graph";
    const CANCEL: &str = "/api/v1/projects/{project}/events/{event}/cancel";
    vec![
        Endpoint::post(ALL, ["event_emit", "Append CloudEvents; 202: they are durable"], emit)
            .scope("emit")
            .query::<EmitQuery>()
            .takes_as::<Event>("application/cloudevents+json")
            .takes_as::<Vec<Event>>("application/cloudevents-batch+json")
            .takes_bytes("*/*")
            .status(202)
            .answers::<Accepted>()
            .fails(&[
                Code::BadEvent,
                Code::SchemaViolated,
                Code::Conflict,
                Code::QueueFull,
                Code::RecordingPressure,
            ]),
        Endpoint::get(ALL, ["event_list", "List events, newest first"], list)
            .query::<EventQuery>()
            .answers::<Page<EventView>>()
            .fails(&[Code::CursorExpired]),
        Endpoint::get(STREAM, ["event_follow", "Follow events as they come"], follow)
            .query::<EventStream>()
            .answers_as::<EventView>("text/event-stream")
            .fails(&[Code::CursorExpired]),
        Endpoint::get(COUNT, ["event_count", "Count events"], count)
            .query::<EventCountQuery>()
            .answers::<CountView>(),
        Endpoint::get(
            SEARCH,
            ["event_search", "Look for events by their data, part by part"],
            search,
        )
        .scope("read-payload")
        .query::<EventSearchQuery>()
        .answers::<EventSearch>()
        .fails(&[Code::CursorExpired]),
        Endpoint::get(GRAPH, ["event_graph", "Show what an event led to"], graph)
            .query::<GraphQuery>()
            .answers::<GraphView>(),
        Endpoint::get(ONE, ["event_show", "Show an event with its data"], show)
            .answers::<EventView>(),
        Endpoint::post(
            CANCEL,
            ["event_cancel", "Stop what an event led to, or take it back before it happens"],
            cancel,
        )
        .scope("invoke")
        .query::<CancelQuery>()
        .answers::<CountView>()
        .fails(&[Code::Conflict]),
    ]
}

/// When the events happen.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct EmitQuery {
    /// At this moment instead of now: they can be taken back until then.
    at: Option<Timestamp>,
}

async fn emit(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(project): Path<String>,
    Query(query): Query<EmitQuery>,
    request: Request,
) -> Result<(StatusCode, Answer<Accepted>), Fault> {
    let (head, body) = request.into_parts();
    let body = whole(body, limits::BATCH_BYTES_MAX).await?;
    let events = cloudevents::parse(&head.headers, body)?;
    let project = name("project", &project)?;
    let accepted = match query.at {
        None => app.node.emit(&ctx, &project, events).await?,
        Some(at) => app.node.schedule(&ctx, &project, (events, at)).await?,
    };
    Ok((StatusCode::ACCEPTED, Answer(accepted)))
}

/// Which events.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct EventQuery {
    /// The type; a trailing `*` matches any ending.
    #[serde(rename = "type")]
    ty: Option<String>,
    /// The source, exactly.
    source: Option<String>,
    /// The subject, exactly.
    subject: Option<String>,
    /// Caused by this invocation.
    cause: Option<InvocationId>,
    /// Accepted at or after this moment.
    since: Option<Timestamp>,
    /// Accepted before this moment.
    until: Option<Timestamp>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// Items on the page.
    limit: Option<usize>,
    /// With data; needs the scope `read-payload`.
    data: bool,
}

async fn list(
    State(app): State<App>,
    Caller(ctx): Caller,
    project: Project,
    Query(query): Query<EventQuery>,
) -> Result<Answer<Page<EventView>>, Fault> {
    let page = PageOptions {
        cursor: cursor(query.cursor.as_deref())?,
        limit: page_limit(query.limit)?,
        data: query.data,
    };
    let filter = EventFilter {
        project: project.text(),
        range: TimeRange { since: query.since, until: query.until },
        ty: query.ty,
        source: query.source,
        subject: query.subject,
        cause: query.cause,
    };
    Ok(Answer(app.node.events(&ctx, filter, page).await?))
}

/// Which events are counted.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct EventCountQuery {
    /// The type; a trailing `*` matches any ending.
    #[serde(rename = "type")]
    ty: Option<String>,
    /// The source, exactly.
    source: Option<String>,
    /// The subject, exactly.
    subject: Option<String>,
    /// Caused by this invocation.
    cause: Option<InvocationId>,
    /// Accepted at or after this moment.
    since: Option<Timestamp>,
    /// Accepted before this moment.
    until: Option<Timestamp>,
}

async fn count(
    State(app): State<App>,
    Caller(ctx): Caller,
    project: Project,
    Query(query): Query<EventCountQuery>,
) -> Result<Answer<CountView>, Fault> {
    let filter = EventFilter {
        project: project.text(),
        range: TimeRange { since: query.since, until: query.until },
        ty: query.ty,
        source: query.source,
        subject: query.subject,
        cause: query.cause,
    };
    Ok(Answer(CountView { count: app.node.count_events(&ctx, filter).await? }))
}

/// Which events, and what their data must have. A search needs `text`, `where` or both.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct EventSearchQuery {
    /// A text, in any case of letters, in the attributes or the data.
    text: Option<String>,
    /// A jq expression over the event in the JSON format of CloudEvents: `.data.total > 100`.
    #[serde(rename = "where")]
    expression: Option<String>,
    /// The type; a trailing `*` matches any ending.
    #[serde(rename = "type")]
    ty: Option<String>,
    /// The source, exactly.
    source: Option<String>,
    /// The subject, exactly.
    subject: Option<String>,
    /// Caused by this invocation.
    cause: Option<InvocationId>,
    /// Accepted at or after this moment.
    since: Option<Timestamp>,
    /// Accepted before this moment.
    until: Option<Timestamp>,
    /// The `next` of the part before.
    cursor: Option<String>,
    /// Hits in the part.
    limit: Option<usize>,
    /// With data.
    data: bool,
}

async fn search(
    State(app): State<App>,
    Caller(ctx): Caller,
    project: Project,
    Query(query): Query<EventSearchQuery>,
) -> Result<Answer<EventSearch>, Fault> {
    let page = PageOptions {
        cursor: cursor(query.cursor.as_deref())?,
        limit: page_limit(query.limit)?,
        data: query.data,
    };
    let filter = EventFilter {
        project: project.text(),
        range: TimeRange { since: query.since, until: query.until },
        ty: query.ty,
        source: query.source,
        subject: query.subject,
        cause: query.cause,
    };
    let wanted = Wanted { text: query.text, expression: query.expression };
    Ok(Answer(app.node.search_events(&ctx, filter, (wanted, page)).await?))
}

/// How far a graph goes.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct GraphQuery {
    /// Steps from the beginning. Default: 10.
    depth: Option<u32>,
    /// Events and invocations in it. Default: 200.
    nodes: Option<usize>,
}

impl GraphQuery {
    pub(super) fn options(&self) -> GraphOptions {
        let default = GraphOptions::default();
        GraphOptions {
            depth: self.depth.unwrap_or(default.depth),
            nodes: self.nodes.unwrap_or(default.nodes),
        }
    }
}

async fn graph(
    State(app): State<App>,
    Caller(ctx): Caller,
    project: Project,
    Path((_, id)): Path<(String, String)>,
    Query(query): Query<GraphQuery>,
) -> Result<Answer<GraphView>, Fault> {
    let id: EventId = id.parse().map_err(|error| Fault::bad_request(format!("event: {error}")))?;
    let view = app.node.event_graph(&ctx, id, query.options()).await?;
    match &project.0 {
        Some(project) if project.as_str() != project_of(&view) => {
            Err(Fault::new(Code::NotFound, format!("event {id} is not in project '{project}'")))
        }
        _ => Ok(Answer(view)),
    }
}

/// The project that everything in a graph belongs to.
pub(super) fn project_of(view: &GraphView) -> &str {
    match view.nodes.first() {
        Some(GraphNode::Event { project, .. } | GraphNode::Invocation { project, .. }) => project,
        _ => "",
    }
}

async fn show(
    State(app): State<App>,
    Caller(ctx): Caller,
    project: Project,
    Path((_, id)): Path<(String, String)>,
) -> Result<Answer<EventView>, Fault> {
    let id: EventId = id.parse().map_err(|error| Fault::bad_request(format!("event: {error}")))?;
    let event = app.node.event(&ctx, id).await?;
    match &project.0 {
        Some(project) if project.as_str() != event.project => {
            Err(Fault::new(Code::NotFound, format!("event {id} is not in project '{project}'")))
        }
        _ => Ok(Answer(event)),
    }
}

/// Answers how many deliveries were stopped.
async fn cancel(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((project, id)): Path<(String, String)>,
    Query(query): Query<CancelQuery>,
) -> Result<Answer<CountView>, Fault> {
    let project = name("project", &project)?;
    let id: EventId = id.parse().map_err(|error| Fault::bad_request(format!("event: {error}")))?;
    let count = app.node.cancel_event(&ctx, (&project, id), &query.reason()).await?;
    Ok(Answer(CountView { count }))
}

/// Which events to follow, and from where.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct EventStream {
    /// The type; a trailing `*` matches any ending.
    #[serde(rename = "type")]
    ty: Option<String>,
    /// The source, exactly.
    source: Option<String>,
    /// The subject, exactly.
    subject: Option<String>,
    /// Caused by this invocation.
    cause: Option<InvocationId>,
    /// Behind this cursor; default: from now on. A `Last-Event-ID` header wins.
    after: Option<String>,
}

async fn follow(
    State(app): State<App>,
    Reader(ctx, reader): Reader,
    project: Project,
    Query(query): Query<EventStream>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Fault> {
    let after = sse::resume(&headers, query.after.as_deref())?;
    let filter = EventFilter {
        project: project.text(),
        ty: query.ty,
        source: query.source,
        subject: query.subject,
        cause: query.cause,
        ..EventFilter::default()
    };
    let events = app.node.follow_events(&ctx, filter, after).await?;
    Ok(sse::live((&app, reader), "event", events))
}
