//! Documentation that is executed: the `console` blocks of Markdown files.
//!
//! ````text
//! ```console                 each line with "$ " is run by a shell, in one folder per file
//! $ nexus new shop           what follows is what the terminal shows; no lines: anything
//! created shop/…             "…" stands for any text in a line, a line of "…" for any lines
//! …
//! ```
//! ```console background      stays running until the end of the file; its lines are waited for
//! ```console retry           tried again until the output is as written (for what takes a moment)
//! ```json file=order.json    is written to that file first
//! ````
//!
//! In a command, `inv_…` (`evt_…`, `ver_…`) stands for the last such id that any command showed. A
//! line `[exit 1]` at the end of the output says that the command fails.

mod pattern;
mod script;
mod session;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::shell::Workspace;

/// The documents that the tests execute.
const EXECUTED: &[&str] = &[
    "README.md",
    "docs/quick-start.md",
    "docs/debugging.md",
    "docs/versions.md",
    "docs/testing.md",
    "docs/durable.md",
];

/// Options of `cargo xtask docs`.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// The files; by default those that the tests execute.
    files: Vec<PathBuf>,
    /// Which build of the binary: `debug` or `release`.
    #[arg(long, default_value = "debug")]
    profile: String,
}

/// Runs `cargo xtask docs`.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<ExitCode> {
    if options.files.is_empty() {
        check(workspace)?;
    }
    for file in &options.files {
        execute(workspace, file, &options.profile)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Executes the documents of the tests against the debug build.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    for name in EXECUTED {
        execute(workspace, &workspace.root.join(name), "debug")?;
    }
    Ok(())
}

fn execute(workspace: &Workspace, file: &PathBuf, profile: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("failed to read {}", file.display()))?;
    let blocks = script::parse(&text);
    if blocks.is_empty() {
        return Ok(());
    }
    println!("{}", file.display());
    let mut session = session::Session::start(workspace, profile)?;
    for block in &blocks {
        session.run(block).with_context(|| format!("{}:{}", file.display(), block.line))?;
    }
    session.end();
    Ok(())
}
