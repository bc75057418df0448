//! What a function gets: the event as it is, transformed, or several in a batch.

use bytes::Bytes;
use http::Request;
use nexus_content::{Content, Transformation};
use nexus_engine::batch_event;
use nexus_exec::{CallInput, full_body};
use nexus_model::record::EventRecord;
use nexus_model::{Code, Event, Timestamp};

use super::attempt::Attempt;
use super::request::{from_bytes, is_request};
use crate::bodies::Lost;
use crate::record::InputHead;
use crate::{Error, Node};

impl Node {
    /// The same for the same attempt and time.
    pub(super) async fn input_of(
        &self,
        attempt: &Attempt,
        began: Timestamp,
    ) -> Result<(CallInput, InputHead), Error> {
        if let [only] = &attempt.events[..]
            && is_request(&only.event)
        {
            return self.request_input(only).await;
        }
        let mut events = Vec::with_capacity(attempt.events.len());
        for record in &attempt.events {
            events.push(self.whole_event(record, attempt).await?);
        }
        let delivery = &attempt.delivery;
        if delivery.batched {
            let source = format!("/nexus/{}/{}", delivery.key.project, delivery.key.function);
            let mut batch = batch_event(attempt.id, &source, &events);
            batch.time = Some(began);
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

    async fn request_input(&self, record: &EventRecord) -> Result<(CallInput, InputHead), Error> {
        let mut record = record.clone();
        self.fetch_event(&mut record, Lost::Fails).await?;
        let bytes = record.event.data.map(|data| data.inline).unwrap_or_default();
        let wrong = || Error::new(Code::BadEvent, "the event holds no request");
        let (head, body) = from_bytes(&bytes).ok_or_else(wrong)?.into_parts();
        let input = InputHead::Http {
            method: head.method.clone(),
            uri: head.uri.clone(),
            headers: head.headers.clone(),
        };
        Ok((CallInput::Http(Request::from_parts(head, full_body(body))), input))
    }

    /// The event with its data, transformed where the trigger says so.
    async fn whole_event(&self, record: &EventRecord, attempt: &Attempt) -> Result<Event, Error> {
        let mut record = record.clone();
        self.fetch_event(&mut record, Lost::Fails).await?;
        let mut event = record.event.to_event();
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
