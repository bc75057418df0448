//! Lines that loggers print as JSON objects become structured lines.

use std::borrow::Cow;

use nexus_model::record::{LogLine, Stream};
use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

/// Where loggers put how serious a line is, and what it says; the first name that is there counts.
const LEVEL_NAMES: [&str; 2] = ["level", "severity"];
const MESSAGE_NAMES: [&str; 2] = ["message", "msg"];

/// Turns a line of standard output or standard error that is a JSON object with a level and a
/// message into a structured one: level, message, and the other fields as they were written. Any
/// other line stays as it is, so doing it twice changes nothing.
pub(crate) fn structure(line: &mut LogLine) {
    let printed = line.stream == Stream::Stdout as i32 || line.stream == Stream::Stderr as i32;
    if !printed || !line.level.is_empty() {
        return;
    }
    if let Some(found) = parse(&line.text) {
        *line = LogLine {
            level: found.level.to_owned(),
            fields: found.fields,
            text: found.message,
            ..std::mem::take(line)
        };
    }
}

struct Found {
    level: &'static str,
    message: String,
    fields: String,
}

fn parse(text: &str) -> Option<Found> {
    // Most lines are no objects: this costs them nothing.
    if !text.starts_with('{') || !text.trim_end().ends_with('}') {
        return None;
    }
    let mut fields = object(text)?;
    let place = |fields: &Fields<'_>, names: [&str; 2]| {
        names.iter().find_map(|wanted| fields.iter().position(|(name, _)| name == wanted))
    };
    let at = place(&fields, LEVEL_NAMES)?;
    let level = level(fields[at].1)?;
    if level.exact {
        fields.remove(at);
    }
    let (_, message) = fields.remove(place(&fields, MESSAGE_NAMES)?);
    let message = serde_json::from_str(message.get()).ok()?;
    Some(Found { level: level.word, message, fields: write(&fields) })
}

/// Names and JSON texts, in order.
type Fields<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// Values stay the text that they are: numbers keep every digit.
fn object(text: &str) -> Option<Fields<'_>> {
    struct Object;
    impl<'de> Visitor<'de> for Object {
        type Value = Fields<'de>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut fields = Vec::new();
            while let Some(name) = map.next_key::<String>()? {
                fields.push((Cow::Owned(name), map.next_value::<&RawValue>()?));
            }
            Ok(fields)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let fields = deserializer.deserialize_map(Object).ok()?;
    deserializer.end().ok()?;
    Some(fields)
}

fn write(fields: &Fields<'_>) -> String {
    if fields.is_empty() {
        return String::new();
    }
    let mut text = String::from("{");
    for (name, value) in fields {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&serde_json::Value::from(name.as_ref()).to_string());
        text.push(':');
        text.push_str(value.get());
    }
    text.push('}');
    text
}

/// One of our levels, and whether it says all that the logger said; otherwise the logger's own word
/// stays among the fields.
struct Level {
    word: &'static str,
    exact: bool,
}

fn level(value: &RawValue) -> Option<Level> {
    if let Ok(number) = serde_json::from_str::<u32>(value.get()) {
        return numbered(number);
    }
    let word = serde_json::from_str::<String>(value.get()).ok()?.to_ascii_lowercase();
    let (word, exact) = match word.as_str() {
        "trace" => ("trace", true),
        "debug" => ("debug", true),
        "info" | "information" => ("info", true),
        "warn" | "warning" => ("warn", true),
        "error" | "err" => ("error", true),
        "silly" | "finest" => ("trace", false),
        "verbose" | "fine" | "finer" => ("debug", false),
        "default" | "http" | "notice" | "success" => ("info", false),
        "fatal" | "critical" | "crit" | "alert" | "emergency" | "emerg" | "panic" | "dpanic"
        | "severe" => ("error", false),
        _ => return None,
    };
    Some(Level { word, exact })
}

/// The numbers of bunyan and pino: tens from 10 (trace) to 60 (fatal).
fn numbered(number: u32) -> Option<Level> {
    let word = match number {
        10..20 => "trace",
        20..30 => "debug",
        30..40 => "info",
        40..50 => "warn",
        50..=60 => "error",
        _ => return None,
    };
    Some(Level { word, exact: number.is_multiple_of(10) && number != 60 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn structured(text: &str) -> LogLine {
        let mut line = LogLine { text: text.to_owned(), ..LogLine::default() };
        structure(&mut line);
        let once = line.clone();
        structure(&mut line);
        assert_eq!(line, once);
        line
    }

    #[test]
    fn lines_of_loggers_are_taken_apart() {
        for (text, level, message, fields) in [
            (r#"{"level":"info","message":"hello"}"#, "info", "hello", ""),
            (
                r#"{"level":30,"time":1531171074631,"pid":657,"msg":"pino","big":12345678901234567890123,"x":1.0}"#,
                "info",
                "pino",
                r#"{"time":1531171074631,"pid":657,"big":12345678901234567890123,"x":1.0}"#,
            ),
            (
                r#"{"severity": "WARNING", "message": "a \"quoted\" ü", "deep": {"a": [1, 2]}} "#,
                "warn",
                "a \"quoted\" ü",
                r#"{"deep":{"a": [1, 2]}}"#,
            ),
            (r#"{"msg":"slog","level":"ERROR","err":null}"#, "error", "slog", r#"{"err":null}"#),
            (
                r#"{"level":"fatal","msg":"zap","message":"other"}"#,
                "error",
                "other",
                r#"{"level":"fatal","msg":"zap"}"#,
            ),
            (r#"{"level":60,"msg":"m"}"#, "error", "m", r#"{"level":60}"#),
            (r#"{"level":"debug","severity":"x","msg":""}"#, "debug", "", r#"{"severity":"x"}"#),
        ] {
            let line = structured(text);
            assert_eq!(
                (line.level.as_str(), line.text.as_str(), line.fields.as_str()),
                (level, message, fields),
                "{text}"
            );
        }
    }

    #[test]
    fn other_lines_stay_text() {
        for text in [
            "hello",
            "",
            "{}",
            "{ not json }",
            r#"{"level":"info"}"#,
            r#"{"message":"no level"}"#,
            r#"{"level":"loud","message":"m"}"#,
            r#"{"level":5,"message":"m"}"#,
            r#"{"level":{},"message":"m"}"#,
            r#"{"level":"info","message":5}"#,
            r#"{"level":"info","message":"m"} trailing"#,
            r#"{"level":"info","message":"m"}{}"#,
            r#"[{"level":"info","message":"m"}]"#,
            r#"{"level":"info","message":"m"… (5 bytes cut)}"#,
        ] {
            let line = structured(text);
            assert_eq!((line.level.as_str(), line.text.as_str()), ("", text));
            assert_eq!(line.fields, "");
        }
    }

    #[test]
    fn lines_of_the_log_interface_are_left_alone() {
        let text = r#"{"level":"info","message":"hello"}"#.to_owned();
        let mut line = LogLine { text, stream: Stream::Log as i32, ..LogLine::default() };
        let before = line.clone();
        structure(&mut line);
        assert_eq!(line, before);
    }
}
