//! Durable invocations while the server is killed again and again: each step reaches the outside
//! world once, each invocation ends, and each can be replayed.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::Api;
use crate::guests;
use crate::harness::{Server, nexus};

/// How often the server is killed; `NEXUS_KILLS` asks for more.
const KILLS: usize = 25;
/// Invocations that begin between two kills.
const BEGUN: usize = 2;
/// Long enough on a busy machine; only ever waited for when something is broken.
const PATIENCE: Duration = Duration::from_secs(180);
/// What one journey sends, in alphabetical order.
const STEPS: [&str; 8] = ["begin", "end", "left", "one", "right", "signalled", "slept", "two"];

/// An outside service that honours `idempotency-key`, as payment services do.
#[derive(Default)]
struct Counter {
    /// What was counted under each key: path and body.
    keys: Mutex<HashMap<String, (String, String)>>,
    /// Requests under a key that was known: sent again after a crash.
    repeated: Mutex<usize>,
    wrong: Mutex<Vec<String>>,
}

impl Counter {
    fn start() -> (Arc<Counter>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let counter = Arc::new(Counter::default());
        let at = counter.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let at = at.clone();
                std::thread::spawn(move || while at.answer(&stream).is_some() {});
            }
        });
        (counter, base)
    }

    /// One request of a connection; `None` at its end.
    fn answer(&self, mut stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let path = line.split(' ').nth(1)?.to_owned();
        let (mut key, mut length) = (String::new(), 0);
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).ok()? == 0 {
                return None;
            }
            let Some((name, value)) = header.trim().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "idempotency-key" => key = value.trim().to_owned(),
                "content-length" => length = value.trim().parse().unwrap(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        self.count(key, (path, String::from_utf8(body).unwrap()));
        // The longer it takes, the more often a kill comes between request and answer.
        std::thread::sleep(Duration::from_millis(8));
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").ok()
    }

    fn count(&self, key: String, request: (String, String)) {
        if key.is_empty() {
            self.wrong.lock().unwrap().push(format!("without a key: {request:?}"));
            return;
        }
        let mut keys = self.keys.lock().unwrap();
        let Some(first) = keys.get(&key) else {
            keys.insert(key, request);
            return;
        };
        if *first == request {
            *self.repeated.lock().unwrap() += 1;
        } else {
            self.wrong.lock().unwrap().push(format!("{key}: {first:?}, then {request:?}"));
        }
    }

    fn counted(&self) -> usize {
        self.keys.lock().unwrap().len()
    }

    /// How often each path was counted.
    fn by_path(&self) -> BTreeMap<String, usize> {
        let mut paths = BTreeMap::new();
        for (path, _) in self.keys.lock().unwrap().values() {
            *paths.entry(path.clone()).or_default() += 1;
        }
        paths
    }
}

/// A sequence that looks random and is the same in every run (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % limit
    }
}

fn start(data: &Path) -> Server {
    // The file of the server that was killed would be taken for this one's.
    let _ = std::fs::remove_file(data.join("server.json"));
    Server::serve(data, &[])
}

fn deploy(home: &Path, server: &Server, data: &Path) {
    let component = guests::durable();
    let resources = home.join("journey.yaml");
    std::fs::write(
        &resources,
        "apiVersion: nexus/v1\nkind: Project\nmetadata: { name: trip }\nspec: {}\n---\n\
         apiVersion: nexus/v1\nkind: Function\nmetadata: { project: trip, name: journey }\n\
         spec: { durable: true, allow-hosts: [ '127.0.0.1' ] }\n---\n\
         apiVersion: nexus/v1\nkind: Function\nmetadata: { project: trip, name: helper }\n\
         spec: { allow-hosts: [ '127.0.0.1' ], delivery: { retry: { attempts: 50, first: 10ms } } }\n",
    )
    .unwrap();
    let token = std::fs::read_to_string(data.join("token")).unwrap();
    let remote = ["--server", &server.api, "--token", token.trim(), "--project", "trip"];
    let with = |line: &[&str]| nexus(home, &[line, &remote].concat());
    with(&["apply", "-f", resources.to_str().unwrap()]).ok();
    for name in ["journey", "helper"] {
        with(&["deploy", "--component", component.to_str().unwrap(), "--name", name]).ok();
    }
}

/// What was begun, and which signals were acknowledged.
#[derive(Default)]
struct Journeys {
    /// Invocation and name.
    begun: Vec<(String, String)>,
    signalled: usize,
}

impl Journeys {
    fn begin(&mut self, api: &Api, base: &str) {
        let name = format!("j{}", self.begun.len());
        let body = json!({ "do": "journey", "base": base, "name": name }).to_string();
        // Those that somebody waits for begin before their calls are in the log.
        let wait = if self.begun.len().is_multiple_of(2) { "" } else { "&wait=1ms" };
        let path = format!("/api/v1/projects/trip/functions/journey/invoke?async=true{wait}");
        if let Some((status, answer)) = api.once(&format!("POST {path}"), &body) {
            assert_eq!(status, 202, "{answer}");
            self.begun.push((answer["invocation"].as_str().unwrap().to_owned(), name));
        }
    }

    /// Signals the next one; one whose acknowledgement was lost is signalled again.
    fn signal(&mut self, api: &Api) {
        let Some((id, _)) = self.begun.get(self.signalled) else { return };
        let line = format!("POST /api/v1/projects/trip/invocations/{id}/signals/go");
        match api.once(&line, &json!({ "id": id }).to_string()) {
            Some((202, _)) => self.signalled += 1,
            Some((status, answer)) => panic!("{status} {answer}"),
            None => {}
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test has no configuration to read this from")]
fn every_step_happens_once_however_often_the_server_is_killed() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let kills = std::env::var("NEXUS_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let (counter, base) = Counter::start();
    let mut random = Random(25);
    let mut journeys = Journeys::default();
    let mut server = start(&data);
    deploy(home.path(), &server, &data);
    for _ in 0..kills {
        let api = Api::new(&server, &data);
        for _ in 0..BEGUN {
            journeys.begin(&api, &base);
        }
        // Some are signalled long before they wait, others long after.
        for _ in 0..random.below(2 * BEGUN as u64 + 1) {
            journeys.signal(&api);
        }
        // A number of requests rather than a time: each server gets somewhere, wherever that is.
        let target = counter.counted() + random.below(12) as usize;
        let end = Instant::now() + Duration::from_secs(5);
        while counter.counted() < target && Instant::now() < end {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_micros(random.below(30_000)));
        server.stop(rustix::process::Signal::KILL);
        server = start(&data);
    }
    let api = Api::new(&server, &data);
    while journeys.signalled < journeys.begun.len() {
        journeys.signal(&api);
    }
    check(&api, &journeys);
    assert_eq!(counter.wrong.lock().unwrap()[..], [] as [String; 0]);
    let mut expected = BTreeMap::new();
    for (_, name) in &journeys.begun {
        expected.extend(STEPS.map(|step| (format!("/{name}/{step}"), 1)));
    }
    assert_eq!(counter.by_path(), expected);
    replay(home.path(), (&server, &data), &journeys);
    println!(
        "{kills} kills, {} invocations, {} steps, {} requests sent again",
        journeys.begun.len(),
        counter.counted(),
        counter.repeated.lock().unwrap()
    );
}

/// Every invocation succeeded in its first attempt, with its own signal; its event is there once.
fn check(api: &Api, journeys: &Journeys) {
    let end = Instant::now() + PATIENCE;
    let mut resumed = 0;
    for (id, name) in &journeys.begun {
        let path = format!("/api/v1/projects/trip/invocations/{id}/result?wait=30s");
        let result = loop {
            assert!(Instant::now() < end, "{name} does not end: {}", why(api, id));
            match api.once(&format!("GET {path}"), "").unwrap() {
                (202, _) => {}
                (status, result) => {
                    assert_eq!(status, 200, "{name}: {result} {}", why(api, id));
                    break result;
                }
            }
        };
        assert_eq!(result["word"], json!({ "id": id }), "{result}");
        assert_eq!((&result["attempt"], &result["late"]), (&json!(1), &Value::Null));
        assert_eq!(result["called"], json!(["helped", "helped"]));
        let whole = api.get(&format!("/api/v1/projects/trip/invocations/{id}"));
        assert_eq!(whole["status"], "succeeded", "{whole}");
        resumed += usize::from(why(api, id).contains("it went on from its journal"));
    }
    assert_eq!(resumed, journeys.begun.len(), "each has slept");
    let mut emitted = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let path = format!(
            "/api/v1/projects/trip/events?type=com.test.journey&limit=1000&data=true{cursor}"
        );
        let page = api.get(&path);
        for item in page["items"].as_array().unwrap() {
            let name = item["event"]["data"]["name"].as_str().unwrap().to_owned();
            *emitted.entry(name).or_insert(0) += 1;
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected = journeys.begun.iter().map(|(_, name)| (name.clone(), 1)).collect();
    assert_eq!(emitted, expected);
}

fn why(api: &Api, id: &str) -> String {
    api.get(&format!("/api/v1/projects/trip/why/{id}")).to_string()
}

/// What was put together from pieces and runs is one recording.
fn replay(home: &Path, (server, data): (&Server, &Path), journeys: &Journeys) {
    let token = std::fs::read_to_string(data.join("token")).unwrap();
    let remote = ["--server", &server.api, "--token", token.trim(), "--project", "trip"];
    for (id, name) in &journeys.begun {
        let done = nexus(home, &[&["replay", id, "--json"], &remote[..]].concat()).ok();
        assert_eq!(done.values()[0]["verdict"], "identical", "{name}: {}", done.out);
    }
}
