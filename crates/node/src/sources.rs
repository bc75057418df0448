//! The text of code beside its versions, and what it says about frames of a stack.

use std::sync::Arc;

use nexus_model::record::InvocationRecord;
use nexus_model::resource::VersionSpec;
use nexus_model::view::FrameView;
use nexus_model::{Code, Digest, Name, OpContext, Scope, Sources, VersionId};

use crate::{Error, Node};

impl Node {
    /// The text of the code that a version was built from. Needs the scope `replay`: who may run a
    /// version again step by step may read it.
    ///
    /// # Errors
    /// There is no such version; it was deployed without the text; the caller may not read it.
    pub async fn version_sources(
        &self,
        ctx: &OpContext,
        (project, name): (&Name, &Name),
        selector: &str,
    ) -> Result<Sources, Error> {
        nexus_policy::authorize(ctx, Scope::Replay, Some(project))?;
        let version = self.recorded_version(project, name, selector).await?;
        let sources = self.read_sources(&version).await?;
        sources.ok_or_else(|| {
            let number = version.number;
            Error::not_found(format_args!("source text of version {number} of '{name}'"))
                .with_hint("`nexus deploy` and `nexus dev` keep it, unless sources = false")
        })
    }

    /// The version that is meant; an id also names one whose function was deleted, for those who
    /// look at its recordings.
    async fn recorded_version(
        &self,
        project: &Name,
        name: &Name,
        selector: &str,
    ) -> Result<VersionSpec, Error> {
        if let Ok(id) = selector.parse::<VersionId>()
            && let Ok(version) = self.version_spec(project, id).await
            && version.function == *name
        {
            return Ok(version);
        }
        let function = self.function_resource(project, name).await?;
        self.select_version(project, &function, selector).await
    }

    /// Writes the text of a deployment.
    pub(crate) async fn keep_sources(&self, sources: &Sources) -> Result<Digest, Error> {
        sources
            .check()
            .map_err(|error| Error::new(Code::BadRequest, error.to_string()).with_source(error))?;
        let json = serde_json::to_vec(sources)
            .map_err(|error| Error::internal("write source files", error))?;
        Ok(self.parts.blobs.put(json.into()).await?)
    }

    async fn read_sources(&self, version: &VersionSpec) -> Result<Option<Sources>, Error> {
        let Some(digest) = version.sources else { return Ok(None) };
        let bytes = self.parts.blobs.get(digest).await?.ok_or_else(|| {
            Error::new(Code::Storage, format!("the source files {digest} are missing"))
        })?;
        let sources = serde_json::from_slice(&bytes)
            .map_err(|error| Error::internal("read source files", error))?;
        Ok(Some(sources))
    }

    /// The text of the version that made a record. A stack is of use without: what is wrong with the
    /// text is only said in the server's log.
    pub(crate) async fn sources_of(&self, record: &InvocationRecord) -> Arc<Sources> {
        let (Some(version), Ok(project)) = (record.version_id(), Name::new(&record.meta.project))
        else {
            return Arc::default();
        };
        let read = async {
            let version = self.version_spec(&project, version).await?;
            self.read_sources(&version).await
        };
        match read.await {
            Ok(sources) => Arc::new(sources.unwrap_or_default()),
            Err(error) => {
                tracing::warn!(%error, "no source files for a stack");
                Arc::default()
            }
        }
    }
}

/// Says of frames where their files are in the text of the version.
pub(crate) fn place<'a>(sources: &Sources, frames: impl IntoIterator<Item = &'a mut FrameView>) {
    for frame in frames {
        let found = frame.file.as_deref().and_then(|file| sources.find(file));
        frame.source = found.map(str::to_owned);
    }
}
