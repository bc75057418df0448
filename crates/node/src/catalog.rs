//! What the request path knows: projects, functions and routes, as immutable snapshots.
//!
//! An idle function is an entry of a few hundred bytes here; its specification stays in the store
//! and is read on first use. A change swaps one project (decision 15).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use arc_swap::{ArcSwap, ArcSwapOption};
use http::Method;
use nexus_model::resource::{
    FunctionSpec, ProjectSpec, RouteAuth, TriggerSpec, VersionSpec, World,
};
use nexus_model::{Code, Digest, Name, Partition, VersionId};
use nexus_observe::FunctionMetrics;
use serde::{Deserialize, Serialize};

use crate::buckets::{Buckets, Named};
use crate::call_policy::CallPolicy;
use crate::doors::{self, Door, Doors, Leads, RouteEntry};
use crate::loaded::Loaded;
use crate::routes::Routes;
use crate::schemas::Schemas;
use crate::{Error, Mode};

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
    /// Shared with the entries before and after a change.
    pub(crate) counts: Arc<Counts>,
    /// What is needed to run it, once it was called.
    pub(crate) loaded: ArcSwapOption<Loaded>,
    /// Its journal is kept while it runs: the engine calls it.
    pub(crate) durable: bool,
    /// Nothing is said of when and how its calls are made: [`nexus_engine::Engine::call`].
    pub(crate) begins_early: bool,
    /// What holds for synchronous calls; `None` where nothing special does.
    pub(crate) calls: Option<Arc<CallPolicy>>,
    doors: Doors,
}

impl Named for Function {
    fn name(&self) -> &str {
        self.name.as_str()
    }
}

impl Function {
    /// The same with another version, and without what holds for calls of the live one.
    pub(crate) fn with_version(&self, version: Current) -> Self {
        Function {
            project: self.project.clone(),
            name: self.name.clone(),
            partition: self.partition,
            current: Some(version),
            concurrency: self.concurrency,
            counts: Arc::clone(&self.counts),
            loaded: ArcSwapOption::empty(),
            durable: false,
            begins_early: false,
            calls: None,
            doors: Doors::default(),
        }
    }
}

/// What is counted for a function, for as long as it is there.
#[derive(Default)]
pub(crate) struct Counts {
    /// Calls that run, where there is a limit.
    pub(crate) running: AtomicU32,
    pub(crate) metrics: FunctionMetrics,
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
    /// A version as if it were live.
    pub(crate) fn of(version: &VersionSpec) -> Self {
        Current {
            version: version.id,
            number: version.number,
            world: version.world,
            component: version.component,
            executed: version.executed,
        }
    }

    /// The digest of the code.
    pub(crate) fn code(&self) -> Digest {
        self.executed.unwrap_or(self.component)
    }
}

/// Whether its calls may be made as they come. What is said of retries, destinations and priority is
/// for afterwards, or for queues.
fn begins_early(spec: &FunctionSpec) -> bool {
    let stated = &spec.delivery;
    let limited = spec.config.concurrency.is_some()
        || stated.concurrency.is_some()
        || stated.concurrency_per_key.is_some()
        || stated.rate.is_some()
        || stated.queue.is_some()
        || stated.breaker.is_some();
    let shaped = stated.key.is_some()
        || stated.batch.is_some()
        || stated.deduplicate.is_some()
        || stated.transform.is_some();
    !limited && !shaped
}

/// A project's functions and routes.
#[derive(Clone)]
pub(crate) struct Project {
    pub(crate) name: Name,
    pub(crate) partition: Partition,
    pub(crate) default: bool,
    pub(crate) schemas: Arc<Schemas>,
    pub(crate) functions: Buckets<Arc<Function>>,
    triggers: Buckets<Arc<KnownTrigger>>,
    own: Routes<RouteEntry>,
    /// Routes on hosts that a route names.
    custom: HashMap<Box<str>, Routes<RouteEntry>>,
}

/// A trigger resource.
struct KnownTrigger {
    name: Name,
    function: Name,
    /// Its way on the ingress, where it is a route or a webhook; the others are the engine's.
    door: Option<Arc<Door>>,
}

impl Named for KnownTrigger {
    fn name(&self) -> &str {
        self.name.as_str()
    }
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
    pub(crate) door: Arc<Door>,
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
        match &self.door.leads {
            Leads::Call(auth) => *auth,
            // The signature says who it is.
            Leads::Webhook(_) => RouteAuth::None,
        }
    }

    /// Whether requests become events, by [`Node::webhook`](crate::Node::webhook).
    pub fn is_webhook(&self) -> bool {
        matches!(self.door.leads, Leads::Webhook(_))
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

    /// The function of a request. Of an unknown host it says no more than that.
    pub(crate) fn route(&self, host: &str, method: &Method, path: &str) -> Result<Route, Error> {
        let snapshot = self.0.load();
        let host = host_name(host);
        let no_project = || {
            let detail =
                format!("no project answers on the host '{host}', and none is the default");
            Error::new(Code::NoRoute, detail)
        };
        let (project, custom) = snapshot.project_of(host).ok_or_else(no_project)?;
        let paths = match custom {
            true => project.custom.get(&*host.to_ascii_lowercase()),
            false => Some(&project.own),
        };
        let found = paths.and_then(|paths| paths.find(path)).ok_or_else(|| {
            Error::new(
                Code::NoRoute,
                format!("no function of project '{}' answers on this path", project.name),
            )
        })?;
        let entry = found
            .iter()
            .find(|entry| entry.door.takes(method))
            .ok_or_else(|| Error::method_not_allowed(allowed(found.iter().map(|at| &*at.door))))?;
        Ok(Route { function: Arc::clone(&entry.function), door: Arc::clone(&entry.door) })
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

/// Whether a function can answer what comes this way.
fn suits(function: &Function, door: &Door) -> Result<(), Error> {
    let is_event = function.current.is_some_and(|at| at.world == World::Event);
    match door.leads {
        Leads::Call(_) if is_event => Err(Error::bad_resource(
            door.field(),
            format!("function '{}' takes events and cannot answer requests", function.name),
        )
        .with_hint("give it events, cron or a webhook, or make it an HTTP function")),
        _ => Ok(()),
    }
}

/// The methods that one of these ways takes, as an `Allow` header has them.
fn allowed<'a>(doors: impl Iterator<Item = &'a Door>) -> String {
    let mut methods: Vec<&str> =
        doors.flat_map(|door| door.methods().iter().map(Method::as_str)).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.sort_unstable();
    methods.dedup();
    methods.join(", ")
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
                schemas: Arc::default(),
                functions: Buckets::default(),
                triggers: Buckets::default(),
                own: Routes::default(),
                custom: HashMap::new(),
            },
        };
        project.default = spec.default.unwrap_or(project.default);
        project.schemas = Arc::new(project.schemas.with_mode(spec.schemas));
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
        let doors =
            doors::of_function(name.function, &declared.spec.on, (declared.current, declared.mode));
        let policy_before = before.as_ref().and_then(|at| at.calls.as_deref());
        let function = Arc::new(Function {
            project: project.name.clone(),
            name: name.function.clone(),
            partition: project.partition,
            current: declared.current,
            concurrency: declared.spec.config.concurrency.unwrap_or(0),
            counts: before.as_ref().map(|at| Arc::clone(&at.counts)).unwrap_or_default(),
            loaded: ArcSwapOption::new(same_version.and_then(|at| at.loaded.load_full())),
            durable: declared.spec.config.durable,
            begins_early: begins_early(declared.spec),
            calls: CallPolicy::of(declared.spec, policy_before).map(Arc::new),
            doors,
        });
        if let Some(before) = before {
            project.remove_own(&before);
        }
        for door in function.doors.iter() {
            project.open(&function, door);
        }
        project.refresh_triggers(&function);
        for host in function.doors.iter().filter_map(|door| door.host()) {
            // Whose it was stays: `conflict` finds it then.
            self.hosts.entry(host.into()).or_insert_with(|| project.name.clone());
        }
        project.functions.set(function);
        self.forget_unused_hosts(name.project);
    }

    pub(crate) fn remove_function(&mut self, project: &Name, function: &Name) {
        let Some(known) = self.projects.get_mut(project) else { return };
        let changed = Arc::make_mut(known);
        if let Some(before) = changed.functions.get(function.as_str()).cloned() {
            changed.remove_own(&before);
            changed.functions.remove(function.as_str());
        }
        self.forget_unused_hosts(project);
    }

    /// Puts a trigger's way in, replacing what was there.
    pub(crate) fn set_trigger(&mut self, name: TriggerName<'_>, spec: &TriggerSpec, mode: Mode) {
        let Some(known) = self.projects.get_mut(name.project) else { return };
        let project = Arc::make_mut(known);
        project.close_trigger(name.trigger);
        let door = doors::of_trigger(name.trigger, spec, mode).map(Arc::new);
        if let Some(door) = &door {
            if let Some(host) = door.host() {
                self.hosts.entry(host.into()).or_insert_with(|| project.name.clone());
            }
            if let Some(function) = project.functions.get(spec.function.as_str()).cloned() {
                project.open(&function, door);
            }
        }
        let (name_of, function) = (name.trigger.clone(), spec.function.clone());
        project.triggers.set(Arc::new(KnownTrigger { name: name_of, function, door }));
        self.forget_unused_hosts(name.project);
    }

    pub(crate) fn remove_trigger(&mut self, name: TriggerName<'_>) {
        let Some(known) = self.projects.get_mut(name.project) else { return };
        Arc::make_mut(known).close_trigger(name.trigger);
        self.forget_unused_hosts(name.project);
    }

    /// Changes the schemas of a project.
    pub(crate) fn set_schemas(&mut self, project: &Name, change: impl FnOnce(&mut Schemas)) {
        let Some(known) = self.projects.get_mut(project) else { return };
        let project = Arc::make_mut(known);
        let mut schemas = Schemas::clone(&project.schemas);
        change(&mut schemas);
        project.schemas = Arc::new(schemas);
    }

    fn forget_unused_hosts(&mut self, name: &Name) {
        let project = self.projects.get(name);
        self.hosts.retain(|host, owner| {
            owner != name || project.is_some_and(|at| at.custom.contains_key(host))
        });
    }

    /// Whether something else answers where a function of this snapshot wants to.
    pub(crate) fn conflict(&self, name: FunctionName<'_>) -> Result<(), Error> {
        let Some(project) = self.projects.get(name.project) else { return Ok(()) };
        let Some(function) = project.functions.get(name.function.as_str()) else { return Ok(()) };
        let own = |entry: &RouteEntry| {
            entry.door.trigger().is_none() && entry.function.name == *name.function
        };
        let triggers = project.triggers.iter().filter(|at| at.function == *name.function);
        let doors = function.doors.iter().chain(triggers.filter_map(|at| at.door.as_ref()));
        doors.into_iter().try_for_each(|door| suits(function, door))?;
        function.doors.iter().try_for_each(|door| self.door_conflict(project, door, own))
    }

    /// Whether something else answers where a trigger of this snapshot wants to.
    pub(crate) fn trigger_conflict(&self, name: TriggerName<'_>) -> Result<(), Error> {
        let Some(project) = self.projects.get(name.project) else { return Ok(()) };
        let known = project.triggers.get(name.trigger.as_str());
        let Some(door) = known.and_then(|at| at.door.as_deref()) else { return Ok(()) };
        if let Some(function) = known.and_then(|at| project.functions.get(at.function.as_str())) {
            suits(function, door)?;
        }
        let own = |entry: &RouteEntry| entry.door.trigger() == Some(name.trigger);
        self.door_conflict(project, door, own)
    }

    fn door_conflict(
        &self,
        project: &Project,
        door: &Door,
        own: impl Fn(&RouteEntry) -> bool,
    ) -> Result<(), Error> {
        let (field, path) = (door.field(), &door.path);
        if let Some(host) = door.host()
            && self.hosts.get(host) != Some(&project.name)
        {
            // Whose it is, is not for this caller to know.
            return Err(Error::bad_resource(
                field,
                format!("the host {host} is taken by another project"),
            ));
        }
        let routes = match door.host() {
            None => Some(&project.own),
            Some(host) => project.custom.get(host),
        };
        let (Some(routes), Some(pattern)) = (routes, door.pattern()) else { return Ok(()) };
        let mut taken = routes.at(&pattern).filter(|entry| !own(entry));
        let Some(clash) = taken.find(|entry| entry.door.overlaps(door)) else { return Ok(()) };
        let whose = match clash.door.trigger() {
            Some(trigger) => format!("trigger '{trigger}'"),
            None => format!("function '{}'", clash.function.name),
        };
        let what = match clash.door.leads {
            Leads::Call(_) => "route",
            Leads::Webhook(_) => "webhook",
        };
        let detail = format!("{field}: {path} is a {what} of {whose} already");
        Err(Error::new(Code::Conflict, detail)
            .with_hint("give one of them another path or other methods"))
    }
}

/// Which function.
#[derive(Clone, Copy)]
pub(crate) struct FunctionName<'a> {
    pub(crate) project: &'a Name,
    pub(crate) function: &'a Name,
}

/// Which trigger.
#[derive(Clone, Copy)]
pub(crate) struct TriggerName<'a> {
    pub(crate) project: &'a Name,
    pub(crate) trigger: &'a Name,
}

/// What a function is to be.
#[derive(Clone, Copy)]
pub(crate) struct Declared<'a> {
    pub(crate) spec: &'a FunctionSpec,
    pub(crate) current: Option<Current>,
    pub(crate) mode: Mode,
}

impl Project {
    fn open(&mut self, function: &Arc<Function>, door: &Arc<Door>) {
        let routes = match door.host() {
            None => &mut self.own,
            Some(host) => self.custom.entry(host.into()).or_default(),
        };
        let entry = RouteEntry { function: Arc::clone(function), door: Arc::clone(door) };
        if let Some(pattern) = door.pattern() {
            routes.insert(&pattern, entry);
        }
    }

    fn close(&mut self, door: &Door, own: impl Fn(&RouteEntry) -> bool) {
        let routes = match door.host() {
            None => &mut self.own,
            Some(host) => match self.custom.get_mut(host) {
                Some(routes) => routes,
                None => return,
            },
        };
        if let Some(pattern) = door.pattern() {
            routes.retain(&pattern, |entry| !own(entry));
        }
        self.custom.retain(|_, routes| !routes.is_empty());
    }

    fn remove_own(&mut self, function: &Function) {
        for door in function.doors.iter() {
            self.close(door, |entry| {
                entry.door.trigger().is_none() && entry.function.name == function.name
            });
        }
    }

    fn close_trigger(&mut self, trigger: &Name) {
        let Some(before) = self.triggers.get(trigger.as_str()).cloned() else { return };
        if let Some(door) = &before.door {
            self.close(door, |entry| entry.door.trigger() == Some(trigger));
        }
        self.triggers.remove(trigger.as_str());
    }

    /// Lets the triggers of a function lead to what it is now.
    fn refresh_triggers(&mut self, function: &Arc<Function>) {
        let its = self.triggers.iter().filter(|at| at.function == function.name);
        let doors: Vec<Arc<Door>> = its.filter_map(|at| at.door.clone()).collect();
        for door in doors {
            self.close(&door, |entry| entry.door.trigger() == door.trigger());
            self.open(function, &door);
        }
    }

    pub(crate) fn has_trigger(&self, name: &Name) -> bool {
        self.triggers.get(name.as_str()).is_some()
    }

    /// How many trigger resources there are.
    pub(crate) fn triggers(&self) -> usize {
        self.triggers.len()
    }

    /// The trigger resources that call a function, by name.
    pub(crate) fn triggers_of(&self, function: &Name) -> Vec<Name> {
        let its = self.triggers.iter().filter(|at| at.function == *function);
        let mut names: Vec<Name> = its.map(|at| at.name.clone()).collect();
        names.sort();
        names
    }
}
