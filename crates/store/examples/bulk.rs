//! How fast the store is with many functions:
//! `cargo run --release -p nexus-store --example bulk [functions]`.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use nexus_model::limits::APPLY_RESOURCES_MAX;
use nexus_model::resource::{Kind, Resource, ResourceKey};
use nexus_model::{IdMint, Name, Principal, SystemClock};
use nexus_store::{Change, LIST_ITEMS_MAX, Op, Store, StoreConfig};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let functions = std::env::args().nth(1).map_or(Ok(100_000), |count| count.parse())?;
    let dir = tempfile::tempdir()?;
    let config = StoreConfig::new(dir.path().join("store.sqlite"));
    let clock = Arc::new(SystemClock);
    let mint = Arc::new(IdMint::new(clock.clone(), 1));
    let store = Store::open(config.clone(), clock.clone(), mint.clone()).await?;

    for (what, description) in [("create", "one"), ("update", "two"), ("apply unchanged", "two")] {
        let begun = Instant::now();
        for first in (0..functions).step_by(APPLY_RESOURCES_MAX) {
            let last = functions.min(first + APPLY_RESOURCES_MAX);
            let ops = (first..last).map(|at| put(at, description)).collect::<Result<_, _>>()?;
            store.apply(Change::new(Principal::system(), ops)).await?;
        }
        report(&format!("{what}, {APPLY_RESOURCES_MAX} a change"), functions, begun);
    }

    let begun = Instant::now();
    for at in 0..200 {
        let ops = vec![put(at * 31 % functions, &format!("three {at}"))?];
        store.apply(Change::new(Principal::system(), ops)).await?;
    }
    report("update, 1 a change", 200, begun);

    let begun = Instant::now();
    for at in 0..1_000 {
        store.get(&key(at * 7919 % functions)?).await?;
    }
    report("get", 1_000, begun);

    let project = Name::new("shop")?;
    let begun = Instant::now();
    for at in 0..100 {
        let after = key(at * 997 % functions)?.name;
        store.list(Kind::Function, Some(&project), Some(&after), 50).await?;
    }
    report("page of 50", 100, begun);

    let begun = Instant::now();
    let mut after = None;
    loop {
        let page = store.scan(Kind::Function, after.as_ref(), LIST_ITEMS_MAX).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.key());
    }
    report("scan all", functions, begun);

    let outbox = store.outbox(1).await?.first().map_or(0, |entry| entry.sequence);
    let begun = Instant::now();
    store.outbox_done(store.revision()).await?;
    report("forget audit events", (store.revision() + 1 - outbox) as usize, begun);
    store.close().await?;
    println!(
        "file: {} bytes per function",
        std::fs::metadata(&config.path)?.len() / functions as u64
    );
    let begun = Instant::now();
    Store::open(config, clock, mint).await?;
    report("open", 1, begun);
    Ok(())
}

fn key(at: usize) -> Result<ResourceKey, Box<dyn Error>> {
    let name = Name::new(&format!("function-{at:06}"))?;
    Ok(ResourceKey { kind: Kind::Function, project: Some(Name::new("shop")?), name })
}

fn put(at: usize, description: &str) -> Result<Op, Box<dyn Error>> {
    Ok(Op::put(Resource::new(&key(at)?, spec(at, description))))
}

fn spec(at: usize, description: &str) -> Value {
    json!({
        "description": description,
        "version": "ver_01k0000000000000000000000",
        "on": { "http": [{ "path": format!("/function-{at:06}"), "auth": "none" }] },
        "env": { "LEVEL": "info" },
        "record": "always",
    })
}

fn report(what: &str, count: usize, begun: Instant) {
    let elapsed = begun.elapsed();
    let each = elapsed.as_secs_f64() * 1e6 / count.max(1) as f64;
    println!("{what:30} {count:>8} in {elapsed:>10.2?}, {each:>9.1} µs each");
}
