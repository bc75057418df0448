//! Which file an `import` means, and what is in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use super::link::Entry;
use super::types;

/// A module's text, in bytes.
const MODULE_BYTES_MAX: u64 = 16 << 20;
/// Modules of one function.
const MODULES_MAX: usize = 5_000;

/// Endings tried, in this order, for an import without one.
const ENDINGS: &[&str] = &["js", "mjs", "ts", "mts", "json"];

/// Prefix of the modules that are part of the builder.
const BUILT_IN: &str = "nexus:";

const PRELUDE: &[(&str, &str)] = &[
    ("nexus:host", include_str!("prelude/host.js")),
    ("nexus:loop", include_str!("prelude/loop.js")),
    ("nexus:text", include_str!("prelude/text.js")),
    ("nexus:console", include_str!("prelude/console.js")),
    ("nexus:url", include_str!("prelude/url.js")),
    ("nexus:streams", include_str!("prelude/streams.js")),
    ("nexus:fetch-types", include_str!("prelude/fetch_types.js")),
    ("nexus:fetch", include_str!("prelude/fetch.js")),
    ("nexus:misc", include_str!("prelude/misc.js")),
    ("nexus:globals", include_str!("prelude/globals.js")),
    ("nexus:entry", include_str!("prelude/entry.js")),
    ("nexus:platform", include_str!("prelude/platform.js")),
    ("nexus:function", include_str!("prelude/function.js")),
];

const HTTP_ENTRY: &str = include_str!("prelude/http_entry.js");
const EVENT_ENTRY: &str = include_str!("prelude/event_entry.js");

/// The runtime wants this for streams and futures of WASI 0.3, of which there are none here.
const SHIM: &str = "globalThis.wit = {};\n";

/// How the entry names the user's first module.
const MAIN: &str = "user:main";

/// The modules of one function.
pub(crate) struct Modules {
    /// The folder that modules' names are relative to, so that neither components nor stack traces
    /// know where the project lies.
    base: PathBuf,
    file: PathBuf,
    entry: Entry,
    /// The files behind the names that were given out.
    files: Mutex<BTreeMap<String, PathBuf>>,
    /// Why the first module that was refused was refused.
    refusal: OnceLock<String>,
}

impl Modules {
    /// `file` must be canonical.
    pub(crate) fn new(base: PathBuf, file: PathBuf, entry: Entry) -> Self {
        Modules { base, file, entry, files: Mutex::default(), refusal: OnceLock::new() }
    }

    pub(crate) fn shim(&self) -> &'static str {
        SHIM
    }

    /// The module whose exports the component exports: it loads the prelude, then the user's.
    pub(crate) fn entry(&self) -> &'static str {
        match self.entry {
            Entry::Http => HTTP_ENTRY,
            Entry::Event => EVENT_ENTRY,
        }
    }

    pub(crate) fn entry_name(&self) -> &'static str {
        "nexus:main"
    }

    /// Why a module was refused, if one was: what the runtime makes of it says less.
    pub(crate) fn refusal(&self) -> Option<&str> {
        self.refusal.get().map(String::as_str)
    }

    /// The name under which an import is loaded: `nexus:…`, or a path relative to the function.
    pub(crate) fn resolve(&self, referrer: &str, specifier: &str) -> Result<String, String> {
        self.noted(self.find(referrer, specifier))
    }

    fn noted<T>(&self, result: Result<T, String>) -> Result<T, String> {
        result.inspect_err(|why| {
            let _ = self.refusal.set(why.clone());
        })
    }

    fn find(&self, referrer: &str, specifier: &str) -> Result<String, String> {
        if specifier == MAIN {
            return self.name(&self.file);
        }
        if specifier.starts_with(BUILT_IN) {
            return match PRELUDE.iter().any(|(name, _)| *name == specifier) {
                true => Ok(specifier.to_owned()),
                false => Err(format!("there is no module {specifier}")),
            };
        }
        if specifier.starts_with("node:") {
            return Err(format!("{specifier}: the modules of Node.js do not exist here"));
        }
        let from = self.path(referrer).unwrap_or_else(|| self.file.clone());
        let dir = from.parent().unwrap_or(&self.base);
        let found = if specifier.starts_with("./") || specifier.starts_with("../") {
            as_file(&dir.join(specifier))
        } else {
            resolve_package(dir, specifier)
        };
        let path = found.ok_or_else(|| format!("{specifier} not found, imported by {referrer}"))?;
        let path = std::fs::canonicalize(&path).map_err(|error| format!("{specifier}: {error}"))?;
        self.name(&path)
    }

    /// Gives a file its name.
    fn name(&self, path: &Path) -> Result<String, String> {
        let mut base = self.base.as_path();
        let mut up = PathBuf::new();
        let relative = loop {
            match (path.strip_prefix(base), base.parent()) {
                (Ok(rest), _) => break up.join(rest),
                (Err(_), Some(parent)) => base = parent,
                (Err(_), None) => break path.to_owned(),
            }
            up.push("..");
        };
        let name = relative.to_str().ok_or("a path is not UTF-8")?.to_owned();
        let mut files = self.files.lock().map_err(|error| error.to_string())?;
        files.insert(name.clone(), path.to_owned());
        match files.len() > MODULES_MAX {
            true => Err(format!("more than {MODULES_MAX} modules")),
            false => Ok(name),
        }
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.files.lock().ok()?.get(name).cloned()
    }

    /// A module's JavaScript; types are blanked out, JSON becomes a module with a default export.
    pub(crate) fn load(&self, name: &str) -> Result<String, String> {
        self.noted(self.text(name))
    }

    fn text(&self, name: &str) -> Result<String, String> {
        if let Some((_, text)) = PRELUDE.iter().find(|(known, _)| *known == name) {
            return Ok((*text).to_owned());
        }
        let path = &self.path(name).ok_or_else(|| format!("{name} was never resolved"))?;
        let size = std::fs::metadata(path).map_err(|error| format!("{name}: {error}"))?.len();
        if size > MODULE_BYTES_MAX {
            return Err(format!("{name}: {size} bytes exceed the limit of {MODULE_BYTES_MAX}"));
        }
        let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
        if path.extension().is_some_and(|it| it == "json") {
            let value: serde_json::Value =
                serde_json::from_str(&text).map_err(|error| format!("{name}: {error}"))?;
            return Ok(format!("export default {value};\n"));
        }
        types::to_javascript(Path::new(name), &text)
    }
}

/// `name`, `name/sub/path` and `@scope/name` in the nearest `node_modules`.
fn resolve_package(from: &Path, specifier: &str) -> Option<PathBuf> {
    let mut parts = specifier.splitn(if specifier.starts_with('@') { 3 } else { 2 }, '/');
    let mut name = parts.next()?.to_owned();
    if name.starts_with('@') {
        name = format!("{name}/{}", parts.next()?);
    }
    let subpath = parts.next();
    from.ancestors().find_map(|dir| {
        let package = dir.join("node_modules").join(&name);
        package.is_dir().then(|| in_package(&package, subpath)).flatten()
    })
}

/// The file itself, with an ending, or the folder's index.
fn as_file(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path.to_owned());
    }
    let text = path.to_str()?;
    let with_ending = ENDINGS.iter().map(|ending| PathBuf::from(format!("{text}.{ending}")));
    // TypeScript code names the file that a compiler would have written.
    let as_typescript = text.strip_suffix(".js").map(|stem| PathBuf::from(format!("{stem}.ts")));
    let as_index = ENDINGS.iter().map(|ending| path.join(format!("index.{ending}")));
    with_ending.chain(as_typescript).chain(as_index).find(|it| it.is_file())
}

/// `exports` with the conditions of module bundlers, else `module`, else `main`, else the index.
fn in_package(package: &Path, subpath: Option<&str>) -> Option<PathBuf> {
    let text = std::fs::read_to_string(package.join("package.json")).ok();
    let manifest: serde_json::Value =
        text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let key = subpath.map_or(".".to_owned(), |it| format!("./{it}"));
    if let Some(target) = manifest.get("exports").and_then(|it| export_target(it, &key)) {
        return as_file(&package.join(target));
    }
    if let Some(subpath) = subpath {
        return as_file(&package.join(subpath));
    }
    let main = ["module", "main"].iter().find_map(|it| manifest.get(*it)?.as_str());
    as_file(&package.join(main.unwrap_or("index.js")))
}

fn export_target(exports: &serde_json::Value, key: &str) -> Option<String> {
    let object = exports.as_object();
    let has_paths = object.is_some_and(|it| it.keys().any(|key| key.starts_with('.')));
    if !has_paths {
        return if key == "." { condition(exports) } else { None };
    }
    let object = object?;
    if let Some(found) = object.get(key) {
        return condition(found);
    }
    object.iter().find_map(|(pattern, target)| {
        let (before, after) = pattern.split_once('*')?;
        let middle = key.strip_prefix(before)?.strip_suffix(after)?;
        Some(condition(target)?.replace('*', middle))
    })
}

fn condition(target: &serde_json::Value) -> Option<String> {
    match target {
        serde_json::Value::String(path) => Some(path.clone()),
        serde_json::Value::Object(conditions) => {
            ["workerd", "worker", "browser", "import", "default"]
                .iter()
                .find_map(|it| condition(conditions.get(*it)?))
        }
        serde_json::Value::Array(targets) => targets.iter().find_map(condition),
        _ => None,
    }
}
