//! Recorded calls as tests of a project: saved, run, changed, brought from another server.

use std::path::Path;

use crate::harness::{Server, binary, nexus, run};

const MANIFEST: &str = "project = \"shop\"\n[functions.hello]\nsource = \".\"\nhttp = \"/hello\"\n";

fn write(folder: &Path, prices: &str, factor: u32) {
    let code = format!(
        "export default {{
  async fetch(request) {{
    const item = new URL(request.url).searchParams.get('item');
    const price = await (await fetch('{prices}' + item)).json();
    return Response.json({{ item, total: price * {factor}, at: Date.now() }});
  }},
}};
"
    );
    std::fs::write(folder.join("index.js"), code).unwrap();
}

/// A folder whose function asks a server of prices.
fn project(prices: &str, factor: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("nexus.toml"), MANIFEST).unwrap();
    write(folder.path(), prices, factor);
    folder
}

/// A server that answers every request with 21, until it is dropped.
struct Prices {
    address: String,
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Prices {
    fn new() -> Self {
        use std::io::{Read as _, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopped = stop.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
                let mut stream = stream;
                let _ = stream.read(&mut [0; 4096]);
                let head = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n";
                let _ = stream.write_all(format!("{head}21").as_bytes());
            }
        });
        Prices { address, stop }
    }
}

impl Drop for Prices {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let address = self.address.trim_start_matches("http://").trim_end_matches('/');
        let _ = std::net::TcpStream::connect(address);
    }
}

#[test]
fn a_call_becomes_a_test_that_needs_nothing_outside() {
    let prices = Prices::new();
    let folder = project(&prices.address, 2);
    let folder = folder.path();
    let server = Server::dev(folder, &[]);
    server.wait("live", |_| true);
    let answer = server.get("/hello?item=cup").1;
    assert!(answer.contains("\"total\":42"), "{answer}");
    let saved = nexus(folder, &["replay", "last", "--save-test", "cup"]).ok();
    assert!(saved.out.contains("tests/recorded/cup.json"), "{}", saved.out);
    let address = prices.address.clone();
    drop((server, prices));

    let tested = nexus(folder, &["test"]).ok();
    assert_eq!(tested.out, "cup  identical\n");
    assert!(tested.err.contains("1 passed"), "{}", tested.err);

    write(folder, &address, 3);
    let tested = nexus(folder, &["test"]);
    assert_eq!(tested.code, 1);
    assert!(tested.out.contains("output    total: 42 → 63"), "{}", tested.out);
    let tested = nexus(folder, &["test", "--update"]).ok();
    assert!(tested.err.contains("1 updated"), "{}", tested.err);
    let tested = nexus(folder, &["test", "--json"]).ok();
    assert_eq!(tested.values()[0]["comparison"]["verdict"], "identical");

    let wrong = nexus(folder, &["test", "--function", "other"]);
    assert!(wrong.err.contains("no recorded tests of other"), "{}", wrong.err);
    std::fs::write(folder.join("tests/recorded/bad.json"), "{}").unwrap();
    let wrong = nexus(folder, &["test"]);
    assert_eq!(wrong.code, 64);
    assert!(wrong.err.contains("bad.json") && wrong.err.contains("nexus-case"), "{}", wrong.err);
}

#[test]
fn real_calls_of_a_server_are_held_against_every_new_version() {
    let prices = Prices::new();
    let there = project(&prices.address, 2);
    let server = Server::dev(there.path(), &[]);
    server.wait("live", |_| true);
    for item in ["a", "b", "c"] {
        server.get(&format!("/hello?item={item}"));
    }
    let token = std::fs::read_to_string(there.path().join(".nexus/token")).unwrap();

    let here = project(&prices.address, 2);
    let api = server.api.clone();
    let more = ["--from", &api, "--from-token", token.trim(), "--last", "2"];
    let local = Server::dev(here.path(), &more);
    let brought = local.wait("brought", |_| true);
    assert_eq!((&brought["calls"], &brought["skipped"]), (&2.into(), &0.into()), "{brought}");
    let held = local.wait("held", |_| true);
    assert_eq!((&held["same"], &held["other"]), (&2.into(), &serde_json::json!([])), "{held}");
    write(here.path(), &prices.address, 5);
    let held = local.wait("held", |_| true);
    assert_eq!(held["other"].as_array().unwrap().len(), 2, "{held}");
    let summary = held["other"][0]["summary"].as_str().unwrap();
    assert_eq!(summary, "output total: 42 → 105");
    drop(local);

    let refused = run(binary(here.path()).args([
        "dev",
        "--no-watch",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--last",
        "3",
    ]));
    assert_eq!(refused.code, 2, "--last is for --from");
}
