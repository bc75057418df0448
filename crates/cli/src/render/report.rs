//! Reports whose fields belong to the log: `log verify` and `log stats`.

use serde_json::Value;

use crate::units::{show_duration, show_size};
use crate::{Error, Paint, Terminal, Tone};

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
                    let text = item.as_str().map_or_else(|| item.to_string(), str::to_owned);
                    terminal.line(format_args!("{indent}  {text}"))?;
                }
            }
            plain => terminal.line(format_args!("{indent}{title}  {}", fact(name, plain)))?,
        }
    }
    Ok(())
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
