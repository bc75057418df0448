//! The listener for functions: route, then one call of the node, then the answer as it comes. No
//! framework, no lock, no log line on this path.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use nexus_model::resource::RouteAuth;
use nexus_model::{Code, Name, OpContext, Principal, Scope, limits};
use nexus_node::{Node, Route};
use nexus_observe::{Listener, Metrics};

use crate::body::{BodyLimits, Outcome, collect, guard};
use crate::cloudevents;
use crate::cookie;
use crate::denied::Doorkeeper;
use crate::fault::Fault;
use crate::forwarded::Proxies;
use crate::request::{RequestIds, authenticate, trace_context};
use crate::server::{Body, Handler, Peer};

/// Where Nexus itself answers on the ingress.
const OWN_PREFIX: &str = "/.nexus/";
const WHAT: &str = "the request body";

/// Serves functions.
pub(crate) struct Ingress {
    pub(crate) node: Arc<Node>,
    pub(crate) metrics: Metrics,
    pub(crate) doorkeeper: Doorkeeper,
    pub(crate) proxies: Proxies,
    pub(crate) body_timeout: Duration,
    pub(crate) ids: RequestIds,
    pub(crate) no_scopes: Arc<[Scope]>,
}

impl Handler for Ingress {
    async fn handle(self: Arc<Self>, peer: &Peer, request: Request<Incoming>) -> Response<Body> {
        let started = Instant::now();
        let request_id = self.ids.of(request.headers());
        let client = self.proxies.client(peer, request.headers());
        let response = match self.answer(peer, request, &request_id).await {
            Ok(response) => response,
            Err(fault) => {
                self.doorkeeper.saw(&fault, client, &request_id);
                fault.into_response(&request_id)
            }
        };
        self.metrics
            .http(Listener::Ingress)
            .answered(response.status().as_u16(), started.elapsed());
        response
    }
}

impl Ingress {
    async fn answer(
        &self,
        peer: &Peer,
        request: Request<Incoming>,
        request_id: &Arc<str>,
    ) -> Result<Response<Body>, Fault> {
        let size = request.body().size_hint().exact();
        let outcome = Outcome::default();
        let bounds =
            BodyLimits { bytes_max: limits::REQUEST_BODY_BYTES_MAX, timeout: self.body_timeout };
        let mut request = guard(request, bounds, &outcome);
        let host = well_formed(&mut request)?;
        // Browsers send cookies to every port of a host; a session of the console is not for functions.
        cookie::hide(request.headers_mut());
        if request.uri().path().starts_with(OWN_PREFIX) {
            return self.own(request, request_id).await;
        }
        if let Some(size) = size.filter(|&size| size > limits::REQUEST_BODY_BYTES_MAX as u64) {
            return Err(Fault::too_large(WHAT, Some(size), limits::REQUEST_BODY_BYTES_MAX));
        }
        let route = {
            let forwarded = self.proxies.host(peer, request.headers());
            let host = forwarded.unwrap_or(host.as_deref().unwrap_or(""));
            self.node.route(host, request.method(), request.uri().path())?
        };
        if route.is_webhook() {
            return self.webhook(&route, request, request_id).await;
        }
        let context = match route.auth() {
            RouteAuth::None => self.anonymous(request.headers(), request_id),
            RouteAuth::Token => {
                let context = authenticate(&self.node, request.headers(), request_id)?;
                // The token opens Nexus' door; a function must not learn it.
                request.headers_mut().remove(AUTHORIZATION);
                context
            }
        };
        drop_hop_by_hop(request.headers_mut());
        self.proxies.settle(peer, request.headers_mut());
        let answered = self.node.serve_http(context, &route, request).await;
        if let Some(why) = outcome.broken() {
            // Whatever the function made of its broken input: the caller is told what broke.
            return Err(why.fault(WHAT, limits::REQUEST_BODY_BYTES_MAX));
        }
        let mut response = answered?;
        drop_hop_by_hop(response.headers_mut());
        cookie::hide_set(response.headers_mut());
        Ok(response)
    }

    fn anonymous(&self, headers: &HeaderMap, request_id: &Arc<str>) -> OpContext {
        let (traceparent, tracestate) = trace_context(headers);
        OpContext {
            principal: Principal::anonymous(),
            scopes: Arc::clone(&self.no_scopes),
            project: None,
            request_id: Arc::clone(request_id),
            traceparent,
            tracestate,
            deadline: None,
        }
    }

    /// Nexus' own doors on the ingress: events with a token of the scope `emit` (decision 17).
    async fn own(
        &self,
        request: Request<Body>,
        request_id: &Arc<str>,
    ) -> Result<Response<Body>, Fault> {
        let project = request
            .uri()
            .path()
            .strip_prefix("/.nexus/v1/projects/")
            .and_then(|rest| rest.strip_suffix("/events"))
            .and_then(|project| Name::new(project).ok())
            .ok_or_else(|| {
                Fault::new(Code::NoRoute, "paths below /.nexus/ belong to Nexus")
                    .hint("events are taken at /.nexus/v1/projects/{project}/events")
            })?;
        if request.method() == Method::OPTIONS {
            return Ok(may_send(request.headers()));
        }
        if request.method() != Method::POST {
            return Err(Fault::method_not_allowed("OPTIONS, POST"));
        }
        let context = authenticate(&self.node, request.headers(), request_id)?;
        let (head, body) = request.into_parts();
        let body = collect(body, limits::BATCH_BYTES_MAX, WHAT).await?;
        let events = cloudevents::parse(&head.headers, body)?;
        let accepted = self.node.emit(&context, &project, events).await?;
        Ok(accepted_response(&accepted))
    }

    /// A request that becomes an event, if its signature is right.
    async fn webhook(
        &self,
        route: &Route,
        request: Request<Body>,
        request_id: &Arc<str>,
    ) -> Result<Response<Body>, Fault> {
        if request.method() == Method::OPTIONS {
            return Ok(may_send(request.headers()));
        }
        let (head, body) = request.into_parts();
        cloudevents::as_it_is(&head.headers)?;
        let body = collect(body, limits::EVENT_BYTES_MAX, WHAT).await?;
        let context = self.anonymous(&head.headers, request_id);
        let accepted = self.node.webhook(&context, route, (&head.headers, body)).await?;
        Ok(accepted_response(&accepted))
    }
}

/// 202: durable, not handled.
fn accepted_response(accepted: &impl serde::Serialize) -> Response<Body> {
    let body = serde_json::to_vec(accepted).unwrap_or_default();
    let mut response =
        Response::new(Full::from(body).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The answer to a sender that asks whether it may send (HTTP 1.1 Web Hooks for Event Delivery,
/// section 4.1). Whether it really may is decided by its token or signature, each time.
fn may_send(headers: &HeaderMap) -> Response<Body> {
    let empty = http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    let answer = response.headers_mut();
    answer.insert(http::header::ALLOW, HeaderValue::from_static("OPTIONS, POST"));
    if let Some(origin) = headers.get("webhook-request-origin") {
        answer.insert("webhook-allowed-origin", origin.clone());
        // Too much is answered with 429 and `retry-after` when it happens.
        answer.insert("webhook-allowed-rate", HeaderValue::from_static("*"));
    }
    response
}

/// Refuses what HTTP forbids and the protocol library lets pass; returns the host. (A message with
/// both Content-Length and Transfer-Encoding is read as chunked, without the former, and its
/// connection is closed behind it: RFC 9112, section 6.3. The library does that.)
pub(crate) fn well_formed<B>(request: &mut Request<B>) -> Result<Option<Box<str>>, Fault> {
    refuse_upgrades(request)?;
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Fault::bad_request("there are several Host headers"));
    }
    if host.is_none() && request.version() == Version::HTTP_11 {
        return Err(Fault::bad_request("the Host header is missing"));
    }
    // The authority of the target wins over Host (RFC 9112, 3.2.2; RFC 9113, 8.3.1).
    let host: Option<Box<str>> = match (request.uri().authority(), host) {
        (Some(authority), _) => Some(authority.as_str().into()),
        (None, Some(host)) => {
            let wrong = || Fault::bad_request("the Host header is not valid");
            let text = host.to_str().map_err(|_| wrong())?;
            if text.contains(['/', '@', ' ', '?', '#', ',']) {
                return Err(wrong());
            }
            Some(text.into())
        }
        (None, None) => None,
    };
    if let (false, Some(host)) = (request.headers().contains_key(HOST), &host)
        && let Ok(value) = HeaderValue::from_str(host)
    {
        request.headers_mut().insert(HOST, value);
    }
    Ok(host)
}

fn refuse_upgrades<B>(request: &mut Request<B>) -> Result<(), Fault> {
    if request.method() == Method::CONNECT {
        return Err(Fault::new(Code::UpgradeRefused, "CONNECT is not supported"));
    }
    let Some(upgrade) = request.headers().get(UPGRADE) else { return Ok(()) };
    if upgrade.as_bytes().eq_ignore_ascii_case(b"h2c") {
        // RFC 9113 took the upgrade to HTTP/2 out of the protocol: servers go on with HTTP/1.1.
        request.headers_mut().remove(UPGRADE);
        request.headers_mut().remove("http2-settings");
        return Ok(());
    }
    let to = String::from_utf8_lossy(upgrade.as_bytes()).into_owned();
    Err(Fault::new(Code::UpgradeRefused, format!("an upgrade to '{to}' was asked for"))
        .hint("use plain HTTP requests; server-sent events stream from the server"))
}

/// Headers that belong to one connection; the protocol sets its own.
const HOP_BY_HOP: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Headers that `Connection` cannot name away: they say where the message goes, where it ends, and
/// what the last proxy says of the client.
const END_TO_END: [HeaderName; 8] = [
    HOST,
    CONTENT_LENGTH,
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
];

/// Removes what belongs to one connection, and what its sender says does so (RFC 9110, 7.6.1).
pub(crate) fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let values = headers.get_all(CONNECTION).iter();
    let named: Vec<HeaderName> = values
        .flat_map(|value| value.as_bytes().split(|&at| at == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| !END_TO_END.contains(name))
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_connection_names_goes_and_what_everybody_needs_stays() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Foo,te"),
            ("connection", "host, x-forwarded-for, content-length, =?"),
            ("keep-alive", "5"),
            ("x-foo", "1"),
            ("x-foo", "2"),
            ("te", "trailers"),
            ("host", "shop.example"),
            ("x-forwarded-for", "203.0.113.9"),
            ("content-length", "3"),
            ("x-bar", "1"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        drop_hop_by_hop(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "host", "x-bar", "x-forwarded-for"]);
    }
}
