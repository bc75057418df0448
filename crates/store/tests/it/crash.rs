//! A process that is killed in the middle of its changes, again and again, on one store.
//!
//! The victim is this very test binary, started with a folder in its environment. It reports each
//! change after the store acknowledged it; the test reads some reports, kills it, and looks.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use nexus_model::ManualClock;
use nexus_model::resource::Kind;
use nexus_store::{Change, Op, Store};
use serde_json::json;

use crate::world::{START, function, name, open, path, principal, put};

const FOLDER: &str = "NEXUS_TEST_CRASH_FOLDER";
const ROUNDS: u64 = 24;
/// Every third change is this large, so that kills fall into the middle of transactions.
const LARGE: u64 = 400;

#[test]
fn acknowledged_changes_survive_and_others_are_whole_or_absent() {
    let dir = tempfile::tempdir().unwrap();
    let mut last_seen = 0;
    for round in 0..ROUNDS {
        let mut victim = start(dir.path());
        let acknowledged = read_some(&mut victim, 1 + round * 7 % 13);
        for _ in 0..(round * 7919 % 23) * 100_000 {
            std::hint::spin_loop();
        }
        victim.kill().unwrap();
        victim.wait().unwrap();
        let found = inspect(dir.path());
        assert!(found >= acknowledged, "round {round}: {acknowledged} was lost, found {found}");
        assert!(found > last_seen, "round {round} got nowhere");
        last_seen = found;
    }
}

fn start(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::victim", "--nocapture"])
        .env(FOLDER, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The number in the last of some reports.
fn read_some(victim: &mut Child, reports: u64) -> u64 {
    let lines = BufReader::new(victim.stdout.as_mut().unwrap()).lines();
    let numbers = lines.map_while(Result::ok).filter_map(|line| {
        // The test harness prints on the same line.
        line.rsplit_once("acknowledged ").and_then(|(_, number)| number.parse().ok())
    });
    numbers.take(reports as usize).last().expect("the victim reports at least one change")
}

/// Checks that the store is consistent; gives the number of the last change in it.
fn inspect(dir: &Path) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = open(&path(dir), Arc::new(ManualClock::new(START))).await.unwrap();
        let number = latest(&store).await;
        let shop = name("shop");
        let rows = store.list(Kind::Function, Some(&shop), None, 10_000).await.unwrap();
        for row in &rows {
            // Small changes touch the first two rows, large ones all.
            let large = row.spec["number"].as_u64().unwrap();
            let expected = match row.metadata.name.as_str() {
                "row-0" | "row-1" => number,
                _ => number - number % 3,
            };
            assert_eq!(large, expected, "{} of change {number}", row.metadata.name);
        }
        let changes = store.changes_since(0, 10_000).await.unwrap();
        assert_eq!(changes.len(), rows.len());
        assert_eq!(changes.last().unwrap().revision, store.revision());
        // Every operation of every change has its audit event, and nothing else has.
        let mut events = 0;
        loop {
            let outbox = store.outbox(10_000).await.unwrap();
            let Some(last) = outbox.last() else { break };
            events += outbox.len() as u64;
            assert_eq!(last.sequence, outbox[0].sequence + outbox.len() as u64 - 1);
            store.outbox_done(last.sequence).await.unwrap();
        }
        assert!(events > 0);
        store.close().await.unwrap();
        number
    })
}

async fn latest(store: &Store) -> u64 {
    let row = store.get(&function("shop", "row-0")).await.unwrap();
    row.map_or(0, |row| row.spec["number"].as_u64().unwrap())
}

#[test]
fn victim() {
    #[expect(clippy::disallowed_methods, reason = "tells the victim from an ordinary test run")]
    let Ok(dir) = std::env::var(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clock = Arc::new(ManualClock::new(START));
        let store = open(&path(Path::new(&dir)), clock).await.unwrap();
        let mut number = latest(&store).await;
        loop {
            number += 1;
            let rows = if number % 3 == 0 { LARGE } else { 2 };
            let ops: Vec<Op> = (0..rows)
                .map(|row| put(&function("shop", &format!("row-{row}")), json!({"number": number})))
                .collect();
            store.apply(Change::new(principal(), ops)).await.unwrap();
            let mut out = std::io::stdout().lock();
            writeln!(out, "acknowledged {number}").unwrap();
            out.flush().unwrap();
        }
    });
}
