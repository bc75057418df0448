//! What a million pending schedules cost: memory per timer, time to rebuild them, time to fire;
//! prints JSON.
//!
//! `cargo run --release -p nexus-engine --example timers [count]`

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement for people")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use nexus_engine::{Delivery, Engine, EngineConfig, EngineParts, Made, Resume, Worker};
use nexus_log::{Log, LogConfig, RealDisk};
use nexus_model::record::{Body, Meta, ScheduleRecord, StoredEvent};
use nexus_model::{Clock, EventId, IdMint, InvocationId, ManualClock, Partition, SystemClock};

/// Events of schedules that nobody listens to.
struct Nobody;

#[async_trait::async_trait]
impl Worker for Nobody {
    async fn deliver(&self, _: Delivery) -> Result<Made, nexus_log::Error> {
        Ok(Made::Recorded)
    }

    async fn resume(&self, _: Resume) -> Result<(), nexus_log::Error> {
        Ok(())
    }

    fn cancel(&self, _: InvocationId) {}

    async fn fetch(&self, _: &Body) -> Option<Bytes> {
        None
    }
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

fn schedule(mint: &IdMint, (now, due_ns, number): (i64, i64, usize)) -> ScheduleRecord {
    let id: EventId = mint.mint(Partition::of("bench", ""));
    ScheduleRecord {
        id: Bytes::copy_from_slice(id.as_bytes()),
        meta: Meta { project: "bench".into(), ..Meta::default() },
        received_ns: now,
        due_ns,
        event: StoredEvent {
            id: number.to_string(),
            source: "/bench".into(),
            ty: "bench.timer".into(),
            ..StoredEvent::default()
        },
        ..ScheduleRecord::default()
    }
}

async fn start(dir: &Path, clock: &Arc<ManualClock>) -> (Log, Engine, Arc<IdMint>) {
    let clock: Arc<dyn Clock> = clock.clone();
    let mint = Arc::new(IdMint::new(clock.clone(), 1));
    let (log, _) =
        Log::open(LogConfig::new(dir.join("log")), Arc::new(RealDisk), clock.clone()).unwrap();
    let config = EngineConfig {
        checkpoint: dir.join("checkpoint"),
        running_max: 128,
        pending_max: 1_000_000,
        checkpoint_records: 1_000_000,
    };
    let worker = Arc::new(Nobody);
    let parts = EngineParts { log: log.clone(), clock, mint: mint.clone(), worker };
    (log, Engine::start(config, parts).await.unwrap(), mint)
}

#[tokio::main]
async fn main() {
    let count: usize = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let (log, engine, mint) = start(dir.path(), &clock).await;
    let (now, hour) = (clock.now().unix_ns(), 3_600_000_000_000);
    let begun = Instant::now();
    let before = resident_bytes();
    for first in (0..count).step_by(1_000) {
        let part = first..(first + 1_000).min(count);
        let due = |number: usize| now + hour + (number as i64 * 7_919) % hour;
        let records = part.map(|number| schedule(&mint, (now, due(number), number)));
        engine.schedule(records.collect()).await.unwrap();
    }
    engine.settled().await.unwrap();
    // The memory for deduplication is included.
    let bytes_per_timer = resident_bytes().saturating_sub(before) / count as u64;
    let scheduled_per_s = count as f64 / begun.elapsed().as_secs_f64();
    engine.stop().await;
    log.close().await.unwrap();
    drop((engine, log));

    let begun = Instant::now();
    let (log, engine, _) = start(dir.path(), &clock).await;
    let restart_s = begun.elapsed().as_secs_f64();
    let first = log.durable().sequence;
    clock.advance(std::time::Duration::from_secs(2 * 3_600 + 1));
    let begun = Instant::now();
    // Each appends one event. Asking the engine for those that are left would keep it from firing.
    while log.durable().sequence < first + count as u64 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    engine.settled().await.unwrap();
    assert!(engine.schedules(None, None, 1).await.unwrap().is_empty(), "timers are left");
    let fired_per_s = count as f64 / begun.elapsed().as_secs_f64();
    println!(
        "{:#}",
        serde_json::json!({
            "timers": count,
            "bytes_per_timer": bytes_per_timer,
            "scheduled_per_s": scheduled_per_s.round(),
            "restart_s": restart_s,
            "fired_per_s": fired_per_s.round(),
        })
    );
    engine.stop().await;
    log.close().await.unwrap();
}
