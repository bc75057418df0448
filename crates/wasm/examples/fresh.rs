//! Measures fresh instances: `fresh <component.wasm> [seconds]` prints one line of JSON with
//! instances per second on one and on two threads, the time of one hot call, and the time from
//! stored code to the first result.
//!
//! Every call is recorded, and the allocator is that of production. One and two threads take turns,
//! so that a neighbour's noise hits both; rates and times are medians over the turns.

#![expect(clippy::print_stdout, reason = "standard output is this program's result")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use nexus_exec::{
    Body, Call, CallContext, CallInput, Cancel, EmitError, Host, HttpError, HttpTimeouts, Prepared,
    Recording, Runtime as _, Unit, UnitLimits,
};
use nexus_model::record::Status;
use nexus_model::resource::World;
use nexus_model::{
    Clock as _, Digest, Event, EventId, IdMint, Name, Partition, SystemClock, limits,
};
use nexus_wasm::{Config, Runtime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Turns of one and of two threads.
const TURNS: u32 = 10;

/// A host that offers nothing.
struct Nothing;

#[async_trait]
impl Host for Nothing {
    async fn http(
        &self,
        _: &CallContext,
        _: http::Request<Body>,
        _: HttpTimeouts,
    ) -> Result<http::Response<Body>, HttpError> {
        Err(HttpError::Denied("not in a measurement".into()))
    }

    async fn emit(&self, _: &CallContext, _: Vec<Event>) -> Result<Vec<EventId>, EmitError> {
        Err(EmitError::Unavailable("not in a measurement".into()))
    }
}

/// What is measured again and again.
struct Bench {
    unit: Arc<Unit>,
    mint: IdMint,
    data: Bytes,
}

impl Bench {
    fn call(&self) -> Call {
        let now = SystemClock.now();
        let input = match self.unit.world {
            World::Http => {
                let mut request = http::Request::new(nexus_exec::full_body(self.data.clone()));
                *request.method_mut() = http::Method::POST;
                let host = http::HeaderValue::from_static("localhost");
                request.headers_mut().insert(http::header::HOST, host);
                CallInput::Http(request)
            }
            World::Event => {
                let mut event = Event::new("1", "/bench", "com.example.bench");
                event.data = Some(self.data.clone());
                CallInput::Event(event)
            }
            World::Command => {
                CallInput::Command { arguments: Vec::new(), stdin: self.data.clone() }
            }
        };
        Call {
            context: Arc::new(CallContext {
                id: self.mint.mint(Partition::of("bench", "")),
                project: self.unit.project.clone(),
                function: self.unit.function.clone(),
                version: self.unit.version,
                attempt: 1,
                traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
                tracestate: None,
                accepted: now,
                deadline: now.after(limits::TIMEOUT_DEFAULT),
                depth: 0,
            }),
            input,
            respond: None,
            timeout: limits::TIMEOUT_DEFAULT,
            started: Instant::now(),
            cancel: Cancel::default(),
            recording: Recording::Full,
            durable: false,
            resume: None,
            wake: None,
        }
    }

    async fn run(&self, prepared: &dyn Prepared) -> anyhow::Result<u64> {
        let ended = prepared.invoke(self.call(), Arc::new(Nothing)).await;
        if ended.status != Status::Succeeded {
            anyhow::bail!("a call ended with {:?}: {:?}", ended.status, ended.failure);
        }
        Ok(ended.meter.memory_grown_pages)
    }
}

fn executor() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .ok_or_else(|| anyhow::anyhow!("usage: fresh <component.wasm> [seconds]"))?;
    let seconds = arguments.next().map_or(Ok(2.0), |text| text.parse::<f64>())?;
    let folder = std::env::temp_dir().join(format!("nexus-fresh-{}", std::process::id()));
    let result = measure(&path, Duration::from_secs_f64(seconds), &folder);
    std::fs::remove_dir_all(&folder)?;
    println!("{}", result?);
    Ok(())
}

fn measure(
    path: &str,
    length: Duration,
    folder: &std::path::Path,
) -> anyhow::Result<serde_json::Value> {
    let bytes = Bytes::from(std::fs::read(path)?);
    let tokio = executor()?;
    let clock = Arc::new(SystemClock);
    let runtime = Arc::new(Runtime::new(Config::new(folder), clock.clone())?);
    let inspected = tokio.block_on(runtime.inspect(bytes.clone()))?;
    let executed = inspected.adapted.unwrap_or(bytes);
    let component = Digest::of(&executed);
    let compiled = tokio.block_on(runtime.compile(component, executed))?;
    let mint = IdMint::new(clock.clone(), 1);
    let unit = Arc::new(Unit {
        project: Name::new("bench")?,
        function: Name::new("fresh")?,
        version: mint.mint(Partition::of("bench", "")),
        component,
        world: inspected.world,
        env: Vec::new(),
        limits: UnitLimits {
            memory_bytes: limits::MEMORY_BYTES_DEFAULT,
            table_elements: limits::TABLE_ELEMENTS_MAX,
        },
        bundle: None,
    });
    let data = Bytes::from(format!("{{\"text\":\"{}\"}}", "x".repeat(1_000)));
    let bench = Arc::new(Bench { unit: unit.clone(), mint, data });
    let cold_us = cold(&tokio, &bench, folder)?;
    let prepared = tokio.block_on(runtime.prepare(unit))?;
    let (mut ones, mut twos, mut hot, mut grown) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for _ in 0..TURNS {
        let one = threads(&prepared, &bench, (1, length / TURNS))?;
        let two = threads(&prepared, &bench, (2, length / TURNS))?;
        ones.push(one.0);
        twos.push(two.0);
        hot.push(one.1);
        grown = one.2;
    }
    let [one, two, hot_us] = [ones, twos, hot].map(median);
    Ok(serde_json::json!({
        "world": bench.unit.world,
        "fresh_per_second_1_thread": one.round(),
        "fresh_per_second_2_threads": two.round(),
        "scale": two / one,
        "hot_call_us": hot_us,
        "cold_load_to_result_us": cold_us,
        "memory_grown_pages": grown,
        "code_bytes": compiled.code_bytes,
    }))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// From stored code to the first result, in a runtime that has never seen it; the best of several.
fn cold(
    tokio: &tokio::runtime::Runtime,
    bench: &Bench,
    folder: &std::path::Path,
) -> anyhow::Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..10 {
        let runtime = Runtime::new(Config::new(folder), Arc::new(SystemClock))?;
        let began = Instant::now();
        let prepared = tokio.block_on(runtime.prepare(bench.unit.clone()))?;
        tokio.block_on(bench.run(&*prepared))?;
        best = best.min(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(best)
}

/// Calls per second on so many threads, the median time of one call, and the pages it grew by.
fn threads(
    prepared: &Arc<dyn Prepared>,
    bench: &Arc<Bench>,
    (count, length): (usize, Duration),
) -> anyhow::Result<(f64, f64, u64)> {
    let workers: Vec<_> = (0..count)
        .map(|_| {
            let (prepared, bench) = (prepared.clone(), bench.clone());
            std::thread::spawn(move || worker(&*prepared, &bench, length))
        })
        .collect();
    let mut rate = 0.0;
    let mut middle = 0.0;
    let mut grown = 0;
    for worker in workers {
        let measured = worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))??;
        rate += measured.0;
        (middle, grown) = (measured.1, measured.2);
    }
    Ok((rate, middle, grown))
}

fn worker(
    prepared: &dyn Prepared,
    bench: &Bench,
    length: Duration,
) -> anyhow::Result<(f64, f64, u64)> {
    executor()?.block_on(async {
        for _ in 0..100 {
            bench.run(prepared).await?;
        }
        let mut times = Vec::new();
        let mut grown = 0;
        let began = Instant::now();
        while began.elapsed() < length {
            let call = Instant::now();
            grown = bench.run(prepared).await?;
            times.push(call.elapsed());
        }
        let rate = times.len() as f64 / began.elapsed().as_secs_f64();
        times.sort_unstable();
        Ok((rate, times[times.len() / 2].as_secs_f64() * 1e6, grown))
    })
}
