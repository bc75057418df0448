//! An event as the rest of this crate looks at it: attributes by name, data parsed at most once.

use std::borrow::Cow;
use std::cell::OnceCell;

use nexus_model::record::StoredEvent;
use nexus_model::{AttributeValue, Event, Timestamp};
use serde_json::Value;

/// The attributes that the specification names, in the order in which they are listed.
pub(crate) const CORE_ATTRIBUTES: &[&str] =
    &["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"];

/// A view of one event that parses its data at most once, and only when somebody asks.
///
/// It is meant for one thread: make one per event and hand it to everything that looks at the event.
#[derive(Debug)]
pub struct Content<'a> {
    event: Source<'a>,
    data: Option<&'a [u8]>,
    json: OnceCell<Option<Value>>,
}

#[derive(Debug)]
enum Source<'a> {
    Event(&'a Event),
    Stored(&'a StoredEvent),
}

/// The value of an attribute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Attribute<'a> {
    Text(Cow<'a, str>),
    Integer(i32),
    Boolean(bool),
}

impl<'a> Attribute<'a> {
    /// The canonical text of the value, as in headers.
    pub(crate) fn text(self) -> Cow<'a, str> {
        match self {
            Attribute::Text(text) => text,
            Attribute::Integer(value) => value.to_string().into(),
            Attribute::Boolean(value) => value.to_string().into(),
        }
    }
}

impl<'a> From<&'a Event> for Content<'a> {
    fn from(event: &'a Event) -> Self {
        let data = event.data.as_deref();
        Content { event: Source::Event(event), data, json: OnceCell::new() }
    }
}

impl<'a> From<&'a StoredEvent> for Content<'a> {
    /// Data that lies in the blob store is not seen: see [`Content::with_data`].
    fn from(event: &'a StoredEvent) -> Self {
        let kept = event.data.as_ref().filter(|body| body.blob.is_empty() && !body.dropped);
        let data = kept.map(|body| &body.inline[..]);
        Content { event: Source::Stored(event), data, json: OnceCell::new() }
    }
}

impl<'a> Content<'a> {
    /// The same event with data that was fetched from elsewhere.
    #[must_use]
    pub fn with_data(self, data: &'a [u8]) -> Self {
        Content { data: Some(data), json: OnceCell::new(), ..self }
    }

    /// The data as bytes, where there are any.
    pub fn data(&self) -> Option<&'a [u8]> {
        self.data
    }

    /// The data as JSON; `None` when there is none, its media type is another one, or it does not
    /// parse. The first call parses, later ones return the same value.
    pub fn json(&self) -> Option<&Value> {
        let parse = || {
            let data = self.data.filter(|_| self.data_is_json())?;
            serde_json::from_slice(data).ok()
        };
        self.json.get_or_init(parse).as_ref()
    }

    /// Whether the data has been parsed already.
    pub fn is_parsed(&self) -> bool {
        self.json.get().is_some()
    }

    fn data_is_json(&self) -> bool {
        match self.attribute("datacontenttype") {
            Some(Attribute::Text(media_type)) => {
                let essence =
                    media_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
                essence == "application/json"
                    || essence == "text/json"
                    || essence.ends_with("+json")
            }
            _ => true,
        }
    }

    /// The attribute of this name (lowercase), where the event has it.
    pub(crate) fn attribute(&self, name: &str) -> Option<Attribute<'a>> {
        let borrowed = |text: &'a String| Some(Attribute::Text(Cow::Borrowed(text.as_str())));
        match (&self.event, name) {
            (_, "specversion") => Some(Attribute::Text(Cow::Borrowed("1.0"))),
            (Source::Event(event), "id") => borrowed(&event.id),
            (Source::Event(event), "source") => borrowed(&event.source),
            (Source::Event(event), "type") => borrowed(&event.ty),
            (Source::Event(event), "subject") => borrowed(event.subject.as_ref()?),
            (Source::Event(event), "datacontenttype") => borrowed(event.datacontenttype.as_ref()?),
            (Source::Event(event), "dataschema") => borrowed(event.dataschema.as_ref()?),
            (Source::Event(event), "time") => Some(time(event.time?)),
            (Source::Event(event), _) => Some(match event.extension(name)? {
                AttributeValue::String(text) => Attribute::Text(Cow::Borrowed(text)),
                AttributeValue::Integer(value) => Attribute::Integer(*value),
                AttributeValue::Boolean(value) => Attribute::Boolean(*value),
            }),
            (Source::Stored(event), "id") => borrowed(&event.id),
            (Source::Stored(event), "source") => borrowed(&event.source),
            (Source::Stored(event), "type") => borrowed(&event.ty),
            (Source::Stored(event), "subject") => borrowed(event.subject.as_ref()?),
            (Source::Stored(event), "datacontenttype") => borrowed(event.datacontenttype.as_ref()?),
            (Source::Stored(event), "dataschema") => borrowed(event.dataschema.as_ref()?),
            (Source::Stored(event), "time") => Some(time(Timestamp::from_unix_ns(event.time_ns?))),
            (Source::Stored(event), _) => {
                let found = event.extensions.iter().find(|extension| extension.name == name)?;
                Some(match (found.boolean, found.integer, &found.string) {
                    (Some(value), _, _) => Attribute::Boolean(value),
                    (_, Some(value), _) => Attribute::Integer(value),
                    (_, _, text) => {
                        Attribute::Text(Cow::Borrowed(text.as_deref().unwrap_or_default()))
                    }
                })
            }
        }
    }

    /// The names of the attributes that the event has.
    pub(crate) fn attribute_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = CORE_ATTRIBUTES
            .iter()
            .copied()
            .filter(|name| match (&self.event, *name) {
                // Formatting a time only to learn whether there is one would be a waste.
                (Source::Event(event), "time") => event.time.is_some(),
                (Source::Stored(event), "time") => event.time_ns.is_some(),
                (_, name) => self.attribute(name).is_some(),
            })
            .collect();
        match &self.event {
            Source::Event(event) => names.extend(event.extensions.iter().map(|(at, _)| &at[..])),
            Source::Stored(event) => names.extend(event.extensions.iter().map(|at| &at.name[..])),
        }
        names
    }
}

fn time(at: Timestamp) -> Attribute<'static> {
    Attribute::Text(Cow::Owned(at.to_string()))
}

/// Whether the text can name an attribute: lowercase letters and digits.
pub(crate) fn is_attribute_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    !name.is_empty() && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        let mut event = Event::new("1", "/s", "t");
        event.subject = Some("sub".into());
        event.time = Some(Timestamp::from_unix_ns(0));
        event.extensions = vec![
            ("flag".into(), AttributeValue::Boolean(true)),
            ("number".into(), AttributeValue::Integer(-5)),
            ("text".into(), AttributeValue::String("x".into())),
        ];
        event.data = Some(bytes::Bytes::from_static(br#"{"a":[1,2]}"#));
        event
    }

    #[test]
    fn events_and_stored_events_look_the_same() {
        let event = event();
        let stored = StoredEvent::from(&event);
        let (one, two) = (Content::from(&event), Content::from(&stored));
        assert_eq!(one.attribute_names(), two.attribute_names());
        for name in one.attribute_names().into_iter().chain(["dataschema", "nothing"]) {
            assert_eq!(one.attribute(name), two.attribute(name), "{name}");
        }
        assert_eq!(one.json(), two.json());
        assert_eq!(one.attribute("number").map(Attribute::text).as_deref(), Some("-5"));
        assert_eq!(
            one.attribute("time").map(Attribute::text).as_deref(),
            Some("1970-01-01T00:00:00Z")
        );
    }

    #[test]
    fn data_is_parsed_once_on_demand_and_only_as_json() {
        let mut event = event();
        let content = Content::from(&event);
        assert!(!content.is_parsed());
        let first = content.json().unwrap() as *const Value;
        assert!(content.is_parsed() && std::ptr::eq(first, content.json().unwrap()));
        event.datacontenttype = Some("text/plain".into());
        assert_eq!(Content::from(&event).json(), None);
        event.datacontenttype = Some("Application/Vnd.X+JSON; charset=utf-8".into());
        assert!(Content::from(&event).json().is_some());
    }

    #[test]
    fn data_in_the_blob_store_is_handed_in() {
        let mut stored = StoredEvent::from(&event());
        if let Some(body) = &mut stored.data {
            body.inline = bytes::Bytes::new();
            body.blob = bytes::Bytes::from_static(&[1; 32]);
        }
        assert_eq!(Content::from(&stored).json(), None);
        let fetched = Content::from(&stored).with_data(b"[7]");
        assert_eq!(fetched.json(), Some(&serde_json::json!([7])));
    }
}
