//! One connection from its first byte to its last.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use nexus_model::{Code, Problem};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::registry::{Command, Connection, InFlight};
use super::stream::{Protocol, Stream};
use super::turns::{StepsBack, Turns};
use super::{Body, Handler, ServerLimits};

/// How often an HTTP/2 peer that says nothing is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// The receive windows of HTTP/2: of a stream, and of a connection.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// What the protocol takes at most of a head, besides its size: header fields, and bytes of the path
/// with its query. Both are hyper's own.
const HEADER_FIELDS_MAX: usize = 100;
const PATH_BYTES_MAX: usize = 65_534;
/// How much is read behind a head that was refused, and for how long.
const LINGER_BYTES_MAX: usize = 1 << 20;
const LINGER_TIME: Duration = Duration::from_secs(1);

/// Serves a connection until it ends. `alpn` says what TLS negotiated, if anything.
pub(super) async fn serve<S, H>(
    socket: S,
    connection: Arc<Connection>,
    handler: Arc<H>,
    limits: ServerLimits,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let mut stream = Stream::new(socket, Arc::clone(&connection));
    let detected = match timeout(limits.header_timeout, detect(&mut stream, &connection)).await {
        Ok(Ok(Some(protocol))) => protocol,
        // Gone, broken or told to close before the first word: nobody to answer.
        Ok(Ok(None) | Err(_)) => return,
        Err(_) => return answer_timeout(stream.into_inner()).await,
    };
    match detected {
        Protocol::Http1 => serve_http1(stream, connection, handler, limits).await,
        Protocol::Http2 => serve_http2(stream, connection, handler, limits).await,
    }
}

/// Looks at the first bytes, unless the connection is told to close meanwhile.
async fn detect<S: AsyncRead + Unpin>(
    stream: &mut Stream<S>,
    connection: &Connection,
) -> io::Result<Option<Protocol>> {
    let mut detected = std::pin::pin!(stream.detect());
    poll_fn(|cx| match connection.command(cx.waker()) {
        Command::Serve => detected.as_mut().poll(cx),
        _ => Poll::Ready(Ok(None)),
    })
    .await
}

async fn serve_http1<S, H>(
    stream: Stream<S>,
    connection: Arc<Connection>,
    handler: Arc<H>,
    limits: ServerLimits,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    connection.speaks_http1();
    let service = service_fn(|request| respond(&connection, &handler, request));
    // Slow heads are the sweeper's: a timer per request would cost more than the rest of its head.
    // A client that closes its side has gone away (half-open requests are cancelled).
    let mut serving = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(limits.header_bytes_max.max(8 << 10))
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut draining = false;
    let mut step = |cx: &mut Context<'_>| {
        match connection.command(cx.waker()) {
            Command::Serve => {}
            Command::Drain | Command::Cut if draining => {}
            Command::Drain | Command::Cut => {
                draining = true;
                Pin::new(&mut serving).graceful_shutdown();
            }
            Command::TimeOut => return Poll::Ready(End::TimedOut),
            Command::Kill => return Poll::Ready(End::Killed),
        }
        Pin::new(&mut serving).poll(cx).map(|served| End::Served(served.err()))
    };
    let turns = Turns::new();
    let end = poll_fn(|cx| {
        turns.take(cx, |cx| {
            let polled = step(cx);
            match polled.is_pending() && connection.takes_step_back() {
                true => Err(StepsBack),
                false => Ok(polled),
            }
        })
    });
    let end = end.await;
    let stream = serving.into_parts().io.into_inner();
    match end {
        End::TimedOut => answer_timeout(stream.into_inner()).await,
        End::Served(error) if stream.refused() => {
            refuse(stream.into_inner(), &refusal(error.as_ref(), limits)).await;
        }
        // Whoever could read about another error of the connection is gone.
        End::Served(_) | End::Killed => {}
    }
}

/// How a connection of HTTP/1.1 came to its end.
enum End {
    Served(Option<hyper::Error>),
    TimedOut,
    Killed,
}

/// What is wrong with a head of which no request could be made.
fn refusal(error: Option<&hyper::Error>, limits: ServerLimits) -> Problem {
    let Some(error) = error else {
        return Problem::new(Code::BadRequest, "the head of the request cannot be read");
    };
    if error.is_parse_too_large() {
        let (bytes, fields) = (limits.header_bytes_max, HEADER_FIELDS_MAX);
        return Problem::new(
            Code::HeadTooLarge,
            format!(
                "the head of the request has more than {bytes} bytes, more than {fields} header \
                 fields or a path of more than {PATH_BYTES_MAX} bytes, the limits"
            ),
        );
    }
    let detail = format!("the head of the request cannot be read: {error}");
    Problem::new(Code::BadRequest, detail)
}

/// Answers and closes; reads on for a moment, because a connection that is closed with unread bytes
/// in it takes the answer with it.
async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, problem: &Problem) {
    answer_and_close(&mut stream, problem).await;
    let mut buffer = vec![0; 16 << 10];
    let discard = async {
        let mut left = LINGER_BYTES_MAX;
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            match left.checked_sub(read) {
                Some(fewer) => left = fewer,
                None => break,
            }
        }
    };
    let _ = timeout(LINGER_TIME, discard).await;
}

async fn serve_http2<S, H>(
    stream: Stream<S>,
    connection: Arc<Connection>,
    handler: Arc<H>,
    limits: ServerLimits,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let service = service_fn(|request| {
        let (connection, handler) = (Arc::clone(&connection), Arc::clone(&handler));
        async move { respond(&connection, &handler, request).await }
    });
    let mut serving = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL)
        .max_concurrent_streams(limits.streams_max)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut draining = false;
    poll_fn(|cx| {
        match connection.command(cx.waker()) {
            Command::Serve => {}
            Command::Drain | Command::Cut if draining => {}
            Command::Drain | Command::Cut => {
                draining = true;
                Pin::new(&mut serving).graceful_shutdown();
            }
            Command::TimeOut | Command::Kill => return Poll::Ready(()),
        }
        Pin::new(&mut serving).poll(cx).map(|_| ())
    })
    .await;
}

async fn respond<H: Handler>(
    connection: &Arc<Connection>,
    handler: &Arc<H>,
    request: Request<Incoming>,
) -> Result<Response<Tracked>, std::convert::Infallible> {
    let in_flight = connection.begin();
    let mut handled = pin!(Arc::clone(handler).handle(&connection.peer, request));
    let mut cut = pin!(connection.cut());
    let response = poll_fn(|cx| match handled.as_mut().poll(cx) {
        Poll::Pending => cut.as_mut().poll(cx).map(|()| answer(&stopped())),
        answered => answered,
    });
    let response = response.await;
    Ok(response.map(|body| Tracked { body, _in_flight: in_flight }))
}

/// What is said to requests that come, or have no answer, when the server stops.
pub(super) fn stopped() -> Problem {
    Problem::new(Code::ShuttingDown, "the server is shutting down")
}

fn answer(problem: &Problem) -> Response<Body> {
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut response =
        Response::new(Full::from(body).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(problem.status).unwrap_or_default();
    let problem = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(CONTENT_TYPE, problem);
    response
}

/// A response body that knows when it has ended.
struct Tracked {
    body: Body,
    _in_flight: InFlight,
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

async fn answer_timeout<S: AsyncWrite + Unpin>(stream: S) {
    answer_and_close(
        stream,
        &Problem::new(Code::RequestTimeout, "the head of the request came too slowly"),
    )
    .await;
}

/// Writes a problem by hand where no request was parsed that the protocol could answer. HTTP/1.1
/// only; whether it arrives is not our concern any more.
pub(super) async fn answer_and_close<S: AsyncWrite + Unpin>(mut stream: S, problem: &Problem) {
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let reason = http::StatusCode::from_u16(problem.status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error");
    let head = format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: application/problem+json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        problem.status,
        body.len()
    );
    let written = async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&body).await?;
        stream.shutdown().await
    };
    let _ = timeout(Duration::from_secs(1), written).await;
}
