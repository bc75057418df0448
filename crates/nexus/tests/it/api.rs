//! The API of a server, spoken over plain sockets, so that a broken connection is seen as it is.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use serde_json::Value;

use crate::harness::Server;

/// The API of a server, spoken over plain sockets, so that a broken connection is seen as it is.
pub(crate) struct Api {
    pub(crate) address: String,
    token: String,
}

impl Api {
    pub(crate) fn new(server: &Server, data: &Path) -> Self {
        let address = server.api.trim_start_matches("http://").to_owned();
        let token = std::fs::read_to_string(data.join("token")).unwrap().trim().to_owned();
        Api { address, token }
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        self.must(&format!("GET {path}"))
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str) -> Value {
        self.must(&format!("POST {path}"))
    }

    #[track_caller]
    fn must(&self, line: &str) -> Value {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let (status, body) = self.request(&mut stream, line, "").unwrap();
        assert_eq!(status, 200, "{line}: {body}");
        body
    }

    /// One request on a connection that is kept; `None` when the server went away.
    pub(crate) fn request(
        &self,
        stream: &mut TcpStream,
        line: &str,
        head: &str,
    ) -> Option<(u16, Value)> {
        self.send(stream, line, (head, ""))
    }

    /// The same on a connection of its own, with a body.
    pub(crate) fn once(&self, line: &str, body: &str) -> Option<(u16, Value)> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        self.send(&mut stream, line, ("content-type: application/json\r\n", body))
    }

    fn send(
        &self,
        stream: &mut TcpStream,
        line: &str,
        (head, body): (&str, &str),
    ) -> Option<(u16, Value)> {
        let request = format!(
            "{line} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n{head}content-length: {}\r\n\r\n{body}",
            self.address,
            self.token,
            body.len()
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut reader = BufReader::new(stream);
        let mut first = String::new();
        reader.read_line(&mut first).ok()?;
        let status = first.split(' ').nth(1)?.parse().ok()?;
        let mut length = 0;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).ok()? == 0 {
                return None;
            }
            let header = header.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        if body.is_empty() {
            return Some((status, Value::Null));
        }
        Some((status, serde_json::from_slice(&body).ok()?))
    }
}
