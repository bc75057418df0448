//! The terminal debugger on a screen that only exists in memory.

use std::path::PathBuf;

use nexus_model::view::{DebugCommand, DebugOpened, DebugState, StepBy};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::{Value, json};

use super::app::{App, Do};
use super::{Sources, view};

fn operation(number: u32, function: &str, arguments: &str, result: Value) -> Value {
    json!({
        "kind": "operation", "operation": number, "function": function, "arguments": arguments,
        "summary": "", "result": result, "at_ns": 0, "duration_ns": 0,
    })
}

fn state(answered: u32, reason: &str) -> Value {
    let frame = json!({
        "function": "hello::handle", "file": "/work/app/src/lib.rs", "line": 2, "offset": 40,
        "locals": [{ "name": "local0", "type": "i32", "value": "98 (0x62)" }],
        "variables": [
            { "name": "order", "type": "Order", "value": "Order { id: 7 }", "path": "order", "children": 1,
              "address": 64 },
            { "name": "gone", "type": "u8", "value": "<optimised away>", "path": "gone" },
        ],
    });
    json!({
        "reason": reason, "description": "said so", "operation": answered, "operations": 2,
        "frames": if answered > 0 { json!([frame]) } else { json!([]) },
        "globals": [], "memories": [{ "memory": 0, "module": "hello.wasm", "bytes": 65_536 }],
        "logs": [], "what_if": [], "breakpoints": [],
    })
}

fn app() -> App {
    let opened = json!({
        "session": "dbg_1", "invocation": "inv_01m8chepp3fbv8000e0khg062s", "function": "hello",
        "timeline": [
            operation(0, "wasi:http/outgoing-handler.handle", "GET http://a/", Value::Null),
            { "kind": "log", "after": 1, "log": {
                "at": "2026-11-26T18:15:25Z", "stream": "log", "level": "info", "text": "fetched" } },
            operation(1, "wasi:http/types.future-incoming-response.get", "", json!({ "status": 200, "headers": [] })),
        ],
        "sources": ["/work/app/src/lib.rs"], "has_lines": true, "compile_ms": 0, "idle_seconds": 900,
        "state": state(0, "entry"),
    });
    App::new(serde_json::from_value::<DebugOpened>(opened).unwrap())
}

fn arrive(app: &mut App, answered: u32) {
    app.arrived(serde_json::from_value::<DebugState>(state(answered, "operation")).unwrap());
}

fn screen(app: &App, size: (u16, u16)) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("src")).unwrap();
    std::fs::write(folder.path().join("src/lib.rs"), "fn handle() {\n    here();\n}\n").unwrap();
    let mut sources = Sources::new(PathBuf::from(folder.path()), Vec::new());
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(|frame| view::draw(frame, app, &mut sources)).unwrap();
    terminal.backend().to_string()
}

fn press(app: &mut App, code: KeyCode) -> Do {
    app.key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn write(app: &mut App, text: &str) -> Do {
    for letter in text.chars() {
        press(app, KeyCode::Char(letter));
    }
    press(app, KeyCode::Enter)
}

#[test]
fn everything_has_its_place_at_80_by_24() {
    let mut app = app();
    let entry = screen(&app, (80, 24));
    for text in ["0/2 operations", "handle GET http://a/", "fetched", "has not begun", "q quit"] {
        assert!(entry.contains(text), "{text} is missing in\n{entry}");
    }
    arrive(&mut app, 2);
    let shown = screen(&app, (80, 24));
    for text in
        ["2/2 operations", "src/lib.rs:2", "▶   2     here();", "\"status\": 200", "said so"]
    {
        assert!(shown.contains(text), "{text} is missing in\n{shown}");
    }
    // Smaller ones must not panic.
    for size in [(1, 1), (20, 5), (40, 10), (200, 60)] {
        screen(&app, size);
    }
    app.help = true;
    assert!(screen(&app, (80, 24)).contains("toggle a breakpoint"));
}

#[test]
fn keys_become_commands() {
    let step = |by, back| Do::Run(DebugCommand::Step { by, back });
    for (key, expected) in [
        ('n', step(StepBy::Operation, false)),
        ('p', step(StepBy::Operation, true)),
        ('s', step(StepBy::Line, false)),
        ('O', step(StepBy::Over, true)),
        ('u', step(StepBy::Out, false)),
        ('I', step(StepBy::Instruction, true)),
        ('C', Do::Run(DebugCommand::Continue { back: true })),
        ('g', Do::Run(DebugCommand::RunTo { operation: 0 })),
        ('q', Do::Quit),
        ('z', Do::Nothing),
    ] {
        assert_eq!(press(&mut app(), KeyCode::Char(key)), expected, "{key}");
    }
    let mut app = app();
    press(&mut app, KeyCode::Down);
    press(&mut app, KeyCode::Down);
    assert_eq!(press(&mut app, KeyCode::Enter), Do::Run(DebugCommand::RunTo { operation: 2 }));
}

#[test]
fn answers_and_breakpoints_are_typed() {
    let mut app = app();
    arrive(&mut app, 2);
    press(&mut app, KeyCode::Char('e'));
    for _ in 0..80 {
        press(&mut app, KeyCode::Backspace);
    }
    let result = json!({ "status": 503, "headers": [] });
    let edited = write(&mut app, &result.to_string());
    assert_eq!(edited, Do::Run(DebugCommand::Edit { operation: 1, result }));
    press(&mut app, KeyCode::Char('e'));
    assert_eq!(write(&mut app, "x"), Do::Nothing);
    assert!(app.message.contains("no JSON"), "{}", app.message);
    press(&mut app, KeyCode::Char('B'));
    let Do::Run(DebugCommand::Breakpoints { operations, lines }) = write(&mut app, "lib.rs:12")
    else {
        panic!("no breakpoint")
    };
    assert_eq!((operations.len(), lines[0].file.as_str(), lines[0].line), (0, "lib.rs", 12));
    press(&mut app, KeyCode::Char('b'));
    assert_eq!(app.operations.len(), 1);
    press(&mut app, KeyCode::Char('m'));
    press(&mut app, KeyCode::Esc);
    press(&mut app, KeyCode::Char('m'));
    for _ in 0..10 {
        press(&mut app, KeyCode::Backspace);
    }
    let expected =
        DebugCommand::Memory { memory: 0, address: 96, length: super::app::MEMORY_BYTES };
    assert_eq!(write(&mut app, "local0"), Do::Run(expected));
}

#[test]
fn variables_are_opened_and_closed() {
    let mut app = app();
    arrive(&mut app, 2);
    press(&mut app, KeyCode::Char('3'));
    let shown = screen(&app, (80, 24));
    for text in ["▸ order: Order Order { id: 7 }", "gone: u8 <optimised away>", "local0"] {
        assert!(shown.contains(text), "{text} is missing in\n{shown}");
    }
    let ask = |of: &str| {
        let of = of.to_owned();
        Do::Run(DebugCommand::Variables { frame: 0, of, start: 0, count: None })
    };
    assert_eq!(press(&mut app, KeyCode::Enter), ask("order"));
    let mut opened = state(2, "operation");
    let id = json!({ "name": "id", "type": "u64", "value": "7", "path": "order.id" });
    let of =
        json!({ "name": "order", "type": "Order", "value": "", "path": "order", "children": 1 });
    opened["variables"] = json!({ "of": of, "variables": [id] });
    app.arrived(serde_json::from_value::<DebugState>(opened).unwrap());
    let shown = screen(&app, (80, 24));
    assert!(shown.contains("▾ order") && shown.contains("    id: u64 7"), "{shown}");
    // What has nothing inside is not asked for.
    press(&mut app, KeyCode::Down);
    assert_eq!(press(&mut app, KeyCode::Enter), Do::Nothing);
    press(&mut app, KeyCode::Up);
    assert_eq!(press(&mut app, KeyCode::Enter), Do::Nothing);
    assert!(!screen(&app, (80, 24)).contains("id: u64 7"));
    press(&mut app, KeyCode::Char('m'));
    for _ in 0..10 {
        press(&mut app, KeyCode::Backspace);
    }
    let expected =
        DebugCommand::Memory { memory: 0, address: 64, length: super::app::MEMORY_BYTES };
    assert_eq!(write(&mut app, "order"), Do::Run(expected));
}
