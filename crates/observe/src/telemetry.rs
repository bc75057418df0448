//! Log lines: text for people in `nexus dev`, JSON lines in `nexus serve`.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};
use tracing_subscriber::prelude::*;
use tracing_subscriber::util::TryInitError;

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// For people, coloured on a terminal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged, and how. It goes to standard error.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// How lines look.
    pub format: Format,
    /// A level (`info`) or directives by target (`warn,nexus_node=debug`); empty for
    /// `warn` with Nexus' own lines from `info` on.
    pub filter: String,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter cannot be parsed.
    #[error("'{filter}' is not a log filter such as 'info' or 'warn,nexus_node=debug'")]
    Filter {
        /// What was given.
        filter: String,
        /// Where it is wrong.
        #[source]
        source: ParseError,
    },
    /// A space in a filter by level and part: the logger takes `info ` for the name of a part.
    #[error("'{filter}' has spaces; a log filter such as 'warn,nexus_node=debug' has none")]
    Spaces {
        /// What was given.
        filter: String,
    },
    /// A word that is no level.
    #[error(
        "'{filter}' is not a log filter such as 'info' or 'warn,nexus_node=debug': '{word}' is no level \
         (error, warn, info, debug, trace, off)"
    )]
    Word {
        /// What was given.
        filter: String,
        /// The word.
        word: String,
    },
    /// Somebody set a logger up before.
    #[error("failed to install the logger")]
    Install(#[source] TryInitError),
}

const DEFAULT_FILTER: &str = "warn,nexus=info,nexus_cli=info,nexus_engine=info,nexus_gateway=info,\
     nexus_log=info,nexus_node=info,nexus_observe=info,nexus_store=info,nexus_wasm=info";

/// Sends every log line of the process to standard error from now on. Once per process.
///
/// # Errors
/// The filter is wrong, or a logger is installed already.
pub fn init(config: &Config) -> Result<(), Error> {
    let filter = parse(&config.filter)?;
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match config.format {
        Format::Text => registry
            .with(lines.with_ansi(std::io::stderr().is_terminal()).with_target(false))
            .try_init(),
        Format::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    }
    .map_err(Error::Install)
}

/// Checks a filter as [`init`] does.
///
/// # Errors
/// The filter is wrong.
pub fn check(filter: &str) -> Result<(), Error> {
    parse(filter).map(drop)
}

fn parse(filter: &str) -> Result<EnvFilter, Error> {
    let directives = if filter.is_empty() { DEFAULT_FILTER } else { filter };
    // Filters by span may hold any text.
    if !filter.contains('[') && filter.contains(char::is_whitespace) {
        return Err(Error::Spaces { filter: filter.to_owned() });
    }
    let parsed = EnvFilter::try_new(directives)
        .map_err(|source| Error::Filter { filter: filter.to_owned(), source })?;
    // The parser takes a word that it does not know for the name of a part, and everything else is off.
    let is_known = |word: &str| {
        word.parse::<LevelFilter>().is_ok()
            || word.contains(['=', '[', ':'])
            || word.starts_with("nexus")
    };
    if let Some(word) = directives.split(',').find(|word| !word.is_empty() && !is_known(word)) {
        return Err(Error::Word { filter: filter.to_owned(), word: word.to_owned() });
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_filter_is_named() {
        let config = Config { filter: "nexus=loud".into(), ..Config::default() };
        let error = init(&config).unwrap_err();
        assert!(error.to_string().contains("'nexus=loud'"));
    }

    #[test]
    fn the_default_filter_parses() {
        assert!(EnvFilter::try_new(DEFAULT_FILTER).is_ok());
    }

    #[test]
    fn filters_are_checked() {
        for good in ["off", "", "INFO,", "warn,nexus_node=debug", "a=3,b=", "a[b{c=d e}]=info"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["a=b=c", "nexus=loud", "info,=debug", "!", "info,nexus_node=7"] {
            assert!(matches!(check(bad), Err(Error::Filter { .. })), "{bad}");
        }
        for bad in ["debugg", "warn,debugg", "hyper"] {
            assert!(matches!(check(bad), Err(Error::Word { .. })), "{bad}");
        }
        for bad in ["info ", "info, a=debug", " info"] {
            assert!(matches!(check(bad), Err(Error::Spaces { .. })), "{bad}");
        }
    }
}
