//! What goes into use cases and comes out of them, where the model has no shape for it.

use bytes::Bytes;
use futures::stream::BoxStream;
use nexus_model::record::Status;
use nexus_model::resource::{FunctionSpec, Resource};
use nexus_model::view::Deployed;
use nexus_model::{Event, InvocationId, Name, Principal, Scope, Timestamp};
use serde::Serialize;

/// New code, a new configuration, or both.
#[derive(Clone, Debug)]
pub struct Deploy {
    /// The project; made when it does not exist and the caller may write everywhere.
    pub project: Name,
    /// The function; made when it does not exist.
    pub name: Name,
    /// The component, or a core module of WASI 0.1.
    pub component: Bytes,
    /// The function's whole spec; `None` keeps what it has.
    pub config: Option<FunctionSpec>,
    /// What it was written in: `rust`, `javascript`, `python`, or empty.
    pub language: String,
    /// Read-only files as a tar archive.
    pub bundle: Option<Bytes>,
    /// The text of its code, for debuggers and crash dumps.
    pub sources: Option<nexus_model::Sources>,
    /// What the new version is called: a semantic version, or empty.
    pub label: String,
    /// Only make the version: calls go on running the one that is live.
    pub candidate: bool,
}

/// The input of a direct call.
#[derive(Clone, Debug, Default)]
pub struct InvokeInput {
    /// The body, event data or standard input.
    pub data: Bytes,
    /// Its media type; by default JSON where it is JSON, text where it is UTF-8.
    pub content_type: Option<String>,
    /// For HTTP functions: the method. Default `POST`.
    pub method: Option<http::Method>,
    /// For HTTP functions: path and query. Default `/`.
    pub path: Option<String>,
    /// For HTTP functions: further headers.
    pub headers: http::HeaderMap,
    /// For commands: arguments.
    pub arguments: Vec<String>,
    /// The version that runs instead of the live one: a number, an id, a label, an own name, `latest`.
    pub version: Option<String>,
}

/// The result of a direct call that succeeded. What did not succeed is an [`Error`](crate::Error)
/// with the invocation's id.
#[derive(Clone, Debug)]
pub struct InvokeOutput {
    /// The invocation.
    pub invocation: InvocationId,
    /// How it ended.
    pub status: Status,
    /// The status that an HTTP function answered.
    pub http_status: Option<u16>,
    /// The headers that an HTTP function answered.
    pub headers: http::HeaderMap,
    /// The media type of the body, or empty.
    pub content_type: String,
    /// Response body, result or standard output.
    pub body: Bytes,
    /// Events that the function returned.
    pub events: Vec<Event>,
}

/// How to replay.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReplayOptions {
    /// Insist on comparing the final memory: an invocation without a memory hash is then refused.
    pub verify: bool,
}

/// A resource after an apply.
#[derive(Clone, PartialEq, Debug, Serialize, schemars::JsonSchema)]
pub struct AppliedView {
    /// `created`, `updated`, `deleted` or `unchanged`.
    pub effect: &'static str,
    /// The resource as it is now; secrets without their values.
    pub resource: Resource,
}

/// What became of a deployment.
#[derive(Clone, PartialEq, Debug, Default, Serialize, schemars::JsonSchema)]
pub struct DeploymentView {
    /// The functions, in the order in which they came.
    pub functions: Vec<Deployed>,
    /// The project, schemas and triggers that were declared, and those that were deleted because
    /// they are declared no more.
    pub resources: Vec<AppliedView>,
}

/// Who a token stands for.
#[derive(Clone, PartialEq, Debug)]
pub struct Identity {
    /// Who it is.
    pub principal: Principal,
    /// What they may do.
    pub scopes: std::sync::Arc<[Scope]>,
    /// The only project they reach; `None` for all.
    pub project: Option<Name>,
    /// From when on they are nobody any more; `None` for never.
    pub expires: Option<Timestamp>,
}

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Its name.
    pub name: Name,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The only project it reaches; `None` for all.
    pub project: Option<Name>,
    /// How long it works; `None` for ever.
    pub ttl: Option<std::time::Duration>,
}

/// A token that was made. The plaintext is shown once and stored nowhere.
#[derive(Clone, Debug)]
pub struct CreatedToken {
    /// The resource.
    pub resource: Resource,
    /// The token itself.
    pub token: String,
}

/// A live stream.
pub struct Following<T> {
    /// Where it begins: pass it as `after` to go on from there, when nothing has come yet.
    pub from: String,
    /// The items. They end when the node stops.
    pub items: BoxStream<'static, Followed<T>>,
}

impl<T> std::fmt::Debug for Following<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Following").field("from", &self.from).finish_non_exhaustive()
    }
}

/// An item of a live stream with the place to go on from after a broken connection.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Followed<T> {
    /// Pass it as `after` to go on behind this item. Where several come from one record, all but the
    /// last lead to before that record.
    pub cursor: String,
    /// The item.
    pub item: T,
}

/// Which log lines.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LogFilter {
    /// The project; `None` for all that the caller reaches.
    pub project: Option<Name>,
    /// The function; `None` for all.
    pub function: Option<Name>,
    /// Lines of invocations accepted at or after this moment.
    pub since: Option<Timestamp>,
    /// Lines that were written before this moment.
    pub until: Option<Timestamp>,
}

/// Whether the node can serve, and if not, why.
#[derive(Clone, PartialEq, Debug, Serialize, schemars::JsonSchema)]
pub struct Readiness {
    /// Whether it serves every declared function.
    pub ready: bool,
    /// Components that wait to be compiled.
    pub compiling: u64,
    /// What is not as it should be, for people.
    pub reasons: Vec<String>,
}

/// Which page of a list.
#[derive(Clone, Copy, Debug, Default)]
pub struct PageOptions {
    /// Where to go on; `None` for the newest.
    pub cursor: Option<nexus_model::Cursor>,
    /// How many items; 0 for the default. At most `limits::PAGE_ITEMS_MAX`.
    pub limit: usize,
    /// Events with their data, where the caller may read payloads.
    pub data: bool,
}
