//! What a function gets: the event as it is, transformed, or several in a batch.

use bytes::Bytes;
use nexus_content::{Content, Transformation};
use nexus_engine::batch_event;
use nexus_exec::CallInput;
use nexus_model::record::EventRecord;
use nexus_model::{Code, Digest, Event};

use super::attempt::Attempt;
use crate::record::InputHead;
use crate::{Error, Node};

impl Node {
    pub(super) async fn input_of(
        &self,
        attempt: &Attempt,
    ) -> Result<(CallInput, InputHead), Error> {
        let mut events = Vec::with_capacity(attempt.events.len());
        for record in &attempt.events {
            events.push(self.whole_event(record, attempt).await?);
        }
        let delivery = &attempt.delivery;
        if delivery.batched {
            let source = format!("/nexus/{}/{}", delivery.key.project, delivery.key.function);
            let mut batch = batch_event(attempt.id, &source, &events);
            batch.time = Some(self.parts.clock.now());
            return Ok((CallInput::Event(batch.clone()), InputHead::Event(batch)));
        }
        let missing = || Error::new(Code::Gone, "the event was removed by retention");
        let event = events.into_iter().next().ok_or_else(missing)?;
        let head = match &delivery.transform {
            // The log has other data than the function saw.
            Some(_) => InputHead::Event(event.clone()),
            None => InputHead::EventRef(delivery.key.event),
        };
        Ok((CallInput::Event(event), head))
    }

    /// The event with its data, transformed where the trigger says so.
    async fn whole_event(&self, record: &EventRecord, attempt: &Attempt) -> Result<Event, Error> {
        let mut event = record.event.to_event();
        if let Some(data) = &record.event.data
            && let Ok(digest) = Digest::try_from(&data.blob[..])
        {
            event.data = self.parts.blobs.get(digest).await?;
        }
        let Some(text) = &attempt.delivery.transform else { return Ok(event) };
        let wrong = |error: nexus_content::TransformError| {
            Error::new(Code::BadEvent, format!("the transformation failed: {error}"))
        };
        let transformation = Transformation::parse(text).map_err(wrong)?;
        let data = transformation.apply(&Content::from(&event)).map_err(wrong)?;
        event.data = Some(Bytes::from(data.to_string()));
        event.datacontenttype = Some("application/json".to_owned());
        Ok(event)
    }
}
