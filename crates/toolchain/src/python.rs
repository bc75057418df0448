//! Python: CPython by `componentize-py`, with the SDK of `sdk/python` between the WIT world and the
//! user's module.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::check::COMPONENTIZE_PY;
use crate::process::{self, Stdout};
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
    ("nexus_sdk/__init__.py", include_str!("../../../sdk/python/nexus_sdk/__init__.py")),
    ("nexus_sdk/_events.py", include_str!("../../../sdk/python/nexus_sdk/_events.py")),
    ("nexus_sdk/_http.py", include_str!("../../../sdk/python/nexus_sdk/_http.py")),
    ("nexus_sdk/_platform.py", include_str!("../../../sdk/python/nexus_sdk/_platform.py")),
    ("nexus_sdk/_runtime.py", include_str!("../../../sdk/python/nexus_sdk/_runtime.py")),
    ("nexus_sdk/_wasi_http.py", include_str!("../../../sdk/python/nexus_sdk/_wasi_http.py")),
    ("nexus_sdk/_entry_http.py", include_str!("../../../sdk/python/nexus_sdk/_entry_http.py")),
    ("nexus_sdk/_entry_event.py", include_str!("../../../sdk/python/nexus_sdk/_entry_event.py")),
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
    let in_environment = ancestors(dir)
        .flat_map(|it| [it.join(".venv/bin").join(TOOL), it.join("venv/bin").join(TOOL)]);
    let on_path = std::iter::once(PathBuf::from(TOOL));
    in_environment.chain(on_path).find(|it| crate::check::runs(it, &["--version"])).ok_or_else(
        || MissingTool {
            tool: TOOL.into(),
            why: "builds Python functions".into(),
            install: format!(
                "python3 -m venv .venv && .venv/bin/pip install {TOOL}=={COMPONENTIZE_PY}"
            ),
        },
    )
}

/// Files that say how far the load of the user's modules is: the tool says nothing of it.
const LOADING: &str = "loading";
const LOADED: &str = "loaded";

/// A module of the builder's own, which loads the user's.
fn main_module(user: &str, entry: &str) -> String {
    format!(
        r#"import os
def mark(name):
    try:
        open(os.path.join(os.path.dirname(__file__), name), "w").close()
    except OSError:
        pass
mark("{LOADING}")
import {user} as user
mark("{LOADED}")
from nexus_sdk.{entry} import *
register(user)
"#
    )
}

#[derive(Clone, Copy)]
enum Entry {
    Http,
    Event,
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
    let python = Python { source, options, module };
    match python.componentize(first) {
        Err(Error::Failed { output, .. }) if output.contains(OTHER_ENTRY) => {
            python.componentize(second)
        }
        other => other,
    }
}

/// A first guess only: what the module registered is known after it was loaded.
fn guess_is_event(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim();
        line.starts_with('@') && line.trim_start_matches("@nexus_sdk.").trim_matches('@') == "event"
    })
}

struct Python<'a> {
    source: &'a FunctionSource,
    options: &'a BuildOptions,
    module: &'static str,
}

impl Python<'_> {
    fn componentize(&self, entry: Entry) -> Result<Vec<u8>, Error> {
        let work = tempfile::tempdir().map_err(Error::file("create", std::env::temp_dir()))?;
        let work = work.path();
        for (name, text) in crate::javascript::WIT {
            write(&work.join("wit").join(wit_place(name)), text)?;
        }
        let (world, entry_module) = match entry {
            Entry::Http => ("http", "_entry_http"),
            Entry::Event => ("event", "_entry_event"),
        };
        // Absolute, since the tool runs elsewhere.
        let dir = std::path::absolute(&self.source.dir).map_err(Error::file("read", "."))?;
        let sdk = match project_sdk(&dir) {
            Some(found) => found.parent().unwrap_or(&dir).to_owned(),
            None => {
                for (name, text) in SDK {
                    write(&work.join("sdk").join(name), text)?;
                }
                work.join("sdk")
            }
        };
        // A module of its own, because the tool takes no dotted names.
        let main = main_module(self.module, entry_module);
        write(&work.join("main/nexus_main.py"), &main)?;
        let mut paths = vec![work.join("main"), dir.clone(), sdk];
        paths.extend(site_packages(&dir));
        self.run(work, world, &paths)
    }

    fn run(&self, work: &Path, world: &str, paths: &[PathBuf]) -> Result<Vec<u8>, Error> {
        let tool = find_tool(&self.source.dir)
            .map_err(|tool| Error::MissingTools { tools: vec![tool] })?;
        let output = work.join("function.wasm");
        let mut command = Command::new(tool);
        command.arg("-d").arg(work.join("wit")).args(["-w", world, "componentize", "nexus_main"]);
        for path in paths {
            command.arg("-p").arg(path);
        }
        // Hash seeds are drawn while the interpreter starts, that is before the snapshot: a fixed
        // one makes builds repeatable, and iteration order is part of the component.
        command.arg("-o").arg(&output).current_dir(work).env("PYTHONHASHSEED", "0");
        let limit = self.options.load_time_max;
        let main = work.join("main");
        let overdue = || {
            let began = std::fs::metadata(main.join(LOADING)).and_then(|file| file.modified());
            let takes = began.ok().and_then(|began| began.elapsed().ok());
            takes.is_some_and(|takes| takes >= limit) && !main.join(LOADED).exists()
        };
        let ran = process::run_watched(command, Stdout::Stream, self.options, Some(&overdue))?;
        if ran.overdue {
            return Err(Error::LoadTime { function: self.source.name.clone(), limit });
        }
        if !ran.success {
            let output = format!("{}{}", ran.stdout, ran.stderr);
            return Err(Error::Failed { function: self.source.name.clone(), output });
        }
        std::fs::read(&output).map_err(Error::file("read", output))
    }
}

/// Installed pure-Python packages of the nearest virtual environment.
fn site_packages(dir: &Path) -> Option<PathBuf> {
    ancestors(dir).find_map(|it| {
        let entries = std::fs::read_dir(it.join(".venv/lib")).ok()?;
        entries.flatten().map(|entry| entry.path().join("site-packages")).find(|it| it.is_dir())
    })
}

/// Dependencies lie under `deps`, one folder a package.
fn wit_place(name: &str) -> PathBuf {
    match name {
        "guest.wit" => PathBuf::from(name),
        other => Path::new("deps").join(other.trim_end_matches(".wit")).join(other),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(Error::file("create", parent))?;
    }
    std::fs::write(path, text).map_err(Error::file("write", path))
}
