//! Events between the model and the forms in which guests take and give them.

use bytes::Bytes;
use nexus_exec::CallContext;
use nexus_model::{AttributeValue, Event, Timestamp};
use nexus_wit::types;

/// An event as `nexus:function/handler` takes it.
pub(crate) fn to_guest(event: &Event) -> types::Event {
    types::Event {
        id: event.id.clone(),
        source: event.source.clone(),
        ty: event.ty.clone(),
        subject: event.subject.clone(),
        time: event.time.map(|time| time.to_string()),
        datacontenttype: event.datacontenttype.clone(),
        dataschema: event.dataschema.clone(),
        extensions: event
            .extensions
            .iter()
            .map(|(name, value)| (name.clone(), value.to_string()))
            .collect(),
        data: event.data.as_ref().map(|data| data.to_vec()),
    }
}

/// An event that a guest gave. What it left empty is filled in from the invocation, so that a
/// replay gives the same: `place` says whether it was emitted or returned, and its number.
///
/// # Errors
/// The first rule of the CloudEvents specification that it breaks.
pub(crate) fn from_guest(
    event: types::Event,
    context: &CallContext,
    place: (&str, usize),
) -> Result<Event, String> {
    let mut made = Event::new(event.id, event.source, event.ty);
    if made.id.is_empty() {
        made.id = format!("{}-{}-{}", context.id, place.0, place.1);
    }
    if made.source.is_empty() {
        made.source = format!("/projects/{}/functions/{}", context.project, context.function);
    }
    made.subject = event.subject;
    made.time = match event.time {
        Some(text) => Some(Timestamp::parse(&text)?),
        None => None,
    };
    made.datacontenttype = event.datacontenttype;
    made.dataschema = event.dataschema;
    made.extensions = event
        .extensions
        .into_iter()
        .map(|(name, value)| (name, AttributeValue::String(value)))
        .collect();
    made.data = event.data.map(Bytes::from);
    made.validate().map_err(|error| error.to_string())?;
    Ok(made)
}

/// An event as a binary-mode CloudEvent over HTTP (CloudEvents HTTP binding, 3.1).
///
/// # Errors
/// An attribute cannot be a header value even when it is percent-encoded.
pub(crate) fn to_request(event: &Event) -> Result<http::Request<Bytes>, http::Error> {
    let mut request = http::Request::post("/")
        .header(http::header::HOST, "localhost")
        .header("ce-specversion", "1.0")
        .header("ce-id", encode(&event.id))
        .header("ce-source", encode(&event.source))
        .header("ce-type", encode(&event.ty));
    if let Some(subject) = &event.subject {
        request = request.header("ce-subject", encode(subject));
    }
    if let Some(time) = event.time {
        request = request.header("ce-time", time.to_string());
    }
    if let Some(schema) = &event.dataschema {
        request = request.header("ce-dataschema", encode(schema));
    }
    for (name, value) in &event.extensions {
        request = request.header(format!("ce-{name}"), encode(&value.to_string()));
    }
    let data = event.data.clone().unwrap_or_default();
    let media_type = event.datacontenttype.as_deref();
    if let Some(media_type) = media_type.or(event.data.as_ref().map(|_| "application/json")) {
        request = request.header(http::header::CONTENT_TYPE, media_type);
    }
    request.header(http::header::CONTENT_LENGTH, data.len()).body(data)
}

/// CloudEvents HTTP binding, 3.1.3.2: space, quote, percent and everything outside of printable
/// ASCII are percent-encoded.
fn encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'!' | b'#'..=b'$' | b'&'..=b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Log fields as a JSON object: values are JSON texts, or strings where they are not.
pub(crate) fn fields_json(fields: &[(String, String)]) -> String {
    if fields.is_empty() {
        return String::new();
    }
    let mut object = serde_json::Map::new();
    for (name, text) in fields {
        let value =
            serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::String(text.clone()));
        object.insert(name.clone(), value);
    }
    serde_json::Value::Object(object).to_string()
}
