//! JavaScript and TypeScript on QuickJS, built without Node and without a network.
//!
//! ```text
//!   runtime ─┐
//!   bindings ┼─ link ──► component without user code ──► load the user's modules, snapshot ──► component
//!   jobs    ─┘          (the same for all functions)        (what they did at load time stays)
//! ```
//!
//! Random numbers and clocks are read when a call runs, never from the snapshot: see
//! `prelude/misc.js`.

mod link;
mod modules;
mod snapshot;
mod stub;
mod types;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::link::Entry;
pub(crate) use self::link::WIT;
use self::modules::Modules;
use crate::loading::Loaded;
use crate::{BuildOptions, Error, FunctionSource};

/// Files that a function starts with, in the order in which they are looked for.
const ENTRY_FILES: &[&str] = &[
    "index.ts",
    "index.mts",
    "index.js",
    "index.mjs",
    "src/index.ts",
    "src/index.js",
    "main.ts",
    "main.js",
];

/// What the prelude throws when the module exports the other kind of handler.
const OTHER_ENTRY: &str = "NEXUS_OTHER_ENTRY";

/// The file that a function in `dir` starts with: `main` of its `package.json` when that is an ES
/// module that exists, else the first of the usual names.
pub(crate) fn entry_file(dir: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(dir.join("package.json")).ok();
    let stated = text
        .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok())
        .and_then(|manifest| Some(dir.join(manifest.get("main")?.as_str()?)))
        .filter(|path| path.is_file());
    stated.or_else(|| ENTRY_FILES.iter().map(|name| dir.join(name)).find(|path| path.is_file()))
}

/// Whether the file's name says that it has types.
pub(crate) fn is_typescript(path: &Path) -> bool {
    path.extension().is_some_and(|it| it == "ts" || it == "mts")
}

pub(crate) fn build(source: &FunctionSource, options: &BuildOptions) -> Result<Vec<u8>, Error> {
    let file = entry_file(&source.dir).ok_or_else(|| Error::NoEntry {
        dir: source.dir.clone(),
        expected: "index.ts, index.js or \"main\" in package.json",
    })?;
    let file = std::fs::canonicalize(&file).map_err(Error::file("read", file))?;
    let text = std::fs::read_to_string(&file).map_err(Error::file("read", &file))?;
    let guess = guess_entry(&text);
    let loaded = match build_entry(&file, guess, options)? {
        Loaded::Refused(output) if output.contains(OTHER_ENTRY) => {
            options.cancel.check()?;
            build_entry(&file, guess.other(), options)?
        }
        loaded => loaded,
    };
    loaded.finish(&source.name, options)
}

/// A first guess only: what the module exports is known after it was loaded.
fn guess_entry(text: &str) -> Entry {
    let event = ["event(", "event:", "function handle", "const handle"];
    let http = ["fetch(", "fetch:", "Response("];
    let has = |words: &[&str]| words.iter().any(|it| text.contains(it));
    if has(&event) && !has(&http) { Entry::Event } else { Entry::Http }
}

fn build_entry(file: &Path, entry: Entry, options: &BuildOptions) -> Result<Loaded, Error> {
    let failed = |operation| move |source| Error::Componentize { operation, source };
    let linked = link::link(entry).map_err(failed("link the JavaScript runtime"))?;
    options.cancel.check()?;
    let base = file.parent().unwrap_or(file).to_owned();
    let modules = Arc::new(Modules::new(base, file.to_owned(), entry));
    snapshot::snapshot(&linked, modules, options)
        .map_err(failed("snapshot the JavaScript function"))
}
