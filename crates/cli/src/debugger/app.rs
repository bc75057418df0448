//! The terminal debugger without its terminal: what is shown, and what a key means.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use nexus_model::view::{
    DebugCommand, DebugFrame, DebugOpened, DebugState, LineBreakpoint, OperationView, StepBy,
    StopReason, TimelineEntry, Variable,
};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::own_sources;
use super::prompt::Line;

/// Bytes of memory that are asked for at a time.
pub(crate) const MEMORY_BYTES: u32 = 512;

/// The panels under the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tab {
    Result,
    Stack,
    Variables,
    Memory,
    Logs,
}

impl Tab {
    pub(crate) const ALL: [(Tab, &'static str); 5] = [
        (Tab::Result, "1 result"),
        (Tab::Stack, "2 stack"),
        (Tab::Variables, "3 variables"),
        (Tab::Memory, "4 memory"),
        (Tab::Logs, "5 logs"),
    ];
}

/// Where arrow keys go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Focus {
    Timeline,
    Source,
    Panel,
}

/// What a typed line is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asking {
    Breakpoint,
    Edit(u32),
    Memory,
    RunTo,
}

impl Asking {
    pub(crate) fn title(self) -> String {
        match self {
            Asking::Breakpoint => "break at (file:line, or part of an operation's name)".to_owned(),
            Asking::Edit(operation) => format!("what if operation {operation} gives"),
            Asking::Memory => "memory at (0x…, or a variable)".to_owned(),
            Asking::RunTo => "run to operation".to_owned(),
        }
    }
}

/// What the driver has to do after a key.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Do {
    Nothing,
    Quit,
    Run(DebugCommand),
    /// Let an editor change the result of an operation.
    Editor {
        operation: u32,
        text: String,
    },
}

/// Everything that the terminal shows.
pub(crate) struct App {
    pub(crate) opened: DebugOpened,
    pub(crate) state: DebugState,
    pub(crate) focus: Focus,
    pub(crate) tab: Tab,
    /// The selected row of the timeline.
    pub(crate) selected: usize,
    /// The selected frame.
    pub(crate) frame: usize,
    /// The line on which the cursor of the source stands; nothing: where the guest is.
    pub(crate) source_line: Option<u32>,
    pub(crate) scroll: usize,
    /// What is inside of values that were opened, by their paths; of the frame itself by none.
    pub(crate) inside: BTreeMap<String, Vec<Variable>>,
    pub(crate) memory: u64,
    pub(crate) asking: Option<(Asking, Line)>,
    pub(crate) help: bool,
    /// What went wrong with the last command.
    pub(crate) message: String,
    pub(crate) operations: BTreeSet<String>,
    pub(crate) lines: BTreeSet<(String, u32)>,
}

impl App {
    pub(crate) fn new(opened: DebugOpened) -> Self {
        let state = opened.state.clone();
        let tab = Tab::Result;
        App {
            opened,
            state,
            focus: Focus::Timeline,
            tab,
            selected: 0,
            frame: 0,
            source_line: None,
            scroll: 0,
            inside: BTreeMap::new(),
            memory: 0,
            asking: None,
            help: false,
            message: String::new(),
            operations: BTreeSet::new(),
            lines: BTreeSet::new(),
        }
    }

    /// Takes in where the guest stands after a command.
    pub(crate) fn arrived(&mut self, state: DebugState) {
        let moved = state.operation != self.state.operation
            || state.reason != self.state.reason
            || state.frames.first().map(|it| &it.at) != self.state.frames.first().map(|it| &it.at);
        let memory = state.memory.clone().or_else(|| self.state.memory.take());
        self.state = state;
        self.state.memory = memory;
        self.message.clear();
        if let Some(found) = self.state.variables.take() {
            let path = found.of.map(|of| of.path).unwrap_or_default();
            self.inside.insert(path, found.variables);
            return;
        }
        if !moved {
            return;
        }
        self.inside.clear();
        self.scroll = 0;
        self.source_line = None;
        self.frame = self.first_own_frame();
        if let Some(row) = self.current_row() {
            self.selected = row;
        }
    }

    /// The innermost frame with source of the user's, or the innermost with any.
    fn first_own_frame(&self) -> usize {
        let own = |frame: &DebugFrame| {
            frame.at.file.as_ref().is_some_and(|file| own_sources(&self.opened).contains(file))
        };
        let frames = &self.state.frames;
        let own = frames.iter().position(own);
        own.or_else(|| frames.iter().position(|it| it.at.file.is_some())).unwrap_or(0)
    }

    /// The row of the operation that was answered last.
    pub(crate) fn current_row(&self) -> Option<usize> {
        let last = self.state.operation.checked_sub(1)?;
        self.opened.timeline.iter().position(|entry| match entry {
            TimelineEntry::Operation(operation) => operation.operation == last,
            TimelineEntry::Log { .. } => false,
        })
    }

    /// The operation of the selected row, as it is in this run.
    pub(crate) fn selected_operation(&self) -> Option<&OperationView> {
        match self.opened.timeline.get(self.selected)? {
            TimelineEntry::Operation(operation) => Some(self.as_it_is(operation)),
            TimelineEntry::Log { .. } => None,
        }
    }

    pub(crate) fn as_it_is<'a>(&'a self, recorded: &'a OperationView) -> &'a OperationView {
        let number = recorded.operation;
        let changed = self.state.what_if.iter().find(|it| it.operation == number);
        let current = self.state.current.as_ref().filter(|it| it.operation == number);
        changed.or(current).unwrap_or(recorded)
    }

    pub(crate) fn frame(&self) -> Option<&DebugFrame> {
        self.state.frames.get(self.frame)
    }

    /// The variables of the frame as rows: how deep each is in others.
    pub(crate) fn variables(&self) -> Vec<(usize, &Variable)> {
        let known = self.frame().map_or(&[][..], |frame| &frame.variables);
        let asked = self.inside.get("").map_or(&[][..], Vec::as_slice);
        let mut rows = Vec::new();
        let mut left: Vec<(usize, &Variable)> = Vec::new();
        let all = if known.is_empty() { asked } else { known };
        left.extend(all.iter().rev().map(|it| (0, it)));
        while let Some((depth, variable)) = left.pop() {
            rows.push((depth, variable));
            let inside = self.inside.get(&variable.path).filter(|_| !variable.path.is_empty());
            left.extend(inside.into_iter().flatten().rev().map(|it| (depth + 1, it)));
        }
        rows
    }

    /// Opens the selected variable, or closes it.
    fn open_variable(&mut self) -> Do {
        let rows = self.variables();
        let selected = rows.get(self.scroll).map(|(_, it)| (it.path.clone(), it.children));
        let Some((of, children)) = selected else { return Do::Nothing };
        if self.inside.contains_key(&of) {
            // What was opened in it is closed with it.
            self.inside.retain(|path, _| path.is_empty() || !path.starts_with(&of));
            return Do::Nothing;
        }
        match children {
            0 => Do::Nothing,
            _ => self.ask_variables(of),
        }
    }

    fn ask_variables(&self, of: String) -> Do {
        let frame = u32::try_from(self.frame).unwrap_or(u32::MAX);
        Do::Run(DebugCommand::Variables { frame, of, start: 0, count: None })
    }

    /// The file and line that the source shows.
    pub(crate) fn place(&self) -> Option<(&str, u32)> {
        let at = &self.frame()?.at;
        Some((at.file.as_deref()?, at.line.unwrap_or(1)))
    }

    pub(crate) fn key(&mut self, key: KeyEvent) -> Do {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Do::Quit;
        }
        if self.asking.is_some() {
            return self.typed(key);
        }
        if self.help {
            self.help = false;
            return Do::Nothing;
        }
        self.message.clear();
        match key.code {
            KeyCode::Char('q') => Do::Quit,
            KeyCode::Char('?') | KeyCode::F(1) => {
                self.help = true;
                Do::Nothing
            }
            KeyCode::Right | KeyCode::Char('n') => step(StepBy::Operation, false),
            KeyCode::Left | KeyCode::Char('p') => step(StepBy::Operation, true),
            KeyCode::Char('s') => step(StepBy::Line, false),
            KeyCode::Char('S') => step(StepBy::Line, true),
            KeyCode::Char('o') => step(StepBy::Over, false),
            KeyCode::Char('O') => step(StepBy::Over, true),
            KeyCode::Char('u') => step(StepBy::Out, false),
            KeyCode::Char('U') => step(StepBy::Out, true),
            KeyCode::Char('i') => step(StepBy::Instruction, false),
            KeyCode::Char('I') => step(StepBy::Instruction, true),
            KeyCode::Char('c') => Do::Run(DebugCommand::Continue { back: false }),
            KeyCode::Char('C') => Do::Run(DebugCommand::Continue { back: true }),
            KeyCode::Char('g') => Do::Run(DebugCommand::RunTo { operation: 0 }),
            KeyCode::Char('G') => Do::Run(DebugCommand::RunTo { operation: self.state.operations }),
            KeyCode::Enter if (self.focus, self.tab) == (Focus::Panel, Tab::Variables) => {
                self.open_variable()
            }
            KeyCode::Enter => self.run_to_selected(),
            code => self.other_key(code),
        }
    }

    fn other_key(&mut self, code: KeyCode) -> Do {
        match code {
            KeyCode::Tab | KeyCode::BackTab => {
                self.focus = match (self.focus, code == KeyCode::Tab) {
                    (Focus::Timeline, true) | (Focus::Panel, false) => Focus::Source,
                    (Focus::Source, true) | (Focus::Timeline, false) => Focus::Panel,
                    (Focus::Panel, true) | (Focus::Source, false) => Focus::Timeline,
                };
            }
            KeyCode::Char(digit @ '1'..='5') => {
                self.tab = Tab::ALL[digit as usize - '1' as usize].0;
                self.scroll = 0;
                match self.tab {
                    Tab::Memory => return self.ask_memory(self.memory),
                    // Arrow keys and Enter are for them now.
                    Tab::Variables => {
                        self.focus = Focus::Panel;
                        let known = self
                            .frame()
                            .is_none_or(|it| it.at.file.is_none() || !it.variables.is_empty());
                        if !known && !self.inside.contains_key("") {
                            return self.ask_variables(String::new());
                        }
                    }
                    _ => {}
                }
            }
            KeyCode::Up | KeyCode::Char('k') => return self.move_by(-1),
            KeyCode::Down | KeyCode::Char('j') => return self.move_by(1),
            KeyCode::PageUp => return self.move_by(-10),
            KeyCode::PageDown => return self.move_by(10),
            KeyCode::Char('[') => self.select_frame(self.frame.saturating_sub(1)),
            KeyCode::Char(']') => self.select_frame(self.frame + 1),
            KeyCode::Char('b') => return self.toggle_breakpoint(),
            KeyCode::Char('B') => self.ask(Asking::Breakpoint, ""),
            KeyCode::Char('x') => {
                self.operations.clear();
                self.lines.clear();
                return self.set_breakpoints();
            }
            KeyCode::Char('t') => self.ask(Asking::RunTo, ""),
            KeyCode::Char('m') => self.ask(Asking::Memory, &format!("{:#x}", self.memory)),
            KeyCode::Char('e') => self.edit_here(),
            KeyCode::Char('E') => return self.edit_in_editor(),
            KeyCode::Char('r') => return self.put_back(),
            _ => {}
        }
        Do::Nothing
    }

    fn ask(&mut self, asking: Asking, text: &str) {
        self.asking = Some((asking, Line::new(text)));
    }

    fn select_frame(&mut self, frame: usize) {
        self.frame = frame.min(self.state.frames.len().saturating_sub(1));
        self.source_line = None;
        self.inside.clear();
    }

    fn move_by(&mut self, by: isize) -> Do {
        let moved = |at: usize, end: usize| at.saturating_add_signed(by).min(end);
        match (self.focus, self.tab) {
            (Focus::Timeline, _) => {
                let last = self.opened.timeline.len().saturating_sub(1);
                self.selected = moved(self.selected, last);
            }
            (Focus::Source, _) => {
                let line = self.source_line.or(self.place().map(|(_, line)| line)).unwrap_or(1);
                self.source_line = Some(line.saturating_add_signed(by as i32).max(1));
            }
            (Focus::Panel, Tab::Stack) => {
                self.select_frame(self.frame.saturating_add_signed(by));
            }
            (Focus::Panel, Tab::Memory) => {
                let address = self.memory.saturating_add_signed(by as i64 * 16);
                return self.ask_memory(address);
            }
            (Focus::Panel, Tab::Variables) => {
                let rows = self.variables().len().max(self.raw_variables());
                self.scroll = moved(self.scroll, rows.saturating_sub(1));
            }
            (Focus::Panel, _) => self.scroll = moved(self.scroll, 10_000),
        }
        Do::Nothing
    }

    /// How many variables WebAssembly itself has here.
    fn raw_variables(&self) -> usize {
        self.variables().len()
            + self.frame().map_or(0, |frame| frame.locals.len())
            + self.state.globals.len()
            + 3
    }

    fn ask_memory(&mut self, address: u64) -> Do {
        if self.state.frames.is_empty() {
            return Do::Nothing;
        }
        let size = self.state.memories.first().map_or(0, |memory| memory.bytes);
        self.memory = address.min(size.saturating_sub(16)) & !15;
        Do::Run(DebugCommand::Memory { memory: 0, address: self.memory, length: MEMORY_BYTES })
    }

    fn run_to_selected(&mut self) -> Do {
        match self.opened.timeline.get(self.selected) {
            Some(TimelineEntry::Operation(operation)) => {
                Do::Run(DebugCommand::RunTo { operation: operation.operation + 1 })
            }
            Some(TimelineEntry::Log { after, .. }) => {
                Do::Run(DebugCommand::RunTo { operation: *after })
            }
            None => Do::Nothing,
        }
    }

    fn toggle_breakpoint(&mut self) -> Do {
        fn toggle<T: Ord>(set: &mut BTreeSet<T>, item: T) {
            if !set.remove(&item) {
                set.insert(item);
            }
        }
        if self.focus == Focus::Timeline {
            let Some(operation) = self.selected_operation() else { return Do::Nothing };
            let function = operation.function.clone();
            toggle(&mut self.operations, function);
            return self.set_breakpoints();
        }
        let Some((file, line)) = self.place() else {
            self.message = "there is no source line here".to_owned();
            return Do::Nothing;
        };
        let place = (file.to_owned(), self.source_line.unwrap_or(line));
        toggle(&mut self.lines, place);
        self.set_breakpoints()
    }

    fn set_breakpoints(&self) -> Do {
        let line =
            |(file, line): &(String, u32)| LineBreakpoint { file: file.clone(), line: *line };
        Do::Run(DebugCommand::Breakpoints {
            operations: self.operations.iter().cloned().collect(),
            lines: self.lines.iter().map(line).collect(),
        })
    }

    /// The operation to edit: the selected one, or a new effect that has just been asked for.
    fn editable(&mut self) -> Option<(u32, String)> {
        let fresh =
            self.state.current.as_ref().filter(|_| self.state.reason == StopReason::NewEffect);
        let found = fresh.or_else(|| self.selected_operation());
        let found = found.map(|it| (it.operation, it.result.to_string()));
        if found.is_none() {
            self.message = "select an operation in the timeline first".to_owned();
        }
        found
    }

    fn edit_here(&mut self) {
        if let Some((operation, text)) = self.editable() {
            self.ask(Asking::Edit(operation), &text);
        }
    }

    fn edit_in_editor(&mut self) -> Do {
        let Some((operation, text)) = self.editable() else { return Do::Nothing };
        let value = serde_json::from_str::<serde_json::Value>(&text).unwrap_or_default();
        let text = serde_json::to_string_pretty(&value).unwrap_or(text);
        Do::Editor { operation, text }
    }

    fn put_back(&mut self) -> Do {
        let Some((operation, _)) = self.editable() else { return Do::Nothing };
        Do::Run(DebugCommand::Edit { operation, result: serde_json::Value::Null })
    }

    fn typed(&mut self, key: KeyEvent) -> Do {
        let Some((asking, line)) = &mut self.asking else { return Do::Nothing };
        let asking = *asking;
        match key.code {
            KeyCode::Esc => self.asking = None,
            KeyCode::Enter => {
                let text = line.text();
                self.asking = None;
                return self.answered(asking, text.trim());
            }
            KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => line.clear(),
            KeyCode::Char(letter) => line.insert(letter),
            KeyCode::Backspace => line.backspace(),
            KeyCode::Delete => line.delete(),
            KeyCode::Left => line.left(),
            KeyCode::Right => line.right(),
            KeyCode::Home => line.home(),
            KeyCode::End => line.end(),
            _ => {}
        }
        Do::Nothing
    }

    fn answered(&mut self, asking: Asking, text: &str) -> Do {
        match asking {
            Asking::Edit(operation) => self.edited(operation, text),
            Asking::RunTo => match text.parse() {
                Ok(operation) => Do::Run(DebugCommand::RunTo { operation }),
                Err(_) => self.wrong(format!("'{text}' is no number of an operation")),
            },
            Asking::Memory => match self.address(text) {
                Some(address) => {
                    self.tab = Tab::Memory;
                    self.ask_memory(address)
                }
                None => self.wrong(format!("'{text}' is neither an address nor a variable")),
            },
            Asking::Breakpoint if text.is_empty() => Do::Nothing,
            Asking::Breakpoint => {
                let place = text
                    .rsplit_once(':')
                    .and_then(|(file, line)| Some((file.to_owned(), line.parse::<u32>().ok()?)));
                match place {
                    Some(place) => {
                        self.lines.insert(place);
                    }
                    None => {
                        self.operations.insert(text.to_owned());
                    }
                }
                self.set_breakpoints()
            }
        }
    }

    /// What an edited text says.
    pub(crate) fn edited(&mut self, operation: u32, text: &str) -> Do {
        match serde_json::from_str(text) {
            Ok(result) => Do::Run(DebugCommand::Edit { operation, result }),
            Err(error) => self.wrong(format!("that is no JSON: {error}")),
        }
    }

    fn wrong(&mut self, message: String) -> Do {
        self.message = message;
        Do::Nothing
    }

    fn address(&self, text: &str) -> Option<u64> {
        if let Some(hex) = text.strip_prefix("0x") {
            return u64::from_str_radix(hex, 16).ok();
        }
        if let Ok(number) = text.parse() {
            return Some(number);
        }
        let source = self.variables();
        if let Some((_, known)) = source.iter().find(|(_, it)| it.path == text) {
            return known.address;
        }
        let locals = self.frame().map(|frame| frame.locals.iter()).into_iter().flatten();
        let mut known = locals.chain(&self.state.globals);
        let value = &known.find(|variable| variable.name == text)?.value;
        let number: i64 = value.split(' ').next()?.parse().ok()?;
        Some(u64::from(number as u32))
    }

    /// The bytes that were asked for, from their address on.
    pub(crate) fn memory_bytes(&self) -> Option<(u64, Vec<u8>)> {
        let view = self.state.memory.as_ref()?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(&view.base64).ok()?;
        Some((view.address, bytes))
    }
}

fn step(by: StepBy, back: bool) -> Do {
    Do::Run(DebugCommand::Step { by, back })
}
