//! `cargo xtask dist`: the build that is measured and given away. It is optimised across crates;
//! with `--trained` also by what an instrumented build did under the load of the benchmark, and laid
//! out for it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Context as _;

use crate::bench;
use crate::console;
use crate::layout;
use crate::setup;
use crate::shell::{self, Workspace};

/// Programs of the benchmark that are examples of their crates.
const EXAMPLES: &[&str] = &["append_rates", "fresh", "match_rates", "seed", "timers"];

/// Options of `cargo xtask dist`.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// Build twice: the first build is put under load, and the second is optimised for what that
    /// one did, and laid out. Needs wrk and BOLT ('cargo xtask setup --bench').
    #[arg(long)]
    trained: bool,
}

/// Where a build lies.
#[derive(Clone, Debug)]
pub(crate) struct Dist {
    folder: PathBuf,
    nexus: PathBuf,
}

impl Dist {
    fn of(folder: PathBuf) -> Self {
        Dist { nexus: folder.join("nexus"), folder }
    }

    /// The same with another server.
    pub(crate) fn with_server(&self, nexus: PathBuf) -> Self {
        Dist { nexus, folder: self.folder.clone() }
    }

    /// The server.
    pub(crate) fn nexus(&self) -> PathBuf {
        self.nexus.clone()
    }

    /// An example of one of the crates.
    pub(crate) fn example(&self, name: &str) -> PathBuf {
        self.folder.join("examples").join(name)
    }

    /// The build that is there: the trained one if it was made last.
    pub(crate) fn newest(workspace: &Workspace) -> anyhow::Result<Self> {
        let made = |dist: &Dist| std::fs::metadata(dist.nexus()).and_then(|it| it.modified()).ok();
        let both = [plain_place(workspace), trained_place(workspace)?];
        let newest = both.into_iter().filter_map(|dist| Some((made(&dist)?, dist)));
        newest
            .max_by_key(|(at, _)| *at)
            .map(|(_, dist)| dist)
            .context("there is no build yet: run 'cargo xtask dist'")
    }
}

/// Runs `cargo xtask dist`.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<ExitCode> {
    let missing = setup::for_console(workspace)?;
    anyhow::ensure!(missing.is_empty(), "missing: {}", missing.join(", "));
    console::build(workspace)?;
    let dist = match options.trained {
        true => trained(workspace)?,
        false => plain(workspace)?,
    };
    println!("{}", dist.nexus().display());
    Ok(ExitCode::SUCCESS)
}

/// Builds without training.
pub(crate) fn plain(workspace: &Workspace) -> anyhow::Result<Dist> {
    shell::run(&mut build(workspace, "dist"))?;
    Ok(plain_place(workspace))
}

fn plain_place(workspace: &Workspace) -> Dist {
    Dist::of(workspace.target.join("dist"))
}

/// Builds, trains, builds again, and lays out.
pub(crate) fn trained(workspace: &Workspace) -> anyhow::Result<Dist> {
    // What is needed at the end, before anything takes time.
    layout::tool(workspace)?;
    let raw = workspace.target.join("training/profiles");
    shell::empty(&raw)?;
    let instrumented = for_host(build(workspace, "release"), workspace, "instrumented")?;
    let flag = format!("-Cprofile-generate={}", raw.display());
    shell::run({ instrumented }.env("RUSTFLAGS", flag))?;
    let program = Dist::of(host_folder(workspace, "instrumented", "release")?);
    bench::train(workspace, &program)?;
    let merged = workspace.target.join("training/nexus.profdata");
    let mut merge = Command::new(profdata(workspace)?);
    shell::run(merge.arg("merge").arg("-o").arg(&merged).arg(&raw))?;
    let optimised = for_host(build(workspace, "dist"), workspace, "trained")?;
    let flags = format!("-Cprofile-use={} {}", merged.display(), layout::LINK);
    shell::run({ optimised }.env("RUSTFLAGS", flags))?;
    layout::lay_out(workspace, &Dist::of(host_folder(workspace, "trained", "dist")?))
}

fn trained_place(workspace: &Workspace) -> anyhow::Result<Dist> {
    let built = Dist::of(host_folder(workspace, "trained", "dist")?);
    Ok(layout::place(workspace, &built))
}

/// The workspace's choice of features, so that the program is the one that was tested.
fn build(workspace: &Workspace, profile: &str) -> Command {
    let mut command = workspace.cargo(&["build", "--profile", profile, "--locked", "--workspace"]);
    command.args(["--bin", "nexus"]);
    for example in EXAMPLES {
        command.args(["--example", example]);
    }
    command
}

/// A build in a folder of its own, and named for its target: flags then spare what runs while
/// building.
fn for_host(mut command: Command, workspace: &Workspace, folder: &str) -> anyhow::Result<Command> {
    command.arg("--target").arg(host(workspace)?);
    command.env("CARGO_TARGET_DIR", workspace.target.join(folder));
    Ok(command)
}

fn host_folder(workspace: &Workspace, folder: &str, profile: &str) -> anyhow::Result<PathBuf> {
    Ok(workspace.target.join(folder).join(host(workspace)?).join(profile))
}

/// The triple of this machine.
fn host(workspace: &Workspace) -> anyhow::Result<String> {
    let text = shell::output(workspace.command("rustc").arg("-vV"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).context("rustc does not say for which host it builds")
}

/// The tool that merges profiles: the one that belongs to the compiler.
fn profdata(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let sysroot = shell::output(workspace.command("rustc").args(["--print", "sysroot"]))?;
    let tool = Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(host(workspace)?)
        .join("bin/llvm-profdata");
    anyhow::ensure!(
        tool.is_file(),
        "llvm-profdata is missing; install it with: rustup component add llvm-tools"
    );
    Ok(tool)
}
