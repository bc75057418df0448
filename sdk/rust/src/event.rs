//! Events in and out.

use crate::Error;
use crate::bindings::exports::nexus::function::handler as wire;
use crate::bindings::nexus::function::events as host;
use crate::bindings::nexus::function::types::Payload;

/// A CloudEvent 1.0 with its data as a `T`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Event<T = Vec<u8>> {
    /// Unique together with `source`; filled in by the host when empty.
    pub id: String,
    /// Where it happened; filled in by the host when empty.
    pub source: String,
    /// What happened, such as `com.shop.order.created`.
    pub ty: String,
    /// What it happened to.
    pub subject: Option<String>,
    /// When, RFC 3339.
    pub time: Option<String>,
    /// Media type of the data.
    pub datacontenttype: Option<String>,
    /// Schema of the data.
    pub dataschema: Option<String>,
    /// Extension attributes.
    pub extensions: Vec<(String, String)>,
    /// The data.
    pub data: T,
}

/// What a handler may take as an event's data: any `serde` type that owns its parts, read from JSON;
/// `Vec<u8>` for the bytes as they are.
pub trait FromData: Sized {
    /// From the event's bytes, empty when it has none.
    fn from_data(data: Vec<u8>) -> Result<Self, Error>;
}

/// What may be sent as an event's data or given back as a result: any `serde` type, written as
/// JSON; `Vec<u8>` for bytes.
pub trait ToData {
    /// Bytes and their media type.
    fn to_data(&self) -> Result<(Vec<u8>, &'static str), Error>;
}

#[cfg(feature = "json")]
impl<T: serde::de::DeserializeOwned + 'static> FromData for T {
    fn from_data(data: Vec<u8>) -> Result<Self, Error> {
        // One impl serves all types; bytes are told apart by their type, which costs nothing.
        let mut bytes = Some(data);
        let mut out: Option<T> = None;
        if let Some(slot) = (&mut out as &mut dyn std::any::Any).downcast_mut::<Option<Vec<u8>>>() {
            *slot = bytes.take();
        }
        if let Some(out) = out {
            return Ok(out);
        }
        let data = bytes.unwrap_or_default();
        let text: &[u8] = if data.is_empty() { b"null" } else { &data };
        serde_json::from_slice(text)
            .map_err(|error| Error::Permanent(format!("the event's data does not fit: {error}")))
    }
}

#[cfg(feature = "json")]
impl<T: serde::Serialize + 'static> ToData for T {
    fn to_data(&self) -> Result<(Vec<u8>, &'static str), Error> {
        if let Some(bytes) = (self as &dyn std::any::Any).downcast_ref::<Vec<u8>>() {
            return Ok((bytes.clone(), "application/octet-stream"));
        }
        Ok((serde_json::to_vec(self)?, "application/json"))
    }
}

#[cfg(not(feature = "json"))]
impl FromData for Vec<u8> {
    fn from_data(data: Vec<u8>) -> Result<Self, Error> {
        Ok(data)
    }
}

#[cfg(not(feature = "json"))]
impl ToData for Vec<u8> {
    fn to_data(&self) -> Result<(Vec<u8>, &'static str), Error> {
        Ok((self.clone(), "application/octet-stream"))
    }
}

impl<T> Event<T> {
    /// An event of a type; the host fills in the rest.
    pub fn new(ty: impl Into<String>, data: T) -> Self {
        Event {
            id: String::new(),
            source: String::new(),
            ty: ty.into(),
            subject: None,
            time: None,
            datacontenttype: None,
            dataschema: None,
            extensions: Vec::new(),
            data,
        }
    }

    /// With a subject.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }
}

impl<T: FromData> Event<T> {
    fn from_wire(event: wire::Event) -> Result<Self, Error> {
        Ok(Event {
            id: event.id,
            source: event.source,
            ty: event.ty,
            subject: event.subject,
            time: event.time,
            datacontenttype: event.datacontenttype,
            dataschema: event.dataschema,
            extensions: event.extensions,
            data: T::from_data(event.data.unwrap_or_default())?,
        })
    }
}

impl<T: ToData> Event<T> {
    fn into_wire(self) -> Result<wire::Event, Error> {
        let (data, media_type) = self.data.to_data()?;
        Ok(wire::Event {
            id: self.id,
            source: self.source,
            ty: self.ty,
            subject: self.subject,
            time: self.time,
            datacontenttype: self.datacontenttype.or_else(|| Some(media_type.to_owned())),
            dataschema: self.dataschema,
            extensions: self.extensions,
            data: Some(data),
        })
    }
}

/// What a function gives back: a result for the caller who waits, events for everybody else.
#[derive(Default, Debug)]
pub struct Output {
    payload: Option<(String, Vec<u8>)>,
    events: Vec<wire::Event>,
    /// The first thing that could not be encoded.
    failed: Option<Error>,
}

impl Output {
    /// Neither result nor events.
    pub fn none() -> Self {
        Output::default()
    }

    /// A result, as JSON.
    pub fn result<T: ToData>(value: T) -> Self {
        Output::none().and_result(value)
    }

    /// A result of any media type.
    pub fn bytes(media_type: impl Into<String>, data: impl Into<Vec<u8>>) -> Self {
        Output { payload: Some((media_type.into(), data.into())), ..Output::default() }
    }

    /// An event.
    pub fn event<T: ToData>(event: Event<T>) -> Self {
        Output::none().and_event(event)
    }

    /// With a result too, as JSON.
    pub fn and_result<T: ToData>(mut self, value: T) -> Self {
        match value.to_data() {
            Ok((data, media_type)) => self.payload = Some((media_type.to_owned(), data)),
            Err(error) => self.failed = self.failed.or(Some(error)),
        }
        self
    }

    /// With one more event.
    pub fn and_event<T: ToData>(mut self, event: Event<T>) -> Self {
        match event.into_wire() {
            Ok(event) => self.events.push(event),
            Err(error) => self.failed = self.failed.or(Some(error)),
        }
        self
    }
}

/// What a handler may return.
pub trait IntoOutput {
    /// The output, or why there is none.
    fn into_output(self) -> Result<Output, Error>;
}

impl IntoOutput for () {
    fn into_output(self) -> Result<Output, Error> {
        Ok(Output::none())
    }
}

impl IntoOutput for Output {
    fn into_output(self) -> Result<Output, Error> {
        Ok(self)
    }
}

impl<T: ToData> IntoOutput for Event<T> {
    fn into_output(self) -> Result<Output, Error> {
        Ok(Output::event(self))
    }
}

impl<T: ToData> IntoOutput for Vec<Event<T>> {
    fn into_output(self) -> Result<Output, Error> {
        Ok(self.into_iter().fold(Output::none(), Output::and_event))
    }
}

impl<R: IntoOutput> IntoOutput for Result<R, Error> {
    fn into_output(self) -> Result<Output, Error> {
        self?.into_output()
    }
}

/// Appends events to the project's log, all or none; they are durable when this returns. Gives
/// their ids in the log (`evt_…`).
pub fn emit<T: ToData>(events: impl IntoIterator<Item = Event<T>>) -> Result<Vec<String>, Error> {
    let events = events.into_iter().map(Event::into_wire).collect::<Result<Vec<_>, _>>()?;
    host::emit(&events).map_err(|error| match error {
        host::EmitError::Invalid(reason) => Error::Permanent(format!("emit refused: {reason}")),
        host::EmitError::Unavailable(reason) => Error::Transient(format!("emit failed: {reason}")),
    })
}

#[doc(hidden)]
pub fn run_event<T: FromData, R: IntoOutput>(
    event: wire::Event,
    handler: fn(Event<T>) -> R,
) -> Result<wire::Output, wire::Error> {
    let output = Event::from_wire(event).and_then(|event| handler(event).into_output());
    let output = output.and_then(|output| match output.failed {
        Some(error) => Err(error),
        None => Ok(output),
    });
    match output {
        Ok(output) => Ok(wire::Output {
            payload: output.payload.map(|(content_type, data)| Payload { content_type, data }),
            events: output.events,
        }),
        Err(Error::Transient(reason)) => Err(wire::Error::Transient(reason)),
        Err(Error::Permanent(reason)) => Err(wire::Error::Permanent(reason)),
    }
}
