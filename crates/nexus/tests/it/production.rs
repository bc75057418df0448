//! `nexus serve`, and deploying to it from elsewhere.

use crate::harness::{Server, nexus};

#[test]
fn a_project_is_deployed_to_a_server() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let mut server = Server::serve(&data, &[]);
    let token = std::fs::read_to_string(data.join("token")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(data.join("token")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);

    let shop = home.path().join("shop");
    std::fs::create_dir(&shop).unwrap();
    std::fs::write(
        shop.join("nexus.toml"),
        "project = \"shop\"\n[functions.hello]\nhttp = { path = \"/hello\", auth = \"none\" }\n",
    )
    .unwrap();
    std::fs::write(
        shop.join("index.js"),
        "export default { fetch: () => new Response('deployed') };\n",
    )
    .unwrap();
    let remote = ["--server", &server.api, "--token", token.trim()];
    let with = |line: &[&str]| nexus(&shop, &[line, &remote].concat());
    with(&["deploy"]).ok();
    assert_eq!(with(&["invoke", "hello", "-X", "GET", "--quiet"]).ok().out, "deployed");
    let unchanged = with(&["deploy", "--json"]).ok().values();
    assert_eq!(unchanged[0]["unchanged"], true);
    // What was read can be applied, as it is or changed.
    let read = with(&["get", "functions", "hello"]).ok().out;
    assert!(read.contains("status:") && read.contains("revision:"), "{read}");
    for (text, effect) in
        [(read.clone(), "unchanged"), (read.replace("spec:", "spec:\n  description: x"), "updated")]
    {
        std::fs::write(home.path().join("read.yaml"), text).unwrap();
        let applied = with(&["apply", "-f", "../read.yaml"]).ok();
        assert!(applied.out.contains(effect), "{}", applied.out);
    }
    let stale = with(&["apply", "-f", "../read.yaml"]);
    assert_eq!(stale.code, 1, "what was read before a change does not undo it: {}", stale.out);

    let made = with(&["tokens", "create", "ci", "--scope", "emit"]).ok().out;
    let emit = nexus(&shop, &["emit", "t", "--server", &server.api, "--token", made.trim()]);
    assert_eq!(emit.code, 0, "{}", emit.err);
    let denied = nexus(&shop, &["functions", "--server", &server.api, "--token", made.trim()]);
    assert_eq!(denied.code, 1);
    assert!(denied.err.contains("NX2002"), "{}", denied.err);
    let nobody = nexus(&shop, &["functions", "--server", &server.api]);
    assert!(nobody.err.contains("NX2001") && nobody.err.contains("hint:"), "{}", nobody.err);

    assert_eq!(server.stop(rustix::process::Signal::TERM), Some(0), "{}", server.err());
    let data = data.display().to_string();
    nexus(home.path(), &["log", "verify", "--data", &data]).ok();
    let stats = nexus(home.path(), &["log", "stats", "--data", &data, "--json"]).ok();
    assert_eq!(stats.values().len(), 1);
}

#[test]
fn a_project_is_deployed_whole_or_not_at_all() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let mut server = Server::serve(&data, &[]);
    let token = std::fs::read_to_string(data.join("token")).unwrap();
    let shop = home.path().join("shop");
    let remote = ["--server", &server.api, "--token", token.trim()];
    let with = |line: &[&str]| nexus(&shop, &[line, &remote].concat());
    let write = |name: &str, text: &str| {
        let path = shop.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let code = |text: &str| format!("export default {{ fetch: () => new Response('{text}') }};\n");
    let manifest = |more: &str| {
        format!(
            "project = \"shop\"\n[functions.one]\nhttp = {{ path = \"/one\", auth = \"none\" }}\n\
             [functions.two]\ncron = \"0 2 * * *\"\n\
             webhook = {{ path = \"/hook\", verify = \"none\" }}\n{more}"
        )
    };
    write("nexus.toml", &manifest(""));
    write("one/index.js", &code("first"));
    write("two/index.js", "export default { event() {} };\n");
    let first = with(&["deploy"]).ok().out;
    for line in
        ["  cron 0 2 * * * UTC, next ", "  webhook http://localhost:", "shop/one  version 1"]
    {
        assert!(first.contains(line), "{first}");
    }
    let live = || with(&["invoke", "one", "-X", "GET", "--quiet"]).ok().out;
    let before = with(&["get", "functions", "--json"]).ok().out;
    write("one/index.js", &code("second"));
    // The second function does not build; then the server refuses it; then its trigger.
    write("two/index.js", "export default {");
    let unbuilt = with(&["deploy"]);
    assert!(unbuilt.code == 1 && unbuilt.err.contains("nothing was deployed"), "{}", unbuilt.err);
    write("two/index.js", "export default { event() {} };\n");
    write("nexus.toml", &manifest("env = { KEY = { secret = \"none\" } }\n"));
    let refused = with(&["deploy"]);
    assert!(
        refused.code == 1 && refused.err.contains("function 'two': spec.env.KEY"),
        "{}",
        refused.err
    );
    assert!(refused.err.contains("every function is as it was"), "{}", refused.err);
    write(
        "nexus.toml",
        &manifest("[triggers.late]\nfunction = \"three\"\nevent = { type = \"com.shop.*\" }\n"),
    );
    let lost = with(&["deploy"]);
    assert!(lost.code == 1 && lost.err.contains("Trigger shop/late"), "{}", lost.err);
    assert_eq!(
        (live().as_str(), with(&["get", "functions", "--json"]).ok().out),
        ("first", before)
    );
    write(
        "nexus.toml",
        &manifest("[triggers.late]\nfunction = \"one\"\nevent = { type = \"com.shop.*\" }\n"),
    );
    let out = with(&["deploy"]).ok().out;
    assert!(out.contains("Trigger shop/late  created"), "{out}");
    assert_eq!(live(), "second");
    assert_eq!(server.stop(rustix::process::Signal::TERM), Some(0), "{}", server.err());
}
