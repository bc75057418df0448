//! `nexus.toml`: a project's functions as people write them. It compiles to resources.
//!
//! ```toml
//! project = "shop"
//!
//! [functions.hello]
//! source = "."                 # where its code is; by default the folder of its name, else "."
//! http = "/hello"              # or a list, or { path = "/hello", methods = ["GET"], auth = "token" }
//! timeout = "5s"
//!
//! [functions.orders]
//! events = ["com.shop.order.*"]          # or tables with `type`, `source`, `subject`, `filters`
//! cron = "0 6 * * *"                     # or a table with `schedule`, `zone`, `catch-up`, `jitter`
//! delivery = { retry = { attempts = 5, first = "2s" } }
//! env = { CURRENCY = "EUR", API_KEY = { secret = "api-key" } }
//! record = { sample = 0.1 }
//!
//! [triggers.late-orders]                 # a trigger with delivery settings of its own
//! function = "orders"
//! event = { type = "com.shop.order.late" }
//! delivery = { batch = { size = 100, wait = "5s" } }
//!
//! [schemas.order-created]
//! type = "com.shop.order.created"
//! versions = { 1 = "schemas/order-created.json" }
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::de::{MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::resource::{
    Cache, Compatibility, CronTrigger, DeliveryConfig, EnvValue, EventTrigger, FunctionConfig,
    FunctionSpec, HttpRoute, Kind, ProjectSpec, RecordPolicy, Redaction, Resource, ResourceKey,
    SchemaMode, SchemaSpec, TriggerSpec, Triggers, WebhookTrigger,
};
use crate::{Name, document, units};

/// The file's name.
pub const FILE: &str = "nexus.toml";

/// The annotation of triggers and schemas that come from a manifest: whoever deploys it removes those
/// that it no longer has.
pub const MANAGED: &str = "nexus.dev/manifest";

/// A project and its functions.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Manifest {
    /// The project's name.
    pub project: Name,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Whether the project also answers on the bare host.
    #[serde(default)]
    pub default: bool,
    /// The functions by name.
    #[serde(default)]
    pub functions: BTreeMap<Name, ManifestFunction>,
    /// Triggers apart from their functions, by name.
    #[serde(default)]
    pub triggers: BTreeMap<Name, TriggerSpec>,
    /// Whether events are held against their schemas: `"off"`, `"warn"`, `"enforce"`.
    #[serde(default)]
    pub schema_mode: SchemaMode,
    /// Schemas of events by name.
    #[serde(default)]
    pub schemas: BTreeMap<Name, ManifestSchema>,
}

/// The schemas of one event type, in files beside the manifest.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ManifestSchema {
    /// For people.
    #[serde(default)]
    pub description: String,
    /// The event type, exactly.
    #[serde(rename = "type")]
    pub ty: String,
    /// Which changes are allowed: `"backward"`, `"forward"`, `"full"`, `"none"`.
    #[serde(default)]
    pub compatibility: Compatibility,
    /// JSON files by version, relative to the manifest.
    pub versions: BTreeMap<String, PathBuf>,
}

/// One function: where its code is, what calls it, what it may use.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ManifestFunction {
    /// For people.
    #[serde(default)]
    pub description: String,
    /// What this version of it is called: a semantic version. `nexus deploy` refuses other code
    /// under a version that exists; `nexus dev` leaves it out.
    pub version: Option<String>,
    /// The folder of its code, relative to the manifest. Default: the folder of the function's
    /// name, if there is one, else the manifest's.
    pub source: Option<PathBuf>,
    /// `rust`, `javascript`, `typescript` or `python`. Default: found by looking at the folder.
    pub language: Option<String>,
    /// A component that is built elsewhere, relative to the manifest: nothing is built.
    pub component: Option<PathBuf>,
    /// A command that builds the component, instead of the language's own builder.
    pub build: Option<ManifestBuild>,
    /// A folder of files that the function may read, relative to the manifest.
    pub files: Option<PathBuf>,
    /// Whether the text of its code goes to the server with the component, for debuggers and crash
    /// dumps. Default: it does.
    pub sources: Option<bool>,
    /// Paths on the ingress: `"/hello"`, a list, or tables with `path`, `methods`, `host`, `auth`.
    #[serde(default, deserialize_with = "routes")]
    pub http: Vec<HttpRoute>,
    /// Event types; a trailing `*` matches any ending. Or tables with `type`, `source`, `subject`,
    /// `filters`.
    #[serde(default, deserialize_with = "events")]
    pub events: Vec<EventTrigger>,
    /// Times: `"*/5 * * * *"`, a list, or tables with `schedule`, `zone`, `catch-up`, `jitter`, `data`.
    #[serde(default, deserialize_with = "crons")]
    pub cron: Vec<CronTrigger>,
    /// Signed requests: a table with `path`, `verify`, `secret`, or a list of these.
    #[serde(default, deserialize_with = "webhooks")]
    pub webhook: Vec<WebhookTrigger>,
    /// How events are delivered: retries, order, limits, batches, what follows.
    #[serde(default)]
    pub delivery: DeliveryConfig,
    /// Results that are kept for later calls: `{ key = "path", age = "60s" }`.
    pub cache: Option<Cache>,
    /// Goes on from its journal after a crash, and may sleep for days.
    #[serde(default)]
    pub durable: bool,
    /// Environment variables: texts, or `{ secret = "name" }`.
    #[serde(default)]
    pub env: BTreeMap<String, EnvValue>,
    /// How long one call may take: `"30s"`.
    #[serde(default, deserialize_with = "duration_ms")]
    pub timeout: Option<u64>,
    /// The largest memory: `"128MiB"`.
    #[serde(default, deserialize_with = "size")]
    pub memory: Option<u64>,
    /// Calls at the same time on a node.
    pub concurrency: Option<u32>,
    /// Deliveries of an event before it is dead.
    pub attempts: Option<u32>,
    /// What is kept of each call: `"always"`, `"errors"`, `"off"`, `"durable"`, `{ sample = 0.1 }`.
    #[serde(default)]
    pub record: RecordPolicy,
    /// What must not be kept in the clear.
    #[serde(default)]
    pub redact: Redaction,
    /// Hosts that the function may reach although they are loopback, link-local or private.
    #[serde(default)]
    pub allow_hosts: Vec<String>,
}

/// A build command.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ManifestBuild {
    /// Run by `sh -c` in the function's folder.
    pub command: String,
    /// The component that it writes, relative to the function's folder.
    pub component: PathBuf,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// It is no TOML, has an unknown key, or a value breaks a rule; with line and key.
    pub fn parse(text: &str) -> Result<Self, document::Error> {
        document::parse(text)
    }

    /// The project and its functions as resources; functions without a version.
    pub fn resources(&self) -> Vec<Resource> {
        let project =
            ResourceKey { kind: Kind::Project, project: None, name: self.project.clone() };
        let spec = ProjectSpec {
            description: self.description.clone(),
            default: self.default,
            schemas: self.schema_mode,
        };
        let mut resources = vec![Resource::new(&project, json(&spec))];
        resources.extend(self.functions.iter().map(|(name, function)| {
            let key = ResourceKey {
                kind: Kind::Function,
                project: Some(self.project.clone()),
                name: name.clone(),
            };
            Resource::new(&key, json(&function.spec()))
        }));
        resources.extend(self.triggers.iter().map(|(name, trigger)| {
            let key = ResourceKey {
                kind: Kind::Trigger,
                project: Some(self.project.clone()),
                name: name.clone(),
            };
            managed(Resource::new(&key, json(trigger)))
        }));
        resources
    }

    /// The schemas as resources; `read` gives the text of a file beside the manifest.
    ///
    /// # Errors
    /// A file cannot be read or is no JSON, or a version is no number; with the schema's name.
    pub fn schema_resources(
        &self,
        read: impl Fn(&std::path::Path) -> Result<String, String>,
    ) -> Result<Vec<Resource>, String> {
        let mut resources = Vec::with_capacity(self.schemas.len());
        for (name, schema) in &self.schemas {
            let mut versions = BTreeMap::new();
            for (version, path) in &schema.versions {
                let number: u32 = version
                    .parse()
                    .map_err(|_| format!("schemas.{name}.versions: '{version}' is no number"))?;
                let wrong = |why: String| format!("schemas.{name}: {}: {why}", path.display());
                let text = read(path).map_err(wrong)?;
                let value =
                    serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
                versions.insert(number, value);
            }
            let spec = SchemaSpec {
                description: schema.description.clone(),
                ty: schema.ty.clone(),
                compatibility: schema.compatibility,
                versions,
            };
            let key = ResourceKey {
                kind: Kind::Schema,
                project: Some(self.project.clone()),
                name: name.clone(),
            };
            resources.push(managed(Resource::new(&key, json(&spec))));
        }
        Ok(resources)
    }
}

impl ManifestFunction {
    /// What the function is, apart from its code.
    pub fn spec(&self) -> FunctionSpec {
        FunctionSpec {
            description: self.description.clone(),
            version: None,
            aliases: BTreeMap::new(),
            on: Triggers {
                http: self.http.clone(),
                events: self.events.clone(),
                cron: self.cron.clone(),
                webhooks: self.webhook.clone(),
            },
            delivery: self.delivery.clone(),
            cache: self.cache.clone(),
            config: FunctionConfig {
                env: self.env.clone(),
                timeout_ms: self.timeout,
                memory_bytes: self.memory,
                concurrency: self.concurrency,
                attempts: self.attempts,
                durable: self.durable,
                record: self.record,
                redact: self.redact.clone(),
                allow_hosts: self.allow_hosts.clone(),
            },
        }
    }
}

fn managed(mut resource: Resource) -> Resource {
    resource.metadata.annotations.insert(MANAGED.to_owned(), "true".to_owned());
    resource
}

fn json(spec: &impl serde::Serialize) -> Value {
    serde_json::to_value(spec).unwrap_or_default()
}

fn duration_ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let duration = units::parse_duration(&text).map_err(serde::de::Error::custom)?;
    u64::try_from(duration.as_millis()).map(Some).map_err(serde::de::Error::custom)
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    struct Size;

    impl Visitor<'_> for Size {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a size such as \"64MiB\", or a number of bytes")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<u64, E> {
            units::parse_size(text).map_err(E::custom)
        }

        fn visit_i64<E: serde::de::Error>(self, bytes: i64) -> Result<u64, E> {
            u64::try_from(bytes).map_err(E::custom)
        }
    }

    deserializer.deserialize_any(Size).map(Some)
}

/// Something by one text alone, or by a table with all its fields.
struct Short<T>(T);

/// What a text alone means.
trait FromText: Sized {
    const EXPECTED: &'static str;
    fn from_text(text: &str) -> Self;
}

impl FromText for HttpRoute {
    const EXPECTED: &'static str = "a path such as \"/hello\", or a table with a path";
    fn from_text(path: &str) -> Self {
        HttpRoute { path: path.to_owned(), methods: Vec::new(), host: None, auth: None }
    }
}

impl FromText for EventTrigger {
    const EXPECTED: &'static str =
        "an event type such as \"com.shop.order.created\", or a table with type, source or filters";
    fn from_text(ty: &str) -> Self {
        EventTrigger::of_type(ty)
    }
}

impl FromText for CronTrigger {
    const EXPECTED: &'static str = "a schedule such as \"*/5 * * * *\", or a table with a schedule";
    fn from_text(schedule: &str) -> Self {
        CronTrigger { schedule: schedule.to_owned(), ..CronTrigger::default() }
    }
}

impl<'de, T: FromText + Deserialize<'de>> Deserialize<'de> for Short<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShortVisitor<T>(std::marker::PhantomData<T>);

        impl<'de, T: FromText + Deserialize<'de>> Visitor<'de> for ShortVisitor<T> {
            type Value = Short<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::EXPECTED)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Short<T>, E> {
                Ok(Short(T::from_text(text)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Short<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Short)
            }
        }

        deserializer.deserialize_any(ShortVisitor(std::marker::PhantomData))
    }
}

/// One thing, or a list of them.
struct Many<T>(std::marker::PhantomData<T>, &'static str);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Many<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<T>, E> {
        T::deserialize(serde::de::value::StrDeserializer::new(text)).map(|one| vec![one])
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|one| vec![one])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = seq.next_element()? {
            all.push(one);
        }
        Ok(all)
    }
}

fn many<'de, T, D>(deserializer: D, expected: &'static str) -> Result<Vec<T>, D::Error>
where
    T: FromText + Deserialize<'de>,
    D: Deserializer<'de>,
{
    let all = deserializer.deserialize_any(Many::<Short<T>>(std::marker::PhantomData, expected))?;
    Ok(all.into_iter().map(|one| one.0).collect())
}

fn routes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<HttpRoute>, D::Error> {
    many(deserializer, "a path such as \"/hello\", a table with a path, or a list of these")
}

fn events<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<EventTrigger>, D::Error> {
    many(deserializer, "an event type such as \"com.shop.order.created\", or a list of these")
}

fn crons<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<CronTrigger>, D::Error> {
    many(deserializer, "a schedule such as \"*/5 * * * *\", or a list of these")
}

fn webhooks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<WebhookTrigger>, D::Error> {
    let expected = "a table with path, verify and secret, or a list of these";
    deserializer.deserialize_any(Many::<WebhookTrigger>(std::marker::PhantomData, expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_function() {
        let manifest = Manifest::parse(
            r#"
            project = "shop"
            [functions.hello]
            http = "/hello"
            timeout = "5s"
            memory = "64MiB"
            [functions.many]
            http = ["/a", { path = "/b", methods = ["GET"], auth = "token" }]
            record = { sample = 0.1 }
            [functions.orders]
            events = ["com.shop.*", { source = "/web", filters = [{ sql = "subject = 'x'" }] }]
            cron = ["@daily", { schedule = "*/5 * * * *", zone = "Europe/Berlin" }]
            webhook = { path = "/hooks/github", verify = "github", secret = "hook" }
            delivery = { retry = { attempts = 5, first = "2s" }, key = "data.customer" }
            record = "errors"
            redact = { fields = ["card"], mode = "drop" }
            env = { A = "1", KEY = { secret = "api-key" } }
            [triggers.late]
            function = "orders"
            event = { type = "com.shop.late" }
            delivery = { batch = { size = 10, wait = "5s" } }
            "#,
        )
        .unwrap();
        let hello = &manifest.functions[&Name::new("hello").unwrap()];
        assert_eq!((hello.timeout, hello.memory), (Some(5_000), Some(64 << 20)));
        assert_eq!(hello.http[0].path, "/hello");
        let many = &manifest.functions[&Name::new("many").unwrap()];
        assert_eq!(many.http.len(), 2);
        assert_eq!(many.record, RecordPolicy::Sample(0.1));
        let resources = manifest.resources();
        assert_eq!(resources.len(), 5);
        for resource in &resources[1..4] {
            let spec: FunctionSpec = serde_json::from_value(resource.spec.clone()).unwrap();
            let name = &resource.metadata.name;
            assert_eq!(spec, manifest.functions[name].spec());
        }
    }

    #[test]
    fn wrong_manifests_are_explained() {
        for (text, expected) in [
            ("", "project"),
            ("project = \"A b\"", "is not a name"),
            ("project = \"a\"\n[function.hello]", "did you mean 'functions'?"),
            (
                "project = \"a\"\n[functions.hello]\ntimout = \"1s\"",
                "line 3: functions.hello.timout",
            ),
            ("project = \"a\"\n[functions.hello]\ntimeout = \"soon\"", "is not a duration"),
            ("project = \"a\"\n[functions.hello]\nhttp = 7", "a path such as"),
            ("project = \"a\"\n[functions.hello]\nrecord = \"alway\"", "did you mean 'always'?"),
        ] {
            let error = Manifest::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
