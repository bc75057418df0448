//! A Debug Adapter Protocol server: editors step through invocations of the past, forward and back.
//! The adapter runs beside the editor; the guest runs on the server, over its API.

mod adapter;
mod variables;
mod wire;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nexus_model::Name;
use serde::Deserialize;
use serde_json::{Value, json};

use self::adapter::Client;
use self::wire::{Request, Wire};
use super::{Remote, Sources};
use crate::args::Globals;
use crate::{Error, Session, Terminal};

/// What sessions of editors begin with, where they do not say otherwise.
pub(crate) struct Adapter {
    pub(crate) globals: Globals,
    pub(crate) folder: PathBuf,
    pub(crate) source_map: Vec<(String, String)>,
    /// The invocation of the command line.
    pub(crate) id: Option<String>,
}

/// Arguments of `launch` and `attach`; the same for both, because the invocation is of the past.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Launch {
    invocation: Option<String>,
    server: Option<String>,
    token: Option<String>,
    project: Option<String>,
    /// The folder in which a server, a project and sources are looked for.
    cwd: Option<PathBuf>,
    source_map: std::collections::BTreeMap<String, String>,
    stop_on_entry: Option<bool>,
}

/// Serves editors on an address, one after the other.
///
/// # Errors
/// The address cannot be listened on, or others than this machine could reach it.
pub(crate) fn serve(
    adapter: &Adapter,
    address: SocketAddr,
    terminal: &mut Terminal,
) -> Result<(), Error> {
    if !address.ip().is_loopback() {
        return Err(Error::Usage {
            message: format!("{address} can be reached by others, who could debug with your token"),
            hint: Some(
                "listen on 127.0.0.1; for a server elsewhere run this here, with --server".into(),
            ),
        });
    }
    let failed = |operation, source| Error::Io { operation, subject: address.to_string(), source };
    let listener = TcpListener::bind(address).map_err(|source| failed("listen on", source))?;
    let address = listener.local_addr().map_err(|source| failed("listen on", source))?;
    terminal.say(format_args!("debug adapter on {address}"));
    loop {
        let (stream, _) = listener.accept().map_err(|source| failed("accept on", source))?;
        let reader = stream.try_clone().map(BufReader::new);
        let done = reader.and_then(|reader| adapter.talk(reader, stream));
        if let Err(error) = done {
            terminal.say(format_args!("an editor's session ended: {error}"));
        }
    }
}

impl Adapter {
    /// Talks with one client to the end.
    ///
    /// # Errors
    /// The connection broke, or the client speaks something else.
    pub(crate) fn talk<R: BufRead, W: Write>(&self, reader: R, writer: W) -> std::io::Result<()> {
        let mut wire = Wire::new(reader, writer);
        let Some((request, launch, client)) = begin(&mut wire)? else { return Ok(()) };
        let globals = match self.globals(&launch) {
            Ok(globals) => globals,
            Err(reason) => return wire.refuse(&request, &reason),
        };
        let folder = launch.cwd.clone().unwrap_or_else(|| self.folder.clone());
        let terminal = Terminal::captured(Box::new(std::io::sink()), Box::new(std::io::sink()));
        let session = match Session::open(&globals, terminal, folder.clone()) {
            Ok(session) => session,
            Err(failed) => return wire.refuse(&request, &said(&failed.0)),
        };
        let note = "opening the invocation; the first time, its code is compiled for debugging\n";
        wire.event("output", json!({ "category": "console", "output": note }))?;
        let which = launch.invocation.as_deref().or(self.id.as_deref()).unwrap_or("last");
        let opened = session.invocation(which).and_then(|id| Remote::open(&session, id));
        let remote = match opened {
            Ok(remote) => remote,
            Err(error) => return wire.refuse(&request, &said(&error)),
        };
        let compiled = Duration::from_millis(remote.opened.compile_ms);
        if !compiled.is_zero() {
            let note = format!("compiled for debugging in {compiled:.1?}\n");
            wire.event("output", json!({ "category": "console", "output": note }))?;
        }
        let sources = self.sources(&folder, &launch).with_kept(remote.sources(&session));
        let stop_on_entry = launch.stop_on_entry.unwrap_or(true);
        adapter::run(&mut wire, (request, client), (&remote, sources, stop_on_entry))
    }

    fn globals(&self, launch: &Launch) -> Result<Globals, String> {
        let mut globals = self.globals.clone();
        if launch.server.is_some() {
            globals.server.clone_from(&launch.server);
        }
        if launch.token.is_some() {
            globals.token.clone_from(&launch.token);
        }
        if let Some(project) = &launch.project {
            let name = Name::new(project).map_err(|error| format!("project: {error}"))?;
            globals.project = Some(name);
        }
        Ok(globals)
    }

    fn sources(&self, folder: &Path, launch: &Launch) -> Sources {
        let own = launch.source_map.iter().map(|(from, to)| (from.clone(), to.clone()));
        Sources::new(folder.to_owned(), own.chain(self.source_map.iter().cloned()).collect())
    }
}

/// An error with its reasons and its hint, on one line.
fn said(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(reason) = source {
        text = format!("{text}: {reason}");
        source = reason.source();
    }
    match error.hint() {
        Some(hint) => format!("{text} ({hint})"),
        None => text,
    }
}

/// The requests before an invocation is known.
fn begin<R: BufRead, W: Write>(
    wire: &mut Wire<R, W>,
) -> std::io::Result<Option<(Request, Launch, Client)>> {
    let mut client = Client::default();
    while let Some(request) = wire.next()? {
        match request.command.as_str() {
            "initialize" => {
                client = Client::of(&request.arguments);
                wire.answer(&request, capabilities())?;
            }
            "launch" | "attach" => match serde_json::from_value(request.arguments.clone()) {
                Ok(launch) => return Ok(Some((request, launch, client))),
                Err(error) => wire.refuse(&request, &format!("the configuration: {error}"))?,
            },
            "disconnect" | "terminate" => {
                wire.answer(&request, Value::Null)?;
                return Ok(None);
            }
            other => wire.refuse(&request, &format!("'{other}' before 'launch'"))?,
        }
    }
    Ok(None)
}

fn capabilities() -> Value {
    let filter = |(filter, label): &(&str, &str)| json!({ "filter": filter, "label": label, "default": true });
    let filters: Vec<Value> = adapter::EXCEPTIONS.iter().map(filter).collect();
    json!({
        "supportsConfigurationDoneRequest": true,
        "supportsFunctionBreakpoints": true,
        "supportsStepBack": true,
        "supportsSteppingGranularity": true,
        "supportsRestartRequest": true,
        "supportsReadMemoryRequest": true,
        "supportsSetVariable": true,
        "supportsExceptionInfoRequest": true,
        "supportsEvaluateForHovers": true,
        "supportsLoadedSourcesRequest": true,
        "supportsTerminateRequest": true,
        "supportsDelayedStackTraceLoading": true,
        "supportsRestartFrame": true,
        "exceptionBreakpointFilters": filters,
    })
}
