//! Requests in, responses out, and requests to elsewhere.

mod client;
mod server;

pub use client::{Answer, HttpError, Pending, Send};
pub use server::{Body, IntoResponse, Request, Response, Sender};

#[doc(hidden)]
pub use server::run_http;

use wasip2::io::streams::{InputStream, StreamError};

/// One read, in bytes.
const READ_BYTES: u64 = 64 << 10;

/// The next piece of a body as it arrives; `None` at its end.
fn read_piece(stream: &InputStream) -> Result<Option<Vec<u8>>, String> {
    loop {
        match stream.blocking_read(READ_BYTES) {
            Ok(piece) if piece.is_empty() => {}
            Ok(piece) => return Ok(Some(piece)),
            Err(StreamError::Closed) => return Ok(None),
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
    }
}

fn read_all(stream: &InputStream) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    while let Some(piece) = read_piece(stream)? {
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

/// Undoes percent-encoding; `+` is a space, as in forms.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |index: usize| bytes.get(index).and_then(|it| char::from(*it).to_digit(16));
        match (bytes[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', ..) => out.push(b' '),
            (other, ..) => out.push(other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn header<'h>(headers: &'h [(String, Vec<u8>)], name: &str) -> Option<&'h str> {
    let (_, value) = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(value).ok()
}
