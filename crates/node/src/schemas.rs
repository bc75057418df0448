//! What the data of a project's events looks like: compiled when it is applied, part of the
//! snapshot, asked for each event that is accepted.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use nexus_content::{Content, Direction, Incompatibility, Schema, incompatibilities};
use nexus_model::resource::{Compatibility, SchemaMode, SchemaSpec};
use nexus_model::{Code, Event, Name};

use crate::{Error, Node};

/// Reasons that one error tells.
const REASONS_MAX: usize = 5;

/// The schemas of a project. Cheap to clone for what it is: schemas are few and change rarely.
#[derive(Clone, Default)]
pub(crate) struct Schemas {
    mode: SchemaMode,
    by_type: HashMap<Arc<str>, Arc<Compiled>>,
}

/// The schemas of one event type.
struct Compiled {
    name: Name,
    versions: BTreeMap<u32, Schema>,
}

/// How an event breaks its schema.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Breach {
    schema: Name,
    version: Option<u32>,
    ways: Vec<String>,
}

impl fmt::Display for Breach {
    /// `schema 'order' version 2: /total: … ; …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "schema '{}'", self.schema)?;
        if let Some(version) = self.version {
            write!(f, " version {version}")?;
        }
        write!(f, ": {}", self.ways.join("; "))
    }
}

impl Schemas {
    pub(crate) fn with_mode(&self, mode: SchemaMode) -> Self {
        Schemas { mode, by_type: self.by_type.clone() }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_type.len()
    }

    pub(crate) fn mode(&self) -> SchemaMode {
        self.mode
    }

    /// Puts the schemas of a type in.
    ///
    /// # Errors
    /// One of them is no schema.
    pub(crate) fn set(&mut self, name: &Name, spec: &SchemaSpec) -> Result<(), Error> {
        self.remove(name);
        let compiled = Compiled { name: name.clone(), versions: compile(spec)? };
        self.by_type.insert(spec.ty.as_str().into(), Arc::new(compiled));
        Ok(())
    }

    pub(crate) fn remove(&mut self, name: &Name) {
        self.by_type.retain(|_, at| at.name != *name);
    }

    /// The schema resource of a type.
    pub(crate) fn owner(&self, ty: &str) -> Option<&Name> {
        self.by_type.get(ty).map(|at| &at.name)
    }

    /// How an event breaks the schema of its type, if it has one and does.
    pub(crate) fn check(&self, event: &Event) -> Option<Breach> {
        let compiled = self.by_type.get(event.ty.as_str())?;
        let (version, schema) = match stated_version(event.dataschema.as_deref()) {
            Some(version) => match compiled.versions.get_key_value(&version) {
                Some(found) => found,
                None => {
                    let known: Vec<String> =
                        compiled.versions.keys().map(ToString::to_string).collect();
                    return Some(Breach {
                        schema: compiled.name.clone(),
                        version: None,
                        ways: vec![format!(
                            "dataschema names version {version}; there is {}",
                            known.join(", ")
                        )],
                    });
                }
            },
            None => compiled.versions.last_key_value()?,
        };
        let violations = schema.check(&Content::from(event));
        if violations.is_empty() {
            return None;
        }
        let ways = violations.iter().take(REASONS_MAX).map(|at| match at.path.as_str() {
            "" => at.message.clone(),
            path => format!("{path}: {}", at.message),
        });
        Some(Breach {
            schema: compiled.name.clone(),
            version: Some(*version),
            ways: ways.collect(),
        })
    }
}

/// The version that a `dataschema` ends in: `https://example.com/order/2`.
fn stated_version(dataschema: Option<&str>) -> Option<u32> {
    dataschema?.rsplit_once('/')?.1.parse().ok()
}

fn compile(spec: &SchemaSpec) -> Result<BTreeMap<u32, Schema>, Error> {
    let one = |(version, document): (&u32, &serde_json::Value)| {
        let schema = Schema::compile(document)
            .map_err(|error| Error::bad_resource(format!("spec.versions.{version}"), error))?;
        Ok((*version, schema))
    };
    spec.versions.iter().map(one).collect()
}

/// The rules of a schema by itself: its versions are schemas and go together.
pub(crate) fn check_spec(spec: &SchemaSpec) -> Result<(), Error> {
    compatible(spec, &[])
}

/// The rules of a schema that takes the place of another: what was published stays readable, also
/// where a version was changed in place or left out.
pub(crate) fn check_change(spec: &SchemaSpec, before: &SchemaSpec) -> Result<(), Error> {
    if before.ty != spec.ty {
        return Err(Error::bad_resource(
            "spec.type",
            format!("is '{}' and cannot change: make another schema", before.ty),
        ));
    }
    let gone: Vec<(u32, &serde_json::Value)> = before
        .versions
        .iter()
        .filter(|(version, document)| spec.versions.get(version) != Some(document))
        .map(|(version, document)| (*version, document))
        .collect();
    compatible(spec, &gone)
}

fn compatible(spec: &SchemaSpec, gone: &[(u32, &serde_json::Value)]) -> Result<(), Error> {
    let versions = compile(spec)?;
    let mode = match spec.compatibility {
        Compatibility::None => return Ok(()),
        Compatibility::Backward => nexus_content::Compatibility::Backward,
        Compatibility::Forward => nexus_content::Compatibility::Forward,
        Compatibility::Full => nexus_content::Compatibility::Full,
    };
    // What was stored has been compiled before; should it no longer compile, nothing is known of
    // it, and nothing can be compared.
    let gone: Vec<(u32, Schema)> = gone
        .iter()
        .filter_map(|(version, document)| Some((*version, Schema::compile(document).ok()?)))
        .collect();
    for (version, schema) in &versions {
        let mut earlier: Vec<(u32, &Schema)> =
            versions.range(..version).map(|(at, schema)| (*at, schema)).collect();
        earlier.extend(gone.iter().filter(|(at, _)| at <= version).map(|(at, old)| (*at, old)));
        let schemas: Vec<&Schema> = earlier.iter().map(|(_, schema)| *schema).collect();
        let found = incompatibilities(mode, schema, &schemas);
        if !found.is_empty() {
            return Err(incompatible(*version, &found, &earlier));
        }
    }
    Ok(())
}

fn incompatible(version: u32, found: &[Incompatibility], earlier: &[(u32, &Schema)]) -> Error {
    let reason = |at: &Incompatibility| {
        let with = earlier.get(at.version).map_or(0, |(version, _)| *version);
        let who = match at.direction {
            Direction::Backward => format!("data of version {with} may break it"),
            Direction::Forward => format!("its data may break version {with}"),
        };
        let path = if at.path.is_empty() { "/" } else { &at.path };
        format!("{who}: {path}: {}", at.reason)
    };
    let mut reasons: Vec<String> = found.iter().take(REASONS_MAX).map(reason).collect();
    if found.len() > REASONS_MAX {
        reasons.push(format!("and {} more", found.len() - REASONS_MAX));
    }
    Error::new(Code::SchemaIncompatible, format!("spec.versions.{version}: {}", reasons.join("; ")))
        .with_hint(
            "make new fields optional, or set compatibility = \"none\" for a break on purpose",
        )
}

impl Node {
    /// Holds events against their schemas as the project asks for: the warnings, one list per event.
    ///
    /// # Errors
    /// The project enforces schemas and an event breaks its own.
    pub(crate) fn check_schemas(
        &self,
        project: &Name,
        events: &[Event],
    ) -> Result<Vec<Option<String>>, Error> {
        let Some(found) = self.catalog.project(project) else { return Ok(Vec::new()) };
        let schemas = &found.schemas;
        if schemas.mode() == SchemaMode::Off || schemas.len() == 0 {
            return Ok(Vec::new());
        }
        let mut warnings = Vec::with_capacity(events.len());
        for (index, event) in events.iter().enumerate() {
            let Some(breach) = schemas.check(event) else {
                warnings.push(None);
                continue;
            };
            self.parts.metrics.schema_violated();
            if schemas.mode() == SchemaMode::Enforce {
                let place =
                    if events.len() == 1 { String::new() } else { format!("event {index}: ") };
                return Err(Error::new(Code::SchemaViolated, format!("{place}{breach}"))
                    .with_hint(format!("nexus schemas show {}", breach.schema)));
            }
            warnings.push(Some(breach.to_string()));
        }
        Ok(warnings)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(compatibility: &str, versions: Value) -> SchemaSpec {
        let spec = json!({ "type": "t", "compatibility": compatibility, "versions": versions });
        serde_json::from_value(spec).unwrap()
    }

    fn event(data: Value, dataschema: Option<&str>) -> Event {
        let mut event = Event::new("1", "/s", "t");
        event.datacontenttype = Some("application/json".to_owned());
        event.data = Some(data.to_string().into());
        event.dataschema = dataschema.map(str::to_owned);
        event
    }

    #[test]
    fn events_are_held_against_the_version_that_they_name() {
        let versions = json!({
            "1": { "type": "object", "required": ["a"] },
            "2": { "type": "object", "required": ["a"], "properties": { "b": { "type": "string" } } },
        });
        let mut schemas = Schemas::default();
        let name = Name::new("thing").unwrap();
        schemas.set(&name, &spec("none", versions)).unwrap();
        let check = |data: Value, schema: Option<&str>| {
            schemas.check(&event(data, schema)).map(|breach| breach.to_string())
        };
        assert_eq!(check(json!({ "a": 1 }), None), None);
        assert_eq!(check(json!({ "a": 1, "b": 2 }), Some("https://x/t/1")), None);
        let breach = check(json!({ "a": 1, "b": 2 }), None).unwrap();
        assert!(breach.starts_with("schema 'thing' version 2: /b: "), "{breach}");
        let unknown = check(json!({ "a": 1 }), Some("https://x/t/3")).unwrap();
        assert_eq!(unknown, "schema 'thing': dataschema names version 3; there is 1, 2");
        assert_eq!(schemas.owner("t"), Some(&name));
        schemas.remove(&name);
        assert!(schemas.check(&event(json!(1), None)).is_none());
    }

    #[test]
    fn versions_go_together_as_the_mode_says() {
        let old = json!({ "type": "object", "properties": { "a": { "type": "string" } } });
        let required = json!({
            "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"],
        });
        let both = json!({ "1": old, "2": required });
        let error = check_spec(&spec("backward", both.clone())).unwrap_err();
        assert_eq!(error.code(), Code::SchemaIncompatible);
        assert!(error.detail().contains("data of version 1 may break it"), "{error}");
        assert!(check_spec(&spec("forward", both.clone())).is_ok());
        assert!(check_spec(&spec("none", both)).is_ok());
        // In place is as bad as by a new version.
        let before = spec("backward", json!({ "1": old }));
        let after = spec("backward", json!({ "1": required }));
        assert!(check_change(&after, &before).is_err());
        assert!(check_change(&before, &before).is_ok());
        let wrong = spec("none", json!({ "1": { "type": "objekt" } }));
        assert!(check_spec(&wrong).unwrap_err().detail().starts_with("spec.versions.1: "));
    }
}
