//! Which files are a function's sources: what is watched, hashed, and never touched by a build.

use std::path::{Component, Path, PathBuf};

use nexus_model::{Sources, limits};

use crate::{Error, FunctionSource, Language};

/// Folders that hold outputs or things installed by tools; a change in them is no change of source.
const IGNORED_DIRS: &[&str] = &[
    ".nexus",
    ".git",
    ".hg",
    ".svn",
    ".idea",
    ".vscode",
    ".venv",
    "venv",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "__pycache__",
    "node_modules",
    "target",
];

/// Where recorded tests lie: they are for what was built.
const RECORDED: &str = "tests/recorded";

/// Endings of editors' and systems' temporary files.
const IGNORED_ENDINGS: &[&str] = &["~", ".swp", ".swx", ".tmp", ".pyc", ".orig", ".DS_Store"];

/// Files read for one hash at most; a folder with more is not a function's source.
const FILES_MAX: usize = 20_000;

/// Endings of files with code; others may hold what nobody wants to hand on: settings, keys, data.
const CODE_ENDINGS: &[&str] = &[
    "rs", "js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx", "py", "wit", "go", "c", "h", "cc",
    "cpp", "hpp", "zig", "cs", "swift", "mbt", "rb", "lua",
];

/// Whether a change of `path`, which lies below `root`, should start a build. Knows folders that
/// tools write into, temporary files of editors, and nothing of `.gitignore`: the caller that
/// walks a tree gets that from [`source_hash`]; a build that turns out to be unneeded is answered
/// from the cache.
pub fn is_source(root: &Path, path: &Path) -> bool {
    let Ok(relative) = path.strip_prefix(root) else { return false };
    if relative.starts_with(RECORDED) {
        return false;
    }
    let mut parts = relative.components().peekable();
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else { return false };
        let Some(name) = name.to_str() else { return false };
        let is_file = parts.peek().is_none();
        if IGNORED_DIRS.contains(&name)
            || is_file
                && (IGNORED_ENDINGS.iter().any(|end| name.ends_with(end))
                    || name.starts_with(".#")
                    || name == "4913")
        {
            return false;
        }
    }
    true
}

/// The folders whose files decide what a build gives: the function's own and, for Rust, those of
/// its path dependencies; for Python the project's copy of the SDK. Sorted, without duplicates,
/// none inside another.
pub fn watch_roots(source: &FunctionSource) -> Vec<PathBuf> {
    let mut roots = vec![source.dir.clone()];
    match source.language() {
        Some(Language::Rust) => crate::rust::path_dependencies(&source.dir, &mut roots),
        Some(Language::Python) => roots.extend(crate::python::project_sdk(&source.dir)),
        _ => {}
    }
    let mut roots: Vec<PathBuf> =
        roots.into_iter().map(|it| std::fs::canonicalize(&it).unwrap_or(it)).collect();
    roots.sort();
    roots.dedup_by(|later, earlier| later.starts_with(&*earlier));
    roots
}

/// BLAKE3 over names and contents of all source files, as 64 hexadecimal digits. Follows
/// `.gitignore` and `.ignore` inside the roots, and [`is_source`]. Installed npm packages count
/// through npm's own lock file inside `node_modules`.
pub fn source_hash(source: &FunctionSource) -> Result<String, Error> {
    hash(source, |_| true)
}

/// As [`source_hash`], without the lock file that cargo writes by itself: equal before and after a
/// build when nobody changed anything meanwhile.
pub fn source_hash_without_lock(source: &FunctionSource) -> Result<String, Error> {
    hash(source, |path| path.file_name().is_none_or(|name| name != "Cargo.lock"))
}

/// The text of a function's code, and what of it was left out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CodeFiles {
    /// The text.
    pub sources: Sources,
    /// What the user should know.
    pub note: Option<String>,
}

/// The text of the code that a function is built from, with paths from the folder `base`: files with
/// code (by their endings) of the function's [`watch_roots`], but none that `.gitignore` or
/// `.ignore` name, none whose name begins with a dot, and no more than the limits allow.
pub fn code_files(source: &FunctionSource, base: &Path) -> Result<CodeFiles, Error> {
    let base = std::fs::canonicalize(base).map_err(Error::file("find", base))?;
    let root = base.to_str().unwrap_or_default().to_owned();
    let mut sources = Sources { root, ..Sources::default() };
    let (mut bytes, mut left_out) = (0, 0);
    for root in watch_roots(source) {
        for path in known_files(&base, &root)?.into_iter().filter(|path| is_code(&root, path)) {
            // Folders beside the project go by their own name.
            let above = root.parent().unwrap_or(&root);
            let name = path.strip_prefix(&base).or_else(|_| path.strip_prefix(above));
            let name = name.ok().and_then(Path::to_str).map(|name| name.replace('\\', "/"));
            let content = std::fs::read(&path).map_err(Error::file("read", &path))?;
            let size = content.len() + name.as_ref().map_or(0, String::len);
            let fits = content.len() <= limits::SOURCE_FILE_BYTES_MAX
                && bytes + size <= limits::SOURCES_BYTES_MAX
                && sources.files.len() < limits::SOURCE_FILES_MAX;
            match (name, String::from_utf8(content)) {
                (Some(name), Ok(text)) if fits => {
                    bytes += size;
                    sources.files.insert(name, text);
                }
                _ => left_out += 1,
            }
        }
    }
    let note = (left_out > 0).then(|| {
        format!(
            "{left_out} source files are not kept beside the version: too large together \
             (source-file-bytes-max, sources-bytes-max), or no text"
        )
    });
    Ok(CodeFiles { sources, note })
}

fn is_code(root: &Path, path: &Path) -> bool {
    let relative = path.strip_prefix(root).unwrap_or(path);
    let hidden = |part: Component<'_>| part.as_os_str().as_encoded_bytes().starts_with(b".");
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    CODE_ENDINGS.contains(&ending) && !relative.components().any(hidden)
}

fn hash(source: &FunctionSource, counts: impl Fn(&Path) -> bool) -> Result<String, Error> {
    let mut hasher = blake3::Hasher::new();
    for root in watch_roots(source) {
        hasher.update(b"root\0");
        for path in files(&root)?.iter().filter(|path| counts(path)) {
            hash_file(&mut hasher, &root, path)?;
        }
        let packages = root.join("node_modules/.package-lock.json");
        if packages.is_file() {
            hash_file(&mut hasher, &root, &packages)?;
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn hash_file(hasher: &mut blake3::Hasher, root: &Path, path: &Path) -> Result<(), Error> {
    let content = std::fs::read(path).map_err(Error::file("read", path))?;
    let name = path.strip_prefix(root).unwrap_or(path).as_os_str().as_encoded_bytes();
    for part in [name, content.as_slice()] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    Ok(())
}

/// All source files below `root`, sorted.
fn files(root: &Path) -> Result<Vec<PathBuf>, Error> {
    known_files(root, root)
}

/// All source files below `root`, sorted, without those that ignore files in `base` or below name.
fn known_files(base: &Path, root: &Path) -> Result<Vec<PathBuf>, Error> {
    let base = if root.starts_with(base) { base.to_owned() } else { root.to_owned() };
    let (from, wanted) = (base.clone(), root.to_owned());
    let walk = ignore::WalkBuilder::new(&from)
        .hidden(false)
        .parents(false)
        .require_git(false)
        .follow_links(false)
        .filter_entry(move |entry| {
            let path = entry.path();
            let on_the_way = wanted.starts_with(path) || path.starts_with(&wanted);
            on_the_way && (path == base || is_source(&base, path))
        })
        .build();
    let mut files = Vec::new();
    for entry in walk {
        let entry = entry.map_err(|error| Error::File {
            operation: "list",
            path: root.to_owned(),
            source: std::io::Error::other(error),
        })?;
        if entry.file_type().is_some_and(|it| it.is_file()) {
            files.push(entry.into_path());
        }
        if files.len() > FILES_MAX {
            return Err(Error::File {
                operation: "list",
                path: root.to_owned(),
                source: std::io::Error::other(format!("more than {FILES_MAX} files")),
            });
        }
    }
    files.sort();
    Ok(files)
}
