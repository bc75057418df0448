//! Load over HTTP/1.1: each connection sends its next request when it has the answer to the one
//! before. Prints one JSON document.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Error;

/// What to send, from the command line as JSON.
#[derive(serde::Deserialize)]
pub struct Plan {
    address: String,
    path: String,
    headers: BTreeMap<String, String>,
    /// A file of JSON.
    body: String,
    connections: usize,
    #[serde(flatten)]
    until: Until,
    what: What,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Until {
    Seconds(f64),
    /// How many bodies are sent, in batches or singly.
    Count(usize),
}

#[derive(serde::Deserialize, Clone)]
#[serde(rename_all = "kebab-case")]
enum What {
    /// The body.
    Single,
    /// CloudEvents of this type with the body as data, this many in a request. `run` makes their
    /// ids new.
    Batch { size: usize, r#type: String, run: String },
}

struct Work {
    plan: Plan,
    body: Bytes,
    next: AtomicUsize,
    deadline: Option<Instant>,
}

/// Runs a plan: how many bodies were sent, how many per second, and how long exchanges took.
pub async fn run(plan: &str) -> Result<(), Error> {
    let plan: Plan = serde_json::from_str(plan)?;
    let body = std::fs::read(&plan.body)
        .map_err(|error| format!("failed to read {}: {error}", plan.body))?;
    let mut connections = Vec::new();
    for _ in 0..plan.connections {
        connections.push(Connection::open(&plan).await?);
    }
    // Whoever waits for what follows starts a clock at this line.
    println!("begun");
    let begun = Instant::now();
    let deadline = match plan.until {
        Until::Seconds(seconds) => Some(begun + Duration::from_secs_f64(seconds)),
        Until::Count(_) => None,
    };
    let work = Work { plan, body: body.into(), next: AtomicUsize::new(0), deadline };
    let work = Arc::new(work);
    let mut tasks = JoinSet::new();
    for connection in connections {
        tasks.spawn(connection.work(Arc::clone(&work)));
    }
    let (mut sent, mut took) = (0, Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (bodies, times) = done??;
        sent += bodies;
        took.extend(times);
    }
    let seconds = begun.elapsed().as_secs_f64();
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied();
    let document = serde_json::json!({
        "sent": sent,
        "per_s": sent as f64 / seconds,
        "p50_us": at(0.5),
        "p99_us": at(0.99),
    });
    println!("{document}");
    Ok(())
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    headers: HeaderMap,
}

impl Connection {
    async fn open(plan: &Plan) -> Result<Self, Error> {
        let stream = TcpStream::connect(&plan.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, plan.address.parse()?);
        for (name, value) in &plan.headers {
            headers.insert(hyper::header::HeaderName::from_bytes(name.as_bytes())?, value.parse()?);
        }
        Ok(Connection { sender, headers })
    }

    /// Sends until there is nothing left to do: how many bodies, and how long each exchange took.
    async fn work(mut self, work: Arc<Work>) -> Result<(usize, Vec<f64>), Error> {
        let (mut sent, mut took) = (0, Vec::new());
        while let Some((first, size)) = work.take() {
            let begun = Instant::now();
            self.exchange(&work, first, size).await?;
            took.push(begun.elapsed().as_secs_f64() * 1e6);
            sent += size;
        }
        Ok((sent, took))
    }

    async fn exchange(&mut self, work: &Work, first: usize, size: usize) -> Result<(), Error> {
        let body = match &work.plan.what {
            What::Batch { r#type, run, .. } => work.batch((first, size), r#type, run)?,
            What::Single => work.body.clone(),
        };
        let path = &work.plan.path;
        let mut request = Request::new(Full::new(body));
        *request.headers_mut() = self.headers.clone();
        *request.method_mut() = Method::POST;
        *request.uri_mut() = path.parse()?;
        let answer = self.sender.send_request(request).await?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        // A call that has not ended in time is answered with 202, and leads to its result.
        let unfinished = path.contains("wait=") && head.status == StatusCode::ACCEPTED;
        if !head.status.is_success() || unfinished {
            let text = String::from_utf8_lossy(&body);
            return Err(format!("{path} was answered with {}: {text}", head.status).into());
        }
        Ok(())
    }
}

impl Work {
    /// The number of the next body, and how many belong together.
    fn take(&self) -> Option<(usize, usize)> {
        let size = match self.plan.what {
            What::Batch { size, .. } => size,
            What::Single => 1,
        };
        let first = self.next.fetch_add(size, Ordering::Relaxed);
        match (&self.plan.until, self.deadline) {
            (Until::Count(count), _) => {
                Some((first, size.min(count.saturating_sub(first)))).filter(|(_, size)| *size > 0)
            }
            (Until::Seconds(_), deadline) => {
                deadline.is_some_and(|at| Instant::now() < at).then_some((first, size))
            }
        }
    }

    fn batch(&self, (first, size): (usize, usize), ty: &str, run: &str) -> Result<Bytes, Error> {
        let data = std::str::from_utf8(&self.body)?;
        let events: Vec<String> = (first..first + size)
            .map(|number| {
                format!(
                    r#"{{"specversion":"1.0","source":"/bench","type":"{ty}","id":"{run}-{number}","data":{data}}}"#
                )
            })
            .collect();
        Ok(format!("[{}]", events.join(",")).into())
    }
}
