//! The official CloudEvents SDKs as clients of the events endpoint. `cargo xtask setup` installs
//! them.

use std::path::Path;
use std::process::Command;

use nexus_model::Scope;
use serde_json::{Value, json};

use crate::world::World;

async fn run(program: &'static str, script: &'static str) -> (String, Vec<Value>) {
    let world = World::new().await;
    let token = world.token(&[Scope::Emit]).await;
    let url = format!("http://{}/api/v1/projects/shop/events", world.gateway.admin_address());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdks").join(script);
    let output = tokio::task::spawn_blocking(move || {
        Command::new(program).arg(script).args([url, token]).output()
    });
    let output = output.await.unwrap().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}\n`cargo xtask setup` installs the SDKs");
    let listed = world.get("/api/v1/projects/shop/events?data=true&type=com.example.sdk").await;
    let mut events: Vec<Value> = listed.json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["event"].clone())
        .collect();
    events.sort_by_key(|event| event["id"].to_string());
    (String::from_utf8_lossy(&output.stdout).into_owned(), events)
}

fn check(name: &str, subject: &str, (statuses, events): (String, Vec<Value>)) {
    assert_eq!(statuses, "202\n202\n202\n");
    assert_eq!(events.len(), 4);
    for (index, event) in events.iter().enumerate() {
        let number = index + 1;
        assert_eq!(event["id"], format!("{name}-{number}"));
        assert_eq!(event["source"], format!("/sdk/{name}"));
        assert_eq!((&event["subject"], &event["ext"]), (&json!(subject), &json!("value")));
        assert_eq!(event["data"], json!({ "number": number }), "{event}");
        assert!(event["time"].as_str().unwrap().starts_with("2026-11-20T19:00:00"), "{event}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_sends_in_every_mode() {
    check("python", "Größe € 😀", run("python3", "send.py").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_javascript_sdk_sends_in_every_mode() {
    check("javascript", "orders/1", run("node", "send.js").await);
}
