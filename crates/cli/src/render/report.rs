//! Reports whose fields belong to the log: `log verify` and `log stats`.

use serde_json::Value;

use crate::units::{show_duration, show_size};
use crate::{Error, Paint, Terminal, Tone, exit};

/// Prints a report as aligned facts. Names ending in `bytes` and `ns` are shown with units, lists
/// below their name.
///
/// # Errors
/// Standard output cannot be written.
pub fn log_report(terminal: &mut Terminal, report: &Value) -> Result<(), Error> {
    if terminal.json() {
        return terminal.value(report);
    }
    facts(terminal, report, 0)
}

/// Prints what `log verify` found, after one word that says whether all is well.
///
/// # Errors
/// Standard output cannot be written; [`Error::Told`] when something is damaged.
pub fn verify_report(terminal: &mut Terminal, report: &Value) -> Result<(), Error> {
    let sound = report.get("damage").and_then(Value::as_array).is_none_or(Vec::is_empty);
    if !terminal.json() {
        let (tone, word) = if sound { (Tone::Good, "sound") } else { (Tone::Bad, "damaged") };
        terminal.line(Paint(tone, word))?;
    }
    log_report(terminal, report)?;
    if sound { Ok(()) } else { Err(Error::Told(exit::FAILED)) }
}

fn facts(terminal: &mut Terminal, report: &Value, depth: usize) -> Result<(), Error> {
    let Value::Object(fields) = report else {
        return terminal.line(report);
    };
    let indent = "  ".repeat(depth);
    let width = fields.keys().map(|name| label(name).chars().count()).max().unwrap_or(0);
    for (name, value) in fields {
        let title = format!("{:<width$}", label(name));
        let title = Paint(Tone::Faint, title);
        match value {
            Value::Null => {}
            Value::Object(inner) if inner.is_empty() => {}
            Value::Object(_) => {
                terminal.line(format_args!("{indent}{title}").to_string().trim_end())?;
                facts(terminal, value, depth + 1)?;
            }
            Value::Array(items) if items.is_empty() => {
                terminal.line(format_args!("{indent}{title}  none"))?;
            }
            Value::Array(items) => {
                terminal.line(format_args!("{indent}{title}  {}", items.len()))?;
                for item in items {
                    terminal.line(format_args!("{indent}  {}", row(item)))?;
                }
            }
            plain => terminal.line(format_args!("{indent}{title}  {}", fact(name, plain)))?,
        }
    }
    Ok(())
}

/// One item of a list on one line.
fn row(item: &Value) -> String {
    match item {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("{} {}", label(name), fact(name, value)))
            .collect::<Vec<_>>()
            .join(", "),
        other => fact("", other),
    }
}

fn label(name: &str) -> String {
    let text = name.replace(['_', '-'], " ");
    for unit in [" bytes", " ns"] {
        if let Some(short) = text.strip_suffix(unit) {
            return short.to_owned();
        }
    }
    text
}

fn fact(name: &str, value: &Value) -> String {
    match (name, value) {
        (name, Value::Number(number)) if name.ends_with("bytes") => {
            number.as_u64().map_or_else(|| number.to_string(), show_size)
        }
        (name, Value::Number(number)) if name.ends_with("_ns") || name.ends_with("-ns") => {
            number.as_u64().map_or_else(|| number.to_string(), show_duration)
        }
        (_, Value::String(text)) => text.clone(),
        (_, Value::Bool(true)) => "yes".to_owned(),
        (_, Value::Bool(false)) => "no".to_owned(),
        (_, other) => other.to_string(),
    }
}
