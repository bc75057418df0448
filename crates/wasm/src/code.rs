//! Stored machine code: one file per component digest and code hash, written whole or not at all.
//!
//! ```text
//! <component>-<code hash>.cwasm     the code
//! <component>-<code hash>.blake3    its BLAKE3 hash in hexadecimal
//! ```
//!
//! A component that begins with a state (see `split`) has its code in two files, and shares that of its
//! shell with others:
//!
//! ```text
//! <component>-<code hash>.state     the state, with a hash as above
//! <component>-<code hash>.shell     the digest of its shell, and where the parts lie in the component
//! <shell>-<code hash>.cwasm         the code of the shell, with a hash as above
//! ```
//!
//! Whatever is mapped runs outside of the sandbox, so a bit that was flipped on the disk could do
//! anything to the server. The first time in a process that code is mapped it is compared with its hash.
//! No call waits for that: a deploy maps what it compiled, and what lies there at the start is compared
//! in the background. Later mappings trust the first. Builds before this one wrote no hash; their code
//! is taken as it is, once.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use nexus_exec::{Compiled, Error};
use nexus_model::Digest;
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Engine, FrameInfo, Module};

use crate::split::{Places, STATE_IMPORT, Split, split};

/// Numbers the files that are being written in this process.
static UNFINISHED: AtomicU64 = AtomicU64::new(0);

/// The kinds of files, by their endings.
const CODE: &str = "cwasm";
const STATE: &str = "state";
const SHELL: &str = "shell";

/// Younger code may belong to a deploy that goes on.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);

/// How much is compared with its hashes at the start, in bytes, the newest first: the rest when it is
/// mapped.
const CHECKED_AT_START_MAX: u64 = 1 << 30;

/// Shells that stay mapped: one for each interpreter and world is enough.
const SHELLS_KEPT: usize = 4;

/// The folder of machine code for one engine.
pub(crate) struct CodeCache {
    dir: PathBuf,
    hash: u64,
    /// Whether components are taken apart. Debuggers want them whole.
    splits: bool,
    /// Whose code was what it is to be, in the life of this process.
    checked: Mutex<HashSet<PathBuf>>,
    /// The shells that were used last.
    shells: Mutex<Vec<(Digest, Component)>>,
}

/// Mapped machine code.
pub(crate) struct Mapped {
    component: Component,
    /// What the component begins with, where that is apart.
    state: Option<Module>,
    places: Places,
}

impl Mapped {
    pub(crate) fn link<T: 'static>(&self, linker: &Linker<T>) -> wasmtime::Result<InstancePre<T>> {
        let Some(state) = &self.state else { return linker.instantiate_pre(&self.component) };
        let mut linker = linker.clone();
        linker.root().module(STATE_IMPORT, state)?;
        linker.instantiate_pre(&self.component)
    }

    /// Where in the component a frame of it is.
    pub(crate) fn place(&self, frame: &FrameInfo) -> u64 {
        self.places.of(frame, self.state.as_ref())
    }
}

/// Where the rest of a component's code lies.
struct Shell {
    digest: Digest,
    places: Places,
}

impl Shell {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let digest = words.next()?.parse().ok()?;
        let mut number = || words.next()?.parse().ok();
        Some(Shell { digest, places: Places { state: number()?, shift: number()? } })
    }
}

impl CodeCache {
    pub(crate) fn new(dir: PathBuf, hash: u64, splits: bool) -> Self {
        CodeCache { dir, hash, splits, checked: Mutex::default(), shells: Mutex::default() }
    }

    fn path(&self, component: Digest, kind: &str) -> PathBuf {
        self.dir.join(format!("{}-{:016x}.{kind}", component.hex(), self.hash))
    }

    /// The bytes of a component's code; `None` where it is not compiled.
    pub(crate) fn size(&self, component: Digest) -> Option<u64> {
        let size = |path| std::fs::metadata(path).ok().map(|found| found.len());
        let whole = size(self.path(component, CODE));
        if whole.is_some() || !self.splits {
            return whole;
        }
        let shell = self.shell(component)?;
        Some(size(self.path(component, STATE))? + size(self.path(shell.digest, CODE))?)
    }

    fn shell(&self, component: Digest) -> Option<Shell> {
        Shell::parse(&std::fs::read_to_string(self.path(component, SHELL)).ok()?)
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
        let parts = if self.splits { split(bytes) } else { None };
        // What is wrong with a component is said of the whole.
        let apart =
            parts.is_some_and(|parts| self.compile_parts(engine, component, &parts).is_ok());
        if !apart {
            let code = engine
                .precompile_component(bytes)
                .map_err(|error| Error::Compile { component, reason: format!("{error:#}") })?;
            self.store(&self.path(component, CODE), &code).map_err(|source| Error::Code {
                operation: "store",
                component,
                source,
            })?;
        }
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let code_bytes = self.size(component).unwrap_or_default();
        Ok(Compiled { cached: false, took_ms, code_bytes })
    }

    fn compile_parts(
        &self,
        engine: &Engine,
        component: Digest,
        parts: &Split<'_>,
    ) -> wasmtime::Result<()> {
        let shell = Digest::of(&parts.shell);
        let path = self.path(shell, CODE);
        // A known one is made young, so that it is not forgotten before its user is there.
        if touch(&path).is_err() {
            self.store(&path, &engine.precompile_component(&parts.shell)?)?;
        }
        let state = engine.precompile_module(parts.state)?;
        let place = format!("{shell} {} {}", parts.places.state, parts.places.shift);
        self.write(&self.path(component, SHELL), place.as_bytes())?;
        self.store(&self.path(component, STATE), &state)?;
        Ok(())
    }

    /// Maps stored code. What is damaged is removed, so that it is compiled again.
    pub(crate) fn open(&self, engine: &Engine, component: Digest) -> wasmtime::Result<Mapped> {
        if self.path(component, CODE).exists() || !self.splits {
            let component = self.map_component(engine, component)?;
            return Ok(Mapped { component, state: None, places: Places::default() });
        }
        let shell = self.shell(component).ok_or_else(|| wasmtime::Error::msg("it is not there"))?;
        let state = self.map(&self.path(component, STATE), |path| {
            #[expect(unsafe_code, reason = "mapping machine code that this program stored")]
            // SAFETY: as for components, below.
            unsafe {
                Module::deserialize_file(engine, path)
            }
        })?;
        let component = self.map_shell(engine, shell.digest)?;
        Ok(Mapped { component, state: Some(state), places: shell.places })
    }

    fn map_shell(&self, engine: &Engine, shell: Digest) -> wasmtime::Result<Component> {
        let kept = || self.shells.lock().unwrap_or_else(PoisonError::into_inner);
        // Removed code was damaged, and is compiled anew.
        let mapped = kept().iter().find(|(digest, _)| *digest == shell).map(|(_, it)| it.clone());
        let component = match mapped {
            Some(mapped) => mapped,
            None => self.map_component(engine, shell)?,
        };
        let mut kept = kept();
        kept.retain(|(digest, _)| *digest != shell);
        if kept.len() >= SHELLS_KEPT {
            kept.remove(0);
        }
        kept.push((shell, component.clone()));
        Ok(component)
    }

    fn map_component(&self, engine: &Engine, component: Digest) -> wasmtime::Result<Component> {
        self.map(&self.path(component, CODE), |path| {
            #[expect(unsafe_code, reason = "mapping machine code that this program stored")]
            // SAFETY: the file was written by `store` from the output of this engine's compiler, whole
            // and renamed into place, in a folder that belongs to the server; it has its hash;
            // Wasmtime checks that it was made for this engine.
            unsafe {
                Component::deserialize_file(engine, path)
            }
        })
    }

    fn map<T>(
        &self,
        path: &Path,
        deserialize: impl FnOnce(&Path) -> wasmtime::Result<T>,
    ) -> wasmtime::Result<T> {
        let mapped = self.check(path).and_then(|()| deserialize(path));
        mapped.inspect_err(|error| remove_damaged(path, error))
    }

    /// Compares what lies there with its hashes, until nobody else holds the cache.
    pub(crate) fn check_stored(cache: &Weak<Self>) {
        let Some(Ok(mut files)) = cache.upgrade().map(|cache| cache.own_files()) else { return };
        files.sort_by_key(|file| file.age);
        let mut left = CHECKED_AT_START_MAX;
        for file in files {
            let Some(cache) = cache.upgrade() else { return };
            let Some(after) = left.checked_sub(file.bytes) else { return };
            left = after;
            if let Err(error) = cache.check(&file.path) {
                remove_damaged(&file.path, &error);
            }
        }
    }

    /// The code of this engine.
    fn own_files(&self) -> std::io::Result<Vec<Stored>> {
        let own = format!("-{:016x}", self.hash);
        let mut files = self.files()?;
        files.retain(|file| {
            let stem = file.path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
            let kind = file.path.extension();
            stem.ends_with(&own) && kind.is_some_and(|kind| kind == CODE || kind == STATE)
        });
        Ok(files)
    }

    /// Whether stored code is what was written.
    fn check(&self, path: &Path) -> wasmtime::Result<()> {
        if self.known().contains(path) {
            return Ok(());
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(std::fs::File::open(path)?)?;
        let found = hasher.finalize();
        match std::fs::read_to_string(hash_path(path)) {
            Ok(expected) if expected == *found.to_hex() => {}
            Ok(_) => return Err(wasmtime::Error::msg("its hash is another one")),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // Without a place for it, it is made at the next start.
                let _ = self.write(&hash_path(path), found.to_hex().as_bytes());
            }
            // Bytes that are no text.
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                return Err(wasmtime::Error::msg("its hash is damaged"));
            }
            Err(error) => return Err(error.into()),
        }
        self.known().insert(path.to_owned());
        Ok(())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the code of other components, for whichever engine it was made: the bytes that were
    /// freed. What is mapped stays mapped.
    pub(crate) fn keep_only(&self, used: &HashSet<Digest>) -> std::io::Result<u64> {
        let files = self.files()?;
        let mut used = used.clone();
        for file in &files {
            if file.path.extension().is_some_and(|kind| kind == SHELL)
                && (file.is_young() || used.contains(&file.component))
                && let Ok(text) = std::fs::read_to_string(&file.path)
                && let Some(shell) = Shell::parse(&text)
            {
                used.insert(shell.digest);
            }
        }
        let mut freed = 0;
        for file in files {
            if !used.contains(&file.component) && !file.is_young() {
                std::fs::remove_file(file.path)?;
                freed += file.bytes;
            }
        }
        Ok(freed)
    }

    /// What lies in the folder and is named like code.
    fn files(&self) -> std::io::Result<Vec<Stored>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let component = name.to_str().and_then(|name| name.split_once('-')?.0.parse().ok());
            let Some(component) = component else { continue };
            let found = entry.metadata()?;
            let age = found.modified()?.elapsed().unwrap_or_default();
            files.push(Stored { path: entry.path(), component, age, bytes: found.len() });
        }
        Ok(files)
    }

    fn store(&self, path: &Path, code: &[u8]) -> std::io::Result<()> {
        // First the hash: code is never without it.
        self.write(&hash_path(path), blake3::hash(code).to_hex().as_bytes())?;
        self.write(path, code)?;
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

/// A file in the folder.
struct Stored {
    path: PathBuf,
    component: Digest,
    age: Duration,
    bytes: u64,
}

impl Stored {
    fn is_young(&self) -> bool {
        self.age < FORGOTTEN_AFTER
    }
}

fn remove_damaged(path: &Path, error: &wasmtime::Error) {
    // What the system refuses now it may give later.
    if error.downcast_ref::<std::io::Error>().is_none() {
        tracing::warn!(
            path = %path.display(),
            error = format!("{error:#}"),
            "stored machine code is damaged: it is removed, to be compiled again"
        );
        let _ = std::fs::remove_file(path);
        let _ = std::fs::remove_file(hash_path(path));
    }
}

/// Makes a file as young as can be.
fn touch(path: &Path) -> std::io::Result<()> {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let now = Timestamps { last_access: now, last_modification: now };
    Ok(utimensat(CWD, path, &now, AtFlags::empty())?)
}

fn hash_path(code: &Path) -> PathBuf {
    code.with_extension("blake3")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
        let cache = || CodeCache::new(dir.path().to_owned(), 1, true);
        let compile = |cache: &CodeCache| cache.compile(&engine, component, &bytes).unwrap().cached;
        assert!(!compile(&cache()) && compile(&cache()));
        let path = cache().path(component, CODE);
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
    fn a_state_has_code_of_its_own_and_shares_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let new = || CodeCache::new(dir.path().to_owned(), 1, true);
        let count = |kind: &str| {
            let files = new().files().unwrap();
            files.iter().filter(|file| file.path.extension().unwrap() == kind).count()
        };
        let components = ["one", "two"].map(|text| crate::split::tests::stateful(text, 20));
        let digests = components.each_ref().map(|bytes| Digest::of(bytes));
        let compile = |cache: &CodeCache, at: usize| {
            cache.compile(&engine, digests[at], &components[at]).unwrap()
        };
        let runs = |cache: &CodeCache, at: usize| -> wasmtime::Result<()> {
            let mapped = cache.open(&engine, digests[at])?;
            assert!(mapped.places.shift > 0);
            let mut store = wasmtime::Store::new(&engine, ());
            let instance = mapped.link(&Linker::new(&engine))?.instantiate(&mut store)?;
            let read = instance.get_typed_func::<(), (u32,)>(&mut store, "read")?;
            assert_eq!(read.call(&mut store, ())?.0, u32::from([b'e', b'o'][at]));
            Ok(())
        };
        for at in [0, 1] {
            let compiled = compile(&new(), at);
            assert!(!compiled.cached && compiled.code_bytes > 1 << 20, "{compiled:?}");
            assert!(compile(&new(), at).cached);
            runs(&new(), at).unwrap();
        }
        assert_eq!((count(CODE), count(STATE), count(SHELL)), (1, 2, 2));

        // Damage in either part is found, and mended by compiling that part again.
        let shell = new().shell(digests[0]).unwrap().digest;
        for path in [new().path(digests[0], STATE), new().path(shell, CODE)] {
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            let cache = new();
            assert!(runs(&cache, 0).is_err());
            assert_eq!(cache.size(digests[0]), None, "{}", path.display());
            assert!(!compile(&cache, 0).cached);
            runs(&cache, 0).unwrap();
            runs(&cache, 1).unwrap();
        }
        std::fs::write(new().path(digests[0], SHELL), "nonsense").unwrap();
        assert_eq!(new().size(digests[0]), None);
        assert!(!compile(&new(), 0).cached);
        runs(&new(), 0).unwrap();

        // The shell stays for as long as one of its users.
        let age = || {
            for file in new().files().unwrap() {
                let file = std::fs::File::options().write(true).open(file.path).unwrap();
                file.set_modified(std::time::UNIX_EPOCH).unwrap();
            }
        };
        age();
        new().keep_only(&HashSet::from([digests[1]])).unwrap();
        assert_eq!((count(CODE), count(STATE), count(SHELL)), (1, 1, 1));
        runs(&new(), 1).unwrap();
        new().keep_only(&HashSet::new()).unwrap();
        assert_eq!(new().files().unwrap().len(), 0);
    }

    #[test]
    fn what_is_damaged_is_removed_at_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Arc::new(CodeCache::new(dir.path().to_owned(), 1, true));
        let other_engine = CodeCache::new(dir.path().to_owned(), 2, true);
        let [good, bad] = [b"a", b"b"].map(|name| Digest::of(name));
        for (cache, component) in [(&*cache, good), (&cache, bad), (&other_engine, bad)] {
            cache.store(&cache.path(component, CODE), b"code").unwrap();
            if component == bad {
                std::fs::write(cache.path(component, CODE), b"cold").unwrap();
            }
        }
        CodeCache::check_stored(&Arc::downgrade(&cache));
        assert_eq!((cache.size(good), cache.size(bad)), (Some(4), None));
        assert_eq!(other_engine.size(bad), Some(4), "its engine looks at it");
        assert!(cache.known().contains(&cache.path(good, CODE)));
        CodeCache::check_stored(&Weak::new());
    }

    #[test]
    fn only_old_code_of_others_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let cache = CodeCache::new(dir.path().to_owned(), 1, true);
        let [used, young, old] = [b"a", b"b", b"c"].map(|name| Digest::of(name));
        for component in [used, young, old] {
            cache.store(&cache.path(component, CODE), b"code").unwrap();
        }
        let other_engine = CodeCache::new(dir.path().to_owned(), 2, true);
        other_engine.store(&other_engine.path(old, CODE), b"other code").unwrap();
        let codes =
            [(&cache, used), (&cache, old), (&other_engine, old)].map(|(of, it)| of.path(it, CODE));
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
