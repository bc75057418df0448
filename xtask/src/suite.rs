//! `cargo xtask test`: everything that must hold, in the order in which it fails fastest.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::api;
use crate::console;
use crate::demo;
use crate::docs;
use crate::setup;
use crate::shell::{self, Workspace};
use crate::tidy;

/// Crates that reach Wasmtime. Their coverage is not counted: instrumenting them means building
/// Wasmtime a second time.
const HEAVY: &[&str] = &["nexus-wit", "nexus-wasm", "nexus-toolchain", "nexus"];

/// Guest workspaces of their own, with the native tests that they have.
const GUEST_WORKSPACES: &[&str] = &["sdk/rust", "bench/axum-hello"];

/// Options of `cargo xtask test`.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// The inner loop: formatting, tidy, and lints and tests of the crates that do not reach
    /// Wasmtime.
    #[arg(long)]
    quick: bool,
    /// Do not count coverage.
    #[arg(long)]
    no_coverage: bool,
    /// Install nothing; a missing tool fails its step.
    #[arg(long)]
    no_setup: bool,
}

/// What happened so far.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    steps: Vec<(String, Duration, bool)>,
}

/// How many tests a runner says passed and failed.
#[derive(Clone, Copy, Default, Debug, PartialEq)]
struct Counts {
    passed: u64,
    failed: u64,
}

/// Runs `cargo xtask test`.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let mut tally = Tally::default();
    if !options.quick && !options.no_setup {
        tally.check("setup", || {
            let missing = setup::for_tests(workspace)?;
            anyhow::ensure!(missing.is_empty(), "missing: {}", missing.join(", "));
            Ok(())
        });
    }
    tally.check("format", || shell::run(&mut workspace.cargo(&["fmt", "--all", "--", "--check"])));
    tally.check("tidy", || tidy::check(workspace));
    if options.quick {
        quick(workspace, &mut tally);
    } else {
        full(workspace, options, &mut tally);
    }
    Ok(tally.close(started.elapsed()))
}

fn quick(workspace: &Workspace, tally: &mut Tally) {
    tally.check("lints", || {
        shell::run(&mut workspace.cargo(&["clippy", "--all-targets", "--", "-D", "warnings"]))
    });
    let mut tests = if workspace.which("cargo-nextest").is_some() {
        workspace.cargo(&["nextest", "run", "--no-fail-fast"])
    } else {
        workspace.cargo(&["test", "--no-fail-fast"])
    };
    tally.tests("tests", &mut tests);
}

fn full(workspace: &Workspace, options: &Options, tally: &mut Tally) {
    tally.check("dependencies", || dependencies(workspace));
    // Before anything that embeds it.
    tally.check("console: build", || console::build(workspace));
    tally.check("console: types and lints", || console::check(workspace));
    tally.check("lints", || {
        let arguments =
            ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
        shell::run(&mut workspace.cargo(&arguments))
    });
    tally.check("rustdoc", || {
        let mut doc = workspace.cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
        shell::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
    });
    let coverage = !options.no_coverage && workspace.which("cargo-llvm-cov").is_some();
    // Always the whole workspace: another choice of packages chooses other features of the
    // dependencies, and builds Wasmtime once more.
    let tests = ["test", "--workspace", "--no-fail-fast", "--locked"];
    tally.tests("tests", &mut workspace.cargo(&tests));
    if coverage {
        tally.check("coverage of the light crates", || shell::run(&mut light(workspace)));
    } else {
        println!("coverage: not counted");
    }
    for folder in GUEST_WORKSPACES {
        let manifest = workspace.root.join(folder).join("Cargo.toml");
        if manifest.is_file() {
            let manifest = manifest.to_string_lossy();
            let arguments = ["test", "--no-fail-fast", "--manifest-path", &manifest];
            tally.tests(folder, &mut workspace.cargo(&arguments));
        }
    }
    tally.check("API", || api::check(workspace));
    tally.tests("console: tests in a browser", &mut console::tests(workspace));
    tally.check("docs", || docs::check(workspace));
    tally.check("tour", || demo::check(workspace));
}

/// The tests of the default members once more, under `cargo llvm-cov`, which prints a table.
fn light(workspace: &Workspace) -> Command {
    let mut command = workspace.cargo(&[
        "llvm-cov",
        "test",
        "--no-fail-fast",
        "--locked",
        "--failure-mode=all",
        "--summary-only",
        "--ignore-filename-regex=(/tests/|xtask/|testkit/)",
    ]);
    for heavy in HEAVY {
        command.args(["--exclude-from-report", heavy]);
    }
    command
}

/// Licences, sources and who may depend on whom; advisories where their database can be had.
fn dependencies(workspace: &Workspace) -> anyhow::Result<()> {
    let base = ["deny", "--all-features", "--workspace"];
    let run = |rest: &[&str]| workspace.cargo(&[&base[..], rest].concat());
    shell::run(&mut run(&["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))?;
    if !shell::succeeds(&mut run(&["fetch", "db"])) {
        println!("advisories: not checked, because their database cannot be fetched from here");
        return Ok(());
    }
    shell::run(&mut run(&["check", "--disable-fetch", "advisories"]))
}

impl Tally {
    /// One check: passed or failed as a whole.
    fn check(&mut self, name: &str, work: impl FnOnce() -> anyhow::Result<()>) {
        println!("\n== {name}");
        let started = Instant::now();
        let result = work();
        if let Err(error) = &result {
            println!("failed: {error:#}");
        }
        self.add(name, started, Counts::one(result.is_ok()));
    }

    /// A test runner: its own counts, and one failure more when it fails without any.
    fn tests(&mut self, name: &str, command: &mut Command) {
        println!("\n== {name}");
        let started = Instant::now();
        let mut counts = Counts::default();
        let outcome = shell::watch(command, &mut |line| counts.read(line));
        if let Err(error) = &outcome {
            println!("failed: {error:#}");
        }
        if !outcome.unwrap_or(false) && counts.failed == 0 {
            counts.failed = 1;
        }
        self.add(name, started, counts);
    }

    fn add(&mut self, name: &str, started: Instant, counts: Counts) {
        self.passed += counts.passed;
        self.failed += counts.failed;
        self.steps.push((name.to_owned(), started.elapsed(), counts.failed == 0));
    }

    /// Prints the table; its last line is the sum of checks and tests.
    fn close(self, took: Duration) -> ExitCode {
        println!();
        for (name, took, good) in &self.steps {
            let verdict = if *good { "ok" } else { "FAILED" };
            println!("{verdict:>6}  {:>6.1} s  {name}", took.as_secs_f64());
        }
        println!("        {:>6.1} s  in all", took.as_secs_f64());
        println!("{} passed, {} failed", self.passed, self.failed);
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

impl Counts {
    fn one(good: bool) -> Self {
        Counts { passed: u64::from(good), failed: u64::from(!good) }
    }

    /// Understands the closing lines of `cargo test`, `cargo nextest` and Node's test runner.
    fn read(&mut self, line: &str) {
        let line = line.trim();
        let node = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ "));
        match node.and_then(|line| line.split_once(' ')) {
            Some(("pass", count)) => self.passed += count.parse::<u64>().unwrap_or_default(),
            Some(("fail", count)) => self.failed += count.parse::<u64>().unwrap_or_default(),
            _ => {}
        }
        let closing = line.starts_with("test result:") || line.starts_with("Summary [");
        if !closing {
            return;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        for pair in words.windows(2) {
            let Ok(count) = pair[0].parse::<u64>() else { continue };
            match pair[1].trim_end_matches([';', ',']) {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(lines: &[&str]) -> Counts {
        let mut counts = Counts::default();
        lines.iter().for_each(|line| counts.read(line));
        counts
    }

    #[test]
    fn closing_lines_of_both_runners_are_counted() {
        let cargo = [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out",
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
        ];
        assert_eq!(counts(&cargo), Counts { passed: 7, failed: 2 });
        let nextest = ["     Summary [   0.2s] 9 tests run: 8 passed, 1 failed, 0 skipped"];
        assert_eq!(counts(&nextest), Counts { passed: 8, failed: 1 });
        let node = ["# tests 9", "# pass 7", "# fail 2", "ℹ pass 3", "# pass on"];
        assert_eq!(counts(&node), Counts { passed: 10, failed: 2 });
        assert_eq!(counts(&["5 passed, 3 failed"]), Counts::default());
    }
}
