//! What a user does, from the first command to the replay.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use crate::harness::{Server, binary, get, nexus};

/// A project whose function answers with `text`, prints, and uses clock and random.
fn write_function(folder: &Path, text: &str) {
    std::fs::write(folder.join("nexus.toml"), MANIFEST).unwrap();
    std::fs::write(folder.join("index.js"), function(text)).unwrap();
}

const MANIFEST: &str = "project = \"shop\"\n[functions.hello]\nsource = \".\"\nhttp = \"/hello\"\n";

fn function(text: &str) -> String {
    format!(
        "export default {{\n  async fetch(request) {{\n    const name = new URL(request.url)\
         .searchParams.get('name') ?? 'world';\n    console.log('greeting', name);\n    \
         return new Response(`{text}, ${{name}}! ${{Math.random()}}`);\n  }},\n}};\n"
    )
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn new_dev_call_look_and_replay() {
    let home = folder();
    nexus(home.path(), &["new", "shop", "--lang", "javascript"]).ok();
    let shop = home.path().join("shop");
    let server = Server::dev(&shop, &[]);
    let live = server.wait("live", |_| true);
    assert_eq!(live["function"], "shop/hello");
    assert!(live["deployed"]["compile_ms"].as_u64().unwrap() > 0, "{live}");
    assert_eq!(live["deployed"]["notes"], serde_json::Value::Null, "{live}");

    let (status, body) = server.get("/hello?name=Ada");
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("Ada"), "{body}");
    let row = server.wait("invocation", |_| true)["invocation"].clone();
    assert_eq!((&row["status"], &row["function"]), (&"succeeded".into(), &"hello".into()));
    let id = row["id"].as_str().unwrap();

    // Commands find the server and the project from any folder below.
    let inside = shop.join("deep");
    std::fs::create_dir(&inside).unwrap();
    let shown = nexus(&inside, &["invocations", "show", id, "--json"]).ok().values();
    assert_eq!(shown[0]["id"], id);
    assert_eq!(shown[0]["level"], "exact");
    let text = nexus(&inside, &["invocations", "show", "last"]).ok().out;
    for part in ["Time", "instantiate", "Input", "GET", "/hello?name=Ada", "Output", "200"] {
        assert!(text.contains(part), "no '{part}' in\n{text}");
    }
    assert!(nexus(&inside, &["functions"]).ok().out.contains("hello"));
    let listed = nexus(&inside, &["invocations", "--function", "hello", "--json"]).ok();
    assert_eq!(listed.values().len(), 1);

    let replay = nexus(&inside, &["replay", id]);
    assert_eq!((replay.code, replay.out.as_str()), (0, "identical\n"), "{}", replay.err);

    let invoked = nexus(&inside, &["invoke", "hello", "--path", "/hello?name=Bob"]).ok();
    assert!(invoked.out.contains("Bob"), "{}", invoked.out);

    let (status, page) = get(server.api.trim_start_matches("http://"), "/");
    assert_eq!((status, &page[..15].to_lowercase()[..]), (200, "<!doctype html>"));
    let link = nexus(&inside, &["console", "--no-open"]).ok().out;
    assert!(link.starts_with(&format!("{}/signin?code=nx_", server.api)), "{link}");
    let counted = nexus(&inside, &["invocations", "--count", "--trigger", "http"]).ok().out;
    assert_eq!(counted.trim(), "1");
    let found = nexus(&inside, &["invocations", "--text", "ADA", "--json"]).ok();
    assert_eq!(found.values()[0]["id"], id);
    let stats = nexus(&inside, &["stats", "hello", "--json"]).ok().values();
    assert_eq!(stats[0]["totals"]["invocations"], 2, "{}", stats[0]);
    for line in [&["limits"][..], &["status"], &["log", "stats"], &["log", "verify"], &["version"]]
    {
        nexus(&inside, line).ok();
    }
}

#[test]
fn a_save_is_live_and_a_broken_one_is_shown() {
    let home = folder();
    write_function(home.path(), "Hello");
    let mut server = Server::dev(home.path(), &[]);
    server.wait("live", |_| true);
    assert!(server.get("/hello?name=Ada").1.starts_with("Hello, Ada! "));
    server.wait("invocation", |_| true);
    let logs = nexus(home.path(), &["logs", "hello"]).ok().out;
    assert!(logs.contains("greeting Ada"), "{logs}");

    std::fs::write(home.path().join("index.js"), function("Good day")).unwrap();
    server.wait("live", |_| true);
    assert!(server.get("/hello?name=Ada").1.starts_with("Good day, Ada! "));

    std::fs::write(home.path().join("index.js"), "export default {").unwrap();
    let failed = server.wait("failed", |_| true);
    assert_eq!(failed["serving"], true);
    assert!(failed["error"].as_str().unwrap().contains("index.js"), "{failed}");
    assert!(server.get("/hello?name=Ada").1.starts_with("Good day, Ada! "));

    std::fs::write(home.path().join("index.js"), function("Again")).unwrap();
    server.wait("live", |_| true);
    assert!(server.get("/hello?name=Ada").1.starts_with("Again, Ada! "));

    // A manifest that is wrong changes nothing; one without the function removes it.
    std::fs::write(home.path().join("nexus.toml"), "project = \"shop\"\n[function.x]\n").unwrap();
    let problem = server.wait("problem", |_| true);
    assert!(problem["error"].as_str().unwrap().contains("did you mean 'functions'?"));
    assert_eq!(server.get("/hello").0, 200);
    std::fs::write(home.path().join("nexus.toml"), MANIFEST).unwrap();
    assert_eq!(server.wait("mended", |_| true)["project"], "shop");
    std::fs::write(home.path().join("nexus.toml"), "project = \"shop\"\n").unwrap();
    server.wait("removed", |_| true);
    assert_eq!(server.get("/hello").0, 404);
    assert_eq!(server.stop(rustix::process::Signal::INT), Some(0), "{}", server.err());
    assert!(!home.path().join(".nexus/server.json").exists());
}

#[test]
fn code_that_never_ends_does_not_keep_the_next_save_nor_the_end() {
    let home = folder();
    write_function(home.path(), "Hello");
    let mut server = Server::dev(home.path(), &[]);
    server.wait("live", |_| true);
    let endless = format!("{}for (;;) {{}}\n", function("Endless"));
    std::fs::write(home.path().join("index.js"), &endless).unwrap();
    server.wait("building", |_| true);
    std::fs::write(home.path().join("index.js"), function("Good day")).unwrap();
    server.wait("live", |_| true);
    assert!(server.get("/hello?name=Ada").1.starts_with("Good day, Ada! "));

    std::fs::write(home.path().join("index.js"), endless + "// again\n").unwrap();
    server.wait("building", |_| true);
    assert_eq!(server.stop(rustix::process::Signal::TERM), Some(0), "{}", server.err());
}

#[test]
fn a_missing_secret_is_named_and_setting_it_is_enough() {
    let home = folder();
    write_function(home.path(), "Hello");
    let manifest = format!("{MANIFEST}env = {{ KEY = {{ secret = \"k\" }} }}\n");
    std::fs::write(home.path().join("nexus.toml"), &manifest).unwrap();
    let server = Server::dev(home.path(), &[]);
    let failed = server.wait("failed", |_| true);
    assert!(failed["error"].as_str().unwrap().contains("secret 'k' does not exist"), "{failed}");
    assert_eq!(failed["hint"], "set it: nexus secrets set k");
    // A save that changes nothing asks for another try.
    std::fs::write(home.path().join("nexus.toml"), manifest + "# again\n").unwrap();
    server.wait("failed", |_| true);

    let mut set = binary(home.path());
    set.args(["secrets", "set", "k"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut set = set.spawn().unwrap();
    set.stdin.take().unwrap().write_all(b"value").unwrap();
    assert!(set.wait().unwrap().success());
    server.wait("live", |_| true);
    assert_eq!(server.get("/hello").0, 200);
}

#[test]
fn a_folder_that_is_missing_in_a_manifest_may_come_later() {
    let home = folder();
    write_function(home.path(), "Hello");
    let server = Server::dev(home.path(), &[]);
    server.wait("live", |_| true);
    let more = format!("{MANIFEST}[functions.more]\nsource = \"more\"\n");
    std::fs::write(home.path().join("nexus.toml"), more).unwrap();
    let problem = server.wait("problem", |_| true);
    assert!(problem["error"].as_str().unwrap().contains("there is no folder"), "{problem}");
    let beside = home.path().join("beside");
    std::fs::create_dir(&beside).unwrap();
    std::fs::write(beside.join("index.js"), function("More")).unwrap();
    std::fs::rename(&beside, home.path().join("more")).unwrap();
    server.wait("mended", |_| true);
    assert_eq!(server.wait("live", |it| it["function"] == "shop/more")["event"], "live");
}

#[test]
fn what_a_build_writes_does_not_start_it_again() {
    let home = folder();
    std::fs::write(
        home.path().join("Cargo.toml"),
        "[package]\nname = \"hello\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n",
    )
    .unwrap();
    std::fs::create_dir(home.path().join("src")).unwrap();
    std::fs::write(home.path().join("src/main.rs"), "fn main() { println!(\"hi\"); }").unwrap();
    std::fs::write(home.path().join("nexus.toml"), MANIFEST).unwrap();
    let mut server = Server::dev(home.path(), &[]);
    let mut building = 0;
    loop {
        let told = server.next();
        building += usize::from(told["event"] == "building");
        if told["event"] == "live" {
            break;
        }
        assert_ne!(told["event"], "failed", "{told}");
    }
    assert_eq!(building, 1);
    // Cargo wrote its lock file meanwhile; it belongs to what was built.
    assert!(home.path().join("Cargo.lock").is_file());
    server.stop(rustix::process::Signal::TERM);
    let server = Server::dev(home.path(), &[]);
    let outcome = server.outcome();
    assert_eq!(outcome["event"], "unchanged", "{outcome}");
}

#[test]
fn a_restart_builds_nothing_and_keeps_history() {
    let home = folder();
    write_function(home.path(), "Hello");
    let mut server = Server::dev(home.path(), &[]);
    server.wait("live", |_| true);
    server.get("/hello?name=Ada");
    let first = server.wait("invocation", |_| true)["invocation"]["id"].clone();
    server.stop(rustix::process::Signal::TERM);

    let server = Server::dev(home.path(), &[]);
    let outcome = server.outcome();
    assert_eq!(outcome["event"], "unchanged", "{outcome}");
    assert_eq!(server.get("/hello?name=Bob").0, 200);
    let replay = nexus(home.path(), &["replay", first.as_str().unwrap()]);
    assert_eq!((replay.code, replay.out.as_str()), (0, "identical\n"), "{}", replay.err);
    assert_eq!(nexus(home.path(), &["functions", "versions", "hello"]).ok().out.lines().count(), 2);
}

#[test]
fn an_event_runs_a_function() {
    let home = folder();
    nexus(home.path(), &["new", "shop", "--lang", "javascript", "--template", "event"]).ok();
    let shop = home.path().join("shop");
    let server = Server::dev(&shop, &[]);
    server.wait("live", |_| true);
    let order = include_str!("../../../../templates/common/order.json");
    std::fs::write(shop.join("order.json"), order).unwrap();
    let ty = "com.shop.order.created";
    let emitted = nexus(&shop, &["emit", ty, "-d", "@order.json", "--id", "o-1"]).ok();
    let event = emitted.out.trim().to_owned();
    let ran = server.wait("invocation", |_| true)["invocation"].clone();
    assert_eq!((&ran["trigger"], &ran["status"]), (&"event".into(), &"succeeded".into()));

    let again = nexus(&shop, &["emit", ty, "-d", "@order.json", "--id", "o-1"]).ok();
    assert_eq!(again.out.trim(), event, "a duplicate has the first id");
    let listed = nexus(&shop, &["events", "--type", "com.shop.*", "--json"]).ok().values();
    assert!(listed.iter().any(|it| it["id"] == event.as_str()));
    let shown = nexus(&shop, &["events", "show", &event]).ok().out;
    assert!(shown.contains("\"order\": 42"), "{shown}");
    let id = ran["id"].as_str().unwrap();
    let replay = nexus(&shop, &["replay", id]);
    assert_eq!((replay.code, replay.out.as_str()), (0, "identical\n"), "{}", replay.err);
}

#[test]
fn several_projects_in_one_server() {
    let home = folder();
    for name in ["shop", "billing"] {
        let folder = home.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        write_function(&folder, name);
        let manifest = MANIFEST.replace("shop", name);
        std::fs::write(folder.join("nexus.toml"), manifest).unwrap();
    }
    let server = Server::dev(home.path(), &["shop", "billing"]);
    server.wait("live", |_| true);
    server.wait("live", |_| true);
    // The first project answers on the bare host, the other one on its own.
    assert!(server.get("/hello").1.starts_with("shop, "));
    let inside = home.path().join("billing");
    let functions = nexus(&inside, &["functions", "--json"]).ok().values();
    let url = functions[0]["urls"][0].as_str().unwrap().to_owned();
    assert!(url.contains("billing.localhost"), "{url}");
    let invoked = nexus(&inside, &["invoke", "hello", "-X", "GET", "--quiet"]).ok();
    assert!(invoked.out.starts_with("billing, "), "{}", invoked.out);
}
