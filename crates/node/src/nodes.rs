//! The servers of the installation: how they are, and what they are bounded by.

use nexus_model::view::{DiskView, NodeLimits, NodeLog, NodeView};
use nexus_model::{OpContext, Scope};

use crate::{Error, Mode, Node};

impl Node {
    /// Every server of the installation: this one.
    ///
    /// # Errors
    /// The caller may not read everything; the log cannot be read.
    pub async fn nodes(&self, ctx: &OpContext) -> Result<Vec<NodeView>, Error> {
        nexus_policy::authorize(ctx, Scope::Read, None)?;
        let log = self.parts.log.stats().await?;
        let ready = self.ready();
        let uptime = self.started.elapsed();
        let count = |value: usize| value as u64;
        Ok(vec![NodeView {
            name: host_name(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: match self.config.mode {
                Mode::Dev => "dev".to_owned(),
                Mode::Serve => "serve".to_owned(),
            },
            started: self.parts.clock.now().before(uptime),
            uptime_ns: u64::try_from(uptime.as_nanos()).unwrap_or(u64::MAX),
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            cpus: std::thread::available_parallelism().map_or(1, |cpus| count(cpus.get())),
            memory_bytes: nexus_observe::resident_bytes(),
            memory_total_bytes: nexus_observe::memory_total_bytes(),
            disk: self.disk(),
            load: self.load_view(),
            components_loaded: self.parts.runtime.stats().loaded,
            deliveries_pending: count(self.engine()?.pending()),
            limits: NodeLimits {
                instances: count(self.config.concurrency),
                calls_waiting: count(self.config.waiting_calls_max),
                deliveries: count(self.config.deliveries),
            },
            ready: ready.ready,
            compiling: ready.compiling,
            reasons: ready.reasons,
            log: NodeLog {
                records: log.records,
                disk_bytes: log.disk_bytes,
                oldest: log.oldest,
                newest: log.newest,
                recordings_lost: log.recordings_lost,
                restarts: log.restarts,
            },
        }])
    }

    /// The disk of the data folder.
    pub(crate) fn disk(&self) -> Option<DiskView> {
        let folder = self.config.engine_dir.ancestors().find(|folder| folder.is_dir())?;
        let stat = rustix::fs::statvfs(folder).ok()?;
        Some(DiskView {
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}
