//! Pieces that several renderings share.

use nexus_model::record::Status;
use nexus_model::view::LogView;
use serde_json::Value;

use crate::{Error, Paint, Terminal, Tone};

/// Lines of a payload that are shown before it is cut.
const PAYLOAD_LINES_MAX: usize = 200;

/// The tone of a status.
pub(crate) fn status_tone(status: Status) -> Tone {
    match status {
        Status::Succeeded => Tone::Good,
        Status::Running | Status::Suspended | Status::Queued => Tone::Key,
        Status::Cancelled | Status::Refused | Status::Rejected | Status::Unknown => Tone::Warn,
        Status::Failed
        | Status::Trapped
        | Status::TimedOut
        | Status::OutOfMemory
        | Status::Crashed => Tone::Bad,
    }
}

/// `1 line`, `2 lines`.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A heading with what belongs beside it.
pub(crate) fn block(terminal: &mut Terminal, title: &str, beside: &str) -> Result<(), Error> {
    let heading = format!("{}  {beside}", Paint(Tone::Strong, title));
    terminal.line("")?;
    terminal.line(heading.trim_end())
}

/// Bytes as JSON: text where they are text, base 64 where they are not.
pub(crate) fn text_or_base64(bytes: &[u8]) -> Value {
    use base64::Engine as _;
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::String(text.to_owned()),
        Err(_) => serde_json::json!({
            "base64": base64::engine::general_purpose::STANDARD.encode(bytes)
        }),
    }
}

/// A payload, indented: JSON laid out, text as it is, long ones cut with a note.
pub(crate) fn payload(terminal: &mut Terminal, value: &Value) -> Result<(), Error> {
    let text = match value {
        Value::Null => return Ok(()),
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner @ (Value::Object(_) | Value::Array(_))) => pretty(&inner),
            _ => text.clone(),
        },
        other => pretty(other),
    };
    let mut lines = text.lines();
    for line in lines.by_ref().take(PAYLOAD_LINES_MAX) {
        terminal.line(format_args!("  {line}").to_string().trim_end())?;
    }
    match lines.count() {
        0 => Ok(()),
        more => terminal
            .line(Paint(Tone::Faint, format_args!("  … {more} more lines (--json prints all)"))),
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// One log line: time, where it came from, text, fields.
pub(crate) fn log_line(terminal: &Terminal, line: &LogView) -> String {
    let label = match line.level.as_str() {
        "" => line.stream.word(),
        level => level,
    };
    let tone = match label {
        "error" | "critical" => Tone::Bad,
        "warn" | "stderr" => Tone::Warn,
        "info" | "stdout" | "log" => Tone::Good,
        _ => Tone::Faint,
    };
    let space = " ".repeat(6_usize.saturating_sub(label.len()));
    let mut text =
        format!("{}  {}{space}  ", Paint(Tone::Faint, terminal.time(line.at)), Paint(tone, label));
    if !line.function.is_empty() {
        text.push_str(&format!("{}  ", Paint(Tone::Strong, &line.function)));
    }
    text.push_str(&line.text);
    if let Value::Object(fields) = &line.fields {
        for (name, value) in fields {
            let value = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            text.push_str(&format!(" {}", Paint(Tone::Faint, format_args!("{name}={value}"))));
        }
    }
    text
}
