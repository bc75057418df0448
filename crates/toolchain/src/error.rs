//! What can go wrong between source code and component.

use std::path::PathBuf;
use std::time::Duration;

use crate::check::MissingTool;

/// Why a build or a scaffold gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder holds none of the files that a builder starts with.
    #[error(
        "cannot tell the language of {dir}: it has none of Cargo.toml, index.js, index.ts, app.py"
    )]
    UnknownSource {
        /// The function's folder.
        dir: PathBuf,
    },
    /// The builder's starting file is not there.
    #[error("{dir} has no {expected}")]
    NoEntry {
        /// The function's folder.
        dir: PathBuf,
        /// What was looked for.
        expected: &'static str,
    },
    /// A tool chain is not installed; each entry carries the command that installs it.
    #[error("missing: {}", tools.iter().map(|it| format!("{} ({})", it.tool, it.why)).collect::<Vec<_>>().join(", "))]
    MissingTools {
        /// What is missing, in the order in which it should be installed.
        tools: Vec<MissingTool>,
    },
    /// The compiler or the program itself refused the source. `output` is what it said, with file
    /// and line where it named them.
    #[error("building {function} failed\n{output}")]
    Failed {
        /// The function's name.
        function: String,
        /// The tool's words, at most 64 KiB from the end.
        output: String,
    },
    /// Code at the top level of a module did not end: it runs while the function is built.
    #[error(
        "building {function} failed\n\
         code at the top level of a module did not end within {limit:?}\n\
         modules are loaded once, when the function is built, and the clock stands still meanwhile: \
         move what loops, waits or takes long into the handler"
    )]
    LoadTime {
        /// The function's name.
        function: String,
        /// How long the modules had.
        limit: Duration,
    },
    /// The build ran, but gave no component.
    #[error("building {function} gave no component: {reason}")]
    NoComponent {
        /// The function's name.
        function: String,
        /// What was found instead.
        reason: String,
    },
    /// [`crate::Cancel::cancel`] was called.
    #[error("the build was cancelled")]
    Cancelled,
    /// A child process could not be run.
    #[error("failed to run `{command}`")]
    Run {
        /// The command line.
        command: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be read or written.
    #[error("failed to {operation} {path}")]
    File {
        /// `read`, `write`, `create`, `list`.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// `nexus new` would have overwritten something.
    #[error("{dir} is not empty")]
    NotEmpty {
        /// The folder that was to hold the project.
        dir: PathBuf,
    },
    /// Linking or pre-initialising a JavaScript guest failed inside the builder.
    #[error("failed to {operation}")]
    Componentize {
        /// The step.
        operation: &'static str,
        /// Why.
        #[source]
        source: anyhow::Error,
    },
}

impl Error {
    pub(crate) fn file(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::File { operation, path, source }
    }
}
