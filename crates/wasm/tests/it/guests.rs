//! The guests, built once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use bytes::Bytes;

fn target() -> PathBuf {
    // The tests' own executable lies in <target>/<profile>/deps.
    let executable = std::env::current_exe().unwrap();
    executable.ancestors().nth(3).unwrap().join("guests")
}

/// A folder that outlives the tests: compiled code is found again by the next run.
pub(crate) fn code_dir() -> PathBuf {
    target().join("code")
}

/// The component of a guest package.
pub(crate) fn component(name: &str) -> Bytes {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests");
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--release", "--target", "wasm32-wasip2"])
            .current_dir(folder)
            .env("CARGO_TARGET_DIR", target())
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("RUSTC_WRAPPER")
            .env_remove("RUSTC_WORKSPACE_WRAPPER")
            .status()
            .unwrap();
        assert!(status.success(), "the guests do not build");
    });
    let file = match name {
        "command" => "guest-command.wasm".to_owned(),
        name => format!("guest_{name}.wasm"),
    };
    let path = target().join("wasm32-wasip2/release").join(file);
    Bytes::from(std::fs::read(&path).unwrap())
}
