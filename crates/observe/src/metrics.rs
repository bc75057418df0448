//! The registry: everything that is counted, in one place. Names follow OpenTelemetry where it has
//! some; [`export`](crate::export) gives them.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::export;
use crate::functions::{Ended, FunctionMetrics, Functions};
use crate::http::{HttpMetrics, Listener};
use crate::sharded::{Counter, Histogram};
use crate::text::{Format, Kind};

/// Every metric of the server. Cheap to clone.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Inner>);

#[derive(Default)]
pub(crate) struct Inner {
    pub(crate) functions: Functions,
    http: [HttpMetrics; 2],
    pub(crate) events_accepted: Counter,
    pub(crate) events_duplicate: Counter,
    pub(crate) schemas_violated: Counter,
    pub(crate) chains_stopped: Counter,
    pub(crate) log_append_duration: Histogram,
    readers: Mutex<Vec<Reader>>,
}

/// A number that somebody else keeps.
pub(crate) struct Reader {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    pub(crate) read: Box<dyn Fn() -> Option<u64> + Send + Sync>,
}

impl Inner {
    pub(crate) fn http(&self, listener: Listener) -> &HttpMetrics {
        &self.http[listener as usize]
    }

    pub(crate) fn readers(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metrics {
    /// Metrics that all stand at zero.
    pub fn new() -> Self {
        Metrics::default()
    }

    /// Counts an invocation that ended. Wait-free, but for the first one of a function, which takes
    /// a lock.
    pub fn invocation_ended(&self, function: &FunctionMetrics, ended: &Ended<'_>) {
        self.0.functions.ended(function, ended);
    }

    /// The counters of a listener.
    pub fn http(&self, listener: Listener) -> &HttpMetrics {
        self.0.http(listener)
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

    /// Counts one durable append to the log.
    pub fn log_appended(&self, duration: Duration) {
        self.0.log_append_duration.record(duration);
    }

    /// Exports a number that goes up and down (queue length, loaded components), read at each
    /// scrape. What is not known is left out. `read` must not block.
    pub fn gauge(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Option<u64> + Send + Sync + 'static,
    ) {
        let read = Box::new(read);
        self.0.readers().push(Reader { name, help, kind: Kind::Gauge, read });
    }

    /// Exports a number that only grows and is counted elsewhere; `name` is without `_total`.
    /// `read` must not block.
    pub fn counter(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Option<u64> + Send + Sync + 'static,
    ) {
        let read = Box::new(read);
        self.0.readers().push(Reader { name, help, kind: Kind::Counter, read });
    }

    /// Everything as text, with what the system says of this process.
    pub fn encode(&self, format: Format) -> String {
        export::encode(&self.0, format)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use nexus_model::record::Status;

    use super::*;

    #[test]
    fn numbers_are_exported_by_name() {
        let metrics = Metrics::new();
        let hello = FunctionMetrics::default();
        let ended = Ended {
            project: "shop",
            function: "hello",
            status: Status::Succeeded,
            duration: Duration::from_millis(2),
            cold: true,
        };
        metrics.invocation_ended(&hello, &ended);
        let duration = Duration::from_millis(30);
        let late = Ended { status: Status::TimedOut, duration, cold: false, ..ended };
        metrics.invocation_ended(&hello, &late);
        metrics.http(Listener::Ingress).answered(200, Duration::from_micros(80));
        metrics.events_accepted(3, 1);
        metrics.gauge("nexus_components_loaded", "Components loaded", || Some(7));
        metrics.gauge("nexus_unknown", "Nobody knows", || None);
        let text: String = metrics
            .encode(Format::OpenMetrics)
            .lines()
            .filter(|line| !line.starts_with('#') && !line.contains("_bucket"))
            .filter(|line| !line.starts_with("process_"))
            .map(|line| format!("{line}\n"))
            .collect();
        let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
        expect![[r#"
            nexus_build_info{VERSION} 1
            faas_invocations_total{project="shop",function="hello",status="succeeded"} 1
            faas_invocations_total{project="shop",function="hello",status="timed-out"} 1
            faas_coldstarts_total{project="shop",function="hello"} 1
            faas_invoke_duration_seconds_sum{project="shop",function="hello"} 0.032
            faas_invoke_duration_seconds_count{project="shop",function="hello"} 2
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
            nexus_log_append_duration_seconds_sum 0
            nexus_log_append_duration_seconds_count 0
            nexus_events_accepted_total 3
            nexus_events_duplicate_total 1
            nexus_schemas_violated_total 0
            nexus_chains_stopped_total 0
            nexus_components_loaded 7
        "#]]
        .assert_eq(&text.replace(&version, "VERSION"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_is_described_as_prometheus_libraries_do() {
        let text = Metrics::new().encode(Format::Prometheus);
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("{name} is missing")).parse().unwrap()
        };
        assert!(value("process_resident_memory_bytes") >= f64::from(1 << 20));
        assert!(value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_threads") >= 2.0);
        assert!(value("process_start_time_seconds") > 1.6e9);
        assert!(value("process_cpu_seconds_total") >= 0.0);
    }
}
