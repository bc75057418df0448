//! One file per verb or noun: its arguments, and what it does.

pub(crate) mod apply;
pub(crate) mod batch;
pub(crate) mod cases;
pub(crate) mod compare;
pub(crate) mod completion;
pub(crate) mod console;
pub(crate) mod dead_letters;
pub(crate) mod debug;
pub(crate) mod deferred;
pub(crate) mod deploy;
pub(crate) mod edit;
pub(crate) mod emit;
pub(crate) mod events;
pub(crate) mod functions;
pub(crate) mod input;
pub(crate) mod invocations;
pub(crate) mod invoke;
pub(crate) mod limits;
pub(crate) mod log;
pub(crate) mod logs;
pub(crate) mod profile;
pub(crate) mod projects;
pub(crate) mod replay;
pub(crate) mod replays;
pub(crate) mod resources;
pub(crate) mod schedules;
pub(crate) mod schemas;
pub(crate) mod secrets;
pub(crate) mod state;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod suites;
pub(crate) mod tokens;
pub(crate) mod triggers;
pub(crate) mod version;
pub(crate) mod versions;
pub(crate) mod why;

mod history;

use crate::args::Command;
use crate::{Error, Terminal};

/// What a command can do when no server was found; `None` when that is nothing.
pub(crate) fn without_server(
    command: &Command,
    terminal: &mut Terminal,
) -> Option<Result<(), Error>> {
    match command {
        Command::Limits(_) => Some(limits::built_in(terminal)),
        Command::Version => Some(version::own(terminal)),
        _ => None,
    }
}
