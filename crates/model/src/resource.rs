//! What is declared: resources, in the shape that Kubernetes made familiar.

mod delivery;
mod schema;
mod trigger;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use delivery::{
    Batch, Breaker, Cache, Deduplicate, DeliveryConfig, Destination, Order, Priority, Queue,
    QueueFull, Rate, RetryOn, RetryPolicy,
};
pub use schema::{Compatibility, SchemaMode, SchemaSpec};
pub use trigger::{
    CatchUp, CronTrigger, EventTrigger, TriggerSpec, Triggers, WebhookScheme, WebhookTrigger,
};

use crate::{Digest, Name, ResourceUid, Timestamp, VersionId};

/// The only `apiVersion` so far.
pub const API_VERSION: &str = "nexus/v1";

/// The kinds of resources. Numbers and names are never reused.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
pub enum Kind {
    /// A set of functions with one name space and one default host. Belongs to no project.
    Project,
    /// Something that runs: [`FunctionSpec`].
    Function,
    /// An immutable version of a function: [`VersionSpec`].
    Version,
    /// What may call the API: [`TokenSpec`]. Belongs to no project.
    Token,
    /// A value that functions may read and nobody else: [`SecretSpec`].
    Secret,
    /// What calls a function, declared apart from it: [`TriggerSpec`].
    Trigger,
    /// What the data of an event type looks like: [`SchemaSpec`].
    Schema,
    /// Many invocations replayed at once; made by its own endpoint.
    Replay,
    /// Recordings that are kept as tests: [`SuiteSpec`].
    Suite,
}

impl Kind {
    /// All kinds.
    pub const ALL: &'static [Kind] = &[
        Kind::Project,
        Kind::Function,
        Kind::Version,
        Kind::Token,
        Kind::Secret,
        Kind::Trigger,
        Kind::Schema,
        Kind::Replay,
        Kind::Suite,
    ];

    /// `Function`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Project => "Project",
            Kind::Function => "Function",
            Kind::Version => "Version",
            Kind::Token => "Token",
            Kind::Secret => "Secret",
            Kind::Trigger => "Trigger",
            Kind::Schema => "Schema",
            Kind::Replay => "Replay",
            Kind::Suite => "Suite",
        }
    }

    /// `functions`: the form in paths of the API.
    pub const fn plural(self) -> &'static str {
        match self {
            Kind::Project => "projects",
            Kind::Function => "functions",
            Kind::Version => "versions",
            Kind::Token => "tokens",
            Kind::Secret => "secrets",
            Kind::Trigger => "triggers",
            Kind::Schema => "schemas",
            Kind::Replay => "replays",
            Kind::Suite => "suites",
        }
    }

    /// The kind with this name, plural or not, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Kind::ALL.iter().copied().find(|kind| {
            kind.as_str().eq_ignore_ascii_case(text) || kind.plural().eq_ignore_ascii_case(text)
        })
    }

    /// Whether resources of this kind live inside a project.
    pub const fn in_project(self) -> bool {
        !matches!(self, Kind::Project | Kind::Token)
    }
}

/// Which resource. `project` is `None` for kinds outside projects.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ResourceKey {
    /// The kind.
    pub kind: Kind,
    /// The project, for kinds inside one.
    pub project: Option<Name>,
    /// The name. Versions are named by their [`VersionId`] in lowercase with `_` as `-`.
    pub name: Name,
}

impl std::fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.project {
            Some(project) => write!(f, "{} {project}/{}", self.kind.as_str(), self.name),
            None => write!(f, "{} {}", self.kind.as_str(), self.name),
        }
    }
}

/// A resource as stored and served: metadata, what the user wants, what Nexus sees.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// [`API_VERSION`].
    pub api_version: String,
    /// The kind.
    pub kind: Kind,
    /// Name, project, labels and what the store keeps track of.
    pub metadata: Metadata,
    /// What the user wants; its shape depends on the kind.
    pub spec: Value,
    /// What Nexus sees; written by reconcilers only, on state changes only.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub status: Value,
}

/// The part of a resource that has the same shape for every kind.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The project, for kinds inside one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Name>,
    /// The name.
    pub name: Name,
    /// For selecting and grouping.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// For people and tools; Nexus gives them no meaning.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Given by the store at creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<ResourceUid>,
    /// Of the whole store at the last change of this resource; send it back to guard a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// Counts changes of `spec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// When it was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When it was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
}

impl Resource {
    /// A resource as a user would write it: no revision, no status.
    pub fn new(key: &ResourceKey, spec: Value) -> Self {
        Resource {
            api_version: API_VERSION.to_owned(),
            kind: key.kind,
            metadata: Metadata {
                project: key.project.clone(),
                name: key.name.clone(),
                labels: BTreeMap::new(),
                annotations: BTreeMap::new(),
                uid: None,
                revision: None,
                generation: None,
                created_at: None,
                updated_at: None,
            },
            spec,
            status: Value::Null,
        }
    }

    /// Which resource it is.
    pub fn key(&self) -> ResourceKey {
        ResourceKey {
            kind: self.kind,
            project: self.metadata.project.clone(),
            name: self.metadata.name.clone(),
        }
    }
}

/// Which trigger kind a component's exports ask for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    /// `wasi:http/incoming-handler@0.2`.
    Http,
    /// `nexus:function/handler`.
    Event,
    /// `wasi:cli/run@0.2`, also core WASI 0.1 commands through the adapter.
    Command,
}

/// Spec of [`Kind::Function`]: what a function is, apart from its code.
///
/// Deploying new code makes a [`Kind::Version`] and points `version` at it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FunctionSpec {
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The version that new calls run; absent until the first deploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub version: Option<VersionId>,
    /// Own names of versions. A spec without any keeps those that there are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub aliases: BTreeMap<Name, VersionId>,
    /// How it is called.
    #[serde(default)]
    pub on: Triggers,
    /// How events are delivered to it.
    #[serde(default, skip_serializing_if = "trigger::is_default")]
    pub delivery: DeliveryConfig,
    /// Results that are kept for later calls with the same key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
    /// Limits, environment, recording: everything that a version keeps for ever.
    #[serde(flatten)]
    pub config: FunctionConfig,
}

/// A route on the ingress.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HttpRoute {
    /// A path that begins with `/`. It matches itself and everything below it.
    pub path: String,
    /// Methods; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// The host; by default the project's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Who may call it. `nexus serve` wants it stated; `nexus dev` takes `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<RouteAuth>,
}

/// Who may call a route.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RouteAuth {
    /// Everybody.
    None,
    /// A token with the scope `invoke`.
    Token,
}

/// The part of a function that a version freezes.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct FunctionConfig {
    /// Environment variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, EnvValue>,
    /// How long one call may take, in milliseconds. Default: `timeout-default` of `nexus limits`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// The largest linear memory, in bytes. Default: `memory-bytes-default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Calls at the same time on a node; absent for no limit but the node's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Deliveries of an event before it is dead; `delivery.retry.attempts` wins. Default:
    /// `attempts-default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Goes on from its journal after a crash, and may sleep for days: its events are delivered
    /// by the engine, also when it is called directly.
    #[serde(default, skip_serializing_if = "trigger::is_default")]
    pub durable: bool,
    /// What is kept of each call.
    #[serde(default)]
    pub record: RecordPolicy,
    /// What must not be kept in the clear.
    #[serde(default, skip_serializing_if = "Redaction::is_empty")]
    pub redact: Redaction,
    /// Hosts that the function may reach although they are loopback, link-local or private:
    /// `host`, `host:port`, an address or a network (`10.1.0.0/16`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_hosts: Vec<String>,
}

/// The value of an environment variable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum EnvValue {
    /// In the clear; frozen in the version.
    Plain(String),
    /// The value of a secret: recorded by reference and version, never by value.
    Secret {
        /// The secret's name.
        secret: Name,
    },
}

/// What is kept of each call (decisions 5, 6 and 35). Written `always`, `errors`, `off` or
/// `{ sample = 0.1 }`, with `durable` for waiting until the recording is on disk.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RecordPolicy {
    /// Everything.
    #[default]
    Always,
    /// Everything, and the response waits until it is on disk.
    Durable,
    /// Everything of calls that did not succeed; the row of the others.
    Errors,
    /// Everything of this share of calls (0 to 1), decided at the start; the row of the others.
    Sample(f64),
    /// Only the row.
    Off,
}

/// What is replaced by a token before a recording is written (decision 30).
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Redaction {
    /// Names of request and response headers, in any case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// Names of top-level fields of JSON bodies and event data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// Whether a replay may still see the original.
    #[serde(default)]
    pub mode: RedactionMode,
}

impl Redaction {
    /// Whether nothing is redacted.
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.fields.is_empty()
    }
}

/// Whether a replay may still see what was redacted.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum RedactionMode {
    /// The original is encrypted under the project's replay key; only the replayer reads it.
    #[default]
    Seal,
    /// The original is gone; the invocation is not exact any more.
    Drop,
}

/// Spec of [`Kind::Version`]: code and configuration, frozen together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct VersionSpec {
    /// The id; the resource's name is its lowercase form with `-` for `_`.
    pub id: VersionId,
    /// The function.
    pub function: Name,
    /// 1 for the function's first version.
    pub number: u64,
    /// What its manifest calls it: a semantic version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// The component as uploaded.
    pub component: Digest,
    /// The component as executed, where it had to be adapted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executed: Option<Digest>,
    /// The component's size in bytes.
    pub component_bytes: u64,
    /// How it is called.
    pub world: World,
    /// What it imports, sorted.
    pub imports: Vec<String>,
    /// What it was written in, as far as the builder said: `rust`, `javascript`, `python`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub language: String,
    /// Read-only files, as a blob with a tar archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Digest>,
    /// The text of its code, as a blob with [`Sources`](crate::Sources) in JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Digest>,
    /// Limits, environment, recording, as they were when it was deployed.
    pub config: FunctionConfig,
}

/// Spec of [`Kind::Token`]. The token itself is not stored, only its hash.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TokenSpec {
    /// BLAKE3 of the token, 64 hexadecimal digits.
    pub hash: String,
    /// What it may do.
    pub scopes: Vec<crate::Scope>,
    /// The only project it reaches; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Name>,
    /// When it stops working.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub expires_at: Option<Timestamp>,
}

/// Spec of [`Kind::Secret`]: encrypted values by version. Never served by the API.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SecretSpec {
    /// The version that new calls see.
    pub current: u32,
    /// Ciphertexts in base 64 by version; a destroyed version is absent.
    pub versions: BTreeMap<u32, String>,
}

/// Spec of [`Kind::Project`].
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProjectSpec {
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whether it also answers on hosts that no project has. One project at a time does: it takes
    /// this from the one before. Absent: as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<bool>,
    /// What happens to events that break the schema of their type.
    #[serde(default, skip_serializing_if = "trigger::is_default")]
    pub schemas: SchemaMode,
}

/// Spec of [`Kind::Suite`]: recordings that outlive the log's retention.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SuiteSpec {
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What does not matter when a version is held against them.
    #[serde(default)]
    pub rules: crate::view::CompareRules,
    /// The recordings.
    pub cases: Vec<SuiteCase>,
}

/// A recording in a suite.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SuiteCase {
    /// The invocation.
    pub invocation: crate::InvocationId,
    /// Its function.
    pub function: Name,
    /// The blob with its record and the event that it handled.
    pub recording: Digest,
}
