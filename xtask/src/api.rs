//! `cargo xtask api`: explores the API of a real server with requests made from its OpenAPI
//! document: no answer may be a server error or differ from what the document says.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use crate::shell::{self, Workspace};
use crate::{demo, http, setup};

/// How long the sample may take until it answers.
const START_MAX: Duration = Duration::from_secs(120);
/// What answers must be.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
     response_headers_conformance,response_schema_conformance,unsupported_method,ignored_auth";
/// Operations that are left out: streams that do not end.
const STREAMS: &[&str] =
    &["event_follow", "invocation_follow", "log_follow", "invocation_progress"];
/// The function of the sample: it takes whatever comes, so that a server error is never its own.
const FUNCTION: &str = "export default { async fetch() { return new Response(\"ok\\n\"); } };\n";
/// The ids that the document has as examples; real ones take their place.
const EXAMPLES: [&str; 2] = ["evt_01krs8xj0000000000000000a0", "inv_01krs8xj0000000000000000a0"];

/// Options of `cargo xtask api`.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// Requests for each operation in each phase, about.
    #[arg(long, default_value_t = 8)]
    examples: u32,
    /// Where the random numbers begin.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this operation (its `operationId`).
    #[arg(long)]
    only: Option<String>,
}

/// Runs `cargo xtask api` with the debug build that is there.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<ExitCode> {
    let missing = setup::for_api(workspace)?;
    anyhow::ensure!(missing.is_empty(), "missing: {}", missing.join(", "));
    let sample = Sample::start(workspace)?;
    sample.explore(workspace, options)?;
    Ok(ExitCode::SUCCESS)
}

/// The same as one step of the tests.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    let sample = Sample::start(workspace)?;
    sample.explore(workspace, &Options { examples: 8, seed: 1, only: None })
}

/// A server with a sample project in which something has happened.
struct Sample {
    nexus: PathBuf,
    folder: PathBuf,
    admin: SocketAddr,
    server: Child,
}

impl Drop for Sample {
    fn drop(&mut self) {
        demo::stop(&mut self.server);
    }
}

impl Sample {
    fn start(workspace: &Workspace) -> anyhow::Result<Self> {
        let folder = workspace.target.join("api");
        shell::empty(&folder)?;
        let nexus = workspace.nexus("debug");
        let new = ["new", "shop", "--lang", "javascript"];
        shell::run(Command::new(&nexus).args(new).current_dir(&folder))?;
        let function = folder.join("shop/hello/index.js");
        fs::write(&function, FUNCTION)
            .with_context(|| format!("failed to write {}", function.display()))?;
        let [ingress, admin] = [http::free_port()?, http::free_port()?];
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (ingress, admin) = (local(ingress), local(admin));
        let server = Command::new(&nexus)
            .args(["dev", "shop", "--quiet", "--no-watch"])
            .args(["--listen", &ingress.to_string(), "--admin-listen", &admin.to_string()])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("failed to start nexus dev")?;
        let sample = Sample { nexus, folder, admin, server };
        http::wait_for(ingress, "/hello", START_MAX)?;
        Ok(sample)
    }

    fn nexus(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.nexus);
        shell::output(command.args(arguments).current_dir(self.folder.join("shop")))
    }

    /// The document of the server, with ids of things that exist.
    fn document(&self) -> anyhow::Result<String> {
        self.nexus(&["invoke", "hello", "-d", r#"{"name":"Ada"}"#])?;
        let emitted = self.nexus(&["emit", "com.shop.order.created", "-d", "{}", "--json"])?;
        let event = first(&emitted, "evt_").context("emit printed no id")?;
        let deadline = Instant::now() + START_MAX;
        let invocation = loop {
            let list = self.nexus(&["invocations", "--json"])?;
            if let Some(id) = first(&list, "inv_") {
                break id;
            }
            anyhow::ensure!(Instant::now() < deadline, "no invocation was recorded");
            std::thread::sleep(Duration::from_millis(20));
        };
        let answer = http::get(self.admin, "/api/v1/openapi.json")?;
        let text = String::from_utf8(answer.body).context("the document is not UTF-8")?;
        let [an_event, an_invocation] = EXAMPLES;
        Ok(text.replace(an_event, &event).replace(an_invocation, &invocation))
    }

    fn explore(&self, workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
        let text = self.document()?;
        let path = self.folder.join("openapi.json");
        fs::write(&path, &text).with_context(|| format!("failed to write {}", path.display()))?;
        let python = |arguments: &[&str]| {
            let mut python = workspace.command("python3");
            python.args(arguments).arg(&path);
            python
        };
        shell::run(&mut python(&["-m", "openapi_spec_validator"]))?;
        println!("$ python3 examples.py openapi.json");
        let fit = python(&["-c", include_str!("api/examples.py")]).status();
        anyhow::ensure!(fit?.success(), "examples do not fit the schemas that they stand at");
        let token = fs::read_to_string(self.folder.join("shop/.nexus/token"))?;
        let mut explorer = workspace.command("schemathesis");
        explorer
            .args(["run", "openapi.json", "--url", &format!("http://{}", self.admin)])
            .args(["--header", &format!("Authorization: Bearer {}", token.trim())])
            .args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing"])
            .args(["--max-examples", &options.examples.to_string()])
            .args(["--seed", &options.seed.to_string(), "--generation-database", "none"])
            .args(["--workers", "2", "--request-timeout", "60", "--continue-on-failure"])
            .args(["--suppress-health-check", "all", "--warnings", "off", "--no-color"])
            .current_dir(&self.folder);
        match &options.only {
            Some(only) => drop(explorer.args(["--include-operation-id", only])),
            None => {
                for stream in STREAMS {
                    explorer.args(["--exclude-operation-id", stream]);
                }
            }
        }
        println!("$ schemathesis run openapi.json …");
        let status = explorer.status().context("failed to start schemathesis")?;
        anyhow::ensure!(status.success(), "the API does not do what its document says ({status})");
        let alive = http::get(self.admin, "/healthz").is_ok_and(|answer| answer.status == 200);
        anyhow::ensure!(alive, "the server does not answer any more");
        Ok(())
    }
}

/// The first id with this prefix in some JSON.
fn first(text: &str, prefix: &str) -> Option<String> {
    let values = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let texts = values.map(|value| value.to_string());
    let mut words =
        texts.flat_map(|text| text.split('"').map(str::to_owned).collect::<Vec<String>>());
    words.find(|word| word.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_lines_of_json() {
        let text = "{\"a\":[{\"id\":\"evt_1\"}]}\n{\"id\":\"inv_2\"}\n";
        assert_eq!(first(text, "inv_").as_deref(), Some("inv_2"));
        assert_eq!(first(text, "evt_").as_deref(), Some("evt_1"));
        assert_eq!(first("evt_3", "evt_"), None);
    }
}
