//! What nobody refers to any more is removed: blobs, and machine code.
//!
//! A blob is referred to by resources (components, sources, suites, reports) and by records of the
//! log (large bodies, journals). The log is not searched for that: putting a blob and reading it
//! make it young, and a record is appended right after its blobs were put or read. So a blob that
//! was last used before the oldest record was appended can only be referred to by a resource.

use std::collections::HashSet;
use std::time::Duration;

use nexus_model::Digest;
use nexus_model::resource::Kind;
use serde_json::Value;

use crate::{Error, Node};

/// Between the use of a blob and the record or resource that refers to it at most.
const GRACE: Duration = Duration::from_secs(3600);
/// Resources and blobs that are looked at in one step.
const PAGE: usize = 500;

/// What a collection removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Collected {
    /// Blobs.
    pub blobs: u64,
    /// Their size together.
    pub blob_bytes: u64,
    /// The size of machine code.
    pub code_bytes: u64,
}

impl Node {
    /// Removes versions of deleted functions of which there are no recordings any more, and blobs and
    /// machine code that neither a resource nor a record refers to. To be called
    /// after [`enforce_retention`](Self::enforce_retention): what the log still holds keeps its
    /// blobs.
    ///
    /// # Errors
    /// Resources cannot be read, or a file cannot be removed; what was removed stays removed.
    pub async fn collect(&self) -> Result<Collected, Error> {
        let now = self.parts.clock.now();
        let oldest = self.parts.log.oldest().map_or(now, |oldest| oldest.min(now));
        let since = oldest.before(GRACE);
        // What ran when a function was deleted has been recorded meanwhile.
        self.forget_versions(now.before(GRACE)).await?;
        let used = self.digests_in_resources().await?;
        let mut collected = Collected::default();
        let mut after = None;
        loop {
            let page = self.parts.blobs.list(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.digest);
            for blob in page.iter().filter(|blob| blob.used_at < since) {
                if !used.contains(&blob.digest)
                    && let Some(bytes) = self.parts.blobs.delete_unused(blob.digest, since).await?
                {
                    collected.blobs += 1;
                    collected.blob_bytes += bytes;
                }
            }
        }
        let freed = self.parts.runtime.forget_code(&used).await;
        collected.code_bytes =
            freed.map_err(|error| Error::internal("remove machine code", error))?;
        Ok(collected)
    }

    /// Whatever is a digest in a resource, wherever it stands there.
    async fn digests_in_resources(&self) -> Result<HashSet<Digest>, Error> {
        let mut found = HashSet::new();
        for kind in Kind::ALL {
            let mut after = None;
            loop {
                let page = self.parts.store.scan(*kind, after.as_ref(), PAGE).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.key());
                for resource in &page {
                    add_digests(&resource.spec, &mut found);
                    add_digests(&resource.status, &mut found);
                }
            }
        }
        Ok(found)
    }
}

fn add_digests(value: &Value, found: &mut HashSet<Digest>) {
    match value {
        Value::String(text) => found.extend(text.parse::<Digest>()),
        Value::Array(items) => items.iter().for_each(|item| add_digests(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| add_digests(field, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
