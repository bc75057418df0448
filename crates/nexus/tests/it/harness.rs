//! Runs the binary: one command to its end, or a server until it is dropped.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Long enough for a build on a busy machine; only ever waited for when something is broken.
const PATIENCE: Duration = Duration::from_secs(180);

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    /// It must have worked.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "out: {}\nerr: {}", self.out, self.err);
        self
    }

    /// Its output as one JSON value a line.
    #[track_caller]
    pub(crate) fn values(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The binary, in a folder, with nothing of this process' environment that it would read.
pub(crate) fn binary(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nexus"));
    command.current_dir(folder).env("NO_COLOR", "1").env("TZ", "UTC");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("NEXUS_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end.
pub(crate) fn nexus(folder: &Path, line: &[&str]) -> Done {
    run(binary(folder).args(line))
}

/// Runs a prepared command to its end.
pub(crate) fn run(command: &mut Command) -> Done {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Done {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A server that runs until it is dropped.
pub(crate) struct Server {
    child: Child,
    lines: Receiver<Value>,
    err: Arc<Mutex<String>>,
    /// `host:port` of the ingress.
    pub(crate) ingress: String,
    /// The API with its scheme.
    pub(crate) api: String,
}

impl Server {
    /// `nexus dev` in a folder, on free ports; returns when it is ready.
    pub(crate) fn dev(folder: &Path, more: &[&str]) -> Self {
        let ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        let mut command = binary(folder);
        command.args(["dev", "--json"]).args(ports).args(more);
        let mut server = Server::spawn(command);
        let ready = server.wait("ready", |_| true);
        let text = |name: &str| ready["server"][name].as_str().unwrap().to_owned();
        server.api = text("api");
        server.ingress =
            text("ingress").trim_start_matches("http://").replace("localhost", "127.0.0.1");
        server
    }

    /// `nexus serve` with its data in a folder; returns when it says where it is.
    pub(crate) fn serve(data: &Path, more: &[&str]) -> Self {
        let ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        let mut command = binary(data.parent().unwrap());
        command.arg("serve").arg("--data").arg(data).args(ports).args(more);
        let mut server = Server::spawn(command);
        let file = data.join("server.json");
        let end = Instant::now() + PATIENCE;
        let value: Value = loop {
            if let Ok(text) = std::fs::read(&file) {
                break serde_json::from_slice(&text).unwrap();
            }
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < end, "{}", server.err());
            std::thread::yield_now();
        };
        server.api = value["api"].as_str().unwrap().to_owned();
        server.ingress = value["ingress"]
            .as_str()
            .unwrap()
            .trim_start_matches("http://")
            .replace("localhost", "127.0.0.1");
        server
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).unwrap_or(Value::String(line))).is_err()
                {
                    return;
                }
            }
        });
        let err = Arc::new(Mutex::new(String::new()));
        let (kept, talk) = (err.clone(), BufReader::new(child.stderr.take().unwrap()));
        std::thread::spawn(move || {
            for line in talk.lines().map_while(Result::ok) {
                kept.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        Server { child, lines, err, ingress: String::new(), api: String::new() }
    }

    /// What it said on standard error so far.
    pub(crate) fn err(&self) -> String {
        self.err.lock().unwrap().clone()
    }

    /// Waits until it has said this on standard error; gives everything that it has said.
    #[track_caller]
    pub(crate) fn said(&self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let told = self.err();
            if told.contains(text) {
                return told;
            }
            assert!(Instant::now() < end, "'{text}' was not said\n{told}");
            std::thread::yield_now();
        }
    }

    /// The next line of this event that `wanted` accepts; others are passed over.
    #[track_caller]
    pub(crate) fn wait(&self, event: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        let mut passed = Vec::new();
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(value) if value["event"] == event && wanted(&value) => return value,
                Ok(value) => passed.push(value.to_string()),
                Err(reason) => {
                    let what = match reason {
                        RecvTimeoutError::Timeout => "did not come",
                        RecvTimeoutError::Disconnected => "will not come: the server ended",
                    };
                    panic!("'{event}' {what}\n{}\n{}", passed.join("\n"), self.err());
                }
            }
        }
    }

    /// The next line, whatever it is.
    #[track_caller]
    pub(crate) fn next(&self) -> Value {
        self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{}", self.err()))
    }

    /// The next outcome of a build.
    #[track_caller]
    pub(crate) fn outcome(&self) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let value = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("{}", self.err()));
            if matches!(value["event"].as_str(), Some("live" | "failed" | "problem" | "unchanged"))
            {
                return value;
            }
        }
    }

    /// Asks a function.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        get(&self.ingress, path)
    }

    /// Sends a signal and waits for the end; gives the exit code.
    pub(crate) fn stop(&mut self, signal: rustix::process::Signal) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request with nothing but a host; the status and the body.
pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = Vec::new();
    stream.read_to_end(&mut text).unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let body = match head.to_lowercase().contains("transfer-encoding: chunked") {
        true => dechunk(body),
        false => body.to_owned(),
    };
    (status, body)
}

fn dechunk(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        body.push_str(&more[..size]);
        rest = more[size..].trim_start_matches("\r\n");
    }
    body
}
