//! Which project answers on hosts that no project has: the one that says `default = true`, and a
//! project that is alone in any case. A change never takes that away from a project by the way:
//!
//! - a project whose spec does not say it stays what it was;
//! - when others come beside a project that was alone, it is marked as the default one, unless one of
//!   them is;
//! - when another one becomes the default, the mark of the one before goes.

use nexus_model::resource::{Kind, ProjectSpec, Resource, ResourceKey};
use nexus_model::{Name, OpContext, Scope};
use nexus_store::{Expect, Op};
use serde_json::Value;

use crate::catalog::Snapshot;
use crate::{Error, Mode, Node};

/// Names of projects that are told to whoever asked on a wrong host.
const NAMES_MAX: usize = 5;

impl Node {
    /// Completes a change, `ops`, after which the catalogue would be `plan`.
    ///
    /// # Errors
    /// It takes something from a project where the caller may not write.
    pub(crate) async fn settle_default(
        &self,
        ctx: &OpContext,
        plan: &mut Snapshot,
        ops: &mut Vec<Op>,
    ) -> Result<(), Error> {
        let about_projects =
            |op: &Op| matches!(op, Op::Put { resource, .. } if resource.kind == Kind::Project);
        if !ops.iter().any(about_projects) {
            return Ok(());
        }
        let before = self.catalog.snapshot();
        for (name, default) in changes(&before, plan, ops) {
            self.mark(plan, ops, (&name, default)).await?;
        }
        let loses = before.default.as_ref().filter(|name| plan.default.as_ref() != Some(name));
        if let Some(loses) = loses.filter(|name| plan.projects.contains_key(*name)) {
            nexus_policy::authorize(ctx, Scope::Write, Some(loses))?;
        }
        // What is stored says it, so that it does not depend on what was before.
        for op in ops.iter_mut() {
            if let Op::Put { resource, .. } = op
                && resource.kind == Kind::Project
                && let Some(project) = plan.projects.get(&resource.metadata.name)
            {
                set_default(resource, project.default);
            }
        }
        Ok(())
    }

    async fn mark(
        &self,
        plan: &mut Snapshot,
        ops: &mut Vec<Op>,
        (name, default): (&Name, bool),
    ) -> Result<(), Error> {
        let own = ops.iter_mut().find_map(|op| match op {
            Op::Put { resource, .. }
                if resource.kind == Kind::Project && resource.metadata.name == *name =>
            {
                Some(resource)
            }
            _ => None,
        });
        let resource = match own {
            Some(resource) => {
                set_default(resource, default);
                resource.clone()
            }
            None => {
                let key = ResourceKey { kind: Kind::Project, project: None, name: name.clone() };
                let Some(mut known) = self.parts.store.get(&key).await? else { return Ok(()) };
                set_default(&mut known, default);
                let expect = known.metadata.revision.take().map_or(Expect::Any, Expect::Revision);
                ops.push(Op::Put { resource: known.clone(), expect });
                known
            }
        };
        let spec: ProjectSpec = serde_json::from_value(resource.spec)
            .map_err(|error| Error::internal("read a project", error))?;
        plan.set_project(name, &spec);
        Ok(())
    }

    /// Says on which hosts there is something, where a request asked on another one. Strangers do not
    /// learn the names of projects.
    pub(crate) fn hosts_hint(&self) -> String {
        let how = "make one the default, which answers on every other host: \
                   nexus projects default NAME";
        let snapshot = self.catalog.snapshot();
        let mut names: Vec<&Name> = snapshot.projects.keys().collect();
        names.sort();
        if self.config.mode == Mode::Serve || names.is_empty() {
            return format!("a project answers on {{project}}.localhost; {how}");
        }
        let more = if names.len() > NAMES_MAX { ", …" } else { "" };
        let hosts: Vec<String> =
            names.iter().take(NAMES_MAX).map(|name| format!("{name}.localhost")).collect();
        format!("there are {}{more}; {how}", hosts.join(", "))
    }
}

/// Which projects have to be marked as the default one, or no longer, so that a change does what it
/// says.
fn changes(before: &Snapshot, plan: &Snapshot, ops: &[Op]) -> Vec<(Name, bool)> {
    let was = |name: &Name| before.projects.get(name).is_some_and(|at| at.default);
    let is_new = |name: &Name| !was(name);
    let marked = || plan.projects.values().filter(|at| at.default).map(|at| &at.name);
    if marked().any(is_new) {
        return marked().filter(|name| was(name)).map(|name| (name.clone(), false)).collect();
    }
    let alone = before.default.as_ref().filter(|name| is_new(name));
    let alone = alone.filter(|name| plan.default.is_none() && plan.projects.contains_key(*name));
    let refuses = |name: &Name| {
        ops.iter().any(|op| {
            matches!(op, Op::Put { resource, .. } if resource.kind == Kind::Project
                && resource.metadata.name == *name
                && resource.spec.get("default") == Some(&Value::Bool(false)))
        })
    };
    alone.filter(|name| !refuses(name)).map(|name| (name.clone(), true)).into_iter().collect()
}

fn set_default(resource: &mut Resource, default: bool) {
    if let Some(spec) = resource.spec.as_object_mut() {
        spec.insert("default".to_owned(), default.into());
    }
}
