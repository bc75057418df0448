//! Putting the configuration together from its sources, each error with the source's name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use nexus_cli::env;
use nexus_model::document;
use toml::{Table, Value};

use super::Config;

/// Names of environment variables begin with this.
const PREFIX: &str = "NEXUS_";

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
    #[error("{}: {wrong}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Line, key and what is wrong; no source, because the message has it whole.
        wrong: document::Error,
    },
    /// A variable or flag is wrong.
    #[error("{origin}: {wrong}")]
    Override {
        /// The variable or flag.
        origin: String,
        /// The key and what is wrong; no source, because the message has it whole.
        wrong: document::Error,
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
        /// One for each broken rule, beginning with the key, ending with where its value is from.
        complaints: Vec<String>,
    },
}

/// Puts a configuration together. Also gives warnings: variables that look like keys and are none.
///
/// # Errors
/// A source cannot be read, has an unknown key, or a value breaks a rule.
pub(crate) fn load(sources: &Sources) -> Result<(Config, Vec<String>), ConfigError> {
    let mut table = as_table(&sources.defaults);
    let mut origins = Origins::default();
    if let Some(path) = &sources.file {
        let file = read(path)?;
        origins.note_all(&file, "", &path.display().to_string());
        merge(&mut table, file);
    }
    let mut warnings = Vec::new();
    for (name, value) in &sources.environment {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        if env::ALL.iter().any(|other| other.name == name) {
            continue;
        }
        let key = rest.to_ascii_lowercase().replace("__", ".").replace('_', "-");
        match known_key(&key) {
            Ok(()) => {
                set(&mut table, name, &key, value)?;
                origins.note(&key, name);
            }
            Err(suggestion) => warnings.push(unknown_variable(name, suggestion)),
        }
    }
    for text in &sources.set {
        let (key, value) =
            text.split_once('=').ok_or_else(|| ConfigError::Form { text: text.clone() })?;
        let key = key.trim();
        set(&mut table, &format!("--set {key}"), key, value)?;
        // `--listen` and its like arrive here too, so no flag is named.
        origins.note(key, "the command line");
    }
    let config = from_table(table)
        .map_err(|wrong| ConfigError::Override { origin: "configuration".to_owned(), wrong })?;
    // Rules about several keys are checked here only, when every source has said its part.
    let complaints = config.complaints();
    if complaints.is_empty() {
        Ok((config, warnings))
    } else {
        let complaints = complaints.into_iter().map(|text| origins.explain(text)).collect();
        Err(ConfigError::Rules { complaints })
    }
}

/// Who set each key last; what nobody set is a default.
#[derive(Default)]
struct Origins(BTreeMap<String, String>);

impl Origins {
    fn note(&mut self, key: &str, origin: &str) {
        self.0.insert(key.to_owned(), origin.to_owned());
    }

    /// Notes every key of a table; `prefix` is empty or ends with a dot.
    fn note_all(&mut self, table: &Table, prefix: &str, origin: &str) {
        for (name, value) in table {
            match value {
                Value::Table(inner) => self.note_all(inner, &format!("{prefix}{name}."), origin),
                _ => self.note(&format!("{prefix}{name}"), origin),
            }
        }
    }

    /// Adds to a complaint who set the key that it begins with.
    fn explain(&self, complaint: String) -> String {
        let key = complaint.split(": ").next().unwrap_or_default();
        match self.0.get(key) {
            Some(origin) => format!("{complaint} (from {origin})"),
            None => complaint,
        }
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
    let wrong = |wrong| ConfigError::File { path: path.to_owned(), wrong };
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

/// Sets one key and checks its value within the whole, so that an error belongs to this key. No key
/// needs another one here: see [`Config::complaints`].
fn set(table: &mut Table, origin: &str, key: &str, text: &str) -> Result<(), ConfigError> {
    let wrong = |wrong| ConfigError::Override { origin: origin.to_owned(), wrong };
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

/// What a text may mean: a text, what TOML makes of it (a number, a list), or a list with commas.
fn readings(text: &str) -> Vec<Value> {
    let mut readings = vec![Value::String(text.to_owned())];
    if let Ok(mut table) = format!("value = {text}").parse::<Table>() {
        readings.extend(table.remove("value"));
    }
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    readings.push(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()));
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
    let others: Vec<&str> = env::ALL.iter().map(|other| other.name).collect();
    let meant = suggestion.map(|key| super::docs::variable(&key));
    match meant.or_else(|| document::nearest(name, &others).map(str::to_owned)) {
        Some(meant) => {
            format!("{name} is no key of the configuration and is ignored; did you mean {meant}?")
        }
        None => format!("{name} is no key of the configuration and is ignored"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Duration, Size, Tls};

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
                "log.segment-size: between 16KiB and 1GiB (from nexus-server.toml)",
            ),
            (
                "[functions]\nconcurrency = 5",
                &[("NEXUS_FUNCTIONS__CONCURRENCY", "0")],
                &[],
                "functions.concurrency: at least 1 (from NEXUS_FUNCTIONS__CONCURRENCY)",
            ),
            (
                "[functions]\nconcurrency = 5",
                &[("NEXUS_FUNCTIONS__CONCURRENCY", "6")],
                &["functions.concurrency=0"],
                "functions.concurrency: at least 1 (from the command line)",
            ),
            (
                "",
                &[("NEXUS_API__LISTEN", "nexus.internal:7070")],
                &[],
                "NEXUS_API__LISTEN: api.listen: 'nexus.internal:7070' is not an IP address with a port \
                 such as 127.0.0.1:8080",
            ),
            (
                "drain = 5",
                &[],
                &[],
                "line 1: drain: invalid type: integer `5`, expected a duration such as \"30s\"",
            ),
        ] {
            let error = from(file, environment, set).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    /// Certificate and key may come in any order and from different sources: only all of them together
    /// have to be complete.
    #[test]
    fn tls_comes_from_any_sources() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, "").unwrap();
            path.display().to_string()
        };
        let (certificate, key) = (path("cert.pem"), path("key.pem"));
        let tls = Some(Tls { certificate: certificate.clone().into(), key: key.clone().into() });
        let set =
            [format!("ingress.tls.certificate={certificate}"), format!("ingress.tls.key={key}")];
        let [first, second] = [set[0].as_str(), set[1].as_str()];
        let variables = [
            ("NEXUS_INGRESS__TLS__CERTIFICATE", certificate.as_str()),
            ("NEXUS_INGRESS__TLS__KEY", key.as_str()),
        ];
        let [one, other] = variables;
        let file = format!("[ingress.tls]\ncertificate = \"{certificate}\"");
        for (file, environment, set) in [
            ("", &[][..], &[first, second][..]),
            ("", &[], &[second, first]),
            ("", &variables, &[]),
            ("", &[other, one], &[]),
            ("", &[one], &[second]),
            (&file, &[other], &[]),
            (&file, &[], &[second]),
            (&file, &[("NEXUS_INGRESS__TLS__KEY", "absent.pem")], &[second]),
        ] {
            assert_eq!(from(file, environment, set).unwrap().ingress.tls, tls);
        }
        for (file, environment, expected) in [
            ("", &[one][..], "ingress.tls.key: missing: ingress.tls.certificate needs it"),
            ("", &[other], "ingress.tls.certificate: missing: ingress.tls.key needs it"),
            (&file, &[], "ingress.tls.key: missing: ingress.tls.certificate needs it"),
            (
                &file,
                &[("NEXUS_INGRESS__TLS__KEY", "absent.pem")],
                "ingress.tls.key: there is no file absent.pem (from NEXUS_INGRESS__TLS__KEY)",
            ),
        ] {
            assert_eq!(from(file, environment, &[]).unwrap_err(), expected);
        }
    }

    /// What is refused here is refused by the logger, and what passes is accepted.
    #[test]
    fn filters_are_checked_as_the_logger_reads_them() {
        for good in ["", "info", "warn,nexus_node=debug"] {
            from("", &[("NEXUS_LOGGING__FILTER", good)], &[]).unwrap();
        }
        for bad in ["nexus=loud", "info, a=debug", "debugg", "warn,debugg"] {
            let error = from("", &[("NEXUS_LOGGING__FILTER", bad)], &[]).unwrap_err();
            assert!(error.contains("logging.filter: '") && error.contains("such as"), "{error}");
        }
    }

    #[test]
    fn lists_have_commas_or_are_written_as_in_the_file() {
        for (text, expected) in [
            ("10.0.0.0/8", &["10.0.0.0/8"][..]),
            ("10.0.0.0/8, fd00::/8", &["10.0.0.0/8", "fd00::/8"]),
            ("[\"10.0.0.0/8\"]", &["10.0.0.0/8"]),
            ("", &[]),
            ("[]", &[]),
        ] {
            let config = from("", &[("NEXUS_INGRESS__TRUSTED_PROXIES", text)], &[]).unwrap();
            assert_eq!(config.ingress.trusted_proxies, expected, "{text}");
        }
        let error = from("", &[], &["ingress.trusted-proxies=10.0.0.0/8,x"]).unwrap_err();
        assert!(error.contains("'x' is not a network such as 10.0.0.0/8"), "{error}");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for set in [
            "ingress.connections.streams-max=0",
            "api.connections.streams-max=0",
            "ingress.connections.body-timeout=0s",
            "ingress.url=foo",
            "ingress.url=ftp://example.com",
            "log.retention.max-size=0",
            "log.retention.max-age=0s",
            "store.max-size=1",
            "data=",
            "functions.concurrency=99999999",
        ] {
            let (key, _) = set.split_once('=').unwrap();
            let error = from("", &[], &[set]).unwrap_err();
            assert!(error.starts_with(&format!("{key}: ")), "{set}: {error}");
            assert!(error.ends_with("(from the command line)"), "{set}: {error}");
        }
        for set in ["functions.concurrency=many", "api.metrics-open=perhaps"] {
            let error = from("", &[], &[set]).unwrap_err();
            assert!(!error.contains("usize") && !error.contains("a boolean"), "{error}");
        }
        from("", &[], &["ingress.url=https://functions.example.com:8443/"]).unwrap();
    }

    /// Printed with their chain of reasons, errors say everything once.
    #[test]
    fn nothing_is_said_twice() {
        let sources = Sources { set: vec!["drain=soon".to_owned()], ..Sources::default() };
        let error = load(&sources).unwrap_err();
        assert!(std::error::Error::source(&error).is_none(), "{error}");
    }

    #[test]
    fn variables_that_are_no_keys_are_warned_about() {
        let sources = Sources {
            environment: vec![
                ("NEXUS_DRIAN".into(), "1s".into()),
                ("HOME".into(), "/".into()),
                ("NEXUS_TOKN".into(), "nx_1".into()),
            ],
            ..Sources::default()
        };
        let (_, warnings) = load(&sources).unwrap();
        assert_eq!(
            warnings,
            [
                "NEXUS_DRIAN is no key of the configuration and is ignored; did you mean NEXUS_DRAIN?",
                "NEXUS_TOKN is no key of the configuration and is ignored; did you mean NEXUS_TOKEN?",
            ]
        );
        let others = env::ALL.iter().map(|other| (other.name.into(), "x".into())).collect();
        let (_, warnings) = load(&Sources { environment: others, ..Sources::default() }).unwrap();
        assert_eq!(warnings, Vec::<String>::new());
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
