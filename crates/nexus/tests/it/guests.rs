//! Guests of the sandbox's tests, built once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The component of the guest that is durable.
pub(crate) fn durable() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        // The tests' own executable lies in <target>/<profile>/deps.
        let executable = std::env::current_exe().unwrap();
        let target = executable.ancestors().nth(3).unwrap().join("guests");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wasm/tests/guests");
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--release", "--target", "wasm32-wasip2"])
            .args(["--package", "guest-durable"])
            .current_dir(folder)
            .env("CARGO_TARGET_DIR", &target)
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("RUSTC_WRAPPER")
            .env_remove("RUSTC_WORKSPACE_WRAPPER")
            .status()
            .unwrap();
        assert!(status.success(), "the guest does not build");
        target.join("wasm32-wasip2/release/guest_durable.wasm")
    });
    built.clone()
}
