//! Rust: cargo does the work.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{self, Stdout};
use crate::{BuildOptions, Error, FunctionSource};

/// Rust's target for components of WASI 0.2. Its C library's allocator starts inside the initial
/// memory, so that a typical call does not grow it.
pub(crate) const TARGET: &str = "wasm32-wasip2";

/// How deep path dependencies are followed for watching.
const DEPENDENCY_DEPTH_MAX: usize = 8;

pub(crate) fn build(source: &FunctionSource, options: &BuildOptions) -> Result<Vec<u8>, Error> {
    let mut command = Command::new("cargo");
    command
        .args(["build", "--release", "--target", TARGET])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(&source.dir)
        // Flags meant for the host's programs would replace those of the function's own
        // `.cargo/config.toml`, its initial memory among them.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET");
    if options.offline {
        command.arg("--offline");
    }
    let ran = process::run(command, Stdout::Silent, options)?;
    if !ran.success {
        return Err(Error::Failed { function: source.name.clone(), output: ran.stderr });
    }
    let artifacts = artifacts(&ran.stdout, &source.dir);
    let path = match artifacts.as_slice() {
        [path] => path,
        [] => {
            return Err(no_component(
                source,
                "the package has no [lib] with crate-type = [\"cdylib\"] and no binary",
            ));
        }
        many => {
            let names: Vec<_> = many.iter().map(|it| it.display().to_string()).collect();
            return Err(no_component(
                source,
                &format!("the package gives several: {}", names.join(", ")),
            ));
        }
    };
    std::fs::read(path).map_err(Error::file("read", path))
}

fn no_component(source: &FunctionSource, reason: &str) -> Error {
    Error::NoComponent { function: source.name.clone(), reason: reason.into() }
}

/// The `.wasm` files of the package in `dir`, read from cargo's messages. Asking cargo instead of
/// guessing keeps workspaces and own target folders working.
fn artifacts(messages: &str, dir: &Path) -> Vec<PathBuf> {
    let manifest = std::fs::canonicalize(dir.join("Cargo.toml")).ok();
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter(|message| {
            let of = message["manifest_path"].as_str().map(PathBuf::from);
            of.and_then(|path| std::fs::canonicalize(path).ok()) == manifest
        })
        .flat_map(|message| {
            let names = message["filenames"].as_array().cloned().unwrap_or_default();
            names.into_iter().filter_map(|it| it.as_str().map(PathBuf::from))
        })
        .filter(|path| path.extension().is_some_and(|it| it == "wasm"))
        .collect()
}

/// Adds the folders of path dependencies, also those of path dependencies.
pub(crate) fn path_dependencies(dir: &Path, found: &mut Vec<PathBuf>) {
    follow_dependencies(dir, found, 0);
}

fn follow_dependencies(dir: &Path, found: &mut Vec<PathBuf>, depth: usize) {
    let Ok(text) = std::fs::read_to_string(dir.join("Cargo.toml")) else { return };
    let Ok(manifest) = text.parse::<toml::Table>() else { return };
    for table in ["dependencies", "build-dependencies"] {
        let Some(dependencies) = manifest.get(table).and_then(|it| it.as_table()) else { continue };
        for path in dependencies.values().filter_map(|it| it.get("path")?.as_str()) {
            let Ok(path) = std::fs::canonicalize(dir.join(path)) else { continue };
            if depth < DEPENDENCY_DEPTH_MAX && !found.contains(&path) {
                found.push(path.clone());
                follow_dependencies(&path, found, depth + 1);
            }
        }
    }
}
