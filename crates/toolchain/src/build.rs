//! One entry point for all builders, and the cache before them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::{self, Stdout};
use crate::{Cancel, Error, Language, Sink, source_hash, source_hash_without_lock};

/// Changes whenever the same sources would give another component.
const BUILDER_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "+3");

/// How long the code at the top level of a function's modules may run while the function is built:
/// far more than loading takes, and short enough to wait for.
const LOAD_TIME_MAX: Duration = Duration::from_secs(10);

/// What is to be built.
#[derive(Clone, Debug)]
pub struct FunctionSource {
    /// The function's name; only for messages.
    pub name: String,
    /// Its folder.
    pub dir: PathBuf,
    /// Its language; `None` to find out with [`crate::detect`].
    pub language: Option<Language>,
    /// A command of the user's own instead of a builder.
    pub custom: Option<CustomBuild>,
}

/// A build command from the manifest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CustomBuild {
    /// Run by `sh -c` in the function's folder.
    pub command: String,
    /// The component that it writes, relative to the function's folder.
    pub component: PathBuf,
}

impl FunctionSource {
    /// The language that was stated, else the one that the folder shows.
    pub fn language(&self) -> Option<Language> {
        self.language.or_else(|| crate::detect(&self.dir))
    }
}

/// How to build.
#[derive(Clone)]
pub struct BuildOptions {
    /// Where built components are kept by source hash. Created when missing; safe to delete.
    pub cache_dir: PathBuf,
    /// Where builders keep what is the same for all projects: compiled interpreters. Created when
    /// missing; safe to delete. Whoever can write there can change what is built.
    pub shared_dir: PathBuf,
    /// Let no tool use the network.
    pub offline: bool,
    /// Receives the output of compilers, line by line.
    pub sink: Sink,
    /// Ends the build early.
    pub cancel: Cancel,
    /// How long modules of JavaScript and Python may take to load: what they do then is done at build
    /// time, and code that never ends would keep the builder for ever.
    pub load_time_max: Duration,
}

impl BuildOptions {
    /// Online, silent, not cancelled, nothing shared with other projects; modules have 10 s to load.
    pub fn new(cache_dir: impl Into<PathBuf>) -> Self {
        let cache_dir = cache_dir.into();
        BuildOptions {
            shared_dir: cache_dir.clone(),
            cache_dir,
            offline: false,
            sink: std::sync::Arc::new(|_| {}),
            cancel: Cancel::default(),
            load_time_max: LOAD_TIME_MAX,
        }
    }
}

/// What a build gave.
#[derive(Clone, Debug)]
pub struct Built {
    /// The component's bytes.
    pub component: Vec<u8>,
    /// The language, as `VersionSpec::language` wants it; `custom` for an own command whose
    /// language is not known.
    pub language: String,
    /// What the user should know although the build succeeded.
    pub notes: Vec<String>,
    /// BLAKE3 of the sources that went in, 64 hexadecimal digits.
    pub source_hash: String,
    /// Whether the sources were built before, so that no builder ran.
    pub cached: bool,
    /// How long it took.
    pub elapsed: Duration,
}

/// Builds a function's component. The same sources are answered from the cache; an own command
/// always runs, because what it reads is not known. Missing tools are named before anything runs.
pub fn build(source: &FunctionSource, options: &BuildOptions) -> Result<Built, Error> {
    let started = Instant::now();
    options.cancel.check()?;
    let language = source.language();
    let source_hash = source_hash(source)?;
    let built = |component, notes, cached| Built {
        component,
        language: language.map_or("custom", Language::as_str).to_owned(),
        notes,
        source_hash: source_hash.clone(),
        cached,
        elapsed: started.elapsed(),
    };
    if let Some(custom) = &source.custom {
        return Ok(built(build_custom(source, custom, options)?, Vec::new(), false));
    }
    let Some(language) = language else {
        return Err(Error::UnknownSource { dir: source.dir.clone() });
    };
    let cached = cache_path(options, language, &source_hash);
    if let Ok(component) = std::fs::read(&cached) {
        return Ok(built(component, Vec::new(), true));
    }
    let tools = crate::check_in(language, &source.dir);
    if !tools.is_empty() {
        return Err(Error::MissingTools { tools });
    }
    let before = source_hash_without_lock(source)?;
    let component = match language {
        Language::Rust => crate::rust::build(source, options)?,
        Language::JavaScript | Language::TypeScript => crate::javascript::build(source, options)?,
        Language::Python => crate::python::build(source, options)?,
    };
    options.cancel.check()?;
    // Somebody who saves during a build makes it unknown which sources went in: such a component is
    // good to run but is not kept. Cargo's own lock file is part of the hash it is kept under.
    if source_hash_without_lock(source)? == before {
        let kept = cache_path(options, language, &crate::source_hash(source)?);
        store(&kept, &component)?;
    }
    Ok(built(component, Vec::new(), false))
}

fn cache_path(options: &BuildOptions, language: Language, source_hash: &str) -> PathBuf {
    let key = format!("{BUILDER_VERSION}\0{language}\0{source_hash}");
    let key = blake3::hash(key.as_bytes()).to_hex();
    options.cache_dir.join("components").join(format!("{key}.wasm"))
}

/// Written beside and renamed, so that a reader never sees half a component.
fn store(path: &Path, component: &[u8]) -> Result<(), Error> {
    let dir = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir).map_err(Error::file("create", dir))?;
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(Error::file("create", dir))?;
    std::io::Write::write_all(&mut file, component).map_err(Error::file("write", path))?;
    file.persist(path).map_err(|error| Error::file("write", path)(error.error))?;
    Ok(())
}

fn build_custom(
    source: &FunctionSource,
    custom: &CustomBuild,
    options: &BuildOptions,
) -> Result<Vec<u8>, Error> {
    let mut command = Command::new("sh");
    command.arg("-c").arg(&custom.command).current_dir(&source.dir);
    let ran = process::run(command, Stdout::Stream, options)?;
    if !ran.success {
        return Err(Error::Failed { function: source.name.clone(), output: ran.stderr });
    }
    let path = source.dir.join(&custom.component);
    std::fs::read(&path).map_err(Error::file("read", path))
}
