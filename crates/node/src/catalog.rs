//! What the request path knows: projects, functions and routes, as immutable snapshots.
//!
//! An idle function is an entry of a few hundred bytes here; its specification stays in the store
//! and is read on first use. A change swaps one project (decision 15).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use arc_swap::{ArcSwap, ArcSwapOption};
use http::Method;
use nexus_model::resource::{FunctionSpec, HttpRoute, ProjectSpec, RouteAuth, World};
use nexus_model::{Code, Digest, Name, Partition, VersionId};
use serde::{Deserialize, Serialize};

use crate::buckets::Buckets;
use crate::loaded::Loaded;
use crate::{Error, Mode};

/// Path segments that are looked at when a route is searched.
const SEGMENTS_MAX: usize = 32;

/// A function as the request path knows it.
pub(crate) struct Function {
    pub(crate) project: Name,
    pub(crate) name: Name,
    /// Where the ids of its invocations belong.
    pub(crate) partition: Partition,
    /// What new calls run; `None` before the first deploy.
    pub(crate) current: Option<Current>,
    /// Calls at the same time; 0 for no limit of its own.
    pub(crate) concurrency: u32,
    /// How many run; shared with the entries before and after a change.
    pub(crate) running: Arc<AtomicU32>,
    /// What is needed to run it, once it was called.
    pub(crate) loaded: ArcSwapOption<Loaded>,
    routes: Box<[HttpRoute]>,
}

/// The version that new calls run. Also the `status` of a Function resource: it lets a start know
/// what to route and compile without reading versions.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Current {
    pub(crate) version: VersionId,
    pub(crate) number: u64,
    pub(crate) world: World,
    pub(crate) component: Digest,
    /// What is executed, where the component had to be adapted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) executed: Option<Digest>,
}

impl Current {
    /// The digest of the code.
    pub(crate) fn code(&self) -> Digest {
        self.executed.unwrap_or(self.component)
    }
}

/// One way to a function.
#[derive(Clone)]
struct RouteEntry {
    function: Arc<Function>,
    /// `None` for all methods.
    methods: Option<Arc<[Method]>>,
    auth: RouteAuth,
}

type Paths = Buckets<Box<str>, Arc<[RouteEntry]>>;

/// A project's functions and routes.
#[derive(Clone)]
pub(crate) struct Project {
    pub(crate) name: Name,
    pub(crate) partition: Partition,
    pub(crate) default: bool,
    pub(crate) functions: Buckets<Name, Arc<Function>>,
    own: Paths,
    /// Routes on hosts that a route names.
    custom: HashMap<Box<str>, Paths>,
}

/// Everything at one moment.
#[derive(Clone, Default)]
pub(crate) struct Snapshot {
    pub(crate) projects: HashMap<Name, Arc<Project>>,
    /// Hosts that routes name, and the project whose they are.
    hosts: HashMap<Box<str>, Name>,
    pub(crate) default: Option<Name>,
}

/// Where a request goes. Cheap to clone.
#[derive(Clone)]
pub struct Route {
    pub(crate) function: Arc<Function>,
    auth: RouteAuth,
}

impl Route {
    /// The project.
    pub fn project(&self) -> &Name {
        &self.function.project
    }

    /// The function.
    pub fn function(&self) -> &Name {
        &self.function.name
    }

    /// Who may call it. For [`RouteAuth::Token`] the caller must be authenticated before
    /// [`Node::serve_http`](crate::Node::serve_http), which checks the scope.
    pub fn auth(&self) -> RouteAuth {
        self.auth
    }
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Route({}/{})", self.project(), self.function())
    }
}

/// The present snapshot. Reading takes no lock.
#[derive(Default)]
pub(crate) struct Catalog(ArcSwap<Snapshot>);

impl Catalog {
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Replaces the snapshot. Callers hold the lock of changes.
    pub(crate) fn publish(&self, snapshot: Snapshot) {
        self.0.store(Arc::new(snapshot));
    }

    /// The function of a request.
    pub(crate) fn route(&self, host: &str, method: &Method, path: &str) -> Result<Route, Error> {
        let snapshot = self.0.load();
        let host = host_name(host);
        let no_project = || {
            Error::new(Code::NoRoute, "no project answers on this host")
                .with_hint("use {project}.localhost, or make a project the default one")
        };
        let (project, custom) = snapshot.project_of(host).ok_or_else(no_project)?;
        let paths = match custom {
            true => project.custom.get(&*host.to_ascii_lowercase()),
            false => Some(&project.own),
        };
        let entries = paths.and_then(|paths| longest(paths, path)).ok_or_else(|| {
            Error::new(
                Code::NoRoute,
                format!("no function of project '{}' answers on this path", project.name),
            )
        })?;
        let found = entries.iter().find(|entry| entry.takes(method)).ok_or_else(|| {
            let methods: Vec<&str> = entries
                .iter()
                .flat_map(|at| at.methods.iter().flat_map(|m| m.iter()))
                .map(Method::as_str)
                .collect();
            Error::new(Code::MethodNotAllowed, format!("the route takes {}", methods.join(", ")))
        })?;
        Ok(Route { function: Arc::clone(&found.function), auth: found.auth })
    }

    /// The project that a host stands for.
    pub(crate) fn project_of_host(&self, host: &str) -> Option<Name> {
        self.0.load().project_of(host_name(host)).map(|(project, _)| project.name.clone())
    }

    /// A function.
    pub(crate) fn function(&self, project: &Name, function: &Name) -> Option<Arc<Function>> {
        self.0.load().projects.get(project)?.functions.get(function.as_str()).cloned()
    }

    /// A project.
    pub(crate) fn project(&self, project: &Name) -> Option<Arc<Project>> {
        self.0.load().projects.get(project).cloned()
    }
}

/// A host without port and final dot.
fn host_name(host: &str) -> &str {
    let name = match host.rfind(':') {
        // An IPv6 address has its colons inside brackets.
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

/// The entries of the longest path that is `path` or lies above it, on segment boundaries.
fn longest<'a>(paths: &'a Paths, path: &str) -> Option<&'a Arc<[RouteEntry]>> {
    let mut rest = path.strip_suffix('/').unwrap_or(path);
    let segments = rest.bytes().filter(|&byte| byte == b'/').count();
    for _ in SEGMENTS_MAX..segments {
        rest = &rest[..rest.rfind('/')?];
    }
    while !rest.is_empty() {
        if let Some(entries) = paths.get(rest) {
            return Some(entries);
        }
        rest = &rest[..rest.rfind('/')?];
    }
    paths.get("/")
}

impl RouteEntry {
    fn takes(&self, method: &Method) -> bool {
        self.methods.as_ref().is_none_or(|methods| {
            // Who answers GET answers HEAD.
            methods.iter().any(|at| at == method || (method == Method::HEAD && at == Method::GET))
        })
    }
}

impl Snapshot {
    /// The project of a host, and whether the host is one that its routes name.
    fn project_of(&self, host: &str) -> Option<(&Arc<Project>, bool)> {
        let by_suffix = host
            .len()
            .checked_sub(".localhost".len())
            .filter(|&at| host.get(at..).is_some_and(|end| end.eq_ignore_ascii_case(".localhost")))
            .and_then(|at| self.projects.get(host[..at].to_ascii_lowercase().as_str()));
        if let Some(project) = by_suffix {
            return Some((project, false));
        }
        if !self.hosts.is_empty()
            && let Some(name) = self.hosts.get(&*host.to_ascii_lowercase())
        {
            return self.projects.get(name).map(|project| (project, true));
        }
        self.default.as_ref().and_then(|name| self.projects.get(name)).map(|at| (at, false))
    }

    /// Puts a project in, or changes whether it is the default one.
    pub(crate) fn set_project(&mut self, name: &Name, spec: &ProjectSpec) {
        let mut project = match self.projects.get(name) {
            Some(known) => Project::clone(known),
            None => Project {
                name: name.clone(),
                partition: Partition::of(name.as_str(), ""),
                default: false,
                functions: Buckets::default(),
                own: Buckets::default(),
                custom: HashMap::new(),
            },
        };
        project.default = spec.default;
        self.projects.insert(name.clone(), Arc::new(project));
        self.choose_default();
    }

    pub(crate) fn remove_project(&mut self, name: &Name) {
        self.projects.remove(name);
        self.hosts.retain(|_, project| project != name);
        self.choose_default();
    }

    /// The project that says so; without one the only project there is.
    fn choose_default(&mut self) {
        let stated = self.projects.values().filter(|at| at.default).map(|at| &at.name).min();
        let only = || self.projects.keys().next().filter(|_| self.projects.len() == 1);
        self.default = stated.or_else(only).cloned();
    }

    /// Puts a function in, replacing what was there, with its routes.
    pub(crate) fn set_function(&mut self, name: FunctionName<'_>, declared: Declared<'_>) {
        let Some(known) = self.projects.get_mut(name.project) else { return };
        // While a start loads many functions nobody shares the project: it is changed in place.
        let project = Arc::make_mut(known);
        let before = project.functions.get(name.function.as_str()).cloned();
        let same_version = before.as_ref().filter(|at| at.current == declared.current);
        let function = Arc::new(Function {
            project: project.name.clone(),
            name: name.function.clone(),
            partition: project.partition,
            current: declared.current,
            concurrency: declared.spec.config.concurrency.unwrap_or(0),
            running: before.as_ref().map(|at| Arc::clone(&at.running)).unwrap_or_default(),
            loaded: ArcSwapOption::new(same_version.and_then(|at| at.loaded.load_full())),
            routes: declared.spec.on.http.clone().into(),
        });
        if let Some(before) = before {
            project.remove_routes(&before);
        }
        project.add_routes(&function, declared.mode);
        let hosts = function.routes.iter().filter_map(|route| route.host.as_deref());
        for host in hosts {
            self.hosts.insert(host.to_ascii_lowercase().into(), project.name.clone());
        }
        project.functions.set(function.name.clone(), function);
        self.forget_unused_hosts(name.project);
    }

    pub(crate) fn remove_function(&mut self, project: &Name, function: &Name) {
        let Some(known) = self.projects.get_mut(project) else { return };
        let changed = Arc::make_mut(known);
        if let Some(before) = changed.functions.get(function.as_str()).cloned() {
            changed.remove_routes(&before);
            changed.functions.remove(function.as_str());
        }
        self.forget_unused_hosts(project);
    }

    fn forget_unused_hosts(&mut self, name: &Name) {
        let project = self.projects.get(name);
        self.hosts.retain(|host, owner| {
            owner != name || project.is_some_and(|at| at.custom.contains_key(host))
        });
    }

    /// Whether another function answers where this one wants to.
    pub(crate) fn conflict(
        &self,
        name: FunctionName<'_>,
        declared: Declared<'_>,
    ) -> Result<(), Error> {
        let Some(project) = self.projects.get(name.project) else { return Ok(()) };
        let routes = effective_routes(name.function, declared.current, &declared.spec.on.http);
        for (index, route) in routes.iter().enumerate() {
            let field = format!("on.http[{index}]");
            if let Some(host) = &route.host
                && let Some(owner) = self.hosts.get(&*host.to_ascii_lowercase())
                && owner != name.project
            {
                // Whose it is, is not for this caller to know.
                return Err(Error::bad_resource(
                    field,
                    format!("the host {host} is taken by another project"),
                ));
            }
            let paths = match &route.host {
                None => Some(&project.own),
                Some(host) => project.custom.get(&*host.to_ascii_lowercase()),
            };
            let taken = paths.and_then(|at| at.get(path_key(&route.path)));
            let methods = methods_of(route);
            let clash = taken.into_iter().flat_map(|at| at.iter()).find(|entry| {
                entry.function.name != *name.function
                    && match (&entry.methods, &methods) {
                        (Some(theirs), Some(ours)) => theirs.iter().any(|at| ours.contains(at)),
                        _ => true,
                    }
            });
            if let Some(clash) = clash {
                return Err(Error::new(
                    Code::Conflict,
                    format!(
                        "{field}: {} is a route of function '{}' already",
                        route.path, clash.function.name
                    ),
                )
                .with_hint("give one of them another path or other methods"));
            }
        }
        Ok(())
    }
}

/// Which function.
#[derive(Clone, Copy)]
pub(crate) struct FunctionName<'a> {
    pub(crate) project: &'a Name,
    pub(crate) function: &'a Name,
}

/// What a function is to be.
#[derive(Clone, Copy)]
pub(crate) struct Declared<'a> {
    pub(crate) spec: &'a FunctionSpec,
    pub(crate) current: Option<Current>,
    pub(crate) mode: Mode,
}

/// The routes of a function: those that it states, or `/{name}` for an HTTP function that has none.
pub(crate) fn effective_routes(
    name: &Name,
    current: Option<Current>,
    stated: &[HttpRoute],
) -> Vec<HttpRoute> {
    let http = current.is_some_and(|at| at.world == World::Http);
    if !stated.is_empty() || !http {
        return stated.to_vec();
    }
    vec![HttpRoute { path: format!("/{name}"), methods: Vec::new(), host: None, auth: None }]
}

/// A path as the map has it: without a final slash, except for the root.
fn path_key(path: &str) -> &str {
    match path.strip_suffix('/') {
        None => path,
        Some("") => "/",
        Some(path) => path,
    }
}

fn methods_of(route: &HttpRoute) -> Option<Arc<[Method]>> {
    if route.methods.is_empty() {
        return None;
    }
    Some(route.methods.iter().filter_map(|at| at.to_ascii_uppercase().parse().ok()).collect())
}

impl Project {
    fn add_routes(&mut self, function: &Arc<Function>, mode: Mode) {
        for route in effective_routes(&function.name, function.current, &function.routes) {
            let entry = RouteEntry {
                function: Arc::clone(function),
                methods: methods_of(&route),
                // What `serve` insists on is checked at apply; a default route there takes tokens.
                auth: route.auth.unwrap_or(match mode {
                    Mode::Dev => RouteAuth::None,
                    Mode::Serve => RouteAuth::Token,
                }),
            };
            let paths = match &route.host {
                None => &mut self.own,
                Some(host) => self.custom.entry(host.to_ascii_lowercase().into()).or_default(),
            };
            let key = path_key(&route.path);
            let entries = paths.get(key).map(|at| at.to_vec()).unwrap_or_default();
            paths.set(key.into(), entries.into_iter().chain([entry]).collect());
        }
    }

    fn remove_routes(&mut self, function: &Function) {
        for route in effective_routes(&function.name, function.current, &function.routes) {
            let paths = match &route.host {
                None => &mut self.own,
                Some(host) => match self.custom.get_mut(&*host.to_ascii_lowercase()) {
                    Some(paths) => paths,
                    None => continue,
                },
            };
            let key = path_key(&route.path);
            let Some(entries) = paths.get(key) else { continue };
            let left: Arc<[RouteEntry]> =
                entries.iter().filter(|at| at.function.name != function.name).cloned().collect();
            match left.is_empty() {
                true => paths.remove(key),
                false => paths.set(key.into(), left),
            }
        }
        self.custom.retain(|_, paths| paths.len() > 0);
    }
}
