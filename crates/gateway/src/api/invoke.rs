//! Direct calls of functions.

use axum::extract::{Request, State};
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST, LOCATION, SET_COOKIE, TE,
    TRAILER,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use nexus_model::{Code, InvocationId, Name, limits};
use nexus_node::{InvokeInput, InvokeOutput, Later};
use schemars::JsonSchema;

use super::App;
use super::caller::Caller;
use super::deferred::{patience, pending};
use super::endpoint::Endpoint;
use super::extract::{Path, Query, name, whole};
use crate::fault::{Fault, INVOCATION_HEADER};
use crate::ingress::drop_hop_by_hop;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const INVOKE: &str = "/api/v1/projects/{project}/functions/{function}/invoke";
    vec![
        Endpoint::post(
            INVOKE,
            ["function_invoke", "Call a function; wait for its answer, or get 202 and its id"],
            invoke,
        )
        .scope("invoke")
        .query::<InvokeQuery>()
        .takes_bytes("*/*")
        .answers_bytes("*/*")
        .also(&[(
            202,
            "With `async`: it is durable, and `location` leads to the result. With `wait`, too: it \
             has not ended within that time, as `application/vnd.nexus.pending+json`.",
        )])
        .answers_as_functions_do(RESULT_CODES),
    ]
}

/// How a call can fail that was understood.
pub(super) const RESULT_CODES: &[Code] = &[
    Code::GuestTrapped,
    Code::GuestFailed,
    Code::GuestRefused,
    Code::GuestTimedOut,
    Code::GuestOutOfMemory,
    Code::GuestNoAnswer,
    Code::Cancelled,
    Code::OutputTooLarge,
    Code::Crashed,
    Code::CallTooDeep,
    Code::JournalTooLarge,
    Code::GoesOn,
    Code::Conflict,
    Code::Overloaded,
    Code::Throttled,
    Code::RecordingPressure,
    Code::QueueFull,
    Code::BreakerOpen,
];

/// How to call; the body is the request body, the event's data or the standard input.
#[derive(Default, JsonSchema)]
struct InvokeQuery {
    /// For HTTP functions: the method. Default: `POST`.
    method: Option<String>,
    /// For HTTP functions: path and query. Default: `/`.
    path: Option<String>,
    /// For commands: an argument; may be repeated.
    #[schemars(default)]
    argument: Vec<String>,
    /// `true`: do not wait. 202, and `location` leads to the result.
    #[schemars(rename = "async", default)]
    later: bool,
    /// With `async`: how long to wait for the end all the same, at most 60 s: `30s`. If it ends in
    /// time, the answer is the result.
    wait: Option<String>,
    /// The version that runs instead of the live one: a number, an id, a label, an own name, `latest`.
    /// Not with `async`.
    version: Option<String>,
}

impl InvokeQuery {
    fn read(pairs: Vec<(String, String)>) -> Result<Self, Fault> {
        let mut query = InvokeQuery::default();
        for (name, value) in pairs {
            match name.as_str() {
                "method" => query.method = Some(value),
                "path" => query.path = Some(value),
                "argument" => query.argument.push(value),
                "async" => {
                    query.later = value.parse().map_err(|_| {
                        Fault::bad_request(format!("async: '{value}' is neither true nor false"))
                    })?;
                }
                "wait" => query.wait = Some(value),
                "version" => query.version = Some(value),
                other => {
                    return Err(Fault::bad_request(format!(
                        "the query is wrong: unknown field '{other}', expected one of 'method', \
                         'path', 'argument', 'async', 'wait', 'version'"
                    )));
                }
            }
        }
        if query.wait.is_some() && !query.later {
            let detail = "'wait' belongs to 'async=true': other calls are waited for anyway";
            return Err(Fault::bad_request(detail));
        }
        if query.version.is_some() && query.later {
            let detail = "'version' does not belong to 'async=true': the live version runs then";
            return Err(Fault::bad_request(detail));
        }
        Ok(query)
    }
}

async fn invoke(
    State(app): State<App>,
    Caller(ctx): Caller,
    Path((project, function)): Path<(String, String)>,
    Query(query): Query<Vec<(String, String)>>,
    request: Request,
) -> Result<Response<axum::body::Body>, Fault> {
    let (project, function) = (name("project", &project)?, name("function", &function)?);
    let query = InvokeQuery::read(query)?;
    let later = query.later;
    let wait = query.wait.as_deref().map(patience).transpose()?;
    let input = input(query, request).await?;
    if let Some(patience) = wait {
        let called = (&project, &function);
        return match app.node.invoke_waited(&ctx, called, (input, patience)).await? {
            Later::Ended(output) => answer(*output),
            Later::GoesOn(view) => with_result(pending(&view), &project, view.invocation),
        };
    }
    if later {
        let id = app.node.invoke_async(&ctx, (&project, &function), input).await?;
        return accepted(&project, id);
    }
    answer(app.node.invoke(&ctx, &project, &function, input).await?)
}

async fn input(query: InvokeQuery, request: Request) -> Result<InvokeInput, Fault> {
    let (head, body) = request.into_parts();
    let method = query.method.map(|method| {
        Method::from_bytes(method.as_bytes())
            .map_err(|_| Fault::bad_request(format!("method: '{method}' is not an HTTP method")))
    });
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    Ok(InvokeInput {
        data: whole(body, limits::REQUEST_BODY_BYTES_MAX).await?,
        content_type: content_type.map(str::to_owned),
        method: method.transpose()?,
        path: query.path,
        headers: end_to_end(head.headers),
        arguments: query.argument,
        version: query.version,
    })
}

/// Headers of this call that are meant for the API, not for the function.
const OWN: [HeaderName; 10] = [
    AUTHORIZATION,
    COOKIE,
    HOST,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    EXPECT,
    TE,
    TRAILER,
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("nexus-csrf"),
];

/// Headers of a function's answer that would speak for the origin of the API.
const OF_ORIGIN: [HeaderName; 6] = [
    SET_COOKIE,
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("strict-transport-security"),
    HeaderName::from_static("access-control-allow-origin"),
    HeaderName::from_static("access-control-allow-credentials"),
    HeaderName::from_static("service-worker-allowed"),
];

fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    drop_hop_by_hop(&mut headers);
    for name in &OWN {
        headers.remove(name);
    }
    headers
}

/// 202: durable, not run.
fn accepted(project: &Name, id: InvocationId) -> Result<Response<axum::body::Body>, Fault> {
    let internal = |_| Fault::new(nexus_model::Code::Internal, "the answer cannot be sent");
    let body = serde_json::to_vec(&AcceptedCall { invocation: id }).unwrap_or_default();
    let mut response = Response::new(axum::body::Body::from(body));
    *response.status_mut() = StatusCode::ACCEPTED;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let named = HeaderValue::from_str(&id.to_string()).map_err(internal)?;
    headers.insert(INVOCATION_HEADER, named);
    with_result(response, project, id)
}

/// Says where the result will be.
fn with_result(
    mut response: Response<axum::body::Body>,
    project: &Name,
    id: InvocationId,
) -> Result<Response<axum::body::Body>, Fault> {
    let internal = |_| Fault::new(nexus_model::Code::Internal, "the answer cannot be sent");
    let result = format!("/api/v1/projects/{project}/invocations/{id}/result");
    let place = HeaderValue::from_str(&result).map_err(internal)?;
    response.headers_mut().insert(LOCATION, place);
    Ok(response)
}

/// A call that was accepted.
#[derive(serde::Serialize)]
struct AcceptedCall {
    invocation: InvocationId,
}

pub(super) fn answer(output: InvokeOutput) -> Result<Response<axum::body::Body>, Fault> {
    let internal = |_| Fault::new(nexus_model::Code::Internal, "the answer cannot be sent");
    let mut headers = output.headers;
    drop_hop_by_hop(&mut headers);
    // Its length is that of the body below.
    headers.remove(CONTENT_LENGTH);
    for name in &OF_ORIGIN {
        headers.remove(name);
    }
    // An event function that returned events and nothing else: the events are the answer.
    let (body, content_type) = if output.body.is_empty() && !output.events.is_empty() {
        let batch = serde_json::to_vec(&output.events).unwrap_or_default();
        (batch.into(), "application/cloudevents-batch+json".to_owned())
    } else {
        (output.body, output.content_type)
    };
    if !content_type.is_empty() && !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(&content_type).map_err(internal)?);
    }
    let id = HeaderValue::from_str(&output.invocation.to_string()).map_err(internal)?;
    headers.insert(INVOCATION_HEADER, id);
    let mut response = Response::new(axum::body::Body::from(body));
    *response.status_mut() = output
        .http_status
        .and_then(|status| StatusCode::from_u16(status).ok())
        .unwrap_or(StatusCode::OK);
    *response.headers_mut() = headers;
    Ok(response)
}
