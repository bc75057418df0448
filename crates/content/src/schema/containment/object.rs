//! Properties, and who says what about those that nobody names.

use serde_json::{Map, Value};

use super::scalar::concerns;
use super::{Containment, Pair, Reason, below};

fn members<'a>(schema: &'a Map<String, Value>, keyword: &str) -> Vec<(&'a String, &'a Value)> {
    schema.get(keyword).and_then(Value::as_object).into_iter().flatten().collect()
}

fn member<'a>(schema: &'a Map<String, Value>, keyword: &str, name: &str) -> Option<&'a Value> {
    schema.get(keyword)?.as_object()?.get(name)
}

fn strings(value: Option<&Value>) -> Vec<&str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

impl<'a> Containment<'a> {
    pub(super) fn object(&mut self, pair: Pair<'a>, at: &str, reasons: &mut Vec<Reason>) {
        if !concerns(pair.writer, "object") {
            return;
        }
        required(pair, at, reasons);
        dependent(pair, at, reasons);
        self.properties(pair, at, reasons);
        self.patterns(pair, at, reasons);
        let keyword = "additionalProperties";
        let (reader, writer) = (pair.reader.get(keyword), pair.writer.get(keyword));
        self.compare(reader, writer, &format!("{at}/{keyword}"), reasons);
    }

    fn properties(&mut self, pair: Pair<'a>, at: &str, reasons: &mut Vec<Reason>) {
        let others = |schema: &'a Map<String, Value>| schema.get("additionalProperties");
        let patterned = |schema: &Map<String, Value>| schema.contains_key("patternProperties");
        for (name, property) in members(pair.reader, "properties") {
            let at = below(at, "properties", name);
            let written = member(pair.writer, "properties", name);
            if written.is_none() && patterned(pair.writer) {
                // Which pattern the name meets is not looked at: then only "anything" is safe.
                self.compare(Some(property), None, &at, reasons);
                continue;
            }
            let written = written.or(others(pair.writer));
            let before = reasons.len();
            self.compare(Some(property), written, &at, reasons);
            if written.is_none() && reasons.len() > before {
                reasons.truncate(before);
                let reason = "the property was added with rules, but anything was allowed under \
                              this name";
                reasons.push((at, reason.to_owned()));
            }
        }
        for (name, property) in members(pair.writer, "properties") {
            if member(pair.reader, "properties", name).is_some() || patterned(pair.reader) {
                continue;
            }
            let at = below(at, "properties", name);
            match others(pair.reader) {
                Some(Value::Bool(false)) if property != &Value::Bool(false) => {
                    let reason = "the property was removed, and no others are allowed";
                    reasons.push((at, reason.to_owned()));
                }
                others => self.compare(others, Some(property), &at, reasons),
            }
        }
    }

    fn patterns(&mut self, pair: Pair<'a>, at: &str, reasons: &mut Vec<Reason>) {
        let keyword = "patternProperties";
        for (pattern, property) in members(pair.reader, keyword) {
            let at = below(at, keyword, pattern);
            match member(pair.writer, keyword, pattern) {
                Some(written) => self.compare(Some(property), Some(written), &at, reasons),
                None => reasons.push((at, "the pattern of properties was added".to_owned())),
            }
        }
        for (pattern, property) in members(pair.writer, keyword) {
            if member(pair.reader, keyword, pattern).is_none() {
                let others = pair.reader.get("additionalProperties");
                self.compare(others, Some(property), &below(at, keyword, pattern), reasons);
            }
        }
    }
}

fn required(pair: Pair<'_>, at: &str, reasons: &mut Vec<Reason>) {
    let written = strings(pair.writer.get("required"));
    for name in strings(pair.reader.get("required")) {
        let has_default = member(pair.reader, "properties", name)
            .is_some_and(|property| property.get("default").is_some());
        if !written.contains(&name) && !has_default {
            let reason = format!("'{name}' is required now, without a default");
            reasons.push((format!("{at}/required"), reason));
        }
    }
}

fn dependent(pair: Pair<'_>, at: &str, reasons: &mut Vec<Reason>) {
    let keyword = "dependentRequired";
    for (name, needed) in members(pair.reader, keyword) {
        let written = strings(member(pair.writer, keyword, name));
        let always = strings(pair.writer.get("required"));
        for other in strings(Some(needed)) {
            if !written.contains(&other) && !always.contains(&other) {
                let reason = format!("'{other}' is required now where '{name}' is there");
                reasons.push((below(at, keyword, name), reason));
            }
        }
    }
}
