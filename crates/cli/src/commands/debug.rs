//! `nexus debug`: looks into an invocation of the past, forward and back.

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::path::Path;

use clap::Args;

use crate::args::Globals;
use crate::debugger::{self, Adapter, Remote, Sources};
use crate::{Error, Session, Terminal};

/// Look into a past invocation, step by step, forward and back
///
/// The invocation runs again with its recording as the outside world: nothing is touched. Opens a
/// debugger in the terminal; --output json prints the timeline instead; --dap serves an editor.
#[derive(Args, Debug)]
pub struct DebugArgs {
    /// The invocation's id, or `last` for the newest
    #[arg(required_unless_present_any = ["dap", "dap_listen"])]
    pub id: Option<String>,
    /// Speak the Debug Adapter Protocol on standard input and output
    #[arg(long, conflicts_with = "dap_listen")]
    pub dap: bool,
    /// Speak the Debug Adapter Protocol on this address; one editor after the other
    #[arg(long, value_name = "ADDRESS")]
    pub dap_listen: Option<SocketAddr>,
    /// Where sources are here that were elsewhere when they were compiled (repeatable)
    #[arg(long, value_name = "THERE=HERE", value_parser = pair)]
    pub source_map: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(there, here)| !there.is_empty() && !here.is_empty());
    let (there, here) = pair.ok_or("expected THERE=HERE, such as /ci/build=.")?;
    Ok((there.to_owned(), here.to_owned()))
}

pub(crate) fn run(session: &mut Session, args: &DebugArgs) -> Result<(), Error> {
    let Some(id) = &args.id else { return Err(Error::usage("which invocation?")) };
    let person = io::stdin().is_terminal() && io::stdout().is_terminal();
    if !session.terminal.json() && !person {
        return Err(Error::Usage {
            message: "the debugger needs a terminal".to_owned(),
            hint: Some("--output json prints the timeline; --dap serves an editor".to_owned()),
        });
    }
    let id = session.invocation(id)?;
    if !session.terminal.json() {
        session.terminal.say("opening; the first time a component is compiled for debugging");
    }
    let remote = Remote::open(session, id)?;
    if session.terminal.json() {
        let opened = remote.opened.clone();
        drop(remote);
        return session.terminal.value(&opened);
    }
    let here = Sources::new(session.folder().to_owned(), args.source_map.clone());
    debugger::run(&remote, &mut here.with_kept(remote.sources(session)))
}

/// Serves editors, where the command line asks for that. The editor says which server and invocation.
pub(crate) fn adapter(
    args: &DebugArgs,
    (globals, folder): (&Globals, &Path),
    terminal: &mut Terminal,
) -> Option<Result<(), Error>> {
    let adapter = Adapter {
        globals: globals.clone(),
        folder: folder.to_owned(),
        source_map: args.source_map.clone(),
        id: args.id.clone(),
    };
    if let Some(address) = args.dap_listen {
        return Some(debugger::serve(&adapter, address, terminal));
    }
    let failed =
        |source| Error::Io { operation: "talk with", subject: "the editor".to_owned(), source };
    args.dap.then(|| adapter.talk(io::stdin().lock(), io::stdout().lock()).map_err(failed))
}
