//! The project's own chores: `cargo xtask <command>`. `cargo xtask help` lists them.
//!
//! It compiles in seconds and depends on no crate of Nexus: what it checks, it reads as text.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

mod api;
mod bench;
mod console;
mod demo;
mod dist;
mod docs;
mod http;
mod layout;
mod setup;
mod shell;
mod suite;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::shell::Workspace;

/// The chores of the Nexus workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = false)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what building and testing need, or name what is missing.
    Setup(setup::Options),
    /// Run all tests: formatting, lints, tidy, licences, docs, tests, guests, coverage.
    Test(suite::Options),
    /// Build and start the platform with a sample project, and show the tour.
    Demo(demo::Options),
    /// Build what is measured and given away.
    Dist(dist::Options),
    /// Measure Nexus beside bare servers, with recording on.
    Bench(bench::Options),
    /// Check the rules of the house that no compiler checks.
    Tidy,
    /// Build the web console, for the next build of Nexus to embed.
    Console,
    /// Explore the API of the debug build with requests made from its OpenAPI document.
    Api(api::Options),
    /// Run the console blocks of Markdown files against the real binary.
    Docs(docs::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::find()?;
    match arguments.command {
        Command::Setup(options) => setup::run(&workspace, &options),
        Command::Test(options) => suite::run(&workspace, &options),
        Command::Demo(options) => demo::run(&workspace, &options),
        Command::Dist(options) => dist::run(&workspace, &options),
        Command::Bench(options) => bench::run(&workspace, &options),
        Command::Tidy => tidy::run(&workspace),
        Command::Console => {
            let missing = setup::for_console(&workspace)?;
            anyhow::ensure!(missing.is_empty(), "missing: {}", missing.join(", "));
            console::build(&workspace).map(|()| ExitCode::SUCCESS)
        }
        Command::Api(options) => api::run(&workspace, &options),
        Command::Docs(options) => docs::run(&workspace, &options),
    }
}
