//! The server is killed again and again while events and calls come in. Afterwards every event that
//! was acknowledged is in the log once and was handled, every call that was answered is there with its
//! answer, and every record is whole.

use std::collections::HashMap;
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::api::Api;
use crate::harness::{Server, nexus};

/// How often the server is killed; `NEXUS_CRASH_ROUNDS` asks for more.
const ROUNDS: usize = 12;
const SENDERS: usize = 4;
/// How many acknowledged events are followed to their invocation.
const FOLLOWED: usize = 150;

/// A command that writes `"ok"`: a core WASI 0.1 module, so that no tool chain is needed.
const COMMAND: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "\22ok\22")
    (func (export "_start")
        (i32.store (i32.const 0) (i32.const 16))
        (i32.store (i32.const 4) (i32.const 4))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

#[expect(clippy::disallowed_methods, reason = "a test has no configuration to read this from")]
fn rounds() -> usize {
    std::env::var("NEXUS_CRASH_ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap())
}

#[test]
fn nothing_that_was_acknowledged_is_lost_by_kill_9() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let rounds = rounds();
    let next = AtomicU64::new(0);
    let mut acknowledged: HashMap<String, String> = HashMap::new();
    let mut server = start(&data);
    deploy(home.path(), &server, &data);
    for round in 0..rounds {
        let api = Api::new(&server, &data);
        let send = |stop: &AtomicBool| send_until(&api, &next, stop);
        acknowledged.extend(load(&mut server, &next, (round as u64, &send)));
        server = start(&data);
    }
    assert!(acknowledged.len() > rounds, "only {} acknowledgements", acknowledged.len());

    let api = Api::new(&server, &data);
    check_events(&api, &acknowledged);
    check_outcomes(&api, &acknowledged);
    check_log(&api);
    println!("{rounds} kills, {} events acknowledged, none lost", acknowledged.len());
}

/// Their attempts begin before the calls are in the log: a kill meets them before, in and after the append
/// that call and end have in common.
#[test]
fn calls_that_are_waited_for_are_there_once_with_their_answer_or_not_at_all() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let rounds = rounds();
    let next = AtomicU64::new(0);
    let mut answered = Vec::new();
    let mut server = start(&data);
    deploy(home.path(), &server, &data);
    for round in 0..rounds {
        let api = Api::new(&server, &data);
        let send = |stop: &AtomicBool| call_until(&api, &next, stop);
        answered.extend(load(&mut server, &next, (round as u64, &send)));
        server = start(&data);
    }
    assert!(answered.len() > rounds, "only {} answers", answered.len());

    let api = Api::new(&server, &data);
    let calls = kept(&api, "dev.nexus.invoke", |event| event["data"].to_string());
    for number in &answered {
        assert!(calls.contains_key(number), "call {number} was answered");
    }
    // Whoever was not answered may have been heard all the same.
    let unanswered = calls.len() - answered.len();
    assert!(unanswered <= rounds * SENDERS, "{unanswered} calls that nobody waited for");
    for call in calls.values() {
        assert_eq!(successes(&api, call), 1, "{call}");
    }
    check_log(&api);
    println!("{rounds} kills, {} calls answered, {unanswered} more were heard", answered.len());
}

fn start(data: &Path) -> Server {
    // The file of the server that was killed would be taken for this one's.
    let _ = std::fs::remove_file(data.join("server.json"));
    Server::serve(data, &[])
}

fn deploy(home: &Path, server: &Server, data: &Path) {
    let component = home.join("ok.wasm");
    std::fs::write(&component, wat::parse_str(COMMAND).unwrap()).unwrap();
    let resources = home.join("ok.yaml");
    std::fs::write(
        &resources,
        "apiVersion: nexus/v1\nkind: Project\nmetadata: { name: crash }\nspec: {}\n---\n\
         apiVersion: nexus/v1\nkind: Function\nmetadata: { project: crash, name: ok }\n\
         spec: { on: { events: [ { type: crash.test } ] } }\n",
    )
    .unwrap();
    let token = std::fs::read_to_string(data.join("token")).unwrap();
    let remote = ["--server", &server.api, "--token", token.trim(), "--project", "crash"];
    let with = |line: &[&str]| nexus(home, &[line, &remote].concat());
    with(&["apply", "-f", resources.to_str().unwrap()]).ok();
    with(&["deploy", "--component", component.to_str().unwrap(), "--name", "ok"]).ok();
}

/// Sends from several threads until the server is killed in the midst of it. Gives what the threads
/// were told.
fn load<T: Send>(
    server: &mut Server,
    next: &AtomicU64,
    (round, send): (u64, &(impl Fn(&AtomicBool) -> Vec<T> + Sync)),
) -> Vec<T> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(|| send(&stop))).collect();
        // Wait for a number of requests rather than for a time, another one in each round.
        let target = next.load(Ordering::Relaxed) + 20 + (round * 37) % 200;
        let end = Instant::now() + Duration::from_secs(60);
        while next.load(Ordering::Relaxed) < target && Instant::now() < end {
            std::thread::yield_now();
        }
        server.stop(rustix::process::Signal::KILL);
        stop.store(true, Ordering::Relaxed);
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    })
}

fn send_until(api: &Api, next: &AtomicU64, stop: &AtomicBool) -> Vec<(String, String)> {
    let mut acknowledged = Vec::new();
    let Ok(mut stream) = TcpStream::connect(&api.address) else { return acknowledged };
    while !stop.load(Ordering::Relaxed) {
        let id = next.fetch_add(1, Ordering::Relaxed).to_string();
        let head = format!(
            "ce-specversion: 1.0\r\nce-id: {id}\r\nce-source: /crash\r\nce-type: crash.test\r\n"
        );
        let answer = api.request(&mut stream, "POST /api/v1/projects/crash/events", &head);
        match answer {
            Some((202, body)) => {
                let log_id = body["events"][0]["id"].as_str().unwrap().to_owned();
                acknowledged.push((id, log_id));
            }
            Some((status, body)) => panic!("{status} {body}"),
            None => break,
        }
    }
    acknowledged
}

/// Calls one after the other; gives the numbers of those that were answered.
fn call_until(api: &Api, next: &AtomicU64, stop: &AtomicBool) -> Vec<String> {
    const CALL: &str = "POST /api/v1/projects/crash/functions/ok/invoke?async=true&wait=30s";
    let mut answered = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed).to_string();
        match api.once(CALL, &number) {
            Some((200, answer)) => {
                assert_eq!(answer, "ok");
                answered.push(number);
            }
            Some((status, body)) => panic!("{status} {body}"),
            None => break,
        }
    }
    answered
}

/// The ids of the events of a type by what their senders call them.
fn kept(api: &Api, event_type: &str, called: impl Fn(&Value) -> String) -> HashMap<String, String> {
    let mut kept: HashMap<String, String> = HashMap::new();
    let path = format!("/api/v1/projects/crash/events?type={event_type}&data=true");
    for item in items(api, &path) {
        let twice = kept.insert(called(&item["event"]), text(&item["id"]));
        assert_eq!(twice, None, "an event is in the log twice");
    }
    kept
}

/// All pages of a list.
fn items(api: &Api, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = api.get(&format!("{path}&limit=1000{cursor}"));
        items.extend_from_slice(page["items"].as_array().unwrap());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// How many invocations for an event have succeeded, once one has.
fn successes(api: &Api, event: &str) -> usize {
    let end = Instant::now() + Duration::from_secs(180);
    loop {
        let found = api.get(&format!("/api/v1/projects/crash/invocations?event={event}"));
        let rows = found["items"].as_array().unwrap();
        match rows.iter().filter(|row| row["status"] == "succeeded").count() {
            0 => assert!(Instant::now() < end, "{event} was not handled"),
            count => return count,
        }
    }
}

fn check_log(api: &Api) {
    let verified = api.post("/api/v1/log/verify");
    assert_eq!(verified["damage"], Value::Array(Vec::new()), "{verified}");
}

fn check_events(api: &Api, acknowledged: &HashMap<String, String>) {
    let kept = kept(api, "crash.test", |event| text(&event["id"]));
    for (id, log_id) in acknowledged {
        assert_eq!(kept.get(id), Some(log_id), "event {id} was acknowledged");
    }
}

fn check_outcomes(api: &Api, acknowledged: &HashMap<String, String>) {
    for event in acknowledged.values().take(FOLLOWED) {
        successes(api, event);
    }
    // Whole: each can be read with its input, output and journal.
    let page = api.get("/api/v1/projects/crash/invocations?limit=200");
    for row in page["items"].as_array().unwrap() {
        let whole =
            api.get(&format!("/api/v1/projects/crash/invocations/{}", row["id"].as_str().unwrap()));
        assert_eq!(whole["status"], row["status"], "{whole}");
        if row["status"] == "succeeded" {
            assert!(!whole["output"].is_null() && !whole["input"].is_null(), "{whole}");
        }
    }
}
