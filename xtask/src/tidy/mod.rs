//! The rules of the house that no compiler checks. Each rule is a function from texts to
//! [`Finding`]s; `cargo xtask tidy` and the test at the end run all of them over the repository.

mod changelog;
mod crates;
mod documents;
mod lexer;
mod source;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use crate::shell::Workspace;

/// One broken rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The file, relative to the root.
    file: String,
    /// The line, from 1; 0 for the file as a whole.
    line: usize,
    /// What is wrong, and what to do about it.
    message: String,
}

impl Finding {
    fn new(file: &File, line: usize, message: impl Into<String>) -> Self {
        Finding { file: file.path.clone(), line, message: message.into() }
    }
}

/// A text file of the repository.
pub(crate) struct File {
    /// Relative to the root, with `/`.
    path: String,
    text: String,
}

impl File {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn is_markdown(&self) -> bool {
        self.path.ends_with(".md")
    }
}

/// Runs `cargo xtask tidy`.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<ExitCode> {
    check(workspace)?;
    println!("tidy");
    Ok(ExitCode::SUCCESS)
}

/// Fails with the list of broken rules.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    let findings = findings(&workspace.root)?;
    if findings.is_empty() {
        return Ok(());
    }
    let lines = findings.iter().map(|at| format!("{}:{}: {}", at.file, at.line, at.message));
    anyhow::bail!("{} rules are broken\n{}", findings.len(), lines.collect::<Vec<_>>().join("\n"))
}

fn findings(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let mut files = Vec::new();
    read(root, root, &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut findings = crates::check(&files);
    findings.extend(source::check(&files));
    findings.extend(documents::check(&files));
    findings.extend(changelog::check(&files));
    findings.sort();
    Ok(findings)
}

/// Folders that hold nothing of ours.
const SKIPPED_FOLDERS: &[&str] = &["target", "node_modules", "__pycache__", "dist"];
/// Endings of the files that the rules read.
const TEXT_ENDINGS: &[&str] = &["rs", "toml", "md", "wit"];

fn read(root: &Path, folder: &Path, files: &mut Vec<File>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("failed to list {}", folder.display()))?;
    for entry in entries {
        let path: PathBuf = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            let hidden = name.starts_with('.') && name != ".cargo";
            if !hidden && !SKIPPED_FOLDERS.contains(&name.as_str()) {
                read(root, &path, files)?;
            }
            continue;
        }
        let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        if !TEXT_ENDINGS.contains(&ending.as_str()) {
            continue;
        }
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        let path = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        files.push(File { path, text });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        check(&Workspace::find().unwrap()).unwrap();
    }
}
