//! How long questions over a large history take:
//! `cargo run --release -p nexus-log --example query_rates DIR [INVOCATIONS]`. Fills the log in DIR
//! with a million invocations up to now, an event for each, unless it has them, and asks each question
//! five times. The console's measurement looks at the same folder.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nexus_log::{ActivityQuery, EffectLimits, Log, LogConfig, Origin, RealDisk};
use nexus_model::record::{
    Body, EventRecord, HttpInput, Input, InvocationRecord, Meta, Record, Status, StoredEvent, input,
};
use nexus_model::{
    Clock as _, EventFilter, EventId, IdMint, InvocationFilter, InvocationId, Partition,
    SystemClock, TimeRange, Timestamp,
};

/// Records appended together.
const BATCH: usize = 1_000;
/// How much later each invocation is than the one before.
const STEP: Duration = Duration::from_millis(3);
/// How often each question is asked.
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("usage: query_rates DIR [INVOCATIONS]")?;
    let wanted: u64 = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let clock = Arc::new(SystemClock);
    let mint = IdMint::new(clock.clone(), 1);
    let (log, _) = Log::open(LogConfig::new(&dir), Arc::new(RealDisk), clock.clone())?;
    let all = InvocationFilter::default();
    let length = STEP * u32::try_from(wanted)?;
    if log.count_invocations(&all).await? == 0 {
        fill(&log, &mint, clock.now().before(length), wanted).await?;
    }
    let newest = log.invocations(&all, None, 1).await?.items;
    let end = newest.first().ok_or("there is no invocation")?.accepted.after(STEP);
    let start = end.before(length);
    println!("{wanted} invocations over {} minutes", end.since(start).as_secs() / 60);

    let activity = |since, function: Option<&str>| ActivityQuery {
        project: Some("shop".into()),
        function: function.map(str::to_owned),
        since,
        until: end,
        buckets: 60,
    };
    let everything = activity(start, None);
    time("activity of everything", async || Ok(log.activity(&everything).await?.total.count()))
        .await?;
    let hour = activity(end.before(Duration::from_secs(600)), Some("f3"));
    time("activity of a function, last 10 minutes", async || {
        Ok(log.activity(&hour).await?.total.count())
    })
    .await?;
    let failed = InvocationFilter { statuses: vec![Status::Failed], ..all.clone() };
    time("count by status", async || Ok(log.count_invocations(&failed).await?)).await?;
    let slow = InvocationFilter { duration_ns_min: Some(40_000_000), ..all.clone() };
    time("count by duration", async || Ok(log.count_invocations(&slow).await?)).await?;
    let types = EventFilter { ty: Some("order.*".into()), ..EventFilter::default() };
    time("count events by type", async || Ok(log.count_events(&types).await?)).await?;
    let rare = InvocationFilter {
        duration_ns_min: Some(49_999_000),
        range: TimeRange { since: None, until: Some(start.after(STEP * 1_000)) },
        ..all
    };
    time("list of what is rare and old", async || {
        Ok(log.invocations(&rare, None, 50).await?.items.len() as u64)
    })
    .await?;
    let first = log.events(&EventFilter::default(), None, 1).await?.items;
    let id = first.first().and_then(EventRecord::event_id).ok_or("there is no event")?;
    let origin = Origin { id: *id.as_bytes(), trace: [0; 16] };
    let mut oldest = origin;
    oldest.id[..6].copy_from_slice(&[0; 6]);
    let limits = EffectLimits { depth: 10, nodes: 200, rows: 5_000_000, reads: 20_000 };
    time("effects of the oldest", async || {
        Ok(log.effects(oldest, limits).await?.records.len() as u64)
    })
    .await?;
    log.close().await?;
    Ok(())
}

/// Asks a question a few times; prints the shortest and the longest time, and the answer.
async fn time(
    name: &str,
    mut question: impl AsyncFnMut() -> Result<u64, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let mut times = Vec::new();
    let mut answer = 0;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        answer = question().await?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!("{name:<40} {:>8.1} to {:>8.1} ms  ({answer})", times[0], times[ROUNDS - 1]);
    Ok(())
}

async fn fill(
    log: &Log,
    mint: &IdMint,
    start: Timestamp,
    wanted: u64,
) -> Result<(), Box<dyn Error>> {
    let numbers: Vec<u64> = (0..wanted).collect();
    for chunk in numbers.chunks(BATCH / 2) {
        let mut records = Vec::with_capacity(BATCH);
        for &number in chunk {
            let at = start.after(STEP * u32::try_from(number)?).unix_ns();
            records.push(Record::Event(event(mint, number, at)));
            records.push(Record::Invocation(Box::new(invocation(mint, number, at))));
        }
        log.append(records).await?;
    }
    Ok(())
}

fn meta() -> Meta {
    Meta { project: "shop".into(), principal: "token:test".into(), ..Meta::default() }
}

fn event(mint: &IdMint, number: u64, at: i64) -> EventRecord {
    let id: EventId = mint.mint(Partition::of("shop", ""));
    EventRecord {
        id: id.as_bytes().to_vec().into(),
        meta: meta(),
        received_ns: at,
        event: StoredEvent {
            id: number.to_string(),
            source: "/shop".into(),
            ty: format!("order.{}", number % 20),
            data: Some(Body::inline(format!("{{\"number\":{number}}}").into_bytes().into())),
            ..StoredEvent::default()
        },
        ..EventRecord::default()
    }
}

fn request(number: u64) -> HttpInput {
    let body = format!("{{\"order\":{number},\"customer\":\"c{}\"}}", number % 1_000);
    HttpInput {
        method: "POST".into(),
        scheme: "http".into(),
        authority: "localhost".into(),
        path_and_query: format!("/orders/{number}"),
        headers: Vec::new(),
        trailers: Vec::new(),
        body: Body::inline(body.into_bytes().into()),
    }
}

fn invocation(mint: &IdMint, number: u64, at: i64) -> InvocationRecord {
    let id: InvocationId = mint.mint(Partition::of("shop", ""));
    let duration = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % 50_000_000;
    let status = if number.is_multiple_of(50) { Status::Failed } else { Status::Succeeded };
    let mut record = InvocationRecord {
        id: id.as_bytes().to_vec().into(),
        meta: meta(),
        function: format!("f{}", number % 20),
        attempt: 1,
        status: status as i32,
        accepted_ns: at,
        ended_ns: at,
        input: Some(Input { form: Some(input::Form::Http(request(number))) }),
        ..InvocationRecord::default()
    };
    record.timings.total_ns = duration;
    record.ended_ns += i64::try_from(duration).unwrap_or_default();
    record
}
