//! `nexus version`.

use serde_json::{Value, json};

use crate::client::Place;
use crate::{Error, Session, Terminal};

const OWN: &str = env!("CARGO_PKG_VERSION");

pub(crate) fn run(session: &mut Session) -> Result<(), Error> {
    let server: Option<Value> = session.client.get(Place::api(["version"])).ok();
    if session.terminal.json() {
        return session.terminal.value(&json!({ "client": OWN, "server": server }));
    }
    session.terminal.line(format_args!("nexus {OWN}"))?;
    match server.as_ref().and_then(|server| server.get("version")).and_then(Value::as_str) {
        Some(version) => {
            let address = session.client.address().to_owned();
            session.terminal.line(format_args!("server {version} at {address}"))
        }
        None => Ok(()),
    }
}

/// The program's own version, where there is no server.
pub(crate) fn own(terminal: &mut Terminal) -> Result<(), Error> {
    if terminal.json() {
        return terminal.value(&json!({ "client": OWN, "server": null }));
    }
    terminal.line(format_args!("nexus {OWN}"))
}
