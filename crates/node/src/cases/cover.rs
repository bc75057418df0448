//! What is replaced before a recording leaves the server as a file.

use bytes::Bytes;
use nexus_exec::journal::Outcome;
use nexus_exec::rehearsal::{Effect, Scene};
use nexus_model::case::{CaseEnd, CaseEvent, Content, Field};
use nexus_model::record::input;
use nexus_model::resource::Redaction;
use nexus_model::view::CompareRules;
use serde_json::{Map, Value};

use crate::redact::TOKEN;

/// Header fields that hold credentials wherever they are.
const CREDENTIALS: [&str; 8] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "api-key",
    "x-auth-token",
    "x-csrf-token",
];

/// Replaces header fields and top-level fields of JSON by a token, and notes where.
pub(super) struct Cover {
    headers: Vec<String>,
    fields: Vec<String>,
    pub(super) places: Vec<String>,
}

impl Cover {
    /// Of credentials, and of what the function's rules name; of nothing without rules.
    pub(super) fn new(rules: Option<&Redaction>) -> Self {
        let mut cover = Cover { headers: Vec::new(), fields: Vec::new(), places: Vec::new() };
        if let Some(rules) = rules {
            let named = rules.headers.iter().map(|name| name.to_ascii_lowercase());
            cover.headers = CREDENTIALS.into_iter().map(str::to_owned).chain(named).collect();
            cover.fields.clone_from(&rules.fields);
        }
        cover
    }

    fn note(&mut self, place: String) {
        if !self.places.contains(&place) {
            self.places.push(place);
        }
    }

    /// What went in, and what came from outside.
    pub(super) fn scene(&mut self, scene: &mut Scene) {
        match &mut scene.input.form {
            Some(input::Form::Http(http)) => {
                for header in http.headers.iter_mut().chain(&mut http.trailers) {
                    self.header("input", (&header.name, &mut header.value));
                }
                self.bytes("input", &mut http.body.inline);
            }
            Some(input::Form::Event(event)) => {
                if let Some(data) = &mut event.data {
                    self.bytes("input", &mut data.inline);
                }
            }
            Some(input::Form::Command(command)) => {
                self.bytes("input", &mut command.stdin.inline);
            }
            Some(input::Form::EventRef(_)) | None => {}
        }
        for effect in &mut scene.effects {
            self.answer(effect);
        }
    }

    fn answer(&mut self, effect: &mut Effect) {
        match &mut effect.outcome {
            Outcome::Exchange { headers, body, trailers, .. } => {
                for (name, value) in headers.iter_mut().chain(trailers) {
                    self.header("answer", (name, value));
                }
                self.bytes("answer", body);
            }
            Outcome::Payload { data, .. } => {
                self.bytes("answer", data);
            }
            Outcome::Items(items) => {
                for item in items {
                    self.bytes("answer", &mut item.value);
                }
            }
            _ => {}
        }
    }

    /// Whether the value is another one now.
    fn header(&mut self, side: &str, (name, value): (&str, &mut Bytes)) -> bool {
        if !self.headers.iter().any(|covered| covered.eq_ignore_ascii_case(name)) {
            return false;
        }
        self.note(format!("{side} header {name}"));
        let token = Bytes::from_static(TOKEN.as_bytes());
        std::mem::replace(value, token) != TOKEN.as_bytes()
    }

    /// Which fields were replaced.
    fn bytes(&mut self, side: &str, bytes: &mut Bytes) -> Vec<String> {
        if self.fields.is_empty() || bytes.first() != Some(&b'{') {
            return Vec::new();
        }
        let Ok(mut object) = serde_json::from_slice::<Map<String, Value>>(bytes) else {
            return Vec::new();
        };
        let found = self.object(side, &mut object);
        if !found.is_empty()
            && let Ok(covered) = serde_json::to_vec(&object)
        {
            *bytes = covered.into();
        }
        found
    }

    /// Which fields were replaced.
    fn object(&mut self, side: &str, object: &mut Map<String, Value>) -> Vec<String> {
        let found = self.fields.iter().filter(|field| object.contains_key(*field));
        let found: Vec<String> = found.cloned().collect();
        for field in &found {
            object.insert(field.clone(), TOKEN.into());
            self.note(format!("{side} field {field}"));
        }
        found
    }

    /// What is asked of the world. As a version that is held against it asks for the values
    /// themselves, `rules` learn not to look at them.
    pub(super) fn questions(&mut self, scene: &mut Scene, rules: &mut CompareRules) {
        for effect in &mut scene.effects {
            self.details(&mut effect.details, rules);
        }
    }

    fn details(&mut self, details: &mut Value, rules: &mut CompareRules) {
        match details {
            Value::Array(items) => items.iter_mut().for_each(|item| self.details(item, rules)),
            Value::Object(object) => {
                for pair in
                    object.get_mut("headers").and_then(Value::as_array_mut).into_iter().flatten()
                {
                    self.pair(pair, rules);
                }
                for part in ["body", "data", "value"] {
                    let Some(Value::Object(object)) = object.get_mut(part) else { continue };
                    ignore_fields(rules, self.object("request", object));
                }
            }
            _ => {}
        }
    }

    fn pair(&mut self, pair: &mut Value, rules: &mut CompareRules) {
        let Some(name) = pair[0].as_str().map(str::to_owned) else { return };
        // The place of a secret says nothing already.
        let told = pair[1].as_str().is_some_and(|value| !value.contains("***"));
        if told && self.headers.contains(&name) {
            pair[1] = TOKEN.into();
            self.note(format!("request header {name}"));
            ignore_header(rules, &name);
        }
    }

    /// What came of it.
    pub(super) fn end(&mut self, end: &mut CaseEnd, rules: &mut CompareRules) {
        for Field { name, value } in end.headers.iter_mut().chain(&mut end.trailers) {
            if self.header("output", (name, &mut value.0)) {
                ignore_header(rules, name);
            }
        }
        let returned = end.events.iter_mut().filter_map(|CaseEvent { data, .. }| data.as_mut());
        for Content(bytes) in std::iter::once(&mut end.body).chain(returned) {
            ignore_fields(rules, self.bytes("output", bytes));
        }
    }
}

fn ignore_header(rules: &mut CompareRules, name: &str) {
    if !rules.ignore_headers.iter().any(|known| known == name) {
        rules.ignore_headers.push(name.to_owned());
    }
}

fn ignore_fields(rules: &mut CompareRules, fields: Vec<String>) {
    for rule in fields.into_iter().map(|field| format!("$['{field}']")) {
        if !rules.ignore.contains(&rule) {
            rules.ignore.push(rule);
        }
    }
}
