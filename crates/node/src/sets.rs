//! Sets: resources that are applied together, so that what is in their files no more is deleted.

use nexus_model::resource::{Kind, Resource, TriggerSpec};
use nexus_model::{Code, Name, OpContext, Scope};
use nexus_store::Op;

use crate::catalog::{Snapshot, TriggerName};
use crate::triggers::{listed, uses};
use crate::versions::function_spec;
use crate::{Error, Node};

/// The annotation that says to which set a resource belongs.
pub const SET: &str = "nexus.dev/set";

/// What a set may delete, in that order: triggers go before the functions that they call. Projects are
/// deleted one by one, by whoever means it.
const DELETED: [Kind; 3] = [Kind::Trigger, Kind::Function, Kind::Schema];

/// Resources on one page of the store.
const PAGE: usize = 1_000;

/// Resources that are to be applied.
#[derive(Clone, Debug, Default)]
pub struct Application {
    /// What is to be.
    pub resources: Vec<Resource>,
    /// The set to which functions, triggers and schemas among them belong from now on.
    pub set: Option<Name>,
    /// Whether what belongs to the set and is not among them is deleted.
    pub prune: bool,
}

impl From<Vec<Resource>> for Application {
    fn from(resources: Vec<Resource>) -> Self {
        Application { resources, ..Application::default() }
    }
}

impl Node {
    /// Marks a resource as one of a set. One that is applied without a set stays in the one that it is in.
    pub(crate) async fn put_into_set(
        &self,
        set: Option<&Name>,
        resource: &mut Resource,
    ) -> Result<(), Error> {
        if !DELETED.contains(&resource.kind) {
            return Ok(());
        }
        let known = self.parts.store.get(&resource.key()).await?;
        let before = known.as_ref().and_then(|known| known.metadata.annotations.get(SET));
        let annotations = &mut resource.metadata.annotations;
        match (set, before) {
            (Some(set), Some(before)) if set.as_str() != before => {
                let detail = format!("it belongs to the set '{before}'");
                return Err(Error::new(Code::Conflict, detail).with_hint(format!(
                    "apply it with that set, or take its annotation {SET} away"
                )));
            }
            (Some(set), _) => drop(annotations.insert(SET.to_owned(), set.to_string())),
            (None, Some(before)) if !annotations.contains_key(SET) => {
                annotations.insert(SET.to_owned(), before.clone());
            }
            (None, _) => {}
        }
        Ok(())
    }

    /// What belongs to a set and is not among what is put: it is to be deleted, in this order.
    pub(crate) async fn removals_of_set(
        &self,
        ctx: &OpContext,
        set: &Name,
        (plan, puts): (&mut Snapshot, &[Op]),
    ) -> Result<Vec<Resource>, Error> {
        let put: Vec<_> = puts
            .iter()
            .filter_map(|op| match op {
                Op::Put { resource, .. } => Some(resource.key()),
                _ => None,
            })
            .collect();
        let mut removals = Vec::new();
        for kind in DELETED {
            for resource in self.of_set(ctx, kind, set).await? {
                let key = resource.key();
                let (false, Some(project)) = (put.contains(&key), &key.project) else { continue };
                nexus_policy::authorize(ctx, Scope::Write, Some(project))?;
                match kind {
                    Kind::Trigger => {
                        plan.remove_trigger(TriggerName { project, trigger: &key.name });
                    }
                    Kind::Function => plan.remove_function(project, &key.name),
                    _ => plan.set_schemas(project, |schemas| schemas.remove(&key.name)),
                }
                removals.push(resource);
            }
        }
        self.refuse_missed(puts, &removals).await?;
        Ok(removals)
    }

    /// Resources of a set, as far as the caller reaches.
    async fn of_set(
        &self,
        ctx: &OpContext,
        kind: Kind,
        set: &Name,
    ) -> Result<Vec<Resource>, Error> {
        let mut found = match &ctx.project {
            Some(project) => self.all_of(kind, project).await?,
            None => {
                let (mut all, mut after) = (Vec::new(), None);
                loop {
                    let page = self.parts.store.scan(kind, after.as_ref(), PAGE).await?;
                    let Some(last) = page.last() else { break all };
                    after = Some(last.key());
                    all.extend(page);
                }
            }
        };
        found.retain(|at| at.metadata.annotations.get(SET).is_some_and(|own| own == set.as_str()));
        Ok(found)
    }

    /// Refuses to delete functions that others would still name afterwards.
    async fn refuse_missed(&self, puts: &[Op], removals: &[Resource]) -> Result<(), Error> {
        let puts: Vec<&Resource> = puts
            .iter()
            .filter_map(|op| match op {
                Op::Put { resource, .. } => Some(resource),
                _ => None,
            })
            .collect();
        for function in removals.iter().filter(|at| at.kind == Kind::Function) {
            let Some(project) = &function.metadata.project else { continue };
            let name = &function.metadata.name;
            let mut users = Vec::new();
            for kind in [Kind::Function, Kind::Trigger] {
                let known = self.all_of(kind, project).await?;
                for known in &known {
                    let key = known.key();
                    if removals.iter().any(|at| at.key() == key) {
                        continue;
                    }
                    // What it is after the change.
                    let after = puts.iter().find(|at| at.key() == key).copied().unwrap_or(known);
                    users.extend(names(after, name)?);
                }
            }
            if !users.is_empty() {
                let users = listed(users);
                let detail =
                    format!("function '{name}' is not in the set any more, but named by {users}");
                return Err(Error::new(Code::Conflict, detail)
                    .with_hint("change or delete what names it first, or in the same apply"));
            }
        }
        Ok(())
    }
}

/// Whether and how a function or trigger names a function.
fn names(resource: &Resource, function: &Name) -> Result<Option<String>, Error> {
    let name = &resource.metadata.name;
    if resource.kind == Kind::Function {
        let delivery = function_spec(resource)?.delivery;
        return Ok(uses(format!("function '{name}'"), &delivery, function));
    }
    let spec: TriggerSpec = serde_json::from_value(resource.spec.clone())
        .map_err(|error| Error::internal("read a trigger", error))?;
    let about = format!("trigger '{name}'");
    match spec.function == *function {
        true => Ok(Some(about)),
        false => Ok(uses(about, &spec.delivery, function)),
    }
}
