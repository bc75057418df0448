//! The server's configuration: a tree of plain structs with documented defaults.
//!
//! ```text
//!   defaults  <  file (TOML)  <  environment (NEXUS_…)  <  flags
//! ```
//!
//! The doc comments below are what `docs/configuration.md` and the JSON schema say.

mod docs;
mod load;
mod units;

use std::net::SocketAddr;
use std::path::PathBuf;

use nexus_model::{limits, units as words};
use nexus_observe::telemetry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use docs::{reference, schema};
pub(crate) use load::{Sources, load};
pub(crate) use units::{Duration, Size};

/// Calls at the same time: more reserve more address space than processors have.
const CONCURRENCY_MAX: usize = 10_000;
/// The resource store has at least this much when it is new.
const STORE_SIZE_MIN: u64 = 1 << 20;
/// A server alone takes some tens of MiB.
const MEMORY_MIN: u64 = 64 << 20;

/// Everything that a server can be told.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The folder of everything that the server keeps: log, resources, components, keys. One server
    /// at a time has it. In `nexus dev`: `.nexus` in the first project.
    pub(crate) data: PathBuf,
    /// How long calls may go on after the server was told to stop.
    pub(crate) drain: Duration,
    /// How long the server goes on as before after it was told to stop, while `/readyz` already
    /// answers 503: time for a load balancer to see it and to send elsewhere. `drain` begins then.
    pub(crate) drain_delay: Duration,
    /// Where functions answer.
    pub(crate) ingress: Ingress,
    /// Where people and tools ask.
    pub(crate) api: Api,
    /// How functions run.
    pub(crate) functions: Functions,
    /// How events reach functions.
    pub(crate) events: Events,
    /// The event log: what happened and what ran.
    pub(crate) log: Log,
    /// The resource store.
    pub(crate) store: Store,
    /// The server's own log lines.
    pub(crate) logging: Logging,
}

/// The ingress: the listener of functions.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Ingress {
    /// Its address. Port 0 takes a free one.
    #[serde(deserialize_with = "units::address")]
    pub(crate) listen: SocketAddr,
    /// How its address looks from outside, such as `https://functions.example.com`; shown in URLs. It
    /// begins with `http://` or `https://`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// Networks whose `Forwarded` and `X-Forwarded-…` headers are believed, such as `10.0.0.0/8`.
    pub(crate) trusted_proxies: Vec<String>,
    /// Certificate and key; without them the listener speaks clear text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<Tls>,
    /// What bounds its connections.
    pub(crate) connections: Connections,
}

/// The API: the listener of people and tools.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Api {
    /// Its address. Port 0 takes a free one.
    #[serde(deserialize_with = "units::address")]
    pub(crate) listen: SocketAddr,
    /// Whether `/metrics` answers without a token.
    pub(crate) metrics_open: bool,
    /// Certificate and key; without them the listener speaks clear text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<Tls>,
    /// What bounds its connections.
    pub(crate) connections: Connections,
}

/// Files for TLS, in PEM. They are read again when they change.
// Each may come from another source, one after the other: that both are there is known only when all
// were read, and is a rule of `Config::complaints`. A missing one is empty until then.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Tls {
    /// The certificate with its chain.
    #[serde(default)]
    #[schemars(!default)]
    pub(crate) certificate: PathBuf,
    /// The private key.
    #[serde(default)]
    #[schemars(!default)]
    pub(crate) key: PathBuf,
}

/// What bounds the connections of a listener.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Connections {
    /// Open connections at the same time; more are answered 503 and closed.
    pub(crate) open_max: usize,
    /// The head of one request; larger ones are answered 431.
    pub(crate) header_size_max: Size,
    /// Requests at the same time on one HTTP/2 connection.
    pub(crate) streams_max: u32,
    /// How long the head of a request may take; slower ones are answered 408 and closed.
    pub(crate) header_timeout: Duration,
    /// How long the next piece of a request body may take; slower ones are answered 408. Keep it
    /// shorter than the timeouts of functions, which have `30s` by default: else a function that
    /// waits for a slow client fails first.
    pub(crate) body_timeout: Duration,
    /// How long a connection may stand without a request.
    pub(crate) idle_timeout: Duration,
}

/// How functions run. What a single function may use is said in its own resource.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Functions {
    /// Calls at the same time on this node: 1 to 10000. Each reserves address space (not memory) of
    /// its own when the server starts.
    pub(crate) concurrency: usize,
    /// Calls that may wait for their turn; more are answered 503.
    pub(crate) waiting_max: usize,
    /// Components that are loaded at the same time; the least recently used make room.
    pub(crate) loaded_max: usize,
    /// Memory of the server above which no further call begins: calls are answered 503, events
    /// wait. Between it and all that the system gives, functions that ask for more are stopped.
    /// Absent: three quarters of the machine's memory or of what the control group allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory_max: Option<Size>,
    /// Record a hash of the final memory with each call, so that `nexus replay --verify` compares
    /// it. Calls become several times slower.
    pub(crate) verify_memory: bool,
}

/// How events reach functions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Events {
    /// Deliveries at the same time.
    pub(crate) concurrency: usize,
    /// How many links a chain of functions and events has that lead to one another: what a function
    /// sends beyond it is refused with NX5015, so that a loop comes to an end.
    pub(crate) chain_max: u32,
}

/// The event log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Log {
    /// The size of one segment file. Takes effect with the next segment.
    pub(crate) segment_size: Size,
    /// How long a recording may wait for the disk behind the response: a crash loses at most this.
    pub(crate) recording_delay: Duration,
    /// How many bytes of recordings may wait for the disk: a crash loses at most these.
    pub(crate) recording_buffer: Size,
    /// What happens when recordings come faster than the disk takes them: `wait` delays calls and
    /// then answers 503, `drop` serves them and counts each lost recording.
    pub(crate) on_pressure: OnPressure,
    /// What is removed.
    pub(crate) retention: Retention,
}

/// What happens when recordings come faster than the disk takes them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnPressure {
    /// Calls are delayed and then answered 503.
    #[default]
    Wait,
    /// Calls are served; each lost recording is counted.
    Drop,
}

/// What is removed from the log; whole segments, the oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Retention {
    /// Segments whose newest record is older than this. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_age: Option<Duration>,
    /// The oldest segments while the whole log is larger than this. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_size: Option<Size>,
}

/// The resource store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Store {
    /// How large the database may grow; beyond it changes fail, and everything else goes on.
    pub(crate) max_size: Size,
}

/// The server's own log lines, on standard error.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Logging {
    /// `text` for people, `json` for machines: one object a line.
    pub(crate) format: LogFormat,
    /// A level, or levels by part: `info`, `warn,nexus_node=debug`. Empty: warnings, and what Nexus
    /// itself has to say.
    pub(crate) filter: String,
}

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    #[default]
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            data: PathBuf::from("nexus-data"),
            drain: Duration(std::time::Duration::from_secs(30)),
            drain_delay: Duration(std::time::Duration::ZERO),
            ingress: Ingress::default(),
            api: Api::default(),
            functions: Functions::default(),
            events: Events::default(),
            log: Log::default(),
            store: Store::default(),
            logging: Logging::default(),
        }
    }
}

impl Default for Ingress {
    fn default() -> Self {
        Ingress {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            url: None,
            trusted_proxies: Vec::new(),
            tls: None,
            connections: Connections::default(),
        }
    }
}

impl Default for Api {
    fn default() -> Self {
        Api {
            listen: SocketAddr::from(([127, 0, 0, 1], 7070)),
            metrics_open: false,
            tls: None,
            connections: Connections::default(),
        }
    }
}

impl Default for Connections {
    fn default() -> Self {
        let seconds = |seconds| Duration(std::time::Duration::from_secs(seconds));
        Connections {
            open_max: 10_000,
            header_size_max: Size(64 << 10),
            streams_max: 256,
            header_timeout: seconds(10),
            body_timeout: seconds(20),
            idle_timeout: seconds(75),
        }
    }
}

impl Default for Functions {
    fn default() -> Self {
        Functions {
            concurrency: limits::CONCURRENCY_DEFAULT,
            waiting_max: limits::WAITING_CALLS_MAX,
            loaded_max: limits::LOADED_COMPONENTS_MAX,
            memory_max: None,
            verify_memory: false,
        }
    }
}

impl Default for Events {
    fn default() -> Self {
        Events {
            concurrency: limits::DELIVERIES_RUNNING_DEFAULT,
            chain_max: limits::CHAIN_LINKS_DEFAULT,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Log {
            segment_size: Size(nexus_log::SEGMENT_BYTES_DEFAULT),
            recording_delay: Duration(limits::RECORDING_DELAY_MAX),
            recording_buffer: Size(limits::RECORDING_BUFFER_BYTES as u64),
            on_pressure: OnPressure::default(),
            retention: Retention::default(),
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Store { max_size: Size(nexus_store::StoreConfig::BYTES_MAX_DEFAULT) }
    }
}

impl Config {
    /// What no type can say. Each complaint begins with the key.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut want = |good: bool, complaint: &str| {
            if !good {
                complaints.push(complaint.to_owned());
            }
        };
        want(self.functions.concurrency > 0, "functions.concurrency: at least 1");
        want(
            self.functions.concurrency <= CONCURRENCY_MAX,
            &format!("functions.concurrency: at most {CONCURRENCY_MAX}"),
        );
        want(self.functions.loaded_max > 0, "functions.loaded-max: at least 1");
        want(
            self.functions.memory_max.is_none_or(|size| size.0 >= MEMORY_MIN),
            &format!("functions.memory-max: at least {}", words::exact_size(MEMORY_MIN)),
        );
        want(self.events.concurrency > 0, "events.concurrency: at least 1");
        want(self.events.chain_max > 0, "events.chain-max: at least 1");
        want(
            self.store.max_size.0 >= STORE_SIZE_MIN,
            &format!("store.max-size: at least {}", words::exact_size(STORE_SIZE_MIN)),
        );
        want(!self.data.as_os_str().is_empty(), "data: the name of a folder, not nothing");
        want(
            self.ingress.url.as_deref().is_none_or(is_base_url),
            "ingress.url: an address such as https://functions.example.com",
        );
        let same = self.ingress.listen == self.api.listen && self.api.listen.port() != 0;
        want(!same, "api.listen: must differ from ingress.listen");
        for network in &self.ingress.trusted_proxies {
            want(
                network.parse::<ipnet::IpNet>().is_ok(),
                &format!(
                    "ingress.trusted-proxies: '{network}' is not a network such as 10.0.0.0/8"
                ),
            );
        }
        complaints.extend(self.log.complaints());
        for (key, connections) in [
            ("ingress.connections", &self.ingress.connections),
            ("api.connections", &self.api.connections),
        ] {
            complaints.extend(connections.complaints(key));
        }
        for (key, tls) in [("ingress.tls", &self.ingress.tls), ("api.tls", &self.api.tls)] {
            complaints.extend(tls.iter().flat_map(|tls| tls.complaints(key)));
        }
        complaints.extend(self.logging.complaint());
        complaints
    }
}

/// Whether paths can be put behind it.
fn is_base_url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let host = rest.map_or("", |rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    !host.is_empty() && !text.contains(['?', '#', '"']) && !text.contains(char::is_whitespace)
}

/// The complaints of these pairs of a rule that holds and what is said where it does not.
fn broken<const N: usize>(rules: [(bool, String); N]) -> Vec<String> {
    rules.into_iter().filter(|(holds, _)| !holds).map(|(_, complaint)| complaint).collect()
}

impl Log {
    fn complaints(&self) -> Vec<String> {
        let segment = nexus_log::SEGMENT_BYTES_MIN..=nexus_log::SEGMENT_BYTES_MAX;
        let (least, most) =
            (words::exact_size(*segment.start()), words::exact_size(*segment.end()));
        let Retention { max_age, max_size } = &self.retention;
        broken([
            (
                segment.contains(&self.segment_size.0),
                format!("log.segment-size: between {least} and {most}"),
            ),
            (
                self.recording_delay.0 <= limits::RECORDING_DELAY_MAX,
                "log.recording-delay: at most 50ms".to_owned(),
            ),
            (
                max_age.is_none_or(|age| !age.0.is_zero()),
                "log.retention.max-age: more than 0; without it nothing is removed for its age"
                    .to_owned(),
            ),
            (
                max_size.is_none_or(|size| size.0 > 0),
                "log.retention.max-size: more than 0; without it nothing is removed for its size"
                    .to_owned(),
            ),
        ])
    }
}

impl Connections {
    fn complaints(&self, table: &str) -> Vec<String> {
        let more_than_none = |timeout: Duration, name: &str| {
            (!timeout.0.is_zero(), format!("{table}.{name}: more than 0"))
        };
        broken([
            (self.open_max > 0, format!("{table}.open-max: at least 1")),
            (self.header_size_max.0 >= 8 << 10, format!("{table}.header-size-max: at least 8KiB")),
            (self.streams_max > 0, format!("{table}.streams-max: at least 1")),
            more_than_none(self.header_timeout, "header-timeout"),
            more_than_none(self.body_timeout, "body-timeout"),
            more_than_none(self.idle_timeout, "idle-timeout"),
        ])
    }
}

impl Tls {
    fn complaints(&self, table: &str) -> Vec<String> {
        let files = [("certificate", &self.certificate, "key"), ("key", &self.key, "certificate")];
        files
            .into_iter()
            .filter(|(_, path, _)| !path.is_file())
            .map(|(name, path, other)| match path.as_os_str().is_empty() {
                true => format!("{table}.{name}: missing: {table}.{other} needs it"),
                false => format!("{table}.{name}: there is no file {}", path.display()),
            })
            .collect()
    }
}

impl Logging {
    fn complaint(&self) -> Option<String> {
        let error = telemetry::check(&self.filter).err()?;
        let reason = std::error::Error::source(&error).map(|reason| format!(": {reason}"));
        Some(format!("logging.filter: {error}{}", reason.unwrap_or_default()))
    }
}
