//! `nexus log … --data`: the log of a stopped server.

use std::sync::Arc;

use nexus_cli::{Error, HostFailure, LogCommand, Terminal, log_report, verify_report};
use nexus_log::{RealDisk, stats_dir, verify_dir};

pub(crate) fn run(command: &LogCommand, terminal: &mut Terminal) -> Result<(), Error> {
    let Some(data) = command.data() else { return Ok(()) };
    let dir = crate::server::log_dir(data);
    if !dir.is_dir() {
        return Err(Error::Missing {
            message: format!("{} has no log", data.display()),
            hint: Some("name the data folder, such as .nexus".to_owned()),
        });
    }
    let disk = Arc::new(RealDisk);
    let report = match command {
        LogCommand::Verify { .. } => verify_dir(&dir, disk).map(|report| value(&report)),
        LogCommand::Stats { .. } => stats_dir(&dir, disk).map(|report| value(&report)),
    };
    let report = report.map_err(|error| {
        let locked = matches!(error, nexus_log::Error::Locked { .. });
        let failure = HostFailure::new(error);
        match locked {
            true => failure.hint("the server runs: ask it without --data, or stop it first"),
            false => failure,
        }
    })?;
    match command {
        LogCommand::Verify { .. } => verify_report(terminal, &report),
        LogCommand::Stats { .. } => log_report(terminal, &report),
    }
}

fn value(report: &impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(report).unwrap_or_default()
}
