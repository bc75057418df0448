//! Messages of the Debug Adapter Protocol: a header with the length, and JSON.

use std::io::{self, BufRead, Read, Write};

use serde::Deserialize;
use serde_json::{Value, json};

/// One message of a client, in bytes.
const MESSAGE_BYTES_MAX: usize = 8 << 20;

/// What a client asks for.
#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    pub(crate) seq: i64,
    pub(crate) command: String,
    #[serde(default)]
    pub(crate) arguments: Value,
}

/// A connection to a client.
pub(crate) struct Wire<R, W> {
    reader: R,
    writer: W,
    seq: i64,
}

impl<R: BufRead, W: Write> Wire<R, W> {
    pub(crate) fn new(reader: R, writer: W) -> Self {
        Wire { reader, writer, seq: 0 }
    }

    /// The next request; nothing when the client went away. What is no request is skipped.
    pub(crate) fn next(&mut self) -> io::Result<Option<Request>> {
        loop {
            let Some(length) = self.header()? else { return Ok(None) };
            if length > MESSAGE_BYTES_MAX {
                let reason = format!("a message of {length} bytes; at most {MESSAGE_BYTES_MAX}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            let mut body = vec![0; length];
            self.reader.read_exact(&mut body)?;
            let message: Value = serde_json::from_slice(&body)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if message["type"] == "request" {
                return serde_json::from_value(message)
                    .map(Some)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }

    fn header(&mut self) -> io::Result<Option<usize>> {
        let mut length = None;
        loop {
            let mut line = String::new();
            // A line without end must not be collected without end.
            if (&mut self.reader).take(4_096).read_line(&mut line)? == 0 {
                return Ok(None);
            }
            let line = line.trim_end();
            if line.is_empty() {
                return match length {
                    Some(length) => Ok(Some(length)),
                    None => Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "a message without Content-Length: this speaks the Debug Adapter Protocol",
                    )),
                };
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok();
            }
        }
    }

    fn send(&mut self, mut message: Value) -> io::Result<()> {
        self.seq += 1;
        message["seq"] = self.seq.into();
        let text = message.to_string();
        write!(self.writer, "Content-Length: {}\r\n\r\n{text}", text.len())?;
        self.writer.flush()
    }

    pub(crate) fn answer(&mut self, request: &Request, body: Value) -> io::Result<()> {
        self.send(json!({
            "type": "response",
            "request_seq": request.seq,
            "success": true,
            "command": request.command,
            "body": body,
        }))
    }

    /// Says that it did not work, with a text for people.
    pub(crate) fn refuse(&mut self, request: &Request, reason: &str) -> io::Result<()> {
        self.send(json!({
            "type": "response",
            "request_seq": request.seq,
            "success": false,
            "command": request.command,
            "message": reason,
            "body": { "error": { "id": 1, "format": "{reason}", "variables": { "reason": reason },
                                 "showUser": true } },
        }))
    }

    pub(crate) fn event(&mut self, event: &str, body: Value) -> io::Result<()> {
        self.send(json!({ "type": "event", "event": event, "body": body }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_and_written() {
        let text = r#"{"seq":3,"type":"request","command":"threads"}"#;
        let input = format!("Content-Length: {}\r\n\r\n{text}", text.len());
        let mut out = Vec::new();
        let mut wire = Wire::new(input.as_bytes(), &mut out);
        let request = wire.next().unwrap().unwrap();
        assert_eq!((request.seq, request.command.as_str()), (3, "threads"));
        wire.answer(&request, json!({})).unwrap();
        assert!(wire.next().unwrap().is_none());
        let out = String::from_utf8(out).unwrap();
        assert!(out.starts_with("Content-Length: "), "{out}");
        assert!(out.contains(r#""request_seq":3"#), "{out}");
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for input in [
            "GET / HTTP/1.1\r\n\r\n",
            "Content-Length: 99999999\r\n\r\n",
            "Content-Length: 2\r\n\r\nx}",
        ] {
            let mut wire = Wire::new(input.as_bytes(), Vec::new());
            assert!(wire.next().is_err(), "{input}");
        }
    }
}
