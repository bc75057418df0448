//! A connection's byte stream: clear or TLS, with the bytes that were read to tell HTTP/1.1 from
//! HTTP/2 put back in front, and a count of what came in.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::registry::Connection;

/// The connection preface of HTTP/2 (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Which protocol the client speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// A stream whose first bytes were looked at.
pub(super) struct Stream<S> {
    inner: S,
    seen: BytesMut,
    connection: Arc<Connection>,
}

impl<S: AsyncRead + Unpin> Stream<S> {
    pub(super) fn new(inner: S, connection: Arc<Connection>) -> Self {
        Stream { inner, seen: BytesMut::new(), connection }
    }

    /// Reads until the protocol is clear. `None`: the client left without a word.
    pub(super) async fn detect(&mut self) -> io::Result<Option<Protocol>> {
        loop {
            let known = self.seen.len().min(PREFACE.len());
            if self.seen[..known] != PREFACE[..known] {
                return Ok(Some(Protocol::Http1));
            }
            if known == PREFACE.len() {
                return Ok(Some(Protocol::Http2));
            }
            if self.inner.read_buf(&mut self.seen).await? == 0 {
                return Ok((!self.seen.is_empty()).then_some(Protocol::Http1));
            }
            self.connection.read_bytes(self.seen.len() as u64);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.seen.is_empty() {
            let length = this.seen.len().min(buf.remaining());
            buf.put_slice(&this.seen[..length]);
            this.seen.advance(length);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.inner).poll_read(cx, buf);
        this.connection.read_bytes((buf.filled().len() - before) as u64);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
