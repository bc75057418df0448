//! The API for people and tools: one table of endpoints, one file per resource.
//!
//! ```text
//! request ─► id ─► router ─► extract: caller, path, body ─► one call of the node ─► convert ─► headers
//! ```

mod caller;
mod cases;
mod dead_letters;
mod debug;
mod deferred;
mod endpoint;
mod events;
mod exposition;
mod extract;
mod functions;
mod invocations;
mod invoke;
mod logs;
mod openapi;
mod projects;
mod replays;
mod resources;
mod schedules;
mod schemas;
mod secrets;
mod session;
mod sse;
mod state;
mod stats;
mod system;
mod tokens;
mod triggers;
mod versions;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request as AxumRequest, State};
use axum::response::Response as AxumResponse;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use nexus_model::Code;
use nexus_node::Node;
use nexus_observe::{Listener, Metrics};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use self::caller::Arrival;
use self::endpoint::Endpoint;
use crate::body::{BodyLimits, Outcome, guard};
use crate::console::{self, IsPage, Pages};
use crate::cookie::SessionCookie;
use crate::denied::Doorkeeper;
use crate::fault::Fault;
use crate::ingress::well_formed;
use crate::request::RequestIds;
use crate::server::{Body, Handler, Peer};

pub use self::openapi::openapi;

/// What handlers work with. Cheap to clone: it is, several times for each request.
#[derive(Clone)]
struct App(Arc<AppParts>);

struct AppParts {
    node: Arc<Node>,
    /// Struck when the server begins to stop: live streams end then.
    closing: CancellationToken,
    console: Pages,
    cookie: SessionCookie,
    /// `/metrics` needs no token.
    metrics_open: bool,
}

impl std::ops::Deref for App {
    type Target = AppParts;

    fn deref(&self) -> &AppParts {
        &self.0
    }
}

/// Every endpoint of the API.
fn endpoints() -> Vec<Endpoint> {
    [
        projects::endpoints(),
        functions::endpoints(),
        versions::endpoints(),
        invoke::endpoints(),
        events::endpoints(),
        schedules::endpoints(),
        dead_letters::endpoints(),
        invocations::endpoints(),
        replays::endpoints(),
        cases::endpoints(),
        debug::endpoints(),
        deferred::endpoints(),
        triggers::endpoints(),
        schemas::endpoints(),
        logs::endpoints(),
        secrets::endpoints(),
        state::endpoints(),
        resources::endpoints(),
        tokens::endpoints(),
        session::endpoints(),
        stats::endpoints(),
        system::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Serves the API.
pub(crate) struct Api {
    router: Router,
    ids: RequestIds,
    metrics: Metrics,
    doorkeeper: Doorkeeper,
    strict_transport: bool,
    body_timeout: Duration,
}

/// How the API is served.
pub(crate) struct ApiOptions {
    pub(crate) metrics: Metrics,
    pub(crate) body_timeout: Duration,
    /// `/metrics` needs no token.
    pub(crate) metrics_open: bool,
    pub(crate) closing: CancellationToken,
    pub(crate) console: Pages,
    /// Where it listens.
    pub(crate) port: u16,
    /// Browsers are told to come over TLS only.
    pub(crate) strict_transport: bool,
}

impl Api {
    pub(crate) fn new(node: Arc<Node>, options: ApiOptions) -> Self {
        let app = App(Arc::new(AppParts {
            node,
            closing: options.closing,
            console: options.console,
            cookie: SessionCookie::new(options.port),
            metrics_open: options.metrics_open,
        }));
        let mut router = Router::new();
        for endpoint in endpoints() {
            router = router.route(endpoint.path, endpoint.handler);
        }
        let router = router
            .fallback(elsewhere)
            .method_not_allowed_fallback(method_not_allowed)
            .layer(DefaultBodyLimit::disable())
            .with_state(app);
        Api {
            router,
            ids: RequestIds::default(),
            doorkeeper: Doorkeeper::new(options.metrics.clone(), Listener::Admin),
            metrics: options.metrics,
            strict_transport: options.strict_transport,
            body_timeout: options.body_timeout,
        }
    }
}

impl Handler for Api {
    async fn handle(self: Arc<Self>, peer: &Peer, request: Request<Incoming>) -> Response<Body> {
        let started = Instant::now();
        let request_id = self.ids.of(request.headers());
        let bounds = BodyLimits { bytes_max: usize::MAX, timeout: self.body_timeout };
        let mut request = guard(request, bounds, &Outcome::default());
        let mut strict = false;
        let mut response = match well_formed(&mut request) {
            Err(fault) => fault.into_response(&request_id),
            Ok(host) => {
                strict = self.strict_transport && peer.secure && !is_localhost(host.as_deref());
                let mut request = request.map(axum::body::Body::new);
                let arrival = Arrival { request_id: Arc::clone(&request_id), secure: peer.secure };
                request.extensions_mut().insert(arrival);
                let answered = self.router.clone().oneshot(request).await;
                let answered = answered.unwrap_or_else(|never| match never {});
                if let Some(fault) = answered.extensions().get::<Fault>() {
                    self.doorkeeper.saw(fault, peer.ip, &request_id);
                }
                finish(answered, &request_id)
            }
        };
        if strict {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, STRICT);
        }
        self.metrics.http(Listener::Admin).answered(response.status().as_u16(), started.elapsed());
        secured(response, &request_id)
    }
}

/// For a year, and for this host only: others below it are not ours to speak for.
const STRICT: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Names under which everybody's own machine answers, on many ports and mostly without TLS.
fn is_localhost(host: Option<&str>) -> bool {
    let host = host.unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_end_matches('.');
    let last = name.rsplit('.').next().unwrap_or_default();
    last.eq_ignore_ascii_case("localhost")
}

/// Makes the document of a fault that a handler answered with.
fn finish(mut response: AxumResponse, request_id: &str) -> Response<Body> {
    match response.extensions_mut().remove::<Fault>() {
        None => response.map(|body| body.map_err(Into::into).boxed_unsync()),
        Some(fault) => {
            let mut answer = fault.into_response(request_id);
            if let Some(allow) = response.headers_mut().remove(ALLOW) {
                answer.headers_mut().insert(ALLOW, allow);
            }
            answer
        }
    }
}

/// Headers of every answer. What a function answers through the API is under them as well: it must
/// not become a page of this origin. Pages of the console have a policy that lets them work.
fn secured(mut response: Response<Body>, request_id: &str) -> Response<Body> {
    let policy = match response.extensions().get::<IsPage>() {
        Some(IsPage(policy)) => policy,
        None => "default-src 'none'; frame-ancestors 'none'; sandbox",
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CONTENT_SECURITY_POLICY, policy),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-request-id", id);
    }
    response
}

/// What is no endpoint: a page of the console, or nothing.
async fn elsewhere(State(app): State<App>, request: AxumRequest) -> Result<AxumResponse, Fault> {
    if let Some(page) = console::page(app.console, &request) {
        return Ok(page);
    }
    let detail = format!("{} is no path of this API", request.uri().path());
    Err(Fault::new(Code::NotFound, detail).hint("the paths are listed at /api/v1/openapi.json"))
}

async fn method_not_allowed(request: AxumRequest) -> Fault {
    let detail = format!("{} does not answer {}", request.uri().path(), request.method());
    Fault::new(Code::MethodNotAllowed, detail)
}

/// A list without pages.
type Listing<T> = Result<axum::Json<Items<T>>, Fault>;

/// What lists without pages answer, in the shape of those with pages.
#[derive(serde::Serialize, schemars::JsonSchema)]
#[schemars(rename = "{T}List")]
struct Items<T> {
    /// The items.
    items: Vec<T>,
}

fn listing<T>(items: Vec<T>) -> Listing<T> {
    Ok(axum::Json(Items { items }))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn operations_have_distinct_names_and_paths() {
        let mut seen: HashMap<String, &str> = HashMap::new();
        for endpoint in endpoints() {
            assert!(seen.insert(endpoint.id.to_owned(), endpoint.path).is_none());
            let route = format!("{} {}", endpoint.method, endpoint.path);
            assert!(seen.insert(route, endpoint.path).is_none());
        }
    }
}
