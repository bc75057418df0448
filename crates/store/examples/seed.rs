//! Copies one deployed function many times in the store of a stopped server, each copy with a
//! version of its own, for measurements with many functions:
//! `cargo run --release -p nexus-store --example seed DATABASE PROJECT FUNCTION COUNT [events]`.
//! Each copy has a route; with `events` a trigger for a type of events instead.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::sync::Arc;

use nexus_model::resource::{Kind, Resource, ResourceKey};
use nexus_model::{IdMint, Name, Partition, Principal, SystemClock, VersionId};
use nexus_store::{Change, Op, Store, StoreConfig};
use serde_json::{Value, json};

/// Functions in one change: each takes three operations, and a change has a limit.
const FUNCTIONS_PER_CHANGE: usize = 300;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (arguments, events) = match &arguments[..] {
        [first @ .., last] if last == "events" => (first, true),
        all => (all, false),
    };
    let [database, project, function, count] = arguments else {
        return Err("usage: seed DATABASE PROJECT FUNCTION COUNT [events]".into());
    };
    let count: usize = count.parse()?;
    let clock = Arc::new(SystemClock);
    let mint = Arc::new(IdMint::new(clock.clone(), u64::from(std::process::id())));
    let store = Store::open(StoreConfig::new(database), clock, mint.clone()).await?;
    let original = Original::read(&store, project, function).await?;
    for first in (0..count).step_by(FUNCTIONS_PER_CHANGE) {
        let last = count.min(first + FUNCTIONS_PER_CHANGE);
        let mut ops = Vec::new();
        for number in first..last {
            ops.extend(
                original.copy((number, events), mint.mint(Partition::of(project, function)))?,
            );
        }
        store.apply(Change::new(Principal::system(), ops)).await?;
    }
    store.outbox_done(store.revision()).await?;
    store.close().await?;
    println!("{count} functions");
    Ok(())
}

struct Original {
    function: Resource,
    version: Resource,
}

impl Original {
    async fn read(store: &Store, project: &str, name: &str) -> Result<Self, Box<dyn Error>> {
        let project = Some(Name::new(project)?);
        let key =
            ResourceKey { kind: Kind::Function, project: project.clone(), name: Name::new(name)? };
        let function = store.get(&key).await?.ok_or("there is no such function")?;
        let id = function.spec["version"].as_str().ok_or("the function was never deployed")?;
        let key = ResourceKey { kind: Kind::Version, project, name: version_name(id)? };
        let version = store.get(&key).await?.ok_or("the function's version is missing")?;
        Ok(Original { function, version })
    }

    fn copy(
        &self,
        (number, events): (usize, bool),
        id: VersionId,
    ) -> Result<[Op; 3], Box<dyn Error>> {
        let name = Name::new(&format!("{}-{number:06}", self.function.metadata.name))?;
        let id = id.to_string();
        let mut function = self.function.clone();
        function.metadata.name = name.clone();
        function.spec["version"] = json!(id);
        function.spec["on"] = if events {
            json!({ "events": [{ "type": format!("bench.idle.{number}") }] })
        } else {
            json!({ "http": [{ "path": format!("/{name}"), "auth": "none" }] })
        };
        let mut status = std::mem::take(&mut function.status);
        status["version"] = json!(id);
        let key = function.key();
        let mut version = self.version.clone();
        version.metadata.name = version_name(&id)?;
        version.spec["id"] = json!(id);
        version.spec["function"] = json!(name);
        version.status = Value::Null;
        Ok([Op::put(function), Op::set_status(key, status), Op::put(version)])
    }
}

fn version_name(id: &str) -> Result<Name, Box<dyn Error>> {
    Ok(Name::new(&id.to_ascii_lowercase().replace('_', "-"))?)
}
