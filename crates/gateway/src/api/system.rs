//! The server itself: limits, log, health, metrics, and the document of this API.

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use http::header::{CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use nexus_model::limits::Limit;
use nexus_model::{Code, Scope};
use nexus_node::{LogStats, Readiness, VerifyReport};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::caller::Caller;
use super::endpoint::{Access, Endpoint};
use super::{App, Items, Listing, exposition, listing, openapi};
use crate::fault::Fault;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const STATS: &str = "/api/v1/log/stats";
    const VERIFY: &str = "/api/v1/log/verify";
    vec![
        Endpoint::get("/api/v1/limits", ["limit_list", "List every limit"], limits)
            .answers::<Items<Limit>>(),
        Endpoint::get(STATS, ["log_stats", "Show what the log holds"], log_stats)
            .answers::<LogStats>(),
        Endpoint::post(
            VERIFY,
            ["log_verify", "Check the log and the large bodies it refers to"],
            log_verify,
        )
        .scope("admin")
        .answers::<VerifyReport>(),
        Endpoint::get("/api/v1/version", ["version", "Show the server's version"], version)
            .access(Access::Open)
            .answers::<Version>(),
        Endpoint::get("/api/v1/openapi.json", ["openapi", "This document"], document)
            .access(Access::Open)
            .answers::<Value>(),
        Endpoint::get("/healthz", ["healthz", "Whether the process answers"], healthz)
            .access(Access::Open)
            .answers_bytes("text/plain"),
        Endpoint::get(
            "/readyz",
            ["readyz", "Whether functions can be called and calls recorded; 503 if not"],
            readyz,
        )
        .access(Access::Open)
        .answers::<Readiness>()
        .also(&[(503, "Functions cannot be called, or calls not recorded.")]),
        Endpoint::get(
            "/metrics",
            ["metrics", "Metrics for Prometheus, or as OpenMetrics for who asks for that"],
            metrics,
        )
        .access(Access::Metrics)
        .answers_bytes("text/plain")
        .answers_bytes("application/openmetrics-text"),
    ]
}

async fn limits(State(app): State<App>, Caller(_): Caller) -> Listing<Limit> {
    listing(app.node.limits().to_vec())
}

async fn log_stats(
    State(app): State<App>,
    Caller(ctx): Caller,
) -> Result<impl IntoResponse, Fault> {
    Ok(Answer(app.node.log_stats(&ctx).await?))
}

async fn log_verify(
    State(app): State<App>,
    Caller(ctx): Caller,
) -> Result<impl IntoResponse, Fault> {
    Ok(Answer(app.node.log_verify(&ctx).await?))
}

/// The server's version.
#[derive(Serialize, JsonSchema)]
struct Version {
    /// Of the server.
    version: &'static str,
    /// Of the API.
    api: &'static str,
}

async fn version() -> Answer<Version> {
    Answer(Version { version: env!("CARGO_PKG_VERSION"), api: "v1" })
}

async fn document() -> Answer<Value> {
    Answer(openapi())
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(app): State<App>) -> (StatusCode, Answer<Readiness>) {
    let readiness = app.node.ready();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Answer(readiness))
}

async fn metrics(
    State(app): State<App>,
    caller: Result<Caller, Fault>,
    headers: HeaderMap,
) -> Result<(HeaderMap, String), Fault> {
    if !app.metrics_open && !caller?.0.allows(Scope::Read, None) {
        let detail = "metrics need the scope 'read' for every project";
        let hint = "nexus tokens create NAME --scope read --all-projects makes such a token";
        return Err(Fault::new(Code::Forbidden, detail).hint(hint));
    }
    let format = exposition::wanted(&headers);
    let headers = HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static(format.content_type())),
        (VARY, HeaderValue::from_static("accept")),
    ]);
    Ok((headers, app.node.metrics_text(format).await?))
}
