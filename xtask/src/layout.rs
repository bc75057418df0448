//! The last step of a trained build: BOLT puts the machine code in the order in which it runs. What
//! runs one after the other lies one after the other, and what never runs lies apart.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::bench;
use crate::dist::Dist;
use crate::shell::{self, Workspace};

/// What the linker leaves in the program for BOLT.
pub(crate) const LINK: &str = "-Clink-arg=-Wl,--emit-relocs";
/// The package of Debian, and the program in it.
pub(crate) const PACKAGE: (&str, &str) = ("bolt-19", "llvm-bolt-19");
/// Versions that the program may have in its name.
const VERSIONS: std::ops::Range<u32> = 17..40;

const OPTIMISE: &[&str] = &[
    "-reorder-blocks=ext-tsp",
    "-reorder-functions=cdsort",
    "-split-functions",
    "-split-all-cold",
    "-split-eh",
    "-icf=1",
    "-use-gnu-stack",
];

/// Where BOLT is. A link is followed: it finds its library beside itself.
pub(crate) fn tool(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let versions = VERSIONS.rev().map(|version| format!("llvm-bolt-{version}"));
    let names = std::iter::once("llvm-bolt".to_owned()).chain(versions);
    let found = names.into_iter().find_map(|name| workspace.which(&name));
    let found =
        found.context("llvm-bolt is missing: install it with 'cargo xtask setup --bench'")?;
    found.canonicalize().with_context(|| format!("failed to find {}", found.display()))
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("layout")
}

/// Where a program lies once it is laid out.
pub(crate) fn place(workspace: &Workspace, program: &Dist) -> Dist {
    program.with_server(folder(workspace).join("nexus"))
}

/// Puts a program under load that counts where it goes, and lays it out for that. `program` was linked
/// with [`LINK`] and stays as it is.
pub(crate) fn lay_out(workspace: &Workspace, program: &Dist) -> anyhow::Result<Dist> {
    let bolt = tool(workspace)?;
    let folder = folder(workspace);
    let (counting, counts) = (folder.join("counting"), folder.join("counts"));
    for folder in [&folder, &counting, &counts] {
        shell::empty(folder)?;
    }
    let counting = program.with_server(counting.join("nexus"));
    let mut instrument = Command::new(&bolt);
    instrument.arg(program.nexus()).arg("-instrument").arg("-o").arg(counting.nexus());
    instrument.arg(with("-instrumentation-file=", &counts.join("nexus")));
    // Each server that the load starts writes a file of its own.
    shell::run(instrument.arg("-instrumentation-file-append-pid"))?;
    bench::train(workspace, &counting)?;

    let merged = folder.join("nexus.fdata");
    let mut merge = Command::new(bolt.with_file_name("merge-fdata"));
    for entry in std::fs::read_dir(&counts).context("failed to list what was counted")? {
        merge.arg(entry.context("failed to list what was counted")?.path());
    }
    shell::run(merge.arg("-o").arg(&merged))?;
    let done = place(workspace, program);
    let mut optimise = Command::new(&bolt);
    optimise.arg(program.nexus()).arg("-o").arg(done.nexus());
    shell::run(optimise.arg(with("-data=", &merged)).args(OPTIMISE))?;
    Ok(done)
}

fn with(option: &str, path: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from(option);
    argument.push(path);
    argument
}
