//! Restate with a service in Rust (`bench/peers`), with its default number of partitions and with
//! one, which is the faster on a small machine.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::super::server::{Server, free_address};
use super::super::wrk::Measured;
use super::super::{Bench, sync};
use super::peers::Peers;
use crate::http::{self, Request};

/// How long a fresh server may take until its partitions answer.
const READY_MAX: Duration = Duration::from_secs(60);

/// A running server and its service.
pub(super) struct Restate {
    pub(super) name: &'static str,
    ingress: SocketAddr,
    service: Server,
    /// Kept running.
    _server: Server,
}

impl Restate {
    /// Starts both, where Restate is installed; otherwise says why not.
    pub(super) fn start_all(bench: &Bench<'_>, peers: &Peers) -> anyhow::Result<Vec<Self>> {
        let Some(program) = bench.workspace.restate() else {
            println!("no Restate: it is not installed; 'cargo xtask setup --bench' does it");
            return Ok(Vec::new());
        };
        let both = [("Restate, default partitions", None), ("Restate, 1 partition", Some(1))];
        let start = |(name, partitions)| Self::start(bench, (&program, peers), name, partitions);
        both.into_iter().map(start).collect()
    }

    fn start(
        bench: &Bench<'_>,
        (program, peers): (&Path, &Peers),
        name: &'static str,
        partitions: Option<u32>,
    ) -> anyhow::Result<Self> {
        let (handler, count) = (free_address()?, free_address()?);
        let mut command = Command::new(&peers.program);
        command.arg("restate-service").args([handler.to_string(), count.to_string()]);
        let service = Server::start(command, count, "/")?;

        let folder = partitions.map_or("restate".to_owned(), |count| format!("restate-{count}"));
        let folder = super::empty_folder(bench, &folder)?;
        let [node, ingress, admin] = [free_address()?, free_address()?, free_address()?];
        let file = folder.join("restate.toml");
        let partitions =
            partitions.map_or(String::new(), |count| format!("default-num-partitions = {count}\n"));
        let data = folder.join("data");
        let text = format!(
            "base-dir = {data:?}\nnode-name = \"bench\"\nbind-address = \"{node}\"\n\
             {partitions}disable-telemetry = true\nlog-filter = \"error\"\n\
             [ingress]\nbind-address = \"{ingress}\"\n\
             [admin]\nbind-address = \"{admin}\"\ndisable-web-ui = true\n"
        );
        std::fs::write(&file, text)
            .with_context(|| format!("failed to write {}", file.display()))?;
        let mut command = Command::new(program);
        command.args(["--no-logo", "--listen-mode", "tcp", "-c"]).arg(&file);
        command.env("DO_NOT_TRACK", "1");
        let server = Server::start(command, admin, "/health")?;
        let restate = Restate { name, ingress, service, _server: server };
        restate.register(admin, handler)?;
        Ok(restate)
    }

    /// Tells the server about the service, and waits until a call is answered.
    fn register(&self, admin: SocketAddr, handler: SocketAddr) -> anyhow::Result<()> {
        let json = "content-type: application/json\r\n";
        let body = serde_json::json!({ "uri": format!("http://{handler}") }).to_string();
        let body = body.as_bytes();
        let deployment = Request { method: "POST", path: "/deployments", head: json, body };
        let order = sync::order();
        let body = order.as_bytes();
        let call = Request { method: "POST", path: "/Orders/take", head: json, body };
        let deadline = Instant::now() + READY_MAX;
        for (address, request) in [(admin, deployment), (self.ingress, call)] {
            while !http::send(address, &request).is_ok_and(|answer| answer.status < 300) {
                let path = request.path;
                anyhow::ensure!(Instant::now() < deadline, "{}: {path} fails", self.name);
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        Ok(())
    }

    /// Sends calls that nobody waits for: calls per second until the service has answered all.
    pub(super) fn handle(&self, peers: &Peers, calls: u32) -> anyhow::Result<f64> {
        let before = self.handled()?;
        let load = peers.http(self.plan("/Orders/take/send", super::MANY, ("count", calls)))?;
        let begun = load.begun;
        load.end()?;
        super::wait_until(|| Ok(self.handled()? >= before + u64::from(calls)))
            .with_context(|| format!("{}: not all calls were answered", self.name))?;
        Ok(f64::from(calls) / begun.elapsed().as_secs_f64())
    }

    /// Calls that are waited for, for as long as the options say.
    pub(super) fn call(
        &self,
        bench: &Bench<'_>,
        peers: &Peers,
        connections: u32,
    ) -> anyhow::Result<Measured> {
        let until = ("seconds", bench.options.seconds);
        peers.http(self.plan("/Orders/take", connections, until))?.end()
    }

    fn plan(&self, path: &str, connections: u32, until: (&str, u32)) -> serde_json::Value {
        let mut plan = serde_json::json!({
            "address": self.ingress,
            "path": path,
            "headers": { "content-type": "application/json" },
            "connections": connections,
            "what": "single",
        });
        plan[until.0] = until.1.into();
        plan
    }

    /// How many calls the service has answered.
    fn handled(&self) -> anyhow::Result<u64> {
        let answer = http::get(self.service.address, "/")?;
        let text = String::from_utf8_lossy(&answer.body);
        text.trim().parse().with_context(|| format!("the service has counted '{text}'"))
    }
}
