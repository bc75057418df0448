//! The server's side.

use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingResponse,
    ResponseOutparam, Scheme,
};
use wasip2::io::streams::{InputStream, OutputStream};

use crate::Error;

/// A request that came in. Its body is read when it is asked for.
#[derive(Debug)]
pub struct Request {
    method: String,
    path_with_query: String,
    authority: String,
    https: bool,
    headers: Vec<(String, Vec<u8>)>,
    // Streams are children of what they came from: dropped in this order.
    stream: Option<InputStream>,
    _body: Option<IncomingBody>,
    _request: Option<IncomingRequest>,
    /// Instead of a stream, in tests.
    bytes: Vec<u8>,
}

impl Request {
    /// A request for tests: no host is asked for anything.
    pub fn test(method: &str, path_with_query: &str, body: impl Into<Vec<u8>>) -> Self {
        Request {
            method: method.to_owned(),
            path_with_query: path_with_query.to_owned(),
            authority: "localhost".to_owned(),
            https: false,
            headers: Vec::new(),
            stream: None,
            _body: None,
            _request: None,
            bytes: body.into(),
        }
    }

    /// With a header, for tests.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }

    fn from_wasi(request: IncomingRequest) -> Self {
        let body = request.consume().ok();
        Request {
            method: method_text(&request.method()),
            path_with_query: request.path_with_query().unwrap_or_else(|| "/".to_owned()),
            authority: request.authority().unwrap_or_default(),
            https: matches!(request.scheme(), Some(Scheme::Https)),
            headers: request.headers().entries(),
            stream: body.as_ref().and_then(|body| body.stream().ok()),
            _body: body,
            _request: Some(request),
            bytes: Vec::new(),
        }
    }

    /// `GET`, `POST`, …
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The path without its query, as it was sent.
    pub fn path(&self) -> &str {
        self.path_with_query.split('?').next().unwrap_or("/")
    }

    /// The host and port that the client asked for.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether the client came by TLS.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The query's pairs, decoded, in order.
    pub fn query_pairs(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let query = self.path_with_query.split_once('?').map_or("", |(_, query)| query);
        query.split('&').filter(|part| !part.is_empty()).map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (super::decode(name), super::decode(value))
        })
    }

    /// The first value of a name in the query, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        self.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The first header of that name, unless it is not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        super::header(&self.headers, name)
    }

    /// All headers, in order.
    pub fn headers(&self) -> &[(String, Vec<u8>)] {
        &self.headers
    }

    /// The rest of the body.
    pub fn body(&mut self) -> Result<Vec<u8>, Error> {
        let mut all = std::mem::take(&mut self.bytes);
        if let Some(stream) = &self.stream {
            all.extend(super::read_all(stream).map_err(unreadable)?);
        }
        Ok(all)
    }

    /// The next piece of the body as it arrives; `None` at its end.
    pub fn read(&mut self) -> Result<Option<Vec<u8>>, Error> {
        if !self.bytes.is_empty() {
            return Ok(Some(std::mem::take(&mut self.bytes)));
        }
        match &self.stream {
            Some(stream) => super::read_piece(stream).map_err(unreadable),
            None => Ok(None),
        }
    }

    /// The body, from JSON.
    #[cfg(feature = "json")]
    pub fn json<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, Error> {
        serde_json::from_slice(&self.body()?)
            .map_err(|error| Error::Permanent(format!("the body does not fit: {error}")))
    }
}

fn unreadable(reason: String) -> Error {
    Error::Transient(format!("failed to read the request's body: {reason}"))
}

fn method_text(method: &Method) -> String {
    let known = match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(other) => other,
    };
    known.to_owned()
}

/// What a response says after its head.
pub enum Body {
    /// All of it.
    Bytes(Vec<u8>),
    /// Written piece by piece after the head was sent.
    Stream(Box<dyn FnOnce(&mut Sender) -> Result<(), Error>>),
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Body::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Body::Stream(_) => f.write_str("stream"),
        }
    }
}

/// A response to send.
#[derive(Debug)]
pub struct Response {
    /// The status, 200 to 599.
    pub status: u16,
    /// The headers, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Body,
}

impl Response {
    /// Any bytes.
    pub fn new(body: impl Into<Vec<u8>>) -> Self {
        Response { status: 200, headers: Vec::new(), body: Body::Bytes(body.into()) }
    }

    /// A text.
    pub fn text(body: impl Into<String>) -> Self {
        Response::new(body.into()).header("content-type", "text/plain; charset=utf-8")
    }

    /// A page.
    pub fn html(body: impl Into<String>) -> Self {
        Response::new(body.into()).header("content-type", "text/html; charset=utf-8")
    }

    /// JSON.
    #[cfg(feature = "json")]
    pub fn json(value: &impl serde::Serialize) -> Result<Self, Error> {
        Ok(Response::new(serde_json::to_vec(value)?).header("content-type", "application/json"))
    }

    /// A body that is written piece by piece.
    pub fn stream(write: impl FnOnce(&mut Sender) -> Result<(), Error> + 'static) -> Self {
        Response { status: 200, headers: Vec::new(), body: Body::Stream(Box::new(write)) }
    }

    /// With another status.
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// With one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }

    /// The body's bytes, for tests; empty for a stream.
    pub fn bytes(&self) -> &[u8] {
        match &self.body {
            Body::Bytes(bytes) => bytes,
            Body::Stream(_) => &[],
        }
    }
}

/// Where a streamed body goes.
pub struct Sender(OutputStream);

impl Sender {
    /// Sends a piece now; waits while the client is slow. Fails when the client went away.
    pub fn send(&mut self, piece: impl AsRef<[u8]>) -> Result<(), Error> {
        // The most that one blocking write takes.
        for part in piece.as_ref().chunks(4096) {
            self.0
                .blocking_write_and_flush(part)
                .map_err(|_| Error::Transient("the client went away".to_owned()))?;
        }
        Ok(())
    }
}

/// What a handler may return.
pub trait IntoResponse {
    /// The response, or why there is none.
    fn into_response(self) -> Result<Response, Error>;
}

impl IntoResponse for Response {
    fn into_response(self) -> Result<Response, Error> {
        Ok(self)
    }
}

impl<R: IntoResponse> IntoResponse for Result<R, Error> {
    fn into_response(self) -> Result<Response, Error> {
        self?.into_response()
    }
}

#[doc(hidden)]
pub fn run_http<R: IntoResponse>(
    request: IncomingRequest,
    out: ResponseOutparam,
    handler: fn(Request) -> R,
) {
    let sent = match handler(Request::from_wasi(request)).into_response() {
        Ok(response) => send(response, out),
        Err(error) => refuse(out, error.message().to_owned()),
    };
    if let Err(error) = sent {
        crate::error!(error.message());
    }
}

fn send(response: Response, out: ResponseOutparam) -> Result<(), Error> {
    let mut headers = response.headers;
    if let Body::Bytes(bytes) = &response.body {
        headers.push(("content-length".to_owned(), bytes.len().to_string().into_bytes()));
    }
    let fields = match Fields::from_list(&headers) {
        Ok(fields) => fields,
        Err(error) => return refuse(out, format!("a header of the response is wrong: {error}")),
    };
    let outgoing = OutgoingResponse::new(fields);
    if outgoing.set_status_code(response.status).is_err() {
        return refuse(out, format!("{} is no status", response.status));
    }
    let Ok(body) = outgoing.body() else {
        return refuse(out, "the response has no body to write".to_owned());
    };
    ResponseOutparam::set(out, Ok(outgoing));
    let gone = || Error::Transient("the client went away".to_owned());
    let mut sender = Sender(body.write().map_err(|()| gone())?);
    match response.body {
        Body::Bytes(bytes) => sender.send(bytes)?,
        Body::Stream(write) => write(&mut sender)?,
    }
    drop(sender);
    OutgoingBody::finish(body, None).map_err(|_| gone())
}

/// Answers with an error that the host shows as a failed invocation.
fn refuse(out: ResponseOutparam, reason: String) -> Result<(), Error> {
    ResponseOutparam::set(out, Err(ErrorCode::InternalError(Some(reason.clone()))));
    Err(Error::Permanent(reason))
}
