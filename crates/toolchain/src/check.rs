//! Which tools a language needs, and how each is installed.

use std::process::{Command, Stdio};

use crate::Language;

/// The version of `componentize-py` that the Python builder is tested with.
pub(crate) const COMPONENTIZE_PY: &str = "0.25.1";

/// A tool that is not there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MissingTool {
    /// Its name, as typed.
    pub tool: String,
    /// What it is needed for.
    pub why: String,
    /// The command line that installs it.
    pub install: String,
}

/// The tools that building `language` needs and that are not installed, in the order in which they
/// should be installed. Runs each with `--version` or similar; takes some milliseconds.
pub fn check(language: Language) -> Vec<MissingTool> {
    check_in(language, std::path::Path::new("."))
}

/// The same, where virtual environments in and above `dir` count too.
pub fn check_in(language: Language, dir: &std::path::Path) -> Vec<MissingTool> {
    match language {
        Language::Rust => check_rust(),
        Language::JavaScript | Language::TypeScript => Vec::new(),
        Language::Python => crate::python::find_tool(dir).err().into_iter().collect(),
    }
}

fn check_rust() -> Vec<MissingTool> {
    if !runs("cargo", &["--version"]) {
        return vec![MissingTool {
            tool: "cargo".into(),
            why: "builds Rust functions".into(),
            install: "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y \
                      --target wasm32-wasip2"
                .into(),
        }];
    }
    if target_installed() {
        return Vec::new();
    }
    vec![MissingTool {
        tool: crate::rust::TARGET.into(),
        why: "Rust's standard library for WebAssembly components".into(),
        install: format!("rustup target add {}", crate::rust::TARGET),
    }]
}

/// Asks the compiler itself, so that tool chains without rustup are judged rightly too.
fn target_installed() -> bool {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", crate::rust::TARGET])
        .stderr(Stdio::null())
        .output();
    output.is_ok_and(|output| {
        output.status.success()
            && std::path::Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
    })
}

/// Whether a program starts and ends well.
pub(crate) fn runs(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
