//! Values of secrets in what goes in: replaced before it is kept, put back before it is played.
//!
//! Bodies of requests and standard input have their masks in the journal, because the runtime sees
//! them pass. Everything else of an input is known before the guest runs; it is masked by whoever
//! makes the record.

use bytes::{Bytes, BytesMut};
use nexus_model::record::{Header, Input, InputMask, InputPart, input};

use crate::EnvVar;
use crate::journal;

/// Replaces the values of the secrets in `env` wherever they stand in `input`, except in bodies of
/// requests and standard input, and tells where.
pub fn mask_input(input: &mut Input, env: &[EnvVar]) -> Vec<InputMask> {
    let mut masks = Vec::new();
    let Some(form) = &mut input.form else { return masks };
    for (at, secret) in env.iter().enumerate().filter(|(_, var)| var.secret.is_some()) {
        each_part(form, &mut |part, index, bytes| {
            mask_bytes(bytes, secret.value.as_bytes(), |offset| {
                masks.push(InputMask {
                    part: part as i32,
                    index,
                    offset: u32::try_from(offset).unwrap_or(u32::MAX),
                    env: u32::try_from(at).unwrap_or(u32::MAX),
                });
            });
        });
    }
    masks
}

/// Puts back what [`mask_input`] replaced. `value` gives the value of the secret in the environment
/// variable with this place.
pub fn unmask_input<'a>(
    form: &mut input::Form,
    masks: &[InputMask],
    value: impl Fn(u32) -> Option<&'a [u8]>,
) {
    if masks.is_empty() {
        return;
    }
    each_part(form, &mut |part, index, bytes| {
        let here = |mask: &&InputMask| mask.part() == part && mask.index == index;
        let mut here = masks.iter().filter(here).peekable();
        if here.peek().is_none() {
            return;
        }
        let mut whole = BytesMut::from(&bytes[..]);
        for mask in here {
            journal::restore(&mut whole, mask.offset, value(mask.env));
        }
        *bytes = whole.freeze();
    });
}

/// Shows everything of an input that may hold a secret to `change`, bodies of requests and standard
/// input excepted.
pub(crate) fn each_part(
    form: &mut input::Form,
    change: &mut dyn FnMut(InputPart, u32, &mut Bytes),
) {
    match form {
        input::Form::Http(http) => {
            text(&mut http.path_and_query, &mut |bytes| change(InputPart::Path, 0, bytes));
            text(&mut http.authority, &mut |bytes| change(InputPart::Authority, 0, bytes));
            headers(&mut http.headers, InputPart::Header, change);
            headers(&mut http.trailers, InputPart::Trailer, change);
        }
        input::Form::Event(event) => {
            if let Some(data) = &mut event.data {
                change(InputPart::EventData, 0, &mut data.inline);
            }
        }
        input::Form::Command(command) => {
            for (index, argument) in (0..).zip(&mut command.arguments) {
                text(argument, &mut |bytes| change(InputPart::Argument, index, bytes));
            }
        }
        input::Form::EventRef(_) => {}
    }
}

fn headers(
    headers: &mut [Header],
    part: InputPart,
    change: &mut dyn FnMut(InputPart, u32, &mut Bytes),
) {
    for (index, header) in (0..).zip(headers) {
        change(part, index, &mut header.value);
    }
}

/// Text as bytes. Values of secrets are text, so that it stays text with or without them.
fn text(text: &mut String, change: &mut dyn FnMut(&mut Bytes)) {
    let before = Bytes::from(std::mem::take(text));
    let mut after = before.clone();
    change(&mut after);
    *text = String::from_utf8_lossy(&after).into_owned();
}

/// Replaces every occurrence of `secret` by filler of the same length and tells where.
pub(crate) fn mask_bytes(bytes: &mut Bytes, secret: &[u8], mut found: impl FnMut(usize)) {
    let mut any = false;
    let mut copy = BytesMut::from(&bytes[..]);
    journal::mask(&mut copy, secret, |offset| {
        any = true;
        found(offset);
    });
    if any {
        *bytes = copy.freeze();
    }
}

#[cfg(test)]
mod tests {
    use nexus_model::Name;
    use nexus_model::record::{Body, CommandInput, HttpInput, StoredEvent};

    use super::*;

    fn env() -> Vec<EnvVar> {
        let var = |name: &str, value: &str, secret: bool| EnvVar {
            name: name.into(),
            value: value.into(),
            secret: secret.then(|| (Name::new(&name.to_lowercase()).unwrap(), 3)),
        };
        vec![
            var("PLAIN", "shown", false),
            var("KEY", "k\u{fc}h-key", true),
            var("PIN", "4711", true),
        ]
    }

    fn header(name: &str, value: &str) -> Header {
        let value = Bytes::from(value.to_owned());
        Header { name: name.into(), value, sealed: Bytes::new() }
    }

    #[track_caller]
    fn check(form: input::Form, hidden: &[&str], places: usize) {
        let mut input = Input { form: Some(form.clone()) };
        let masks = mask_input(&mut input, &env());
        assert_eq!(masks.len(), places, "{masks:?}");
        let kept = format!("{input:?}");
        for text in hidden {
            assert!(!kept.contains(text), "{kept}");
        }
        assert!(kept.contains("shown"));
        let mut back = input.form.unwrap();
        let env = env();
        unmask_input(&mut back, &masks, |at| env.get(at as usize).map(|var| var.value.as_bytes()));
        assert_eq!(back, form);
    }

    #[test]
    fn what_is_masked_comes_back_as_it_was() {
        check(
            input::Form::Http(HttpInput {
                authority: "4711.example:80".into(),
                path_and_query: "/4711/shown?pin=4711&pin=47114711".into(),
                headers: vec![header("a", "shown"), header("cookie", "k=k\u{fc}h-key; p=4711")],
                trailers: vec![header("t", "4711")],
                ..HttpInput::default()
            }),
            &["4711", "h-key"],
            8,
        );
        let data = Some(Body::inline(Bytes::from_static(b"{\"pin\":4711,\"a\":\"shown\"}")));
        check(input::Form::Event(StoredEvent { data, ..StoredEvent::default() }), &["4711"], 1);
        let arguments = vec!["shown".into(), "--pin=4711".into(), "4711".into()];
        check(
            input::Form::Command(CommandInput { arguments, ..CommandInput::default() }),
            &["4711"],
            2,
        );
    }

    #[test]
    fn a_mask_of_another_input_touches_nothing_outside() {
        let mut form =
            input::Form::Http(HttpInput { path_and_query: "/a".into(), ..HttpInput::default() });
        let masks = [InputMask { offset: 1, env: 0, ..InputMask::default() }];
        unmask_input(&mut form, &masks, |_| Some(b"longer than that"));
        assert!(matches!(form, input::Form::Http(http) if http.path_and_query == "/a"));
    }
}
