//! One editor and one invocation: requests become commands of the debug session.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use nexus_model::view::{
    DebugCommand, DebugState, LineBreakpoint, StepBy, StopReason, TimelineEntry,
};
use serde_json::{Value, json};

use super::said;
use super::variables::{Variables, address};
use super::wire::{Request, Wire};
use crate::debugger::{Remote, Sources};

/// The only thread of a guest.
const THREAD: i64 = 1;

/// How a client counts.
#[derive(Clone, Copy)]
pub(super) struct Client {
    lines_from: u32,
    columns_from: u32,
}

impl Default for Client {
    fn default() -> Self {
        Client { lines_from: 1, columns_from: 1 }
    }
}

impl Client {
    pub(super) fn of(arguments: &Value) -> Self {
        let from = |name: &str| u32::from(arguments[name] != Value::Bool(false));
        Client { lines_from: from("linesStartAt1"), columns_from: from("columnsStartAt1") }
    }
}

struct Editor<'a> {
    remote: &'a Remote<'a>,
    sources: Sources,
    client: Client,
    state: DebugState,
    variables: Variables,
    /// Lines with breakpoints by file, as the editor names it.
    lines: BTreeMap<String, Vec<u32>>,
    operations: Vec<String>,
    /// Log lines that the editor has shown.
    printed: usize,
    stop_on_entry: bool,
}

/// What is left to do after a request was answered.
enum Then {
    Nothing,
    /// Do a command, and say where the guest stands.
    Run(DebugCommand),
    Stopped,
    Quit,
}

/// Talks until the client leaves.
pub(super) fn run<R: BufRead, W: Write>(
    wire: &mut Wire<R, W>,
    (launch, client): (Request, Client),
    (remote, sources, stop_on_entry): (&Remote<'_>, Sources, bool),
) -> io::Result<()> {
    let mut editor = Editor {
        state: remote.opened.state.clone(),
        remote,
        sources,
        client,
        variables: Variables::default(),
        lines: BTreeMap::new(),
        operations: Vec::new(),
        printed: 0,
        stop_on_entry,
    };
    wire.answer(&launch, Value::Null)?;
    wire.event("initialized", Value::Null)?;
    while let Some(request) = wire.next()? {
        let then = match editor.request(&request) {
            Ok((body, then)) => {
                wire.answer(&request, body)?;
                then
            }
            Err(reason) => {
                wire.refuse(&request, &reason)?;
                Then::Nothing
            }
        };
        match then {
            Then::Nothing => {}
            Then::Quit => return Ok(()),
            Then::Stopped => editor.stopped(wire)?,
            Then::Run(command) => match editor.remote.run(&command) {
                Ok(state) => {
                    editor.arrived(state);
                    editor.stopped(wire)?;
                }
                Err(error) => {
                    // It stands where it stood; the editor only has to be told why.
                    let text = format!("{}\n", said(&error));
                    wire.event("output", json!({ "category": "important", "output": text }))?;
                    editor.stopped(wire)?;
                }
            },
        }
    }
    Ok(())
}

impl Editor<'_> {
    fn arrived(&mut self, state: DebugState) {
        self.state = state;
        self.variables.forget();
    }

    /// New log lines, and where the guest stands.
    fn stopped<R: BufRead, W: Write>(&mut self, wire: &mut Wire<R, W>) -> io::Result<()> {
        for log in self.state.logs.iter().skip(self.printed) {
            let fields =
                if log.fields.is_null() { String::new() } else { format!(" {}", log.fields) };
            let category = if log.stream.word() == "stderr" { "stderr" } else { "stdout" };
            let text = format!("{}{fields}\n", log.text);
            wire.event("output", json!({ "category": category, "output": text }))?;
        }
        self.printed = self.state.logs.len();
        let reason = match self.state.reason {
            StopReason::Entry => "entry",
            StopReason::Operation | StopReason::Step => "step",
            StopReason::Breakpoint if self.state.frames.is_empty() => "function breakpoint",
            StopReason::Breakpoint => "breakpoint",
            StopReason::Trap | StopReason::NewEffect | StopReason::Diverged => "exception",
            StopReason::Pause => "pause",
            StopReason::End => "end",
        };
        wire.event(
            "stopped",
            json!({
                "reason": reason,
                "description": self.state.description,
                "text": self.state.description,
                "threadId": THREAD,
                "allThreadsStopped": true,
            }),
        )
    }

    fn request(&mut self, request: &Request) -> Result<(Value, Then), String> {
        let arguments = &request.arguments;
        let run = |command| Ok((json!({ "allThreadsContinued": true }), Then::Run(command)));
        match request.command.as_str() {
            "configurationDone" => {
                let then = match self.stop_on_entry {
                    true => Then::Stopped,
                    false => Then::Run(DebugCommand::Continue { back: false }),
                };
                Ok((Value::Null, then))
            }
            "threads" => {
                let name =
                    format!("{} {}", self.remote.opened.function, self.remote.opened.invocation);
                Ok((json!({ "threads": [{ "id": THREAD, "name": name }] }), Then::Nothing))
            }
            "continue" => run(DebugCommand::Continue { back: false }),
            "reverseContinue" => run(DebugCommand::Continue { back: true }),
            "next" => run(self.step(arguments, (StepBy::Over, false))),
            "stepIn" => run(self.step(arguments, (StepBy::Line, false))),
            "stepOut" => run(self.step(arguments, (StepBy::Out, false))),
            "stepBack" => run(self.step(arguments, (StepBy::Over, true))),
            "restart" => run(DebugCommand::RunTo { operation: 0 }),
            "pause" => Ok((Value::Null, Then::Stopped)),
            "disconnect" | "terminate" => Ok((Value::Null, Then::Quit)),
            "evaluate" => self.evaluate(arguments),
            "setVariable" => self.set_variable(arguments),
            _ => self.question(request).map(|body| (body, Then::Nothing)),
        }
    }

    /// Where there are no lines, steps go from operation to operation.
    fn step(&self, arguments: &Value, (by, back): (StepBy, bool)) -> DebugCommand {
        let by = match arguments["granularity"].as_str() {
            Some("instruction") => StepBy::Instruction,
            _ if !self.remote.opened.has_lines => StepBy::Operation,
            _ => by,
        };
        DebugCommand::Step { by, back }
    }

    /// Requests that only ask.
    fn question(&mut self, request: &Request) -> Result<Value, String> {
        let arguments = &request.arguments;
        let number = |name: &str| arguments[name].as_i64().unwrap_or(0);
        match request.command.as_str() {
            "setBreakpoints" => self.set_breakpoints(arguments),
            "setFunctionBreakpoints" => self.set_function_breakpoints(arguments),
            "setExceptionBreakpoints" => Ok(json!({ "breakpoints": [] })),
            "stackTrace" => Ok(self.stack_trace(arguments)),
            "scopes" => Ok(self.variables.scopes(&self.state, number("frameId") as usize)),
            "variables" => Ok(self.variables.variables(&self.state, number("variablesReference"))),
            "readMemory" => self.read_memory(arguments),
            "exceptionInfo" => Ok(json!({
                "exceptionId": format!("{:?}", self.state.reason),
                "description": self.state.description,
                "breakMode": "always",
            })),
            "loadedSources" => {
                let files = self.remote.opened.sources.clone();
                let source = |file: &String| self.source(file);
                Ok(json!({ "sources": files.iter().map(source).collect::<Vec<_>>() }))
            }
            other => Err(format!("'{other}' is not supported")),
        }
    }

    fn source(&mut self, file: &str) -> Value {
        let name = file.rsplit('/').next().unwrap_or(file);
        match self.sources.find(file) {
            Some(path) => json!({ "name": name, "path": path }),
            None => json!({
                "name": name,
                "path": file,
                "origin": "not on this machine",
                "presentationHint": "deemphasize",
            }),
        }
    }

    fn stack_trace(&mut self, arguments: &Value) -> Value {
        let state = self.state.clone();
        let from = arguments["startFrame"].as_u64().unwrap_or(0) as usize;
        let levels = arguments["levels"].as_u64().filter(|levels| *levels > 0);
        let levels = levels.map_or(usize::MAX, |levels| levels as usize);
        let mut frames: Vec<Value> = Vec::new();
        for (id, frame) in state.frames.iter().enumerate().skip(from).take(levels) {
            let line = frame.at.line.map_or(0, |line| line + self.client.lines_from - 1);
            let column = frame.at.column.unwrap_or(1) + self.client.columns_from - 1;
            let mut shown = json!({
                "id": id,
                "name": frame.at.function,
                "line": line,
                "column": column,
                "instructionPointerReference": format!("{:#x}", frame.at.offset),
            });
            match &frame.at.file {
                Some(file) => shown["source"] = self.source(file),
                None => shown["presentationHint"] = "subtle".into(),
            }
            frames.push(shown);
        }
        if state.frames.is_empty() {
            // Editors only step a thread that has a frame.
            frames.push(json!({
                "id": 0,
                "name": state.description,
                "line": 0,
                "column": 0,
                "presentationHint": "label",
            }));
        }
        json!({ "stackFrames": frames, "totalFrames": state.frames.len().max(1) })
    }

    fn set_breakpoints(&mut self, arguments: &Value) -> Result<Value, String> {
        let path = arguments["source"]["path"].as_str().unwrap_or_default().to_owned();
        let wanted = arguments["breakpoints"].as_array().cloned().unwrap_or_default();
        let line = |it: &Value| {
            let line = u32::try_from(it["line"].as_u64().unwrap_or(0)).unwrap_or(0);
            (line + 1).saturating_sub(self.client.lines_from)
        };
        let lines: Vec<u32> = wanted.iter().map(line).collect();
        self.lines.insert(path.clone(), lines);
        self.send_breakpoints()?;
        let before: usize = self.lines.range(..path.clone()).map(|(_, lines)| lines.len()).sum();
        let count = self.lines[&path].len();
        let views = self.state.breakpoints.iter().skip(before).take(count);
        let shown = views.map(|it| {
            json!({
                "verified": it.verified,
                "line": it.line + self.client.lines_from - 1,
                "message": it.message,
            })
        });
        Ok(json!({ "breakpoints": shown.collect::<Vec<_>>() }))
    }

    /// A function breakpoint stands on operations: a part of the name, or a pattern with `*`.
    fn set_function_breakpoints(&mut self, arguments: &Value) -> Result<Value, String> {
        let wanted = arguments["breakpoints"].as_array().cloned().unwrap_or_default();
        let name = |it: &Value| it["name"].as_str().unwrap_or_default().to_owned();
        self.operations = wanted.iter().map(name).filter(|name| !name.is_empty()).collect();
        self.send_breakpoints()?;
        let shown: Vec<Value> = wanted
            .iter()
            .map(|it| json!({ "verified": !name(it).is_empty(), "message": "an operation" }))
            .collect();
        Ok(json!({ "breakpoints": shown }))
    }

    fn send_breakpoints(&mut self) -> Result<(), String> {
        let mut lines = Vec::new();
        for (path, wanted) in &self.lines {
            let file = self.sources.to_remote(path);
            lines.extend(
                wanted.iter().map(|line| LineBreakpoint { file: file.clone(), line: *line }),
            );
        }
        let operations = self.operations.clone();
        let state = self.remote.run(&DebugCommand::Breakpoints { operations, lines });
        self.arrived(state.map_err(|error| said(&error))?);
        Ok(())
    }

    fn read_memory(&mut self, arguments: &Value) -> Result<Value, String> {
        let reference = arguments["memoryReference"].as_str().unwrap_or_default();
        let base = number(reference).ok_or_else(|| format!("'{reference}' is no address"))?;
        let offset = arguments["offset"].as_i64().unwrap_or(0);
        let address = base.saturating_add_signed(offset);
        let length = u32::try_from(arguments["count"].as_u64().unwrap_or(0)).unwrap_or(u32::MAX);
        let length = length.min(nexus_model::limits::DEBUG_MEMORY_BYTES_MAX);
        let state = self.remote.run(&DebugCommand::Memory { memory: 0, address, length });
        let view = state.map_err(|error| said(&error))?.memory;
        let view = view.ok_or("no memory came back")?;
        Ok(json!({ "address": format!("{:#x}", view.address), "data": view.base64 }))
    }

    /// Editing the result of the current operation is a what-if.
    fn set_variable(&mut self, arguments: &Value) -> Result<(Value, Then), String> {
        let reference = arguments["variablesReference"].as_i64().unwrap_or(0);
        let name = arguments["name"].as_str().unwrap_or_default();
        let current = self.state.current.as_ref().filter(|_| Variables::is_result(reference, name));
        let Some(current) = current else {
            return Err("only the result of an operation can be edited".to_owned());
        };
        let text = arguments["value"].as_str().unwrap_or_default();
        self.what_if(current.operation, text)
    }

    fn what_if(&self, operation: u32, text: &str) -> Result<(Value, Then), String> {
        let result: Value =
            serde_json::from_str(text).map_err(|error| format!("that is no JSON: {error}"))?;
        let shown = json!({ "value": text, "result": text, "variablesReference": 0 });
        Ok((shown, Then::Run(DebugCommand::Edit { operation, result })))
    }

    /// A variable, `result`, `run-to 7`, `timeline`, or `what-if 7 {"status": 503, "headers": []}`.
    fn evaluate(&mut self, arguments: &Value) -> Result<(Value, Then), String> {
        let text = arguments["expression"].as_str().unwrap_or_default().trim().to_owned();
        let frame = arguments["frameId"].as_u64().unwrap_or(0) as usize;
        let plain = |result: String| json!({ "result": result, "variablesReference": 0 });
        if let Some(rest) = text.strip_prefix("what-if ") {
            let (operation, json) = rest.trim().split_once(' ').ok_or("what-if NUMBER JSON")?;
            let operation = operation.parse().map_err(|_| "what-if NUMBER JSON".to_owned())?;
            return self.what_if(operation, json.trim());
        }
        if let Some(rest) = text.strip_prefix("run-to ") {
            let operation = rest.trim().parse().map_err(|_| "run-to NUMBER".to_owned())?;
            return Ok((plain(text.clone()), Then::Run(DebugCommand::RunTo { operation })));
        }
        if text == "timeline" {
            let lines = self.remote.opened.timeline.iter().map(|entry| match entry {
                TimelineEntry::Log { log, .. } => format!("     │ {}", log.text),
                TimelineEntry::Operation(it) => {
                    format!("{:>4} {} {} → {}", it.operation, it.function, it.arguments, it.summary)
                }
            });
            return Ok((plain(lines.collect::<Vec<_>>().join("\n")), Then::Nothing));
        }
        if text == "result" {
            let current = self.state.current.as_ref().ok_or("no operation was answered yet")?;
            let value = self.variables.json("result", &current.result);
            let body = json!({
                "result": value["value"],
                "variablesReference": value["variablesReference"],
            });
            return Ok((body, Then::Nothing));
        }
        let locals = self.state.frames.get(frame).map(|frame| frame.locals.iter());
        let mut known = locals.into_iter().flatten().chain(&self.state.globals);
        let found = known.find(|variable| variable.name == text).ok_or_else(|| {
            "known are variables, `result`, `timeline`, `run-to NUMBER` and `what-if NUMBER JSON`"
                .to_owned()
        })?;
        let mut body = json!({
            "result": found.value,
            "type": found.ty,
            "variablesReference": 0,
        });
        if let Some(address) = address(found) {
            body["memoryReference"] = format!("{address:#x}").into();
        }
        Ok((body, Then::Nothing))
    }
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}
