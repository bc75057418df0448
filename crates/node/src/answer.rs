//! The body of an answer as it streams to the caller. Dropping it too early cancels the guest; where
//! the recording must be durable, its last piece waits for the disk.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt as _, StreamBody};
use nexus_exec::{Body, BodyError, Cancel};

use crate::Error;
use crate::serve::{Kept, Rest};

/// A response body. Dropping it before its end cancels the guest. With `record = "durable"` its last
/// piece is held back until the recording is on disk.
pub(crate) struct Answer {
    pub(crate) body: Body,
    pub(crate) cancel: Option<Cancel>,
    /// Bytes that the client still expects, where the head says how many there are: who has read
    /// them all has not gone away.
    pub(crate) left: Option<u64>,
    pub(crate) rest: Option<Kept>,
    pub(crate) held: Option<Frame<Bytes>>,
}

/// How many bytes of body the client expects, if it knows.
pub(crate) fn left_of(parts: &http::response::Parts, head_only: bool) -> Option<u64> {
    if head_only || matches!(parts.status.as_u16(), 204 | 304) {
        return Some(0);
    }
    parts.headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl Answer {
    pub(crate) async fn behind(mut self, rest: Rest, durable: bool) -> Result<Self, Error> {
        if durable {
            if self.body.is_end_stream() {
                // No piece to hold back: the head waits.
                rest.kept.await.unwrap_or(Ok(()))?;
                self.cancel = None;
            } else {
                self.rest = Some(rest.kept);
            }
        }
        Ok(self)
    }

    fn poll_durable(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(frame))) => {
                    if let Some(before) = self.held.replace(frame) {
                        return Poll::Ready(Some(Ok(before)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.cancel = None;
                    self.rest = None;
                    let Some(before) = self.held.take() else {
                        return Poll::Ready(Some(Err(error)));
                    };
                    // What came before the failure goes out before it.
                    let failed = StreamBody::new(futures::stream::iter([Err(error)]));
                    self.body = failed.boxed_unsync();
                    return Poll::Ready(Some(Ok(before)));
                }
                Poll::Ready(None) => {
                    // Polled again while the disk is waited for: an ended body stays ended.
                    self.body = nexus_exec::empty_body();
                    if let Some(kept) = &mut self.rest {
                        match Pin::new(kept).poll(cx) {
                            Poll::Pending => return Poll::Pending,
                            Poll::Ready(Ok(Err(error))) => {
                                return Poll::Ready(Some(Err(error.into())));
                            }
                            Poll::Ready(_) => self.rest = None,
                        }
                    }
                    self.cancel = None;
                    return Poll::Ready(self.held.take().map(Ok));
                }
            }
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(cancel) = self.cancel.take()
            && self.left != Some(0)
            && !self.body.is_end_stream()
        {
            cancel.cancel();
        }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.rest.is_some() || self.held.is_some() {
            return self.poll_durable(cx);
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match &frame {
            // After an error the guest may still be about to end.
            Poll::Ready(None | Some(Err(_))) => self.cancel = None,
            Poll::Ready(Some(Ok(piece))) => {
                let length = piece.data_ref().map_or(0, |data| data.len() as u64);
                self.left = self.left.map(|left| left.saturating_sub(length));
            }
            _ => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && self.held.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.body.size_hint();
        let held = self.held.as_ref().and_then(Frame::data_ref).map_or(0, |data| data.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + held);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + held);
        }
        hint
    }
}
