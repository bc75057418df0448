//! What is replaced before a recording leaves the server as a file.

use bytes::Bytes;
use nexus_exec::journal::Outcome;
use nexus_exec::rehearsal::{Effect, Scene};
use nexus_model::case::{CaseEnd, CaseEvent, Field};
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
                event.data.iter_mut().for_each(|data| self.bytes("input", &mut data.inline));
            }
            Some(input::Form::Command(command)) => self.bytes("input", &mut command.stdin.inline),
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
            Outcome::Payload { data, .. } => self.bytes("answer", data),
            Outcome::Items(items) => {
                items.iter_mut().for_each(|item| self.bytes("answer", &mut item.value));
            }
            _ => {}
        }
    }

    fn header(&mut self, side: &str, (name, value): (&str, &mut Bytes)) {
        if self.headers.iter().any(|covered| covered.eq_ignore_ascii_case(name)) {
            *value = Bytes::from_static(TOKEN.as_bytes());
            self.note(format!("{side} header {name}"));
        }
    }

    fn bytes(&mut self, side: &str, bytes: &mut Bytes) {
        if self.fields.is_empty() || bytes.first() != Some(&b'{') {
            return;
        }
        let Ok(mut object) = serde_json::from_slice::<Map<String, Value>>(bytes) else { return };
        if self.object(side, &mut object)
            && let Ok(covered) = serde_json::to_vec(&object)
        {
            *bytes = covered.into();
        }
    }

    /// Whether anything was replaced.
    fn object(&mut self, side: &str, object: &mut Map<String, Value>) -> bool {
        let mut any = false;
        for at in 0..self.fields.len() {
            let field = self.fields[at].clone();
            if let Some(value) = object.get_mut(&field) {
                *value = TOKEN.into();
                any = true;
                self.note(format!("{side} field {field}"));
            }
        }
        any
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
                    let fields = self.fields.iter().filter(|field| object.contains_key(*field));
                    for rule in fields.map(|field| format!("$['{field}']")) {
                        if !rules.ignore.contains(&rule) {
                            rules.ignore.push(rule);
                        }
                    }
                    self.object("request", object);
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
            if !rules.ignore_headers.contains(&name) {
                rules.ignore_headers.push(name);
            }
        }
    }

    /// What came of it.
    pub(super) fn end(&mut self, end: &mut CaseEnd, rules: &mut CompareRules) {
        for Field { name, value } in end.headers.iter_mut().chain(&mut end.trailers) {
            let before = value.0.clone();
            self.header("output", (name, &mut value.0));
            if value.0 != before && !rules.ignore_headers.contains(name) {
                rules.ignore_headers.push(name.clone());
            }
        }
        let mut body = |cover: &mut Cover, bytes: &mut Bytes| {
            let before = cover.places.len();
            cover.bytes("output", bytes);
            for place in &cover.places[before..] {
                let field = place.trim_start_matches("output field ");
                rules.ignore.push(format!("$['{field}']"));
            }
        };
        body(self, &mut end.body.0);
        for CaseEvent { data, .. } in &mut end.events {
            data.iter_mut().for_each(|data| body(self, &mut data.0));
        }
    }
}
