//! Append rates of the log beside a raw preallocated file, in one run on one disk; prints JSON.
//!
//! `cargo run --release -p nexus-log --example append_rates -- [folder] [seconds] [records]`
//!
//! - `folder`: where to write; it should be on the disk that counts. A folder inside it is made and
//!   removed.
//! - `seconds` per measurement (default 2).
//! - `records`: also fills a log with so many invocations and measures lists (default 0; try 2000000).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nexus_log::{Disk, Log, LogConfig, RealDisk};
use nexus_model::record::{Body, EventRecord, InvocationRecord, Meta, Record, Status, StoredEvent};
use nexus_model::{Clock, EventId, IdMint, InvocationFilter, InvocationId, Partition, SystemClock};

type Failure = Box<dyn std::error::Error>;

const RECORD_BYTES: usize = 1024;
const BATCHES: [usize; 3] = [1, 64, 1024];
/// Appenders at the same time in the pipelined measurement.
const APPENDERS: usize = 4;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let parent = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds: f64 = arguments.next().map_or(Ok(2.0), |text| text.parse())?;
    let records: u64 = arguments.next().map_or(Ok(0), |text| text.parse())?;
    let dir = parent.join(format!("append-rates-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let measured = runtime.block_on(measure(&dir, Duration::from_secs_f64(seconds), records));
    std::fs::remove_dir_all(&dir)?;
    #[expect(clippy::print_stdout, reason = "the output is the purpose")]
    {
        println!("{:#}", measured?);
    }
    Ok(())
}

async fn measure(dir: &Path, time: Duration, records: u64) -> Result<serde_json::Value, Failure> {
    let mut rows = Vec::new();
    for batch in BATCHES {
        let raw = raw_rate(dir, batch, time)?;
        let alone = log_rate(dir, batch, 1, time).await?;
        let together = log_rate(dir, batch, APPENDERS, time).await?;
        rows.push(serde_json::json!({
            "batch": batch,
            "raw_per_s": raw.round(),
            "log_per_s": alone.round(),
            "log_ratio": round(alone / raw),
            "log_pipelined_per_s": together.round(),
            "log_pipelined_ratio": round(together / raw),
        }));
    }
    let recording = recording_rate(dir, time).await?;
    let lists = if records > 0 { list_times(dir, records).await? } else { serde_json::Value::Null };
    Ok(serde_json::json!({
        "record_bytes": RECORD_BYTES,
        "appenders_pipelined": APPENDERS,
        "append": rows,
        "recording": recording,
        "lists": lists,
    }))
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Writes and syncs batches over one preallocated file, again and again.
fn raw_rate(dir: &Path, batch: usize, time: Duration) -> Result<f64, Failure> {
    let path = dir.join("raw");
    let file = RealDisk.create(&path)?;
    let size = 64u64 << 20;
    let chunk = vec![0; 1 << 20];
    for offset in (0..size).step_by(chunk.len()) {
        file.write_at(offset, &[&chunk])?;
    }
    file.sync()?;
    let bytes = vec![7; batch * RECORD_BYTES];
    let begin = Instant::now();
    let (mut offset, mut written) = (0, 0);
    while begin.elapsed() < time {
        if offset + bytes.len() as u64 > size {
            offset = 0;
        }
        file.write_at(offset, &[&bytes])?;
        file.sync()?;
        offset += bytes.len() as u64;
        written += batch;
    }
    RealDisk.remove(&path)?;
    Ok(written as f64 / begin.elapsed().as_secs_f64())
}

fn open(dir: &Path) -> Result<Log, Failure> {
    let config = LogConfig::new(dir);
    Ok(Log::open(config, Arc::new(RealDisk), Arc::new(SystemClock))?.0)
}

/// Appends batches from `appenders` tasks, sealing included.
async fn log_rate(
    dir: &Path,
    batch: usize,
    appenders: usize,
    time: Duration,
) -> Result<f64, Failure> {
    let dir = dir.join("log");
    let log = open(&dir)?;
    let template = events(batch);
    // The first segment is small and the next one is being made ready: not what is measured.
    let warm = Instant::now();
    while warm.elapsed() < time / 4 {
        log.append(template.clone()).await?;
    }
    let begin = Instant::now();
    let first = log.durable().sequence;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..appenders {
        let (log, template) = (log.clone(), template.clone());
        tasks.spawn(async move {
            while begin.elapsed() < time {
                log.append(template.clone()).await?;
            }
            Ok::<(), nexus_log::Error>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let rate = (log.durable().sequence - first) as f64 / begin.elapsed().as_secs_f64();
    log.close().await?;
    std::fs::remove_dir_all(&dir)?;
    Ok(rate)
}

/// Records behind responses from two threads as fast as the buffer takes them; the cost of one call.
async fn recording_rate(dir: &Path, time: Duration) -> Result<serde_json::Value, Failure> {
    let dir = dir.join("recording");
    let log = open(&dir)?;
    let mut tasks = tokio::task::JoinSet::new();
    for thread in 0..2 {
        let log = log.clone();
        tasks.spawn(async move {
            let template = invocation(thread);
            let (mut calls, mut spent) = (0u64, Duration::ZERO);
            let begin = Instant::now();
            while begin.elapsed() < time {
                let record = Record::Invocation(Box::new(template.clone()));
                let before = Instant::now();
                let done = log.record(record);
                spent += before.elapsed();
                match done {
                    Ok(()) => calls += 1,
                    Err(_) => log.ready_to_record().await,
                }
            }
            (calls, spent)
        });
    }
    let (mut calls, mut spent) = (0, Duration::ZERO);
    while let Some(ended) = tasks.join_next().await {
        let (more, time) = ended?;
        calls += more;
        spent += time;
    }
    log.flush().await?;
    log.close().await?;
    std::fs::remove_dir_all(&dir)?;
    Ok(serde_json::json!({
        "records_per_s": (calls as f64 / time.as_secs_f64()).round(),
        "call_ns": (spent.as_nanos() as f64 / calls.max(1) as f64).round(),
    }))
}

/// Fills a log and times lists through it.
async fn list_times(dir: &Path, records: u64) -> Result<serde_json::Value, Failure> {
    let dir = dir.join("lists");
    let log = open(&dir)?;
    let mint = IdMint::new(Arc::new(SystemClock), 1);
    let mut middle = None;
    for start in (0..records).step_by(1000) {
        let batch = (0..1000).map(|index| {
            let mut record = invocation((start + index) % 100);
            let id: InvocationId = mint.mint(Partition::of("shop", ""));
            if start + index == records / 2 {
                middle = Some(id);
            }
            record.id = Bytes::copy_from_slice(id.as_bytes());
            Record::Invocation(Box::new(record))
        });
        log.append(batch.collect()).await?;
    }
    let all = InvocationFilter::default();
    let failed = InvocationFilter { statuses: vec![Status::Failed], ..InvocationFilter::default() };
    let rare = InvocationFilter { function: Some("f77".into()), ..InvocationFilter::default() };
    let begin = Instant::now();
    let opened = {
        log.close().await?;
        let closed = begin.elapsed();
        (open(&dir)?, begin.elapsed() - closed)
    };
    let (log, reopened) = opened;
    let begin = Instant::now();
    log.invocations(&all, None, 50).await?;
    let first_page = begin.elapsed();
    let begin = Instant::now();
    let counted = log.count_invocations(&rare).await?;
    let count = begin.elapsed();
    let begin = Instant::now();
    let none = log.invocations(&failed, None, 50).await?;
    let no_hit = begin.elapsed();
    let begin = Instant::now();
    let found = match middle {
        Some(id) => log.invocation(id).await?.is_some(),
        None => false,
    };
    let by_id = begin.elapsed();
    let begin = Instant::now();
    let (mut cursor, mut pages) = (None, 0);
    loop {
        let page = log.invocations(&all, cursor, 1000).await?;
        pages += 1;
        let Some(next) = page.next else { break };
        cursor = Some(next.parse()?);
    }
    let walk = begin.elapsed();
    log.close().await?;
    std::fs::remove_dir_all(&dir)?;
    let us = |time: Duration| time.as_micros() as u64;
    Ok(serde_json::json!({
        "records": records,
        "open_us": us(reopened),
        "first_page_us": us(first_page),
        "count_of_one_function_us": us(count),
        "counted": counted,
        "filter_without_a_hit_us": us(no_hit),
        "hits": none.items.len(),
        "by_id_us": us(by_id),
        "found": found,
        "all_pages_of_1000_us": us(walk),
        "pages": pages,
    }))
}

fn events(count: usize) -> Vec<Record> {
    let mint = IdMint::new(Arc::new(SystemClock), 1);
    let event = |index: usize| {
        let id: EventId = mint.mint(Partition::of("shop", ""));
        // Half of it repeats, as JSON does; half does not compress.
        let mut data = vec![b'a'; RECORD_BYTES / 2];
        let noise = |at: usize| blake3::hash(&[index as u8, (index >> 8) as u8, at as u8]);
        (0..RECORD_BYTES / 64).for_each(|at| data.extend_from_slice(noise(at).as_bytes()));
        let mut record = EventRecord {
            id: Bytes::copy_from_slice(id.as_bytes()),
            meta: Meta { project: "shop".into(), ..Meta::default() },
            received_ns: SystemClock.now().unix_ns(),
            event: StoredEvent {
                id: "1".into(),
                source: "/bench".into(),
                ty: "com.shop.order.created".into(),
                ..StoredEvent::default()
            },
            ..EventRecord::default()
        };
        // The payload as a whole has the size that the raw file writes.
        data.truncate(RECORD_BYTES - 110);
        record.event.data = Some(Body::inline(data.into()));
        Record::Event(record)
    };
    (0..count).map(event).collect()
}

fn invocation(number: u64) -> InvocationRecord {
    let now = SystemClock.now().unix_ns();
    InvocationRecord {
        id: Bytes::copy_from_slice(&[1; 16]),
        meta: Meta {
            project: "shop".into(),
            principal: "anonymous".into(),
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
            ..Meta::default()
        },
        function: format!("f{number}"),
        version: Bytes::copy_from_slice(&[2; 16]),
        component: Bytes::copy_from_slice(&[3; 32]),
        attempt: 1,
        status: Status::Succeeded as i32,
        accepted_ns: now,
        ended_ns: now + 100_000,
        ..InvocationRecord::default()
    }
}
