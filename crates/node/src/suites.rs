//! Suites: recordings that are kept as tests. They outlive the log's retention, because each is
//! copied into a blob when it is saved.

use bytes::Bytes;
use futures::StreamExt as _;
use nexus_model::record::{EventRecord, InvocationRecord};
use nexus_model::resource::{Kind, Resource, ResourceKey, SuiteCase, SuiteSpec};
use nexus_model::view::{CompareRules, ReplaySelection, SuiteView};
use nexus_model::{Code, InvocationId, Name, OpContext, Scope, limits};
use nexus_store::{Change, Op};
use prost::Message as _;

use crate::bodies::Lost;
use crate::compare::Rules;
use crate::deploy::json;
use crate::replay::{Recorded, refused};
use crate::replays::Selected;
use crate::{Error, Node};

/// The form of saved recordings that this build writes.
const FORMAT: u32 = 1;

/// A recording as a suite keeps it. Field numbers are never used again.
#[derive(Clone, PartialEq, prost::Message)]
struct SavedRecording {
    #[prost(uint32, tag = "1")]
    format: u32,
    #[prost(message, optional, tag = "2")]
    record: Option<InvocationRecord>,
    #[prost(message, optional, tag = "3")]
    event: Option<EventRecord>,
}

/// A recording that was read from a suite.
pub(crate) struct Saved {
    pub(crate) invocation: InvocationId,
    record: InvocationRecord,
    event: Option<EventRecord>,
}

impl Node {
    /// Keeps recordings as a suite, in place of the one of this name.
    ///
    /// # Errors
    /// Nothing is selected, or more than the limit; a recording cannot be replayed; a rule cannot be
    /// read; the caller may not replay and write there.
    pub async fn save_suite(
        &self,
        ctx: &OpContext,
        (project, name): (&Name, &Name),
        (description, rules): (String, CompareRules),
        select: &ReplaySelection,
    ) -> Result<SuiteView, Error> {
        nexus_policy::authorize(ctx, Scope::Replay, Some(project))?;
        nexus_policy::authorize(ctx, Scope::Write, Some(project))?;
        self.require_project(project)?;
        crate::replays::check(select)?;
        Rules::new(&rules)?;
        let mut cases = Vec::new();
        let mut unusable = None;
        let mut selected = std::pin::pin!(self.select_recordings(ctx, project, select));
        while let Some(found) = selected.next().await {
            let Selected::Recorded(id) = found? else { continue };
            match self.save_case(ctx, id).await {
                Ok(case) => cases.push(case),
                // Those that cannot be replayed are no tests; the others are.
                Err(error) if error.code() == Code::NotReplayable => unusable = Some(error),
                Err(error) => return Err(error),
            }
            if cases.len() > limits::SUITE_CASES_MAX {
                let limit = limits::SUITE_CASES_MAX;
                let detail = format!("more than {limit} recordings (suite-cases-max) are selected");
                return Err(Error::new(Code::BadRequest, detail)
                    .with_hint("select fewer: limit, since, function"));
            }
        }
        if cases.is_empty() {
            return Err(unusable.unwrap_or_else(|| {
                Error::new(Code::BadRequest, "nothing is selected: no such invocation was recorded")
            }));
        }
        let spec = SuiteSpec { description, rules, cases };
        let resource = Resource::new(&suite_key(project, name), json(&spec)?);
        let put = Op::Put { resource, expect: nexus_store::Expect::Any };
        self.parts.store.apply(Change::new(ctx.principal.clone(), vec![put])).await?;
        self.suite(ctx, project, name).await
    }

    async fn save_case(&self, ctx: &OpContext, id: InvocationId) -> Result<SuiteCase, Error> {
        let mut record = self.invocation_record(ctx, Scope::Replay, id).await?;
        let whole = record.not_replayable.is_empty() && record.journal.is_some();
        if !whole {
            let reason = match record.not_replayable.is_empty() {
                true => "only its row was kept".to_owned(),
                false => record.not_replayable.clone(),
            };
            return Err(refused(id, &reason));
        }
        self.fetch_bodies(&mut record, Lost::Fails).await?;
        let event = self.input_event(&record, Lost::Fails).await?;
        let function =
            Name::new(&record.function).map_err(|error| Error::internal("read a record", error))?;
        let saved = SavedRecording { format: FORMAT, record: Some(record), event };
        let recording = self.parts.blobs.put(Bytes::from(saved.encode_to_vec())).await?;
        Ok(SuiteCase { invocation: id, function, recording })
    }

    /// The suites of a project.
    ///
    /// # Errors
    /// The caller may not read there.
    pub async fn suites(&self, ctx: &OpContext, project: &Name) -> Result<Vec<SuiteView>, Error> {
        nexus_policy::authorize(ctx, Scope::Read, Some(project))?;
        let found = self.all_of(Kind::Suite, project).await?;
        found.iter().map(suite_view).collect()
    }

    /// A suite.
    ///
    /// # Errors
    /// It does not exist, or the caller may not read there.
    pub async fn suite(
        &self,
        ctx: &OpContext,
        project: &Name,
        name: &Name,
    ) -> Result<SuiteView, Error> {
        nexus_policy::authorize(ctx, Scope::Read, Some(project))?;
        suite_view(&self.suite_resource(project, name).await?)
    }

    /// Removes a suite.
    ///
    /// # Errors
    /// It does not exist, or the caller may not write there.
    pub async fn delete_suite(
        &self,
        ctx: &OpContext,
        project: &Name,
        name: &Name,
    ) -> Result<(), Error> {
        nexus_policy::authorize(ctx, Scope::Write, Some(project))?;
        self.suite_resource(project, name).await?;
        let op = Op::delete(suite_key(project, name));
        self.parts.store.apply(Change::new(ctx.principal.clone(), vec![op])).await?;
        Ok(())
    }

    async fn suite_resource(&self, project: &Name, name: &Name) -> Result<Resource, Error> {
        let found = self.parts.store.get(&suite_key(project, name)).await?;
        found.ok_or_else(|| {
            Error::not_found(format_args!("suite '{name}'")).with_hint("nexus suites lists them")
        })
    }

    pub(crate) async fn suite_spec(&self, project: &Name, name: &Name) -> Result<SuiteSpec, Error> {
        let resource = self.suite_resource(project, name).await?;
        serde_json::from_value(resource.spec)
            .map_err(|error| Error::internal("read a suite", error))
    }

    /// A recording of a suite.
    pub(crate) async fn saved(&self, case: &SuiteCase) -> Result<Saved, Error> {
        let lost = |what: String| Error::new(Code::Storage, what).with_invocation(case.invocation);
        let bytes = self.blob(case.recording).await;
        let bytes = bytes.map_err(|error| error.with_invocation(case.invocation))?;
        let saved = SavedRecording::decode(bytes)
            .map_err(|error| lost("a saved recording is damaged".to_owned()).with_source(error))?;
        if saved.format > FORMAT {
            let detail = format!("a saved recording has format {}", saved.format);
            return Err(lost(format!("{detail}; this build reads up to {FORMAT}")));
        }
        let record = saved.record.ok_or_else(|| lost("a saved recording is empty".to_owned()))?;
        Ok(Saved { invocation: case.invocation, record, event: saved.event })
    }

    /// What a replay of it needs.
    pub(crate) async fn recorded_of(&self, saved: Saved) -> Result<Recorded, Error> {
        self.unsealed(saved.record, saved.event).await
    }
}

fn suite_view(resource: &Resource) -> Result<SuiteView, Error> {
    let spec: SuiteSpec = serde_json::from_value(resource.spec.clone())
        .map_err(|error| Error::internal("read a suite", error))?;
    let mut functions: Vec<Name> = spec.cases.iter().map(|case| case.function.clone()).collect();
    functions.sort();
    functions.dedup();
    Ok(SuiteView {
        name: resource.metadata.name.clone(),
        description: spec.description,
        rules: spec.rules,
        functions,
        cases: spec.cases.into_iter().map(|case| case.invocation).collect(),
        updated: resource.metadata.updated_at.unwrap_or_default(),
    })
}

fn suite_key(project: &Name, name: &Name) -> ResourceKey {
    ResourceKey { kind: Kind::Suite, project: Some(project.clone()), name: name.clone() }
}
