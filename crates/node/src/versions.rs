//! Which version of a function is live, what versions are called, and what differs between two.

use nexus_content::{DiffRules, differences};
use nexus_model::resource::{FunctionSpec, Kind, Resource, ResourceKey, VersionSpec};
use nexus_model::view::{DifferenceView, FunctionView, Part, VersionDiff};
use nexus_model::{Code, Name, OpContext, Scope, Timestamp, VersionId};
use nexus_store::{Change, Expect, Op};
use serde::{Deserialize, Serialize};

use crate::catalog::{Current, Declared, FunctionName, Snapshot};
use crate::deploy::json;
use crate::functions::version_of;
use crate::loaded::version_key;
use crate::resources::check_conflicts;
use crate::{Error, Node};

/// Versions that were live and to which a rollback may go.
const BEFORE_MAX: usize = 32;
/// What every function calls the version that new calls run.
const LIVE: &str = "live";
/// What every function calls its newest version, live or not.
const LATEST: &str = "latest";

/// The status of a Function resource.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct FunctionStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<Current>,
    /// What was live before, the last one last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) before: Vec<VersionId>,
    /// The newest version where it is not the live one, or was not always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latest: Option<Latest>,
}

/// The newest version.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Latest {
    pub(crate) version: VersionId,
    pub(crate) number: u64,
}

impl FunctionStatus {
    /// That of a stored function.
    pub(crate) fn of(resource: &Resource) -> Self {
        serde_json::from_value(resource.status.clone()).unwrap_or_default()
    }

    /// The newest version.
    pub(crate) fn latest(&self) -> Option<Latest> {
        let live = self.current.map(|at| Latest { version: at.version, number: at.number });
        self.latest.into_iter().chain(live).max_by_key(|at| at.number)
    }

    /// The newest version once there is this one.
    pub(crate) fn latest_with(&self, version: &VersionSpec) -> Option<Latest> {
        let this = Latest { version: version.id, number: version.number };
        self.latest().into_iter().chain([this]).max_by_key(|at| at.number)
    }
}

/// The status of a Version resource.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct VersionStatus {
    /// When its function was deleted: from then on it is there for replays only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deleted: Option<Timestamp>,
}

impl VersionStatus {
    /// That of a stored version.
    pub(crate) fn of(resource: &Resource) -> Self {
        serde_json::from_value(resource.status.clone()).unwrap_or_default()
    }
}

/// A function with the version that is to be live.
pub(crate) struct Live<'a> {
    pub(crate) key: ResourceKey,
    pub(crate) known: Option<Resource>,
    pub(crate) spec: FunctionSpec,
    pub(crate) version: &'a VersionSpec,
    pub(crate) status: FunctionStatus,
}

/// The key of a Function resource.
pub(crate) fn function_key(project: &Name, name: &Name) -> ResourceKey {
    ResourceKey { kind: Kind::Function, project: Some(project.clone()), name: name.clone() }
}

/// A spec that names no versions keeps the names that there are.
pub(crate) fn carry_aliases(spec: &mut FunctionSpec, known: Option<&Resource>) {
    if !spec.aliases.is_empty() {
        return;
    }
    let known = known.and_then(|known| function_spec(known).ok());
    spec.aliases = known.map(|known| known.aliases).unwrap_or_default();
}

impl Node {
    /// Plans that new calls run a version; what ran before is remembered for a rollback. `plan`
    /// becomes what the catalogue is after it.
    pub(crate) fn plan_live(
        &self,
        plan: &mut Snapshot,
        live: Live<'_>,
        ops: &mut Vec<Op>,
    ) -> Result<(), Error> {
        let Live { key, known, mut spec, version, mut status } = live;
        let current = Current::of(version);
        let project = key.project.clone().ok_or_else(|| Error::not_found(&key))?;
        spec.version = Some(version.id);
        let name = FunctionName { project: &project, function: &key.name };
        let declared = Declared { spec: &spec, current: Some(current), mode: self.config.mode };
        plan.set_function(name, declared);
        let mut resource = Resource::new(&key, json(&spec)?);
        let expect = match &known {
            None => Expect::Absent,
            Some(known) => {
                resource.metadata.labels = known.metadata.labels.clone();
                resource.metadata.annotations = known.metadata.annotations.clone();
                Expect::Revision(known.metadata.revision.unwrap_or_default())
            }
        };
        status.latest = status.latest_with(version);
        if let Some(before) = status.current.filter(|at| at.version != version.id) {
            status.before.push(before.version);
            let beyond = status.before.len().saturating_sub(BEFORE_MAX);
            status.before.drain(..beyond);
        }
        status.current = Some(current);
        ops.push(Op::Put { resource, expect });
        ops.push(Op::set_status(key, json(&status)?));
        Ok(())
    }

    /// Lets new calls run another version, with the configuration that it was deployed with. Without
    /// a selector: the one that was live before.
    ///
    /// # Errors
    /// There is no such version, or none was live before; the caller may not write there.
    pub async fn make_live(
        &self,
        ctx: &OpContext,
        (project, name): (&Name, &Name),
        selector: Option<&str>,
    ) -> Result<FunctionView, Error> {
        nexus_policy::authorize(ctx, Scope::Write, Some(project))?;
        let _alone = self.changes.lock().await;
        let known = self.function_resource(project, name).await?;
        let mut status = FunctionStatus::of(&known);
        let version = match selector {
            Some(selector) => self.select_version(project, &known, selector).await?,
            None => {
                let before = status.before.pop().ok_or_else(|| {
                    let detail = format!("no other version of '{name}' was live before");
                    Error::new(Code::BadRequest, detail)
                        .with_hint(format!("name one with --to; nexus versions {name} lists them"))
                })?;
                self.version_spec(project, before).await?
            }
        };
        // Compiled before anything points at it; its secrets must be there.
        self.prepare_version(project, version.id, &[]).await?;
        let back = selector.is_none();
        let mut spec = function_spec(&known)?;
        spec.config = version.config.clone();
        let before = status.before.clone();
        let live = Live {
            key: known.key(),
            known: Some(known),
            spec,
            version: &version,
            status: match back {
                // Going back is no step that a further rollback would undo.
                true => FunctionStatus { current: None, latest: status.latest(), before },
                false => status,
            },
        };
        let (mut plan, mut ops) = (Snapshot::clone(&self.catalog.snapshot()), Vec::new());
        self.plan_live(&mut plan, live, &mut ops)?;
        check_conflicts(&plan, &ops)?;
        let applied = self.parts.store.apply(Change::new(ctx.principal.clone(), ops)).await?;
        self.publish(&applied).await?;
        self.function_view(&self.function_resource(project, name).await?).await
    }

    /// Gives a version an own name, or moves the name.
    ///
    /// # Errors
    /// The name is one that every function has, or a number; there is no such version; the caller may
    /// not write there.
    pub async fn set_alias(
        &self,
        ctx: &OpContext,
        (project, name): (&Name, &Name),
        (alias, selector): (&Name, &str),
    ) -> Result<FunctionView, Error> {
        nexus_policy::authorize(ctx, Scope::Write, Some(project))?;
        check_alias(alias)?;
        let known = self.function_resource(project, name).await?;
        let version = self.select_version(project, &known, selector).await?;
        let mut spec = function_spec(&known)?;
        spec.aliases.insert(alias.clone(), version.id);
        self.put_function(ctx, known, &spec).await
    }

    /// Takes an own name of a version away.
    ///
    /// # Errors
    /// There is no such name; the caller may not write there.
    pub async fn delete_alias(
        &self,
        ctx: &OpContext,
        (project, name): (&Name, &Name),
        alias: &Name,
    ) -> Result<FunctionView, Error> {
        nexus_policy::authorize(ctx, Scope::Write, Some(project))?;
        let known = self.function_resource(project, name).await?;
        let mut spec = function_spec(&known)?;
        if spec.aliases.remove(alias).is_none() {
            return Err(Error::not_found(format_args!("alias '{alias}' of function '{name}'")));
        }
        self.put_function(ctx, known, &spec).await
    }

    async fn put_function(
        &self,
        ctx: &OpContext,
        known: Resource,
        spec: &FunctionSpec,
    ) -> Result<FunctionView, Error> {
        let _alone = self.changes.lock().await;
        let expect = Expect::Revision(known.metadata.revision.unwrap_or_default());
        let key = known.key();
        let mut resource = Resource { spec: json(spec)?, ..known };
        resource.metadata.revision = None;
        resource.status = serde_json::Value::Null;
        let put = Op::Put { resource, expect };
        let applied = self.parts.store.apply(Change::new(ctx.principal.clone(), vec![put])).await?;
        self.publish(&applied).await?;
        let stored = self.parts.store.get(&key).await?.ok_or_else(|| Error::not_found(&key))?;
        self.function_view(&stored).await
    }

    /// What changed between two versions, apart from what their code does.
    ///
    /// # Errors
    /// There is no such version, or the caller may not read there.
    pub async fn version_diff(
        &self,
        ctx: &OpContext,
        (project, name): (&Name, &Name),
        (from, to): (&str, &str),
    ) -> Result<VersionDiff, Error> {
        nexus_policy::authorize(ctx, Scope::Read, Some(project))?;
        let resource = self.function_resource(project, name).await?;
        let function = self.function_view(&resource).await?;
        let from = self.select_version(project, &resource, from).await?;
        let to = self.select_version(project, &resource, to).await?;
        let only = |these: &[String], those: &[String]| {
            these.iter().filter(|import| !those.contains(import)).cloned().collect()
        };
        let configs = (json(&from.config)?, json(&to.config)?);
        let changed = differences(&configs.0, &configs.1, &DiffRules::default());
        let change = |at: nexus_content::Difference| DifferenceView {
            part: Part::Config,
            path: at.path,
            before: at.before,
            after: at.after,
            ignored: None,
        };
        Ok(VersionDiff {
            function: name.clone(),
            same_code: from.component == to.component && from.bundle == to.bundle,
            imports_added: only(&to.imports, &from.imports),
            imports_removed: only(&from.imports, &to.imports),
            config: changed.into_iter().map(change).collect(),
            from: version_of(&from, &function),
            to: version_of(&to, &function),
        })
    }

    /// A stored function.
    pub(crate) async fn function_resource(
        &self,
        project: &Name,
        name: &Name,
    ) -> Result<Resource, Error> {
        let found = self.parts.store.get(&function_key(project, name)).await?;
        found.ok_or_else(|| self.no_function(project, name))
    }

    /// The version that is meant: its number, id or label, an own name, `live` or `latest`.
    pub(crate) async fn select_version(
        &self,
        project: &Name,
        function: &Resource,
        selector: &str,
    ) -> Result<VersionSpec, Error> {
        let name = &function.metadata.name;
        let status = FunctionStatus::of(function);
        let missing = |what: &str| {
            Error::not_found(format_args!("{what} of function '{name}'"))
                .with_hint(format!("nexus versions {name} lists them"))
        };
        let id = match selector {
            LIVE => Some(status.current.ok_or_else(|| missing("a live version"))?.version),
            LATEST => Some(status.latest().ok_or_else(|| missing("a version"))?.version),
            _ => match selector.parse::<VersionId>() {
                Ok(id) => Some(id),
                Err(_) => function_spec(function)?
                    .aliases
                    .iter()
                    .find_map(|(alias, id)| (alias.as_str() == selector).then_some(*id)),
            },
        };
        if let Some(id) = id {
            let found = self.own_version(project, name, id).await?;
            return found.ok_or_else(|| missing(&format!("version {selector}")));
        }
        let number: Option<u64> = selector.parse().ok();
        let fits = |version: &VersionSpec| match number {
            Some(number) => version.number == number,
            // Most versions have no label.
            None => !selector.is_empty() && version.label == selector,
        };
        let versions = self.versions_of(project, name).await?;
        versions.into_iter().find(fits).ok_or_else(|| missing(&format!("version '{selector}'")))
    }

    /// A version of a function that was not deleted.
    async fn own_version(
        &self,
        project: &Name,
        function: &Name,
        id: VersionId,
    ) -> Result<Option<VersionSpec>, Error> {
        let Some(found) = self.parts.store.get(&version_key(project, id)?).await? else {
            return Ok(None);
        };
        let deleted = VersionStatus::of(&found).deleted.is_some();
        let spec = version_spec(found)?;
        Ok(Some(spec).filter(|spec| spec.function == *function && !deleted))
    }

    /// A label is a semantic version, and means the same for ever.
    pub(crate) async fn check_label(
        &self,
        project: &Name,
        version: &VersionSpec,
    ) -> Result<(), Error> {
        if version.label.is_empty() {
            return Ok(());
        }
        if let Err(error) = semver::Version::parse(&version.label) {
            let detail = format!("'{}' is no semantic version: {error}", version.label);
            return Err(Error::new(Code::BadRequest, detail).with_hint("such as 1.4.0"));
        }
        let known = self.versions_of(project, &version.function).await?;
        match known.iter().find(|known| known.label == version.label) {
            None => Ok(()),
            Some(known) => Err(Error::new(
                Code::Conflict,
                format!(
                    "version {} of '{}' exists with other code or configuration (number {})",
                    version.label, version.function, known.number
                ),
            )
            .with_hint("raise the version in nexus.toml, or leave it out")),
        }
    }

    /// Own names point at versions of the function itself.
    pub(crate) async fn check_aliases(
        &self,
        project: &Name,
        function: &Name,
        spec: &FunctionSpec,
    ) -> Result<(), Error> {
        for (alias, id) in &spec.aliases {
            check_alias(alias)?;
            if self.own_version(project, function, *id).await?.is_none() {
                return Err(Error::bad_resource(
                    "spec.aliases",
                    format!("'{alias}': {id} is no version of '{function}'"),
                ));
            }
        }
        Ok(())
    }
}

/// The spec of a stored function.
pub(crate) fn function_spec(resource: &Resource) -> Result<FunctionSpec, Error> {
    serde_json::from_value(resource.spec.clone())
        .map_err(|error| Error::internal("read a function", error))
}

/// The spec of a stored version.
pub(crate) fn version_spec(resource: Resource) -> Result<VersionSpec, Error> {
    serde_json::from_value(resource.spec).map_err(|error| Error::internal("read a version", error))
}

fn check_alias(alias: &Name) -> Result<(), Error> {
    let text = alias.as_str();
    let number = text.bytes().all(|byte| byte.is_ascii_digit());
    if number || [LIVE, LATEST].contains(&text) {
        let detail = format!("'{alias}' cannot be an alias: every function has it already");
        return Err(Error::new(Code::BadRequest, detail));
    }
    Ok(())
}
