//! The guests of `examples/` do what their table says.

use std::path::Path;
use std::sync::OnceLock;

use nexus_model::record::Status;
use nexus_toolchain::{FunctionSource, build};

use crate::project::Project;
use crate::runner::Guest;

/// Memory of a guest that is to run out of it; an interpreter alone takes a part of it.
const SMALL_MEMORY_BYTES: usize = 64 << 20;

/// A guest of `examples/` that many tests call: built and compiled once.
pub(crate) struct Shared {
    usual: Guest,
    small: Guest,
}

impl Shared {
    pub(crate) fn usual(&self) -> &Guest {
        &self.usual
    }

    /// The same with little memory.
    pub(crate) fn small(&self) -> &Guest {
        &self.small
    }
}

pub(crate) fn shared(name: &'static str) -> &'static Shared {
    static RUST: OnceLock<Shared> = OnceLock::new();
    static JAVASCRIPT: OnceLock<Shared> = OnceLock::new();
    static TYPESCRIPT: OnceLock<Shared> = OnceLock::new();
    static PYTHON: OnceLock<Shared> = OnceLock::new();
    let guest = match name {
        "replay-rust" => &RUST,
        "replay-js" => &JAVASCRIPT,
        "replay-ts" => &TYPESCRIPT,
        _ => &PYTHON,
    };
    guest.get_or_init(|| {
        let usual = guest_of(name);
        let small = usual.with_memory(SMALL_MEMORY_BYTES);
        Shared { usual, small }
    })
}

/// A guest of `examples/`, built and compiled.
fn guest_of(name: &str) -> Guest {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    let source = FunctionSource { name: name.into(), dir, language: None, custom: None };
    let component = build(&source, &Project::empty().options()).unwrap().component;
    // The next run of the tests finds the machine code again.
    let code = Path::new(env!("CARGO_TARGET_TMPDIR")).join("code");
    Guest::in_folder(&component, &code)
}

fn check(name: &'static str, tells_order: bool) {
    let guest = shared(name).usual();
    for path in ["/random", "/clock", "/order"] {
        let (status, first, ended) = guest.get(path);
        assert_eq!(status, 200, "{path}: {:?} {:?}", ended.failure, ended.logs);
        assert_ne!(first, guest.get(path).1, "{path}");
    }
    let (status, text, ended) =
        guest.get("/fetch?url=http://other/delay/40&url=http://other/delay/1");
    assert_eq!(status, 200, "{:?} {:?}", ended.failure, ended.logs);
    assert!(text.contains("/delay/40") && text.contains("/delay/1"), "{text}");
    if tells_order {
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        let order = serde_json::json!(["http://other/delay/1", "http://other/delay/40"]);
        assert_eq!(answer["order"], order);
    }
    let (status, text, ended) = guest.http("POST", "/stream", "some text");
    assert_eq!((status, text.as_str()), (200, "SOME TEXT"), "{:?} {:?}", ended.failure, ended.logs);
    let (_, _, ended) = guest.get("/throw");
    assert_ne!(ended.status, Status::Succeeded);
    assert!(ended.logs.iter().any(|line| line.text.contains("on purpose")), "{:?}", ended.logs);
    assert_eq!(guest.get("/nothing").0, 404);
}

#[test]
fn replay_rust() {
    check("replay-rust", false);
}

#[test]
fn replay_js() {
    check("replay-js", true);
}

#[test]
fn replay_ts() {
    check("replay-ts", true);
}

#[test]
fn replay_py() {
    check("replay-py", true);
}

#[test]
fn aggregate_rust() {
    let guest = guest_of("aggregate-rust");
    let command = |amount: i64| {
        let mut event = nexus_model::Event::new("1", "/bank", "com.bank.command");
        let data = serde_json::json!({ "account": "42", "amount": amount });
        event.data = Some(data.to_string().into());
        guest.event(event)
    };
    let ended = command(100);
    assert_eq!(ended.status, Status::Succeeded, "{:?} {:?}", ended.failure, ended.logs);
    assert_eq!(&ended.output.bytes[..], b"100");
    assert_eq!(ended.events.len(), 1);
    assert_eq!(ended.events[0].ty, "com.bank.account.changed");
    let refused = command(-1);
    assert_eq!(refused.status, Status::Refused);
    assert!(refused.failure.unwrap().message.contains("0 cents are not enough"));
}
