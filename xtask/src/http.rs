//! Just enough HTTP/1.1 to ask a server of our own whether it is there.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// How long one exchange may take.
const EXCHANGE_MAX: Duration = Duration::from_secs(60);

/// A request; `head` are further header lines, each ended by `\r\n`.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) head: &'a str,
    pub(crate) body: &'a [u8],
}

/// A status and a body.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Asks for a path.
pub(crate) fn get(address: SocketAddr, path: &str) -> anyhow::Result<Response> {
    send(address, &Request { method: "GET", path, head: "", body: &[] })
}

/// Sends a request on a connection of its own and reads the whole answer.
pub(crate) fn send(address: SocketAddr, request: &Request<'_>) -> anyhow::Result<Response> {
    let mut stream = TcpStream::connect_timeout(&address, EXCHANGE_MAX)
        .with_context(|| format!("failed to connect to {address}"))?;
    stream.set_read_timeout(Some(EXCHANGE_MAX))?;
    let Request { method, path, head, body } = request;
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{head}content-length: \
         {length}\r\n\r\n"
    );
    stream.write_all(text.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).with_context(|| format!("no answer to {method} {path}"))?;
    parse(&answer).with_context(|| format!("no HTTP answer to {method} {path}"))
}

fn parse(answer: &[u8]) -> anyhow::Result<Response> {
    let end = answer.windows(4).position(|at| at == b"\r\n\r\n").context("no head")?;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok());
    let rest = &answer[end + 4..];
    let chunked = head.contains("transfer-encoding: chunked");
    let body = if chunked { unchunk(rest) } else { rest.to_vec() };
    Ok(Response { status: status.context("no status")?, body })
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|at| at == b"\r\n") {
        let size = String::from_utf8_lossy(&rest[..end]);
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else { break };
        let Some(piece) = rest.get(end + 2..end + 2 + size).filter(|_| size > 0) else { break };
        body.extend_from_slice(piece);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    body
}

/// Waits until a path is answered with a status below 300.
pub(crate) fn wait_for(address: SocketAddr, path: &str, patience: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        let good = get(address, path).is_ok_and(|answer| answer.status < 300);
        if good {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("http://{address}{path} did not answer within {} s", patience.as_secs());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A port that nobody uses at this moment.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("failed to find a free port")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_parsed() {
        let plain = parse(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").unwrap();
        assert_eq!((plain.status, &plain.body[..]), (200, &b"hi"[..]));
        let chunked =
            b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n";
        assert_eq!(parse(chunked).unwrap().body, b"hi!");
        assert!(parse(b"nothing").is_err());
    }
}
