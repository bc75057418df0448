//! The accept loop of one listener.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nexus_model::{Code, Problem};
use nexus_observe::{Listener as Which, Metrics};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::registry::{Admitted, Peer, Refused, Registry};
use super::tls::Tls;
use super::{Handler, ServerLimits, TlsError, TlsFiles, connection};
use crate::task;

/// How often certificate files are looked at.
const TLS_POLL: Duration = Duration::from_secs(5);
/// The pause after a failed accept (no file descriptors left, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running listener.
pub(crate) struct Server {
    address: SocketAddr,
    registry: Arc<Registry>,
    tls: Option<Arc<Tls>>,
    stop: CancellationToken,
}

/// What a listener is made of.
pub(crate) struct ListenerParts {
    pub(crate) socket: std::net::TcpListener,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) limits: ServerLimits,
    pub(crate) which: Which,
    pub(crate) metrics: Metrics,
}

/// Why a listener could not start.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The socket cannot be used.
    #[error("failed to listen on the given socket")]
    Socket(#[source] io::Error),
    /// TLS cannot be set up.
    #[error("failed to set up TLS")]
    Tls(#[source] TlsError),
}

impl Server {
    /// Starts to accept. Must run inside a Tokio runtime.
    pub(crate) fn start<H: Handler>(
        parts: ListenerParts,
        handler: Arc<H>,
    ) -> Result<Self, ListenError> {
        let tls = parts.tls.map(Tls::load).transpose().map_err(ListenError::Tls)?.map(Arc::new);
        parts.socket.set_nonblocking(true).map_err(ListenError::Socket)?;
        let socket = TcpListener::from_std(parts.socket).map_err(ListenError::Socket)?;
        let address = socket.local_addr().map_err(ListenError::Socket)?;
        let registry = Arc::new(Registry::new(parts.limits));
        let stop = CancellationToken::new();
        let accepting = Accepting {
            socket,
            registry: Arc::clone(&registry),
            tls: tls.clone(),
            handler,
            limits: parts.limits,
            which: parts.which,
            metrics: parts.metrics.clone(),
        };
        let stopped = stop.clone();
        task::spawn("accept", async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = accepting.run() => {}
            }
        });
        let sweeping = sweep(Arc::clone(&registry), parts.metrics, parts.which);
        let stopped = stop.clone();
        task::spawn("sweep", async move {
            // Slow connections are closed during a drain, too: the sweeper ends with the registry.
            tokio::select! {
                () = stopped.cancelled() => {}
                () = sweeping => {}
            }
        });
        if let Some(tls) = &tls {
            let watching = watch_tls(Arc::clone(tls));
            let stopped = stop.clone();
            task::spawn("tls-files", async move {
                tokio::select! {
                    () = stopped.cancelled() => {}
                    () = watching => {}
                }
            });
        }
        Ok(Server { address, registry, tls, stop })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections are open.
    pub(crate) fn connections(&self) -> usize {
        self.registry.len()
    }

    /// Loads changed certificate files now. Returns whether they had changed.
    pub(crate) fn reload_tls(&self) -> Result<bool, TlsError> {
        self.tls.as_ref().map_or(Ok(false), |tls| tls.reload())
    }

    /// Stops accepting, lets what is in flight finish until `deadline`, closes the rest. Returns how
    /// many connections had to be closed.
    pub(crate) async fn drain(&self, deadline: tokio::time::Instant) -> usize {
        self.stop.cancel();
        self.registry.drain(deadline).await
    }
}

struct Accepting<H> {
    socket: TcpListener,
    registry: Arc<Registry>,
    tls: Option<Arc<Tls>>,
    handler: Arc<H>,
    limits: ServerLimits,
    which: Which,
    metrics: Metrics,
}

impl<H: Handler> Accepting<H> {
    async fn run(self) {
        loop {
            match self.socket.accept().await {
                Ok((socket, peer)) => self.open(socket, peer),
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn open(&self, socket: TcpStream, from: SocketAddr) {
        let counted = self.metrics.http(self.which);
        counted.connections.one();
        // Without it, small answers wait for acknowledgements; its failure costs only time.
        let _ = socket.set_nodelay(true);
        let peer = Peer::new(from.ip().to_canonical(), self.tls.is_some());
        let admitted = match self.registry.admit(peer) {
            Ok(admitted) => admitted,
            Err(why) => {
                counted.connections_refused.one();
                if self.tls.is_none() {
                    task::spawn("refuse", refuse(socket, why, self.limits.connections_max));
                }
                return;
            }
        };
        let (handler, limits) = (Arc::clone(&self.handler), self.limits);
        match &self.tls {
            None => task::spawn("connection", clear(socket, admitted, handler, limits)),
            Some(tls) => {
                let acceptor = TlsAcceptor::from(tls.current());
                task::spawn("connection", async move {
                    let handshake = timeout(limits.header_timeout, acceptor.accept(socket));
                    if let Ok(Ok(stream)) = handshake.await {
                        let connection = Arc::clone(&admitted.connection);
                        connection::serve(stream, connection, handler, limits).await;
                    }
                });
            }
        }
    }
}

async fn clear<H: Handler>(
    socket: TcpStream,
    admitted: Admitted,
    handler: Arc<H>,
    limits: ServerLimits,
) {
    connection::serve(socket, Arc::clone(&admitted.connection), handler, limits).await;
}

async fn refuse(socket: TcpStream, why: Refused, limit: usize) {
    let problem = match why {
        Refused::Draining => connection::stopped(),
        Refused::Full => {
            let detail = format!("the limit of {limit} open connections is reached");
            Problem::new(Code::Overloaded, detail)
        }
    };
    connection::answer_and_close(socket, &problem).await;
}

async fn sweep(registry: Arc<Registry>, metrics: Metrics, which: Which) {
    let mut ticks = tokio::time::interval(registry.sweep_interval());
    loop {
        ticks.tick().await;
        metrics.http(which).connections_timed_out.add(registry.sweep());
    }
}

async fn watch_tls(tls: Arc<Tls>) {
    let mut ticks = tokio::time::interval(TLS_POLL);
    loop {
        ticks.tick().await;
        // Two small reads of files that are in the page cache.
        match tls.reload() {
            Ok(true) => tracing::info!("the TLS certificate was reloaded"),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the changed TLS files cannot be used; the old ones stay in use"
                );
            }
        }
    }
}
