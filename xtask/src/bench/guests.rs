//! The guests of `bench/guests`, and copies of them with digests of their own.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::shell::{self, Workspace};

/// The components under test.
pub(crate) struct Guests {
    /// A `wasi:http` component that answers at once; the file is for `wasmtime serve`.
    pub(crate) http_file: PathBuf,
    pub(crate) http: Vec<u8>,
    /// A `nexus:function` component that parses its data.
    pub(crate) event: Vec<u8>,
}

/// Builds the guests.
pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<Guests> {
    let target = workspace.target.join("guests");
    let mut command = workspace.cargo(&["build", "--release", "--target", "wasm32-wasip2"]);
    command.arg("--manifest-path").arg(workspace.root.join("bench/guests/Cargo.toml"));
    shell::run(command.env("CARGO_TARGET_DIR", &target))?;
    let folder = target.join("wasm32-wasip2/release");
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).with_context(|| format!("failed to read {}", path.display()))
    };
    Ok(Guests {
        http_file: folder.join("hello_http.wasm"),
        http: read("hello_http.wasm")?,
        event: read("hello_event.wasm")?,
    })
}

/// The component with a custom section at its end: the same code under another digest.
pub(crate) fn distinct(component: &[u8], number: u32) -> Vec<u8> {
    let mut section = vec![5];
    section.extend_from_slice(b"bench");
    section.extend_from_slice(&number.to_le_bytes());
    let length = u8::try_from(section.len()).unwrap_or_default();
    [component, &[0, length], &section].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_custom_section_is_well_formed() {
        assert_eq!(distinct(b"c", 7), b"c\x00\x0a\x05bench\x07\x00\x00\x00");
    }
}
