//! One server in a data folder: lock, sockets, log, store, runtime, node, listeners; and back.

pub(crate) mod end;
mod key;
mod open_files;
mod token;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use nexus_cli::{HostFailure, ServerFile};
use nexus_gateway::{Gateway, Listener, Page, PageRequest, ServerLimits, TlsFiles};
use nexus_log::{FolderLock, Log, LogConfig, RealDisk};
use nexus_model::{Clock, Code, Digest, IdMint, Name, OpContext, SystemClock};
use nexus_node::{Mode, Node, NodeConfig, Parts};
use nexus_observe::Metrics;
use nexus_store::{BLOBS_DIR, Blobs, FolderAccess, Store, StoreConfig, private_folder};

use tokio::net::TcpSocket;

use crate::config::{Config, Connections, OnPressure, Retention, Tls};
use crate::{allocator, task};

/// The resource store's file in a data folder.
const STORE_FILE: &str = "store.sqlite";

/// The folder of the engine's checkpoint in a data folder.
const ENGINE_DIR: &str = "engine";

/// What to do about a full disk.
const FREE_SPACE: &str = "free space on the disk of the data folder";

/// What to do about data of a newer version.
const NEWER: &str = "start the version that wrote it, or a newer one; this one leaves it as it is";

/// How often retention is enforced.
const RETENTION_INTERVAL: std::time::Duration = std::time::Duration::from_secs(600);

/// Connections that may wait to be accepted; the system has a limit of its own (`somaxconn`).
const BACKLOG: u32 = 4096;

/// The log's folder inside a data folder.
pub(crate) fn log_dir(data: &Path) -> PathBuf {
    data.join("log")
}

/// The file inside a data folder that says how far the log went.
pub(crate) fn log_mark(data: &Path) -> PathBuf {
    data.join("log.mark")
}

/// What is to be started.
pub(crate) struct Start {
    pub(crate) config: Config,
    pub(crate) mode: Mode,
    /// The project of commands that are given elsewhere in the data folder's neighbourhood.
    pub(crate) project: Option<Name>,
}

/// A running server.
pub(crate) struct Server {
    pub(crate) node: Arc<Node>,
    pub(crate) gateway: Gateway,
    pub(crate) file: ServerFile,
    /// The text of the data folder's token.
    token: String,
    drain: std::time::Duration,
    drain_delay: std::time::Duration,
    _lock: FolderLock,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{}", locked(data, *pid, file.as_deref()))]
    Locked { data: PathBuf, pid: u32, file: Option<Box<ServerFile>> },
    #[error("cannot listen on {address} for {purpose}")]
    Bind {
        address: SocketAddr,
        purpose: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("failed to {operation} {}", path.display())]
    File {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "the key {} is missing, and the secrets in this data folder are encrypted under it",
        path.display()
    )]
    KeyMissing { path: PathBuf },
    #[error(
        "the key {} is not the one that the secrets in this data folder are encrypted under",
        path.display()
    )]
    KeyOther { path: PathBuf },
    #[error(
        "the resource store {} is missing, and the log beside it has {records} records",
        path.display()
    )]
    StoreMissing { path: PathBuf, records: u64 },
    #[error("failed to open the event log")]
    Log(#[source] nexus_log::Error),
    #[error("failed to open the resource store")]
    Store(#[source] nexus_store::Error),
    #[error("failed to start the runtime")]
    Runtime(#[source] nexus_wasm::Error),
    #[error("failed to start the node")]
    Node(#[source] nexus_node::Error),
    #[error(transparent)]
    Gateway(Box<nexus_gateway::StartError>),
}

fn locked(data: &Path, pid: u32, file: Option<&ServerFile>) -> String {
    let holder = match pid {
        0 => "another server".to_owned(),
        pid => format!("the server with process id {pid}"),
    };
    let addresses = match file {
        Some(file) => format!(" (API {}, ingress {})", file.api, file.ingress),
        None => String::new(),
    };
    format!("the data folder {} is in use by {holder}{addresses}", data.display())
}

impl Error {
    /// The code that has a page.
    fn code(&self) -> Option<Code> {
        use nexus_log::Error as L;
        use nexus_store::Error as S;
        match self {
            Error::Locked { .. } => Some(Code::DataLocked),
            Error::Log(L::NewerFormat { .. }) | Error::Store(S::NewerFormat { .. }) => {
                Some(Code::NewerFormat)
            }
            Error::Log(L::Corrupt { .. } | L::Shorter { .. } | L::NoSpace { .. })
            | Error::Store(S::DiskFull { .. })
            | Error::StoreMissing { .. } => Some(Code::Storage),
            Error::Node(error) => Some(error.code()).filter(|code| *code != Code::Internal),
            _ => None,
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Locked { .. } => "stop it, or choose another folder with --data".to_owned(),
            Error::Bind { purpose, .. } => {
                let flag = if *purpose == "the API" { "--admin-listen" } else { "--listen" };
                format!("choose another address with {flag}; port 0 takes a free one")
            }
            Error::KeyMissing { path } | Error::KeyOther { path } => key::hint(path),
            Error::Log(nexus_log::Error::Corrupt { path, .. }) => {
                let data = path.ancestors().nth(2).unwrap_or(path).display();
                format!(
                    "all that is damaged: nexus log verify --data {data}; put the data folder back \
                     from a backup, or go on without what lies behind the damage: nexus log cut \
                     --data {data}"
                )
            }
            Error::Log(nexus_log::Error::Shorter { dir, .. }) => {
                end::hint(&dir.parent().unwrap_or(dir).display().to_string())
            }
            Error::StoreMissing { path, .. } => end::store_hint(path),
            _ if self.code() == Some(Code::NewerFormat) => NEWER.to_owned(),
            Error::Node(error) => error.hint()?.to_owned(),
            Error::Log(nexus_log::Error::NoSpace { .. })
            | Error::Store(nexus_store::Error::DiskFull { .. }) => FREE_SPACE.to_owned(),
            Error::File { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                FREE_SPACE.to_owned()
            }
            _ => return None,
        })
    }
}

impl From<Error> for nexus_cli::Error {
    fn from(error: Error) -> Self {
        let (code, hint) = (error.code(), error.hint());
        nexus_cli::Error::Host(HostFailure { code, hint, ..HostFailure::new(error) })
    }
}

impl Server {
    /// Starts everything; requests are answered when it returns.
    pub(crate) async fn start(start: Start) -> Result<Server, Error> {
        let config = start.config;
        let listeners = [&config.ingress.connections, &config.api.connections];
        let too_few = open_files::raise(listeners.map(|at| at.open_max as u64).iter().sum());
        if let (Mode::Serve, Some(warning)) = (start.mode, too_few) {
            tracing::warn!("{warning}");
        }
        let data = absolute(&config.data)?;
        let lock = lock(&data)?;
        let ingress = bind(config.ingress.listen, "functions")?;
        let api = bind(config.api.listen, "the API")?;
        let addresses = Addresses::of(&config, &ingress, &api)?;

        let parts = open(&config, &data).await?;
        let master_key = key::master_key(&data, &parts.store).await?;
        let node_config = NodeConfig {
            concurrency: config.functions.concurrency,
            waiting_calls_max: config.functions.waiting_max,
            deliveries: config.events.concurrency,
            chain_max: config.events.chain_max,
            memory_max: config.functions.memory_max.map(|size| size.0),
            verify_memory: config.functions.verify_memory,
            ingress_url: addresses.ingress.clone(),
            ..NodeConfig::new(start.mode, master_key, data.join(ENGINE_DIR))
        };
        let node = Node::start(node_config, parts).await.map_err(Error::Node)?;
        let token::Local { file: token_file, text: token } = token::local(&node, &data).await?;
        let gateway = Gateway::start(node.clone(), gateway_config(&config, ingress, api))
            .map_err(|error| Error::Gateway(Box::new(error)))?;
        let file = ServerFile {
            pid: std::process::id(),
            api: addresses.api,
            ingress: addresses.ingress,
            token_file,
            data: data.clone(),
            project: start.project,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        if let Err(error) = announce(&data, &file) {
            // Commands have to name the server then; calls and reads are answered as ever.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "commands do not find this server by its folder"
            );
        }
        if config.log.retention != Retention::default() {
            task::spawn("retention", retain(node.clone()));
        }
        allocator::give_back();
        task::spawn("memory", allocator::give_back_always());
        let (drain, drain_delay) = (config.drain.0, config.drain_delay.0);
        Ok(Server { node, gateway, file, token, drain, drain_delay, _lock: lock })
    }

    /// A link that opens the console, signed in; `None` where the console is not part of this build.
    pub(crate) fn console_link(&self) -> Option<String> {
        if !nexus_console::is_built() {
            return None;
        }
        let identity = self.node.authenticate(&self.token).ok()?;
        let ctx = OpContext { principal: identity.principal, ..OpContext::system("console") };
        let link = self.node.session_link(&ctx).ok()?;
        Some(format!("{}/signin?code={}", self.file.api, link.code))
    }

    /// Says that it is not ready, stops accepting after the delay that was asked for, lets calls finish
    /// until the deadline, and closes everything.
    pub(crate) async fn stop(self) {
        // Whoever reads the file must not find a server that answers no more.
        let _ = std::fs::remove_file(ServerFile::path(&self.file.data));
        self.node.announce_shutdown();
        tokio::time::sleep(self.drain_delay).await;
        let drained = self.gateway.drain(self.drain).await;
        if drained.closed > 0 {
            tracing::warn!(connections = drained.closed, "closed before they had finished");
        }
        self.node.shutdown(self.drain).await;
    }
}

/// Removes what retention says, now and then, and what only that referred to. Ends with the process.
async fn retain(node: Arc<Node>) {
    let mut ticks = tokio::time::interval(RETENTION_INTERVAL);
    // Also at the start: the process may have ended between the two.
    let mut collect = true;
    loop {
        ticks.tick().await;
        match node.enforce_retention().await {
            Ok(report) => {
                tracing::debug!(?report, "retention");
                collect |= report.segments_removed > 0;
            }
            Err(error) => tracing::error!(%error, "retention failed; it is tried again"),
        }
        if collect {
            match node.collect().await {
                Ok(collected) => {
                    tracing::debug!(?collected, "collection");
                    collect = false;
                }
                Err(error) => tracing::error!(%error, "collection failed; it is tried again"),
            }
        }
    }
}

/// Writes where the server is, whole or not at all.
pub(crate) fn announce(data: &Path, file: &ServerFile) -> Result<(), Error> {
    let path = ServerFile::path(data);
    let failed = |source| Error::File { operation: "write", path: path.clone(), source };
    let text = serde_json::to_vec_pretty(file).unwrap_or_default();
    let beside = path.with_extension("json.new");
    std::fs::write(&beside, text).map_err(failed)?;
    std::fs::rename(&beside, &path).map_err(failed)
}

/// The data folder, made and closed to others where need be.
fn absolute(path: &Path) -> Result<PathBuf, Error> {
    let failed = |operation| move |source| Error::File { operation, path: path.to_owned(), source };
    let access = private_folder(path).map_err(failed("create"))?;
    let data = std::fs::canonicalize(path).map_err(failed("open"))?;
    match access {
        FolderAccess::Private => {}
        FolderAccess::Closed { mode } => tracing::info!(
            data = %data.display(),
            "others could read the data folder (mode {mode:o}); its mode is 700 now"
        ),
        FolderAccess::Open { mode } => tracing::warn!(
            data = %data.display(),
            "others can read the data folder (mode {mode:o}), and with it recordings; it is not \
             ours alone, so it is left as it is"
        ),
    }
    Ok(data)
}

fn lock(data: &Path) -> Result<FolderLock, Error> {
    FolderLock::acquire(data, &RealDisk).map_err(|error| match error {
        nexus_log::Error::Locked { holder_pid, .. } => Error::Locked {
            data: data.to_owned(),
            pid: holder_pid,
            file: ServerFile::read(data).map(Box::new),
        },
        other => Error::Log(other),
    })
}

fn bind(address: SocketAddr, purpose: &'static str) -> Result<TcpListener, Error> {
    let listening = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        // A restart must not wait for connections of the server before.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)?.into_std()
    };
    listening().map_err(|source| Error::Bind { address, purpose, source })
}

/// How the listeners are reached.
struct Addresses {
    ingress: String,
    api: String,
}

impl Addresses {
    fn of(config: &Config, ingress: &TcpListener, api: &TcpListener) -> Result<Self, Error> {
        let url = |listener: &TcpListener, tls: bool| {
            let failed = |source| Error::File {
                operation: "read the address of",
                path: PathBuf::from("a listener"),
                source,
            };
            let address = listener.local_addr().map_err(failed)?;
            let scheme = if tls { "https" } else { "http" };
            let host = match address.ip() {
                ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
                std::net::IpAddr::V6(ip) => format!("[{ip}]"),
                ip => ip.to_string(),
            };
            Ok::<_, Error>(format!("{scheme}://{host}:{}", address.port()))
        };
        let ingress = match &config.ingress.url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            // A name, so that `{project}.localhost` and the bare host are visibly one place.
            None => {
                url(ingress, config.ingress.tls.is_some())?.replace("//127.0.0.1:", "//localhost:")
            }
        };
        Ok(Addresses { ingress, api: url(api, config.api.tls.is_some())? })
    }
}

async fn open(config: &Config, data: &Path) -> Result<Parts, Error> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut salt = [0; 8];
    random(&mut salt, data)?;
    let mint = Arc::new(IdMint::new(clock.clone(), u64::from_le_bytes(salt)));
    let log_config = LogConfig {
        segment_bytes: config.log.segment_size.0,
        recording_delay: config.log.recording_delay.0,
        recording_buffer_bytes: config.log.recording_buffer.bytes(),
        retention: nexus_log::Retention {
            max_age: config.log.retention.max_age.map(|age| age.0),
            max_bytes: config.log.retention.max_size.map(|size| size.0),
        },
        on_pressure: on_pressure(config.log.on_pressure),
        mark: Some(log_mark(data)),
        ..LogConfig::new(log_dir(data))
    };
    let (log, opened) =
        Log::open(log_config, Arc::new(RealDisk), clock.clone()).map_err(Error::Log)?;
    for note in &opened.notes {
        tracing::warn!("{note}");
    }
    end::check_store(data, log.durable().sequence)?;
    let store_config = StoreConfig {
        bytes_max: config.store.max_size.0,
        ..StoreConfig::new(data.join(STORE_FILE))
    };
    let store =
        Store::open(store_config, clock.clone(), mint.clone()).await.map_err(Error::Store)?;
    let blobs = Blobs::open(data.join(BLOBS_DIR)).map_err(Error::Store)?;
    let wasm = nexus_wasm::Config {
        instances: u32::try_from(config.functions.concurrency).unwrap_or(u32::MAX),
        loaded_max: config.functions.loaded_max,
        verify_memory: config.functions.verify_memory,
        ..nexus_wasm::Config::new(data.join("code"))
    };
    let artifacts = Arc::new(BlobArtifacts(blobs.clone()));
    let runtime = nexus_wasm::Runtime::new(wasm, clock.clone())
        .map_err(Error::Runtime)?
        .with_artifacts(artifacts);
    let metrics = Metrics::new();
    Ok(Parts { log, store, blobs, runtime: Arc::new(runtime), clock, mint, metrics })
}

/// Components as the runtime asks for them again: for its verifying engine.
struct BlobArtifacts(Blobs);

#[async_trait::async_trait]
impl nexus_exec::Artifacts for BlobArtifacts {
    async fn component(&self, digest: Digest) -> std::io::Result<Bytes> {
        let found = self.0.get(digest).await.map_err(std::io::Error::other)?;
        found.ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

fn on_pressure(word: OnPressure) -> nexus_log::OnPressure {
    match word {
        OnPressure::Wait => nexus_log::OnPressure::Wait,
        OnPressure::Drop => nexus_log::OnPressure::Drop,
    }
}

fn random(bytes: &mut [u8], data: &Path) -> Result<(), Error> {
    getrandom::fill(bytes).map_err(|error| Error::File {
        operation: "get random bytes for",
        path: data.to_owned(),
        source: std::io::Error::other(error.to_string()),
    })
}

/// A file of the embedded console.
fn page(request: &PageRequest<'_>) -> Option<Page> {
    let file = nexus_console::file(request.path)?;
    let accepts = nexus_console::Accepts { brotli: request.brotli, gzip: request.gzip };
    let body = file.body(accepts);
    Some(Page {
        content_type: file.content_type(),
        digest: file.digest(),
        immutable: file.is_immutable(),
        encoding: body.encoding,
        bytes: match body.bytes {
            std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            std::borrow::Cow::Owned(bytes) => bytes.into(),
        },
    })
}

fn gateway_config(
    config: &Config,
    ingress: TcpListener,
    api: TcpListener,
) -> nexus_gateway::Config {
    let listener = |socket, tls: &Option<Tls>, connections: &Connections| Listener {
        socket,
        tls: tls
            .as_ref()
            .map(|tls| TlsFiles { certificate: tls.certificate.clone(), key: tls.key.clone() }),
        limits: ServerLimits {
            connections_max: connections.open_max,
            header_bytes_max: connections.header_size_max.bytes(),
            streams_max: connections.streams_max,
            header_timeout: connections.header_timeout.0,
            body_timeout: connections.body_timeout.0,
            idle_timeout: connections.idle_timeout.0,
        },
    };
    nexus_gateway::Config {
        ingress: listener(ingress, &config.ingress.tls, &config.ingress.connections),
        admin: listener(api, &config.api.tls, &config.api.connections),
        // The configuration was validated: what does not parse is not there.
        trusted_proxies: config
            .ingress
            .trusted_proxies
            .iter()
            .filter_map(|network| network.parse().ok())
            .collect(),
        metrics_open: config.api.metrics_open,
        console: page,
    }
}
