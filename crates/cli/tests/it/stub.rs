//! An HTTP server that answers from a list, and a run of one command line against it.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use clap::Parser as _;
use nexus_cli::{Cli, Ran, Terminal, run};
use nexus_model::{Code, Problem, Timestamp};

/// An answer to `METHOD /path?query` (without query: whatever the query).
pub(crate) struct Route {
    pub(crate) request: &'static str,
    pub(crate) status: u16,
    pub(crate) headers: &'static str,
    pub(crate) body: String,
}

impl Route {
    /// The answer without its version.
    pub(crate) fn text(&self) -> String {
        let Route { status, headers, body, .. } = self;
        let length = body.len();
        format!(
            "{status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
    }
}

pub(crate) fn json(request: &'static str, body: impl ToString) -> Route {
    Route {
        request,
        status: 200,
        headers: "content-type: application/json\r\n",
        body: body.to_string(),
    }
}

/// An answer that says what is wrong.
pub(crate) fn problem(request: &'static str, code: Code, detail: &str) -> Route {
    let problem = Problem::new(code, detail);
    Route {
        request,
        status: problem.status,
        headers: "content-type: application/problem+json\r\n",
        body: serde_json::to_string(&problem).unwrap(),
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What came of a command.
pub(crate) struct Done {
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) err: String,
    /// `METHOD target` and body of each request.
    pub(crate) requests: Vec<(String, Vec<u8>)>,
}

impl Done {
    /// Everything, for snapshots.
    pub(crate) fn all(&self) -> String {
        format!("exit {}\n--- out\n{}--- err\n{}", self.code, self.out, self.err)
    }
}

/// Runs a command line in the project `shop` against `routes`.
pub(crate) fn nexus(line: &[&str], routes: Vec<Route>) -> Done {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = requests.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap(), &routes, &seen);
        }
    });
    let (code, out, err) = command(line, &["--server", &server, "--project", "shop"]);
    let requests = requests.lock().unwrap().clone();
    let err = err.replace(&server, "http://server");
    Done { code, out: out.replace(&server, "http://server"), err, requests }
}

/// Runs a command line as it is.
pub(crate) fn command(line: &[&str], more: &[&str]) -> (u8, String, String) {
    let nowhere = tempfile::tempdir().unwrap();
    command_in(nowhere.path(), line, more)
}

/// Runs a command line as it is, in a folder.
pub(crate) fn command_in(folder: &Path, line: &[&str], more: &[&str]) -> (u8, String, String) {
    let words = ["nexus"].iter().chain(line).chain(more);
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => return (2, String::new(), error.to_string()),
    };
    let (out, err) = (Shared::default(), Shared::default());
    let mut terminal = Terminal::captured(Box::new(out.clone()), Box::new(err.clone()));
    terminal.format = cli.globals.format();
    terminal.now = Timestamp::parse("2026-11-20T19:00:10Z").unwrap();
    match run(cli, terminal, folder.to_owned()) {
        Ran::Exit(code) => (code, out.text(), err.text()),
        Ran::Host(host) => panic!("handed back: {:?}", host.command),
    }
}

/// Answers one request.
pub(crate) fn answer(
    stream: impl Read + Write,
    routes: &[Route],
    seen: &Mutex<Vec<(String, Vec<u8>)>>,
) {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let first = head.lines().next().unwrap_or_default();
    let request = first.trim_end_matches(" HTTP/1.1").to_owned();
    let path = request.split('?').next().unwrap_or_default().to_owned();
    seen.lock().unwrap().push((request.clone(), body));
    let found = routes
        .iter()
        .find(|route| route.request == request)
        .or_else(|| routes.iter().find(|route| route.request == path));
    let nothing = Route {
        request: "",
        status: 404,
        headers: "content-type: text/plain\r\n",
        body: "the stub has no such route".to_owned(),
    };
    write!(reader.get_mut(), "HTTP/1.1 {}", found.unwrap_or(&nothing).text()).unwrap();
}
