//! Versions of deleted functions: they stay for replays, as long as there are recordings of them.

use std::collections::HashSet;

use nexus_model::resource::{Kind, SuiteSpec};
use nexus_model::{InvocationFilter, Name, OpContext, Timestamp};
use nexus_store::{Change, Op};

use crate::deploy::json;
use crate::loaded::version_key;
use crate::versions::{VersionStatus, version_spec};
use crate::{Error, Node};

/// Resources that are looked at in one step.
const PAGE: usize = 500;

impl Node {
    /// What happens to the versions of a function that is deleted: no new one of this name has them,
    /// and nothing but a replay finds them.
    pub(crate) async fn versions_without_function(
        &self,
        project: &Name,
        function: &Name,
    ) -> Result<Vec<Op>, Error> {
        let status = json(&VersionStatus { deleted: Some(self.parts.clock.now()) })?;
        let versions = self.versions_of(project, function).await?;
        let op = |id| Ok(Op::set_status(version_key(project, id)?, status.clone()));
        versions.iter().map(|version| op(version.id)).collect()
    }

    /// Removes versions whose function was deleted before `since` and of which there are no
    /// recordings any more, neither in the log nor in a suite.
    ///
    /// # Errors
    /// Resources or the log cannot be read, or the store fails; what was removed stays removed.
    pub(crate) async fn forget_versions(&self, since: Timestamp) -> Result<u64, Error> {
        let mut forgotten = 0;
        let mut kept = None;
        let mut after = None;
        loop {
            let page = self.parts.store.scan(Kind::Version, after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(forgotten) };
            after = Some(last.key());
            let mut ops = Vec::new();
            for resource in page {
                let deleted = VersionStatus::of(&resource).deleted;
                let (key, true) = (resource.key(), deleted.is_some_and(|at| at < since)) else {
                    continue;
                };
                let (Some(project), version) = (&key.project, version_spec(resource)?) else {
                    continue;
                };
                let suites = match &mut kept {
                    Some(suites) => suites,
                    none => none.insert(self.functions_in_suites().await?),
                };
                let filter = InvocationFilter {
                    project: Some(project.to_string()),
                    version: Some(version.id),
                    ..InvocationFilter::default()
                };
                if !suites.contains(&(project.clone(), version.function))
                    && self.parts.log.invocations(&filter, None, 1).await?.items.is_empty()
                {
                    ops.push(Op::delete(key));
                }
            }
            forgotten += ops.len() as u64;
            let change = Change::new(OpContext::system("collection").principal, ops);
            let _alone = self.changes.lock().await;
            let applied = self.parts.store.apply(change).await?;
            self.publish(&applied).await?;
        }
    }

    /// The functions with recordings in suites.
    async fn functions_in_suites(&self) -> Result<HashSet<(Name, Name)>, Error> {
        let mut found = HashSet::new();
        let mut after = None;
        loop {
            let page = self.parts.store.scan(Kind::Suite, after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(found) };
            after = Some(last.key());
            for resource in page {
                let Some(project) = resource.metadata.project else { continue };
                let spec: SuiteSpec = serde_json::from_value(resource.spec)
                    .map_err(|error| Error::internal("read a suite", error))?;
                found.extend(spec.cases.into_iter().map(|case| (project.clone(), case.function)));
            }
        }
    }
}
