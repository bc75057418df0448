//! What a command could not do, with what to do about it.

use std::path::PathBuf;

use nexus_model::{Code, Problem};

use crate::exit;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line is wrong in a way that clap does not see.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// No address was given and none was found.
    #[error(
        "no server found: neither --server nor {}, and no .nexus folder here or above",
        crate::env::SERVER
    )]
    NoServer,
    /// There is the folder of a server, which does not run.
    #[error("no server runs for {}", folder.display())]
    Stopped {
        /// The data folder.
        folder: PathBuf,
    },
    /// Nothing answers at the address.
    #[error("no server at {server}")]
    Unreachable {
        /// The address.
        server: String,
        /// What to do.
        hint: String,
        /// The system's reason.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The connection broke or the answer never came.
    #[error("the connection to {server} failed")]
    Connection {
        /// The address.
        server: String,
        /// What to do.
        hint: Option<&'static str>,
        /// The reason.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The other side closed the connection while it was sent something.
    #[error("{server} closed the connection while {size} were sent to it")]
    Cut {
        /// The address.
        server: String,
        /// How much was to be sent.
        size: String,
        /// The system's reason.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The server's certificate does not show that it is the server.
    #[error("the certificate of {server} is not trusted")]
    Certificate {
        /// The address.
        server: String,
        /// What to do.
        hint: Option<String>,
        /// What is wrong with it.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The server answered with a problem.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// The server answered something that is no Nexus answer.
    #[error("{what} is not what a Nexus server answers: {reason}")]
    Protocol {
        /// What was read.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something before the server answered in its place that the server cannot be reached.
    #[error("nothing at {server} answers for Nexus now: status {status}, {reason}")]
    Away {
        /// The address.
        server: String,
        /// 502, 503 or 504.
        status: u16,
        /// What the body says.
        reason: String,
    },
    /// A file or stream cannot be read or written.
    #[error("failed to {operation} {subject}")]
    Io {
        /// `read`, `write`.
        operation: &'static str,
        /// A path or a stream.
        subject: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Something is not there.
    #[error("{message}")]
    Missing {
        /// What is missing.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// Something of the server's own code failed.
    #[error(transparent)]
    Host(#[from] HostFailure),
    /// The command worked, but what it is about did not; everything has been said already.
    #[error("failed")]
    Told(u8),
    /// The reader of standard output went away (`nexus events | head`).
    #[error("standard output was closed")]
    Closed,
}

impl Error {
    /// A wrong command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Error::Usage { message: message.into(), hint: None }
    }

    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage { .. } => exit::USAGE,
            Error::Told(code) => *code,
            Error::Closed => exit::OK,
            Error::Host(failure) => failure.exit,
            _ => exit::FAILED,
        }
    }

    /// What went wrong, with every reason behind it.
    pub(crate) fn chain(&self) -> String {
        let mut chain = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(reason) = source {
            chain.push_str(&format!(": {reason}"));
            source = reason.source();
        }
        chain
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Usage { hint, .. }
            | Error::Missing { hint, .. }
            | Error::Certificate { hint, .. } => hint.clone(),
            Error::Cut { .. } => {
                Some("it may be more than the server takes: `nexus limits` lists the limits".into())
            }
            Error::Host(failure) => failure.hint.clone(),
            Error::NoServer => Some(
                "start one with `nexus dev` in a project's folder, or name one with --server"
                    .into(),
            ),
            Error::Stopped { .. } => Some(
                "start it again with `nexus dev` or `nexus serve`, or name another with --server"
                    .into(),
            ),
            Error::Unreachable { hint, .. } => Some(hint.clone()),
            Error::Connection { hint, .. } => hint.map(str::to_owned),
            // The server speaks of headers, which is nothing that whoever types commands writes.
            Error::Problem(problem) => Some(&problem.hint)
                .filter(|_| problem.code != Code::Unauthenticated)
                .and_then(|hint| hint.clone())
                .or_else(|| crate::hint_for(problem.code).map(str::to_owned)),
            _ => None,
        }
    }
}

/// What failed in a command that runs the server's own code, with what to do about it.
#[derive(Debug)]
pub struct HostFailure {
    /// What failed, with its chain of reasons.
    pub error: Box<dyn std::error::Error + Send + Sync>,
    /// The code that has a page.
    pub code: Option<Code>,
    /// What to do.
    pub hint: Option<String>,
    /// The exit code.
    pub exit: u8,
}

impl HostFailure {
    /// A failure with exit code 1.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        HostFailure { error: error.into(), code: None, hint: None, exit: exit::FAILED }
    }

    /// Wrong configuration: exit code 64.
    pub fn config(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        HostFailure { error: error.into(), code: None, hint: None, exit: exit::CONFIG }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl std::fmt::Display for HostFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for HostFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}
