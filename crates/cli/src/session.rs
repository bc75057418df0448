//! What a command works with: a server, a project, a terminal.

use nexus_model::{InvocationId, Name};

use crate::args::Globals;
use crate::client::Place;
use crate::connection::{self, Found};
use crate::{Client, Error, Terminal};

/// A server, how it was found, and where output goes.
#[derive(Debug)]
pub struct Session {
    /// The client.
    pub client: Client,
    /// How the server was found.
    pub found: Found,
    /// Where output goes.
    pub terminal: Terminal,
    globals: Globals,
    folder: std::path::PathBuf,
}

impl Session {
    /// Finds the server.
    ///
    /// # Errors
    /// Nothing names a server, or its address is no URL; the terminal comes back with the reason.
    pub fn open(
        globals: &Globals,
        terminal: Terminal,
        folder: std::path::PathBuf,
    ) -> Result<Self, Box<(Error, Terminal)>> {
        let opened = Found::new(globals, &folder)
            .and_then(|found| Client::new(&found).map(|client| (found, client)));
        match opened {
            Ok((found, client)) => {
                Ok(Session { client, found, terminal, globals: globals.clone(), folder })
            }
            Err(error) => Err(Box::new((error, terminal))),
        }
    }

    /// Where the command was given.
    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// The project that the command works on.
    ///
    /// # Errors
    /// Nothing names one.
    pub fn project(&self) -> Result<Name, Error> {
        connection::project(&self.globals, &self.found, &self.folder)
    }

    /// Below `/api/v1/projects/{project}`.
    pub(crate) fn place<'a>(
        &self,
        segments: impl IntoIterator<Item = &'a str>,
    ) -> Result<Place, Error> {
        let project = self.project()?;
        let mut place = Place::api(["projects", project.as_str()]);
        for segment in segments {
            place = place.join(segment);
        }
        Ok(place)
    }

    /// As [`place`](Self::place), in every project with `--all-projects`.
    pub(crate) fn history<'a>(
        &self,
        all: bool,
        segments: impl IntoIterator<Item = &'a str>,
    ) -> Result<Place, Error> {
        if !all {
            return self.place(segments);
        }
        let mut place = Place::api(["projects", "-"]);
        for segment in segments {
            place = place.join(segment);
        }
        Ok(place)
    }

    /// An invocation's id, or the newest one for `last`.
    pub(crate) fn invocation(&self, which: &str) -> Result<InvocationId, Error> {
        if which != "last" {
            return which.parse().map_err(|error| Error::Usage {
                message: format!("{error}"),
                hint: Some("`nexus invocations` lists them; `last` is the newest".into()),
            });
        }
        let mut newest = None;
        let place = self.place(["invocations"])?;
        let row = &mut |row: nexus_model::view::InvocationRow| {
            newest = Some(row.id);
            Ok(())
        };
        self.client.pages(place, 1, row)?;
        newest.ok_or_else(|| Error::Missing {
            message: "no invocation yet".into(),
            hint: Some("`nexus invoke` calls a function".into()),
        })
    }
}
