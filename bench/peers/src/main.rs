//! What the benchmark needs beside `wrk`: load for NATS JetStream, a service for Restate, and load
//! over HTTP that is counted, or takes two requests. See `bench/README.md` for what is compared.

#![allow(clippy::disallowed_methods, reason = "the rules for tasks are those of the server")]

mod http;
mod nats;
mod order;
mod restate;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Why a measurement ended early.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "usage:
  peers nats-publish URL BODY-FILE CONNECTIONS PUBLISHERS BATCH SECONDS
  peers nats-handle URL BODY-FILE CONNECTIONS PUBLISHERS BATCH EVENTS
  peers http PLAN
  peers restate-service ADDRESS COUNT-ADDRESS";

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        // One thread makes the load, as `wrk` does it: the server keeps the other processor.
        ["nats-publish", url, body, connections, publishers, batch, seconds] => {
            let load = nats::Load::read(url, body, [connections, publishers, batch])?;
            one_thread()?.block_on(nats::publish(load, seconds.parse()?))
        }
        ["nats-handle", url, body, connections, publishers, batch, events] => {
            let load = nats::Load::read(url, body, [connections, publishers, batch])?;
            one_thread()?.block_on(nats::handle(load, events.parse()?))
        }
        ["http", plan] => one_thread()?.block_on(http::run(plan)),
        ["restate-service", address, count] => {
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = runtime.worker_threads(2).enable_all().build()?;
            runtime.block_on(restate::serve(address.parse()?, count.parse()?))
        }
        _ => Err(USAGE.into()),
    }
}

fn one_thread() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
