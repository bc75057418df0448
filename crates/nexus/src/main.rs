//! The composition root: which command, which implementations, run.

mod allocator;
mod bundle;
mod caches;
mod cases;
mod config;
mod deploy;
mod dev;
mod docs;
mod log;
mod new;
mod project;
mod serve;
mod server;
mod signals;
mod task;
mod test;

use std::process::ExitCode;

use clap::Parser as _;
use nexus_cli::{Cli, Error, Host, HostCommand, Ran, Terminal};
use nexus_model::{Clock as _, SystemClock};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let terminal = Terminal::of_process(&cli.globals, SystemClock.now());
    let folder = std::env::current_dir().unwrap_or_default();
    let code = match nexus_cli::run(cli, terminal, folder) {
        Ran::Exit(code) => code,
        Ran::Host(host) => {
            let Host { globals, command, mut terminal } = *host;
            match run(&globals, command, &mut terminal) {
                Ok(()) => nexus_cli::exit::OK,
                Err(error) => {
                    nexus_cli::report(&error, &mut terminal);
                    error.exit_code()
                }
            }
        }
    };
    ExitCode::from(code)
}

fn run(
    globals: &nexus_cli::Globals,
    command: HostCommand,
    terminal: &mut Terminal,
) -> Result<(), Error> {
    match command {
        HostCommand::New(args) => new::run(&args, terminal),
        HostCommand::Dev(args) => dev::run(globals, &args, terminal),
        HostCommand::Test(args) => test::run(&args, terminal),
        HostCommand::Serve(args) => serve::run(&args, terminal),
        HostCommand::Deploy(args) => deploy::run(globals, &args, terminal),
        HostCommand::Log(command) => log::run(&command, terminal),
        HostCommand::Docs(args) => docs::run(&args, terminal),
    }
}
