//! The reference of the configuration, generated from the structs.

use nexus_cli::env;
use serde_json::Value;

use super::Config;

/// The JSON schema of the configuration file.
pub(crate) fn schema() -> Value {
    let mut settings = schemars::generate::SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let schema = settings.into_generator().into_root_schema_for::<Config>();
    let mut value = schema.to_value();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("title".to_owned(), "Nexus server configuration".into());
    }
    value
}

/// One key.
struct Key {
    path: String,
    description: String,
    default: String,
    values: String,
}

/// The paths of all keys: `log.retention.max-age`.
pub(super) fn keys() -> Vec<String> {
    let mut keys = Vec::new();
    collect(&schema(), "", &mut |path, value| {
        if properties(value).is_none() {
            keys.push(path.to_owned());
        }
    });
    keys
}

/// The environment variable of a key.
pub(super) fn variable(key: &str) -> String {
    format!("NEXUS_{}", key.replace('.', "__").replace('-', "_").to_ascii_uppercase())
}

fn properties(value: &Value) -> Option<&serde_json::Map<String, Value>> {
    let own = value.get("properties").and_then(Value::as_object);
    // An optional table is written as "this or null".
    own.or_else(|| {
        value
            .get("anyOf")?
            .as_array()?
            .iter()
            .find_map(|choice| choice.get("properties")?.as_object())
    })
}

fn collect(value: &Value, path: &str, each: &mut dyn FnMut(&str, &Value)) {
    let Some(fields) = properties(value) else { return };
    // Keys before tables, as TOML wants them.
    for tables in [false, true] {
        for (name, inner) in fields {
            if properties(inner).is_some() != tables {
                continue;
            }
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            each(&path, inner);
            collect(inner, &path, each);
        }
    }
}

/// `docs/configuration.md`.
pub(crate) fn reference() -> String {
    let defaults = serde_json::to_value(Config::default()).unwrap_or_default();
    let mut page = String::from(HEAD);
    let root = schema();
    let mut table: Option<String> = None;
    collect(&root, "", &mut |path, value| {
        if properties(value).is_some() {
            table = Some(path.to_owned());
            page.push_str(&format!("## `[{path}]`\n\n{}\n\n", describe(value)));
            return;
        }
        if table.is_none() {
            table = Some(String::new());
            page.push_str("## Top level\n\n");
        }
        let pointer = format!("/{}", path.replace('.', "/"));
        page.push_str(&entry(&Key {
            path: path.to_owned(),
            description: describe(value),
            default: default(defaults.pointer(&pointer)),
            values: values(value),
        }));
    });
    page.push_str(ENVIRONMENT_HEAD);
    for variable in env::ALL {
        page.push_str(&format!(
            "| `{}` | {} | {} |\n",
            variable.name, variable.what, variable.since
        ));
    }
    page
}

fn entry(key: &Key) -> String {
    let name = key.path.rsplit('.').next().unwrap_or_default();
    let mut text = format!("### `{name}`\n\n{}\n\n", key.description);
    if !key.values.is_empty() {
        text.push_str(&format!("- Values: {}\n", key.values));
    }
    text.push_str(&format!("- Default: {}\n", key.default));
    text.push_str(&format!("- Key: `{}`, variable: `{}`\n\n", key.path, variable(&key.path)));
    text
}

fn describe(value: &Value) -> String {
    value.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ")
}

fn default(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "empty".to_owned(),
        Some(Value::String(text)) => format!("`\"{text}\"`"),
        Some(other) => format!("`{other}`"),
    }
}

fn values(value: &Value) -> String {
    let words: Vec<String> = ["oneOf", "anyOf"]
        .into_iter()
        .filter_map(|name| value.get(name)?.as_array())
        .flatten()
        .filter_map(|choice| choice.get("const")?.as_str())
        .map(|word| format!("`\"{word}\"`"))
        .collect();
    words.join(", ")
}

const HEAD: &str = "\
# Configuration

<!-- Generated from the code by `nexus docs configuration`; a test compares it. -->

`nexus serve` reads its configuration from, the later ones winning:

1. defaults,
2. a TOML file: `--config FILE` or `NEXUS_CONFIG`,
3. environment variables: `NEXUS_` and the key in capitals, with `__` between tables and `_` for `-`,
4. flags: `--data`, `--listen`, `--admin-listen`, and `--set KEY=VALUE` for every key.

Unknown keys in the file and in `--set` are refused, with the line and the nearest known key; the exit
code is then 64. A variable that begins with `NEXUS_` and is no key is ignored, with a warning that names
the nearest one: other programs set such variables too (Kubernetes does, for a service called `nexus`).
`NEXUS_LOG` wins over `logging.filter`, wherever that was set.
`nexus serve --dump-config` prints the configuration as it would be used,
`nexus serve --print-config-schema` its JSON schema. `nexus dev` takes the same environment variables
and flags. Durations are written `250ms`, `30s`, `1h30m`, `7d`; sizes `64KiB`, `64MiB`, `1GB` or as a
number of bytes. In variables and flags a list is written with commas, `10.0.0.0/8,fd00::/8`, or as in
the file. Paths in a file are relative to the file. All keys are there since 0.1.0.

```toml
# nexus-server.toml
data = \"/var/lib/nexus\"

[ingress]
listen = \"0.0.0.0:8080\"

[log.retention]
max-age = \"30d\"
```

";

const ENVIRONMENT_HEAD: &str = "\
## Other environment variables

| variable | what it does | since |
|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_docs_is_up_to_date() {
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
        let page = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(page == reference(), "run: nexus docs configuration > docs/configuration.md");
    }

    #[test]
    fn every_key_has_a_description_and_a_variable_of_its_own() {
        let mut seen = std::collections::HashSet::new();
        collect(&schema(), "", &mut |path, value| {
            assert!(!describe(value).is_empty(), "{path} has no description");
            assert!(seen.insert(variable(path)), "{path}");
        });
        assert!(keys().iter().any(|key| key == "ingress.tls.certificate"));
        assert!(keys().iter().any(|key| key == "log.retention.max-age"));
    }
}
