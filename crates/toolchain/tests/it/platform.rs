//! Waiting, calls and state, by the names that each language gives them.

use std::time::Duration;

use nexus_model::Event;
use nexus_model::record::Status;
use nexus_toolchain::Error;
use serde_json::{Value, json};

use crate::project::Project;
use crate::runner::Guest;

const JAVASCRIPT: &str = r#"
import nexus, { CallError, ConflictError } from "nexus:function";

const kind = (body) => { try { return body() ?? null; } catch (error) { return [error.name, error.code ?? error.version ?? error.message]; } };

export default {
  event(event, context) {
    nexus.progress(50, "half");
    const state = nexus.state;
    const first = state.put("a/1", { n: 1 }, { version: 0 });
    const key = context.idempotencyKey.length === 32;
    return {
      first, key,
      conflict: kind(() => state.put("a/1", 2, { version: 7 })),
      entry: state.entry("a/1"), missing: state.get("b") ?? null,
      listed: state.list("a/").map((found) => found.key),
      shared: [state.shared("all").put("a/1", 3), state.shared("all").get("a/1")],
      deleted: [state.delete("a/1") ?? null, state.get("a/1") ?? null],
      stream: [state.append("s", [1, 2]), state.read("s", { after: 1 })],
      call: nexus.call("other", { a: [1] }),
      failed: [kind(() => nexus.call("missing")), kind(() => nexus.call("broken"))],
      all: nexus.callAll([["one", 1], ["missing", 2]]).map((it) => it.error?.code ?? it.value),
      started: [nexus.start("later", 1, { delay: 5 }).slice(0, 4), nexus.outcome(nexus.start("x")).state],
      slept: kind(() => nexus.sleep(1)),
      signal: kind(() => nexus.signal("go")),
      timeout: kind(() => nexus.signal("never", { timeout: 1 })),
      errors: [new CallError("x", "", true).permanent, new ConflictError(3).version],
    };
  },
};
"#;

const PYTHON: &str = r#"
import nexus_sdk as nexus


def kind(body):
    try:
        return body()
    except Exception as error:
        detail = getattr(error, "code", None) or getattr(error, "version", None) or str(error)
        return [type(error).__name__.replace("Permanent", "").replace("Error", "") + "Error", detail]


@nexus.event
def handle(event):
    nexus.context.progress(50, "half")
    state = nexus.state
    first = state.put("a/1", {"n": 1}, version=0)
    entry = state.entry("a/1")
    return {
        "first": first,
        "key": len(nexus.context.idempotency_key) == 32,
        "conflict": kind(lambda: state.put("a/1", 2, version=7)),
        "entry": {"value": entry.value, "version": entry.version},
        "missing": state.get("b"),
        "listed": [it.key for it in state.list("a/")],
        "shared": [state.shared("all").put("a/1", 3), state.shared("all").get("a/1")],
        "deleted": [state.delete("a/1"), state.get("a/1")],
        "stream": [state.append("s", [1, 2]), [{"version": it.version, "data": it.value} for it in state.read("s", after=1)]],
        "call": nexus.call("other", {"a": [1]}),
        "failed": [kind(lambda: nexus.call("missing")), kind(lambda: nexus.call("broken"))],
        "all": [getattr(it, "code", it) for it in nexus.call_all([("one", 1), ("missing", 2)])],
        "started": [nexus.start("later", 1, delay=0.005)[:4], nexus.outcome(nexus.start("x")).state],
        "slept": kind(lambda: nexus.sleep(0.001)),
        "signal": kind(lambda: nexus.signal("go")),
        "timeout": kind(lambda: nexus.signal("never", timeout=0.001)),
        "errors": [isinstance(nexus.PermanentCallError("x", ""), nexus.PermanentError), nexus.ConflictError(3).version],
    }
"#;

fn check(file: &str, text: &str) {
    let project = Project::empty();
    project.file(file, text);
    let guest = Guest::new(&project.build("").unwrap().component);
    let event = || {
        let mut event = Event::new("1", "/test", "t");
        event.data = Some("null".into());
        event
    };
    let result = |ended: nexus_exec::Ended| -> Value {
        assert_eq!(ended.status, Status::Succeeded, "{:?} {:?}", ended.failure, ended.logs);
        serde_json::from_slice(&ended.output.bytes).unwrap()
    };
    let expected = json!({
        "first": 1, "key": true, "conflict": ["ConflictError", 1],
        "entry": { "value": { "n": 1 }, "version": 1 }, "missing": null, "listed": ["a/1"],
        "shared": [1, 3], "deleted": [null, null],
        "stream": [2, [{ "version": 2, "data": 2 }]], "call": { "a": [1] },
        "failed": [["CallError", "not-found"], ["CallError", "NX5002"]], "all": [1, "not-found"],
        "started": ["inv_", "running"], "slept": null,
        "signal": { "name": "go" }, "timeout": null, "errors": [true, 3],
    });
    assert_eq!(result(guest.durable_event(event())), expected);
    for wait in ["slept", "signal", "timeout"] {
        let refused = result(guest.event(event()))[wait].clone();
        assert!(refused[1].as_str().unwrap().contains("durable = true"), "{refused}");
    }
}

#[test]
fn javascript() {
    check("index.js", JAVASCRIPT);
}

#[test]
fn python() {
    check("app.py", PYTHON);
}

/// Code at the top level of a module runs when the function is built.
#[test]
fn modules_that_never_end_are_stopped() {
    for (file, endless) in [
        ("index.js", "export default { fetch() {} };\nfor (;;) {}\n"),
        ("app.py", "while True:\n    pass\n"),
    ] {
        let project = Project::empty();
        project.file(file, endless);
        let mut options = project.options();
        options.load_time_max = Duration::from_millis(100);
        let stopped = nexus_toolchain::build(&project.source(""), &options).unwrap_err();
        assert!(matches!(stopped, Error::LoadTime { .. }), "{file}: {stopped:?}");
        let said = stopped.to_string();
        assert!(said.contains("did not end within 100ms"), "{said}");
        assert!(said.contains("into the handler"), "{said}");
    }
}
