//! Triggers as people see and steer them.

use std::collections::{HashMap, HashSet};

use nexus_engine::{CronSchedule, DeliveryFilter};
use nexus_model::record::Trigger;
use nexus_model::resource::{
    DeliveryConfig, EventTrigger, FunctionSpec, Kind, Resource, ResourceKey, TriggerSpec,
};
use nexus_model::view::{LastCall, TriggerView};
use nexus_model::{InvocationFilter, Name, OpContext, Scope, Timestamp, limits};

use crate::versions::function_spec;
use crate::{Error, Node};

/// Resources on one page of the store.
const PAGE: usize = 1_000;
/// Unfinished deliveries that are counted for one trigger.
const PENDING_MAX: usize = 10_000;
/// Records of a function that are read to tell its triggers apart.
const RECORDS_MAX: usize = 100;

impl Node {
    /// The triggers of a project: the resources by name, then what functions state themselves.
    ///
    /// # Errors
    /// The project does not exist, or the caller may not read it.
    pub async fn triggers(
        &self,
        ctx: &OpContext,
        project: &Name,
    ) -> Result<Vec<TriggerView>, Error> {
        nexus_policy::authorize(ctx, Scope::Read, Some(project))?;
        self.require_project(project)?;
        let mut views = self.known_triggers(project).await?;
        self.add_last_calls(project, &mut views).await?;
        Ok(views)
    }

    /// As [`triggers`](Self::triggers), without what they set off last.
    pub(crate) async fn known_triggers(&self, project: &Name) -> Result<Vec<TriggerView>, Error> {
        let mut views = Vec::new();
        for resource in self.all_of(Kind::Trigger, project).await? {
            views.push(self.trigger_view(&resource)?);
        }
        for resource in self.all_of(Kind::Function, project).await? {
            let spec = function_spec(&resource)?;
            let own = own_triggers(&resource.metadata.name, spec);
            views.extend(own.into_iter().map(|spec| self.view(project, (None, None), spec)));
        }
        Ok(views)
    }

    /// A trigger resource, with how many deliveries it has not finished.
    ///
    /// # Errors
    /// It does not exist, or the caller may not read it.
    pub async fn trigger(
        &self,
        ctx: &OpContext,
        project: &Name,
        name: &Name,
    ) -> Result<TriggerView, Error> {
        let resource = self.get_resource(ctx, &key(project, name)).await?;
        let mut view = self.trigger_view(&resource)?;
        let filter = DeliveryFilter {
            project: Some(project.to_string()),
            function: Some(view.spec.function.to_string()),
            trigger: Some(name.to_string()),
            ..DeliveryFilter::default()
        };
        let pending = self.engine()?.deliveries(filter, None, PENDING_MAX).await?;
        view.pending = pending.len() as u64;
        self.add_last_calls(project, std::slice::from_mut(&mut view)).await?;
        Ok(view)
    }

    /// Says of triggers what they set off last.
    async fn add_last_calls(&self, project: &Name, views: &mut [TriggerView]) -> Result<(), Error> {
        let kind = |view: &TriggerView| match view.spec.http {
            Some(_) => Trigger::Http,
            None => Trigger::Event,
        };
        let function = |view: &TriggerView| view.spec.function.to_string();
        let wanted = views.iter().map(|view| (function(view), kind(view))).collect();
        let log = &self.parts.log;
        let rows = log.newest_calls(project.as_str(), wanted, limits::LAST_CALLS_MAX).await?;
        let calls: HashMap<(&str, Trigger), LastCall> = rows
            .iter()
            .map(|row| {
                let (at, invocation, status) = (row.accepted, row.id, row.status);
                ((row.function.as_str(), row.trigger), LastCall { at, invocation, status })
            })
            .collect();
        // Which of several triggers led to a delivery is in its record only.
        let named: HashSet<Name> = views
            .iter()
            .filter(|view| view.name.is_some() && kind(view) == Trigger::Event)
            .map(|view| view.spec.function.clone())
            .collect();
        let mut by_name = HashMap::new();
        for function in named {
            let filter = InvocationFilter {
                project: Some(project.to_string()),
                function: Some(function.to_string()),
                triggers: vec![Trigger::Event],
                ..InvocationFilter::default()
            };
            let newest = log.invocation_records(&filter, None, RECORDS_MAX).await?;
            for record in newest.items.into_iter().map(|(_, record)| record) {
                let Some(invocation) = record.invocation_id() else { continue };
                let at = Timestamp::from_unix_ns(record.accepted_ns);
                let call = LastCall { at, invocation, status: record.status() };
                by_name.entry((function.clone(), record.trigger_name)).or_insert(call);
            }
        }
        let is_named: HashSet<Name> =
            by_name.keys().map(|(function, _)| function.clone()).collect();
        for view in views {
            let kind = kind(view);
            let name = view.name.as_ref().map_or(String::new(), Name::to_string);
            view.last = match kind == Trigger::Event && is_named.contains(&view.spec.function) {
                true => by_name.get(&(view.spec.function.clone(), name)).cloned(),
                false => calls.get(&(view.spec.function.as_str(), kind)).cloned(),
            };
        }
        Ok(())
    }

    /// Stops a trigger: its events are matched and wait, cron does not fire. Pausing a paused one
    /// changes nothing.
    ///
    /// # Errors
    /// It does not exist, or the caller may not write there; a route cannot be paused.
    pub async fn pause_trigger(
        &self,
        ctx: &OpContext,
        project: &Name,
        name: &Name,
    ) -> Result<TriggerView, Error> {
        self.steer(ctx, &key(project, name), |spec| spec.paused = true).await
    }

    /// Lets a paused trigger go on.
    ///
    /// # Errors
    /// It does not exist, or the caller may not write there.
    pub async fn resume_trigger(
        &self,
        ctx: &OpContext,
        project: &Name,
        name: &Name,
    ) -> Result<TriggerView, Error> {
        self.steer(ctx, &key(project, name), |spec| spec.paused = false).await
    }

    async fn steer(
        &self,
        ctx: &OpContext,
        key: &ResourceKey,
        change: impl FnOnce(&mut TriggerSpec),
    ) -> Result<TriggerView, Error> {
        nexus_policy::authorize(ctx, Scope::Write, key.project.as_ref())?;
        let found = self.parts.store.get(key).await?;
        let mut resource = found.ok_or_else(|| {
            Error::not_found(key).with_hint(
                "only Trigger resources can be paused: nexus triggers shows them with a name; what a \
                 function states itself cannot",
            )
        })?;
        let mut spec = read(&resource)?;
        change(&mut spec);
        resource.spec = serde_json::to_value(&spec)
            .map_err(|error| Error::internal("write a trigger", error))?;
        resource.status = serde_json::Value::Null;
        let applied = self.apply(ctx, vec![resource.clone()]).await?;
        let stored = applied.into_iter().next().map_or(resource, |at| at.resource);
        self.trigger_view(&stored)
    }

    fn trigger_view(&self, resource: &Resource) -> Result<TriggerView, Error> {
        let spec = read(resource)?;
        let metadata = &resource.metadata;
        let project = metadata.project.clone().ok_or_else(|| Error::not_found(resource.key()))?;
        let name = Some(metadata.name.clone());
        Ok(self.view(&project, (name, metadata.revision), spec))
    }

    fn view(
        &self,
        project: &Name,
        (name, revision): (Option<Name>, Option<u64>),
        spec: TriggerSpec,
    ) -> TriggerView {
        let cron = spec.cron.as_ref().filter(|_| !spec.paused);
        let next = cron.and_then(|cron| {
            let schedule = CronSchedule::parse(&cron.schedule, cron.zone.as_deref()).ok()?;
            schedule.next(self.parts.clock.now())
        });
        let way = spec.http.as_ref().map(|at| (at.host.as_deref(), &at.path));
        let way = way.or(spec.webhook.as_ref().map(|at| (at.host.as_deref(), &at.path)));
        let url = way.map(|(host, path)| self.url(project, host, path));
        let project = project.clone();
        TriggerView { project, name, spec, url, next, last: None, pending: 0, revision }
    }

    /// Every resource of a kind in a project, by name.
    pub(crate) async fn all_of(&self, kind: Kind, project: &Name) -> Result<Vec<Resource>, Error> {
        let mut found = Vec::new();
        let mut after: Option<Name> = None;
        loop {
            let page = self.parts.store.list(kind, Some(project), after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(found) };
            after = Some(last.metadata.name.clone());
            found.extend(page);
        }
    }
}

fn key(project: &Name, name: &Name) -> ResourceKey {
    ResourceKey { kind: Kind::Trigger, project: Some(project.clone()), name: name.clone() }
}

fn read(resource: &Resource) -> Result<TriggerSpec, Error> {
    serde_json::from_value(resource.spec.clone())
        .map_err(|error| Error::internal("read a trigger", error))
}

/// What a function states itself, in the form of trigger resources.
fn own_triggers(name: &Name, spec: FunctionSpec) -> Vec<TriggerSpec> {
    let empty = || TriggerSpec {
        description: String::new(),
        function: name.clone(),
        event: None,
        cron: None,
        webhook: None,
        http: None,
        paused: false,
        delivery: DeliveryConfig::default(),
    };
    let events = spec.on.events.into_iter();
    let events = events.map(|at: EventTrigger| TriggerSpec { event: Some(at), ..empty() });
    let crons = spec.on.cron.into_iter().map(|at| TriggerSpec { cron: Some(at), ..empty() });
    let hooks = spec.on.webhooks.into_iter();
    let hooks = hooks.map(|at| TriggerSpec { webhook: Some(at), ..empty() });
    let routes = spec.on.http.into_iter().map(|at| TriggerSpec { http: Some(at), ..empty() });
    events.chain(crons).chain(hooks).chain(routes).collect()
}
