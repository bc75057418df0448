//! `nexus apply`: files, sets, differences.

use serde_json::{Value, json};

use crate::stub::{json, nexus};

#[test]
fn files_are_applied_together_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let project = "apiVersion: nexus/v1\nkind: Project\nmetadata: { name: NAME }\nspec: {}\n";
    let list =
        format!("{}---\n{}---\n", project.replace("NAME", "a"), project.replace("NAME", "b"));
    let (two, one) = (file("1.yaml", &list), file("2.yaml", &project.replace("NAME", "c")));
    let done = nexus(
        &["apply", "-f", folder.path().to_str().unwrap()],
        vec![json("POST /api/v1/apply", json!({ "items": [] }))],
    );
    assert_eq!((done.code, done.requests.len()), (0, 1), "{}", done.err);
    let sent: Vec<Value> = serde_json::from_slice(&done.requests[0].1).unwrap();
    let names: Vec<_> = sent.iter().map(|at| &at["metadata"]["name"]).collect();
    assert_eq!(names, ["a", "b", "c"]);
    // What is wrong is said with its file, and nothing is sent.
    std::fs::write(&one, project.replace("Project", "Projekt")).unwrap();
    let done = nexus(&["apply", "-f", &two, "-f", &one], Vec::new());
    assert_eq!((done.code, done.requests.len()), (2, 0));
    assert!(done.err.starts_with(&format!("error: {one}: resource 1: ")), "{}", done.err);
}

#[test]
fn applied_resources_are_listed_with_what_became_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nexus.toml");
    std::fs::write(&path, "project = \"shop\"").unwrap();
    let done = nexus(
        &["apply", "-f", path.to_str().unwrap()],
        vec![json(
            "POST /api/v1/apply",
            json!({ "items": [{ "effect": "created", "resource": {
                "apiVersion": "nexus/v1", "kind": "Function", "spec": {},
                "metadata": { "project": "shop", "name": "hello" },
            } }] }),
        )],
    );
    assert_eq!((done.code, done.out.as_str()), (0, "Function shop/hello  created\n"));
    assert_eq!(done.requests[0].0, "POST /api/v1/apply?project=shop");
}

/// A route as it is applied, with what became of it.
fn applied(name: &str, path: &str, effect: &str) -> Value {
    json!({ "effect": effect, "resource": {
        "apiVersion": "nexus/v1", "kind": "Function",
        "metadata": { "project": "shop", "name": name },
        "spec": { "on": { "http": [{ "path": path }] } },
    } })
}

#[test]
fn differences_are_shown_line_by_line_and_end_with_one_where_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.json");
    std::fs::write(&path, applied("one", "/new", "")["resource"].to_string()).unwrap();
    let file = path.to_str().unwrap();
    let items =
        json!({ "items": [applied("one", "/new", "updated"), applied("two", "/b", "deleted")] });
    let before = applied("one", "/old", "")["resource"].clone();
    let routes = || {
        vec![
            json("POST /api/v1/apply", items.clone()),
            json("GET /api/v1/resources/functions/one", before.clone()),
        ]
    };
    let set = ["apply", "-f", file, "--set", "base", "--prune", "--diff"];
    let done = nexus(&[&set[..], &["--dry-run", "--exit-code"]].concat(), routes());
    assert_eq!((done.code, done.err.as_str()), (1, "nothing was changed: this was a dry run\n"));
    for line in ["-    - path: /old", "+    - path: /new", "-    - path: /b"] {
        assert!(done.out.lines().any(|at| at == line), "{line}: {}", done.out);
    }
    let query = "&set=base&prune=true&dry_run=true";
    assert!(done.requests.iter().all(|(at, _)| !at.contains("apply") || at.ends_with(query)));
    // Each resource has its difference, for programs.
    let done = nexus(&[&set[..], &["--json"]].concat(), routes());
    assert_eq!(done.code, 0, "{}", done.err);
    let first: Value = serde_json::from_str(done.out.lines().next().unwrap()).unwrap();
    assert!(first["diff"].as_str().unwrap().contains("+    - path: /new"), "{first}");
}

#[test]
fn nothing_is_different_where_nothing_would_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.json");
    std::fs::write(&path, applied("one", "/a", "")["resource"].to_string()).unwrap();
    let apply = ["apply", "-f", path.to_str().unwrap()];
    let same = || {
        vec![json("POST /api/v1/apply", json!({ "items": [applied("one", "/a", "unchanged")] }))]
    };
    let done = nexus(&[&apply[..], &["--diff", "--dry-run", "--exit-code"]].concat(), same());
    let said = "nothing is different: this was a dry run\n";
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (0, "", said));
    // Nothing is deleted without the name of a set.
    assert_eq!(nexus(&[&apply[..], &["--prune"]].concat(), same()).code, 2);
}
