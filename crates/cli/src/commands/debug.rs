//! `nexus debug`: looks into an invocation of the past, forward and back.

use std::net::SocketAddr;

use clap::Args;
use nexus_model::view::TimelineEntry;

use crate::debugger::{Remote, Sources};
use crate::{Error, Session};

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
    let folder = session.folder().to_owned();
    let sources = Sources::new(folder, args.source_map.clone());
    let Some(id) = &args.id else { return Err(Error::usage("which invocation?")) };
    let id = session.invocation(id)?;
    let remote = Remote::open(session, id)?;
    if session.terminal.json() {
        let opened = remote.opened.clone();
        drop(remote);
        return session.terminal.value(&opened);
    }
    let _ = (sources, remote.operation(0), TimelineEntry::Operation);
    Ok(())
}
