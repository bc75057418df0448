//! Data given on the command line: the text itself, `@file`, or `@-` for standard input.

use std::io::Read as _;

use crate::{Error, Paint, Terminal, Tone};

/// The bytes that a `--data` value stands for.
pub(crate) fn data(value: &str) -> Result<Vec<u8>, Error> {
    match value.strip_prefix('@') {
        None => Ok(value.as_bytes().to_vec()),
        Some(path) => file(path),
    }
}

/// The bytes of a file, or of standard input for `-`.
pub(crate) fn file(path: &str) -> Result<Vec<u8>, Error> {
    if path != "-" {
        return std::fs::read(path).map_err(|source| Error::Io {
            operation: "read",
            subject: path.to_owned(),
            source,
        });
    }
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).map_err(|source| Error::Io {
        operation: "read",
        subject: "standard input".to_owned(),
        source,
    })?;
    Ok(bytes)
}

/// The media type of data whose type nobody stated.
pub(crate) fn media_type(data: &[u8]) -> &'static str {
    if serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok() {
        "application/json"
    } else if std::str::from_utf8(data).is_ok() {
        "text/plain; charset=utf-8"
    } else {
        "application/octet-stream"
    }
}

/// Says of data whose type nobody stated that it looks like JSON and is none.
pub(crate) fn say_broken(terminal: &mut Terminal, data: &[u8]) {
    let looks = matches!(data.trim_ascii_start().first(), Some(b'{' | b'['));
    if looks && let Err(wrong) = serde_json::from_slice::<serde::de::IgnoredAny>(data) {
        let what = media_type(data);
        let note = Paint(Tone::Warn, "note:");
        terminal.say(format_args!("{note} the data is not JSON and is sent as {what}: {wrong}"));
    }
}

/// Bytes that are no JSON, for a JSON request.
pub(crate) fn base64(data: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(data)
}

/// A table's row for `--ext name=value`: booleans and 32-bit integers keep their type.
pub(crate) fn attribute(text: &str) -> Result<(String, nexus_model::AttributeValue), String> {
    use nexus_model::AttributeValue as Value;
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("'{text}' is not name=value"))?;
    let value = match value {
        "true" => Value::Boolean(true),
        "false" => Value::Boolean(false),
        _ => match value.parse() {
            Ok(integer) => Value::Integer(integer),
            Err(_) => Value::String(value.to_owned()),
        },
    };
    Ok((name.to_owned(), value))
}
