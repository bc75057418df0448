//! Whether the node can do its work, and if not, why and what helps.

use std::sync::atomic::Ordering;

use nexus_model::limits;

use crate::node::lock;
use crate::{Error, Node, Readiness};

impl Node {
    /// Whether the node serves everything that is declared and records it, and if not, why. Looks
    /// anew each time: what has mended itself is ready again.
    pub fn ready(&self) -> Readiness {
        let compiling = lock(&self.compiling).len() as u64;
        let looked_through = self.looked_through.load(Ordering::Acquire);
        let mut reasons: Vec<String> = lock(&self.failed).values().cloned().collect();
        if self.under_pressure.load(Ordering::Relaxed) {
            reasons.push("the recording cannot keep up with the calls".to_owned());
        }
        reasons.extend(self.memory.shortage());
        let passable = reasons.len();
        if compiling > 0 {
            reasons.push(format!("{compiling} components are being compiled for this engine"));
        }
        if self.is_draining() || self.leaving.load(Ordering::Relaxed) {
            reasons.push("the server is shutting down".to_owned());
        }
        if !looked_through {
            reasons.push("the stored code is being looked through".to_owned());
        }
        reasons.extend(self.log_trouble().or_else(|| self.disk_trouble()));
        Readiness { ready: reasons.len() == passable, compiling, reasons }
    }

    /// Why the log takes no appends, and what helps.
    fn log_trouble(&self) -> Option<String> {
        let trouble = Error::from(self.parts.log.trouble()?);
        let help = trouble.hint().unwrap_or("look into the server's log");
        Some(format!("{}, so nothing can be recorded: {help}", trouble.detail()))
    }

    /// The log has its files ahead of time; what is not yet full is of no use when nothing else can
    /// be written: large bodies, resources, the state of functions.
    fn disk_trouble(&self) -> Option<String> {
        let free = self.disk()?.free_bytes;
        (free < limits::DISK_FREE_BYTES_MIN).then(|| {
            format!(
                "the disk of the data folder has {} MiB left, less than {} MiB: free space on it",
                free >> 20,
                limits::DISK_FREE_BYTES_MIN >> 20
            )
        })
    }
}
