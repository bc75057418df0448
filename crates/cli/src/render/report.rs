//! Reports whose fields belong to the log: `log verify` and `log stats`.

use nexus_model::Timestamp;
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
    let none = |list| report.get(list).and_then(Value::as_array).is_none_or(Vec::is_empty);
    let sound = none("damage") && none("body_damage");
    if !terminal.json() {
        let (tone, word) = if sound { (Tone::Good, "sound") } else { (Tone::Bad, "damaged") };
        terminal.line(Paint(tone, word))?;
    }
    log_report(terminal, report)?;
    let unkeyed = report.get("unkeyed_records").and_then(Value::as_u64).unwrap_or(0);
    if unkeyed > 0 && !terminal.json() {
        let records = crate::counted(usize::try_from(unkeyed).unwrap_or(usize::MAX), "record");
        terminal.say(format_args!(
            "{} of {records} only checksums could be checked, and no hashes: they were written under a \
             payload.key that is missing or another one; put log/payload.key back from a backup",
            Paint(Tone::Warn, "warning:")
        ));
    }
    if sound {
        return Ok(());
    }
    let mut hint = "put damaged and missing files back from a backup of the data folder".to_owned();
    if !none("damage") {
        hint.push_str("; without one, `nexus log cut` lets a server start that refuses the log");
    }
    if !terminal.json() {
        terminal.say(format_args!("{} {hint}", Paint(Tone::Good, "hint:")));
    }
    Err(Error::Told(exit::FAILED))
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
                for line in list(terminal, items) {
                    terminal.line(format_args!("{indent}  {line}"))?;
                }
            }
            plain => {
                terminal.line(format_args!("{indent}{title}  {}", fact(terminal, name, plain)))?;
            }
        }
    }
    Ok(())
}

/// One line for each item of a list, in columns: with titles above, unless it is pairs of a name
/// and a number.
fn list(terminal: &Terminal, items: &[Value]) -> Vec<String> {
    let names: Vec<&String> = match items.first() {
        Some(Value::Object(fields)) => fields.keys().collect(),
        _ => return items.iter().map(|item| fact(terminal, "", item)).collect(),
    };
    let number = |item: &Value, name: &str| item.get(name).is_some_and(Value::is_number);
    let cells = |item: &Value| -> Vec<String> {
        let cell = |name: &&String| item.get(*name).map(|at| fact(terminal, name, at));
        names.iter().map(|name| cell(name).unwrap_or_default()).collect()
    };
    let mut rows: Vec<Vec<String>> = items.iter().map(cells).collect();
    let pairs = names.len() == 2 && items.iter().all(|item| number(item, names[1]));
    if !pairs {
        rows.insert(0, names.iter().map(|name| label(name)).collect());
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let columns: Vec<(usize, bool)> = (0..names.len())
        .map(|column| {
            let right = items.iter().all(|item| number(item, names[column]));
            (width(column).unwrap_or(0), right)
        })
        .collect();
    let line = |row: &Vec<String>| {
        let padded = row.iter().zip(&columns).map(|(text, &(width, right))| match right {
            true => format!("{text:>width$}"),
            false => format!("{text:<width$}"),
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn label(name: &str) -> String {
    if name == "commits_records" {
        return "records in commits".to_owned();
    }
    let text = name.replace(['_', '-'], " ");
    for unit in [" bytes", " ns"] {
        if let Some(short) = text.strip_suffix(unit) {
            return short.to_owned();
        }
    }
    text
}

fn fact(terminal: &Terminal, name: &str, value: &Value) -> String {
    match (name, value) {
        (name, Value::Number(number)) if name.ends_with("bytes") => {
            number.as_u64().map_or_else(|| number.to_string(), show_size)
        }
        (name, Value::Number(number)) if name.ends_with("_ns") || name.ends_with("-ns") => {
            number.as_u64().map_or_else(|| number.to_string(), show_duration)
        }
        ("oldest" | "newest", Value::String(text)) => {
            Timestamp::parse(text).map_or_else(|_| text.clone(), |at| terminal.time(at))
        }
        (_, Value::String(text)) => text.clone(),
        (_, Value::Bool(true)) => "yes".to_owned(),
        (_, Value::Bool(false)) => "no".to_owned(),
        (_, other) => other.to_string(),
    }
}
