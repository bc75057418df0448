//! Resources of every kind: apply, get, list, delete.

use nexus_model::resource::{FunctionSpec, Kind, Resource, ResourceKey, SecretSpec};
use nexus_model::{Code, Name, OpContext, Scope, limits};
use nexus_store::{Applied, Change, Effect, Expect, Op};

use crate::catalog::{Declared, FunctionName, Snapshot, TriggerName};
use crate::functions::with_near;
use crate::node::current_of;
use crate::versions::{carry_aliases, function_spec};
use crate::{Application, AppliedView, Error, Node, validate};

/// Resources on one page of the store.
const PAGE: usize = 1_000;

/// A checked application.
struct Planned {
    change: Change,
    /// What it deletes.
    gone: Vec<AppliedView>,
    /// What follows when the change is made: versions are told that their function is gone.
    later: Vec<Op>,
}

impl Node {
    /// Creates or replaces resources, all or none. One with a `revision` is replaced only at that
    /// revision. Functions keep their code; routes and triggers are in force when it returns. With a set
    /// that is pruned, what belongs to it and is not among them goes in the same change.
    ///
    /// # Errors
    /// The caller may not write there; the first rule that is broken, with its field; a conflict; a
    /// resource that belongs to another set.
    pub async fn apply(
        &self,
        ctx: &OpContext,
        application: impl Into<Application> + Send,
    ) -> Result<Vec<AppliedView>, Error> {
        let _alone = self.changes.lock().await;
        let planned = self.planned(ctx, application.into()).await?;
        let applied = self.parts.store.apply(planned.change).await?;
        self.publish(&applied).await?;
        for ops in planned.later.chunks(limits::APPLY_RESOURCES_MAX) {
            let change = Change::new(ctx.principal.clone(), ops.to_vec());
            self.publish(&self.parts.store.apply(change).await?).await?;
        }
        Ok(applied.resources.into_iter().filter_map(applied_view).chain(planned.gone).collect())
    }

    /// What [`apply`](Self::apply) would do: everything is checked, nothing is changed.
    ///
    /// # Errors
    /// As `apply`.
    pub async fn preview(
        &self,
        ctx: &OpContext,
        application: impl Into<Application> + Send,
    ) -> Result<Vec<AppliedView>, Error> {
        let _alone = self.changes.lock().await;
        let planned = self.planned(ctx, application.into()).await?;
        let applied = self.parts.store.preview(planned.change).await?;
        Ok(applied.resources.into_iter().filter_map(applied_view).chain(planned.gone).collect())
    }

    /// Resources that are to be applied, checked. The caller holds the lock of changes.
    async fn planned(&self, ctx: &OpContext, application: Application) -> Result<Planned, Error> {
        let Application { resources, set, prune } = application;
        fits(resources.len())?;
        let checked = self.checked(ctx, resources)?;
        let several = checked.len() > 1;
        let mut ops = Vec::with_capacity(checked.len());
        let mut plan = Snapshot::clone(&self.catalog.snapshot());
        for mut resource in checked {
            let key = resource.key();
            let op = async {
                self.put_into_set(set.as_ref(), &mut resource).await?;
                self.plan(&mut plan, resource).await
            };
            ops.push(op.await.map_err(|error| if several { error.about(key) } else { error })?);
        }
        let removals = match set.filter(|_| prune) {
            Some(set) => self.removals_of_set(ctx, &set, (&mut plan, &ops)).await?,
            None => Vec::new(),
        };
        let mut later = Vec::new();
        for gone in &removals {
            ops.push(Op::delete(gone.key()));
            if let (Kind::Function, Some(project)) = (gone.kind, &gone.metadata.project) {
                later.extend(self.versions_without_function(project, &gone.metadata.name).await?);
            }
        }
        fits(ops.len())?;
        self.settle_default(ctx, &mut plan, &mut ops).await?;
        check_conflicts(&plan, &ops)?;
        self.check_followers(&plan, &ops).await?;
        let gone = removals.into_iter().map(shown);
        let gone = gone.map(|resource| AppliedView { effect: "deleted", resource }).collect();
        Ok(Planned { change: Change::new(ctx.principal.clone(), ops), gone, later })
    }

    /// Resources that may be written by whoever wants it, in the order in which they can be planned.
    pub(crate) fn checked(
        &self,
        ctx: &OpContext,
        resources: Vec<Resource>,
    ) -> Result<Vec<Resource>, Error> {
        for resource in &resources {
            authorize_kind(ctx, Scope::Write, &resource.key())?;
        }
        let several = resources.len() > 1;
        let checked = resources.into_iter().map(|at| {
            let key = at.key();
            validate::resource(at, self.config.mode)
                .map_err(|error| if several { error.about(key) } else { error })
        });
        let mut checked = checked.collect::<Result<Vec<_>, Error>>()?;
        // Projects first, then functions, so that one apply can hold a project and what is in it.
        checked.sort_by_key(|at| match at.kind {
            Kind::Project => 0,
            Kind::Trigger => 2,
            _ => 1,
        });
        Ok(checked)
    }

    /// The operation for a checked resource; `plan` is what the catalogue would be after it.
    pub(crate) async fn plan(
        &self,
        plan: &mut Snapshot,
        mut resource: Resource,
    ) -> Result<Op, Error> {
        let key = resource.key();
        let mut expect = resource.metadata.revision.map_or(Expect::Any, Expect::Revision);
        if let Some(project) = &key.project
            && !plan.projects.contains_key(project)
        {
            return Err(Error::not_found(format_args!("project '{project}'"))
                .with_hint("apply a Project of this name first, or with it"));
        }
        match key.kind {
            Kind::Trigger => {
                self.check_trigger(plan, &resource)?;
                self.check_trigger_webhook(&resource).await?;
            }
            Kind::Schema => self.check_schema(plan, &resource).await?,
            _ => {}
        }
        if let (Kind::Function, Some(project)) = (key.kind, &key.project) {
            let known = self.parts.store.get(&key).await?;
            let current = known.as_ref().and_then(current_of);
            let mut spec: FunctionSpec = serde_json::from_value(resource.spec)
                .map_err(|error| Error::internal("read a function", error))?;
            match (spec.version, current) {
                // A spec without a version keeps the one that runs; the status follows it.
                (None, Some(current)) => spec.version = Some(current.version),
                (Some(stated), at) if at.map(|at| at.version) != Some(stated) => {
                    return Err(Error::bad_resource(
                        "spec.version",
                        "is set by deploys: leave it out, or keep what it is",
                    ));
                }
                _ => {}
            }
            carry_aliases(&mut spec, known.as_ref());
            let before = known.as_ref().map(function_spec).transpose()?;
            self.check_webhooks(project, &spec.on.webhooks, before.as_ref()).await?;
            self.check_aliases(project, &key.name, &spec).await?;
            let name = FunctionName { project, function: &key.name };
            let declared = Declared { spec: &spec, current, mode: self.config.mode };
            plan.set_function(name, declared);
            if let (Expect::Any, Some(revision)) =
                (expect, known.and_then(|at| at.metadata.revision))
            {
                // What was looked at is what is replaced.
                expect = Expect::Revision(revision);
            }
            resource.spec = serde_json::to_value(&spec)
                .map_err(|error| Error::internal("write a function", error))?;
        } else {
            self.take_in(plan, &resource)?;
        }
        resource.metadata.revision = None;
        Ok(Op::Put { resource, expect })
    }

    /// Makes a change known to the request path, the tokens and the engine. The caller holds the
    /// lock of changes.
    pub(crate) async fn publish(&self, applied: &Applied) -> Result<(), Error> {
        if !applied.changed() {
            return Ok(());
        }
        let mut snapshot = Snapshot::clone(&self.catalog.snapshot());
        let mut tokens = false;
        for at in &applied.resources {
            tokens |= at.key.kind == Kind::Token;
            match (&at.resource, at.key.kind, &at.key.project) {
                (Some(resource), _, _) => self.take_in(&mut snapshot, resource)?,
                (None, Kind::Function, Some(project)) => {
                    snapshot.remove_function(project, &at.key.name)
                }
                (None, Kind::Trigger, Some(project)) => {
                    snapshot.remove_trigger(TriggerName { project, trigger: &at.key.name });
                }
                (None, Kind::Schema, Some(project)) => {
                    snapshot.set_schemas(project, |schemas| schemas.remove(&at.key.name));
                }
                (None, Kind::Project, _) => snapshot.remove_project(&at.key.name),
                _ => {}
            }
        }
        self.catalog.publish(snapshot);
        if tokens {
            self.reload_tokens().await?;
        }
        if let Err(error) = self.move_audit().await {
            // The change itself is committed; the background task moves what waits.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "audit events wait in the store"
            );
            self.audit_due.notify_one();
        }
        Ok(())
    }

    /// One resource. Secrets come without their values.
    ///
    /// # Errors
    /// It does not exist, or the caller may not read there.
    pub async fn get_resource(
        &self,
        ctx: &OpContext,
        key: &ResourceKey,
    ) -> Result<Resource, Error> {
        authorize_kind(ctx, Scope::Read, key)?;
        let found = self.parts.store.get(key).await?;
        match found {
            Some(found) => Ok(shown(found)),
            None => Err(self.no_resource(ctx, key).await?),
        }
    }

    /// Resources of a kind by name; `project` is `None` for kinds outside projects, or for all
    /// projects that the caller reaches.
    ///
    /// # Errors
    /// The caller may not read there.
    pub async fn list_resources(
        &self,
        ctx: &OpContext,
        kind: Kind,
        project: Option<&Name>,
    ) -> Result<Vec<Resource>, Error> {
        let project = project.or(ctx.project.as_ref().filter(|_| kind.in_project()));
        let mut found = Vec::new();
        if kind.in_project() && project.is_none() {
            nexus_policy::authorize(ctx, Scope::Read, None)?;
            let mut after = None;
            loop {
                let page = self.parts.store.scan(kind, after.as_ref(), PAGE).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.key());
                found.extend(page.into_iter().map(shown));
            }
            return Ok(found);
        }
        let own = ctx.project.as_ref().filter(|_| kind == Kind::Project);
        nexus_policy::authorize(ctx, Scope::Read, own.or(project))?;
        let mut after: Option<Name> = None;
        loop {
            let page = self.parts.store.list(kind, project, after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.metadata.name.clone());
            let reached = |at: &Resource| own.is_none_or(|own| at.metadata.name == *own);
            let visible = |at: &Resource| {
                kind != Kind::Secret
                    || !at.metadata.name.as_str().starts_with(crate::secrets::OWN_PREFIX)
            };
            found.extend(page.into_iter().filter(|at| reached(at) && visible(at)).map(shown));
        }
        Ok(found)
    }

    /// Removes a resource, if it is at `revision` where one is given. The versions of a function stay
    /// for replays, as long as there are recordings of them; a project only when it is empty, and the
    /// tokens that are bound to it go with it; history stays.
    ///
    /// # Errors
    /// It does not exist; the caller may not write there; the revision is another one.
    pub async fn delete_resource(
        &self,
        ctx: &OpContext,
        key: &ResourceKey,
        revision: Option<u64>,
    ) -> Result<(), Error> {
        authorize_kind(ctx, Scope::Write, key)?;
        let _alone = self.changes.lock().await;
        let expect = revision.map_or(Expect::Present, Expect::Revision);
        let mut ops = vec![Op::Delete { key: key.clone(), expect }];
        match (key.kind, &key.project) {
            (Kind::Version, _) => {
                return Err(Error::bad_resource("kind", "versions go with their function"));
            }
            (Kind::Project, _) => {
                self.check_empty(&key.name).await?;
                // One who makes a project of this name again lets nobody in by that.
                ops.extend(self.deletions_of_tokens(|bound| *bound == key.name).await?);
            }
            (Kind::Function, Some(project)) => {
                self.refuse_referenced(ctx, project, &key.name).await?;
                ops.extend(self.versions_without_function(project, &key.name).await?);
            }
            _ => {}
        }
        // Where they are too many for one change, the function or the project itself is gone first.
        let rest = ops.split_off(ops.len().min(limits::APPLY_RESOURCES_MAX));
        let applied = match self.parts.store.apply(Change::new(ctx.principal.clone(), ops)).await {
            Err(
                nexus_store::Error::Conflict { found: None, .. }
                | nexus_store::Error::NotFound { .. },
            ) => {
                return Err(self.no_resource(ctx, key).await?);
            }
            other => other?,
        };
        if let (Kind::Secret, Some(project)) = (key.kind, &key.project) {
            self.forget_loaded(project);
        }
        self.publish(&applied).await?;
        for ops in rest.chunks(limits::APPLY_RESOURCES_MAX) {
            let change = Change::new(ctx.principal.clone(), ops.to_vec());
            let applied = self.parts.store.apply(change).await?;
            self.publish(&applied).await?;
        }
        Ok(())
    }

    /// Refuses to lose what is in a project.
    async fn check_empty(&self, name: &Name) -> Result<(), Error> {
        let project = self.catalog.project(name);
        let project = project.as_deref();
        let secrets = self.parts.store.list(Kind::Secret, Some(name), None, PAGE).await?;
        let own =
            |at: &&Resource| at.metadata.name.as_str().starts_with(crate::secrets::OWN_PREFIX);
        for (count, what) in [
            (project.map_or(0, |at| at.functions.len()), "functions"),
            (project.map_or(0, |at| at.schemas.len()), "schemas"),
            (secrets.iter().filter(|at| !own(at)).count(), "secrets"),
        ] {
            if count > 0 {
                let detail = format!("project '{name}' still has {count} {what}");
                return Err(Error::new(Code::Conflict, detail)
                    .with_hint(format!("delete its {what} first")));
            }
        }
        // A project that is made with this name again must not find it.
        if self.parts.store.next_state_namespace(name, "").await?.is_some() {
            let detail = format!("project '{name}' still has state of functions");
            return Err(Error::new(Code::Conflict, detail).with_hint(
                "nexus state list shows where; nexus state delete FUNCTION --all --yes removes it",
            ));
        }
        Ok(())
    }

    /// Names what there is instead, for those who may see it.
    async fn no_resource(&self, ctx: &OpContext, key: &ResourceKey) -> Result<Error, Error> {
        if !ctx.allows(Scope::Read, key.project.as_ref()) {
            return Ok(Error::not_found(key));
        }
        match (key.kind, &key.project) {
            (Kind::Function, Some(project)) => return Ok(self.no_function(project, &key.name)),
            (_, Some(project)) => self.require_project(project)?,
            _ => {}
        }
        let page = self.parts.store.list(key.kind, key.project.as_ref(), None, PAGE).await?;
        let names: Vec<&str> = page.iter().map(|at| at.metadata.name.as_str()).collect();
        let visible: Vec<&str> = names
            .into_iter()
            .filter(|name| {
                key.kind != Kind::Secret || !name.starts_with(crate::secrets::OWN_PREFIX)
            })
            .collect();
        let error = Error::not_found(key);
        Ok(with_near(error, &key.name, &visible, &format!("get {}", key.kind.plural())))
    }
}

fn fits(count: usize) -> Result<(), Error> {
    let limit = limits::APPLY_RESOURCES_MAX;
    match count > limit {
        true => {
            let detail = format!("{count} resources, the limit of an apply is {limit}");
            Err(Error::new(Code::TooLarge, detail))
        }
        false => Ok(()),
    }
}

/// Every way on the ingress leads to one function once all of this is applied.
pub(crate) fn check_conflicts(plan: &Snapshot, ops: &[Op]) -> Result<(), Error> {
    let with_ways = ops.iter().filter_map(|op| match op {
        Op::Put { resource, .. } => {
            matches!(resource.kind, Kind::Function | Kind::Trigger).then_some(resource)
        }
        _ => None,
    });
    let several = with_ways.clone().count() > 1;
    for resource in with_ways {
        let name = &resource.metadata.name;
        let checked = match (resource.kind, &resource.metadata.project) {
            (Kind::Function, Some(project)) => {
                plan.conflict(FunctionName { project, function: name })
            }
            (Kind::Trigger, Some(project)) => {
                plan.trigger_conflict(TriggerName { project, trigger: name })
            }
            _ => Ok(()),
        };
        checked.map_err(|error| if several { error.about(resource.key()) } else { error })?;
    }
    Ok(())
}

/// Tokens reach everything that they say, so only those who reach the whole server may change them.
fn authorize_kind(ctx: &OpContext, scope: Scope, key: &ResourceKey) -> Result<(), Error> {
    let project = match key.kind {
        Kind::Project => Some(&key.name),
        _ => key.project.as_ref(),
    };
    let scope = match (key.kind, scope) {
        (Kind::Token, Scope::Write) => Scope::Admin,
        (_, scope) => scope,
    };
    nexus_policy::authorize(ctx, scope, project).map_err(Error::from)
}

/// A resource as the API shows it: never the value of a secret or the hash of a token.
pub(crate) fn shown(mut resource: Resource) -> Resource {
    match resource.kind {
        Kind::Secret => {
            let spec: Option<SecretSpec> = serde_json::from_value(resource.spec).ok();
            let versions: Vec<u32> =
                spec.iter().flat_map(|spec| spec.versions.keys().copied()).collect();
            let current = spec.map(|spec| spec.current);
            resource.spec = serde_json::json!({ "current": current, "versions": versions });
        }
        Kind::Token => {
            if let Some(spec) = resource.spec.as_object_mut() {
                spec.shift_remove("hash");
            }
        }
        Kind::Project
        | Kind::Function
        | Kind::Version
        | Kind::Trigger
        | Kind::Schema
        | Kind::Replay
        | Kind::Suite => {}
    }
    resource
}

pub(crate) fn applied_view(applied: nexus_store::AppliedResource) -> Option<AppliedView> {
    let effect = match applied.effect {
        Effect::Created => "created",
        Effect::Updated => "updated",
        Effect::Deleted => "deleted",
        Effect::Unchanged => "unchanged",
    };
    applied.resource.map(|resource| AppliedView { effect, resource: shown(resource) })
}
