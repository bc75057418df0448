//! Putting the configuration together from its sources, each error with the source's name.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use nexus_cli::env;
use nexus_model::document;
use toml::{Table, Value};

use super::Config;

/// Names of environment variables begin with this.
const PREFIX: &str = "NEXUS_";
/// Variables with this prefix are no keys of the configuration.
const NO_KEYS: &[&str] =
    &[env::SERVER, env::TOKEN, env::FROM_TOKEN, env::PROJECT, env::OUTPUT, env::CONFIG, env::LOG];

/// Where configuration comes from, the later ones winning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// What holds before anything was said.
    pub(crate) defaults: Config,
    /// The file.
    pub(crate) file: Option<PathBuf>,
    /// The environment.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// `key=value` from the command line.
    pub(crate) set: Vec<String>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The file is wrong.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Line, key and what is wrong.
        source: document::Error,
    },
    /// A variable or flag is wrong.
    #[error("{origin}: {source}")]
    Override {
        /// The variable or flag.
        origin: String,
        /// The key and what is wrong.
        source: document::Error,
    },
    /// A flag is not `key=value`.
    #[error("--set {text}: expected key=value, such as log.retention.max-age=30d")]
    Form {
        /// What was given.
        text: String,
    },
    /// Every value is well formed, but not all may be used.
    #[error("{}", complaints.join("\n  "))]
    Rules {
        /// One for each broken rule, beginning with the key.
        complaints: Vec<String>,
    },
}

/// Puts a configuration together. Also gives warnings: variables that look like keys and are none.
///
/// # Errors
/// A source cannot be read, has an unknown key, or a value breaks a rule.
pub(crate) fn load(sources: &Sources) -> Result<(Config, Vec<String>), ConfigError> {
    let mut table = as_table(&sources.defaults);
    if let Some(path) = &sources.file {
        merge(&mut table, read(path)?);
    }
    let mut warnings = Vec::new();
    for (name, value) in &sources.environment {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        if NO_KEYS.contains(&name) {
            continue;
        }
        let key = rest.to_ascii_lowercase().replace("__", ".").replace('_', "-");
        match known_key(&key) {
            Ok(()) => set(&mut table, name, &key, value)?,
            Err(suggestion) => warnings.push(unknown_variable(name, suggestion)),
        }
    }
    for text in &sources.set {
        let (key, value) =
            text.split_once('=').ok_or_else(|| ConfigError::Form { text: text.clone() })?;
        set(&mut table, &format!("--set {key}"), key.trim(), value)?;
    }
    let config = from_table(table)
        .map_err(|source| ConfigError::Override { origin: "configuration".to_owned(), source })?;
    let complaints = config.complaints();
    if complaints.is_empty() {
        Ok((config, warnings))
    } else {
        Err(ConfigError::Rules { complaints })
    }
}

fn as_table(config: &Config) -> Table {
    Table::try_from(config).unwrap_or_default()
}

fn from_table(table: Table) -> Result<Config, document::Error> {
    table
        .try_into()
        .map_err(|error: toml::de::Error| document::explain(error.message(), 0, String::new()))
}

fn read(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let wrong = |source| ConfigError::File { path: path.to_owned(), source };
    // Checked by itself first: only then is the line of an error known.
    document::parse::<Config>(&text).map_err(wrong)?;
    let mut table: Table = document::parse(&text).map_err(wrong)?;
    resolve(&mut table, path);
    Ok(table)
}

/// Paths in a file are relative to the file.
fn resolve(table: &mut Table, file: &Path) {
    let folder = file.parent().unwrap_or(Path::new(""));
    for keys in [
        &["data"][..],
        &["ingress", "tls", "certificate"],
        &["ingress", "tls", "key"],
        &["api", "tls", "certificate"],
        &["api", "tls", "key"],
    ] {
        let (last, tables) = keys.split_last().unwrap_or((&"", &[]));
        let mut at = Some(&mut *table);
        for name in tables {
            at = at.and_then(|table| table.get_mut(*name)).and_then(Value::as_table_mut);
        }
        if let Some(Value::String(path)) = at.and_then(|table| table.get_mut(*last)) {
            *path = folder.join(&*path).display().to_string();
        }
    }
}

fn merge(into: &mut Table, from: Table) {
    for (name, value) in from {
        match (into.get_mut(&name), value) {
            (Some(Value::Table(inner)), Value::Table(more)) => merge(inner, more),
            (_, value) => drop(into.insert(name, value)),
        }
    }
}

/// Sets one key and checks the whole, so that an error belongs to this key.
fn set(table: &mut Table, origin: &str, key: &str, text: &str) -> Result<(), ConfigError> {
    let wrong = |source| ConfigError::Override { origin: origin.to_owned(), source };
    if let Err(suggestion) = known_key(key) {
        return Err(wrong(document::Error {
            line: 0,
            key: String::new(),
            message: format!("unknown key '{key}'"),
            suggestion,
        }));
    }
    let mut first = None;
    for value in readings(text) {
        let mut changed = table.clone();
        place(&mut changed, key, value);
        match from_table(changed.clone()) {
            Ok(_) => {
                *table = changed;
                return Ok(());
            }
            Err(error) => drop(first.get_or_insert(error)),
        }
    }
    let mut error = first.unwrap_or_else(|| document::explain("no value", 0, String::new()));
    key.clone_into(&mut error.key);
    Err(wrong(error))
}

/// What a text may mean: a text, or what TOML makes of it (a number, a list).
fn readings(text: &str) -> Vec<Value> {
    let mut readings = vec![Value::String(text.to_owned())];
    if let Ok(mut table) = format!("value = {text}").parse::<Table>() {
        readings.extend(table.remove("value"));
    }
    readings
}

fn place(table: &mut Table, key: &str, value: Value) {
    let mut names: Vec<&str> = key.split('.').collect();
    let Some(last) = names.pop() else { return };
    let mut at = table;
    for name in names {
        let inner = at.entry(name).or_insert_with(|| Value::Table(Table::new()));
        if !inner.is_table() {
            *inner = Value::Table(Table::new());
        }
        let Some(inner) = inner.as_table_mut() else { return };
        at = inner;
    }
    at.insert(last.to_owned(), value);
}

/// Whether a key exists; else the one that was probably meant.
fn known_key(key: &str) -> Result<(), Option<String>> {
    let keys = super::docs::keys();
    if keys.iter().any(|known| known == key) {
        return Ok(());
    }
    let known: Vec<&str> = keys.iter().map(String::as_str).collect();
    Err(document::nearest(key, &known).map(str::to_owned))
}

fn unknown_variable(name: &str, suggestion: Option<String>) -> String {
    match suggestion {
        Some(key) => format!(
            "{name} is no key of the configuration and is ignored; did you mean {}?",
            super::docs::variable(&key)
        ),
        None => format!("{name} is no key of the configuration and is ignored"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Duration, Size};

    fn from(file: &str, environment: &[(&str, &str)], set: &[&str]) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nexus-server.toml");
        std::fs::write(&path, file).unwrap();
        let sources = Sources {
            defaults: Config::default(),
            file: Some(path.clone()),
            environment: environment.iter().map(|(a, b)| (a.into(), b.into())).collect(),
            set: set.iter().map(|&text| text.to_owned()).collect(),
        };
        let path = path.display().to_string();
        load(&sources)
            .map(|(config, _)| config)
            .map_err(|error| error.to_string().replace(&path, "nexus-server.toml"))
    }

    #[test]
    fn later_sources_win() {
        let file =
            "drain = \"5s\"\n[log]\nsegment-size = \"8MiB\"\n[log.retention]\nmax-age = \"1d\"";
        let day = std::time::Duration::from_secs(86_400);
        let config = from(
            file,
            &[
                ("NEXUS_LOG__SEGMENT_SIZE", "16777216"),
                ("NEXUS_LOG__RETENTION__MAX_AGE", "2d"),
                ("NEXUS_INGRESS__TRUSTED_PROXIES", "[\"10.0.0.0/8\"]"),
                ("NEXUS_TOKEN", "nx_1"),
                ("NEXUS_PORT", "tcp://somewhere"),
            ],
            &["log.retention.max-age=3d", "functions.concurrency=7"],
        )
        .unwrap();
        assert_eq!(config.drain, Duration(std::time::Duration::from_secs(5)));
        assert_eq!(config.log.segment_size, Size(16 << 20));
        assert_eq!(config.log.retention.max_age, Some(Duration(day * 3)));
        assert_eq!(config.ingress.trusted_proxies, ["10.0.0.0/8"]);
        assert_eq!(config.functions.concurrency, 7);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (file, environment, set, expected) in [
            (
                "[log]\nsegment-sice = \"8MiB\"",
                &[][..],
                &[][..],
                "nexus-server.toml: line 2: log.segment-sice: unknown key 'segment-sice'; did you \
                 mean 'segment-size'?",
            ),
            (
                "drain = \"soon\"",
                &[],
                &[],
                "nexus-server.toml: line 1: drain: 'soon' is not a duration such as 250ms, 30s, \
                 1h30m or 7d",
            ),
            (
                "",
                &[("NEXUS_DRAIN", "soon")],
                &[],
                "NEXUS_DRAIN: drain: 'soon' is not a duration such as 250ms, 30s, 1h30m or 7d",
            ),
            (
                "",
                &[],
                &["log.retention.max-aeg=1d"],
                "--set log.retention.max-aeg: unknown key 'log.retention.max-aeg'; did you mean \
                 'log.retention.max-age'?",
            ),
            (
                "",
                &[],
                &["drain"],
                "--set drain: expected key=value, such as log.retention.max-age=30d",
            ),
            ("[functions]\nconcurrency = 0", &[], &[], "functions.concurrency: at least 1"),
            (
                "[log]\nsegment-size = \"1KiB\"",
                &[],
                &[],
                "log.segment-size: between 16KiB and 1GiB",
            ),
        ] {
            let error = from(file, environment, set).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn variables_that_are_no_keys_are_warned_about() {
        let sources = Sources {
            environment: vec![("NEXUS_DRIAN".into(), "1s".into()), ("HOME".into(), "/".into())],
            ..Sources::default()
        };
        let (_, warnings) = load(&sources).unwrap();
        assert_eq!(
            warnings,
            [
                "NEXUS_DRIAN is no key of the configuration and is ignored; did you mean NEXUS_DRAIN?"
            ]
        );
    }

    #[test]
    fn paths_in_a_file_are_relative_to_it() {
        let config = from("data = \"here\"", &[], &[]).unwrap();
        assert!(config.data.is_absolute() && config.data.ends_with("here"));
    }

    #[test]
    fn what_is_dumped_loads() {
        let text = toml::to_string(&Config::default()).unwrap();
        assert_eq!(document::parse::<Config>(&text), Ok(Config::default()));
    }
}
