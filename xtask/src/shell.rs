//! Where things are, and how other programs are run.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use anyhow::{Context as _, bail};

/// The folders that every chore needs.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    /// The root of the repository.
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    pub(crate) target: PathBuf,
    /// Where tools are installed that only this project needs.
    pub(crate) tools: PathBuf,
}

impl Workspace {
    /// Finds the workspace from cargo's environment.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .context("run it as 'cargo xtask': CARGO_MANIFEST_DIR is not set")?;
        let root =
            Path::new(&manifest).parent().context("the folder of xtask has no parent")?.to_owned();
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => root.join(folder),
            None => root.join("target"),
        };
        Ok(Workspace { root, target, tools: cache_folder()?.join("tools") })
    }

    /// A command that runs in the root and finds the project's own tools first.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.root)
            .env("PATH", self.path())
            .env("NODE_PATH", self.tools.join("node/node_modules"));
        command
    }

    /// `cargo` with these arguments.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("cargo");
        command.args(arguments).env("CARGO_TARGET_DIR", &self.target);
        command
    }

    /// `PATH` with the project's own tools in front.
    pub(crate) fn path(&self) -> OsString {
        let mut folders = vec![self.tools.join("bin"), self.tools.join("python/bin")];
        if let Some(path) = std::env::var_os("PATH") {
            folders.extend(std::env::split_paths(&path));
        }
        std::env::join_paths(folders).unwrap_or_default()
    }

    /// Where `program` is, if it is anywhere.
    pub(crate) fn which(&self, program: &str) -> Option<PathBuf> {
        std::env::split_paths(&self.path())
            .map(|folder| folder.join(program))
            .find(|file| file.is_file())
    }

    /// The server of Restate: npm has a package with it for each platform.
    pub(crate) fn restate(&self) -> Option<PathBuf> {
        let folder = self.tools.join("restate/node_modules/@restatedev");
        let packages = std::fs::read_dir(folder).ok()?.flatten();
        packages
            .map(|package| package.path().join("bin/restate-server"))
            .find(|file| file.is_file())
    }

    /// The path of the built `nexus` of a profile (`debug` or `release`).
    pub(crate) fn nexus(&self, profile: &str) -> PathBuf {
        self.target.join(profile).join("nexus")
    }
}

/// `${XDG_CACHE_HOME:-$HOME/.cache}/nexus`.
fn cache_folder() -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()) {
        return Ok(PathBuf::from(folder).join("nexus"));
    }
    let home = std::env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(PathBuf::from(home).join(".cache/nexus"))
}

/// How a command would be typed.
pub(crate) fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| quote(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Prints a command, runs it, and fails when it fails.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    println!("$ {}", line(command));
    let status = command.status().with_context(|| format!("failed to start {}", line(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", line(command));
    }
    Ok(())
}

/// Whether a command succeeds; its output goes nowhere.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What a command printed on standard output.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("failed to start {}", line(command)))?;
    if !output.status.success() {
        bail!("{} failed ({})", line(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// How long a watched command may print nothing before what it runs is killed.
const SILENCE_MAX: Duration = Duration::from_secs(15 * 60);

/// Prints a command and runs it; passes its output on line by line, also to `see`. Whether it
/// succeeded. What hangs is killed, so that the others still get their turn.
pub(crate) fn watch(
    command: &mut Command,
    see: &mut (dyn FnMut(&str) + Send),
) -> anyhow::Result<bool> {
    println!("$ {}", line(command));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start {}", line(command)))?;
    let stdout = child.stdout.take().context("the child has no standard output")?;
    let stderr = child.stderr.take().context("the child has no standard error")?;
    let see = Mutex::new(see);
    let (heard, silence) = mpsc::channel();
    let root = child.id();
    std::thread::scope(|scope| {
        let also_heard = heard.clone();
        scope.spawn(|| pass_on(stdout, &see, also_heard));
        scope.spawn(move || {
            loop {
                match silence.recv_timeout(SILENCE_MAX) {
                    Ok(()) => {}
                    Err(mpsc::RecvTimeoutError::Timeout) => kill_leaves(root),
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        pass_on(stderr, &see, heard);
    });
    let status = child.wait().with_context(|| format!("failed to wait for {}", line(command)))?;
    Ok(status.success())
}

/// Kills the processes below `root` that have no children: the test that hangs, not what runs it.
fn kill_leaves(root: u32) {
    let mut below = vec![root];
    let mut leaves = Vec::new();
    while let Some(process) = below.pop() {
        let path = format!("/proc/{process}/task/{process}/children");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let children: Vec<u32> = text.split_whitespace().flat_map(str::parse).collect();
        if children.is_empty() && process != root {
            leaves.push(process.to_string());
        }
        below.extend(children);
    }
    println!("killed: nothing was heard for {} minutes", SILENCE_MAX.as_secs() / 60);
    // Whatever ended meanwhile cannot be killed, and need not be.
    let _ = Command::new("kill").arg("-KILL").args(leaves).status();
}

/// Makes an empty folder of one that may be there, with something in it.
pub(crate) fn empty(folder: &Path) -> anyhow::Result<()> {
    if folder.is_dir() {
        std::fs::remove_dir_all(folder)
            .with_context(|| format!("failed to empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder)
        .with_context(|| format!("failed to create {}", folder.display()))
}

fn pass_on(from: impl Read, see: &Mutex<&mut (dyn FnMut(&str) + Send)>, heard: mpsc::Sender<()>) {
    let mut reader = BufReader::new(from);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
        let _ = heard.send(());
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(mut see) = see.lock() {
            print!("{text}");
            std::io::stdout().flush().ok();
            see(text.trim_end());
        }
        bytes.clear();
    }
}
