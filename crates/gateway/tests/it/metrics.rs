//! `/metrics`: both formats, read by others, and what the documentation says of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use http::Method;
use serde_json::{Value, json};

use crate::world::{Answer, Send, World};

const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A server that has something to tell.
async fn world() -> World {
    let world = World::new().await;
    let spec = json!({ "on": { "http": [{ "path": "/hello" }] } });
    world.deploy_with("hello", "http echo", Some(spec)).await;
    for _ in 0..3 {
        let send = Send { body: "x".into(), ..Send::default() };
        assert_eq!(world.call(Method::POST, "/hello", send).await.status, 200);
    }
    assert_eq!(world.call(Method::GET, "/nothing", Send::default()).await.status, 404);
    world
}

async fn scrape(world: &World, accept: &str) -> Answer {
    let headers = [("accept", accept)];
    let headers: &[_] = if accept.is_empty() { &[] } else { &headers };
    let send = Send { token: &world.admin, headers, ..Send::default() };
    let answer = world.api(Method::GET, "/metrics", send).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("vary"), "accept");
    answer
}

/// What is counted behind the answers is seen a little later.
async fn scrape_after(world: &World, accept: &str, line: &str) -> String {
    let mut text = String::new();
    for _ in 0..500 {
        text = scrape(world, accept).await.text();
        if text.lines().any(|at| at.starts_with(line)) {
            return text;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{line} is not in\n{text}");
}

const CALLED: &str = r#"faas_invoke_duration_seconds_count{project="shop",function="hello"} 3"#;

/// Known once all folders of blobs were looked through.
const MEASURED: &str = "nexus_blobs_bytes ";

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_chooses_the_format() {
    let world = world().await;
    let scraper = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
                   version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    for (accept, content_type) in [
        ("", PROMETHEUS),
        ("*/*", PROMETHEUS),
        (scraper, OPEN_METRICS),
        ("text/plain;version=0.0.4,application/openmetrics-text;q=0.5", PROMETHEUS),
    ] {
        let answer = scrape(&world, accept).await;
        assert_eq!(answer.header("content-type"), content_type, "{accept}");
        let text = answer.text();
        assert_eq!(text.ends_with("# EOF\n"), content_type == OPEN_METRICS, "{accept}");
        assert_eq!(text.contains("# UNIT "), content_type == OPEN_METRICS, "{accept}");
        let named = match content_type {
            PROMETHEUS => "# TYPE nexus_events_accepted_total counter\n",
            _ => "# TYPE nexus_events_accepted counter\n",
        };
        assert!(text.contains(named), "{text}");
    }
}

/// The client library of Prometheus for Python; `cargo xtask setup` installs it.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_parser_reads_the_same_from_both_formats() {
    let world = world().await;
    scrape_after(&world, "", CALLED).await;
    let plain = scrape_after(&world, "", MEASURED).await;
    let open = scrape(&world, "application/openmetrics-text").await.text();
    let dir = tempfile::tempdir().unwrap();
    let files = [dir.path().join("plain"), dir.path().join("open")];
    for (file, text) in files.iter().zip([&plain, &open]) {
        std::fs::write(file, text).unwrap();
    }
    let [mut plain, open] = read_by_python(&files);
    assert_eq!(names(&plain).len(), plain.as_object().unwrap().len());

    let build = format!("nexus_build_info{{\"version\": \"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(plain["nexus_build_info"]["type"], "gauge");
    assert_eq!(plain["nexus_build_info"]["samples"][&build], 1.0);
    assert_eq!(open["nexus_build"]["type"], "info");
    assert_eq!(open["nexus_build"]["samples"][&build], 1.0);
    let calls = &open["faas_invoke_duration_seconds"];
    assert_eq!((&calls["type"], &calls["unit"]), (&json!("histogram"), &json!("seconds")));
    let all = r#"faas_invoke_duration_seconds_bucket{"function": "hello", "le": "+Inf", "project": "shop"}"#;
    assert_eq!(calls["samples"][all], 3.0);
    assert_eq!(open["process_cpu_seconds"]["type"], "counter");

    // Both know the same time series: a server may be asked for the one and then for the other.
    let series = |families: &Value| -> BTreeSet<String> {
        let samples = families.as_object().unwrap().values().map(|family| &family["samples"]);
        samples.flat_map(|samples| samples.as_object().unwrap().keys().cloned()).collect()
    };
    assert_eq!(series(&plain), series(&open));
    plain.as_object_mut().unwrap().retain(|name, _| name != "nexus_build_info");
    for (name, family) in plain.as_object().unwrap() {
        assert_eq!(family["type"], open[name]["type"], "{name}");
    }
}

fn read_by_python(files: &[PathBuf; 2]) -> [Value; 2] {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdks/metrics.py");
    let output = Command::new("python3").arg(script).args(files).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}\n`cargo xtask setup` installs the parser");
    let printed = String::from_utf8(output.stdout).unwrap();
    let mut lines = printed.lines().map(|line| serde_json::from_str(line).unwrap());
    [lines.next().unwrap(), lines.next().unwrap()]
}

fn names(families: &Value) -> BTreeSet<&str> {
    families.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_series_of_a_function_end_with_it() {
    let world = world().await;
    scrape_after(&world, "", CALLED).await;
    // Another version is the same function.
    let spec = json!({ "on": { "http": [{ "path": "/hello" }] } });
    world.deploy_with("hello", "http echo 2", Some(spec.clone())).await;
    let send = Send { body: "x".into(), ..Send::default() };
    assert_eq!(world.call(Method::POST, "/hello", send.clone()).await.status, 200);
    scrape_after(&world, "", &CALLED.replace("} 3", "} 4")).await;

    let path = "/api/v1/projects/shop/functions/hello";
    let delete = Send { token: &world.admin, ..Send::default() };
    let deleted = world.api(Method::DELETE, path, delete).await;
    assert!(deleted.status.is_success(), "{deleted:?}");
    let text = scrape(&world, "").await.text();
    assert!(!text.contains("function=\"hello\""), "{text}");

    world.deploy_with("hello", "http echo", Some(spec)).await;
    assert_eq!(world.call(Method::POST, "/hello", send).await.status, 200);
    scrape_after(&world, "", &CALLED.replace("} 3", "} 1")).await;
}

/// What `docs/operating.md` says between its heading "Metrics" and the next one.
fn documentation() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operating.md");
    let text = std::fs::read_to_string(file).unwrap();
    let (_, rest) = text.split_once("\n## Metrics\n").expect("a chapter about metrics");
    rest.split("\n## ").next().unwrap().to_owned()
}

/// The names and kinds that metrics state for themselves.
fn stated(text: &str) -> BTreeSet<(String, String)> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn the_documentation_lists_every_metric_and_no_other() {
    let world = world().await;
    scrape_after(&world, "", CALLED).await;
    let text = scrape_after(&world, "", MEASURED).await;
    let documentation = documentation();
    let rows =
        documentation.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let listed: BTreeSet<_> = rows
        .map(|(name, rest)| (name.to_owned(), rest.split(' ').next().unwrap().to_owned()))
        .collect();
    let stated = stated(&text);
    let missing: Vec<_> = stated.difference(&listed).collect();
    let too_many: Vec<_> = listed.difference(&stated).collect();
    assert!(missing.is_empty(), "docs/operating.md does not list {missing:?}");
    assert!(too_many.is_empty(), "docs/operating.md lists {too_many:?}, which nothing exports");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_and_examples_of_the_documentation_use_what_there_is() {
    let world = world().await;
    scrape_after(&world, "", CALLED).await;
    let text = scrape_after(&world, "", MEASURED).await;
    let stated = stated(&text);
    let documentation = documentation();
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words: BTreeSet<&str> = documentation
        .split(|letter| !is_word(letter))
        .filter(|word| {
            ["nexus_", "faas_", "process_", "http_"].iter().any(|at| word.starts_with(at))
        })
        .collect();
    assert!(words.contains("faas_invoke_duration_seconds_bucket"), "{words:?}");
    for word in words {
        let series = text
            .lines()
            .any(|line| line.strip_prefix(word).is_some_and(|rest| rest.starts_with(['{', ' '])));
        let family = stated.iter().any(|(name, _)| name == word);
        assert!(series || family, "docs/operating.md speaks of {word}, which nothing exports");
    }
}
