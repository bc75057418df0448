//! Triggers and schemas as resources: what must hold beside their own rules.

use nexus_model::resource::{DeliveryConfig, Destination, Kind, Resource, SchemaSpec, TriggerSpec};
use nexus_model::{Code, Name, OpContext, PrincipalKind, limits};
use nexus_store::Op;

use crate::catalog::Snapshot;
use crate::versions::function_spec;
use crate::{Error, Node, schemas};

/// Names that one error tells.
const NAMES_MAX: usize = 5;

impl Node {
    /// The functions that the trigger names exist.
    pub(crate) fn check_trigger(&self, plan: &Snapshot, resource: &Resource) -> Result<(), Error> {
        let Some(project) = &resource.metadata.project else { return Ok(()) };
        let spec: TriggerSpec = serde_json::from_value(resource.spec.clone())
            .map_err(|error| Error::internal("read a trigger", error))?;
        let Some(known) = plan.projects.get(project) else { return Ok(()) };
        let names = std::iter::once(("spec.function", &spec.function));
        for (field, name) in names.chain(followers(&spec.delivery)) {
            if known.functions.get(name.as_str()).is_none() {
                return Err(no_function(field, project, name)
                    .with_hint("deploy it first, or apply it together with the trigger"));
            }
        }
        if !known.has_trigger(&resource.metadata.name) && known.triggers() >= limits::TRIGGERS_MAX {
            return Err(Error::new(
                Code::TooLarge,
                format!("project '{project}' has {} triggers, the limit", limits::TRIGGERS_MAX),
            ));
        }
        Ok(())
    }

    /// The functions that functions name as fallback or destination exist when everything is
    /// applied. What a function named before was accepted then: it may have been deployed first.
    pub(crate) async fn check_followers(&self, plan: &Snapshot, ops: &[Op]) -> Result<(), Error> {
        for op in ops {
            let Op::Put { resource, .. } = op else { continue };
            let (Kind::Function, Some(project)) = (resource.kind, &resource.metadata.project)
            else {
                continue;
            };
            let spec = function_spec(resource)?;
            let missing = missing(plan, project, &spec.delivery);
            if missing.is_empty() {
                continue;
            }
            let before = match self.parts.store.get(&resource.key()).await? {
                Some(before) => function_spec(&before)?.delivery,
                None => DeliveryConfig::default(),
            };
            let news = missing.into_iter().find(|at| !followers(&before).any(|known| known == *at));
            if let Some((field, name)) = news {
                return Err(no_function(field, project, name)
                    .with_hint("deploy it first, or apply it together with this one"));
            }
        }
        Ok(())
    }

    /// One schema resource for one type, compatible with what it replaces.
    pub(crate) async fn check_schema(
        &self,
        plan: &Snapshot,
        resource: &Resource,
    ) -> Result<(), Error> {
        let Some(project) = &resource.metadata.project else { return Ok(()) };
        let read = |spec: &serde_json::Value| {
            serde_json::from_value::<SchemaSpec>(spec.clone())
                .map_err(|error| Error::internal("read a schema", error))
        };
        let spec = read(&resource.spec)?;
        let owner = plan.projects.get(project).and_then(|at| at.schemas.owner(&spec.ty).cloned());
        if let Some(owner) = owner.filter(|owner| *owner != resource.metadata.name) {
            return Err(Error::new(
                Code::Conflict,
                format!("spec.type: '{}' has the schema '{owner}' already", spec.ty),
            )
            .with_hint("add a version there"));
        }
        match self.parts.store.get(&resource.key()).await? {
            Some(before) => schemas::check_change(&spec, &read(&before.spec)?),
            None => Ok(()),
        }
    }

    /// A function that others refer to stays: whoever deletes it says first what becomes of them.
    pub(crate) async fn refuse_referenced(
        &self,
        ctx: &OpContext,
        project: &Name,
        function: &Name,
    ) -> Result<(), Error> {
        let Some(known) = self.catalog.project(project) else { return Ok(()) };
        let names = known.triggers_of(function);
        if !names.is_empty() {
            let names = listed(names.iter().map(Name::to_string).collect());
            let detail = format!("function '{function}' is called by the triggers {names}");
            return Err(Error::new(Code::Conflict, detail)
                .with_hint("delete them first: nexus delete trigger NAME"));
        }
        if ctx.principal.kind == PrincipalKind::System {
            // `nexus dev` takes away what is gone from a manifest before it deploys what named it.
            return Ok(());
        }
        let mut users = Vec::new();
        for resource in self.all_of(Kind::Function, project).await? {
            let name = &resource.metadata.name;
            if name != function {
                users.extend(uses(
                    format!("function '{name}'"),
                    &function_spec(&resource)?.delivery,
                    function,
                ));
            }
        }
        for resource in self.all_of(Kind::Trigger, project).await? {
            let spec: TriggerSpec = serde_json::from_value(resource.spec)
                .map_err(|error| Error::internal("read a trigger", error))?;
            let name = &resource.metadata.name;
            users.extend(uses(format!("trigger '{name}'"), &spec.delivery, function));
        }
        match users.is_empty() {
            true => Ok(()),
            false => Err(Error::new(
                Code::Conflict,
                format!(
                    "function '{function}' is the fallback or destination of {}",
                    listed(users)
                ),
            )
            .with_hint("name another function there first, or none")),
        }
    }
}

/// The functions that delivery settings name, with their fields.
fn followers(delivery: &DeliveryConfig) -> impl Iterator<Item = (&'static str, &Name)> {
    [
        ("spec.delivery.fallback", delivery.fallback.as_ref()),
        ("spec.delivery.on-success.function", function_of(&delivery.on_success)),
        ("spec.delivery.on-failure.function", function_of(&delivery.on_failure)),
    ]
    .into_iter()
    .filter_map(|(field, name)| Some((field, name?)))
}

fn function_of(destination: &Option<Destination>) -> Option<&Name> {
    destination.as_ref().and_then(|at| at.function.as_ref())
}

/// What whoever deploys a function should know: functions that it names and that are not there once
/// everything is deployed. Functions that name each other may be deployed one after the other.
pub(crate) fn notes_of_followers(
    plan: &Snapshot,
    project: &Name,
    delivery: &DeliveryConfig,
) -> Vec<String> {
    let note = |(field, name): (&str, &Name)| {
        let field = field.trim_start_matches("spec.");
        format!("{field}: there is no function '{name}' in project '{project}' yet")
    };
    missing(plan, project, delivery).into_iter().map(note).collect()
}

/// Those that do not exist.
fn missing<'a>(
    plan: &Snapshot,
    project: &Name,
    delivery: &'a DeliveryConfig,
) -> Vec<(&'static str, &'a Name)> {
    let known = plan.projects.get(project);
    let exists =
        |name: &Name| known.is_some_and(|known| known.functions.get(name.as_str()).is_some());
    followers(delivery).filter(|(_, name)| !exists(name)).collect()
}

fn no_function(field: &str, project: &Name, name: &Name) -> Error {
    Error::bad_resource(field, format!("there is no function '{name}' in project '{project}'"))
}

/// `function 'a' (fallback)` where `whose` settings name the function.
pub(crate) fn uses(whose: String, delivery: &DeliveryConfig, function: &Name) -> Option<String> {
    let fields: Vec<&str> = followers(delivery)
        .filter(|(_, name)| *name == function)
        .map(|(field, _)| field.trim_start_matches("spec.delivery."))
        .collect();
    (!fields.is_empty()).then(|| format!("{whose} ({})", fields.join(", ")))
}

/// The first of these names, and how many more there are.
pub(crate) fn listed(names: Vec<String>) -> String {
    let shown = names[..names.len().min(NAMES_MAX)].join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
