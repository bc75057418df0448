//! Stored machine code: one file per component digest and code hash, written whole or not at all.
//!
//! ```text
//! <component>-<code hash>.cwasm     the code
//! <component>-<code hash>.blake3    its BLAKE3 hash in hexadecimal
//! ```
//!
//! Whatever is mapped runs outside of the sandbox, so a bit that was flipped on the disk could do
//! anything to the server. The first time in a process that code is mapped it is compared with its hash;
//! a deploy maps it, so that no call after one waits for that. Later mappings trust the first. Builds
//! before this one wrote no hash; their code is taken as it is, once.

use std::collections::HashSet;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
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
    /// Whose code was what it is to be, in the life of this process.
    checked: Mutex<HashSet<Digest>>,
}

impl CodeCache {
    pub(crate) fn new(dir: PathBuf, hash: u64) -> Self {
        CodeCache { dir, hash, checked: Mutex::default() }
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
        let checked = self.check(component);
        #[expect(unsafe_code, reason = "mapping machine code that this program stored")]
        // SAFETY: the file was written by `store` from the output of this engine's compiler, whole
        // and renamed into place, in a folder that belongs to the server; it has its hash; Wasmtime
        // checks that it was made for this engine.
        let mapped = checked.and_then(|()| unsafe { Component::deserialize_file(engine, &path) });
        mapped.inspect_err(|error| {
            // What the system refuses now it may give later.
            if error.downcast_ref::<std::io::Error>().is_none() {
                tracing::warn!(
                    path = %path.display(),
                    error = format!("{error:#}"),
                    "stored machine code is damaged: it is removed, to be compiled again"
                );
                let _ = std::fs::remove_file(&path);
                let _ = std::fs::remove_file(hash_path(&path));
            }
        })
    }

    /// Whether stored code is what was written.
    fn check(&self, component: Digest) -> wasmtime::Result<()> {
        if self.known().contains(&component) {
            return Ok(());
        }
        let path = self.path(component);
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(std::fs::File::open(&path)?)?;
        let found = hasher.finalize();
        match std::fs::read_to_string(hash_path(&path)) {
            Ok(expected) if expected == *found.to_hex() => {}
            Ok(_) => return Err(wasmtime::Error::msg("its hash is another one")),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // Without a place for it, it is made at the next start.
                let _ = self.write(&hash_path(&path), found.to_hex().as_bytes());
            }
            // Bytes that are no text.
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                return Err(wasmtime::Error::msg("its hash is damaged"));
            }
            Err(error) => return Err(error.into()),
        }
        self.known().insert(component);
        Ok(())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<Digest>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
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
        // First the hash: code is never without it.
        self.write(&hash_path(&path), blake3::hash(code).to_hex().as_bytes())?;
        self.write(&path, code)?;
        std::fs::File::open(&self.dir)?.sync_all()
    }

    /// Writes a file whole or not at all.
    fn write(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        // Two may store the same code at the same time: each writes a file of its own.
        let own = UNFINISHED.fetch_add(1, Ordering::Relaxed);
        let unfinished = path.with_extension(format!("tmp{}-{own}", std::process::id()));
        let mut file = std::fs::File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, path)
    }
}

fn hash_path(code: &Path) -> PathBuf {
    code.with_extension("blake3")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component of one core module that has nothing but a table of bytes.
    const COMPONENT: &str = r#"(component (core module (memory 1) (data (i32.const 0) "some bytes")
        (func (export "f") (result i32) (i32.load (i32.const 0)))))"#;

    #[test]
    fn code_that_is_not_what_was_written_is_removed_and_compiled_again() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let bytes = wat::parse_str(COMPONENT).unwrap();
        let component = Digest::of(&bytes);
        let cache = || CodeCache::new(dir.path().to_owned(), 1);
        let compile = |cache: &CodeCache| cache.compile(&engine, component, &bytes).unwrap().cached;
        assert!(!compile(&cache()) && compile(&cache()));
        let path = cache().path(component);
        let whole = std::fs::read(&path).unwrap();
        let hash = std::fs::read(hash_path(&path)).unwrap();
        // In every part of the file.
        for at in (0..whole.len()).step_by(whole.len() / 50) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            let cache = cache();
            assert!(cache.open(&engine, component).is_err(), "byte {at}");
            assert_eq!(cache.size(component), None, "it is gone");
            assert!(!compile(&cache));
            cache.open(&engine, component).unwrap();
        }
        std::fs::write(hash_path(&path), [0xff; 64]).unwrap();
        assert!(cache().open(&engine, component).is_err());
        assert_eq!(cache().size(component), None);

        // As an older build left it.
        assert!(!compile(&cache()));
        std::fs::remove_file(hash_path(&path)).unwrap();
        cache().open(&engine, component).unwrap();
        assert_eq!(std::fs::read(hash_path(&path)).unwrap(), hash);
    }

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
        let codes = [cache.path(used), cache.path(old), other_engine.path(old)];
        for path in codes.iter().flat_map(|code| [code.clone(), hash_path(code)]) {
            let file = std::fs::File::options().write(true).open(path).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        std::fs::write(dir.path().join("notes.txt"), "none of ours").unwrap();
        assert_eq!(cache.keep_only(&HashSet::from([used])).unwrap(), 14 + 2 * 64);
        let left = [used, young, old].map(|component| cache.size(component).is_some());
        assert_eq!(left, [true, true, false]);
        assert!(dir.path().join("notes.txt").exists());
    }
}
