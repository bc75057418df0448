//! Python: CPython by `componentize-py`, with the SDK of `sdk/python` between the WIT world and the
//! user's module.
//!
//! ```text
//!   componentize-py ─► base: interpreter and SDK, once ─► load: the user's module, for each build
//! ```

mod base;
mod load;
mod parts;

use std::path::{Path, PathBuf};

use self::base::Base;
use self::load::Sources;
use crate::check::COMPONENTIZE_PY;
use crate::loading::Loaded;
use crate::{BuildOptions, Error, FunctionSource, MissingTool};

/// The tool's name.
const TOOL: &str = "componentize-py";

/// Modules that a function starts with, in the order in which they are looked for.
const ENTRY_MODULES: &[&str] = &["app", "main", "function", "handler"];

/// How many folders above the function's are looked at for a virtual environment and for the
/// project's copy of the SDK.
const ANCESTORS_MAX: usize = 4;

/// What the SDK's entry raises when the module registered the other kind of handler.
const OTHER_ENTRY: &str = "NEXUS_OTHER_ENTRY";

/// The SDK as shipped with the builder.
pub(crate) const SDK: &[(&str, &str)] = &[
    ("nexus_sdk/__init__.py", include_str!("../../../../sdk/python/nexus_sdk/__init__.py")),
    ("nexus_sdk/_events.py", include_str!("../../../../sdk/python/nexus_sdk/_events.py")),
    ("nexus_sdk/_http.py", include_str!("../../../../sdk/python/nexus_sdk/_http.py")),
    ("nexus_sdk/_platform.py", include_str!("../../../../sdk/python/nexus_sdk/_platform.py")),
    ("nexus_sdk/_runtime.py", include_str!("../../../../sdk/python/nexus_sdk/_runtime.py")),
    ("nexus_sdk/_wasi_http.py", include_str!("../../../../sdk/python/nexus_sdk/_wasi_http.py")),
    ("nexus_sdk/_entry_http.py", include_str!("../../../../sdk/python/nexus_sdk/_entry_http.py")),
    ("nexus_sdk/_entry_event.py", include_str!("../../../../sdk/python/nexus_sdk/_entry_event.py")),
    ("nexus_sdk/py.typed", ""),
];

/// The module that a function in `dir` starts with, without `.py`.
pub(crate) fn entry_module(dir: &Path) -> Option<&'static str> {
    ENTRY_MODULES.iter().copied().find(|name| dir.join(format!("{name}.py")).is_file())
}

/// The project's copy of the SDK, which goes before the builder's own.
pub(crate) fn project_sdk(dir: &Path) -> Option<PathBuf> {
    ancestors(dir).map(|it| it.join("nexus_sdk")).find(|it| it.join("__init__.py").is_file())
}

fn ancestors(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let dir = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    dir.ancestors().take(ANCESTORS_MAX).map(Path::to_owned).collect::<Vec<_>>().into_iter()
}

/// `componentize-py` of the nearest virtual environment, else the one on the search path.
pub(crate) fn find_tool(dir: &Path) -> Result<PathBuf, MissingTool> {
    let in_environment = ancestors(dir).flat_map(|it| [it.join(".venv/bin"), it.join("venv/bin")]);
    let search_path = std::env::var_os("PATH").unwrap_or_default();
    let mut found =
        in_environment.chain(std::env::split_paths(&search_path)).map(|it| it.join(TOOL));
    found.find(|it| is_executable(it)).ok_or_else(|| MissingTool {
        tool: TOOL.into(),
        why: "builds Python functions".into(),
        install: format!(
            "python3 -m venv .venv && .venv/bin/pip install {TOOL}=={COMPONENTIZE_PY}"
        ),
    })
}

/// Running it to see would take a tenth of a second for each build.
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Which of the two kinds of handlers a module registers.
#[derive(Clone, Copy)]
pub(crate) enum Entry {
    Http,
    Event,
}

impl Entry {
    /// As in the names of worlds and of the SDK's entries.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Entry::Http => "http",
            Entry::Event => "event",
        }
    }
}

pub(crate) fn build(source: &FunctionSource, options: &BuildOptions) -> Result<Vec<u8>, Error> {
    let module = entry_module(&source.dir)
        .ok_or_else(|| Error::NoEntry { dir: source.dir.clone(), expected: "app.py" })?;
    let file = source.dir.join(format!("{module}.py"));
    let text = std::fs::read_to_string(&file).map_err(Error::file("read", file))?;
    let (first, second) = match guess_is_event(&text) {
        true => (Entry::Event, Entry::Http),
        false => (Entry::Http, Entry::Event),
    };
    let loaded = match load(source, module, first, options)? {
        Loaded::Refused(output) if output.contains(OTHER_ENTRY) => {
            load(source, module, second, options)?
        }
        loaded => loaded,
    };
    loaded.finish(&source.name, options)
}

/// A first guess only: what the module registered is known after it was loaded.
fn guess_is_event(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim();
        line.starts_with('@') && line.trim_start_matches("@nexus_sdk.").trim_matches('@') == "event"
    })
}

fn load(
    source: &FunctionSource,
    module: &'static str,
    entry: Entry,
    options: &BuildOptions,
) -> Result<Loaded, Error> {
    let dir = std::path::absolute(&source.dir).map_err(Error::file("read", "."))?;
    let sdk = project_sdk(&dir);
    let base = Base::of(&dir, sdk.as_deref(), entry, options)?;
    let mut folders = vec![dir.clone()];
    // Modules beside the SDK belong to all functions of the project.
    folders.extend(sdk.as_deref().and_then(Path::parent).map(Path::to_owned));
    folders.extend(site_packages(&dir));
    let sources = Sources { module, folders };
    load::load(&base, &sources, options)
        .map_err(|source| Error::Componentize { operation: "load the Python function", source })
}

/// Installed pure-Python packages of the nearest virtual environment.
fn site_packages(dir: &Path) -> Option<PathBuf> {
    ancestors(dir).find_map(|it| {
        let entries = std::fs::read_dir(it.join(".venv/lib")).ok()?;
        entries.flatten().map(|entry| entry.path().join("site-packages")).find(|it| it.is_dir())
    })
}

fn write(path: &Path, text: &[u8]) -> Result<(), Error> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(Error::file("create", parent))?;
    }
    std::fs::write(path, text).map_err(Error::file("write", path))
}
