//! What handlers take besides the caller: path and query, bodies. Everything that is wrong becomes a
//! [`Fault`].

use axum::extract::{FromRequest, FromRequestParts, Query as AxumQuery, Request};
use axum::extract::{Path as AxumPath, RawPathParams};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use nexus_model::{Cursor, InvocationFilter, InvocationId, Name, limits, units};
use serde::de::DeserializeOwned;

use super::App;
use crate::body::collect;
use crate::fault::Fault;

/// Query parameters.
pub(super) struct Query<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        match AxumQuery::<T>::try_from_uri(&parts.uri) {
            Ok(AxumQuery(query)) => Ok(Query(query)),
            Err(rejection) => {
                let reason = std::error::Error::source(&rejection)
                    .map_or_else(|| rejection.to_string(), ToString::to_string);
                Err(Fault::bad_request(format!("the query is wrong: {reason}")))
            }
        }
    }
}

/// Parts of the path.
pub(super) struct Path<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        match AxumPath::<T>::from_request_parts(parts, state).await {
            Ok(AxumPath(path)) => Ok(Path(path)),
            Err(rejection) => Err(Fault::bad_request(rejection.body_text())),
        }
    }
}

/// The project of the path; `None` for `-`, which means all of them.
pub(super) struct Project(pub(super) Option<Name>);

impl<S: Send + Sync> FromRequestParts<S> for Project {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Fault::bad_request(rejection.body_text()))?;
        match params.iter().find(|(name, _)| *name == "project") {
            None | Some((_, "-")) => Ok(Project(None)),
            Some((_, project)) => name("project", project).map(|project| Project(Some(project))),
        }
    }
}

impl Project {
    /// The project as filters have it.
    pub(super) fn text(&self) -> Option<String> {
        self.0.as_ref().map(ToString::to_string)
    }
}

/// An invocation's id in a path.
pub(super) fn invocation_id(text: &str) -> Result<InvocationId, Fault> {
    text.parse().map_err(|error| Fault::bad_request(format!("invocation: {error}")))
}

/// A name in a path or query; `what` says which.
pub(super) fn name(what: &str, text: &str) -> Result<Name, Fault> {
    Name::new(text).map_err(|error| Fault::bad_request(format!("{what}: {error}")))
}

/// A JSON body of at most [`limits::RESOURCE_BYTES_MAX`].
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &App) -> Result<Self, Fault> {
        let media_type = essence(request.headers());
        if !media_type.is_empty()
            && media_type != "application/json"
            && !media_type.ends_with("+json")
        {
            return Err(unsupported(&media_type, "application/json"));
        }
        let body = whole(request.into_body(), limits::RESOURCE_BYTES_MAX).await?;
        serde_json::from_slice(&body)
            .map(Json)
            .map_err(|error| Fault::bad_request(format!("the body is not valid: {error}")))
    }
}

/// Reads a whole body.
pub(super) async fn whole(body: axum::body::Body, limit: usize) -> Result<Bytes, Fault> {
    collect(body, limit, "the request body").await
}

/// The media type without its parameters, in lowercase; empty where there is none.
pub(super) fn essence(headers: &http::HeaderMap) -> String {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|essence| essence.trim().to_ascii_lowercase())
        .unwrap_or_default()
}

pub(super) fn unsupported(found: &str, accepted: &str) -> Fault {
    let found = if found.is_empty() { "no media type" } else { found };
    Fault::new(
        nexus_model::Code::UnsupportedMediaType,
        format!("the body is {found}; accepted here: {accepted}"),
    )
}

/// A cursor from a query or a `Last-Event-ID`.
pub(super) fn cursor(text: Option<&str>) -> Result<Option<Cursor>, Fault> {
    text.filter(|text| !text.is_empty())
        .map(str::parse::<Cursor>)
        .transpose()
        .map_err(|error| Fault::bad_request(error.to_string()))
}

/// How many items: at most [`limits::PAGE_ITEMS_MAX`].
pub(super) fn page_limit(limit: Option<usize>) -> Result<usize, Fault> {
    match limit {
        None => Ok(limits::PAGE_ITEMS_DEFAULT),
        Some(limit) if (1..=limits::PAGE_ITEMS_MAX).contains(&limit) => Ok(limit),
        Some(limit) => Err(Fault::bad_request(format!(
            "limit is {limit}; it must lie between 1 and {}",
            limits::PAGE_ITEMS_MAX
        ))),
    }
}

/// A duration such as `250ms`, `1.5s`, `2m`, `36h` or `7d`, in nanoseconds.
pub(super) fn duration_ns(what: &str, text: &str) -> Result<u64, Fault> {
    let duration = units::parse_duration(text)
        .map_err(|error| Fault::bad_request(format!("{what}: {error}")))?;
    Ok(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

/// An empty filter of invocations in a project.
pub(super) fn invocations_in(project: &Project) -> InvocationFilter {
    InvocationFilter { project: project.text(), ..InvocationFilter::default() }
}
