//! Invocations: list, count, search, show, follow, replay.

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use http::HeaderMap;
use nexus_model::record::{Status, Trigger};
use nexus_model::view::{
    CountView, GraphView, InvocationRow, InvocationSearch, InvocationView, ReplayView,
};
use nexus_model::{
    Code, EventId, InvocationFilter, InvocationId, Page, TimeRange, Timestamp, VersionId,
    parse_trace_id,
};
use nexus_node::{PageOptions, ReplayOptions, Wanted};
use schemars::JsonSchema;
use serde::Deserialize;

use super::caller::{Caller, Reader};
use super::endpoint::Endpoint;
use super::events::GraphQuery;
use super::extract::{
    Path, Project, Query, cursor, duration_ns, invocation_id, invocations_in, page_limit,
};
use super::{App, sse};
use crate::fault::Fault;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/api/v1/projects/{project}/invocations";
    const ONE: &str = "/api/v1/projects/{project}/invocations/{invocation}";
    const STREAM: &str = "/api/v1/projects/{project}/invocations/stream";
    const COUNT: &str = "/api/v1/projects/{project}/invocations/count";
    const SEARCH: &str = "/api/v1/projects/{project}/invocations/search";
    const GRAPH: &str = "/api/v1/projects/{project}/invocations/{invocation}/graph";
    const REPLAY: &str = "/api/v1/projects/{project}/invocations/{invocation}/replay";
    vec![
        Endpoint::get(ALL, ["invocation_list", "List invocations, newest first"], list)
            .query::<InvocationQuery>()
            .answers::<Page<InvocationRow>>()
            .fails(&[Code::CursorExpired]),
        Endpoint::get(STREAM, ["invocation_follow", "Follow invocations as they end"], follow)
            .query::<InvocationStream>()
            .answers_as::<InvocationRow>("text/event-stream")
            .fails(&[Code::CursorExpired]),
        Endpoint::get(COUNT, ["invocation_count", "Count invocations that have ended"], count)
            .query::<InvocationCountQuery>()
            .answers::<CountView>(),
        Endpoint::get(
            SEARCH,
            ["invocation_search", "Look for invocations by their payloads, part by part"],
            search,
        )
        .scope("read-payload")
        .query::<InvocationSearchQuery>()
        .answers::<InvocationSearch>()
        .fails(&[Code::CursorExpired]),
        Endpoint::get(GRAPH, ["invocation_graph", "Show what an invocation led to"], graph)
            .query::<GraphQuery>()
            .answers::<GraphView>(),
        Endpoint::get(ONE, ["invocation_show", "Show everything about an invocation"], show)
            .answers::<InvocationView>(),
        Endpoint::post(
            REPLAY,
            ["invocation_replay", "Run an invocation again against its journal"],
            replay,
        )
        .scope("replay")
        .query::<ReplayQuery>()
        .answers::<ReplayView>()
        .fails(&[Code::NotReplayable, Code::Diverged, Code::BadJournal, Code::Gone]),
    ]
}

/// The conditions on invocations, beside further members: a query is flat, and every member of it
/// must be known.
macro_rules! conditions {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$doc])*
        #[derive(Default, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        struct $name {
            /// The function's name.
            function: Option<String>,
            /// The function's version.
            version: Option<VersionId>,
            /// How they ended: one or several, separated by commas.
            status: Option<String>,
            /// What set them off: `http`, `event`, `invoke`; one or several, separated by commas.
            trigger: Option<String>,
            /// They took at least this long: `250ms`, `1.5s`.
            min_duration: Option<String>,
            /// They took at most this long: `250ms`, `1.5s`.
            max_duration: Option<String>,
            /// Whether their code had to be loaded first.
            cold: Option<bool>,
            /// They belong to this trace: 32 lowercase hexadecimal digits.
            trace: Option<String>,
            /// They handled this event.
            event: Option<EventId>,
            $($(#[$field_doc])* $field: $ty,)*
        }

        impl $name {
            fn conditions(&self, project: &Project) -> Result<InvocationFilter, Fault> {
                let duration = |what, text: &Option<String>| {
                    text.as_deref().map(|text| duration_ns(what, text)).transpose()
                };
                Ok(InvocationFilter {
                    function: self.function.clone(),
                    version: self.version,
                    statuses: words("status", self.status.as_deref(), Status::WORDS, Status::from_word)?,
                    triggers: words("trigger", self.trigger.as_deref(), Trigger::WORDS, Trigger::from_word)?,
                    duration_ns_min: duration("min_duration", &self.min_duration)?,
                    duration_ns_max: duration("max_duration", &self.max_duration)?,
                    cold: self.cold,
                    trace: self.trace.as_deref().map(trace).transpose()?,
                    event: self.event,
                    ..invocations_in(project)
                })
            }
        }
    };
}

conditions! {
    /// Which invocations.
    InvocationQuery {
        /// Accepted at or after this moment.
        since: Option<Timestamp>,
        /// Accepted before this moment.
        until: Option<Timestamp>,
        /// The `next` of the page before.
        cursor: Option<String>,
        /// Items on the page.
        limit: Option<usize>,
    }
}

conditions! {
    /// Which invocations are counted.
    InvocationCountQuery {
        /// Accepted at or after this moment.
        since: Option<Timestamp>,
        /// Accepted before this moment.
        until: Option<Timestamp>,
    }
}

conditions! {
    /// Which invocations, and what their payloads must have. A search needs `text`, `where` or both.
    InvocationSearchQuery {
        /// A text, in any case of letters, in the input, the output, the logs, the failure or
        /// anything else that is shown of an invocation.
        text: Option<String>,
        /// A jq expression over what is shown of an invocation: `.input.body.json.total > 100`.
        #[serde(rename = "where")]
        expression: Option<String>,
        /// Accepted at or after this moment.
        since: Option<Timestamp>,
        /// Accepted before this moment.
        until: Option<Timestamp>,
        /// The `next` of the part before.
        cursor: Option<String>,
        /// Hits in the part.
        limit: Option<usize>,
    }
}

conditions! {
    /// Which invocations to follow, and from where.
    InvocationStream {
        /// Behind this cursor; default: from now on. A `Last-Event-ID` header wins.
        after: Option<String>,
    }
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
    let range = TimeRange { since: query.since, until: query.until };
    let filter = InvocationFilter { range, ..query.conditions(&project)? };
    Ok(Answer(app.node.invocations(&ctx, filter, page).await?))
}

async fn count(
    State(app): State<App>,
    Caller(ctx): Caller,
    project: Project,
    Query(query): Query<InvocationCountQuery>,
) -> Result<Answer<CountView>, Fault> {
    let range = TimeRange { since: query.since, until: query.until };
    let filter = InvocationFilter { range, ..query.conditions(&project)? };
    Ok(Answer(CountView { count: app.node.count_invocations(&ctx, filter).await? }))
}

async fn search(
    State(app): State<App>,
    Caller(ctx): Caller,
    project: Project,
    Query(query): Query<InvocationSearchQuery>,
) -> Result<Answer<InvocationSearch>, Fault> {
    let page = PageOptions {
        cursor: cursor(query.cursor.as_deref())?,
        limit: page_limit(query.limit)?,
        data: false,
    };
    let range = TimeRange { since: query.since, until: query.until };
    let filter = InvocationFilter { range, ..query.conditions(&project)? };
    let wanted = Wanted { text: query.text, expression: query.expression };
    Ok(Answer(app.node.search_invocations(&ctx, filter, (wanted, page)).await?))
}

/// Words of a list in a query, separated by commas.
fn words<T>(
    what: &str,
    text: Option<&str>,
    known: &[&str],
    parse: fn(&str) -> Option<T>,
) -> Result<Vec<T>, Fault> {
    let words = text.into_iter().flat_map(|text| text.split(',')).filter(|word| !word.is_empty());
    words
        .map(|word| {
            parse(word).ok_or_else(|| {
                let known = known.join(", ");
                Fault::bad_request(format!("{what}: '{word}' is none of {known}"))
            })
        })
        .collect()
}

fn trace(text: &str) -> Result<[u8; 16], Fault> {
    parse_trace_id(text).ok_or_else(|| {
        Fault::bad_request(format!("trace: '{text}' is not 32 lowercase hexadecimal digits"))
    })
}

async fn show(
    State(app): State<App>,
    Caller(ctx): Caller,
    project: Project,
    Path((_, id)): Path<(String, String)>,
) -> Result<Answer<InvocationView>, Fault> {
    let id = invocation_id(&id)?;
    let view = app.node.invocation(&ctx, id).await?;
    of_project(&project, &view.row.project, id)?;
    Ok(Answer(view))
}

/// Refuses what lies in another project than the path says.
fn of_project(project: &Project, found: &str, id: InvocationId) -> Result<(), Fault> {
    match &project.0 {
        Some(project) if project.as_str() != found => {
            let detail = format!("invocation {id} is not in project '{project}'");
            Err(Fault::new(Code::NotFound, detail))
        }
        _ => Ok(()),
    }
}

async fn graph(
    State(app): State<App>,
    Caller(ctx): Caller,
    project: Project,
    Path((_, id)): Path<(String, String)>,
    Query(query): Query<GraphQuery>,
) -> Result<Answer<GraphView>, Fault> {
    let id = invocation_id(&id)?;
    let view = app.node.invocation_graph(&ctx, id, query.options()).await?;
    of_project(&project, super::events::project_of(&view), id)?;
    Ok(Answer(view))
}

async fn follow(
    State(app): State<App>,
    Reader(ctx, reader): Reader,
    project: Project,
    Query(query): Query<InvocationStream>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Fault> {
    let after = sse::resume(&headers, query.after.as_deref())?;
    let filter = query.conditions(&project)?;
    let rows = app.node.follow_invocations(&ctx, filter, after).await?;
    Ok(sse::live((&app, reader), "invocation", rows))
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
