//! The command line: clap types, an HTTP client of the public API, and rendering. No server code.
//!
//! ```text
//!   Cli (clap) ── run ──► commands/<verb>.rs ──► Client (HTTP) ──► render ──► Terminal
//!                   └──► Host: what needs the server's own code (new, dev, serve, builds, offline log)
//! ```
//!
//! Standard output is data, standard error is talk. Exit codes: [`exit`].

mod address;
mod args;
mod away;
mod client;
mod commands;
mod connection;
mod debugger;
pub mod env;
mod error;
pub mod exit;
mod problem;
mod render;
mod run;
mod session;
mod terminal;
mod trust;
pub mod units;

pub use address::listen_address;
pub use args::{
    Cli, Command, DataFolder, DeployArgs, DevArgs, DocsArgs, FromArgs, Globals, LogCommand,
    NewArgs, OutputFormat, ServeArgs, TestArgs,
};
pub use client::Client;
pub use commands::cases::{CaseSource, FOLDER as CASES_FOLDER, Fetched};
pub use commands::compare::{first_change, print as print_comparison};
pub use commands::deploy::{Deployment, Upload, deploy};
pub use connection::{Found, ServerFile, TOKEN_FILE, find_project};
pub use error::{Error, HostFailure};
pub use problem::hint_for;
pub use render::{calls, counted, invocation_line, log_report, verify_report};
pub use run::{Host, HostCommand, Ran, command, report, run};
pub use session::Session;
pub use terminal::{Paint, Terminal, Tone};
