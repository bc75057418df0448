//! Deployments: functions of a project, and what its manifest declares beside them, all at once or
//! not at all.
//!
//! ```text
//!   begin ── add: look at it, store it, compile it ─► … ── finish: plan everything, one change
//! ```

use std::ops::Range;
use std::sync::Arc;

use nexus_model::manifest::MANAGED;
use nexus_model::resource::{
    DeliveryConfig, Kind, ProjectSpec, Resource, ResourceKey, VersionSpec,
};
use nexus_model::view::Deployed;
use nexus_model::{Code, Name, OpContext, Scope, limits};
use nexus_store::{AppliedResource, Change, Op};

use crate::catalog::{Snapshot, TriggerName};
use crate::deploy::{Staged, json};
use crate::functions::version_of;
use crate::resources::{applied_view, check_conflicts};
use crate::triggers::notes_of_followers;
use crate::{AppliedView, Deploy, DeploymentView, Error, Node};

/// Functions of one project on their way. What was added runs nowhere until
/// [`finish`](Deployment::finish); when this is dropped, nothing has changed.
pub struct Deployment {
    node: Arc<Node>,
    ctx: OpContext,
    project: Name,
    staged: Vec<Staged>,
}

impl std::fmt::Debug for Deployment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Deployment({}, {} functions)", self.project, self.staged.len())
    }
}

impl Deployment {
    /// Looks at the code of one more function, stores it and compiles it.
    ///
    /// # Errors
    /// Those of [`Node::deploy`], as far as they do not depend on what is there; the function was
    /// added already; there are more than [`limits::DEPLOY_FUNCTIONS_MAX`].
    pub async fn add(&mut self, deploy: Deploy) -> Result<(), Error> {
        let name = deploy.name.clone();
        if self.staged.len() >= limits::DEPLOY_FUNCTIONS_MAX {
            let detail = format!(
                "more than {} functions (deploy-functions-max) in one deployment",
                limits::DEPLOY_FUNCTIONS_MAX
            );
            return Err(Error::new(Code::TooLarge, detail).with_hint("deploy them in parts"));
        }
        if self.staged.iter().any(|staged| staged.deploy.name == name) {
            let detail = format!("function '{name}' is in the deployment twice");
            return Err(Error::new(Code::BadRequest, detail));
        }
        let staged = self.node.stage(&self.ctx, deploy).await;
        self.staged.push(staged.map_err(|error| error.about(format_args!("function '{name}'")))?);
        Ok(())
    }

    /// Lets new calls run all that was added; nothing of it where one of them is refused. With
    /// `declared` also applies the project, schemas and triggers of its manifest, and deletes those
    /// that an earlier manifest declared and this one does not.
    ///
    /// # Errors
    /// Those of [`Node::deploy`] and [`Node::apply`]; a resource that no manifest declares.
    pub async fn finish(self, declared: Option<Vec<Resource>>) -> Result<DeploymentView, Error> {
        let Deployment { node, ctx, project, staged } = self;
        node.let_live(&ctx, &project, &staged, declared).await
    }
}

/// What all of a deployment would change.
pub(crate) struct Plan {
    /// What the catalogue would be.
    pub(crate) snapshot: Snapshot,
    pub(crate) ops: Vec<Op>,
}

/// One function in a plan.
pub(crate) struct Step {
    pub(crate) version: VersionSpec,
    pub(crate) delivery: DeliveryConfig,
    /// Its operations; the last one is about the function.
    pub(crate) ops: Range<usize>,
}

impl Node {
    /// Begins a deployment.
    ///
    /// # Errors
    /// The caller may not write there; the project does not exist, and the caller may not make it.
    pub fn begin_deployment(
        self: &Arc<Self>,
        ctx: &OpContext,
        project: &Name,
    ) -> Result<Deployment, Error> {
        self.may_deploy(ctx, project)?;
        let (node, project) = (Arc::clone(self), project.clone());
        Ok(Deployment { node, ctx: ctx.clone(), project, staged: Vec::new() })
    }

    /// Projects are made by their first deploy, for those who may make projects.
    pub(crate) fn may_deploy(&self, ctx: &OpContext, project: &Name) -> Result<(), Error> {
        nexus_policy::authorize(ctx, Scope::Write, Some(project))?;
        if self.catalog.project(project).is_none() {
            nexus_policy::authorize(ctx, Scope::Write, None)
                .map_err(|_| Error::not_found(format_args!("project '{project}'")))?;
        }
        Ok(())
    }

    /// Plans everything, checks how it fits together, and makes it one change of the store.
    pub(crate) async fn let_live(
        &self,
        ctx: &OpContext,
        project: &Name,
        staged: &[Staged],
        declared: Option<Vec<Resource>>,
    ) -> Result<DeploymentView, Error> {
        let declared = declared.map(|all| self.declared_in(ctx, project, all)).transpose()?;
        let _alone = self.changes.lock().await;
        let snapshot = Snapshot::clone(&self.catalog.snapshot());
        let mut plan = Plan { snapshot, ops: Vec::new() };
        // A project comes before what is in it, functions before the triggers that call them.
        let (mut projects, rest): (Vec<_>, Vec<_>) =
            declared.iter().flatten().cloned().partition(|at| at.kind == Kind::Project);
        if projects.is_empty() && !plan.snapshot.projects.contains_key(project) {
            projects.push(new_project(project)?);
        }
        self.plan_resources(&mut plan, projects).await?;
        let mut steps = Vec::with_capacity(staged.len());
        for at in staged {
            let step = self.plan_function(&mut plan, at).await;
            let about = format_args!("function '{}'", at.deploy.name);
            steps.push(step.map_err(|at| if staged.len() > 1 { at.about(about) } else { at })?);
        }
        self.plan_resources(&mut plan, rest).await?;
        let gone = match &declared {
            Some(declared) => self.plan_removals(&mut plan, project, declared).await?,
            None => Vec::new(),
        };
        self.settle_default(ctx, &mut plan.snapshot, &mut plan.ops).await?;
        check_conflicts(&plan.snapshot, &plan.ops)?;
        let notes: Vec<Vec<String>> = steps
            .iter()
            .map(|step| notes_of_followers(&plan.snapshot, project, &step.delivery))
            .collect();
        let applied = self.parts.store.apply(Change::new(ctx.principal.clone(), plan.ops)).await?;
        self.publish(&applied).await?;
        let mut functions = Vec::with_capacity(staged.len());
        let triggers = self.known_triggers(project).await?;
        for ((at, step), notes) in staged.iter().zip(&steps).zip(notes) {
            let stored = &applied.resources[step.ops.clone()];
            let mut deployed = self.deployed(at, step, stored).await?;
            deployed.notes.extend(notes);
            let own = triggers.iter().filter(|at| at.spec.function == deployed.function.name);
            deployed.triggers = own.cloned().collect();
            functions.push(deployed);
        }
        let of_functions = |at: &usize| steps.iter().any(|step| step.ops.contains(at));
        let others = applied.resources.into_iter().enumerate();
        let others =
            others.filter(|(at, _)| !of_functions(at)).filter_map(|(_, at)| applied_view(at));
        let resources = others.chain(gone).collect();
        Ok(DeploymentView { functions, resources })
    }

    /// What a manifest may declare beside functions, checked, in the order in which it is planned.
    fn declared_in(
        &self,
        ctx: &OpContext,
        project: &Name,
        declared: Vec<Resource>,
    ) -> Result<Vec<Resource>, Error> {
        for resource in &declared {
            let metadata = &resource.metadata;
            let own = match resource.kind {
                Kind::Project => metadata.name == *project,
                Kind::Schema | Kind::Trigger => metadata.project.as_ref() == Some(project),
                _ => false,
            };
            if !own {
                let detail = format!(
                    "{}: a deployment of '{project}' holds this project, its schemas and its triggers",
                    resource.key()
                );
                return Err(Error::new(Code::BadResource, detail).with_hint("apply it by itself"));
            }
        }
        self.checked(ctx, declared)
    }

    async fn plan_resources(&self, plan: &mut Plan, resources: Vec<Resource>) -> Result<(), Error> {
        for resource in resources {
            let key = resource.key();
            let op = self.plan(&mut plan.snapshot, resource).await;
            plan.ops.push(op.map_err(|error| error.about(key))?);
        }
        Ok(())
    }

    /// Takes away what came from a manifest and is in it no more.
    async fn plan_removals(
        &self,
        plan: &mut Plan,
        project: &Name,
        declared: &[Resource],
    ) -> Result<Vec<AppliedView>, Error> {
        let mut gone = Vec::new();
        for kind in [Kind::Trigger, Kind::Schema] {
            for known in self.all_of(kind, project).await? {
                let name = known.metadata.name.clone();
                let wanted = declared.iter().any(|at| at.kind == kind && at.metadata.name == name);
                if wanted || !known.metadata.annotations.contains_key(MANAGED) {
                    continue;
                }
                match kind {
                    Kind::Trigger => {
                        plan.snapshot.remove_trigger(TriggerName { project, trigger: &name });
                    }
                    _ => plan.snapshot.set_schemas(project, |schemas| schemas.remove(&name)),
                }
                plan.ops.push(Op::delete(known.key()));
                gone.push(AppliedView { effect: "deleted", resource: known });
            }
        }
        Ok(gone)
    }

    /// What became of a function: `stored` is what its operations have come to.
    async fn deployed(
        &self,
        at: &Staged,
        step: &Step,
        stored: &[AppliedResource],
    ) -> Result<Deployed, Error> {
        let changed = stored.iter().any(|at| at.effect.changed());
        let resource = stored.last().and_then(|at| at.resource.as_ref());
        let resource =
            resource.ok_or_else(|| Error::new(Code::Internal, "the function was not stored"))?;
        let mut notes = at.artifact.notes.clone();
        if at.artifact.compiled.cached && changed {
            notes.push("its machine code was stored already".to_owned());
        }
        let function = self.function_view(resource).await?;
        Ok(Deployed {
            version: version_of(&step.version, &function),
            function,
            unchanged: !changed,
            compile_ms: at.artifact.compiled.took_ms,
            triggers: Vec::new(),
            notes,
        })
    }
}

fn new_project(name: &Name) -> Result<Resource, Error> {
    let key = ResourceKey { kind: Kind::Project, project: None, name: name.clone() };
    Ok(Resource::new(&key, json(&ProjectSpec::default())?))
}
