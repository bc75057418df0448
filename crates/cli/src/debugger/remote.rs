//! A debug session on a server.

use nexus_model::view::{DebugCommand, DebugOpened, DebugState};
use nexus_model::{InvocationId, Sources};

use crate::client::{Place, Send};
use crate::{Client, Error, Session};

/// An open session. Closed when dropped.
pub(crate) struct Remote<'a> {
    client: &'a Client,
    place: Place,
    /// What the server said when it was opened.
    pub(crate) opened: DebugOpened,
}

impl<'a> Remote<'a> {
    /// Opens a session over an invocation.
    pub(crate) fn open(session: &'a Session, id: InvocationId) -> Result<Self, Error> {
        let place = session.place(["invocations", &id.to_string(), "debug"])?;
        let body = Some(Vec::new());
        let send = Send { method: "POST", place: place.clone(), content_type: "", body };
        let opened: DebugOpened = session.client.json(send)?;
        let place = place.join(&opened.session);
        Ok(Remote { client: &session.client, place, opened })
    }

    /// The text of the version's code, where the server keeps it and lets the caller read it.
    pub(crate) fn sources(&self, session: &Session) -> Sources {
        let DebugOpened { function, version: Some(version), files, .. } = &self.opened else {
            return Sources::default();
        };
        if files.is_empty() {
            return Sources::default();
        }
        let version = version.to_string();
        let place = session.place(["functions", function, "versions", &version, "sources"]);
        // Without it the debugger shows what is on this machine.
        place.and_then(|place| self.client.get(place)).unwrap_or_default()
    }

    /// Does one command.
    pub(crate) fn run(&self, command: &DebugCommand) -> Result<DebugState, Error> {
        let body = serde_json::to_vec(command).map_err(|error| Error::Protocol {
            what: "a command".to_owned(),
            reason: error.to_string(),
        })?;
        self.client.json(Send {
            method: "POST",
            place: self.place.clone(),
            content_type: "application/json",
            body: Some(body),
        })
    }
}

impl Drop for Remote<'_> {
    fn drop(&mut self) {
        // It would end by itself after a while.
        let _ = self.client.delete(self.place.clone());
    }
}
