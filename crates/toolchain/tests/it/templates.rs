use nexus_model::Event;
use nexus_model::record::Status;
use nexus_model::resource::World;
use nexus_toolchain::{Language, Template};

use crate::project::Project;
use crate::runner::Guest;

fn check_http(language: Language) {
    let project = Project::scaffold(language, Template::Http);
    let built = project.build("hello").unwrap();
    assert_eq!(built.language, language.as_str());
    let guest = Guest::new(&built.component);
    assert_eq!(guest.world, World::Http);
    assert_imports(&guest);
    let (status, text, ended) = guest.get("/hello?name=Ada");
    assert_eq!(
        (status, text.as_str()),
        (200, "Hello, Ada!\n"),
        "{:?} {:?}",
        ended.logs,
        ended.failure
    );
    assert!(ended.logs.iter().any(|line| line.text.contains("greeting")), "{:?}", ended.logs);
    assert_eq!(ended.meter.memory_grown_pages, 0);
    let (_, text, _) = guest.http("POST", "/", r#"{"name":"Grace"}"#);
    assert_eq!(text, "Hello, Grace!\n");
    assert!(project.build("hello").unwrap().cached);
}

fn check_event(language: Language) {
    let project = Project::scaffold(language, Template::Event);
    let guest = Guest::new(&project.build("orders").unwrap().component);
    assert_eq!(guest.world, World::Event);
    assert_imports(&guest);
    let order = |data: &str| {
        let mut event = Event::new("1", "/test", "com.shop.order.created");
        event.datacontenttype = Some("application/json".into());
        event.data = Some(data.to_owned().into());
        guest.event(event)
    };
    let ended = order(include_str!("../../../../templates/common/order.json"));
    assert_eq!(ended.status, Status::Succeeded, "{:?} {:?}", ended.logs, ended.failure);
    let [accepted] = ended.events.as_slice() else { panic!("{:?}", ended.events) };
    assert_eq!(accepted.ty, "com.shop.order.accepted");
    let data: serde_json::Value =
        serde_json::from_slice(&accepted.data.clone().unwrap_or_default().inline).unwrap();
    assert_eq!(data, serde_json::json!({"order": 42, "total": 12}));
    assert_eq!(ended.meter.memory_grown_pages, 0);
    let refused = order(r#"{"order": 1, "items": []}"#);
    assert_eq!(refused.status, Status::Refused);
    let failure = refused.failure.unwrap();
    assert!(failure.message.contains("an order needs items"), "{failure:?}");
}

/// Nothing outside of WASI 0.2 and our own package.
fn assert_imports(guest: &Guest) {
    for import in &guest.imports {
        let known = import.starts_with("nexus:function/")
            || import.starts_with("wasi:") && import.contains("@0.2.");
        assert!(known, "{import}");
    }
}

#[test]
fn rust_http() {
    check_http(Language::Rust);
}

#[test]
fn rust_event() {
    check_event(Language::Rust);
}

#[test]
fn javascript_http() {
    check_http(Language::JavaScript);
}

#[test]
fn javascript_event() {
    check_event(Language::JavaScript);
}

#[test]
fn typescript_http() {
    check_http(Language::TypeScript);
}

#[test]
fn typescript_event() {
    check_event(Language::TypeScript);
}

#[test]
fn python_http() {
    check_http(Language::Python);
}

#[test]
fn python_event() {
    check_event(Language::Python);
}
