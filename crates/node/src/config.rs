//! What a node is made of and how it is set.

use std::path::PathBuf;
use std::sync::Arc;

use nexus_exec::Runtime;
use nexus_log::Log;
use nexus_model::{Clock, IdMint, limits};
use nexus_observe::Metrics;
use nexus_store::{Blobs, Store};

use crate::MasterKey;

/// Which defaults hold. Semantics and limits are the same in both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// `nexus dev`: routes are public unless they say otherwise, guests may reach loopback.
    Dev,
    /// `nexus serve`: a route states who may call it.
    Serve,
}

/// How a node is set.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Which defaults hold.
    pub mode: Mode,
    /// Encrypts secrets and replay keys.
    pub master_key: MasterKey,
    /// Instances at the same time on this node.
    pub concurrency: usize,
    /// Calls that wait for a slot.
    pub waiting_calls_max: usize,
    /// Deliveries of events at the same time.
    pub deliveries: usize,
    /// Links of functions and events that may lead to one another: see `limits::CHAIN_LINKS_DEFAULT`.
    pub chain_max: u32,
    /// Memory of the process above which no call begins, in bytes. By default three quarters of what
    /// the machine or the control group gives.
    pub memory_max: Option<u64>,
    /// Whether recordings hold a hash of the final memory (a slower engine; decision 26).
    pub verify_memory: bool,
    /// Where functions answer, without a path: `http://localhost:8080`. Only shown.
    pub ingress_url: String,
    /// The folder of the engine's checkpoint, rebuildable from the log.
    pub engine_dir: PathBuf,
}

impl NodeConfig {
    /// The defaults of a mode.
    pub fn new(mode: Mode, master_key: MasterKey, engine_dir: impl Into<PathBuf>) -> Self {
        NodeConfig {
            mode,
            master_key,
            concurrency: limits::CONCURRENCY_DEFAULT,
            waiting_calls_max: limits::WAITING_CALLS_MAX,
            deliveries: 256,
            chain_max: limits::CHAIN_LINKS_DEFAULT,
            memory_max: None,
            verify_memory: false,
            ingress_url: "http://localhost:8080".to_owned(),
            engine_dir: engine_dir.into(),
        }
    }
}

/// The implementations that a node works with.
#[derive(Clone)]
pub struct Parts {
    /// Events and invocations.
    pub log: Log,
    /// Resources.
    pub store: Store,
    /// Components and large bodies.
    pub blobs: Blobs,
    /// What runs functions.
    pub runtime: Arc<dyn Runtime>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Gives ids.
    pub mint: Arc<IdMint>,
    /// Where counts go.
    pub metrics: Metrics,
}
