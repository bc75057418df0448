//! The registry: names in the style of OpenTelemetry, exported in the OpenMetrics text format.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nexus_model::record::Status;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeMetric as _, MetricEncoder, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::sharded::{Counter, Histogram, Snapshot};

/// How many functions have time series of their own; those that come later share
/// `function="_other"`, so that the cardinality stays bounded.
pub const FUNCTIONS_MAX: usize = 1_000;

/// Every metric of the server. Cheap to clone.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Inner>);

#[derive(Default)]
struct Inner {
    functions: Mutex<HashMap<(String, String), Arc<FunctionMetrics>>>,
    other: Arc<FunctionMetrics>,
    http: [HttpMetrics; 2],
    invocation_duration: Histogram,
    events_accepted: Counter,
    events_duplicate: Counter,
    deliveries_dead: Counter,
    schemas_violated: Counter,
    chains_stopped: Counter,
    log_append_duration: Histogram,
    readers: Mutex<Vec<Reader>>,
}

struct Reader {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    read: Box<dyn Fn() -> u64 + Send + Sync>,
}

/// Which listener served a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listener {
    /// Functions.
    Ingress = 0,
    /// The API.
    Admin = 1,
}

impl Listener {
    /// Its name in metrics and log lines.
    pub const fn word(self) -> &'static str {
        match self {
            Listener::Ingress => "ingress",
            Listener::Admin => "admin",
        }
    }
}

/// What is counted for one function: a handle to keep beside its route, so that counting needs no
/// look-up.
#[derive(Debug, Default)]
pub struct FunctionMetrics {
    by_status: [Counter; STATUSES],
    cold: Counter,
    duration_ns: Counter,
}

const STATUSES: usize = Status::Queued as usize + 1;

impl FunctionMetrics {
    fn ended(&self, status: Status, duration: Duration, cold: bool) {
        self.by_status[(status as usize).min(STATUSES - 1)].one();
        self.duration_ns.add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
        if cold {
            self.cold.one();
        }
    }
}

/// What is counted for one listener.
#[derive(Debug, Default)]
pub struct HttpMetrics {
    by_class: [Histogram; 6],
    denied: [Counter; AuthFailure::ALL.len()],
    /// Connections accepted.
    pub connections: Counter,
    /// Connections refused because `connections-max` stood already.
    pub connections_refused: Counter,
    /// Connections closed because a request came too slowly or none came.
    pub connections_timed_out: Counter,
}

impl HttpMetrics {
    /// Counts an answered request: its status, and the time from its head to the answer's head.
    pub fn answered(&self, status: u16, duration: Duration) {
        self.by_class[usize::from(status / 100).min(5)].record(duration);
    }

    /// Counts a request that was refused because nobody knows who asks.
    pub fn denied(&self, reason: AuthFailure) {
        self.denied[reason as usize].one();
    }
}

/// How somebody failed to show who they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthFailure {
    /// Nothing was shown.
    Missing = 0,
    /// What was shown cannot be a token.
    Malformed = 1,
    /// A token that is not known, or has expired.
    Token = 2,
    /// A session that is not known, or has ended.
    Session = 3,
    /// The code of a sign-in link that is not known, was used, or is too old.
    Link = 4,
    /// The signature of a webhook is missing, wrong or too old.
    Signature = 5,
}

impl AuthFailure {
    /// All of them, by number.
    pub const ALL: [AuthFailure; 6] = [
        AuthFailure::Missing,
        AuthFailure::Malformed,
        AuthFailure::Token,
        AuthFailure::Session,
        AuthFailure::Link,
        AuthFailure::Signature,
    ];

    /// Its name in metrics and log lines.
    pub const fn word(self) -> &'static str {
        match self {
            AuthFailure::Missing => "missing",
            AuthFailure::Malformed => "malformed",
            AuthFailure::Token => "token",
            AuthFailure::Session => "session",
            AuthFailure::Link => "link",
            AuthFailure::Signature => "signature",
        }
    }
}

impl Metrics {
    /// Metrics that all stand at zero.
    pub fn new() -> Self {
        Metrics::default()
    }

    /// The handle of a function. Takes a lock: call it when routes change, not per request.
    pub fn function(&self, project: &str, function: &str) -> Arc<FunctionMetrics> {
        let mut functions = lock(&self.0.functions);
        if let Some(found) = functions.get(&(project.to_owned(), function.to_owned())) {
            return Arc::clone(found);
        }
        if functions.len() >= FUNCTIONS_MAX {
            return Arc::clone(&self.0.other);
        }
        let made = Arc::new(FunctionMetrics::default());
        functions.insert((project.to_owned(), function.to_owned()), Arc::clone(&made));
        made
    }

    /// Counts an invocation that ended. Wait-free.
    pub fn invocation_ended(
        &self,
        function: &FunctionMetrics,
        status: Status,
        duration: Duration,
        cold: bool,
    ) {
        function.ended(status, duration, cold);
        self.0.invocation_duration.record(duration);
    }

    /// The counters of a listener.
    pub fn http(&self, listener: Listener) -> &HttpMetrics {
        &self.0.http[listener as usize]
    }

    /// Counts events that were accepted, and those among them that were there already.
    pub fn events_accepted(&self, accepted: u64, duplicates: u64) {
        self.0.events_accepted.add(accepted);
        self.0.events_duplicate.add(duplicates);
    }

    /// Counts an event that breaks the schema of its type.
    pub fn schema_violated(&self) {
        self.0.schemas_violated.one();
    }

    /// Counts what a function sent and was refused because its chain is too long.
    pub fn chain_stopped(&self) {
        self.0.chains_stopped.one();
    }

    /// Counts a delivery that was given up.
    pub fn delivery_dead(&self) {
        self.0.deliveries_dead.one();
    }

    /// Counts one durable append to the log.
    pub fn log_appended(&self, duration: Duration) {
        self.0.log_append_duration.record(duration);
    }

    /// Exports a number that goes up and down (queue length, loaded components), read at each
    /// scrape. `read` must not block.
    pub fn gauge(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let read = Box::new(read);
        lock(&self.0.readers).push(Reader { name, help, kind: MetricType::Gauge, read });
    }

    /// Exports a number that only grows and is counted elsewhere. `read` must not block.
    pub fn counter(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let read = Box::new(read);
        lock(&self.0.readers).push(Reader { name, help, kind: MetricType::Counter, read });
    }

    /// Everything in the OpenMetrics text format
    /// (`application/openmetrics-text; version=1.0.0; charset=utf-8`).
    pub fn encode(&self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Export(self.clone())));
        let mut out = String::new();
        // Writing into a string cannot fail; a broken metric would only be missing.
        if let Err(error) = text::encode(&mut out, &registry) {
            tracing::error!(%error, "failed to encode the metrics");
        }
        out
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Export(Metrics);

impl Collector for Export {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let inner = &*self.0.0;
        encode_functions(inner, &mut encoder)?;
        encode_http(inner, &mut encoder)?;
        histogram(
            &mut encoder,
            ["faas_invoke_duration_seconds", "From acceptance to the end of an invocation"],
            &inner.invocation_duration,
        )?;
        histogram(
            &mut encoder,
            ["nexus_log_append_duration_seconds", "One durable append to the log"],
            &inner.log_append_duration,
        )?;
        for (name, help, counter) in [
            ("nexus_events_accepted", "Events made durable", &inner.events_accepted),
            ("nexus_events_duplicate", "Events known already", &inner.events_duplicate),
            ("nexus_deliveries_dead", "Deliveries given up", &inner.deliveries_dead),
            (
                "nexus_schemas_violated",
                "Events that break the schema of their type",
                &inner.schemas_violated,
            ),
            (
                "nexus_chains_stopped",
                "What functions sent, refused because their chain is too long",
                &inner.chains_stopped,
            ),
        ] {
            let value = ConstCounter::new(counter.get());
            value.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        for reader in lock(&inner.readers).iter() {
            let value = (reader.read)();
            let metric = encoder.encode_descriptor(reader.name, reader.help, None, reader.kind)?;
            match reader.kind {
                MetricType::Counter => ConstCounter::new(value).encode(metric)?,
                _ => ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(metric)?,
            }
        }
        encode_process(&mut encoder)
    }
}

fn encode_functions(inner: &Inner, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut functions: Vec<(String, String, Arc<FunctionMetrics>)> = lock(&inner.functions)
        .iter()
        .map(|((project, function), metrics)| {
            (project.clone(), function.clone(), Arc::clone(metrics))
        })
        .collect();
    functions.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    functions.push(("_other".into(), "_other".into(), Arc::clone(&inner.other)));
    let mut invocations = encoder.encode_descriptor(
        "faas_invocations",
        "Invocations that ended, by how they ended",
        None,
        MetricType::Counter,
    )?;
    for (project, function, metrics) in &functions {
        for (index, counter) in metrics.by_status.iter().enumerate() {
            let value = counter.get();
            if value > 0 {
                let status =
                    Status::try_from(i32::try_from(index).unwrap_or(0)).unwrap_or(Status::Unknown);
                let labels = [
                    ("project", project),
                    ("function", function),
                    ("status", &status.word().into()),
                ];
                ConstCounter::new(value).encode(invocations.encode_family(&labels)?)?;
            }
        }
    }
    let mut cold = encoder.encode_descriptor(
        "faas_coldstarts",
        "Invocations whose code had to be loaded first",
        None,
        MetricType::Counter,
    )?;
    per_function(&mut cold, &functions, |metrics| metrics.cold.get() as f64)?;
    let mut duration = encoder.encode_descriptor(
        "faas_invoke_seconds",
        "Time spent in invocations, by function",
        None,
        MetricType::Counter,
    )?;
    per_function(&mut duration, &functions, |metrics| metrics.duration_ns.get() as f64 / 1e9)
}

fn per_function(
    family: &mut MetricEncoder<'_>,
    functions: &[(String, String, Arc<FunctionMetrics>)],
    read: impl Fn(&FunctionMetrics) -> f64,
) -> fmt::Result {
    for (project, function, metrics) in functions {
        let value = read(metrics);
        if value > 0.0 {
            let labels = [("project", project), ("function", function)];
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

const LISTENERS: [(&str, usize); 2] = [(Listener::Ingress.word(), 0), (Listener::Admin.word(), 1)];

fn encode_http(inner: &Inner, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut requests = encoder.encode_descriptor(
        "http_server_request_duration_seconds",
        "From the head of a request to the head of its answer",
        None,
        MetricType::Histogram,
    )?;
    for (listener, index) in LISTENERS {
        for (class, histogram) in inner.http[index].by_class.iter().enumerate() {
            let snapshot = histogram.snapshot();
            if snapshot.count > 0 {
                let labels = [("listener", listener), ("status", CLASSES[class])];
                encode_histogram(&mut requests.encode_family(&labels)?, &snapshot)?;
            }
        }
    }
    type Read = fn(&HttpMetrics) -> &Counter;
    let families: [(&str, &str, Read); 3] = [
        ("http_server_connections", "Connections accepted", |http| &http.connections),
        ("http_server_connections_refused", "Connections above the limit", |http| {
            &http.connections_refused
        }),
        ("http_server_connections_timed_out", "Connections closed for slowness", |http| {
            &http.connections_timed_out
        }),
    ];
    for (name, help, read) in families {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (listener, index) in LISTENERS {
            let value = ConstCounter::new(read(&inner.http[index]).get());
            value.encode(family.encode_family(&[("listener", listener)])?)?;
        }
    }
    let mut denied = encoder.encode_descriptor(
        "nexus_auth_failures",
        "Requests refused because nobody knows who asks, by what was wrong",
        None,
        MetricType::Counter,
    )?;
    for (listener, index) in LISTENERS {
        for reason in AuthFailure::ALL {
            let labels = [("listener", listener), ("reason", reason.word())];
            let value = ConstCounter::new(inner.http[index].denied[reason as usize].get());
            value.encode(denied.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

const CLASSES: [&str; 6] = ["0xx", "1xx", "2xx", "3xx", "4xx", "5xx"];

fn histogram(
    encoder: &mut DescriptorEncoder<'_>,
    [name, help]: [&str; 2],
    histogram: &Histogram,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    encode_histogram(&mut metric, &histogram.snapshot())
}

fn encode_histogram(encoder: &mut MetricEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    encoder.encode_histogram::<NoLabelSet>(
        snapshot.sum_seconds,
        snapshot.count,
        &snapshot.buckets,
        None,
    )
}

/// The resident memory of this process, where the system tells it.
fn encode_process(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let Some(bytes) = resident_bytes() else { return Ok(()) };
    ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX)).encode(encoder.encode_descriptor(
        "process_resident_memory_bytes",
        "Resident memory of the server",
        None,
        MetricType::Gauge,
    )?)
}

/// Memory that this process has, in bytes, where the system tells it.
pub fn resident_bytes() -> Option<u64> {
    kernel_bytes("/proc/self/status", "VmRSS:")
}

/// Memory of the machine, in bytes, where the system tells it.
pub fn memory_total_bytes() -> Option<u64> {
    kernel_bytes("/proc/meminfo", "MemTotal:")
}

/// A line of a file of the kernel that gives a size in kB.
fn kernel_bytes(path: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn numbers_are_exported_by_name() {
        let metrics = Metrics::new();
        let hello = metrics.function("shop", "hello");
        metrics.invocation_ended(&hello, Status::Succeeded, Duration::from_millis(2), true);
        metrics.invocation_ended(&hello, Status::TimedOut, Duration::from_millis(30), false);
        metrics.http(Listener::Ingress).answered(200, Duration::from_micros(80));
        metrics.events_accepted(3, 1);
        metrics.gauge("nexus_loaded_components", "Components loaded", || 7);
        let text: String = metrics
            .encode()
            .lines()
            .filter(|line| !line.starts_with('#') && !line.contains("_bucket"))
            .filter(|line| !line.contains("process_resident"))
            .map(|line| format!("{line}\n"))
            .collect();
        expect![[r#"
            faas_invocations_total{project="shop",function="hello",status="succeeded"} 1
            faas_invocations_total{project="shop",function="hello",status="timed-out"} 1
            faas_coldstarts_total{project="shop",function="hello"} 1.0
            faas_invoke_seconds_total{project="shop",function="hello"} 0.032
            http_server_request_duration_seconds_sum{listener="ingress",status="2xx"} 0.00008
            http_server_request_duration_seconds_count{listener="ingress",status="2xx"} 1
            http_server_connections_total{listener="ingress"} 0
            http_server_connections_total{listener="admin"} 0
            http_server_connections_refused_total{listener="ingress"} 0
            http_server_connections_refused_total{listener="admin"} 0
            http_server_connections_timed_out_total{listener="ingress"} 0
            http_server_connections_timed_out_total{listener="admin"} 0
            nexus_auth_failures_total{listener="ingress",reason="missing"} 0
            nexus_auth_failures_total{listener="ingress",reason="malformed"} 0
            nexus_auth_failures_total{listener="ingress",reason="token"} 0
            nexus_auth_failures_total{listener="ingress",reason="session"} 0
            nexus_auth_failures_total{listener="ingress",reason="link"} 0
            nexus_auth_failures_total{listener="ingress",reason="signature"} 0
            nexus_auth_failures_total{listener="admin",reason="missing"} 0
            nexus_auth_failures_total{listener="admin",reason="malformed"} 0
            nexus_auth_failures_total{listener="admin",reason="token"} 0
            nexus_auth_failures_total{listener="admin",reason="session"} 0
            nexus_auth_failures_total{listener="admin",reason="link"} 0
            nexus_auth_failures_total{listener="admin",reason="signature"} 0
            faas_invoke_duration_seconds_sum 0.032
            faas_invoke_duration_seconds_count 2
            nexus_log_append_duration_seconds_sum 0.0
            nexus_log_append_duration_seconds_count 0
            nexus_events_accepted_total 3
            nexus_events_duplicate_total 1
            nexus_deliveries_dead_total 0
            nexus_schemas_violated_total 0
            nexus_chains_stopped_total 0
            nexus_loaded_components 7
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn functions_beyond_the_limit_share_a_series() {
        let metrics = Metrics::new();
        for number in 0..FUNCTIONS_MAX + 5 {
            let function = metrics.function("p", &format!("f{number}"));
            metrics.invocation_ended(&function, Status::Succeeded, Duration::ZERO, false);
        }
        let text = metrics.encode();
        assert!(text.contains(
            "faas_invocations_total{project=\"_other\",function=\"_other\",status=\"succeeded\"} 5"
        ));
        assert!(text.lines().count() < FUNCTIONS_MAX + 200);
    }
}
