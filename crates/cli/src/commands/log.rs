//! `nexus log verify` and `nexus log stats`, asked of a running server.

use serde_json::Value;

use crate::args::LogCommand;
use crate::client::{Place, Send};
use crate::{Error, Session, render};

pub(crate) fn run(session: &mut Session, command: &LogCommand) -> Result<(), Error> {
    let report: Value = match command {
        LogCommand::Stats { .. } => session.client.get(Place::api(["log", "stats"]))?,
        LogCommand::Verify { .. } => {
            let place = Place::api(["log", "verify"]);
            let send = Send { method: "POST", place, content_type: "", body: Some(Vec::new()) };
            session.client.json(send)?
        }
    };
    render::log_report(&mut session.terminal, &report)
}
