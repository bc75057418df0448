//! Why a function gives nothing back.

/// Why a function gives nothing back. Any [`std::error::Error`] becomes a transient one by `?`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// A retry may help: something outside was not there.
    Transient(String),
    /// A retry does not help: the input is wrong.
    Permanent(String),
}

impl Error {
    /// A retry may help.
    pub fn transient(message: impl Into<String>) -> Self {
        Error::Transient(message.into())
    }

    /// A retry does not help.
    pub fn permanent(message: impl Into<String>) -> Self {
        Error::Permanent(message.into())
    }

    /// The message alone.
    pub fn message(&self) -> &str {
        let (Error::Transient(message) | Error::Permanent(message)) = self;
        message
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        Error::Transient(chain(&error))
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

/// Marks the errors of a `Result` as permanent: `serde_json::from_slice(&data).permanent()?`.
pub trait Permanent<T> {
    /// The error, if any, is one that a retry does not help.
    fn permanent(self) -> Result<T, Error>;
}

impl<T, E: std::error::Error> Permanent<T> for Result<T, E> {
    fn permanent(self) -> Result<T, Error> {
        self.map_err(|error| Error::Permanent(chain(&error)))
    }
}
