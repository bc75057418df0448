//! Whether the body of a request came whole. A function that fails because its caller stopped sending has
//! not failed: neither its statistics nor its breaker may say so.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use nexus_exec::{Body, BodyError, Ended};
use nexus_model::Code;
use nexus_model::record::{Failure, Status};

/// What became of the body of a request, known once it was read.
#[derive(Clone, Default)]
pub(crate) struct Upload(Option<Arc<OnceLock<String>>>);

struct Watched {
    body: Body,
    broken: Arc<OnceLock<String>>,
}

impl Upload {
    /// Watches the body of a request while it is read.
    pub(crate) fn watch(request: Request<Body>) -> (Request<Body>, Upload) {
        if request.body().is_end_stream() {
            return (request, Upload(None));
        }
        let broken = Arc::<OnceLock<String>>::default();
        let watched = Arc::clone(&broken);
        let request = request.map(|body| Watched { body, broken: watched }.boxed_unsync());
        (request, Upload(Some(broken)))
    }

    /// Makes the end of a call that of its caller, where the body broke off and the call came to nothing.
    pub(crate) fn settle(&self, ended: &mut Ended) {
        let Some(why) = self.0.as_ref().and_then(|broken| broken.get()) else { return };
        if ended.status == Status::Succeeded {
            return;
        }
        ended.status = Status::Cancelled;
        ended.failure = Some(Failure {
            code: Code::Cancelled.as_str().to_owned(),
            message: why.clone(),
            ..Failure::default()
        });
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Err(error))) = &frame {
            let _ = self.broken.set(error.to_string());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::{Full, StreamBody};

    use super::*;

    async fn settled(body: Body, status: Status) -> Ended {
        let (request, upload) = Upload::watch(Request::new(body));
        let _ = request.into_body().collect().await;
        let mut ended = Ended { status, ..Ended::default() };
        upload.settle(&mut ended);
        ended
    }

    #[tokio::test]
    async fn who_stops_sending_ends_the_call_and_not_the_function() {
        let broken = || {
            let pieces = [Ok(Frame::data(Bytes::from("abc"))), Err(BodyError::from("too slow"))];
            StreamBody::new(stream::iter(pieces)).boxed_unsync()
        };
        let whole = || Full::from("abc").map_err(|never| match never {}).boxed_unsync();
        for failed in [Status::Failed, Status::Trapped, Status::TimedOut] {
            let ended = settled(broken(), failed).await;
            assert_eq!(ended.status, Status::Cancelled);
            let failure = ended.failure.unwrap();
            assert_eq!((failure.code.as_str(), &*failure.message), ("NX5007", "too slow"));
            assert_eq!(settled(whole(), failed).await.status, failed);
        }
        // It did not need the rest.
        assert_eq!(settled(broken(), Status::Succeeded).await.status, Status::Succeeded);
    }
}
