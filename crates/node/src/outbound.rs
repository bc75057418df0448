//! The HTTP client for guests: connections are pooled, redirects are the guest's business, and each
//! connection goes to an address that the function's egress rule allows.
//!
//! The pool is shared between functions only where their rules agree on the address: a pooled
//! connection is used only after its address has passed the rule of the function that asks.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use nexus_exec::{Body, HttpError, HttpTimeouts};

use crate::egress::Egress;

/// Idle connections kept per host.
const IDLE_PER_HOST_MAX: usize = 32;
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(30);
/// Clients, one per different allow list; beyond it the pools start afresh.
const POOLS_MAX: usize = 1_000;

type Pool = Client<HttpsConnector<HttpConnector<Resolver>>, Body>;

/// The clients of a node, one per different rule: functions with the same rule share connections.
pub(crate) struct Outbound {
    pools: Mutex<HashMap<String, Pool>>,
}

/// Resolves names to the addresses that a rule allows.
#[derive(Clone)]
struct Resolver(Arc<Egress>);

/// The rule forbids every address of a name.
#[derive(Debug, thiserror::Error)]
#[error("the address of {host} is not public, and the function's allow-hosts does not name it")]
struct Denied {
    host: String,
}

/// A name that does not resolve.
#[derive(Debug, thiserror::Error)]
#[error("failed to resolve {host}")]
struct Unresolved {
    host: String,
    #[source]
    source: io::Error,
}

impl tower::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let rule = Arc::clone(&self.0);
        Box::pin(async move {
            let host = name.as_str();
            let found = tokio::net::lookup_host((host, 0)).await;
            let found = found.map_err(|source| Unresolved { host: host.to_owned(), source })?;
            let allowed: Vec<SocketAddr> = found.filter(|at| rule.allows(host, *at)).collect();
            match allowed.is_empty() {
                true => Err(Denied { host: host.to_owned() }.into()),
                false => Ok(allowed.into_iter()),
            }
        })
    }
}

impl Outbound {
    pub(crate) fn new() -> Self {
        Outbound { pools: Mutex::default() }
    }

    fn pool(&self, rule: &Egress, connect: Duration) -> Result<Pool, HttpError> {
        let key = format!("{rule:?} {connect:?}");
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&key) {
            return Ok(pool.clone());
        }
        if pools.len() >= POOLS_MAX {
            pools.clear();
        }
        let mut connector = HttpConnector::new_with_resolver(Resolver(Arc::new(rule.clone())));
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(connect));
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
            .map_err(|error| HttpError::Tls(error.to_string()))?
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(connector);
        let pool = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .build(connector);
        pools.insert(key, pool.clone());
        Ok(pool)
    }

    /// Sends a request; the response body stops with an error when a piece takes too long.
    pub(crate) async fn send(
        &self,
        rule: &Egress,
        request: Request<Body>,
        timeouts: HttpTimeouts,
    ) -> Result<Response<Body>, HttpError> {
        let rule = check_target(rule, request.uri())?;
        let sending = self.pool(&rule, timeouts.connect)?.request(request);
        let whole = timeouts.connect.saturating_add(timeouts.first_byte);
        let response = tokio::time::timeout(whole, sending)
            .await
            .map_err(|_| HttpError::TimedOut(format!("no response within {whole:?}")))?
            .map_err(|error| classify(&error))?;
        let between = timeouts.between_bytes;
        Ok(response.map(|body| Timed { body, between, sleep: None }.boxed_unsync()))
    }
}

/// A target whose host is an address is not resolved, so its rule is applied here.
/// Returns the rule for this port.
fn check_target(rule: &Egress, uri: &Uri) -> Result<Egress, HttpError> {
    let host = uri.host().ok_or_else(|| HttpError::Invalid(format!("{uri} has no host")))?;
    let port = match (uri.port_u16(), uri.scheme_str()) {
        (Some(port), _) => port,
        (None, Some("https")) => 443,
        (None, Some("http")) => 80,
        (None, _) => return Err(HttpError::Invalid(format!("{uri} is neither http nor https"))),
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse() {
        Ok(ip) if !rule.allows(bare, SocketAddr::new(ip, port)) => {
            Err(HttpError::Denied(Denied { host: host.to_owned() }.to_string()))
        }
        Ok(_) | Err(_) => Ok(rule.at_port(port)),
    }
}

fn classify(error: &hyper_util::client::legacy::Error) -> HttpError {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    let mut kind: Option<fn(String) -> HttpError> = None;
    while let Some(at) = cause {
        if at.is::<Denied>() {
            return HttpError::Denied(at.to_string());
        }
        if let Some(unresolved) = at.downcast_ref::<Unresolved>() {
            return HttpError::Dns(format!("{unresolved}: {}", unresolved.source));
        }
        if at.is::<rustls::Error>() {
            kind = Some(HttpError::Tls);
        } else if let Some(io) = at.downcast_ref::<io::Error>() {
            match io.kind() {
                io::ErrorKind::ConnectionRefused => kind = Some(HttpError::Refused),
                io::ErrorKind::TimedOut => kind = Some(HttpError::TimedOut),
                _ => {}
            }
            if io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
                kind = Some(HttpError::Tls);
            }
        }
        text = format!("{text}: {at}");
        cause = at.source();
    }
    kind.unwrap_or(HttpError::Broken)(text)
}

/// A body whose pieces must not take too long.
struct Timed {
    body: hyper::body::Incoming,
    between: Duration,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl http_body::Body for Timed {
    type Data = bytes::Bytes;
    type Error = nexus_exec::BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.sleep = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let between = self.between;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(between)));
        match sleep.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                let late = HttpError::TimedOut(format!("no piece of the body within {between:?}"));
                Poll::Ready(Some(Err(late.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
