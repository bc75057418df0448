//! Triggers and schemas of the manifests: applied as soon as they can be, removed when they are gone.

use std::collections::HashMap;

use nexus_cli::{Error, Terminal};
use nexus_model::manifest::MANAGED;
use nexus_model::resource::{Kind, Resource};
use nexus_model::{Name, OpContext};
use nexus_node::Node;
use serde_json::Value;

use super::report::Report;
use crate::project::Project;

/// What was applied, so that each is applied once and a wrong one is said once.
#[derive(Default)]
pub(crate) struct Declared(HashMap<String, Value>);

impl Declared {
    /// Applies what is new or changed. A trigger waits for its function.
    pub(crate) async fn refresh(
        &mut self,
        node: &Node,
        projects: &[Project],
        terminal: &mut Terminal,
    ) -> Result<(), Error> {
        let ctx = OpContext::system("dev");
        for project in projects {
            let resources = match project.declared() {
                Ok(resources) => resources,
                Err(error) => {
                    if self.is_news("manifest", &Value::from(error.to_string())) {
                        Report::Problem(&error).tell(terminal)?;
                    }
                    continue;
                }
            };
            for resource in resources {
                let key = resource.key().to_string();
                let waits = waits(node, &ctx, &resource).await;
                if waits || !self.is_news(&key, &resource.spec) {
                    continue;
                }
                match node.apply(&ctx, vec![resource]).await {
                    Ok(applied) => {
                        let effect = applied.first().map_or("unchanged", |at| at.effect);
                        if effect != "unchanged" {
                            Report::Declared { resource: &key, effect }.tell(terminal)?;
                        }
                    }
                    Err(error) => Report::Problem(&error).tell(terminal)?,
                }
            }
        }
        Ok(())
    }

    fn is_news(&mut self, key: &str, spec: &Value) -> bool {
        self.0.insert(key.to_owned(), spec.clone()).as_ref() != Some(spec)
    }

    /// Removes what came from a manifest and is in it no more.
    pub(crate) async fn remove_gone(
        &mut self,
        node: &Node,
        projects: &[Project],
        terminal: &mut Terminal,
    ) -> Result<(), Error> {
        let ctx = OpContext::system("dev");
        for project in projects {
            let manifest = &project.manifest;
            for kind in [Kind::Trigger, Kind::Schema] {
                let known = node.list_resources(&ctx, kind, Some(&manifest.project)).await;
                for resource in known.unwrap_or_default() {
                    let name = &resource.metadata.name;
                    let wanted = match kind {
                        Kind::Trigger => manifest.triggers.contains_key(name),
                        _ => manifest.schemas.contains_key(name),
                    };
                    if wanted || !resource.metadata.annotations.contains_key(MANAGED) {
                        continue;
                    }
                    let key = resource.key();
                    self.0.remove(&key.to_string());
                    if node.delete_resource(&ctx, &key, None).await.is_ok() {
                        let resource = key.to_string();
                        Report::Declared { resource: &resource, effect: "removed" }
                            .tell(terminal)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether a trigger's function is not there yet.
async fn waits(node: &Node, ctx: &OpContext, resource: &Resource) -> bool {
    let (Kind::Trigger, Some(project)) = (resource.kind, &resource.metadata.project) else {
        return false;
    };
    match resource.spec["function"].as_str().and_then(|name| Name::new(name).ok()) {
        Some(function) => node.function(ctx, project, &function).await.is_err(),
        None => false,
    }
}
