//! The node.
#![allow(
    clippy::todo,
    unused_variables,
    clippy::missing_errors_doc,
    missing_docs,
    reason = "being written"
)]

use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use http::{Method, Request, Response};
use nexus_exec::Body;
use nexus_log::{LogStats, VerifyReport};
use nexus_model::resource::{Kind, Resource, ResourceKey, RouteAuth};
use nexus_model::view::{
    Accepted, Deployed, EventView, FunctionView, InvocationRow, InvocationView, LogView,
    ReplayView, VersionView,
};
use nexus_model::{
    Cursor, Event, EventFilter, EventId, InvocationFilter, InvocationId, Name, OpContext, Page,
    limits,
};

use crate::{
    AppliedView, CreatedToken, DeadLetter, Deploy, Error, Followed, Identity, InvokeInput,
    InvokeOutput, LogFilter, NewToken, NodeConfig, Parts, Readiness, ReplayOptions,
};

/// The application layer of one server.
pub struct Node {}

/// Where a request on the ingress goes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Route {}

impl Route {
    pub fn project(&self) -> &Name {
        todo!()
    }
    pub fn function(&self) -> &Name {
        todo!()
    }
    /// Whether the gateway must have authenticated the caller before `serve_http`.
    pub fn auth(&self) -> RouteAuth {
        todo!()
    }
}

impl Node {
    pub async fn start(config: NodeConfig, parts: Parts) -> Result<Arc<Node>, Error> {
        todo!()
    }
    /// Stops accepting, drains, closes log and store.
    pub async fn shutdown(&self, deadline: Duration) {
        todo!()
    }
    /// Lock-free. `Err` is `NoRoute` or `MethodNotAllowed`.
    pub fn route(&self, host: &str, method: &Method, path: &str) -> Result<Route, Error> {
        todo!()
    }
    /// The project that a host stands for (`{project}.localhost`, custom hosts, else the default project).
    pub fn project_of_host(&self, host: &str) -> Option<Name> {
        todo!()
    }
    pub async fn serve_http(
        self: &Arc<Self>,
        ctx: OpContext,
        route: &Route,
        request: Request<Body>,
    ) -> Result<Response<Body>, Error> {
        todo!()
    }
    pub async fn emit(
        &self,
        ctx: &OpContext,
        project: &Name,
        events: Vec<Event>,
    ) -> Result<Accepted, Error> {
        todo!()
    }
    /// `data`: with payloads (needs the scope read-payload, otherwise they are left out).
    pub async fn events(
        &self,
        ctx: &OpContext,
        filter: EventFilter,
        page: PageOptions,
    ) -> Result<Page<EventView>, Error> {
        todo!()
    }
    pub async fn event(&self, ctx: &OpContext, id: EventId) -> Result<EventView, Error> {
        todo!()
    }
    pub async fn follow_events(
        self: &Arc<Self>,
        ctx: &OpContext,
        filter: EventFilter,
        after: Option<Cursor>,
    ) -> Result<BoxStream<'static, Followed<EventView>>, Error> {
        todo!()
    }
    pub async fn deploy(
        self: &Arc<Self>,
        ctx: &OpContext,
        deploy: Deploy,
    ) -> Result<Deployed, Error> {
        todo!()
    }
    pub async fn functions(
        &self,
        ctx: &OpContext,
        project: &Name,
    ) -> Result<Vec<FunctionView>, Error> {
        todo!()
    }
    pub async fn function(
        &self,
        ctx: &OpContext,
        project: &Name,
        name: &Name,
    ) -> Result<FunctionView, Error> {
        todo!()
    }
    pub async fn versions(
        &self,
        ctx: &OpContext,
        project: &Name,
        name: &Name,
    ) -> Result<Vec<VersionView>, Error> {
        todo!()
    }
    pub async fn delete_function(
        &self,
        ctx: &OpContext,
        project: &Name,
        name: &Name,
    ) -> Result<(), Error> {
        todo!()
    }
    pub async fn apply(
        &self,
        ctx: &OpContext,
        resources: Vec<Resource>,
    ) -> Result<Vec<AppliedView>, Error> {
        todo!()
    }
    pub async fn get_resource(
        &self,
        ctx: &OpContext,
        key: &ResourceKey,
    ) -> Result<Resource, Error> {
        todo!()
    }
    /// `project` is `None` for kinds outside projects, or for all projects.
    pub async fn list_resources(
        &self,
        ctx: &OpContext,
        kind: Kind,
        project: Option<&Name>,
    ) -> Result<Vec<Resource>, Error> {
        todo!()
    }
    pub async fn delete_resource(
        &self,
        ctx: &OpContext,
        key: &ResourceKey,
        revision: Option<u64>,
    ) -> Result<(), Error> {
        todo!()
    }
    pub async fn create_token(
        &self,
        ctx: &OpContext,
        token: NewToken,
    ) -> Result<CreatedToken, Error> {
        todo!()
    }
    /// The same with a known token: for the token file of `nexus dev`. Idempotent.
    pub async fn ensure_token(
        &self,
        ctx: &OpContext,
        token: NewToken,
        plaintext: &str,
    ) -> Result<Resource, Error> {
        todo!()
    }
    pub async fn set_secret(
        &self,
        ctx: &OpContext,
        project: &Name,
        name: &Name,
        value: &[u8],
    ) -> Result<u32, Error> {
        todo!()
    }
    pub async fn invoke(
        self: &Arc<Self>,
        ctx: &OpContext,
        project: &Name,
        function: &Name,
        input: InvokeInput,
    ) -> Result<InvokeOutput, Error> {
        todo!()
    }
    pub async fn invocations(
        &self,
        ctx: &OpContext,
        filter: InvocationFilter,
        page: PageOptions,
    ) -> Result<Page<InvocationRow>, Error> {
        todo!()
    }
    pub async fn invocation(
        &self,
        ctx: &OpContext,
        id: InvocationId,
    ) -> Result<InvocationView, Error> {
        todo!()
    }
    pub async fn follow_invocations(
        self: &Arc<Self>,
        ctx: &OpContext,
        filter: InvocationFilter,
        after: Option<Cursor>,
    ) -> Result<BoxStream<'static, Followed<InvocationRow>>, Error> {
        todo!()
    }
    /// The newest `limit` lines, oldest first.
    pub async fn logs(
        &self,
        ctx: &OpContext,
        filter: LogFilter,
        limit: usize,
    ) -> Result<Vec<LogView>, Error> {
        todo!()
    }
    pub async fn follow_logs(
        self: &Arc<Self>,
        ctx: &OpContext,
        filter: LogFilter,
        after: Option<Cursor>,
    ) -> Result<BoxStream<'static, Followed<LogView>>, Error> {
        todo!()
    }
    pub async fn replay(
        &self,
        ctx: &OpContext,
        id: InvocationId,
        options: ReplayOptions,
    ) -> Result<ReplayView, Error> {
        todo!()
    }
    pub async fn dead_letters(
        &self,
        ctx: &OpContext,
        project: Option<&Name>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, Error> {
        todo!()
    }
    pub fn limits(&self) -> &'static [limits::Limit] {
        limits::ALL
    }
    pub async fn log_stats(&self, ctx: &OpContext) -> Result<LogStats, Error> {
        todo!()
    }
    pub async fn log_verify(&self, ctx: &OpContext) -> Result<VerifyReport, Error> {
        todo!()
    }
    pub fn ready(&self) -> Readiness {
        todo!()
    }
    /// The registry given in `Parts`, after the gauges were brought up to date.
    pub fn metrics(&self) -> &nexus_observe::Metrics {
        todo!()
    }
    pub fn authenticate(&self, token: &str) -> Result<Identity, Error> {
        todo!()
    }
}

/// Which page of a list.
#[derive(Clone, Copy, Debug, Default)]
pub struct PageOptions {
    /// Where to go on; `None` for the newest.
    pub cursor: Option<Cursor>,
    /// How many items; 0 for the default. At most `limits::PAGE_ITEMS_MAX`.
    pub limit: usize,
    /// Events with their data.
    pub data: bool,
}
