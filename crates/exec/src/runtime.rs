//! What runs functions.

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use nexus_model::record::InvocationRecord;
use nexus_model::resource::World;
use nexus_model::view::{FrameView, ReplayView};
use nexus_model::{Code, Digest, Event, Name, VersionId};

use crate::rehearsal::{Rehearsed, Scene};
use crate::{Call, Debugger, Ended, Host, Profile, ProfileOptions};

/// A sort of runtime: WASM components now; processes, containers and pods behind the same seam.
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// Looks at an uploaded artifact: which world it is, what it imports, and the component to
    /// execute where the artifact has to be adapted. Deterministic; no I/O; may take seconds of CPU
    /// and therefore runs off the request path.
    ///
    /// # Errors
    /// The bytes are no artifact of an accepted world: what was found, what is accepted.
    async fn inspect(&self, artifact: Bytes) -> Result<Inspected, Error>;

    /// Makes sure that machine code for a component is stored, compiling it when it is not, in
    /// niced threads. Idempotent; concurrent calls for one digest compile once.
    ///
    /// # Errors
    /// The compiler refuses it, or the code cannot be stored.
    async fn compile(&self, component: Digest, bytes: Bytes) -> Result<Compiled, Error>;

    /// Whether [`prepare`](Self::prepare) would find machine code. Cheap; no I/O but one `stat`.
    fn is_compiled(&self, component: Digest) -> bool;

    /// Maps stored code while what else a unit takes is still being read: [`prepare`](Self::prepare)
    /// finds it mapped as long as what this gives is held. A runtime that maps nothing has nothing to
    /// do.
    ///
    /// # Errors
    /// Like [`prepare`](Self::prepare).
    async fn map(
        &self,
        component: Digest,
        world: World,
    ) -> Result<Arc<dyn Any + Send + Sync>, Error> {
        let _ = (component, world);
        Ok(Arc::new(()))
    }

    /// Makes a unit ready to be invoked: maps its stored code unless it is mapped already. Never
    /// compiles. The result may be kept and shared; code that nobody uses is unmapped
    /// least-recently-used, and mapped again by the next invoke (which says so in its timings).
    ///
    /// # Errors
    /// No code is stored for this engine, or it cannot be mapped.
    async fn prepare(&self, unit: Arc<Unit>) -> Result<Arc<dyn Prepared>, Error>;

    /// What the debug information of a component says about places in it, given in bytes from its
    /// beginning: for each its frames, the innermost first. Reads the component; not for the request
    /// path.
    ///
    /// # Errors
    /// The component's bytes are not kept, or cannot be read.
    async fn frames(
        &self,
        component: Digest,
        offsets: &[u64],
    ) -> Result<Vec<Vec<FrameView>>, Error> {
        let _ = component;
        Ok(vec![Vec::new(); offsets.len()])
    }

    /// Removes stored machine code of components that are not among `used`, unless it was stored in
    /// the last hour: its deploy may not be finished. Code that is needed after all is compiled
    /// again. The bytes that were freed.
    ///
    /// # Errors
    /// The code cannot be listed or removed.
    async fn forget_code(&self, used: &HashSet<Digest>) -> std::io::Result<u64>;

    /// From now on guests that ask for more memory are stopped, or not any more: the system has none
    /// left. Replays go on.
    fn stop_growth(&self, stop: bool);

    /// What the runtime holds at this moment.
    fn stats(&self) -> RuntimeStats;
}

/// A unit that can be invoked, from many tasks at once.
#[async_trait]
pub trait Prepared: Send + Sync {
    /// The environment that it runs with, as in its [`Unit`].
    fn env(&self) -> &[EnvVar];

    /// Runs one call in a fresh instance, to its very end: the answer streamed, the instance gone.
    /// Never panics for what a guest does; every way to end is a [`Status`](nexus_model::record::Status).
    ///
    /// Dropping the future stops the guest at once; nothing is recorded then. To stop it with a
    /// record, use [`Call::cancel`].
    async fn invoke(&self, call: Call, host: Arc<dyn Host>) -> Ended;

    /// Runs a recorded invocation again with its journal as the outside world. Touches nothing.
    /// `event` is the input where the record only refers to it. Redacted parts must have been put
    /// back by the caller.
    ///
    /// # Errors
    /// The record cannot be replayed at all (no journal, damaged journal, other semantics, other
    /// component). A replay that differs is no error: it is a verdict.
    async fn replay(
        &self,
        record: &InvocationRecord,
        event: Option<Event>,
    ) -> Result<Replayed, Error>;

    /// The same, and gives the scene of the recording: what went in and what it asked of the world,
    /// with the arguments that a journal keeps only as hashes. Slower than [`replay`](Self::replay).
    ///
    /// # Errors
    /// As in [`replay`](Self::replay).
    async fn witness(
        &self,
        record: &InvocationRecord,
        event: Option<Event>,
    ) -> Result<(Replayed, Scene), Error>;

    /// Runs this unit in a scene that another version may have recorded. It has its own environment,
    /// and the secrets of the scene where it has the same. Touches nothing; takes no longer than the
    /// guest computes. With `counted` its instructions are counted (`meter.fuel`), for which it is
    /// compiled once more and runs slower.
    ///
    /// # Errors
    /// The input does not fit this unit; code that counts cannot be made.
    async fn rehearse(&self, scene: &Scene, counted: bool) -> Result<Rehearsed, Error>;

    /// Opens a debugger over a recorded invocation: the guest stands before its beginning. Touches
    /// nothing, as a replay. The code for debugging is compiled when it is not stored yet.
    ///
    /// # Errors
    /// The record cannot be replayed at all, or this runtime cannot debug.
    async fn debug(
        &self,
        record: &InvocationRecord,
        event: Option<Event>,
    ) -> Result<Debugger, Error> {
        let _ = (record, event);
        Err(Error::NotReplayable { reason: "this runtime has no debugger".to_owned() })
    }

    /// Replays a recorded invocation as often as it takes to see where its time goes.
    ///
    /// # Errors
    /// The record cannot be replayed at all, it diverges, or this runtime cannot profile.
    async fn profile(
        &self,
        record: &InvocationRecord,
        event: Option<Event>,
        options: ProfileOptions,
    ) -> Result<Profile, Error> {
        let _ = (record, event, options);
        Err(Error::NotReplayable { reason: "this runtime takes no profiles".to_owned() })
    }
}

/// The result of a replay.
#[derive(Debug)]
pub struct Replayed {
    /// Verdict, divergence, times.
    pub view: ReplayView,
    /// The output of the replay, for the caller to compare or show.
    pub ended: Ended,
}

/// What an artifact is.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// How it is called, by its exports.
    pub world: World,
    /// What it imports, sorted, with versions.
    pub imports: Vec<String>,
    /// The component to execute, where it is not the artifact itself (a core module through the
    /// adapter).
    pub adapted: Option<Bytes>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// The compilation, where looking at the artifact needed its machine code: a later
    /// [`compile`](Runtime::compile) finds that stored.
    pub compiled: Option<Compiled>,
}

/// The result of a compilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// The code was there already.
    pub cached: bool,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The size of the stored code.
    pub code_bytes: u64,
}

/// A function version as a runtime needs it.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The project.
    pub project: Name,
    /// The function.
    pub function: Name,
    /// The version.
    pub version: VersionId,
    /// The component to execute.
    pub component: Digest,
    /// How it is called.
    pub world: World,
    /// Environment variables, sorted by name.
    pub env: Vec<EnvVar>,
    /// Limits of one instance.
    pub limits: UnitLimits,
    /// Read-only files as a tar archive, mounted at `/`.
    pub bundle: Option<Bytes>,
}

/// One environment variable.
#[derive(Clone, PartialEq, Eq)]
pub struct EnvVar {
    /// The name.
    pub name: String,
    /// The value as the guest sees it.
    pub value: String,
    /// The secret and its version, where the value is one: the journal gets this, never the value,
    /// and the value is masked in output and logs.
    pub secret: Option<(Name, u32)>,
}

impl std::fmt::Debug for EnvVar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.secret {
            Some((secret, version)) => write!(f, "{}=secret:{secret}@{version}", self.name),
            None => write!(f, "{}={}", self.name, self.value),
        }
    }
}

/// Limits of one instance. Part of what a replay must repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitLimits {
    /// All linear memories together, in bytes.
    pub memory_bytes: usize,
    /// All tables together, in elements.
    pub table_elements: usize,
}

/// What a runtime holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct RuntimeStats {
    /// Components mapped.
    pub loaded: u64,
    /// Components unmapped to make room since the start.
    pub evicted: u64,
    /// Instances running.
    pub running: u64,
}

/// Gives a runtime the bytes of components that it has to compile again (another engine version).
#[async_trait]
pub trait Artifacts: Send + Sync + 'static {
    /// The component's bytes.
    async fn component(&self, digest: Digest) -> std::io::Result<Bytes>;
}

/// What a runtime could not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The artifact is not of an accepted world.
    #[error("{found}; accepted are {accepted}")]
    World {
        /// What it is or exports.
        found: String,
        /// The list of accepted worlds.
        accepted: &'static str,
    },
    /// A WASI 0.3 component.
    #[error(
        "the component uses WASI 0.3 ({interface}), which is not supported yet; build it for WASI 0.2"
    )]
    WasiP3 {
        /// An interface that says so.
        interface: String,
    },
    /// An import that no host function answers.
    #[error("the component imports {import}, which Nexus does not provide")]
    Import {
        /// The import.
        import: String,
    },
    /// The bytes are not WebAssembly.
    #[error("not a WebAssembly component or module: {reason}")]
    Malformed {
        /// What the parser says.
        reason: String,
    },
    /// The compiler refused it.
    #[error("failed to compile component {component}: {reason}")]
    Compile {
        /// The component.
        component: Digest,
        /// What the compiler says.
        reason: String,
    },
    /// No stored code for this engine.
    #[error("component {component} has not been compiled for this engine yet")]
    NotCompiled {
        /// The component.
        component: Digest,
    },
    /// Stored code could not be read, written or mapped.
    #[error("failed to {operation} the code of component {component}")]
    Code {
        /// `store`, `map`, …
        operation: &'static str,
        /// The component.
        component: Digest,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The invocation cannot be replayed at all.
    #[error("not replayable: {reason}")]
    NotReplayable {
        /// Why.
        reason: String,
    },
    /// The journal is damaged or of a newer version.
    #[error("the journal cannot be read")]
    Journal(#[source] crate::journal::Error),
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Error::World { .. } | Error::Import { .. } | Error::Malformed { .. } => {
                Code::BadComponent
            }
            Error::WasiP3 { .. } => Code::WasiP3,
            Error::Compile { .. } => Code::CompileFailed,
            Error::NotCompiled { .. } => Code::Overloaded,
            Error::Code { .. } => Code::Storage,
            Error::NotReplayable { .. } => Code::NotReplayable,
            Error::Journal(_) => Code::BadJournal,
        }
    }
}
