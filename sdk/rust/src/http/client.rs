//! The client's side.

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method, OutgoingBody,
    OutgoingRequest, Scheme,
};
use wasip2::io::streams::InputStream;

/// Why a request had no answer. Becomes a transient [`crate::Error`] by `?`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpError(String);

impl std::fmt::Display for HttpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for HttpError {}

/// A request to send elsewhere.
#[derive(Clone, Debug)]
pub struct Send {
    method: String,
    url: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Send {
    /// Any method.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Send { method: method.into(), url: url.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// A `GET`.
    pub fn get(url: impl Into<String>) -> Self {
        Send::new("GET", url)
    }

    /// A `POST` of bytes.
    pub fn post(url: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Send { body: body.into(), ..Send::new("POST", url) }
    }

    /// With one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }

    /// Sends it and waits for the head of the answer.
    pub fn wait(self) -> Result<Answer, HttpError> {
        self.start()?.wait()
    }

    /// Sends it without waiting: several can be under way at once.
    pub fn start(self) -> Result<Pending, HttpError> {
        let failed = |what: String| HttpError(format!("{} {}: {what}", self.method, self.url));
        let (scheme, rest) =
            self.url.split_once("://").ok_or_else(|| failed("the URL has no scheme".into()))?;
        let at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let mut headers = self.headers.clone();
        if !self.body.is_empty() {
            headers.push(("content-length".into(), self.body.len().to_string().into_bytes()));
        }
        let fields = Fields::from_list(&headers).map_err(|error| failed(error.to_string()))?;
        let request = OutgoingRequest::new(fields);
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => Scheme::Other(other.to_owned()),
        };
        let refused = |()| failed("the request is not valid".into());
        request.set_method(&method(&self.method)).map_err(refused)?;
        request.set_scheme(Some(&scheme)).map_err(refused)?;
        request.set_authority(Some(authority)).map_err(refused)?;
        request.set_path_with_query(Some(&path)).map_err(refused)?;
        let body = request.body().map_err(refused)?;
        let future =
            outgoing_handler::handle(request, None).map_err(|error| failed(error.to_string()))?;
        let stream = body.write().map_err(refused)?;
        for part in self.body.chunks(4096) {
            // What the other side does not take shows in its answer.
            if stream.blocking_write_and_flush(part).is_err() {
                break;
            }
        }
        drop(stream);
        OutgoingBody::finish(body, None).map_err(|error| failed(error.to_string()))?;
        Ok(Pending { future, what: format!("{} {}", self.method, self.url) })
    }
}

fn method(text: &str) -> Method {
    match text {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

/// A request that is under way.
#[derive(Debug)]
pub struct Pending {
    future: FutureIncomingResponse,
    what: String,
}

impl Pending {
    /// Waits for the head of the answer.
    pub fn wait(self) -> Result<Answer, HttpError> {
        self.future.subscribe().block();
        let failed = |what: String| HttpError(format!("{}: {what}", self.what));
        match self.future.get() {
            Some(Ok(Ok(response))) => Answer::new(response).map_err(failed),
            Some(Ok(Err(error))) => Err(failed(error.to_string())),
            Some(Err(())) | None => Err(failed("the answer was taken already".into())),
        }
    }
}

/// An answer. Its body is read when it is asked for.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    // Streams are children of what they came from: dropped in this order.
    stream: InputStream,
    _body: IncomingBody,
    _response: IncomingResponse,
}

impl Answer {
    fn new(response: IncomingResponse) -> Result<Self, String> {
        let taken = |()| "the body was taken already".to_owned();
        let body = response.consume().map_err(taken)?;
        Ok(Answer {
            status: response.status(),
            headers: response.headers().entries(),
            stream: body.stream().map_err(taken)?,
            _body: body,
            _response: response,
        })
    }

    /// The first header of that name, unless it is not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        super::header(&self.headers, name)
    }

    /// The rest of the body.
    pub fn body(&mut self) -> Result<Vec<u8>, HttpError> {
        super::read_all(&self.stream).map_err(HttpError)
    }

    /// The next piece of the body as it arrives; `None` at its end.
    pub fn read(&mut self) -> Result<Option<Vec<u8>>, HttpError> {
        super::read_piece(&self.stream).map_err(HttpError)
    }
}
