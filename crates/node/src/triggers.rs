//! Triggers and schemas as resources: what must hold beside their own rules.

use nexus_model::resource::{Destination, Resource, SchemaSpec, TriggerSpec};
use nexus_model::{Code, Name, limits};

use crate::catalog::{Snapshot, TriggerName};
use crate::{Error, Node, schemas};

/// Names that one error tells.
const NAMES_MAX: usize = 5;

impl Node {
    /// The function exists, and nothing else answers where the trigger wants to.
    pub(crate) fn check_trigger(&self, plan: &Snapshot, resource: &Resource) -> Result<(), Error> {
        let Some(project) = &resource.metadata.project else { return Ok(()) };
        let spec: TriggerSpec = serde_json::from_value(resource.spec.clone())
            .map_err(|error| Error::internal("read a trigger", error))?;
        let Some(known) = plan.projects.get(project) else { return Ok(()) };
        let exists = |name: &Name| known.functions.get(name.as_str()).is_some();
        let delivery = &spec.delivery;
        let destination = |at: &Option<Destination>| at.as_ref().and_then(|at| at.function.clone());
        for (field, name) in [
            ("spec.function", Some(spec.function.clone())),
            ("spec.delivery.fallback", delivery.fallback.clone()),
            ("spec.delivery.on-success.function", destination(&delivery.on_success)),
            ("spec.delivery.on-failure.function", destination(&delivery.on_failure)),
        ] {
            if let Some(name) = name.filter(|name| !exists(name)) {
                return Err(Error::bad_resource(
                    field,
                    format!("there is no function '{name}' in project '{project}'"),
                )
                .with_hint("deploy it first, or apply it together with the trigger"));
            }
        }
        let name = TriggerName { project, trigger: &resource.metadata.name };
        plan.trigger_conflict(name, &spec, self.config.mode)?;
        if !known.has_trigger(name.trigger) && known.triggers() >= limits::TRIGGERS_MAX {
            return Err(Error::new(
                Code::TooLarge,
                format!("project '{project}' has {} triggers, the limit", limits::TRIGGERS_MAX),
            ));
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

    /// A function that triggers refer to stays: whoever deletes it says first what becomes of them.
    pub(crate) fn refuse_with_triggers(
        &self,
        project: &Name,
        function: &Name,
    ) -> Result<(), Error> {
        let Some(known) = self.catalog.project(project) else { return Ok(()) };
        let names = known.triggers_of(function);
        if names.is_empty() {
            return Ok(());
        }
        let shown: Vec<&str> = names.iter().take(NAMES_MAX).map(Name::as_str).collect();
        let more = names.len().saturating_sub(NAMES_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Err(Error::new(
            Code::Conflict,
            format!("function '{function}' is called by the triggers {}{more}", shown.join(", ")),
        )
        .with_hint("delete them first: nexus delete trigger NAME"))
    }
}
