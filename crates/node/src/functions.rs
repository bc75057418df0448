//! Functions and versions as people see them.

use std::collections::BTreeMap;

use nexus_model::resource::{Kind, Resource, VersionSpec};
use nexus_model::view::{FunctionView, VersionView};
use nexus_model::{Name, OpContext, Scope, VersionId};

use crate::doors::effective_routes;
use crate::loaded::version_key;
use crate::node::current_of;
use crate::versions::{VersionStatus, function_key, function_spec, version_spec};
use crate::{Error, Node};

/// Resources on one page of the store.
const PAGE: usize = 1_000;

impl Node {
    /// The functions of a project, by name.
    ///
    /// # Errors
    /// The project does not exist, or the caller may not read it.
    pub async fn functions(
        &self,
        ctx: &OpContext,
        project: &Name,
    ) -> Result<Vec<FunctionView>, Error> {
        nexus_policy::authorize(ctx, Scope::Read, Some(project))?;
        self.require_project(project)?;
        let mut views = Vec::new();
        let mut after: Option<Name> = None;
        loop {
            let page =
                self.parts.store.list(Kind::Function, Some(project), after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.metadata.name.clone());
            for resource in &page {
                views.push(self.function_view(resource).await?);
            }
        }
        Ok(views)
    }

    /// A function.
    ///
    /// # Errors
    /// It does not exist, or the caller may not read it.
    pub async fn function(
        &self,
        ctx: &OpContext,
        project: &Name,
        name: &Name,
    ) -> Result<FunctionView, Error> {
        nexus_policy::authorize(ctx, Scope::Read, Some(project))?;
        self.function_view(&self.function_resource(project, name).await?).await
    }

    /// The versions of a function, the newest first.
    ///
    /// # Errors
    /// The function does not exist, or the caller may not read it.
    pub async fn versions(
        &self,
        ctx: &OpContext,
        project: &Name,
        name: &Name,
    ) -> Result<Vec<VersionView>, Error> {
        let function = self.function(ctx, project, name).await?;
        let versions = self.versions_of(project, name).await?;
        Ok(versions.iter().map(|spec| version_of(spec, &function)).collect())
    }

    /// Removes a function. What it did stays in the history; its versions stay for replays, as long
    /// as there are recordings of them.
    ///
    /// # Errors
    /// It does not exist, or the caller may not write there.
    pub async fn delete_function(
        &self,
        ctx: &OpContext,
        project: &Name,
        name: &Name,
    ) -> Result<(), Error> {
        let key = function_key(project, name);
        self.delete_resource(ctx, &key, None).await
    }

    /// Those of the function that there is, not of one of the same name that was deleted; the newest
    /// first.
    pub(crate) async fn versions_of(
        &self,
        project: &Name,
        function: &Name,
    ) -> Result<Vec<VersionSpec>, Error> {
        let mut versions = Vec::new();
        let mut after: Option<Name> = None;
        loop {
            let page =
                self.parts.store.list(Kind::Version, Some(project), after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.metadata.name.clone());
            for resource in page {
                let deleted = VersionStatus::of(&resource).deleted.is_some();
                let spec = version_spec(resource)?;
                if spec.function == *function && !deleted {
                    versions.push(spec);
                }
            }
        }
        versions.sort_by_key(|spec| std::cmp::Reverse(spec.number));
        Ok(versions)
    }

    pub(crate) async fn function_view(&self, resource: &Resource) -> Result<FunctionView, Error> {
        let spec = function_spec(resource)?;
        let metadata = &resource.metadata;
        let project = metadata.project.clone().ok_or_else(|| Error::not_found(resource.key()))?;
        let current = current_of(resource);
        let version = match current {
            None => None,
            Some(at) => {
                let found = self.parts.store.get(&version_key(&project, at.version)?).await?;
                found.map(version_spec).transpose()?
            }
        };
        let routes = effective_routes(&metadata.name, current, &spec.on.http);
        let live = current.map(|at| at.version);
        let version = version.map(|version| version_view(&version, (live, &spec.aliases)));
        Ok(FunctionView {
            urls: routes
                .iter()
                .map(|route| self.url(&project, route.host.as_deref(), &route.path))
                .collect(),
            project,
            name: metadata.name.clone(),
            description: spec.description,
            on: spec.on,
            version,
            aliases: spec.aliases,
            config: spec.config,
            revision: metadata.revision.unwrap_or_default(),
            updated: metadata.updated_at.unwrap_or_default(),
        })
    }

    /// Where a way on the ingress leads in, as a browser on this machine would write it.
    pub(crate) fn url(&self, project: &Name, host: Option<&str>, path: &str) -> String {
        let base = self.config.ingress_url.trim_end_matches('/');
        let (scheme, authority) = base.split_once("://").unwrap_or(("http", base));
        let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
        let with_port = |host: &str| match port.is_empty() {
            true => format!("{scheme}://{host}{path}"),
            false => format!("{scheme}://{host}:{port}{path}"),
        };
        let snapshot = self.catalog.snapshot();
        match host {
            Some(host) => with_port(host),
            None if snapshot.default.as_ref() == Some(project) => format!("{base}{path}"),
            None => with_port(&format!("{project}.localhost")),
        }
    }

    /// Names what there is instead, where the caller asked for something near it.
    pub(crate) fn no_function(&self, project: &Name, name: &Name) -> Error {
        let error = Error::not_found(format_args!("function '{name}' in project '{project}'"));
        let Some(known) = self.catalog.project(project) else {
            return self.no_project(project);
        };
        let names: Vec<&str> = known.functions.iter().map(|at| at.name.as_str()).collect();
        with_near(error, name, &names, "functions")
    }
}

/// Adds what there is instead of `name` to the error that says that it is not there: the name that
/// may be meant, or the command that lists all of them.
pub(crate) fn with_near(error: Error, name: &Name, names: &[&str], plural: &str) -> Error {
    match nexus_model::document::nearest(name.as_str(), names) {
        Some(near) => error.with_hint(format!("did you mean '{near}'?")),
        None => error.with_hint(format!("nexus {plural} lists what there is")),
    }
}

/// A version with what its function says of it.
pub(crate) fn version_of(spec: &VersionSpec, function: &FunctionView) -> VersionView {
    let live = function.version.as_ref().map(|live| live.id);
    version_view(spec, (live, &function.aliases))
}

fn version_view(
    spec: &VersionSpec,
    (live, aliases): (Option<VersionId>, &BTreeMap<Name, VersionId>),
) -> VersionView {
    let own = aliases.iter().filter(|(_, id)| **id == spec.id);
    VersionView {
        id: spec.id,
        number: spec.number,
        label: spec.label.clone(),
        live: live == Some(spec.id),
        aliases: own.map(|(alias, _)| alias.clone()).collect(),
        world: spec.world,
        language: spec.language.clone(),
        component: spec.component,
        component_bytes: spec.component_bytes,
        imports: spec.imports.clone(),
        sources: spec.sources.is_some(),
        created: spec.id.time(),
    }
}
