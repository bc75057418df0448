//! One editor and one invocation: requests become commands of the debug session.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use nexus_model::view::{
    DebugCommand, DebugState, LineBreakpoint, StepBy, StopReason, TimelineEntry, Variable,
};
use serde_json::{Value, json};

use super::said;
use super::variables::{Part, Variables};
use super::wire::{Request, Wire};
use crate::debugger::{Remote, Sources, own_sources};

/// The only thread of a guest.
const THREAD: i64 = 1;

/// Lines from a call into the function that it calls, whose arguments may call others.
const RESTART_STEPS_MAX: usize = 64;

/// What the guest stands still for although nobody set a breakpoint, unless it is switched off.
pub(super) const EXCEPTIONS: [(&str, &str); 2] =
    [("trap", "The function traps"), ("new-effect", "It wants what the recording does not have")];

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
    /// What the guest stands still for although nobody set a breakpoint, by the names of filters.
    exceptions: Vec<String>,
}

/// What is left to do after a request was answered.
enum Then {
    Nothing,
    /// Do a command, and say where the guest stands.
    Run(DebugCommand),
    /// Go back to where a frame began.
    RestartFrame(usize),
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
        exceptions: EXCEPTIONS.iter().map(|(name, _)| (*name).to_owned()).collect(),
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
            Then::Run(command) => {
                let done = editor.go(&command);
                editor.done(wire, done)?;
            }
            Then::RestartFrame(frame) => {
                let done = editor.restart_frame(frame);
                editor.done(wire, done)?;
            }
        }
    }
    Ok(())
}

impl Editor<'_> {
    fn arrived(&mut self, state: DebugState) {
        self.state = state;
        self.variables.forget();
    }

    /// Does a command, and goes on where it stopped for something that is not wanted.
    fn go(&mut self, command: &DebugCommand) -> Result<(), String> {
        let mut state = self.remote.run(command).map_err(|error| said(&error))?;
        let on = DebugCommand::Continue { back: false };
        if *command == on {
            while self.is_unwanted(state.reason) {
                state = self.remote.run(&on).map_err(|error| said(&error))?;
            }
        }
        self.arrived(state);
        Ok(())
    }

    fn is_unwanted(&self, reason: StopReason) -> bool {
        let filter = match reason {
            StopReason::Trap => "trap",
            StopReason::NewEffect => "new-effect",
            _ => return false,
        };
        !self.exceptions.iter().any(|wanted| wanted == filter)
    }

    /// Goes back out of the frames, and then forward into the one that was meant.
    fn restart_frame(&mut self, frame: usize) -> Result<(), String> {
        let frames = &self.state.frames;
        let meant = frames.get(frame).ok_or_else(|| format!("there is no frame {frame}"))?;
        let function = meant.at.function.clone();
        let real = frames[..frame].iter().filter(|it| !it.at.inlined).count();
        for _ in 0..=real {
            self.go(&DebugCommand::Step { by: StepBy::Out, back: true })?;
        }
        for _ in 0..RESTART_STEPS_MAX {
            if self.state.frames.iter().any(|it| it.at.function == function) {
                break;
            }
            self.go(&DebugCommand::Step { by: StepBy::Line, back: false })?;
        }
        Ok(())
    }

    fn done<R: BufRead, W: Write>(
        &mut self,
        wire: &mut Wire<R, W>,
        done: Result<(), String>,
    ) -> io::Result<()> {
        if let Err(reason) = done {
            // It stands where it stood; the editor only has to be told why.
            let text = format!("{reason}\n");
            wire.event("output", json!({ "category": "important", "output": text }))?;
        }
        self.stopped(wire)
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
            "restartFrame" => {
                let frame = arguments["frameId"].as_u64().unwrap_or(0) as usize;
                Ok((Value::Null, Then::RestartFrame(frame)))
            }
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
            "setExceptionBreakpoints" => {
                let filters = arguments["filters"].as_array().cloned().unwrap_or_default();
                let name = |it: &Value| it.as_str().map(str::to_owned);
                self.exceptions = filters.iter().filter_map(name).collect();
                let verified = self.exceptions.iter().map(|_| json!({ "verified": true }));
                Ok(json!({ "breakpoints": verified.collect::<Vec<_>>() }))
            }
            "stackTrace" => Ok(self.stack_trace(arguments)),
            "scopes" => Ok(self.variables.scopes(&self.state, number("frameId") as usize)),
            "variables" => self.variables(arguments),
            "readMemory" => self.read_memory(arguments),
            "exceptionInfo" => Ok(json!({
                "exceptionId": format!("{:?}", self.state.reason),
                "description": self.state.description,
                "breakMode": "always",
            })),
            // For extensions of editors: everything that happened, as the API has it.
            "nexus/timeline" => Ok(json!({
                "timeline": self.remote.opened.timeline,
                "operation": self.state.operation,
                "whatIf": self.state.what_if,
            })),
            "source" => {
                let number = arguments["sourceReference"]
                    .as_u64()
                    .or_else(|| arguments["source"]["sourceReference"].as_u64());
                let file = number.and_then(|number| {
                    let at = usize::try_from(number).ok()?.checked_sub(1)?;
                    self.remote.opened.sources.get(at)
                });
                let text = file.and_then(|file| self.sources.kept(file));
                let text = text.ok_or_else(|| "there is no such source".to_owned())?;
                Ok(json!({ "content": text }))
            }
            "loadedSources" => {
                let files = self.remote.opened.sources.clone();
                let source = |file: &String| self.source(file);
                Ok(json!({ "sources": files.iter().map(source).collect::<Vec<_>>() }))
            }
            other => Err(format!("'{other}' is not supported")),
        }
    }

    fn variables(&mut self, arguments: &Value) -> Result<Value, String> {
        let reference = arguments["variablesReference"].as_i64().unwrap_or(0);
        let number = |name: &str| arguments[name].as_u64().and_then(|it| u32::try_from(it).ok());
        let count = number("count").filter(|count| *count > 0);
        // An editor that does not ask for parts gets as much as there is in one answer.
        let count = Some(count.unwrap_or(nexus_model::limits::DEBUG_VARIABLES_MAX));
        let part = Part { start: number("start").unwrap_or(0), count };
        let Some((frame, question)) = self.variables.question(&self.state, (reference, part))
        else {
            return Ok(self.variables.variables(&self.state, reference));
        };
        let state = self.remote.run(&question).map_err(|error| said(&error))?;
        let found = state.variables.unwrap_or_default().variables;
        let shown: Vec<Value> = found.iter().map(|it| self.variables.guest(frame, it)).collect();
        if shown.is_empty() {
            let text = "none are known: build with debug = true";
            let note = json!({ "name": "", "value": text, "variablesReference": 0 });
            return Ok(json!({ "variables": [note] }));
        }
        Ok(json!({ "variables": shown }))
    }

    fn source(&mut self, file: &str) -> Value {
        let name = file.rsplit('/').next().unwrap_or(file);
        let is_own = own_sources(&self.remote.opened).iter().any(|own| own == file);
        match self.sources.find(file) {
            Some(path) if is_own => json!({ "name": name, "path": path }),
            // Editors fold such frames together.
            Some(path) => json!({
                "name": name,
                "path": path,
                "origin": "a library",
                "presentationHint": "deemphasize",
            }),
            None if self.sources.kept(file).is_some() => {
                let sources = &self.remote.opened.sources;
                // From 1: 0 stands for a file that the editor reads itself.
                let reference = sources.iter().position(|at| at == file).map_or(0, |at| at + 1);
                json!({
                    "name": name,
                    "path": file,
                    "sourceReference": reference,
                    "origin": "kept with the version",
                })
            }
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
        if state.frames.is_empty() && from == 0 {
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
        let frame = arguments["frameId"].as_u64().unwrap_or(0) as u32;
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
        let found = self.variable((frame, &text))?;
        let mut body = self.variables.guest(frame, &found);
        body["result"] = body["value"].clone();
        Ok((body, Then::Nothing))
    }

    /// A value by its path in the source, or a variable of WebAssembly.
    fn variable(&self, (frame, text): (u32, &str)) -> Result<Variable, String> {
        let locals = self.state.frames.get(frame as usize).map(|frame| frame.locals.iter());
        let mut known = locals.into_iter().flatten().chain(&self.state.globals);
        if let Some(found) = known.find(|variable| variable.name == text) {
            return Ok(found.clone());
        }
        if self.state.frames.is_empty() {
            return Err("the function does not run here; known are `result`, `timeline`, `run-to \
                        NUMBER` and `what-if NUMBER JSON`"
                .to_owned());
        }
        let of = text.trim_start_matches(['&', '*']).to_owned();
        let question = DebugCommand::Variables { frame, of, start: 0, count: Some(0) };
        let state = self.remote.run(&question).map_err(|error| said(&error))?;
        let found = state.variables.and_then(|it| it.of);
        found.ok_or_else(|| format!("there is no variable '{text}' here"))
    }
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}
