//! A client of NATS JetStream: publishers that wait for each acknowledgement, and a pull consumer
//! that acknowledges each message. Both print one JSON document.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_nats::header::{
    HeaderMap, NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE,
};
use async_nats::jetstream::{self, consumer, stream};
use async_nats::{Client, Message};
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::task::JoinSet;

use crate::{Error, order};

const STREAM: &str = "BENCH";
const SUBJECT: &str = "bench.accepted";
/// Messages that may wait for their acknowledgement by the consumer; far above what is reached.
const UNACKNOWLEDGED_MAX: i64 = 100_000;
/// How often the end of a run is looked for.
const LOOK: Duration = Duration::from_millis(10);

/// Who publishes what.
pub struct Load {
    url: String,
    body: Bytes,
    connections: usize,
    publishers: usize,
    /// Messages of one atomic batch; with 1, plain messages.
    batch: usize,
}

impl Load {
    /// From the command line.
    pub fn read(url: &str, body: &str, numbers: [&str; 3]) -> Result<Self, Error> {
        let body =
            std::fs::read(body).map_err(|error| format!("failed to read {body}: {error}"))?;
        let [connections, publishers, batch] = numbers;
        Ok(Load {
            url: url.to_owned(),
            body: body.into(),
            connections: connections.parse()?,
            publishers: publishers.parse()?,
            batch: batch.parse()?,
        })
    }

    async fn connect(&self) -> Result<Vec<Client>, Error> {
        let mut clients = Vec::new();
        for _ in 0..self.connections.max(1) {
            clients.push(async_nats::connect(&self.url).await?);
        }
        Ok(clients)
    }
}

/// An empty stream on disk that takes atomic batches.
async fn empty_stream(context: &jetstream::Context) -> Result<stream::Stream, Error> {
    // It may not exist yet.
    context.delete_stream(STREAM).await.ok();
    let config = stream::Config {
        name: STREAM.to_owned(),
        subjects: vec!["bench.>".to_owned()],
        storage: stream::StorageType::File,
        allow_atomic_publish: true,
        ..stream::Config::default()
    };
    Ok(context.create_stream(config).await?)
}

/// Publishes for some seconds: events per second, and how long each request took.
pub async fn publish(load: Load, seconds: f64) -> Result<(), Error> {
    let clients = load.connect().await?;
    empty_stream(&jetstream::new(clients[0].clone())).await?;
    let begun = Instant::now();
    let deadline = begun + Duration::from_secs_f64(seconds);
    let mut tasks = JoinSet::new();
    for number in 0..load.publishers {
        let publisher = Publisher::new(&load, &clients, number);
        tasks.spawn(async move {
            let mut took = Vec::new();
            while Instant::now() < deadline {
                let begun = Instant::now();
                publisher.send(took.len(), publisher.batch).await?;
                took.push(begun.elapsed().as_secs_f64() * 1e6);
            }
            Ok::<_, Error>(took)
        });
    }
    let mut took = Vec::new();
    while let Some(done) = tasks.join_next().await {
        took.extend(done??);
    }
    let elapsed = begun.elapsed().as_secs_f64();
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied();
    let document = serde_json::json!({
        "per_s": (took.len() * load.batch) as f64 / elapsed,
        "p50_us": at(0.5),
        "p99_us": at(0.99),
    });
    println!("{document}");
    Ok(())
}

/// Publishes this many events and handles them at the same time: events per second until the
/// server knows that all are acknowledged.
pub async fn handle(load: Load, events: usize) -> Result<(), Error> {
    let clients = load.connect().await?;
    let stream = empty_stream(&jetstream::new(clients[0].clone())).await?;
    let config = consumer::pull::Config {
        durable_name: Some("handler".to_owned()),
        ack_policy: consumer::AckPolicy::Explicit,
        max_ack_pending: UNACKNOWLEDGED_MAX,
        ..consumer::pull::Config::default()
    };
    let mut consumer = stream.create_consumer(config).await?;
    let mut messages = consumer.messages().await?;
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    let next = Arc::new(AtomicUsize::new(0));
    for number in 0..load.publishers {
        let publisher = Publisher::new(&load, &clients, number);
        let next = Arc::clone(&next);
        tasks.spawn(async move {
            loop {
                let first = next.fetch_add(publisher.batch, Ordering::Relaxed);
                let size = publisher.batch.min(events.saturating_sub(first));
                if size == 0 {
                    return Ok::<_, Error>(());
                }
                publisher.send(first, size).await?;
            }
        });
    }
    for _ in 0..events {
        let message = messages.next().await.ok_or("the consumer ended")??;
        std::hint::black_box(order::handle(&message.payload)?);
        message.ack().await?;
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    loop {
        let info = consumer.info().await?;
        if info.num_ack_pending == 0 && info.num_pending == 0 {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    let document = serde_json::json!({ "per_s": events as f64 / begun.elapsed().as_secs_f64() });
    println!("{document}");
    Ok(())
}

/// One of those that publish and wait for the answer before they publish again.
struct Publisher {
    client: Client,
    number: usize,
    batch: usize,
    body: Bytes,
}

impl Publisher {
    fn new(load: &Load, clients: &[Client], number: usize) -> Self {
        Publisher {
            client: clients[number % clients.len()].clone(),
            number,
            batch: load.batch,
            body: load.body.clone(),
        }
    }

    /// One message, or an atomic batch of `size` of them; `first` makes its name.
    async fn send(&self, first: usize, size: usize) -> Result<(), Error> {
        if self.batch == 1 {
            return acknowledged(&self.client.request(SUBJECT, self.body.clone()).await?);
        }
        let id = format!("{}-{first}", self.number);
        for at in 1..size {
            let headers = batch_headers(&id, at);
            self.client.publish_with_headers(SUBJECT, headers, self.body.clone()).await?;
        }
        let mut headers = batch_headers(&id, size);
        headers.insert(NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL);
        let last = self.client.request_with_headers(SUBJECT, headers, self.body.clone());
        acknowledged(&last.await?)
    }
}

fn batch_headers(id: &str, at: usize) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_BATCH_ID, id);
    headers.insert(NATS_BATCH_SEQUENCE, at.to_string());
    headers
}

/// JetStream answers with the place in the stream, or with an error.
fn acknowledged(answer: &Message) -> Result<(), Error> {
    let document: serde_json::Value = serde_json::from_slice(&answer.payload)?;
    match document.get("seq") {
        Some(_) => Ok(()),
        None => Err(format!("not acknowledged: {document}").into()),
    }
}
