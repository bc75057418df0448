//! What a recording gives a guest again.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use nexus_exec::journal::Journal;
use nexus_exec::{Error, Unit, unmask_input};
use nexus_model::Event;
use nexus_model::record::{self, Body, HttpInput, InvocationRecord, StoredEvent, input};
use nexus_model::resource::World;
use wasmtime_wasi_http::WasiBody;

use crate::event;
use crate::invoke::{GuestInput, event_request, with_host};
use crate::replay::{not_replayable, secret};

/// What the guest is given again.
pub(crate) struct Input {
    pub(crate) guest: GuestInput,
    pub(crate) body: Bytes,
    pub(crate) stdin: Bytes,
    pub(crate) arguments: Vec<String>,
    pub(crate) event: Option<Event>,
}

/// `unit` is what ran and knows the secrets, `world` how the guest is called now.
pub(crate) fn input_of(
    recorded: (&InvocationRecord, Option<Event>),
    made_by: (&Journal, &Unit),
    world: World,
) -> Result<Input, Error> {
    given(&whole_input(recorded, made_by)?, world)
}

/// The input of a record as the guest saw it: with the event itself, and the values of secrets.
pub(crate) fn whole_input(
    (record, event): (&InvocationRecord, Option<Event>),
    (journal, unit): (&Journal, &Unit),
) -> Result<record::Input, Error> {
    let kept = |body: &Body| {
        if body.dropped {
            return Err(not_replayable(format!("its input of {} bytes was not kept", body.size)));
        }
        let bytes = journal.unmask_input(body.inline.clone(), |env| secret(unit, env));
        Ok(Body { inline: bytes, ..body.clone() })
    };
    let mut form = record.input.clone().and_then(|input| input.form);
    if let Some(form) = &mut form {
        unmask_input(form, &record.input_masks, |env| secret(unit, env));
    }
    match &mut form {
        None => return Err(not_replayable("its input was not kept")),
        Some(input::Form::Http(http)) => http.body = kept(&http.body)?,
        Some(input::Form::Command(command)) => command.stdin = kept(&command.stdin)?,
        Some(input::Form::Event(_)) => {}
        Some(input::Form::EventRef(_)) => {
            let event = event.ok_or_else(|| not_replayable("the event it handled is gone"))?;
            form = Some(input::Form::Event(StoredEvent::from(&event)));
        }
    }
    Ok(record::Input { form })
}

/// A whole input for a guest of this world.
pub(crate) fn given(input: &record::Input, world: World) -> Result<Input, Error> {
    let empty = |guest, body| Input {
        guest,
        body,
        stdin: Bytes::new(),
        arguments: Vec::new(),
        event: None,
    };
    let event = match &input.form {
        Some(input::Form::Event(stored)) => Some(stored.to_event()),
        _ => None,
    };
    match (world, &input.form, event) {
        (World::Http, Some(input::Form::Http(request)), _) => {
            let guest = GuestInput::Http(Box::new(with_host(request_of(request)?)));
            Ok(empty(guest, request.body.inline.clone()))
        }
        (World::Http, _, Some(event)) => {
            let request = event_request(&event).map_err(not_replayable)?;
            let body = event.data.clone().unwrap_or_default();
            Ok(Input { event: Some(event), ..empty(GuestInput::Http(Box::new(request)), body) })
        }
        (World::Event, _, Some(event)) => {
            let guest = GuestInput::Event(Box::new(event::to_guest(&event)));
            Ok(Input { event: Some(event), ..empty(guest, Bytes::new()) })
        }
        (World::Command, _, Some(event)) => {
            let stdin = Bytes::from(event.to_json());
            Ok(Input { event: Some(event), stdin, ..empty(GuestInput::Command, Bytes::new()) })
        }
        (World::Command, Some(input::Form::Command(command)), _) => Ok(Input {
            stdin: command.stdin.inline.clone(),
            arguments: command.arguments.clone(),
            ..empty(GuestInput::Command, Bytes::new())
        }),
        _ => Err(not_replayable("its input does not fit the function's world")),
    }
}

/// The request as it came; its body comes from the journal, piece by piece.
fn request_of(input: &HttpInput) -> Result<http::Request<WasiBody>, Error> {
    let wrong = |what: &str| not_replayable(format!("the recorded request has an invalid {what}"));
    let host = input.headers.iter().find(|header| header.name == "host");
    let from_header = host.is_some_and(|host| host.value == input.authority.as_bytes());
    let uri = if input.authority.is_empty() || (from_header && input.scheme != "https") {
        http::Uri::builder().path_and_query(input.path_and_query.as_str()).build()
    } else {
        http::Uri::builder()
            .scheme(input.scheme.as_str())
            .authority(input.authority.as_str())
            .path_and_query(input.path_and_query.as_str())
            .build()
    };
    let body = http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync();
    let mut request = http::Request::new(body);
    *request.uri_mut() = uri.map_err(|_| wrong("URI"))?;
    *request.method_mut() =
        http::Method::from_bytes(input.method.as_bytes()).map_err(|_| wrong("method"))?;
    for header in &input.headers {
        let name = http::HeaderName::from_bytes(header.name.as_bytes());
        let value = http::HeaderValue::from_maybe_shared(header.value.clone());
        let (Ok(name), Ok(value)) = (name, value) else { return Err(wrong("header")) };
        request.headers_mut().append(name, value);
    }
    Ok(request)
}
