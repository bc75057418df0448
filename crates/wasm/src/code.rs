//! Stored machine code: one file per component digest and code hash, written whole or not at all.

use std::collections::HashSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nexus_exec::{Compiled, Error};
use nexus_model::Digest;
use wasmtime::Engine;
use wasmtime::component::Component;

/// Numbers the files that are being written in this process.
static UNFINISHED: AtomicU64 = AtomicU64::new(0);

/// Younger code may belong to a deploy that goes on.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);

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

    /// Maps stored code. What is damaged is removed, so that it is compiled again.
    pub(crate) fn open(&self, engine: &Engine, component: Digest) -> wasmtime::Result<Component> {
        let path = self.path(component);
        #[expect(unsafe_code, reason = "mapping machine code that this program stored")]
        // SAFETY: the file was written by `store` from the output of this engine's compiler, whole
        // and renamed into place, in a folder that belongs to the server; Wasmtime checks that it
        // was made for this engine.
        let mapped = unsafe { Component::deserialize_file(engine, &path) };
        mapped.inspect_err(|error| {
            // What the system refuses now it may give later.
            if error.downcast_ref::<std::io::Error>().is_none() {
                tracing::warn!(
                    path = %path.display(),
                    error = format!("{error:#}"),
                    "stored machine code is damaged: it is removed, to be compiled again"
                );
                let _ = std::fs::remove_file(&path);
            }
        })
    }

    /// Removes the code of other components, for whichever engine it was made: the bytes that were
    /// freed. What is mapped stays mapped.
    pub(crate) fn keep_only(&self, used: &HashSet<Digest>) -> std::io::Result<u64> {
        let mut freed = 0;
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some((component, _)) = name.to_str().and_then(|name| name.split_once('-')) else {
                continue;
            };
            let Ok(component) = component.parse::<Digest>() else { continue };
            let found = entry.metadata()?;
            let age = found.modified()?.elapsed().unwrap_or_default();
            if !used.contains(&component) && age >= FORGOTTEN_AFTER {
                std::fs::remove_file(entry.path())?;
                freed += found.len();
            }
        }
        Ok(freed)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_code_of_others_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let cache = CodeCache::new(dir.path().to_owned(), 1);
        let [used, young, old] = [b"a", b"b", b"c"].map(|name| Digest::of(name));
        for component in [used, young, old] {
            cache.store(component, b"code").unwrap();
        }
        let other_engine = CodeCache::new(dir.path().to_owned(), 2);
        other_engine.store(old, b"other code").unwrap();
        for path in [cache.path(used), cache.path(old), other_engine.path(old)] {
            let file = std::fs::File::options().write(true).open(path).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        std::fs::write(dir.path().join("notes.txt"), "none of ours").unwrap();
        assert_eq!(cache.keep_only(&HashSet::from([used])).unwrap(), 14);
        let left = [used, young, old].map(|component| cache.size(component).is_some());
        assert_eq!(left, [true, true, false]);
        assert!(dir.path().join("notes.txt").exists());
    }
}
