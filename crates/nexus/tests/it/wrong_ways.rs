//! Wrong flags, wrong files, missing things: each with a reason and what to do.

use crate::harness::{Server, binary, nexus, run};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn no_manifest() {
    let home = folder();
    let done = nexus(home.path(), &["dev"]);
    assert_eq!(done.code, 64);
    assert!(done.err.contains("has no nexus.toml"), "{}", done.err);
    assert!(done.err.contains("hint: `nexus new my-project`"), "{}", done.err);
}

#[test]
fn wrong_manifests_name_line_and_key() {
    for (text, expected) in [
        (
            "project = \"shop\"\n[functions.hello]\ntimout = \"1s\"",
            "line 3: functions.hello.timout",
        ),
        ("project = \"shop", "line 1"),
        ("project = \"Shop!\"", "is not a name"),
        ("[functions.hello]", "project: is missing"),
        (
            "project = \"shop\"\n[functions.a]\nhttp = \"/a\"\n[functions.b]\nhttp = \"/a\"",
            "line 5: functions.b.http: /a is a path of functions.a already",
        ),
        ("project = \"shop\"\n[functions.hello]\nsource = \"nowhere\"", "there is no folder"),
        ("project = \"shop\"\n[functions.hello]\nlanguage = \"cobol\"", "unknown language"),
    ] {
        let home = folder();
        std::fs::write(home.path().join("nexus.toml"), text).unwrap();
        let done = nexus(home.path(), &["dev"]);
        assert_eq!(done.code, 64, "{}", done.err);
        assert!(done.err.contains(expected), "{text}: {}", done.err);
    }
}

#[test]
fn wrong_configuration_exits_with_64() {
    let home = folder();
    let file = home.path().join("nexus-server.toml");
    for (text, expected) in [
        ("[log]\nsegment-sice = \"8MiB\"", "line 2: log.segment-sice: unknown key"),
        ("[log\n", "line 1"),
        ("drain = \"soon\"", "'soon' is not a duration"),
        ("[functions]\nconcurrency = 0", "functions.concurrency: at least 1"),
    ] {
        std::fs::write(&file, text).unwrap();
        let done = nexus(home.path(), &["serve", "--config", "nexus-server.toml"]);
        assert_eq!(done.code, 64, "{}", done.err);
        assert!(done.err.contains(expected), "{text}: {}", done.err);
        assert!(!done.err.contains("because:"), "said twice: {}", done.err);
    }
    let done = nexus(home.path(), &["serve", "--config", "absent.toml"]);
    assert_eq!(done.code, 64);
    let done = run(binary(home.path()).arg("serve").env("NEXUS_DRAIN", "soon"));
    assert_eq!(done.code, 64);
    assert!(done.err.contains("NEXUS_DRAIN: drain:"), "{}", done.err);
}

#[test]
fn the_configuration_and_its_schema_are_printed() {
    let home = folder();
    let dumped = nexus(home.path(), &["serve", "--dump-config", "--set", "drain=5s"]).ok();
    assert!(dumped.out.contains("drain = \"5s\""), "{}", dumped.out);
    for name in ["cert.pem", "key.pem"] {
        std::fs::write(home.path().join(name), "").unwrap();
    }
    let tls = ["--set", "ingress.tls.certificate=cert.pem", "--set", "ingress.tls.key=key.pem"];
    let dumped = nexus(home.path(), &[&["serve", "--dump-config"], &tls[..]].concat()).ok();
    assert!(dumped.out.contains("key = \"key.pem\""), "{}", dumped.out);
    let half = nexus(home.path(), &[&["serve", "--dump-config"], &tls[..2]].concat());
    assert_eq!(half.code, 64);
    assert!(half.err.contains("ingress.tls.key: missing"), "{}", half.err);
    let filter = nexus(home.path(), &["serve", "--dump-config", "--set", "logging.filter=a=b"]);
    assert_eq!(filter.code, 64, "{}", filter.err);
    let schema = nexus(home.path(), &["serve", "--print-config-schema"]).ok();
    let schema: serde_json::Value = serde_json::from_str(&schema.out).unwrap();
    assert!(schema["properties"]["log"].is_object());
}

#[test]
fn a_second_server_on_the_folder() {
    let home = folder();
    std::fs::write(home.path().join("nexus.toml"), "project = \"shop\"\n").unwrap();
    let first = Server::dev(home.path(), &[]);
    let done =
        nexus(home.path(), &["dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    assert_eq!(done.code, 1);
    assert!(done.err.contains("is in use by the server with process id"), "{}", done.err);
    assert!(done.err.contains(&first.api), "{}", done.err);
    assert!(done.err.contains("hint: stop it, or choose another folder"), "{}", done.err);
    let done = nexus(home.path(), &["log", "verify", "--data", ".nexus"]);
    assert_eq!(done.code, 1);
    assert!(done.err.contains("hint: the server runs"), "{}", done.err);
}

#[test]
fn a_taken_port() {
    let home = folder();
    std::fs::write(home.path().join("nexus.toml"), "project = \"shop\"\n").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let done = nexus(home.path(), &["dev", "--listen", &address, "--admin-listen", "127.0.0.1:0"]);
    assert_eq!(done.code, 1);
    assert!(
        done.err.contains(&format!("cannot listen on {address} for functions")),
        "{}",
        done.err
    );
    assert!(done.err.contains("--listen"), "{}", done.err);
}

#[test]
fn a_server_that_was_killed_leaves_nothing_that_misleads() {
    let home = folder();
    std::fs::write(home.path().join("nexus.toml"), "project = \"shop\"\n").unwrap();
    let mut server = Server::dev(home.path(), &[]);
    server.stop(rustix::process::Signal::KILL);
    let done = nexus(home.path(), &["functions"]);
    assert_eq!(done.code, 1);
    assert!(done.err.contains("no server at"), "{}", done.err);
    let _again = Server::dev(home.path(), &[]);
    nexus(home.path(), &["limits"]).ok();
}

#[test]
fn missing_tools_are_named_with_their_installation() {
    let home = folder();
    let empty = folder();
    let new =
        run(binary(home.path()).args(["new", "shop", "--lang", "rust"]).env("PATH", empty.path()));
    assert_eq!(new.code, 0, "{}", new.err);
    assert!(new.err.contains("missing: cargo") && new.err.contains("install it:"), "{}", new.err);
    let shop = home.path().join("shop");
    let done = run(binary(&shop)
        .args(["deploy", "--server", "http://127.0.0.1:1"])
        .env("PATH", empty.path()));
    assert_eq!(done.code, 1);
    assert!(done.err.contains("missing: cargo"), "{}", done.err);
}

#[test]
fn wrong_words_after_new() {
    let home = folder();
    for (line, expected) in [
        (&["new", "shop", "--lang", "cobol"][..], "unknown language"),
        (&["new", "shop", "--template", "cron"], "unknown template"),
        (&["new", "My Shop"], "is not a name"),
    ] {
        let done = nexus(home.path(), line);
        assert_eq!(done.code, 2, "{}", done.err);
        assert!(done.err.contains(expected), "{}", done.err);
    }
    std::fs::create_dir(home.path().join("full")).unwrap();
    std::fs::write(home.path().join("full/x"), "").unwrap();
    let done = nexus(home.path(), &["new", "full"]);
    assert_eq!(done.code, 1);
    assert!(done.err.contains("is not empty"), "{}", done.err);
}
