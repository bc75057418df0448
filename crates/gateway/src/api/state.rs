//! State of functions: look at it, change it.
//!
//! Keys may hold any text, also slashes and dots, so they are query parameters, never a part of the
//! path.

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};
use nexus_model::view::{
    StateClearedView, StateKeyView, StateNamespaceView, StateSetView, StreamEventView, StreamView,
};
use nexus_model::{Code, Name, Page, limits};
use nexus_node::{StatePlace, StateQuery, StateSpace, StreamQuery, value_view};
use schemars::JsonSchema;
use serde::Deserialize;

use super::App;
use super::caller::Caller;
use super::endpoint::Endpoint;
use super::extract::{Path, Query, name, page_limit};
use crate::body::collect;
use crate::fault::Fault;

/// The version of a value that is answered as it is.
const VERSION: HeaderName = HeaderName::from_static("nexus-state-version");

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ALL: &str = "/api/v1/projects/{project}/state";
    const KEYS: &str = "/api/v1/projects/{project}/state/keys";
    const KEY: &str = "/api/v1/projects/{project}/state/key";
    const STREAMS: &str = "/api/v1/projects/{project}/state/streams";
    const STREAM: &str = "/api/v1/projects/{project}/state/stream";
    vec![
        Endpoint::get(ALL, ["state_list", "List where functions keep state"], list)
            .query::<SpacesQuery>()
            .answers::<Page<StateNamespaceView>>(),
        Endpoint::delete(ALL, ["state_clear", "Delete all keys and streams of a namespace"], clear)
            .scope("write")
            .query::<ClearQuery>()
            .status(200)
            .answers::<StateClearedView>(),
        Endpoint::get(KEYS, ["state_key_list", "List keys of a namespace, by key"], keys)
            .scope("read-payload")
            .query::<KeysQuery>()
            .answers::<Page<StateKeyView>>(),
        Endpoint::get(KEY, ["state_key_show", "Show the value of a key with its version"], show)
            .scope("read-payload")
            .query::<ShowQuery>()
            .answers::<StateKeyView>()
            .answers_bytes("application/octet-stream"),
        Endpoint::put(KEY, ["state_key_set", "Give a key a new value: the body"], set)
            .scope("write")
            .query::<KeyQuery>()
            .takes_bytes("*/*")
            .answers::<StateSetView>()
            .fails(&[Code::Conflict]),
        Endpoint::delete(KEY, ["state_key_delete", "Delete a key"], delete)
            .scope("write")
            .query::<KeyQuery>()
            .fails(&[Code::Conflict]),
        Endpoint::get(STREAMS, ["state_stream_list", "List streams of a namespace"], streams)
            .scope("read-payload")
            .query::<StreamsQuery>()
            .answers::<Page<StreamView>>(),
        Endpoint::get(STREAM, ["state_stream_read", "Read a stream, oldest event first"], read)
            .scope("read-payload")
            .query::<ReadQuery>()
            .answers::<Page<StreamEventView>>(),
        Endpoint::delete(STREAM, ["state_stream_delete", "Delete a stream"], delete_stream)
            .scope("write")
            .query::<StreamNameQuery>()
            .status(200)
            .answers::<StateClearedView>(),
    ]
}

/// The namespace of a query: one of the two is given.
fn space(function: Option<String>, shared: Option<String>) -> Result<StateSpace, Fault> {
    match (function, shared) {
        (Some(function), None) => Ok(StateSpace::Function(name("function", &function)?)),
        (None, Some(shared)) => Ok(StateSpace::Shared(shared)),
        (None, None) => Err(Fault::bad_request("the query names no namespace").hint(
            "add ?function= for what a function has alone, or ?shared= for what functions share",
        )),
        (Some(_), Some(_)) => {
            Err(Fault::bad_request("the query names a function and a shared namespace")
                .hint("it is one of the two: what a function has alone, or what functions share"))
        }
    }
}

/// A page of namespaces.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct SpacesQuery {
    /// The `next` of the page before.
    cursor: Option<String>,
    /// Items on the page.
    limit: Option<usize>,
}

async fn list(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(project): Path<String>,
    Query(query): Query<SpacesQuery>,
) -> Result<Answer<Page<StateNamespaceView>>, Fault> {
    let project = name("project", &project)?;
    let page = (query.cursor.as_deref(), page_limit(query.limit)?);
    Ok(Answer(app.node.state_namespaces(&ctx, &project, page).await?))
}

/// Which namespace, and that all of it is meant.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct ClearQuery {
    /// What this function has alone.
    function: Option<String>,
    /// What functions share under this name.
    shared: Option<String>,
    /// All of it: must be stated.
    all: bool,
}

async fn clear(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(project): Path<String>,
    Query(query): Query<ClearQuery>,
) -> Result<Answer<StateClearedView>, Fault> {
    let (project, space) = (name("project", &project)?, space(query.function, query.shared)?);
    if !query.all {
        return Err(Fault::bad_request("this deletes all keys and streams of the namespace")
            .hint("add &all=true when that is meant; …/state/key?key= deletes one key"));
    }
    Ok(Answer(app.node.clear_state(&ctx, (&project, &space), None).await?))
}

/// Which keys.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct KeysQuery {
    /// Of what this function has alone.
    function: Option<String>,
    /// Of what functions share under this name.
    shared: Option<String>,
    /// That begin with this.
    prefix: String,
    /// With values; the page ends when they are `state-read-bytes-max` together.
    values: bool,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// Items on the page.
    limit: Option<usize>,
}

async fn keys(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(project): Path<String>,
    Query(query): Query<KeysQuery>,
) -> Result<Answer<Page<StateKeyView>>, Fault> {
    let (project, space) = (name("project", &project)?, space(query.function, query.shared)?);
    let wanted = StateQuery {
        prefix: query.prefix,
        cursor: query.cursor,
        limit: page_limit(query.limit)?,
        values: query.values,
    };
    Ok(Answer(app.node.state_keys(&ctx, (&project, &space), wanted).await?))
}

/// Which key, and how its value is answered.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ShowQuery {
    /// Of what this function has alone.
    function: Option<String>,
    /// Of what functions share under this name.
    shared: Option<String>,
    /// The key.
    key: String,
    /// The bytes as they are, with the version in the header `nexus-state-version`.
    #[serde(default)]
    raw: bool,
}

async fn show(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(project): Path<String>,
    Query(query): Query<ShowQuery>,
) -> Result<Response, Fault> {
    let (project, space) = (name("project", &project)?, space(query.function, query.shared)?);
    let place = StatePlace { project: &project, space: &space, key: &query.key };
    let (version, value) = app.node.state_value(&ctx, place).await?;
    if query.raw {
        let bytes = HeaderValue::from_static("application/octet-stream");
        let headers = [(CONTENT_TYPE, bytes), (VERSION, HeaderValue::from(version))];
        return Ok((headers, value).into_response());
    }
    let (bytes, value) = (value.len() as u64, value_view(&value));
    Ok(Answer(StateKeyView { key: query.key, version, bytes, value }).into_response())
}

/// Which key, and what guards the change.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KeyQuery {
    /// Of what this function has alone.
    function: Option<String>,
    /// Of what functions share under this name.
    shared: Option<String>,
    /// The key.
    key: String,
    /// Only when this is still the key's version; 0: only when the key does not exist.
    version: Option<u64>,
}

async fn set(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(project): Path<String>,
    Query(query): Query<KeyQuery>,
    body: axum::body::Body,
) -> Result<Answer<StateSetView>, Fault> {
    let (project, space) = (name("project", &project)?, space(query.function, query.shared)?);
    let place = StatePlace { project: &project, space: &space, key: &query.key };
    let value = collect(body, limits::STATE_VALUE_BYTES_MAX, "the value").await?;
    let version = app.node.set_state(&ctx, place, (value, query.version)).await?;
    Ok(Answer(StateSetView { version }))
}

async fn delete(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(project): Path<String>,
    Query(query): Query<KeyQuery>,
) -> Result<StatusCode, Fault> {
    let (project, space) = (name("project", &project)?, space(query.function, query.shared)?);
    let place = StatePlace { project: &project, space: &space, key: &query.key };
    app.node.delete_state(&ctx, place, query.version).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which streams.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct StreamsQuery {
    /// Of what this function has alone.
    function: Option<String>,
    /// Of what functions share under this name.
    shared: Option<String>,
    /// Whose names begin with this.
    prefix: String,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// Items on the page.
    limit: Option<usize>,
}

async fn streams(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(project): Path<String>,
    Query(query): Query<StreamsQuery>,
) -> Result<Answer<Page<StreamView>>, Fault> {
    let (project, space) = (name("project", &project)?, space(query.function, query.shared)?);
    let wanted = StateQuery {
        prefix: query.prefix,
        cursor: query.cursor,
        limit: page_limit(query.limit)?,
        values: false,
    };
    Ok(Answer(app.node.state_streams(&ctx, (&project, &space), wanted).await?))
}

/// Which events of a stream.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReadQuery {
    /// Of what this function has alone.
    function: Option<String>,
    /// Of what functions share under this name.
    shared: Option<String>,
    /// The stream's name.
    stream: String,
    /// Behind the event with this version; 0, the default, reads from the beginning.
    #[serde(default)]
    after_version: u64,
    /// The `next` of the page before; it goes before `after_version`.
    #[serde(default)]
    cursor: Option<String>,
    /// Items on the page; it ends when they are `state-read-bytes-max` together.
    #[serde(default)]
    limit: Option<usize>,
}

async fn read(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(project): Path<String>,
    Query(query): Query<ReadQuery>,
) -> Result<Answer<Page<StreamEventView>>, Fault> {
    let (project, space) = (name("project", &project)?, space(query.function, query.shared)?);
    let place = StatePlace { project: &project, space: &space, key: &query.stream };
    let wanted = StreamQuery {
        after: query.after_version,
        cursor: query.cursor,
        limit: page_limit(query.limit)?,
    };
    Ok(Answer(app.node.state_stream(&ctx, place, wanted).await?))
}

/// Which stream.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StreamNameQuery {
    /// Of what this function has alone.
    function: Option<String>,
    /// Of what functions share under this name.
    shared: Option<String>,
    /// The stream's name.
    stream: String,
}

async fn delete_stream(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path(project): Path<String>,
    Query(query): Query<StreamNameQuery>,
) -> Result<Answer<StateClearedView>, Fault> {
    let (project, space) = (name("project", &project)?, space(query.function, query.shared)?);
    let (project, space): (&Name, &StateSpace) = (&project, &space);
    Ok(Answer(app.node.clear_state(&ctx, (project, space), Some(&query.stream)).await?))
}
