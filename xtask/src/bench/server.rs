//! Servers under test: started for a measurement, stopped when they go.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use super::Bench;
use crate::shell;
use crate::{demo, http};

/// How long a server may take to answer.
const START_MAX: Duration = Duration::from_secs(300);

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a program and waits until a path is answered.
    pub(crate) fn start(
        mut command: Command,
        address: SocketAddr,
        path: &str,
    ) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command
            .spawn()
            .with_context(|| format!("failed to start {}", shell::line(&command)))?;
        let server = Server { child, address };
        http::wait_for(address, path, START_MAX)
            .with_context(|| format!("{} did not start", shell::line(&command)))?;
        Ok(server)
    }

    /// Its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Memory that is resident and memory of its own (not of files), in KiB.
    pub(crate) fn memory_kib(&self) -> anyhow::Result<(u64, u64)> {
        let path = format!("/proc/{}/status", self.child.id());
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().nth(0)?.parse::<u64>().ok())
        };
        let all = field("VmRSS:").context("no VmRSS")?;
        Ok((all, field("RssAnon:").context("no RssAnon")?))
    }
}

/// The processor time that a process has used, in microseconds.
pub(crate) fn processor_time_us(process: u32) -> anyhow::Result<f64> {
    /// What the kernel counts in `/proc/…/stat`: hundredths of a second.
    const TICK_US: f64 = 10_000.0;
    let path = format!("/proc/{process}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    // The name of the program may hold anything; it ends with the last parenthesis.
    let (_, fields) = text.rsplit_once(')').context("no program name")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>());
    let ticks: Result<Vec<f64>, _> = ticks.collect();
    Ok(ticks.context("no processor time")?.iter().sum::<f64>() * TICK_US)
}

impl Drop for Server {
    fn drop(&mut self) {
        demo::stop(&mut self.child);
    }
}

/// A local address that nobody uses.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(SocketAddr::from(([127, 0, 0, 1], http::free_port()?)))
}

/// The bare server: axum with the same bodies.
pub(crate) fn axum(bench: &Bench<'_>) -> anyhow::Result<Server> {
    let target = bench.workspace.target.join("bench");
    let mut build = bench.workspace.cargo(&["build", "--release", "--locked", "--manifest-path"]);
    build.arg(bench.workspace.root.join("bench/axum-hello/Cargo.toml"));
    shell::run(build.env("CARGO_TARGET_DIR", &target))?;
    let address = free_address()?;
    let mut command = Command::new(target.join("release/axum-hello"));
    command.arg(address.to_string());
    Server::start(command, address, "/hello")
}

/// `wasmtime serve` with its defaults, where it is installed.
pub(crate) fn wasmtime(bench: &Bench<'_>, component: &Path) -> anyhow::Result<Option<Server>> {
    let Some(program) = bench.workspace.which("wasmtime") else {
        println!("wasmtime is not installed: 'cargo xtask setup --bench' does it");
        return Ok(None);
    };
    let address = free_address()?;
    let mut command = Command::new(program);
    command.args(["serve", "-S", "cli", "--addr", &address.to_string()]).arg(component);
    Server::start(command, address, "/hello").map(Some)
}
