//! What is exported as metrics besides what is counted on the way: read at each scrape, from what is
//! known already.

use std::sync::Arc;

use nexus_engine::Engine;
use nexus_observe::Format;

use crate::node::lock;
use crate::{Error, Node};

/// A number: its name, what it means, and how it is read, where it is known.
type Read = (&'static str, &'static str, fn(&Node) -> Option<u64>);

const GAUGES: [Read; 15] = [
    ("nexus_memory_bytes", "Memory of the process that is in no file", |node| {
        Some(node.memory.used())
    }),
    ("nexus_memory_max_bytes", "Memory above which no call begins", |node| {
        Some(node.memory.max()).filter(|bytes| *bytes < u64::MAX)
    }),
    ("nexus_calls_waiting", "Calls that wait for a slot", |node| {
        Some(node.admission.waiting() as u64)
    }),
    ("nexus_instances_running", "Instances running", |node| {
        Some(node.parts.runtime.stats().running)
    }),
    ("nexus_components_loaded", "Components mapped", |node| {
        Some(node.parts.runtime.stats().loaded)
    }),
    ("nexus_components_compiling", "Components that wait to be compiled", |node| {
        Some(lock(&node.compiling).len() as u64)
    }),
    ("nexus_result_cache_bytes", "Results kept for later calls", |node| {
        Some(node.results.bytes() as u64)
    }),
    (
        "nexus_ready",
        "Whether /readyz says that functions can be called and calls recorded",
        |node| Some(u64::from(node.ready().ready)),
    ),
    ("nexus_deliveries_pending", "Deliveries that are not finished", |node| {
        engine(node, |engine| engine.pending() as u64)
    }),
    ("nexus_dead_letters", "Deliveries that were given up and wait for a person", |node| {
        engine(node, |engine| engine.dead() as u64)
    }),
    ("nexus_log_bytes", "Bytes of the log's files", |node| Some(node.parts.log.file_bytes())),
    ("nexus_store_bytes", "Bytes of the resource store's files", |node| {
        node.parts.store.file_bytes()
    }),
    ("nexus_blobs_bytes", "Bytes of components, sources and large bodies", |node| {
        node.parts.blobs.file_bytes()
    }),
    ("nexus_disk_free_bytes", "Bytes that are free on the disk of the data folder", |node| {
        Some(node.disk()?.free_bytes)
    }),
    ("nexus_disk_size_bytes", "Size of the disk of the data folder", |node| {
        Some(node.disk()?.total_bytes)
    }),
];

const COUNTERS: [Read; 5] = [
    ("nexus_deliveries_dead", "Deliveries given up", |node| engine(node, Engine::died)),
    ("nexus_recordings_lost", "Recordings dropped under pressure", |node| {
        Some(node.parts.log.counts().recordings_lost)
    }),
    ("nexus_log_commits", "Group commits of the log", |node| Some(node.parts.log.counts().commits)),
    ("nexus_log_records", "Records in these commits", |node| Some(node.parts.log.counts().records)),
    ("nexus_log_restarts", "Failed writes or syncs of the log", |node| {
        Some(node.parts.log.counts().restarts)
    }),
];

/// A number of the engine, which is the last to start: 0 before.
fn engine(node: &Node, read: impl FnOnce(&Engine) -> u64) -> Option<u64> {
    Some(node.engine.get().map_or(0, read))
}

impl Node {
    /// Has the registry read all of them for as long as the node is there.
    pub(crate) fn register_metrics(self: &Arc<Self>) {
        let metrics = &self.parts.metrics;
        let of = |read: fn(&Node) -> Option<u64>| {
            let node = Arc::downgrade(self);
            move || read(&*node.upgrade()?)
        };
        for (name, help, read) in GAUGES {
            metrics.gauge(name, help, of(read));
        }
        for (name, help, read) in COUNTERS {
            metrics.counter(name, help, of(read));
        }
        let metrics = metrics.clone();
        self.parts.log.observe_appends(move |took| metrics.log_appended(took));
    }

    /// All metrics as text. They are read and written on a thread that may block.
    ///
    /// # Errors
    /// Something panicked on that thread.
    pub async fn metrics_text(&self, format: Format) -> Result<String, Error> {
        let metrics = self.parts.metrics.clone();
        let text = self.tasks.blocking(move || metrics.encode(format)).await;
        text.map_err(|error| Error::internal("write the metrics", error))
    }

    /// Counts the bytes of blobs once; later changes are counted as they come.
    pub(crate) async fn measure_blobs(&self) {
        if let Err(error) = self.parts.blobs.measure().await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "nobody knows how many bytes the blobs take");
        }
    }
}
