//! What is replaced before a recording is written (decision 30).
//!
//! `seal`: a token in the clear record, the original encrypted under the project's replay key.
//! `drop`: the original is gone, and the invocation is not exact any more.

use bytes::Bytes;
use nexus_model::InvocationId;
use nexus_model::record::{Body, Header, InvocationRecord, StoredEvent, input};
use nexus_model::resource::{Redaction, RedactionMode};

use crate::keys::{Key, OpenError};

/// What stands in a record where something was replaced.
pub(crate) const TOKEN: &str = "[redacted]";

/// The rules of one function, ready to be applied.
pub(crate) struct Redactor {
    headers: Vec<String>,
    fields: Vec<String>,
    /// `None` for `drop`.
    key: Option<Key>,
    /// For what cannot be dropped yet.
    pieces: Key,
}

impl Redactor {
    /// `key` is the project's replay key.
    pub(crate) fn new(rules: &Redaction, key: Key) -> Self {
        Redactor {
            headers: rules.headers.iter().map(|name| name.to_ascii_lowercase()).collect(),
            fields: rules.fields.clone(),
            key: (rules.mode == RedactionMode::Seal).then(|| key.clone()),
            pieces: key,
        }
    }

    /// A piece of the journal of an invocation that still runs, encrypted: without it the invocation
    /// could not go on, whatever the mode.
    pub(crate) fn seal_piece(
        &self,
        id: InvocationId,
        number: u32,
        bytes: &[u8],
    ) -> std::io::Result<Bytes> {
        self.pieces.seal(&piece_context(id, number), bytes).map(Bytes::from)
    }

    /// Replaces in `record` what the rules name. What cannot be sealed is dropped, never kept.
    pub(crate) fn apply(&self, record: &mut InvocationRecord) {
        let id = record.id.clone();
        let mut pass = Pass { rules: self, id: &id, redacted: Vec::new(), lost: None };
        match record.input.as_mut().and_then(|input| input.form.as_mut()) {
            Some(input::Form::Http(http)) => {
                pass.headers("input", &mut http.headers);
                pass.headers("input", &mut http.trailers);
                pass.body("input", &mut http.body);
            }
            Some(input::Form::Event(event)) => pass.event("input", event),
            Some(input::Form::Command(command)) => pass.body("input", &mut command.stdin),
            Some(input::Form::EventRef(_)) | None => {}
        }
        if let Some(output) = &mut record.output {
            pass.headers("output", &mut output.headers);
            pass.headers("output", &mut output.trailers);
            if let Some(body) = &mut output.body {
                pass.body("output", body);
            }
            output.events.iter_mut().for_each(|event| pass.event("output event", event));
        }
        if let Some(journal) = &mut record.journal {
            // The rules name places in input and output; the journal holds the same values wherever
            // the function passed them on, so all of it is sealed.
            pass.whole("journal", journal);
        }
        if let Some(lost) = pass.lost
            && record.not_replayable.is_empty()
        {
            record.not_replayable = format!("not exact: redacted at {lost}");
        }
        record.redacted = pass.redacted;
    }
}

struct Pass<'a> {
    rules: &'a Redactor,
    id: &'a [u8],
    redacted: Vec<String>,
    /// The first place whose original is gone.
    lost: Option<String>,
}

impl Pass<'_> {
    fn headers(&mut self, side: &str, headers: &mut [Header]) {
        for (index, header) in headers.iter_mut().enumerate() {
            if self.rules.headers.contains(&header.name) {
                let place = format!("{side} header {}", header.name);
                header.sealed = self.seal(&format!("{side}/header/{index}"), &header.value, &place);
                header.value = Bytes::from_static(TOKEN.as_bytes());
                self.redacted.push(place);
            }
        }
    }

    fn event(&mut self, side: &str, event: &mut StoredEvent) {
        if let Some(data) = &mut event.data {
            self.body(side, data);
        }
    }

    /// Replaces the named top-level fields of a JSON body.
    fn body(&mut self, side: &str, body: &mut Body) {
        if self.rules.fields.is_empty() || body.inline.is_empty() {
            return;
        }
        let Ok(mut object) =
            serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&body.inline)
        else {
            return;
        };
        let mut places = Vec::new();
        for field in &self.rules.fields {
            if let Some(value) = object.get_mut(field) {
                *value = TOKEN.into();
                places.push(format!("{side} field {field}"));
            }
        }
        let (Some(first), Ok(clear)) = (places.first(), serde_json::to_vec(&object)) else {
            return;
        };
        body.sealed = self.seal(&format!("{side}/body"), &body.inline, first);
        body.inline = clear.into();
        self.redacted.extend(places);
    }

    fn whole(&mut self, side: &str, body: &mut Body) {
        if body.inline.is_empty() || self.rules.key.is_none() {
            return;
        }
        let sealed = self.seal(&format!("{side}/body"), &body.inline, side);
        if !sealed.is_empty() {
            body.sealed = sealed;
            body.inline = Bytes::new();
        }
    }

    fn seal(&mut self, place: &str, plain: &[u8], path: &str) -> Bytes {
        let key = self.rules.key.as_ref();
        match key.and_then(|key| key.seal(&context(self.id, place), plain).ok()) {
            Some(sealed) => sealed.into(),
            None => {
                self.lost.get_or_insert_with(|| path.to_owned());
                Bytes::new()
            }
        }
    }
}

/// Decrypts a piece of a journal.
pub(crate) fn open_piece(
    key: &Key,
    (id, number): (InvocationId, u32),
    sealed: &[u8],
) -> Result<Vec<u8>, OpenError> {
    key.open(&piece_context(id, number), sealed)
}

fn piece_context(id: InvocationId, number: u32) -> String {
    format!("{id}/piece/{number}")
}

/// Where a sealed value belongs: it opens nowhere else.
fn context(id: &[u8], place: &str) -> String {
    let id = InvocationId::try_from(id).map(|id| id.to_string()).unwrap_or_default();
    format!("{id}/{place}")
}

/// Puts back what was sealed in `record`.
pub(crate) fn unseal(record: &mut InvocationRecord, key: &Key) -> Result<(), OpenError> {
    let id = record.id.clone();
    let open = |place: String, sealed: &Bytes| key.open(&context(&id, &place), sealed);
    let headers = |side: &str, headers: &mut [Header]| {
        for (index, header) in headers.iter_mut().enumerate() {
            if !header.sealed.is_empty() {
                header.value = open(format!("{side}/header/{index}"), &header.sealed)?.into();
                header.sealed = Bytes::new();
            }
        }
        Ok(())
    };
    let body = |side: &str, body: &mut Body| {
        if !body.sealed.is_empty() {
            body.inline = open(format!("{side}/body"), &body.sealed)?.into();
            body.sealed = Bytes::new();
        }
        Ok(())
    };
    match record.input.as_mut().and_then(|input| input.form.as_mut()) {
        Some(input::Form::Http(http)) => {
            headers("input", &mut http.headers)?;
            headers("input", &mut http.trailers)?;
            body("input", &mut http.body)?;
        }
        Some(input::Form::Event(event)) => {
            event.data.iter_mut().try_for_each(|data| body("input", data))?;
        }
        Some(input::Form::Command(command)) => body("input", &mut command.stdin)?,
        Some(input::Form::EventRef(_)) | None => {}
    }
    if let Some(output) = &mut record.output {
        headers("output", &mut output.headers)?;
        headers("output", &mut output.trailers)?;
        output.body.iter_mut().try_for_each(|at| body("output", at))?;
        for event in &mut output.events {
            event.data.iter_mut().try_for_each(|data| body("output event", data))?;
        }
    }
    record.journal.iter_mut().try_for_each(|at| body("journal", at))
}

/// Whether anything in `record` is sealed.
pub(crate) fn is_sealed(record: &InvocationRecord) -> bool {
    let journal = record.journal.as_ref().is_some_and(|at| !at.sealed.is_empty());
    journal || !record.redacted.is_empty()
}

#[cfg(test)]
mod tests {
    use nexus_model::record::{HttpInput, Input, Output};

    use super::*;
    use crate::MasterKey;

    fn record() -> InvocationRecord {
        let header = |name: &str, value: &'static str| Header {
            name: name.into(),
            value: Bytes::from_static(value.as_bytes()),
            sealed: Bytes::new(),
        };
        InvocationRecord {
            id: Bytes::from(vec![1; 16]),
            input: Some(Input {
                form: Some(input::Form::Http(HttpInput {
                    headers: vec![header("authorization", "Bearer x"), header("accept", "*/*")],
                    body: Body::inline(Bytes::from_static(b"{\"card\":\"4711\",\"n\":1}")),
                    ..HttpInput::default()
                })),
            }),
            output: Some(Output {
                body: Some(Body::inline(Bytes::from_static(b"not json"))),
                ..Output::default()
            }),
            journal: Some(Body::inline(Bytes::from_static(b"journal with 4711"))),
            ..InvocationRecord::default()
        }
    }

    fn rules(mode: RedactionMode) -> Redaction {
        let fields = vec!["card".into(), "absent".into()];
        Redaction { headers: vec!["Authorization".into()], fields, mode }
    }

    #[test]
    fn sealed_values_are_hidden_and_come_back() {
        let key = MasterKey::from_bytes([3; 32]).derive("test");
        let mut redacted = record();
        Redactor::new(&rules(RedactionMode::Seal), key.clone()).apply(&mut redacted);
        let clear = format!("{:?}", redacted.input) + &format!("{:?}", redacted.journal);
        assert!(!clear.contains("4711") && !clear.contains("Bearer"), "{clear}");
        assert_eq!(redacted.redacted, ["input header authorization", "input field card"]);
        assert!(redacted.not_replayable.is_empty());
        unseal(&mut redacted, &key).unwrap();
        redacted.redacted.clear();
        assert_eq!(redacted, record());
    }

    #[test]
    fn dropped_values_are_gone_and_the_record_says_so() {
        let mut redacted = record();
        Redactor::new(&rules(RedactionMode::Drop), MasterKey::from_bytes([3; 32]).derive("test"))
            .apply(&mut redacted);
        assert_eq!(redacted.not_replayable, "not exact: redacted at input header authorization");
        assert!(!format!("{:?}", redacted.input).contains("4711"));
    }

    #[test]
    fn another_key_opens_nothing() {
        let key = MasterKey::from_bytes([3; 32]);
        let mut redacted = record();
        Redactor::new(&rules(RedactionMode::Seal), key.derive("a")).apply(&mut redacted);
        assert!(unseal(&mut redacted, &key.derive("b")).is_err());
    }
}
