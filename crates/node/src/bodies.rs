//! Large bodies: they lie in the blob store under their digest, and are brought back from there. One
//! whose file is missing or damaged is lost, which is something else than one that was not kept.

use bytes::Bytes;
use nexus_model::Digest;
use nexus_model::record::{Body, EventRecord, Input, InvocationRecord, input};
use nexus_store::blob_file;

use crate::{Error, Node};

/// What is done about a body that is lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The use case needs it.
    Fails,
    /// The rest is shown without it; [`lost`] says so.
    IsSaid,
}

/// What is said of a body that was looked for and is not here, although it was kept.
pub(crate) fn lost(body: &Body) -> Option<String> {
    let digest = Digest::try_from(&body.blob[..]).ok().filter(|_| is_away(body))?;
    let file = blob_file(digest);
    Some(format!("the file {file} of the data folder is missing or damaged"))
}

/// Whether a body lies in the blob store and was not brought back.
pub(crate) fn is_away(body: &Body) -> bool {
    !body.blob.is_empty() && body.inline.is_empty() && body.size > 0
}

/// What a check of a blob found, in words where it is not sound.
pub fn sound_blob(
    digest: Digest,
    checked: Result<Option<u64>, nexus_store::Error>,
) -> Result<u64, String> {
    let file = blob_file(digest);
    match checked {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(format!("the file {file} is missing")),
        Err(nexus_store::Error::CorruptBlob { .. }) => Err(format!("the file {file} is damaged")),
        Err(error) => Err(format!("the file {file} cannot be read: {error}")),
    }
}

impl Node {
    /// The bytes of a blob that something refers to.
    pub(crate) async fn blob(&self, digest: Digest) -> Result<Bytes, Error> {
        let found = self.parts.blobs.get(digest).await?;
        found.ok_or_else(|| Error::lost(digest, "missing"))
    }

    /// Brings a body back where it lies in the blob store.
    pub(crate) async fn fetch_body(&self, body: &mut Body, lost: Lost) -> Result<(), Error> {
        let Ok(digest) = Digest::try_from(&body.blob[..]) else { return Ok(()) };
        match self.parts.blobs.get(digest).await {
            Ok(Some(bytes)) => body.inline = bytes,
            Ok(None) | Err(nexus_store::Error::CorruptBlob { .. }) if lost == Lost::IsSaid => {
                tracing::error!(file = blob_file(digest), "a stored body is missing or damaged");
            }
            Ok(None) => return Err(Error::lost(digest, "missing")),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Brings the data of an event back.
    pub(crate) async fn fetch_event(
        &self,
        event: &mut EventRecord,
        lost: Lost,
    ) -> Result<(), Error> {
        match &mut event.event.data {
            Some(data) => self.fetch_body(data, lost).await,
            None => Ok(()),
        }
    }

    /// Brings all bodies of an invocation back.
    pub(crate) async fn fetch_bodies(
        &self,
        record: &mut InvocationRecord,
        lost: Lost,
    ) -> Result<(), Error> {
        for body in record.bodies_mut() {
            self.fetch_body(body, lost).await?;
        }
        Ok(())
    }

    /// The event that an invocation's input refers to, if it is still there.
    pub(crate) async fn input_event(
        &self,
        record: &InvocationRecord,
        lost: Lost,
    ) -> Result<Option<EventRecord>, Error> {
        let Some(Input { form: Some(input::Form::EventRef(id)) }) = &record.input else {
            return Ok(None);
        };
        let Ok(id) = id[..].try_into() else { return Ok(None) };
        let mut event = self.parts.log.event(id).await?;
        if let Some(event) = &mut event {
            self.fetch_event(event, lost).await?;
        }
        Ok(event)
    }
}
