//! A connection's byte stream: clear or TLS, with the bytes that were read to tell HTTP/1.1 from
//! HTTP/2 put back in front, and a count of what came in.
//!
//! A head that cannot be parsed reaches no handler: the protocol answers it by itself, with a bare
//! status. Such words are held back here, so that a problem document can be sent in their place.

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
    protocol: Option<Protocol>,
    /// How many requests had begun when all that was to be written had been.
    answered: u64,
    /// Whether the protocol wanted to answer what no request was made of.
    refused: bool,
    /// Whether it has stepped back since it was flushed: see [`Stream::steps_back`].
    stepped_back: bool,
}

impl<S: AsyncRead + Unpin> Stream<S> {
    pub(super) fn new(inner: S, connection: Arc<Connection>) -> Self {
        Stream {
            inner,
            seen: BytesMut::new(),
            connection,
            protocol: None,
            answered: 0,
            refused: false,
            stepped_back: false,
        }
    }

    /// Whether a head came of which no request could be made. It has not been answered.
    pub(super) fn refused(&self) -> bool {
        self.refused
    }

    /// Lets the answer to such a head through.
    pub(super) fn into_inner(self) -> S {
        self.inner
    }

    /// Reads until the protocol is clear. `None`: the client left without a word.
    pub(super) async fn detect(&mut self) -> io::Result<Option<Protocol>> {
        self.protocol = self.read_protocol().await?;
        Ok(self.protocol)
    }

    async fn read_protocol(&mut self) -> io::Result<Option<Protocol>> {
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

impl<S> Stream<S> {
    /// Whether what is written now is the protocol's own answer: every request that began has been
    /// answered, so there is nothing of ours to write. Where an answer of ours is still on its way
    /// out the bare status goes out behind it.
    fn hold_back(&mut self) -> bool {
        self.refused |=
            self.protocol == Some(Protocol::Http1) && self.connection.requests() == self.answered;
        self.refused
    }

    /// Whether the tasks that are ready run before the first write of an answer, where other answers are
    /// due, too. Answers that are computed one after the other are so written one after the other: a
    /// client that waits for several is woken once for all of them, which costs more than the writes.
    fn steps_back(&mut self, cx: &Context<'_>) -> bool {
        let steps_back = !self.stepped_back && self.connection.others_owe();
        self.stepped_back = true;
        match steps_back {
            true => {
                self.connection.step_back();
                cx.waker().wake_by_ref();
            }
            false => self.connection.settle(),
        }
        steps_back
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.hold_back() {
            return Poll::Ready(Ok(bytes.len()));
        }
        if self.steps_back(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Flushed is asked for when everything has been handed over.
        if !self.connection.is_busy() {
            self.answered = self.connection.requests();
        }
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.stepped_back &= flushed.is_pending();
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.refused {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.hold_back() {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        if self.steps_back(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::atomic::AtomicU32;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::super::registry::Peer;
    use super::*;

    fn pair(owing: &Arc<AtomicU32>) -> (Stream<DuplexStream>, Arc<Connection>, DuplexStream) {
        let peer = Peer::new(IpAddr::from([127, 0, 0, 1]), false);
        let connection = Arc::new(Connection::new(peer, Arc::clone(owing)));
        let (ours, theirs) = tokio::io::duplex(1024);
        (Stream::new(ours, Arc::clone(&connection)), connection, theirs)
    }

    #[tokio::test]
    async fn the_first_write_of_an_answer_steps_back_once_where_others_owe_one() {
        let owing = Arc::default();
        let (mut stream, connection, mut client) = pair(&owing);
        let (_, other, _other_client) = pair(&owing);
        let mut write = async |wakes: bool, text: &[u8]| {
            let mut writing = Box::pin(stream.write_all(text));
            assert_eq!(futures::poll!(&mut writing).is_pending(), wakes);
            // It has woken itself.
            writing.await.unwrap();
            let mut read = vec![0; text.len()];
            client.read_exact(&mut read).await.unwrap();
            assert_eq!(read, text);
            stream.flush().await.unwrap();
        };
        let first = connection.begin();
        assert!(!connection.others_owe());
        write(false, b"alone").await;
        drop(first);

        let (second, others) = (connection.begin(), other.begin());
        assert!(connection.others_owe() && other.others_owe());
        write(true, b"with another one").await;
        assert!(!other.others_owe(), "the first one is settled");
        write(true, b"the next piece of the same answer").await;
        drop((second, others));
        other.settle();
        let third = connection.begin();
        write(false, b"alone again").await;
        drop(third);
        assert_eq!(owing.load(std::sync::atomic::Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_connection_that_goes_owes_nothing() {
        let owing = Arc::default();
        let (stream, connection, _client) = pair(&owing);
        drop(connection.begin());
        assert_eq!(owing.load(std::sync::atomic::Ordering::Relaxed), 1);
        drop((stream, connection));
        assert_eq!(owing.load(std::sync::atomic::Ordering::Relaxed), 0);
    }
}
