//! The terminal debugger on the screen. At 80 by 24 everything has its place.

use nexus_model::view::{OperationView, StopReason, TimelineEntry};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

use super::Sources;
use super::app::{App, Focus, Tab};
use crate::units::{show_duration, show_size};

const HELP: &[(&str, &str)] = &[
    ("→ ←  n p", "one operation forward, back"),
    ("s S", "one line of the source forward, back"),
    ("o O", "the same, not into functions"),
    ("u U", "out of the function, forward, back"),
    ("i I", "one instruction forward, back"),
    ("c C", "to the next breakpoint, to the one before"),
    ("Enter  t", "to the selected operation, to a number"),
    ("g G", "to the beginning, to the end"),
    ("b B x", "toggle a breakpoint, type one, clear all"),
    ("e E r", "what if: edit the result, in $EDITOR, undo"),
    ("m", "memory at an address or variable"),
    ("1 … 5", "result, stack, variables, memory, logs"),
    ("Tab ↑ ↓", "change the panel, move in it; Enter opens"),
    ("[ ]", "inner frame, outer frame"),
    ("q", "quit"),
];

fn faint() -> Style {
    Style::new().fg(Color::DarkGray)
}

fn strong() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

pub(crate) fn draw(frame: &mut Frame<'_>, app: &App, sources: &mut Sources) {
    let area = frame.area();
    let rows = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(4),
        Constraint::Length(1),
        Constraint::Length(1),
    ]);
    let [title, middle, message, keys] = rows.areas(area);
    draw_title(frame, app, title);
    let left = (area.width * 2 / 5).clamp(24, 60);
    let columns = Layout::horizontal([Constraint::Length(left), Constraint::Min(20)]);
    let [timeline, right] = columns.areas(middle);
    let halves = Layout::vertical([Constraint::Percentage(55), Constraint::Percentage(45)]);
    let [source, panel] = halves.areas(right);
    draw_timeline(frame, app, timeline);
    draw_source(frame, app, (sources, source));
    draw_panel(frame, app, panel);
    draw_message(frame, app, message);
    let help = "→← operation  s/S line  c/C continue  b break  e what-if  ? all keys  q quit";
    frame.render_widget(Paragraph::new(help).style(faint()), keys);
    if app.help {
        draw_help(frame, area);
    }
}

fn draw_title(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let state = &app.state;
    let id = app.opened.invocation.to_string();
    let what_if = if state.what_if.is_empty() { "" } else { "  what-if" };
    let line = Line::from(vec![
        Span::styled(format!(" {} ", app.opened.function), strong()),
        Span::raw(format!("{id}  ")),
        Span::styled(format!("{}/{}", state.operation, state.operations), strong()),
        Span::raw(" operations"),
        Span::styled(what_if, Style::new().fg(Color::Yellow)),
    ]);
    frame.render_widget(
        Paragraph::new(line).style(Style::new().add_modifier(Modifier::REVERSED)),
        area,
    );
}

fn block(title: impl Into<Line<'static>>, focused: bool) -> Block<'static> {
    let style = if focused { Style::new().fg(Color::Cyan) } else { faint() };
    Block::bordered().title(title).border_style(style)
}

fn draw_timeline(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let block = block(" timeline ", app.focus == Focus::Timeline);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let height = usize::from(inner.height);
    let from = app.selected.saturating_sub(height / 2);
    let from = from.min(app.opened.timeline.len().saturating_sub(height));
    let current = app.current_row();
    let rows = app.opened.timeline.iter().enumerate().skip(from).take(height);
    let lines: Vec<Line<'_>> = rows
        .map(|(row, entry)| {
            let mut line = timeline_row(app, entry, current == Some(row));
            if row == app.selected && app.focus == Focus::Timeline {
                line = line.style(Style::new().add_modifier(Modifier::REVERSED));
            }
            line
        })
        .collect();
    match lines.is_empty() {
        true => frame.render_widget(Paragraph::new("nothing but computing").style(faint()), inner),
        false => frame.render_widget(Paragraph::new(lines), inner),
    }
}

fn timeline_row<'a>(app: &'a App, entry: &'a TimelineEntry, current: bool) -> Line<'a> {
    match entry {
        TimelineEntry::Log { after, log } => {
            let style = if *after <= app.state.operation { Style::new() } else { faint() };
            let text = log.text.lines().next().unwrap_or_default();
            Line::styled(format!("      │ {text}"), style.fg(Color::Green))
        }
        TimelineEntry::Operation(recorded) => {
            let operation = app.as_it_is(recorded);
            let broken =
                app.operations.iter().any(|part| operation.function.contains(part.as_str()));
            let mark = match (current, broken) {
                (true, _) => "▶",
                (false, true) => "●",
                (false, false) => " ",
            };
            let changed = if operation.edited { "*" } else { " " };
            let done = operation.operation < app.state.operation;
            let style = match (operation.edited, current, done) {
                (true, ..) => Style::new().fg(Color::Yellow),
                (_, true, _) => strong(),
                (_, _, true) => Style::new(),
                _ => faint(),
            };
            let mark_style = if broken { style.fg(Color::Red) } else { style };
            Line::from(vec![
                Span::styled(mark, mark_style),
                Span::styled(
                    format!("{:>4}{changed} {}", operation.operation, said(operation)),
                    style,
                ),
            ])
        }
    }
}

/// What it was about, and the function without its package and interface.
fn said(operation: &OperationView) -> String {
    let name = operation.function.rsplit_once('/').map_or(&operation.function[..], |(_, it)| it);
    let short = name.split_once('.').map_or(name, |(_, method)| method);
    match (operation.arguments.as_str(), operation.summary.as_str()) {
        ("", "") => short.to_owned(),
        ("", summary) => format!("{short} → {summary}"),
        (arguments, _) => format!("{short} {arguments}"),
    }
}

fn draw_source(frame: &mut Frame<'_>, app: &App, (sources, area): (&mut Sources, Rect)) {
    let focused = app.focus == Focus::Source;
    let Some((file, line)) = app.place() else {
        let block = block(" source ", focused);
        let text = match app.state.reason {
            StopReason::Entry => {
                "The function has not begun. → steps to its first operation, s to \
                                  its first line."
            }
            StopReason::End => "The function has ended. ← steps back.",
            _ if app.opened.has_lines => "No source for this place.",
            _ => "The component has no line tables; operations can be stepped.",
        };
        let text = Paragraph::new(text).style(faint()).wrap(Wrap { trim: true }).block(block);
        return frame.render_widget(text, area);
    };
    let name: String = {
        let room = usize::from(area.width).saturating_sub(12);
        let length = file.chars().count();
        match length > room {
            true => format!("…{}", file.chars().skip(length - room + 1).collect::<String>()),
            false => file.to_owned(),
        }
    };
    let block = block(format!(" {name}:{line} "), focused);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let cursor = app.source_line.unwrap_or(line);
    let found = sources.lines(file);
    if found.is_empty() {
        let text = format!("{file} is not on this machine; --source-map says where it is.");
        let text = Paragraph::new(text).style(faint()).wrap(Wrap { trim: true });
        return frame.render_widget(text, inner);
    }
    let height = usize::from(inner.height);
    let cursor_at = (cursor as usize).clamp(1, found.len());
    let from = cursor_at.saturating_sub(1 + height / 2).min(found.len().saturating_sub(height));
    let lines: Vec<Line<'_>> = found
        .iter()
        .enumerate()
        .skip(from)
        .take(height)
        .map(|(at, text)| {
            let number = at as u32 + 1;
            let broken = app
                .state
                .breakpoints
                .iter()
                .any(|it| it.verified && it.line == number && it.file == file);
            let mark = match (number == line, broken) {
                (true, _) => "▶",
                (false, true) => "●",
                (false, false) => " ",
            };
            let mut style = if number == line { strong().fg(Color::Cyan) } else { Style::new() };
            if focused && number as usize == cursor_at {
                style = style.add_modifier(Modifier::REVERSED);
            }
            let mark_style = if broken { Style::new().fg(Color::Red) } else { style };
            Line::from(vec![
                Span::styled(mark, mark_style),
                Span::styled(format!("{number:>4} "), faint()),
                Span::styled(text.as_str(), style),
            ])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

fn draw_panel(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let mut title = vec![Span::raw(" ")];
    for (tab, name) in Tab::ALL {
        let short =
            if area.width < 60 { name.split(' ').next_back().unwrap_or(name) } else { name };
        let style = if tab == app.tab { strong().fg(Color::Cyan) } else { faint() };
        title.push(Span::styled(short, style));
        title.push(Span::raw(" "));
    }
    let block = block(Line::from(title), app.focus == Focus::Panel);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let lines = match app.tab {
        Tab::Result => result_lines(app),
        Tab::Stack => stack_lines(app),
        Tab::Variables => variable_lines(app),
        Tab::Memory => memory_lines(app, usize::from(inner.width)),
        Tab::Logs => log_lines(app),
    };
    let height = usize::from(inner.height);
    let from = match app.tab {
        Tab::Stack => app.frame.saturating_sub(height / 2),
        Tab::Memory => 0,
        Tab::Variables => app.scroll.saturating_sub(height.saturating_sub(2)),
        Tab::Logs if app.scroll == 0 => lines.len().saturating_sub(height),
        _ => app.scroll.min(lines.len().saturating_sub(height)),
    };
    let text = Paragraph::new(lines).scroll((u16::try_from(from).unwrap_or(u16::MAX), 0));
    frame.render_widget(text, inner);
}

fn result_lines(app: &App) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some(ended) = &app.state.ended {
        lines.push(Line::styled(format!("ended: {}", ended.status.word()), strong()));
        let said = [Some(&ended.failure).filter(|it| !it.is_empty()), ended.difference.as_ref()];
        for text in said.into_iter().flatten() {
            lines.push(Line::styled(text.clone(), Style::new().fg(Color::Yellow)));
        }
        lines.extend(pretty(&ended.output));
        return lines;
    }
    let Some(operation) = app.selected_operation().or(app.state.current.as_ref()) else {
        return vec![Line::styled("no operation is selected", faint())];
    };
    lines.push(Line::styled(operation.function.clone(), strong()));
    if !operation.arguments.is_empty() {
        lines.push(Line::raw(operation.arguments.clone()));
    }
    if operation.at_ns > 0 {
        let waited = match operation.duration_ns {
            0 => String::new(),
            ns => format!(", waited {}", show_duration(ns)),
        };
        lines.push(Line::styled(format!("at {}{waited}", show_duration(operation.at_ns)), faint()));
    }
    if operation.edited {
        lines.push(Line::styled("edited: not the recorded result", Style::new().fg(Color::Yellow)));
    }
    if operation.new {
        let text = "new: the recording has no such operation, it was not performed";
        lines.push(Line::styled(text, Style::new().fg(Color::Yellow)));
    }
    lines.extend(pretty(&operation.result));
    lines
}

fn pretty(value: &serde_json::Value) -> Vec<Line<'static>> {
    if value.is_null() {
        return vec![Line::styled("no result", faint())];
    }
    let text = match value.get("text").and_then(serde_json::Value::as_str) {
        Some(text) if value.as_object().is_some_and(|it| it.len() == 1) => text.to_owned(),
        _ => serde_json::to_string_pretty(value).unwrap_or_default(),
    };
    text.lines().map(|line| Line::raw(line.to_owned())).collect()
}

fn stack_lines(app: &App) -> Vec<Line<'static>> {
    if app.state.frames.is_empty() {
        return vec![Line::styled("the function does not run here", faint())];
    }
    let frames = app.state.frames.iter().enumerate();
    let line = |(at, frame): (usize, &nexus_model::view::DebugFrame)| {
        let place = match (&frame.at.file, frame.at.line) {
            (Some(file), Some(line)) => {
                format!("  {}:{line}", file.rsplit('/').next().unwrap_or(file))
            }
            _ => String::new(),
        };
        let mark = if at == app.frame { "▶" } else { " " };
        let style = if at == app.frame { strong() } else { Style::new() };
        Line::from(vec![
            Span::styled(format!("{mark}{at:>3} {}", frame.at.function), style),
            Span::styled(place, Style::new().fg(Color::Cyan)),
        ])
    };
    frames.map(line).collect()
}

fn variable_lines(app: &App) -> Vec<Line<'static>> {
    let Some(frame) = app.frame() else {
        return vec![Line::styled("the function does not run here", faint())];
    };
    let focused = app.focus == Focus::Panel;
    let rows = app.variables();
    let mut lines: Vec<Line<'static>> = Vec::new();
    for (at, (depth, it)) in rows.iter().enumerate() {
        let mark = match (it.children, app.inside.contains_key(&it.path)) {
            (0, _) => ' ',
            (_, true) => '▾',
            (_, false) => '▸',
        };
        let style = if it.value.starts_with('<') { faint() } else { Style::new() };
        let mut line = Line::from(vec![
            Span::raw(format!("{:indent$}{mark} ", "", indent = depth * 2)),
            Span::styled(it.name.clone(), Style::new().fg(Color::Cyan)),
            Span::styled(format!(": {} ", it.ty), faint()),
            Span::styled(it.value.clone(), style),
        ]);
        if focused && at == app.scroll {
            line = line.style(Style::new().add_modifier(Modifier::REVERSED));
        }
        lines.push(line);
    }
    if rows.is_empty() && frame.at.file.is_some() {
        let text = "the debug information has no variables here: build with debug = true";
        lines.push(Line::styled(text, faint()));
    }
    let variable = |it: &nexus_model::view::Variable| {
        Line::from(vec![
            Span::raw(format!("  {:<18} ", it.name)),
            Span::styled(format!("{:<5} ", it.ty), faint()),
            Span::raw(it.value.clone()),
        ])
    };
    for (title, variables) in [("WebAssembly", &frame.locals), ("globals", &app.state.globals)] {
        if !variables.is_empty() {
            lines.push(Line::styled(title, strong()));
            lines.extend(variables.iter().map(variable));
        }
    }
    lines
}

fn memory_lines(app: &App, width: usize) -> Vec<Line<'static>> {
    let Some((address, bytes)) = app.memory_bytes() else {
        let text = "no memory here; m asks for an address";
        return vec![Line::styled(text, faint())];
    };
    let columns = if width >= 78 { 16 } else { 8 };
    let mut lines: Vec<Line<'static>> = app
        .state
        .memories
        .iter()
        .take(1)
        .map(|it| Line::styled(format!("{} of {}", show_size(it.bytes), it.module), faint()))
        .collect();
    for (row, part) in bytes.chunks(columns).enumerate() {
        let hex: String = part.iter().map(|byte| format!("{byte:02x} ")).collect();
        let text: String = part
            .iter()
            .map(|byte| if (32..127).contains(byte) { char::from(*byte) } else { '·' })
            .collect();
        let at = address + (row * columns) as u64;
        lines.push(Line::from(vec![
            Span::styled(format!("{at:08x} "), faint()),
            Span::raw(format!("{hex:<width$}", width = columns * 3)),
            Span::styled(text, Style::new().fg(Color::Green)),
        ]));
    }
    lines
}

fn log_lines(app: &App) -> Vec<Line<'static>> {
    if app.state.logs.is_empty() {
        return vec![Line::styled("nothing was written until here", faint())];
    }
    let line = |log: &nexus_model::view::LogView| {
        let level = if log.level.is_empty() { log.stream.word() } else { log.level.as_str() };
        let fields = match &log.fields {
            serde_json::Value::Object(fields) => {
                fields.iter().map(|(name, value)| format!(" {name}={value}")).collect()
            }
            _ => String::new(),
        };
        Line::from(vec![
            Span::styled(format!("{level:<7} "), faint()),
            Span::raw(format!("{}{fields}", log.text)),
        ])
    };
    app.state.logs.iter().map(line).collect()
}

fn draw_message(frame: &mut Frame<'_>, app: &App, area: Rect) {
    if let Some((asking, line)) = &app.asking {
        let title = format!("{}: ", asking.title());
        let before = title.chars().count();
        let (text, cursor) = line.window(usize::from(area.width).saturating_sub(before + 1));
        frame.render_widget(Paragraph::new(format!("{title}{text}")), area);
        let column = u16::try_from(before + cursor).unwrap_or(0);
        frame.set_cursor_position((area.x + column, area.y));
        return;
    }
    let unset = app.state.breakpoints.iter().find(|it| !it.verified);
    let (text, style) = match (app.message.as_str(), unset) {
        ("", Some(it)) => {
            let text = format!("no breakpoint at {}:{}: {}", it.file, it.line, it.message);
            (text, Style::new().fg(Color::Yellow))
        }
        ("", None) => (app.state.description.clone(), strong()),
        (message, _) => (message.to_owned(), Style::new().fg(Color::Red)),
    };
    frame.render_widget(Paragraph::new(text).style(style), area);
}

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let width = 62.min(area.width);
    let height = (HELP.len() as u16 + 2).min(area.height);
    let place = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    let lines: Vec<Line<'_>> = HELP
        .iter()
        .map(|(keys, text)| {
            Line::from(vec![Span::styled(format!(" {keys:<12}"), strong()), Span::raw(*text)])
        })
        .collect();
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" keys ")), place);
}
