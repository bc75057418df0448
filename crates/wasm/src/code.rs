//! Stored machine code: one file per component digest and code hash, written whole or not at all.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use nexus_exec::{Compiled, Error};
use nexus_model::Digest;
use wasmtime::Engine;

/// Numbers the files that are being written in this process.
static UNFINISHED: AtomicU64 = AtomicU64::new(0);

/// The folder of machine code for one engine.
#[derive(Debug)]
pub(crate) struct CodeCache {
    dir: PathBuf,
    hash: u64,
}

impl CodeCache {
    pub(crate) fn new(dir: PathBuf, hash: u64) -> Self {
        CodeCache { dir, hash }
    }

    pub(crate) fn path(&self, component: Digest) -> PathBuf {
        self.dir.join(format!("{}-{:016x}.cwasm", component.hex(), self.hash))
    }

    pub(crate) fn size(&self, component: Digest) -> Option<u64> {
        std::fs::metadata(self.path(component)).ok().map(|found| found.len())
    }

    /// Compiles and stores, unless it is there. Takes seconds of CPU for interpreters.
    pub(crate) fn compile(
        &self,
        engine: &Engine,
        component: Digest,
        bytes: &[u8],
    ) -> Result<Compiled, Error> {
        if let Some(code_bytes) = self.size(component) {
            return Ok(Compiled { cached: true, took_ms: 0, code_bytes });
        }
        let began = Instant::now();
        let code = engine
            .precompile_component(bytes)
            .map_err(|error| Error::Compile { component, reason: format!("{error:#}") })?;
        self.store(component, &code).map_err(|source| Error::Code {
            operation: "store",
            component,
            source,
        })?;
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Compiled { cached: false, took_ms, code_bytes: code.len() as u64 })
    }

    fn store(&self, component: Digest, code: &[u8]) -> std::io::Result<()> {
        let path = self.path(component);
        // Two may store the same code at the same time: each writes a file of its own.
        let own = UNFINISHED.fetch_add(1, Ordering::Relaxed);
        let unfinished = path.with_extension(format!("tmp{}-{own}", std::process::id()));
        let mut file = std::fs::File::create(&unfinished)?;
        file.write_all(code)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, &path)?;
        std::fs::File::open(&self.dir)?.sync_all()
    }
}
