//! Both listeners of a server: started together, drained together.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use nexus_node::Node;
use nexus_observe::Listener as Which;
use tokio_util::sync::CancellationToken;

use crate::api::{Api, ApiOptions};
use crate::console::Pages;
use crate::denied::Doorkeeper;
use crate::forwarded::Proxies;
use crate::ingress::Ingress;
use crate::request::RequestIds;
use crate::server::{ListenError, ListenerParts, Server, ServerLimits, TlsError, TlsFiles};

/// Where a listener listens, and how.
#[derive(Debug)]
pub struct Listener {
    /// A bound socket: ports are bound early, so that a taken one is found before anything starts.
    pub socket: TcpListener,
    /// Terminates TLS with these files; `None` for clear text.
    pub tls: Option<TlsFiles>,
    /// What bounds its connections.
    pub limits: ServerLimits,
}

impl Listener {
    /// Clear text with the default limits.
    pub fn new(socket: TcpListener) -> Self {
        Listener { socket, tls: None, limits: ServerLimits::default() }
    }
}

/// How a gateway is set.
#[derive(Debug)]
pub struct Config {
    /// For functions.
    pub ingress: Listener,
    /// For the API.
    pub admin: Listener,
    /// Networks of proxies whose forwarded headers are believed (decision 20).
    pub trusted_proxies: Vec<IpNet>,
    /// `/metrics` needs no token.
    pub metrics_open: bool,
    /// Finds the files of the web console, which are served beside the API.
    pub console: Pages,
}

/// Why a gateway could not start.
#[derive(Debug, thiserror::Error)]
#[error("failed to start the {listener} listener")]
pub struct StartError {
    /// `ingress` or `admin`.
    pub listener: &'static str,
    /// Why.
    #[source]
    pub source: Box<ListenError>,
}

/// What a drain came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drained {
    /// Connections that had to be closed because the deadline struck.
    pub closed: usize,
}

/// The running listeners of a server.
pub struct Gateway {
    ingress: Server,
    admin: Server,
    closing: CancellationToken,
}

impl Gateway {
    /// Starts to serve. Must run inside a Tokio runtime with timers and I/O.
    ///
    /// # Errors
    /// A socket or TLS file cannot be used.
    pub fn start(node: Arc<Node>, config: Config) -> Result<Self, StartError> {
        let metrics = node.metrics().clone();
        let closing = CancellationToken::new();
        let api = Api::new(
            Arc::clone(&node),
            ApiOptions {
                metrics: metrics.clone(),
                body_timeout: config.admin.limits.body_timeout,
                metrics_open: config.metrics_open,
                console: config.console,
                port: config.admin.socket.local_addr().map_or(0, |address| address.port()),
                closing: closing.clone(),
                strict_transport: only_over_tls(&config.ingress, &config.admin),
            },
        );
        let functions = Ingress {
            node,
            metrics: metrics.clone(),
            doorkeeper: Doorkeeper::new(metrics.clone(), Which::Ingress),
            proxies: Proxies(config.trusted_proxies),
            body_timeout: config.ingress.limits.body_timeout,
            ids: RequestIds::default(),
            no_scopes: Arc::new([]),
        };
        let parts = |listener: Listener, which| ListenerParts {
            socket: listener.socket,
            tls: listener.tls,
            limits: listener.limits,
            which,
            metrics: metrics.clone(),
        };
        let failed = |listener| move |source| StartError { listener, source: Box::new(source) };
        let ingress = Server::start(parts(config.ingress, Which::Ingress), Arc::new(functions))
            .map_err(failed("ingress"))?;
        let admin = Server::start(parts(config.admin, Which::Admin), Arc::new(api))
            .map_err(failed("admin"))?;
        Ok(Gateway { ingress, admin, closing })
    }

    /// Where functions answer.
    pub fn ingress_address(&self) -> SocketAddr {
        self.ingress.address()
    }

    /// Where the API answers.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// How many connections are open, on both listeners.
    pub fn connections(&self) -> usize {
        self.ingress.connections() + self.admin.connections()
    }

    /// Loads changed certificate files at once; they are also looked at every five seconds. Returns
    /// whether any had changed. On an error the old ones stay in use.
    ///
    /// # Errors
    /// A file cannot be read or used.
    pub fn reload_tls(&self) -> Result<bool, TlsError> {
        Ok(self.ingress.reload_tls()? | self.admin.reload_tls()?)
    }

    /// Ends live streams and takes no new requests for functions; lets what is in flight finish for at
    /// most `patience`, then answers the rest with 503 or, where an answer has begun, cuts it. The API
    /// is the last that stops to accept: until then `/readyz` says that the server stops. Call it
    /// before the node's shutdown.
    pub async fn drain(&self, patience: Duration) -> Drained {
        self.closing.cancel();
        let deadline = tokio::time::Instant::now() + patience;
        let ingress = self.ingress.drain(deadline).await;
        let admin = self.admin.drain(deadline).await;
        Drained { closed: ingress + admin }
    }
}

/// Whether browsers may be told to come over TLS only, to every port of a host. Functions that answer
/// without it under the same name could not be reached any more; behind loopback only a proxy asks.
fn only_over_tls(ingress: &Listener, admin: &Listener) -> bool {
    let local = ingress.socket.local_addr().is_ok_and(|at| at.ip().is_loopback());
    admin.tls.is_some() && (ingress.tls.is_some() || local)
}
