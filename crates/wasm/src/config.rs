//! Settings of the runtime, and why it may not start.

use std::path::PathBuf;
use std::time::Duration;

use nexus_model::limits;

/// Settings of the WebAssembly runtime.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where machine code is stored; made when missing.
    pub code_dir: PathBuf,
    /// Instances that may exist at the same time.
    pub instances: u32,
    /// Components that are mapped at the same time; beyond it the least recently used goes.
    pub loaded_max: usize,
    /// Slots of the pool that keep their memory mapped while unused.
    pub warm_slots: u32,
    /// Bytes of each linear memory that stay resident between instances.
    pub keep_resident_bytes: usize,
    /// Whether calls are recorded with a hash of their final memory: then code for that engine is
    /// made together with that of the ordinary one.
    pub verify_memory: bool,
    /// How often running guests are asked whether to stop, and yield to others.
    pub tick: Duration,
}

impl Config {
    /// The defaults, with machine code in `code_dir`.
    pub fn new(code_dir: impl Into<PathBuf>) -> Self {
        Config {
            code_dir: code_dir.into(),
            instances: limits::CONCURRENCY_DEFAULT as u32,
            loaded_max: limits::LOADED_COMPONENTS_MAX,
            warm_slots: 128,
            keep_resident_bytes: 2 << 20,
            verify_memory: false,
            tick: Duration::from_millis(4),
        }
    }
}

/// Why the runtime cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Wasmtime refuses the configuration, or the system lacks something for it.
    #[error("failed to start the WebAssembly engine: {reason}")]
    Engine {
        /// What it says.
        reason: String,
    },
    /// The folder for machine code cannot be made.
    #[error("failed to create the code folder {}", dir.display())]
    CodeDir {
        /// The folder.
        dir: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}
