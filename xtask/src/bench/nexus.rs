//! Nexus under test: the production server on a data folder of its own, and its API.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::Bench;
use super::server::{self, Server};
use crate::http::{self, Request};
use crate::shell;

/// The project of the benchmark.
pub(crate) const PROJECT: &str = "bench";

/// How long a server may take to look through what it stores.
const READY_MAX: Duration = Duration::from_secs(120);

/// A data folder, and where the program is.
pub(crate) struct Place {
    program: PathBuf,
    pub(crate) folder: PathBuf,
}

/// A running Nexus.
pub(crate) struct Nexus {
    pub(crate) server: Server,
    pub(crate) ingress: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) token: String,
}

impl Place {
    /// An empty data folder of this name.
    pub(crate) fn empty(bench: &Bench<'_>, name: &str) -> anyhow::Result<Self> {
        let folder = bench.workspace.target.join("bench-data").join(name);
        shell::empty(&folder)?;
        Ok(Place { program: bench.dist.nexus(), folder })
    }

    /// Starts `nexus serve` and waits until it answers.
    pub(crate) fn start(&self) -> anyhow::Result<Nexus> {
        let ingress = server::free_address()?;
        let admin = server::free_address()?;
        let mut command = Command::new(&self.program);
        command.arg("serve").arg("--data").arg(&self.folder);
        command.args(["--listen", &ingress.to_string(), "--admin-listen", &admin.to_string()]);
        let server = Server::start(command, admin, "/healthz")?;
        let token = read_token(&self.folder)?;
        Ok(Nexus { server, ingress, admin, token })
    }
}

fn read_token(folder: &Path) -> anyhow::Result<String> {
    let path = folder.join("token");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("failed to read {}", path.display()))?;
    Ok(text.trim().to_owned())
}

/// A function to deploy.
pub(crate) struct Deploy<'a> {
    pub(crate) name: &'a str,
    pub(crate) component: &'a [u8],
    pub(crate) spec: Value,
}

impl Nexus {
    /// Waits until it serves everything that is declared.
    pub(crate) fn ready(&self) -> anyhow::Result<()> {
        http::wait_for(self.admin, "/readyz", READY_MAX)
    }

    /// Deploys a component and waits until it is compiled.
    pub(crate) fn deploy(&self, deploy: &Deploy<'_>) -> anyhow::Result<()> {
        let boundary = "----nexus-bench";
        let spec = deploy.spec.to_string();
        let part = |name: &str, media_type: &str| {
            format!(
                "--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"; \
                 filename=\"{name}\"\r\ncontent-type: {media_type}\r\n\r\n"
            )
        };
        let body = [
            part("spec", "application/json").as_bytes(),
            spec.as_bytes(),
            b"\r\n",
            part("component", "application/wasm").as_bytes(),
            deploy.component,
            format!("\r\n--{boundary}--\r\n").as_bytes(),
        ]
        .concat();
        let name = deploy.name;
        let path = format!("/api/v1/projects/{PROJECT}/functions/{name}/deploy?language=rust");
        let media_type = format!("multipart/form-data; boundary={boundary}");
        self.call("POST", &path, (&media_type, &body)).map(drop)
    }

    /// A call of the API; what it answers is JSON.
    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        (media_type, body): (&str, &[u8]),
    ) -> anyhow::Result<Value> {
        let token = &self.token;
        let head = format!("authorization: Bearer {token}\r\ncontent-type: {media_type}\r\n");
        let request = Request { method, path, head: &head, body };
        let answer = http::send(self.admin, &request)?;
        if !(200..300).contains(&answer.status) {
            let text = String::from_utf8_lossy(&answer.body);
            bail!("{method} {path} was answered with {}: {text}", answer.status);
        }
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body).with_context(|| format!("no JSON from {path}"))
    }

    /// A call of the API without a body.
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call("GET", path, ("application/json", b""))
    }
}

/// The spec of a function that answers on `path`.
pub(crate) fn http_spec(path: &str) -> Value {
    serde_json::json!({ "on": { "http": [{ "path": path, "auth": "none" }] } })
}

/// The spec of a function that handles events of a type.
pub(crate) fn event_spec(ty: &str) -> Value {
    serde_json::json!({ "on": { "events": [{ "type": ty }] } })
}
