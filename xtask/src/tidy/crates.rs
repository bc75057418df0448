//! Who may depend on whom: the table of `docs/ARCHITECTURE.md`, checked.

use std::collections::{BTreeMap, BTreeSet};

use toml::Table;

use super::{File, Finding, lexer};

/// Our crates in the order of the floors, each with the crates of ours that it may use. Test
/// dependencies may be anything that these reach, and `testkit`.
const FLOORS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("wit", &[]),
    ("exec", &["model"]),
    ("log", &["model"]),
    ("store", &["model"]),
    ("content", &["model"]),
    ("policy", &["model"]),
    ("observe", &["model"]),
    ("wasm", &["exec", "wit", "model"]),
    ("engine", &["content", "exec", "log", "store", "policy", "model"]),
    ("node", &["engine", "content", "exec", "log", "store", "policy", "observe", "model"]),
    ("gateway", &["node", "policy", "observe", "model"]),
    ("console", &[]),
    ("cli", &["model"]),
    ("toolchain", &["model"]),
    ("testkit", &["model", "exec", "log", "store"]),
    (
        "nexus",
        &[
            "model",
            "log",
            "store",
            "policy",
            "observe",
            "exec",
            "wasm",
            "engine",
            "node",
            "gateway",
            "console",
            "cli",
            "toolchain",
        ],
    ),
    ("xtask", &[]),
];

/// What tests may use besides: built guests are called as the server would.
const TEST_EDGES: &[(&str, &str)] = &[("toolchain", "exec"), ("toolchain", "wasm")];

/// Crates from outside that only some of ours may know, each with the reason.
const KEPT_TO: &[(&[&str], &[&str], &str)] = &[
    (
        &["wasmtime", "wasmtime-wasi", "wasmtime-wasi-http", "wasmtime-wasi-io"],
        &["wasm", "wit", "toolchain"],
        "only these know Wasmtime; the toolchain runs guests to initialise them",
    ),
    (&["wasmtime-wizer"], &["toolchain"], "only the guest builder initialises guests"),
    (&["axum", "tower-http", "utoipa"], &["gateway"], "only the gateway knows how HTTP is served"),
    (&["clap", "clap_complete"], &["cli", "nexus", "xtask"], "only these have a command line"),
    (
        &["jaq-core", "jaq-std", "jaq-json", "jsonschema"],
        &["content"],
        "only the content crate evaluates expressions and schemas of users",
    ),
    (&["brotli", "flate2"], &["console"], "only the console is embedded compressed"),
    (&["sqlx", "rusqlite"], &["store"], "only the store knows SQL"),
    (&["async-nats"], &["log"], "only the log knows NATS"),
    (&["anyhow"], &["nexus", "cli", "toolchain", "wasm", "xtask"], "a library names its errors"),
];

/// Dependencies that no text of the crate names, each with the reason.
const UNNAMED: &[(&str, &str, &str)] = &[];

/// Dependencies whose version is not the workspace's, each with the reason.
const OWN_VERSION: &[(&str, &[&str], &str)] = &[(
    "toolchain",
    &["wit-dylib", "wit-component", "wit-parser", "wasm-compose", "wasm-encoder", "wasmparser"],
    "the metadata that wit-dylib writes must be the one that the stored runtime reads",
)];

pub(crate) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let manifests = files.iter().filter(|file| crate_of(&file.path).is_some());
    let mut used = BTreeSet::new();
    for file in manifests {
        match file.text.parse::<Table>() {
            Ok(manifest) => manifest_rules(file, &manifest, files, &mut findings, &mut used),
            Err(error) => findings.push(Finding::new(file, 0, format!("not TOML: {error}"))),
        }
    }
    workspace_dependencies(files, &used, &mut findings);
    findings
}

/// The crate whose manifest this is: a folder of `crates`, or `xtask`.
fn crate_of(path: &str) -> Option<&str> {
    let parts: Vec<&str> = path.split('/').collect();
    match parts[..] {
        ["crates", name, "Cargo.toml"] => Some(name),
        ["xtask", "Cargo.toml"] => Some("xtask"),
        _ => None,
    }
}

fn manifest_rules(
    file: &File,
    manifest: &Table,
    files: &[File],
    findings: &mut Vec<Finding>,
    used: &mut BTreeSet<String>,
) {
    let name = crate_of(&file.path).unwrap_or_default();
    let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
    if lints.and_then(toml::Value::as_bool) != Some(true) {
        findings.push(Finding::new(file, 0, "it must have '[lints] workspace = true'"));
    }
    let Some(allowed) = allowed(name) else {
        let message =
            format!("the crate '{name}' has no floor: add it to FLOORS and to the code map");
        findings.push(Finding::new(file, 0, message));
        return;
    };
    for (section, dependencies) in dependency_tables(manifest) {
        let test_only = section == "dev-dependencies";
        for (dependency, value) in dependencies {
            used.insert(dependency.clone());
            let rule = Edge { from: name, to: dependency, test_only, allowed: &allowed };
            findings.extend(rule.check().map(|message| Finding::new(file, 0, message)));
            let own = OWN_VERSION
                .iter()
                .any(|(from, names, _)| *from == name && names.contains(&dependency.as_str()));
            if !own && value.get("workspace").and_then(toml::Value::as_bool) != Some(true) {
                let message = format!(
                    "'{dependency}' must come from the workspace: '{dependency}.workspace = true'"
                );
                findings.push(Finding::new(file, 0, message));
            }
            if !is_named(files, file, dependency) {
                findings.push(Finding::new(file, 0, format!("'{dependency}' is not used")));
            }
        }
    }
}

/// Every table of dependencies of a manifest with its name, targets included.
fn dependency_tables(manifest: &Table) -> Vec<(&'static str, &Table)> {
    const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let tables = targets.into_iter().flat_map(Table::values).filter_map(toml::Value::as_table);
    std::iter::once(manifest)
        .chain(tables)
        .flat_map(|table| {
            SECTIONS.into_iter().filter_map(|section| {
                table.get(section).and_then(toml::Value::as_table).map(|table| (section, table))
            })
        })
        .collect()
}

fn allowed(name: &str) -> Option<BTreeSet<&'static str>> {
    let (_, allowed) = FLOORS.iter().find(|(at, _)| *at == name)?;
    Some(allowed.iter().copied().collect())
}

/// Everything of ours that a crate reaches through others.
fn reachable(name: &str) -> BTreeSet<&'static str> {
    let direct = allowed(name).unwrap_or_default();
    let further = direct.iter().flat_map(|at| reachable(at)).collect::<Vec<_>>();
    direct.into_iter().chain(further).collect()
}

struct Edge<'a> {
    from: &'a str,
    to: &'a str,
    test_only: bool,
    allowed: &'a BTreeSet<&'static str>,
}

impl Edge<'_> {
    /// What is wrong with it, if anything.
    fn check(&self) -> Option<String> {
        if let Some(ours) = self.to.strip_prefix("nexus-") {
            let tested = TEST_EDGES.contains(&(self.from, ours));
            let test = self.test_only
                && (tested || ours == "testkit" || reachable(self.from).contains(ours));
            let good = self.allowed.contains(ours) || test;
            return (!good).then(|| {
                format!("'{}' may not depend on '{ours}': dependencies point down only", self.from)
            });
        }
        let (_, users, reason) = KEPT_TO.iter().find(|(names, _, _)| names.contains(&self.to))?;
        let good = users.contains(&self.from) || (self.test_only && self.to == "anyhow");
        (!good).then(|| format!("'{}' may not depend on '{}': {reason}", self.from, self.to))
    }
}

/// Whether any source of the crate names the dependency.
fn is_named(files: &[File], manifest: &File, dependency: &str) -> bool {
    let folder = manifest.path.trim_end_matches("Cargo.toml");
    let identifier = dependency.replace('-', "_");
    let excepted = UNNAMED.iter().any(|(path, name, _)| folder == *path && dependency == *name);
    let sources = files.iter().filter(|file| file.is_rust() && file.path.starts_with(folder));
    excepted
        || sources.into_iter().any(|file| {
            lexer::code_only(&file.text)
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(|word| word == identifier)
        })
}

/// The workspace lists no dependency that nobody uses.
fn workspace_dependencies(files: &[File], used: &BTreeSet<String>, findings: &mut Vec<Finding>) {
    let Some(root) = files.iter().find(|file| file.path == "Cargo.toml") else { return };
    let Ok(manifest) = root.text.parse::<Table>() else { return };
    let listed: BTreeMap<&str, usize> = manifest
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies"))
        .and_then(toml::Value::as_table)
        .map(|table| table.keys().map(|name| (name.as_str(), 0)).collect())
        .unwrap_or_default();
    for name in listed.keys().filter(|name| !used.contains(**name)) {
        let message = format!("no crate uses the workspace dependency '{name}': take it out");
        findings.push(Finding::new(root, 0, message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(manifest: &str, source: &str) -> Vec<String> {
        let files = [
            File { path: "crates/engine/Cargo.toml".into(), text: manifest.into() },
            File { path: "crates/engine/src/lib.rs".into(), text: source.into() },
        ];
        check(&files).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn dependencies_point_down() {
        let lints = "[lints]\nworkspace = true\n";
        let good = format!("{lints}[dependencies]\nnexus-log.workspace = true\n");
        assert_eq!(messages(&good, "use nexus_log::Log;"), Vec::<String>::new());
        let up = format!("{lints}[dependencies]\nnexus-node.workspace = true\n");
        assert!(messages(&up, "use nexus_node::Node;")[0].contains("point down"));
        let wasmtime = format!("{lints}[dependencies]\nwasmtime.workspace = true\n");
        assert!(messages(&wasmtime, "use wasmtime::Engine;")[0].contains("Wasmtime"));
        let test = format!("{lints}[dev-dependencies]\nnexus-testkit.workspace = true\n");
        assert_eq!(messages(&test, "use nexus_testkit::Fake;"), Vec::<String>::new());
    }

    #[test]
    fn manifests_follow_the_workspace() {
        assert!(messages("", "")[0].contains("lints"));
        let own = "[lints]\nworkspace = true\n[dependencies]\nbytes = \"1\"\n";
        let found = messages(own, "");
        assert!(found[0].contains("workspace") && found[1].contains("not used"), "{found:?}");
    }
}
