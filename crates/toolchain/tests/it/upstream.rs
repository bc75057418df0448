//! A server that guests send requests to: slow in another way each time, and gone when it is
//! stopped.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use nexus_exec::{Body, CallContext, EmitError, Host, HttpError, HttpTimeouts};
use nexus_model::{Event, EventId};

/// Answers `/delay/{ms}/{pieces}` after that time, and a little more each time, with a body of so
/// many pieces.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    requests: AtomicUsize,
    stopped: Mutex<bool>,
    stopping: Condvar,
}

impl Shared {
    /// Whether the server goes on.
    fn wait(&self, ms: u64) -> bool {
        let stopped = self.stopped.lock().unwrap();
        let time = Duration::from_millis(ms);
        !*self.stopping.wait_timeout_while(stopped, time, |stopped| !*stopped).unwrap().0
    }

    fn answer(&self, stream: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut head = String::new();
        while head != "\r\n" {
            head.clear();
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let count = self.requests.fetch_add(1, Ordering::SeqCst) as u64;
        let path = line.split(' ').nth(1).unwrap_or_default();
        let mut numbers = path.split('/').skip(2).map(|text| text.parse::<u64>().unwrap_or(0));
        let (ms, pieces) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let mut stream = stream;
        if !self.wait(ms + count * 7 % 13) {
            return Ok(());
        }
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nx-count: {count}\r\ntransfer-encoding: chunked\r\n\r\n"
        )?;
        for piece in 0..pieces {
            let text = format!("[{piece} of {count}]");
            write!(stream, "{:x}\r\n{text}\r\n", text.len())?;
            if !self.wait((piece + count) % 3) {
                return Ok(());
            }
        }
        stream.write_all(b"0\r\n\r\n")?;
        // The client closes first: nothing is lost.
        reader.read_to_end(&mut Vec::new()).map(drop)
    }
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let serving = shared.clone();
        let accepting = std::thread::spawn(move || {
            let mut connections = Vec::new();
            for stream in listener.incoming().flatten() {
                if *serving.stopped.lock().unwrap() {
                    break;
                }
                let serving = serving.clone();
                // A client that breaks off has seen enough.
                connections.push(std::thread::spawn(move || drop(serving.answer(&stream))));
            }
            drop(listener);
            connections.into_iter().for_each(|connection| connection.join().unwrap());
        });
        Upstream { address, shared, accepting: Some(accepting) }
    }

    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Ends it: from now on nobody listens there.
    pub(crate) fn stop(&mut self) {
        let Some(accepting) = self.accepting.take() else { return };
        *self.shared.stopped.lock().unwrap() = true;
        self.shared.stopping.notify_all();
        // Wakes the loop.
        let _ = TcpStream::connect(self.address);
        accepting.join().unwrap();
        assert!(TcpStream::connect(self.address).is_err(), "it still listens");
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sends the guest's requests to where they want to go.
pub(crate) struct Network;

#[async_trait]
impl Host for Network {
    async fn http(
        &self,
        _: &CallContext,
        request: http::Request<Body>,
        _: HttpTimeouts,
    ) -> Result<http::Response<Body>, HttpError> {
        let broken = |error: hyper::Error| HttpError::Broken(error.to_string());
        let authority = request.uri().authority().unwrap().to_string();
        let (mut head, body) = request.into_parts();
        head.headers.insert("host", authority.parse().unwrap());
        head.uri = head.uri.path_and_query().unwrap().as_str().parse().unwrap();
        let socket = tokio::net::TcpStream::connect(&authority).await;
        let socket = socket.map_err(|error| HttpError::Refused(error.to_string()))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.map_err(broken)?;
        #[expect(clippy::disallowed_methods, reason = "it ends with the response's body")]
        drop(tokio::spawn(connection));
        let response = sender.send_request(http::Request::from_parts(head, body)).await;
        Ok(response.map_err(broken)?.map(|body| body.map_err(Into::into).boxed_unsync()))
    }

    async fn emit(&self, _: &CallContext, _: Vec<Event>) -> Result<Vec<EventId>, EmitError> {
        Err(EmitError::Unavailable("no guest here emits".into()))
    }
}
