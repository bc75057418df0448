//! What can go wrong in a use case: a stable code, a message for the caller, and the cause for the
//! server's own log. Only `gateway` turns this into a status and a problem document.

use std::fmt;
use std::time::Duration;

use nexus_model::{Code, Digest, InvocationId};

/// What to do about a full disk.
const FREE_SPACE: &str = "free space on the disk of the data folder";

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a use case did not do what was asked.
///
/// `Display` is the message for the caller; it never holds internals. What the layers below said is
/// the [source](std::error::Error::source), for the server's log only.
pub struct Error(Box<Inner>);

struct Inner {
    code: Code,
    detail: String,
    hint: Option<String>,
    retry_after: Option<Duration>,
    allow: Option<Box<str>>,
    invocation_id: Option<InvocationId>,
    source: Option<Source>,
}

impl Error {
    /// An error with this code and what was wrong this time.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let retry_after = code.retryable().then_some(Duration::from_secs(1));
        Error(Box::new(Inner {
            code,
            detail: detail.into(),
            hint: None,
            retry_after,
            allow: None,
            invocation_id: None,
            source: None,
        }))
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds when to try again.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// Adds the invocation that it is about.
    #[must_use]
    pub fn with_invocation(mut self, id: InvocationId) -> Self {
        self.0.invocation_id = Some(id);
        self
    }

    /// Adds what a lower layer said, for the server's log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Says before what was wrong which of several things it is about.
    #[must_use]
    pub(crate) fn about(mut self, what: impl fmt::Display) -> Self {
        self.0.detail.insert_str(0, &format!("{what}: "));
        self
    }

    /// The stable code; its HTTP status is [`Code::http_status`].
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What was wrong this time, for the caller.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// When trying again may help.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The methods that the path takes, where another one was asked for: as in an `Allow` header.
    pub fn allow(&self) -> Option<&str> {
        self.0.allow.as_deref()
    }

    /// A method that the path does not take.
    pub(crate) fn method_not_allowed(allow: String) -> Self {
        let mut error = Error::new(Code::MethodNotAllowed, format!("the route takes {allow}"));
        error.0.allow = Some(allow.into());
        error
    }

    /// The same without saying when to try again: it will not help.
    #[must_use]
    pub(crate) fn for_good(mut self) -> Self {
        self.0.retry_after = None;
        self
    }

    /// The invocation that it is about.
    pub fn invocation_id(&self) -> Option<InvocationId> {
        self.0.invocation_id
    }

    /// Something that does not exist, or that the caller may not know of.
    pub(crate) fn not_found(what: impl fmt::Display) -> Self {
        Error::new(Code::NotFound, format!("{what} does not exist"))
    }

    /// Stored bytes whose file is `missing` or `damaged`: something else than what was not kept.
    pub(crate) fn lost(digest: Digest, how: &str) -> Self {
        let file = nexus_store::blob_file(digest);
        let detail = format!("stored bytes are lost: the file {file} of the data folder is {how}");
        let mut error = Error::new(Code::Storage, detail).with_hint(
            "put the file back from a backup of the data folder; what else is lost: nexus log verify",
        );
        // Nothing comes back by itself.
        error.0.retry_after = None;
        error
    }

    /// A defect, or a layer below that failed in a way the caller cannot help.
    pub(crate) fn internal(operation: &str, source: impl Into<Source>) -> Self {
        Error::new(Code::Internal, format!("failed to {operation}")).with_source(source)
    }

    /// The engine cannot start; where the log that it needs is damaged, with how to go on.
    pub(crate) fn engine_start(error: nexus_engine::Error) -> Self {
        let hint = match &error {
            nexus_engine::Error::Read { sequence, source: nexus_log::Error::Corrupt { .. } } => {
                Some(format!(
                    "all that is damaged: nexus log verify --data DIR; put it back from a backup, \
                     or go on without the records from there on: nexus log cut --data DIR --from {}",
                    sequence + 1
                ))
            }
            nexus_engine::Error::LogShorter { .. } => Some(
                "a part of the log is missing: put the data folder back from a backup, whole; or go \
                 on without what is missing: nexus log cut --data DIR"
                    .to_owned(),
            ),
            _ => None,
        };
        let code = match &error {
            nexus_engine::Error::NewerCheckpoint { .. } => Code::NewerFormat,
            nexus_engine::Error::LogShorter { .. } => Code::Storage,
            _ => Code::Internal,
        };
        let error = Error::new(code, "failed to start the engine").with_source(error);
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    /// A rule that a resource breaks: where, and which.
    pub(crate) fn bad_resource(field: impl fmt::Display, rule: impl fmt::Display) -> Self {
        Error::new(Code::BadResource, format!("{field}: {rule}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.detail)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.code, self.0.detail)?;
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

impl From<nexus_policy::Denied> for Error {
    fn from(denied: nexus_policy::Denied) -> Self {
        let code = match denied.reason {
            nexus_policy::Reason::Anonymous => Code::Unauthenticated,
            // Whether another project exists is not for this caller to know.
            nexus_policy::Reason::Project => Code::NotFound,
            nexus_policy::Reason::Scope => Code::Forbidden,
        };
        match (code, &denied.project) {
            (Code::NotFound, Some(project)) => {
                Error::not_found(format_args!("project '{project}'"))
            }
            (Code::NotFound, None) => {
                Error::new(Code::Forbidden, "the token is bound to one project")
            }
            (code, _) => Error::new(code, denied.to_string()),
        }
    }
}

impl From<nexus_store::Error> for Error {
    fn from(error: nexus_store::Error) -> Self {
        use nexus_store::Error as E;
        if let E::CorruptBlob { digest, .. } = error {
            return Error::lost(digest, "damaged").with_source(error);
        }
        let code = match &error {
            E::Conflict { .. } => Code::Conflict,
            E::NotFound { .. } => Code::NotFound,
            E::TooLarge { .. } | E::BlobTooLarge { .. } | E::TooMany { .. } => Code::TooLarge,
            E::Project { .. } => Code::BadResource,
            E::Compacted { .. } => Code::Gone,
            E::NewerFormat { .. } => Code::NewerFormat,
            E::Closed => Code::ShuttingDown,
            _ => Code::Storage,
        };
        let hint = match &error {
            E::Conflict { .. } => Some("read the resource again and repeat the change on it"),
            E::DiskFull { .. } => Some(FREE_SPACE),
            _ => None,
        };
        // Paths of the server are nobody's business.
        let detail = match &error {
            E::DiskFull { .. } => error.to_string(),
            _ if code == Code::Storage => "the store failed".to_owned(),
            _ => error.to_string(),
        };
        let mapped = Error::new(code, detail).with_source(error);
        match hint {
            Some(hint) => mapped.with_hint(hint),
            None => mapped,
        }
    }
}

impl From<nexus_exec::Error> for Error {
    fn from(error: nexus_exec::Error) -> Self {
        let mapped = Error::new(error.code(), error.to_string());
        match &error {
            nexus_exec::Error::NotCompiled { .. } => {
                mapped.with_hint("it is being compiled; try again in a moment").with_source(error)
            }
            _ => mapped.with_source(error),
        }
    }
}

impl From<nexus_log::Error> for Error {
    fn from(error: nexus_log::Error) -> Self {
        use nexus_log::Error as E;
        let code = match &error {
            E::CursorExpired { .. } => Code::CursorExpired,
            E::Retained { .. } => Code::Gone,
            E::TooLarge { .. } | E::TooMany { .. } => Code::TooLarge,
            E::Busy { .. } => Code::RecordingPressure,
            E::NewerFormat { .. } => Code::NewerFormat,
            E::Locked { .. } => Code::DataLocked,
            E::Closed => Code::ShuttingDown,
            _ => Code::Storage,
        };
        let hint = match &error {
            E::NoSpace { .. } => Some(FREE_SPACE),
            E::Corrupt { .. } => Some("find out what is damaged: nexus log verify"),
            _ => None,
        };
        // Paths of the server are nobody's business.
        let detail = match &error {
            E::NoSpace { .. } => "the disk of the server is full".to_owned(),
            E::Corrupt { .. } | E::Stopped { .. } => error.to_string(),
            _ if code == Code::Storage => "the log failed".to_owned(),
            _ => error.to_string(),
        };
        let mapped = Error::new(code, detail).with_source(error);
        match hint {
            Some(hint) => mapped.with_hint(hint),
            None => mapped,
        }
    }
}

impl From<nexus_engine::Error> for Error {
    fn from(error: nexus_engine::Error) -> Self {
        use nexus_engine::Error as E;
        match error {
            E::Append(source) | E::Read { source, .. } => source.into(),
            E::Full { .. } | E::SchedulesFull { .. } => {
                Error::new(Code::Overloaded, error.to_string())
            }
            E::QueueFull { .. } => Error::new(Code::QueueFull, error.to_string())
                .with_hint("raise `delivery.queue.max`, or find out why it is slow: nexus why"),
            E::TooFarAhead { .. } => Error::new(Code::BadRequest, error.to_string()),
            E::SignalsFull { invocation, .. } => Error::new(Code::Throttled, error.to_string())
                .with_hint(format!(
                    "a signal waits until the function asks for its name: see what it waits for with \
                     nexus why {invocation}, and send it again when it has taken some"
                )),
            E::NoInvocation { .. } => Error::new(Code::NotDurable, error.to_string()),
            E::NotDead { .. } => Error::new(Code::NotFound, error.to_string()),
            E::Stopped => Error::new(Code::ShuttingDown, "the server is shutting down"),
            other => Error::internal("use the engine", other),
        }
    }
}
