//! From a parsed command line to an exit code.

use std::path::PathBuf;

use crate::args::{
    Cli, Command, DeployArgs, DevArgs, DocsArgs, Globals, LogCommand, NewArgs, ServeArgs, TestArgs,
};
use crate::{Error, HostFailure, Paint, Session, Terminal, Tone, commands, exit};

/// What is left to do after [`run`].
#[derive(Debug)]
pub enum Ran {
    /// Nothing: this is the exit code.
    Exit(u8),
    /// Something that needs the server's own code.
    Host(Box<Host>),
}

/// A command that needs the server's own code.
#[derive(Debug)]
pub struct Host {
    /// Options of every command.
    pub globals: Globals,
    /// The command.
    pub command: HostCommand,
    /// Where its output goes.
    pub terminal: Terminal,
}

/// Commands that need the server's own code.
#[derive(Debug)]
pub enum HostCommand {
    /// `nexus new`.
    New(NewArgs),
    /// `nexus dev`.
    Dev(DevArgs),
    /// `nexus test`.
    Test(TestArgs),
    /// `nexus serve`.
    Serve(ServeArgs),
    /// `nexus deploy` of sources.
    Deploy(DeployArgs),
    /// `nexus log … --data`.
    Log(LogCommand),
    /// `nexus docs`.
    Docs(DocsArgs),
}

/// The command line's definition, for completion and the generated reference.
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Runs what the client can do by itself; hands back the rest. `folder` is where commands look for
/// a server and a project.
pub fn run(cli: Cli, terminal: Terminal, folder: PathBuf) -> Ran {
    let Cli { globals, command } = cli;
    let host = |command, terminal| {
        Ran::Host(Box::new(Host { globals: globals.clone(), command, terminal }))
    };
    match command {
        Command::New(args) => host(HostCommand::New(args), terminal),
        Command::Dev(args) => host(HostCommand::Dev(args), terminal),
        Command::Test(args) => host(HostCommand::Test(args), terminal),
        Command::Serve(args) => host(HostCommand::Serve(args), terminal),
        Command::Deploy(args) if args.component.is_none() => {
            host(HostCommand::Deploy(args), terminal)
        }
        Command::Log(args) if args.command.data().is_some() => {
            host(HostCommand::Log(args.command), terminal)
        }
        Command::Docs(args) => host(HostCommand::Docs(args), terminal),
        command => Ran::Exit(client(&globals, command, terminal, folder)),
    }
}

fn client(globals: &Globals, command: Command, mut terminal: Terminal, folder: PathBuf) -> u8 {
    let offline = match &command {
        Command::Completion(args) => Some(commands::completion::run(args, &mut terminal)),
        Command::Debug(args) => commands::debug::adapter(args, (globals, &folder), &mut terminal),
        _ => None,
    };
    if let Some(done) = offline {
        return code(done, &mut terminal);
    }
    match Session::open(globals, terminal, folder) {
        Ok(mut session) => {
            let done = dispatch(&mut session, command);
            code(done, &mut session.terminal)
        }
        Err(failed) => {
            let (error, mut terminal) = *failed;
            let done = commands::without_server(&command, &mut terminal).unwrap_or(Err(error));
            code(done, &mut terminal)
        }
    }
}

fn code(done: Result<(), Error>, terminal: &mut Terminal) -> u8 {
    match done {
        Ok(()) => exit::OK,
        Err(error) => {
            report(&error, terminal);
            error.exit_code()
        }
    }
}

pub(crate) fn dispatch(session: &mut Session, command: Command) -> Result<(), Error> {
    match command {
        Command::Deploy(args) => commands::deploy::run(session, &args),
        Command::Invoke(args) => commands::invoke::run(session, &args),
        Command::Result(args) => commands::deferred::result(session, &args),
        Command::Cancel(args) => commands::deferred::cancel(session, &args),
        Command::Signal(args) => commands::deferred::signal(session, &args),
        Command::Emit(args) => commands::emit::run(session, &args),
        Command::Schedules(args) => commands::schedules::run(session, &args),
        Command::Stats(args) => commands::stats::run(session, &args),
        Command::Why(args) => commands::why::run(session, &args),
        Command::Triggers(args) => commands::triggers::run(session, &args),
        Command::Schemas(args) => commands::schemas::run(session, args),
        Command::Events(args) => commands::events::run(session, args),
        Command::Invocations(args) => commands::invocations::run(session, args),
        Command::Logs(args) => commands::logs::run(session, &args),
        Command::Replay(args) => commands::replay::run(session, &args),
        Command::Replays(args) => commands::replays::run(session, &args),
        Command::Suites(args) => commands::suites::run(session, &args),
        Command::Verify(args) => commands::suites::verify(session, &args),
        Command::Versions(args) => commands::versions::run(session, &args),
        Command::Rollback(args) => commands::versions::rollback(session, &args),
        Command::Alias(args) => commands::versions::alias(session, &args),
        Command::Debug(args) => commands::debug::run(session, &args),
        Command::Profile(args) => commands::profile::run(session, &args),
        Command::Functions(args) => commands::functions::run(session, &args),
        Command::Apply(args) => commands::apply::run(session, &args),
        Command::Get(args) => commands::resources::get(session, &args),
        Command::Delete(args) => commands::resources::delete(session, &args),
        Command::Projects(args) => commands::projects::run(session, &args),
        Command::Secrets(args) => commands::secrets::run(session, &args),
        Command::State(args) => commands::state::run(session, &args),
        Command::Tokens(args) => commands::tokens::run(session, &args),
        Command::DeadLetters(args) => commands::dead_letters::run(session, &args),
        Command::Console(args) => commands::console::run(session, &args),
        Command::Limits(_) => commands::limits::run(session),
        Command::Log(args) => commands::log::run(session, &args.command),
        Command::Status(_) => commands::status::run(session),
        Command::Version => commands::version::run(session),
        Command::Completion(args) => commands::completion::run(&args, &mut session.terminal),
        // `run` has handed these back.
        Command::New(_)
        | Command::Dev(_)
        | Command::Test(_)
        | Command::Serve(_)
        | Command::Docs(_) => Ok(()),
    }
}

/// Says on standard error what went wrong: the chain of reasons, the code, the ids, the hint. One
/// JSON object where output is JSON.
pub fn report(error: &Error, terminal: &mut Terminal) {
    if matches!(error, Error::Told(_) | Error::Closed) {
        return;
    }
    if terminal.json() {
        return report_json(error, terminal);
    }
    terminal.say(format_args!("{} {error}", Paint(Tone::Bad, "error:")));
    let mut source = std::error::Error::source(error);
    while let Some(reason) = source {
        terminal.say(format_args!("  because: {reason}"));
        source = reason.source();
    }
    if let Error::Problem(problem) = error {
        terminal.say(format_args!("  code: {} ({})", problem.code, problem.title));
        if let Some(id) = &problem.invocation_id {
            terminal.say(format_args!("  invocation: {}", Paint(Tone::Key, id)));
        }
        if let Some(id) = &problem.request_id {
            terminal.say(format_args!("  request: {id}"));
        }
    }
    if let Error::Host(failure) = error
        && let Some(code) = failure.code
    {
        terminal.say(format_args!("  code: {code} ({})", code.title()));
    }
    if let Some(hint) = error.hint() {
        terminal.say(format_args!("{} {hint}", Paint(Tone::Good, "hint:")));
    }
}

fn report_json(error: &Error, terminal: &mut Terminal) {
    let mut value = match error {
        Error::Problem(problem) => serde_json::to_value(problem).unwrap_or_default(),
        _ => serde_json::json!({ "detail": error.chain() }),
    };
    if let (Some(fields), Error::Host(HostFailure { code: Some(code), .. })) =
        (value.as_object_mut(), error)
    {
        fields.insert("code".to_owned(), code.to_string().into());
    }
    if let (Some(fields), Some(hint)) = (value.as_object_mut(), error.hint()) {
        fields.insert("hint".to_owned(), hint.into());
    }
    terminal.say(value);
}
