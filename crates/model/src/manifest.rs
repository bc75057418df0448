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

mod doors;
mod forms;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use crate::resource::{
    Cache, Compatibility, CronTrigger, DeliveryConfig, EnvValue, EventTrigger, FunctionConfig,
    FunctionSpec, HttpRoute, Kind, ProjectSpec, RecordPolicy, Redaction, Resource, ResourceKey,
    SchemaMode, SchemaSpec, TriggerSpec, Triggers, WebhookTrigger,
};
use crate::{Name, document};

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
    #[serde(default, deserialize_with = "forms::routes")]
    pub http: Vec<HttpRoute>,
    /// Event types; a trailing `*` matches any ending. Or tables with `type`, `source`, `subject`,
    /// `filters`.
    #[serde(default, deserialize_with = "forms::events")]
    pub events: Vec<EventTrigger>,
    /// Times: `"*/5 * * * *"`, a list, or tables with `schedule`, `zone`, `catch-up`, `jitter`, `data`.
    #[serde(default, deserialize_with = "forms::crons")]
    pub cron: Vec<CronTrigger>,
    /// Signed requests: a table with `path`, `verify`, `secret`, or a list of these.
    #[serde(default, deserialize_with = "forms::webhooks")]
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
    #[serde(default, deserialize_with = "forms::environment")]
    pub env: BTreeMap<String, EnvValue>,
    /// How long one call may take: `"30s"`.
    #[serde(default, deserialize_with = "forms::timeout_ms")]
    pub timeout: Option<u64>,
    /// The largest memory: `"128MiB"`.
    #[serde(default, deserialize_with = "forms::memory_bytes")]
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
    /// It is no TOML, has an unknown key, a value breaks a rule, or two functions have the same
    /// path; with line and key.
    pub fn parse(text: &str) -> Result<Self, document::Error> {
        let manifest: Self = document::parse(text).map_err(at_the_top)?;
        match doors::clash(&manifest, text) {
            None => Ok(manifest),
            Some(error) => Err(error),
        }
    }

    /// The project and its functions as resources; functions without a version.
    pub fn resources(&self) -> Vec<Resource> {
        let project =
            ResourceKey { kind: Kind::Project, project: None, name: self.project.clone() };
        let spec = ProjectSpec {
            description: self.description.clone(),
            // Not saying it must not take anything away that was said elsewhere.
            default: self.default.then_some(true),
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

/// A missing key of the file itself: the parser puts it at the table that happens to come first.
fn at_the_top(error: document::Error) -> document::Error {
    match error.message.as_str() {
        "missing field `project`" => document::Error {
            line: 0,
            key: "project".to_owned(),
            message: "is missing: begin the file with its name, project = \"shop\"".to_owned(),
            suggestion: None,
        },
        _ => error,
    }
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
            ("", "project: is missing: begin the file with its name, project = \"shop\""),
            ("[functions.a]\nhttp = \"/a\"", "project: is missing"),
            ("project = \"A b\"", "is not a name"),
            ("project = \"a\"\n[function.hello]", "did you mean 'functions'?"),
            (
                "project = \"a\"\n[functions.hello]\ntimout = \"1s\"",
                "line 3: functions.hello.timout",
            ),
            ("project = \"a\"\n[functions.hello]\ntimeout = \"soon\"", "is not a duration"),
            (
                "project = \"a\"\n[functions.hello]\ntimeout = 5",
                "line 3: functions.hello.timeout: 5 has no unit: write \"5s\"",
            ),
            (
                "project = \"a\"\n[functions.hello]\ntimeout = true",
                "expected a duration such as \"30s\"",
            ),
            (
                "project = \"a\"\n[functions.hello]\ntimeout = \"20m\"",
                "line 3: functions.hello.timeout: '20m' is not between 1ms and 15m",
            ),
            (
                "project = \"a\"\n[functions.hello]\nmemory = \"2GiB\"",
                "line 3: functions.hello.memory: '2GiB' is not between 64KiB and 1GiB",
            ),
            ("project = \"a\"\n[functions.hello]\nmemory = 5", "'5' is not between 64KiB"),
            (
                "project = \"a\"\n[functions.hello]\nenv = { A = 5 }",
                "line 3: functions.hello.env: variables are texts: write \"5\"",
            ),
            (
                "project = \"a\"\n[functions.hello.env]\nA = true",
                "line 3: functions.hello.env.A: variables are texts: write \"true\"",
            ),
            (
                "project = \"a\"\n[functions.hello]\nenv = { A = [] }",
                "a text such as \"EUR\", or { secret = \"name\" }",
            ),
            (
                "project = \"a\"\n[functions.hello]\nenv = { A = { secrt = \"x\" } }",
                "did you mean 'secret'?",
            ),
            ("project = \"a\"\n[functions.hello]\nhttp = 7", "a path such as"),
            ("project = \"a\"\n[functions.hello]\nrecord = \"alway\"", "did you mean 'always'?"),
        ] {
            let error = Manifest::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
