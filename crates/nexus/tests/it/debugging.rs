//! A past invocation in a debugger: timeline, an editor's protocol, profiles, the stack of a language.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::harness::{Server, binary, nexus};

const MANIFEST: &str = "project = \"shop\"\n[functions.hello]\nsource = \".\"\nhttp = \"/hello\"\n";
const FUNCTION: &str = "\
export default {
  async fetch(request) {
    const name = new URL(request.url).searchParams.get('name');
    if (name === 'boom') deep(name);
    console.log('greeting', name);
    return new Response(`Hello, ${name}! ${Date.now()}`);
  },
};

function deep(name) {
  throw new Error(`no ${name}`);
}
";

/// An editor that speaks the Debug Adapter Protocol with a child process.
struct Editor {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    seq: i64,
    events: Vec<Value>,
}

impl Editor {
    fn new(folder: &std::path::Path) -> Self {
        let mut command = binary(folder);
        command.args(["debug", "--dap"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Editor { child, out, seq: 0, events: Vec::new() }
    }

    fn read(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert!(self.out.read_line(&mut line).unwrap() > 0, "the adapter ended");
            match line.trim() {
                "" => break,
                line => {
                    if let Some(text) = line.strip_prefix("Content-Length: ") {
                        length = text.parse().unwrap();
                    }
                }
            }
        }
        let mut body = vec![0; length];
        self.out.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    /// The response to a request; events that come before it are kept.
    fn ask(&mut self, command: &str, arguments: Value) -> Value {
        self.seq += 1;
        let message = json!({
            "seq": self.seq, "type": "request", "command": command, "arguments": arguments,
        })
        .to_string();
        let stdin = self.child.stdin.as_mut().unwrap();
        write!(stdin, "Content-Length: {}\r\n\r\n{message}", message.len()).unwrap();
        stdin.flush().unwrap();
        loop {
            let message = self.read();
            if message["type"] == "response" {
                assert_eq!(message["request_seq"], self.seq);
                return message;
            }
            self.events.push(message);
        }
    }

    fn ok(&mut self, command: &str, arguments: Value) -> Value {
        let answer = self.ask(command, arguments);
        assert_eq!(answer["success"], true, "{answer}");
        answer["body"].clone()
    }

    fn event(&mut self, name: &str) -> Value {
        loop {
            if let Some(at) = self.events.iter().position(|event| event["event"] == name) {
                return self.events.remove(at)["body"].clone();
            }
            let message = self.read();
            self.events.push(message);
        }
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_editor_walks_through_a_past_invocation() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("nexus.toml"), MANIFEST).unwrap();
    std::fs::write(home.path().join("index.js"), FUNCTION).unwrap();
    let server = Server::dev(home.path(), &[]);
    server.wait("live", |_| true);
    assert_eq!(server.get("/hello?name=Ada").0, 200);
    let row = server.wait("invocation", |_| true)["invocation"].clone();
    let id = row["id"].as_str().unwrap();

    let refused = nexus(home.path(), &["debug", id]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("needs a terminal"), "{}", refused.err);
    let opened = nexus(home.path(), &["debug", id, "--json"]).ok().values();
    let timeline = opened[0]["timeline"].as_array().unwrap();
    assert!(
        timeline.iter().any(|it| it["function"] == "wasi:clocks/wall-clock.now"),
        "{timeline:?}"
    );
    assert!(timeline.iter().any(|it| it["kind"] == "log"), "{timeline:?}");

    let mut editor = Editor::new(home.path());
    let early = editor.ask("threads", json!({}));
    assert_eq!(early["success"], false);
    assert_eq!(editor.ok("initialize", json!({ "adapterID": "nexus" }))["supportsStepBack"], true);
    editor.ok("launch", json!({ "invocation": id }));
    editor.event("initialized");
    let operations = json!({ "breakpoints": [{ "name": "wall-clock" }] });
    let set = editor.ok("setFunctionBreakpoints", operations);
    assert_eq!(set["breakpoints"][0]["verified"], true);
    editor.ok("configurationDone", json!({}));
    assert_eq!(editor.event("stopped")["reason"], "entry");
    let mut stops = Vec::new();
    for command in ["continue", "continue", "reverseContinue", "next", "stepBack"] {
        editor.ok(command, json!({ "threadId": 1 }));
        let stopped = editor.event("stopped");
        let told = stopped["description"].as_str().unwrap();
        // Whether by a breakpoint or by a step: where it stands counts.
        stops.push(told[told.find("operation").unwrap()..].to_owned());
    }
    assert!(stops[0].contains("wall-clock.now"), "{stops:?}");
    assert_eq!(stops[0], stops[2], "back to the same place: {stops:?}");
    assert_eq!(stops[2], stops[4], "forward and back again: {stops:?}");
    let stack = editor.ok("stackTrace", json!({ "threadId": 1 }));
    assert!(stack["totalFrames"].as_u64().unwrap() > 3, "{stack}");
    let scopes = editor.ok("scopes", json!({ "frameId": 0 }));
    let names: Vec<_> = scopes["scopes"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["Operation", "WebAssembly", "Globals"]);
    let memory = editor.ok("readMemory", json!({ "memoryReference": "0x10", "count": 16 }));
    assert_eq!(memory["data"].as_str().unwrap().len(), 24);
    // Another time: the answer of the clock is edited, and the output follows.
    let mut clocks = timeline.iter().filter(|it| it["function"] == "wasi:clocks/wall-clock.now");
    let last = clocks.next_back().unwrap()["operation"].as_u64().unwrap();
    let expression = format!("what-if {last} \"86400.000000000\"");
    editor.ok("evaluate", json!({ "expression": expression, "frameId": 0 }));
    editor.event("stopped");
    editor.ok("setFunctionBreakpoints", json!({ "breakpoints": [] }));
    editor.ok("continue", json!({ "threadId": 1 }));
    assert_eq!(editor.event("stopped")["reason"], "end");
    editor.ok("disconnect", json!({}));

    let profile = nexus(home.path(), &["profile", id, "--format", "svg"]).ok().out;
    assert!(profile.starts_with("<svg") && profile.contains("samples over"), "{profile}");
    let replay = nexus(home.path(), &["replay", id]);
    assert_eq!((replay.code, replay.out.as_str()), (0, "identical\n"), "{}", replay.err);

    assert_eq!(server.get("/hello?name=boom").0, 502);
    let row = server.wait("invocation", |_| true)["invocation"].clone();
    let id = row["id"].as_str().unwrap();
    let shown = nexus(home.path(), &["invocations", "show", id, "--json"]).ok().values();
    let frame = &shown[0]["failure"]["frames"][0];
    assert_eq!((&frame["function"], &frame["line"]), (&json!("deep"), &json!(11)), "{shown:?}");
}
