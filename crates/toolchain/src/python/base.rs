//! The interpreter with the SDK, before a user's module is in it: made by `componentize-py` once
//! for all functions, because that takes long.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::{Entry, SDK, find_tool, parts, write};
use crate::process::{self, Stdout};
use crate::{BuildOptions, Error, Line, Stream};

/// Changes whenever the same inputs would give another base.
const VERSION: &str = "1";
/// Bases that are kept, each some 35 MB: those of the last versions of tool and SDK.
const KEPT_MAX: usize = 6;
/// How often it is tried again to be the one that makes a base.
const TRY_EVERY: Duration = Duration::from_millis(50);

const BOOTSTRAP: &str = include_str!("base.py");

/// A folder with the base and the files that modules import later.
pub(crate) struct Base {
    dir: PathBuf,
}

impl Base {
    /// The component, with [`parts::LOADING`] and [`parts::RESETS`].
    pub(crate) fn component(&self) -> PathBuf {
        self.dir.join("base.wasm")
    }

    /// Standard library, bindings and helpers, as (folder, its name for the guest).
    pub(crate) fn files(&self) -> [(PathBuf, &'static str); 3] {
        ["python", "world", "bundled"].map(|name| (self.dir.join("files").join(name), name))
    }

    /// The base for this kind of function, made now if it is not there. `sdk` is the project's own
    /// copy of the SDK.
    pub(crate) fn of(
        function_dir: &Path,
        sdk: Option<&Path>,
        entry: Entry,
        options: &BuildOptions,
    ) -> Result<Self, Error> {
        let tool =
            find_tool(function_dir).map_err(|tool| Error::MissingTools { tools: vec![tool] })?;
        let sdk = sdk_files(sdk)?;
        let all = options.shared_dir.join("python");
        let base = Base { dir: all.join(key(&tool, &sdk, entry)?) };
        if base.is_whole() {
            base.touch();
            return Ok(base);
        }
        std::fs::create_dir_all(&all).map_err(Error::file("create", &all))?;
        let _alone = alone(&base.dir.with_extension("lock"), options)?;
        if !base.is_whole() {
            let said = "preparing Python: this takes a while, and is done once".to_owned();
            (options.sink)(Line { stream: Stream::Stderr, text: said });
            base.make(&tool, &sdk, entry, options)?;
            forget_old(&all);
        }
        Ok(base)
    }

    fn is_whole(&self) -> bool {
        self.component().is_file()
    }

    /// Notes that it is used, by the file system's clock.
    fn touch(&self) {
        use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let now = Timestamps { last_access: now, last_modification: now };
        // Only the order in which bases go is lost.
        let _ = utimensat(CWD, self.component(), &now, AtFlags::empty());
    }

    fn make(
        &self,
        tool: &Path,
        sdk: &[(String, Vec<u8>)],
        entry: Entry,
        options: &BuildOptions,
    ) -> Result<(), Error> {
        let all = self.dir.parent().unwrap_or(&self.dir);
        let work = tempfile::tempdir_in(all).map_err(Error::file("create", all))?;
        let dir = work.path();
        for (name, text) in crate::javascript::WIT {
            write(&dir.join("wit").join(wit_place(name)), text.as_bytes())?;
        }
        for (name, text) in sdk {
            write(&dir.join("sdk").join(name), text)?;
        }
        let bootstrap = BOOTSTRAP.replace("NEXUS_ENTRY", entry.name());
        write(&dir.join("main/nexus_base.py"), bootstrap.as_bytes())?;
        let kept = dir.join("files");
        std::fs::create_dir(&kept).map_err(Error::file("create", &kept))?;
        let mut command = Command::new(tool);
        command.args(["-d", "wit", "-w", &format!("{}-to-load", entry.name())]);
        command.args(["componentize", "nexus_base", "-p", "main", "-p", "files", "-p", "sdk"]);
        // Hash seeds are drawn while the interpreter starts: a fixed one makes builds repeatable,
        // and iteration order is part of the component.
        command.args(["-o", "plain.wasm"]).current_dir(dir).env("PYTHONHASHSEED", "0");
        let ran = process::run(command, Stdout::Silent, options)?;
        if !ran.success {
            let output = format!("{}{}", ran.stdout, ran.stderr);
            return Err(Error::Failed { function: "the Python interpreter".to_owned(), output });
        }
        let plain = dir.join("plain.wasm");
        let component = std::fs::read(&plain).map_err(Error::file("read", plain))?;
        let component = parts::add_resets(&component).map_err(|source| Error::Componentize {
            operation: "prepare the Python interpreter",
            source,
        })?;
        // Whole folders appear under their names; a folder without its component is from a crash.
        let _ = std::fs::remove_dir_all(&self.dir);
        std::fs::create_dir_all(&self.dir).map_err(Error::file("create", &self.dir))?;
        let files = self.dir.join("files");
        std::fs::rename(&kept, &files).map_err(Error::file("write", files))?;
        let unfinished = dir.join("base.wasm");
        write(&unfinished, &component)?;
        std::fs::rename(&unfinished, self.component())
            .map_err(Error::file("write", self.component()))
    }
}

/// What a base depends on, as the name of its folder.
fn key(tool: &Path, sdk: &[(String, Vec<u8>)], entry: Entry) -> Result<String, Error> {
    let mut hasher = blake3::Hasher::new();
    let mut add = |part: &[u8]| {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    };
    add(VERSION.as_bytes());
    add(entry.name().as_bytes());
    add(BOOTSTRAP.as_bytes());
    for (name, text) in crate::javascript::WIT {
        add(name.as_bytes());
        add(text.as_bytes());
    }
    for (name, text) in sdk {
        add(name.as_bytes());
        add(text);
    }
    // Asking the tool for its version would take longer than the rest of a build: an installer
    // writes the file anew.
    let tool = std::fs::canonicalize(tool).map_err(Error::file("read", tool))?;
    let changed = std::fs::metadata(&tool).and_then(|found| found.modified());
    let changed = changed.map_err(Error::file("read", &tool))?;
    let changed = changed.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    add(tool.as_os_str().as_encoded_bytes());
    add(&changed.as_nanos().to_le_bytes());
    Ok(hasher.finalize().to_hex()[..32].to_owned())
}

/// The SDK's files by their names: the project's own copy, else the builder's.
fn sdk_files(project: Option<&Path>) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let Some(project) = project else {
        let own = SDK.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
        return Ok(own.collect());
    };
    let mut files = Vec::new();
    let listed = std::fs::read_dir(project).map_err(Error::file("list", project))?;
    for entry in listed {
        let path = entry.map_err(Error::file("list", project))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(name) = name.filter(|name| name.ends_with(".py")) {
            let text = std::fs::read(&path).map_err(Error::file("read", &path))?;
            files.push((format!("nexus_sdk/{name}"), text));
        }
    }
    files.sort();
    Ok(files)
}

/// Waits until nobody else makes the same base.
fn alone(lock: &Path, options: &BuildOptions) -> Result<File, Error> {
    let file = File::create(lock).map_err(Error::file("create", lock))?;
    loop {
        options.cancel.check()?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(TRY_EVERY),
            Err(TryLockError::Error(source)) => return Err(Error::file("lock", lock)(source)),
        }
    }
}

/// Removes the bases that were used longest ago. What cannot be removed stays.
fn forget_old(all: &Path) {
    let used = |dir: &Path| dir.join("base.wasm").metadata().and_then(|found| found.modified());
    let mut bases: Vec<_> = std::fs::read_dir(all)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((used(&entry.path()).ok()?, entry.path())))
        .collect();
    bases.sort_by(|one, other| other.cmp(one));
    for (_, dir) in bases.into_iter().skip(KEPT_MAX) {
        let _ = std::fs::remove_dir_all(&dir);
        let _ = std::fs::remove_file(dir.with_extension("lock"));
    }
}

/// Dependencies lie under `deps`, one folder a package.
fn wit_place(name: &str) -> PathBuf {
    match name {
        "guest.wit" => PathBuf::from(name),
        other => Path::new("deps").join(other.trim_end_matches(".wit")).join(other),
    }
}
