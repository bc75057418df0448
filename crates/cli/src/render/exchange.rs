//! Input and output of an invocation: an HTTP request or response, an event, a command.

use serde_json::{Map, Value};

use super::{block, payload};
use crate::units::show_size;
use crate::{Error, Paint, Terminal, Tone};

/// Attributes of an event that are shown elsewhere.
const SHOWN_APART: &[&str] = &["specversion", "type", "data", "data_base64"];

/// Shows one side of an exchange; nothing where it was not kept.
pub(crate) fn show_exchange(
    terminal: &mut Terminal,
    title: &str,
    value: &Value,
) -> Result<(), Error> {
    let Value::Object(fields) = value else {
        if value.is_null() {
            return Ok(());
        }
        block(terminal, title, "")?;
        return payload(terminal, value);
    };
    let head = head(fields);
    let says_something = |(name, value): (&String, &Value)| match name.as_str() {
        "body" | "stdin" => has_content(value),
        _ => value.as_array().is_none_or(|items| !items.is_empty()),
    };
    if head.is_empty() && !fields.iter().any(says_something) {
        return Ok(());
    }
    block(terminal, title, &head)?;
    let headers = pairs(fields.get("headers"));
    for (name, value) in &headers {
        fact(terminal, &format!("{name}:"), value)?;
    }
    if let Some(event) = fields.get("event") {
        show_event(terminal, event)?;
    }
    if let Some(lost) = lost(value) {
        terminal.line(Paint(Tone::Bad, lost))?;
    }
    for name in ["body", "stdin"] {
        if let Some(content) = fields.get(name).filter(|content| has_content(content)) {
            if !headers.is_empty() {
                terminal.line("")?;
            }
            show_body(terminal, content)?;
        }
    }
    for (name, value) in pairs(fields.get("trailers")) {
        fact(terminal, &format!("{name}:"), &value)?;
    }
    for event in fields.get("events").and_then(Value::as_array).into_iter().flatten() {
        let ty = event.get("type").and_then(Value::as_str).unwrap_or_default();
        terminal.line(format_args!("  event {}", Paint(Tone::Strong, ty)))?;
        show_event(terminal, event)?;
    }
    Ok(())
}

/// What stands beside the title.
fn head(fields: &Map<String, Value>) -> String {
    let text = |name: &str| match fields.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let event = fields.get("event").map(|event| match event {
        Value::String(id) => format!("event {id}"),
        other => {
            format!("event {}", other.get("type").and_then(Value::as_str).unwrap_or_default())
        }
    });
    let arguments = fields.get("arguments").and_then(Value::as_array).map(|arguments| {
        let words: Vec<&str> = arguments.iter().filter_map(Value::as_str).collect();
        format!("arguments: {}", words.join(" "))
    });
    // Where there are headers, they say the media type.
    let media_type = if fields.contains_key("headers") { None } else { text("contentType") };
    let code = text("exitCode").map(|code| format!("exit code {code}"));
    let parts = [text("method"), text("status"), text("url"), event, arguments, code, media_type];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn fact(terminal: &mut Terminal, name: &str, value: &str) -> Result<(), Error> {
    terminal.line(format_args!("  {} {value}", Paint(Tone::Faint, name)))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Header fields: a list of pairs.
fn pairs(headers: Option<&Value>) -> Vec<(String, String)> {
    let pair = |item: &Value| Some((plain(item.get(0)?), plain(item.get(1)?)));
    headers.and_then(Value::as_array).into_iter().flatten().filter_map(pair).collect()
}

fn show_event(terminal: &mut Terminal, event: &Value) -> Result<(), Error> {
    let Value::Object(fields) = event else { return Ok(()) };
    for (name, value) in fields {
        if !SHOWN_APART.contains(&name.as_str()) {
            fact(terminal, &format!("{name}:"), &plain(value))?;
        }
    }
    match fields.get("data").or_else(|| fields.get("data_base64")) {
        None => Ok(()),
        Some(data) => {
            terminal.line("")?;
            payload(terminal, data)
        }
    }
}

/// Whether a body is worth a line: an empty one is not.
fn has_content(body: &Value) -> bool {
    body.get("size").and_then(Value::as_u64) != Some(0)
}

/// What is said of a body whose file is lost.
fn lost(value: &Value) -> Option<String> {
    Some(format!("  lost: {}", value.get("lost")?.as_str()?))
}

/// A body: its size, and `json`, `text` or `base64`, unless it was not kept or is lost.
fn show_body(terminal: &mut Terminal, body: &Value) -> Result<(), Error> {
    let size = body.get("size").and_then(Value::as_u64).unwrap_or_default();
    if let Some(lost) = lost(body) {
        return terminal.line(Paint(Tone::Bad, lost));
    }
    let content = ["json", "text", "base64"].into_iter().find_map(|name| body.get(name));
    match content {
        Some(content) => payload(terminal, content),
        None => terminal
            .line(Paint(Tone::Faint, format_args!("  {} that were not kept", show_size(size)))),
    }
}
