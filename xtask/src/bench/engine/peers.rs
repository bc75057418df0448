//! The program `bench/peers`, which makes load that `wrk` cannot make, and NATS JetStream.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::super::server::{Server, free_address};
use super::super::wrk::Measured;
use super::super::{Bench, sync};
use crate::shell::{self, Workspace};

/// The first NATS that has atomic batches; before 2.10 it refuses to sync each message.
const NATS_MIN: (u32, u32) = (2, 12);

/// The built program, and a file with the body that everybody gets.
pub(crate) struct Peers {
    pub(super) program: PathBuf,
    body: PathBuf,
}

impl Peers {
    /// Builds the program.
    pub(crate) fn build(bench: &Bench<'_>) -> anyhow::Result<Self> {
        let target = bench.workspace.target.join("bench");
        let mut build =
            bench.workspace.cargo(&["build", "--release", "--locked", "--manifest-path"]);
        build.arg(bench.workspace.root.join("bench/peers/Cargo.toml"));
        shell::run(build.env("CARGO_TARGET_DIR", &target))?;
        let body = target.join("order.json");
        std::fs::write(&body, sync::order())
            .with_context(|| format!("failed to write {}", body.display()))?;
        Ok(Peers { program: target.join("release/peers"), body })
    }

    /// Starts load over HTTP. `plan` says what `bench/peers/src/http.rs` describes, without the
    /// body.
    pub(super) fn http(&self, mut plan: Value) -> anyhow::Result<HttpLoad> {
        plan["body"] = json!(self.body);
        let mut command = Command::new(&self.program);
        command.arg("http").arg(plan.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("failed to start {}", shell::line(&command)))?;
        let stdout = child.stdout.take().context("the child has no standard output")?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout.read_line(&mut line).context("failed to read what the load says")?;
        Ok(HttpLoad { begun: Instant::now(), child, stdout, line: shell::line(&command) })
    }

    /// Load for NATS; `last` is a number of seconds or events. Gives what it printed.
    fn nats(&self, mode: &str, nats: &Nats, batch: u32, last: u32) -> anyhow::Result<Value> {
        let many = super::MANY.to_string();
        let mut command = Command::new(&self.program);
        command.arg(mode).arg(&nats.url).arg(&self.body).args([&many, &many]);
        command.args([batch.to_string(), last.to_string()]);
        let text = shell::output(&mut command)?;
        serde_json::from_str(&text).with_context(|| format!("{mode} printed no JSON: {text}"))
    }
}

/// Load that runs.
pub(super) struct HttpLoad {
    /// When the first request was sent.
    pub(super) begun: Instant,
    child: Child,
    stdout: BufReader<ChildStdout>,
    line: String,
}

impl HttpLoad {
    /// Waits for its end; gives what it found.
    pub(super) fn end(mut self) -> anyhow::Result<Measured> {
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).context("failed to read what the load found")?;
        let status = self.child.wait().context("failed to wait for the load")?;
        anyhow::ensure!(status.success(), "{} failed ({status})", self.line);
        let document: Value = serde_json::from_str(&text)
            .with_context(|| format!("no JSON from the load: {text}"))?;
        measured(&document).with_context(|| format!("the load said: {text}"))
    }
}

/// The figures that `bench/peers` prints.
fn measured(document: &Value) -> anyhow::Result<Measured> {
    let number = |name: &str| document[name].as_f64().with_context(|| format!("no '{name}'"));
    Ok(Measured {
        per_second: number("per_s")?,
        p50_us: number("p50_us")?,
        p99_us: number("p99_us")?,
        ..Measured::default()
    })
}

/// A NATS server with JetStream that syncs each message before it acknowledges it.
pub(crate) struct Nats {
    /// Kept running.
    _server: Server,
    url: String,
}

impl Nats {
    /// Starts it where it is installed; otherwise says why not.
    pub(crate) fn start(bench: &Bench<'_>) -> anyhow::Result<Option<Self>> {
        let program = match usable(bench.workspace) {
            Ok(program) => program,
            Err(reason) => {
                println!("no NATS: {reason}; 'cargo xtask setup --bench' installs it");
                return Ok(None);
            }
        };
        let folder = super::empty_folder(bench, "nats")?;
        let (address, monitor) = (free_address()?, free_address()?);
        let file = folder.join("nats.conf");
        let store = folder.join("jetstream");
        let text = format!(
            "listen: \"{address}\"\nhttp: \"{monitor}\"\njetstream {{ store_dir: {store:?}, \
             sync_interval: always }}\n"
        );
        std::fs::write(&file, text)
            .with_context(|| format!("failed to write {}", file.display()))?;
        let mut command = Command::new(program);
        command.arg("-c").arg(&file);
        let server = Server::start(command, monitor, "/healthz")?;
        Ok(Some(Nats { _server: server, url: format!("nats://{address}") }))
    }

    /// Publishes for as long as the options say; each publisher waits for its acknowledgement.
    pub(crate) fn publish(
        &self,
        bench: &Bench<'_>,
        peers: &Peers,
        batch: u32,
    ) -> anyhow::Result<Measured> {
        let document = peers.nats("nats-publish", self, batch, bench.options.seconds)?;
        let measured = measured(&document)?;
        // As everywhere else: requests, not events.
        Ok(Measured { per_second: measured.per_second / f64::from(batch), ..measured })
    }

    /// Publishes events and handles them in a consumer: events per second.
    pub(super) fn handle(&self, peers: &Peers, batch: u32, events: u32) -> anyhow::Result<f64> {
        let document = peers.nats("nats-handle", self, batch, events)?;
        document["per_s"].as_f64().context("no rate")
    }
}

/// The program, when its version is new enough.
fn usable(workspace: &Workspace) -> Result<PathBuf, String> {
    let program = workspace.which("nats-server").ok_or("nats-server is not installed")?;
    let text = shell::output(Command::new(&program).arg("--version"));
    let text = text.map_err(|error| format!("{error:#}"))?;
    match version(&text) {
        Some(found) if found >= NATS_MIN => Ok(program),
        _ => Err(format!("{} is too old ({})", program.display(), text.trim())),
    }
}

/// Of `nats-server: v2.15.1`.
fn version(text: &str) -> Option<(u32, u32)> {
    let (_, version) = text.trim().split_once(": v")?;
    let mut numbers = version.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("nats-server: v2.15.1\n"), Some((2, 15)));
        assert!(version("nats-server: v2.9.10").unwrap() < NATS_MIN);
        assert_eq!(version("nats-server: unknown"), None);
    }

    #[test]
    fn figures_of_the_load_are_understood() {
        let document = json!({ "sent": 10, "per_s": 5.5, "p50_us": 100.25, "p99_us": 200.0 });
        let expected =
            Measured { per_second: 5.5, p50_us: 100.25, p99_us: 200.0, ..Measured::default() };
        assert_eq!(measured(&document).unwrap(), expected);
        // Nothing was sent: there is no latency.
        let nothing = json!({ "sent": 0, "per_s": 0.0, "p50_us": null, "p99_us": null });
        assert!(measured(&nothing).is_err());
    }
}
