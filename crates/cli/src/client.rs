//! The HTTP client of the API: requests, problems, pages, streams.

use std::io::{BufRead as _, BufReader, Read as _};
use std::time::Duration;

use nexus_model::{Page, Problem, limits};
use serde::de::DeserializeOwned;
use ureq::http;
use ureq::tls::TlsConfig;

use crate::connection::Found;
use crate::units::show_size;
use crate::{Error, trust};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 256 << 20;
/// Bodies from this size on wait until the server has looked at the head of the request, in bytes. A
/// server that refuses says so then; later it may close the connection before its answer is read.
const ASK_FIRST_BYTES: usize = 1 << 20;

/// A token. It does not print.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a token.
    pub fn new(token: String) -> Self {
        Secret(token)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("nx_…")
    }
}

/// A place of the API: path segments and query, encoded when used.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    segments: Vec<String>,
    query: Vec<(String, String)>,
}

impl Place {
    /// Below `/api/v1`.
    pub(crate) fn api<'a>(segments: impl IntoIterator<Item = &'a str>) -> Self {
        let mut place = Place::root(["api", "v1"]);
        place.segments.extend(segments.into_iter().map(str::to_owned));
        place
    }

    /// From the root.
    pub(crate) fn root<'a>(segments: impl IntoIterator<Item = &'a str>) -> Self {
        let segments = segments.into_iter().map(str::to_owned).collect();
        Place { segments, query: Vec::new() }
    }

    /// One more segment.
    pub(crate) fn join(mut self, segment: &str) -> Self {
        self.segments.push(segment.to_owned());
        self
    }

    /// Adds a query parameter.
    pub(crate) fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.query.push((name.to_owned(), value.to_string()));
        self
    }

    /// Adds a query parameter, when there is a value.
    pub(crate) fn maybe(self, name: &str, value: Option<impl std::fmt::Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}

/// What is sent.
pub(crate) struct Send<'a> {
    pub(crate) method: &'static str,
    pub(crate) place: Place,
    pub(crate) content_type: &'a str,
    pub(crate) body: Option<Vec<u8>>,
}

/// What came back, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header as text; empty when absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

/// A client of one server. Clones share its connections.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    base: url::Url,
    token: Option<Secret>,
    /// What to do when nobody answers.
    unreachable: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Client {
    /// A client; connects when it is used.
    ///
    /// # Errors
    /// The address is not a URL; the certificates that are to be trusted cannot be read.
    pub fn new(found: &Found) -> Result<Self, Error> {
        let base: url::Url = found.api.parse().map_err(|error| Error::Usage {
            message: format!("'{}' is not a server's address: {error}", found.api),
            hint: Some("use a URL such as http://127.0.0.1:7070".into()),
        })?;
        if base.cannot_be_a_base() || !matches!(base.scheme(), "http" | "https") {
            return Err(Error::usage(format!("'{base}' is not an http or https address")));
        }
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("nexus-cli/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_TIMEOUT));
        if is_local(&base) {
            // A proxy of the environment cannot reach this machine.
            config = config.proxy(None);
        }
        if base.scheme() == "https" {
            let roots = trust::roots(found.ca_certificate.as_deref())?;
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        let unreachable = match &found.file {
            // A server that stops by itself takes its file away.
            Some(file) => format!(
                "the server of {} was killed: start it again with `nexus dev` or `nexus serve`",
                file.data.display()
            ),
            None if is_local(&base) => "start one with `nexus dev`".to_owned(),
            None => "is the address right, and can this machine reach it?".to_owned(),
        };
        let (agent, token) = (config.build().new_agent(), found.token.clone());
        Ok(Client { agent, base, token, unreachable })
    }

    /// The server's address.
    pub fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Reads a JSON value.
    pub(crate) fn get<T: DeserializeOwned>(&self, place: Place) -> Result<T, Error> {
        self.json(Send { method: "GET", place, content_type: "", body: None })
    }

    /// Sends something and reads a JSON value.
    pub(crate) fn json<T: DeserializeOwned>(&self, send: Send<'_>) -> Result<T, Error> {
        let what = format!("the answer to {} {}", send.method, self.url(&send.place).path());
        let answer = self.whole(send)?;
        let answer = self.success(answer)?;
        let body = if answer.body.is_empty() { b"null" } else { &answer.body[..] };
        serde_json::from_slice(body)
            .map_err(|error| Error::Protocol { what, reason: error.to_string() })
    }

    /// Deletes something.
    pub(crate) fn delete(&self, place: Place) -> Result<(), Error> {
        let answer = self.whole(Send { method: "DELETE", place, content_type: "", body: None })?;
        self.success(answer).map(drop)
    }

    /// Sends something and reads the whole answer, whatever its status.
    pub(crate) fn whole(&self, send: Send<'_>) -> Result<Answer, Error> {
        self.whole_with(send, &[])
    }

    /// As [`whole`](Self::whole), with further headers.
    pub(crate) fn whole_with(
        &self,
        send: Send<'_>,
        headers: &[(String, String)],
    ) -> Result<Answer, Error> {
        let mut response = self.start(send, headers)?;
        let mut body = Vec::new();
        response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .reader()
            .read_to_end(&mut body)
            .map_err(|error| self.failed(ureq::Error::Io(error)))?;
        Ok(Answer { status: response.status().as_u16(), headers: response.headers().clone(), body })
    }

    /// Reads a list page by page until `limit` items came; says whether there are more.
    pub(crate) fn pages<T: DeserializeOwned>(
        &self,
        place: Place,
        limit: usize,
        each: &mut dyn FnMut(T) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        self.whole_pages(place, limit, &mut |items| items.into_iter().try_for_each(&mut *each))
    }

    /// The same with the items of each page together, for lists whose pages are not in order.
    pub(crate) fn whole_pages<T: DeserializeOwned>(
        &self,
        place: Place,
        limit: usize,
        each: &mut dyn FnMut(Vec<T>) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let (mut left, mut cursor) = (limit, None::<String>);
        loop {
            let page = place
                .clone()
                .with("limit", left.clamp(1, limits::PAGE_ITEMS_MAX))
                .maybe("cursor", cursor.as_ref());
            let mut page: Page<T> = self.get(page)?;
            let is_cut = page.items.len() > left;
            page.items.truncate(left);
            left -= page.items.len();
            each(page.items)?;
            match page.next {
                _ if is_cut => return Ok(true),
                None => return Ok(false),
                Some(_) if left == 0 => return Ok(true),
                Some(next) => cursor = Some(next),
            }
        }
    }

    /// Reads a short list whole.
    pub(crate) fn list<T: DeserializeOwned>(&self, place: Place) -> Result<Vec<T>, Error> {
        let mut items = Vec::new();
        self.pages(place, usize::MAX, &mut |item| {
            items.push(item);
            Ok(())
        })?;
        Ok(items)
    }

    /// Opens a stream of server-sent events. It begins with what happens after this call.
    pub(crate) fn stream(&self, place: Place, last: Option<&str>) -> Result<Stream, Error> {
        let mut request = self.request("GET", &place).header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(()).map_err(|error| self.failed(error.into()))?;
        let response = self.agent.run(request).map_err(|error| self.failed(error))?;
        if response.status().as_u16() != 200 {
            let status = response.status().as_u16();
            let headers = response.headers().clone();
            let mut body = Vec::new();
            let reader = response.into_body().into_reader();
            let _ = reader.take(ANSWER_BYTES_MAX).read_to_end(&mut body);
            return Err(self.refused(&Answer { status, headers, body }));
        }
        let reader: Box<dyn std::io::Read + std::marker::Send> =
            Box::new(response.into_body().into_reader());
        Ok(Stream { lines: BufReader::new(reader), last: last.map(str::to_owned) })
    }

    /// The answer, unless it says that something went wrong.
    pub(crate) fn success(&self, answer: Answer) -> Result<Answer, Error> {
        match (200..300).contains(&answer.status) {
            true => Ok(answer),
            false => Err(self.refused(&answer)),
        }
    }

    /// The answer of a function, whatever it is; not that of a server that has none or is away.
    pub(crate) fn of_function(&self, answer: Answer) -> Result<Answer, Error> {
        let between = answer.header("nexus-invocation-id").is_empty() && is_between(answer.status);
        match between || problem(&answer).is_some() {
            true => Err(self.refused(&answer)),
            false => Ok(answer),
        }
    }

    fn refused(&self, answer: &Answer) -> Error {
        if let Some(problem) = problem(answer) {
            return Error::Problem(Box::new(problem));
        }
        let (server, status) = (self.address().to_owned(), answer.status);
        let text = String::from_utf8_lossy(&answer.body);
        let reason: String = text.trim().chars().take(200).collect();
        let reason = if reason.is_empty() { "no body".to_owned() } else { reason };
        match is_between(status) {
            true => Error::Away { server, status, reason },
            false => Error::Protocol { what: format!("the answer with status {status}"), reason },
        }
    }

    fn start(
        &self,
        send: Send<'_>,
        headers: &[(String, String)],
    ) -> Result<http::Response<ureq::Body>, Error> {
        let mut request = self.request(send.method, &send.place);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if !send.content_type.is_empty() {
            request = request.header("content-type", send.content_type);
        }
        let size = send.body.as_ref().map_or(0, Vec::len);
        if size >= ASK_FIRST_BYTES {
            request = request.header("expect", "100-continue");
        }
        let answer = match send.body {
            Some(body) => request.body(body).map(|request| self.agent.run(request)),
            None => request.body(()).map(|request| self.agent.run(request)),
        };
        answer.map_err(ureq::Error::Http).and_then(|done| done).map_err(|error| {
            // Something between may have sent the body on without asking.
            match size >= ASK_FIRST_BYTES && closed(&error) {
                true => Error::Cut {
                    server: self.address().to_owned(),
                    size: show_size(size as u64),
                    source: Box::new(error),
                },
                false => self.failed(error),
            }
        })
    }

    fn request(&self, method: &str, place: &Place) -> http::request::Builder {
        let builder = http::Request::builder().method(method).uri(self.url(place).as_str());
        match &self.token {
            Some(token) => builder.header("authorization", format!("Bearer {}", token.0)),
            None => builder,
        }
    }

    fn url(&self, place: &Place) -> url::Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(&place.segments);
        }
        if !place.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&place.query);
        }
        url
    }

    fn failed(&self, source: ureq::Error) -> Error {
        let server = self.address().to_owned();
        let nobody = match &source {
            ureq::Error::Io(error) => matches!(
                error.kind(),
                std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::AddrNotAvailable
            ),
            ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => true,
            ureq::Error::Timeout(ureq::Timeout::Connect) => true,
            _ => false,
        };
        let hint = match (trust::failure(&source), &source) {
            (Some(rustls::Error::InvalidCertificate(reason)), _) => {
                let hint = trust::advice(reason);
                return Error::Certificate { server, hint, source: Box::new(source) };
            }
            (Some(rustls::Error::InvalidMessage(_)), _) => {
                Some("if the server speaks no TLS, its address begins with http://")
            }
            (None, ureq::Error::Protocol(_)) if self.base.scheme() == "http" => {
                Some("if the server speaks TLS, its address begins with https://")
            }
            _ => None,
        };
        let source = Box::new(source);
        match nobody {
            true => Error::Unreachable { server, hint: self.unreachable.clone(), source },
            false => Error::Connection { server, hint, source },
        }
    }
}

/// Whether an address is one of this machine.
fn is_local(base: &url::Url) -> bool {
    match base.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Statuses of what stands before a server and does not reach it.
fn is_between(status: u16) -> bool {
    matches!(status, 502..=504)
}

/// Whether the other side closed the connection while something was sent to it.
fn closed(error: &ureq::Error) -> bool {
    use std::io::ErrorKind as Kind;
    match error {
        ureq::Error::Io(error) => matches!(
            error.kind(),
            Kind::BrokenPipe | Kind::ConnectionReset | Kind::ConnectionAborted
        ),
        _ => false,
    }
}

/// The problem in an answer, if it is one of Nexus.
pub(crate) fn problem(answer: &Answer) -> Option<Problem> {
    let media_type = answer.header("content-type");
    if !media_type.starts_with("application/problem+json") {
        return None;
    }
    serde_json::from_slice(&answer.body).ok()
}

/// A stream of server-sent events.
pub(crate) struct Stream {
    lines: BufReader<Box<dyn std::io::Read + std::marker::Send>>,
    last: Option<String>,
}

impl Stream {
    /// The id of the last message, to go on after it.
    pub(crate) fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// The data of the next message; `None` when the stream ended or broke.
    pub(crate) fn next(&mut self) -> Option<String> {
        let (mut data, mut id) = (String::new(), None);
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() {
                if let Some(id) = id.take() {
                    self.last = Some(id);
                }
                if !data.is_empty() {
                    return Some(data);
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "data" => {
                    if !data.is_empty() {
                        data.push('\n');
                    }
                    data.push_str(value);
                }
                "id" => id = Some(value.to_owned()),
                _ => {}
            }
        }
    }
}
