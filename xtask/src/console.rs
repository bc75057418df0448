//! The web console: Node builds it before the Rust build that embeds it, and tests it afterwards
//! against the real binary.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::SystemTime;

use anyhow::Context as _;

use crate::shell::{self, Workspace};

/// Builds `console/dist`. What `npm ci` has installed is kept while the lock file does not change.
pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<()> {
    install(workspace)?;
    shell::run(&mut npm(workspace, &["run", "build"]))
}

/// Types and lints.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    install(workspace)?;
    shell::run(&mut npm(workspace, &["run", "check"]))
}

/// The command that tests the console in a browser, with the debug build.
pub(crate) fn tests(workspace: &Workspace) -> Command {
    let mut command = npm(workspace, &["test"]);
    command.env("NEXUS_BIN", workspace.nexus("debug"));
    command
}

fn install(workspace: &Workspace) -> anyhow::Result<()> {
    let lock = changed(folder(workspace).join("package-lock.json"))?;
    // npm writes this file last.
    let installed = changed(folder(workspace).join("node_modules/.package-lock.json"));
    if installed.is_ok_and(|installed| installed >= lock) {
        return Ok(());
    }
    shell::run(&mut npm(workspace, &["ci", "--no-audit", "--no-fund"]))
}

fn changed(path: PathBuf) -> anyhow::Result<SystemTime> {
    let metadata = fs::metadata(&path).and_then(|metadata| metadata.modified());
    metadata.with_context(|| format!("failed to read {}", path.display()))
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.root.join("console")
}

fn npm(workspace: &Workspace, arguments: &[&str]) -> Command {
    let mut command = workspace.command("npm");
    // The project's own modules only: others would be found before them.
    command.args(arguments).current_dir(folder(workspace)).env_remove("NODE_PATH");
    command
}
