//! `nexus log verify` and `nexus log stats`, asked of a running server.

use serde_json::Value;

use crate::args::LogCommand;
use crate::client::{Place, Send};
use crate::{Error, Session, render};

pub(crate) fn run(session: &mut Session, command: &LogCommand) -> Result<(), Error> {
    match command {
        LogCommand::Stats { .. } => {
            let report: Value = session.client.get(Place::api(["log", "stats"]))?;
            render::log_report(&mut session.terminal, &report)
        }
        LogCommand::Verify { .. } => {
            let place = Place::api(["log", "verify"]);
            let send = Send { method: "POST", place, content_type: "", body: Some(Vec::new()) };
            let report: Value = session.client.json(send)?;
            render::verify_report(&mut session.terminal, &report)
        }
        LogCommand::Cut { .. } => {
            Err(Error::usage("the log of a running server cannot be cut: stop it first"))
        }
    }
}
