//! Events as stored.

use bytes::Bytes;
use prost::Message;

use super::{Body, Meta};
use crate::{AttributeValue, Event, EventId, Timestamp};

/// A CloudEvent as stored.
#[derive(Clone, PartialEq, Message)]
pub struct EventRecord {
    /// The id in the log ([`EventId`]), 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// Project, principal, cause, trace.
    #[prost(message, required, tag = "2")]
    pub meta: Meta,
    /// When Nexus accepted it.
    #[prost(int64, tag = "3")]
    pub received_ns: i64,
    /// The event itself.
    #[prost(message, required, tag = "4")]
    pub event: StoredEvent,
    /// The only function that gets it (an asynchronous call, a destination, a cron or webhook
    /// trigger), or empty: then triggers decide. The first attempt of an asynchronous call has an
    /// invocation id of the same bytes as the event's id.
    #[prost(string, tag = "5")]
    pub target: String,
    /// The schedule that became this event ([`ScheduleRecord::id`](super::ScheduleRecord)), or
    /// empty.
    #[prost(bytes = "bytes", tag = "6")]
    pub schedule: Bytes,
    /// The trigger whose delivery settings hold for the target: a Trigger's name, or empty for the
    /// function's own.
    #[prost(string, tag = "7")]
    pub trigger: String,
    /// Of a call: how many functions wait for one another down to it. Older builds counted here
    /// what [`chain`](Self::chain) counts, and calls as well.
    #[prost(uint32, tag = "8")]
    pub depth: u32,
    /// The dead letter whose place it takes, with other data; empty otherwise. 16 bytes.
    #[prost(bytes = "bytes", tag = "9")]
    pub replaces: Bytes,
    /// How many links led to it: see [`links`](Self::links).
    #[prost(uint32, tag = "10")]
    pub chain: u32,
}

/// The attributes and data of a CloudEvent.
#[derive(Clone, PartialEq, Message)]
pub struct StoredEvent {
    /// `id`.
    #[prost(string, tag = "1")]
    pub id: String,
    /// `source`.
    #[prost(string, tag = "2")]
    pub source: String,
    /// `type`.
    #[prost(string, tag = "3")]
    pub ty: String,
    /// `subject`.
    #[prost(string, optional, tag = "4")]
    pub subject: Option<String>,
    /// `time`.
    #[prost(int64, optional, tag = "5")]
    pub time_ns: Option<i64>,
    /// `datacontenttype`.
    #[prost(string, optional, tag = "6")]
    pub datacontenttype: Option<String>,
    /// `dataschema`.
    #[prost(string, optional, tag = "7")]
    pub dataschema: Option<String>,
    /// Extension attributes.
    #[prost(message, repeated, tag = "8")]
    pub extensions: Vec<Extension>,
    /// `data`; `None` where the event has none.
    #[prost(message, optional, tag = "9")]
    pub data: Option<Body>,
}

/// One extension attribute; exactly one value field is set.
#[derive(Clone, PartialEq, Message)]
pub struct Extension {
    /// The attribute's name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// A string value.
    #[prost(string, optional, tag = "2")]
    pub string: Option<String>,
    /// An integer value.
    #[prost(sint32, optional, tag = "3")]
    pub integer: Option<i32>,
    /// A boolean value.
    #[prost(bool, optional, tag = "4")]
    pub boolean: Option<bool>,
}

impl EventRecord {
    /// The id, where it has its 16 bytes.
    pub fn event_id(&self) -> Option<EventId> {
        EventId::try_from(&self.id[..]).ok()
    }

    /// How many links led to it, one after the other: each event that a function sends, each call, and
    /// each outcome or fallback is one link further than what it follows from.
    pub fn links(&self) -> u32 {
        self.chain.max(self.depth)
    }
}

impl From<&Event> for StoredEvent {
    fn from(event: &Event) -> Self {
        event.clone().into()
    }
}

impl From<Event> for StoredEvent {
    fn from(event: Event) -> Self {
        StoredEvent {
            id: event.id,
            source: event.source,
            ty: event.ty,
            subject: event.subject,
            time_ns: event.time.map(Timestamp::unix_ns),
            datacontenttype: event.datacontenttype,
            dataschema: event.dataschema,
            extensions: event.extensions.into_iter().map(Extension::from).collect(),
            data: event.data.map(Body::inline),
        }
    }
}

impl From<(String, AttributeValue)> for Extension {
    fn from((name, value): (String, AttributeValue)) -> Self {
        let mut stored = Extension { name, ..Extension::default() };
        match value {
            AttributeValue::Boolean(value) => stored.boolean = Some(value),
            AttributeValue::Integer(value) => stored.integer = Some(value),
            AttributeValue::String(value) => stored.string = Some(value),
        }
        stored
    }
}

impl StoredEvent {
    /// The text of an extension attribute that is a string.
    pub fn extension_text(&self, name: &str) -> Option<&str> {
        let found = self.extensions.iter().find(|at| at.name == name)?;
        found.string.as_deref()
    }

    /// The event; `data` must have been fetched from the blob store where it was there.
    pub fn to_event(&self) -> Event {
        Event {
            id: self.id.clone(),
            source: self.source.clone(),
            ty: self.ty.clone(),
            subject: self.subject.clone(),
            time: self.time_ns.map(Timestamp::from_unix_ns),
            datacontenttype: self.datacontenttype.clone(),
            dataschema: self.dataschema.clone(),
            extensions: self.extensions.iter().map(Extension::to_attribute).collect(),
            data: self.data.as_ref().map(|body| body.inline.clone()),
        }
    }
}

impl Extension {
    fn to_attribute(&self) -> (String, AttributeValue) {
        let value = match (self.boolean, self.integer, &self.string) {
            (Some(value), _, _) => AttributeValue::Boolean(value),
            (_, Some(value), _) => AttributeValue::Integer(value),
            (_, _, text) => AttributeValue::String(text.clone().unwrap_or_default()),
        };
        (self.name.clone(), value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_older_builds_stand_in_the_depth() {
        let stored = |depth, chain| {
            let bytes = EventRecord { depth, chain, ..EventRecord::default() }.encode_to_vec();
            EventRecord::decode(&bytes[..]).map(|record| record.links())
        };
        // What an older build wrote has no chain.
        assert_eq!(stored(3, 0), Ok(3));
        // A call that is waited for, far down in a chain.
        assert_eq!(stored(1, 40), Ok(40));
        assert_eq!(stored(0, 0), Ok(0));
    }
}
