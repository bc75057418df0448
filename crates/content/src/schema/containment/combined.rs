//! `allOf`, `anyOf`, `oneOf` and references beside other keywords.

use serde_json::{Map, Value};

use super::{Containment, Pair, Reason, follow};

fn list<'a>(schema: &'a Map<String, Value>, keyword: &str) -> &'a [Value] {
    schema.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

impl<'a> Containment<'a> {
    /// The reader allows something when each of its parts in `allOf` does, one of its alternatives
    /// does, and the schema that it refers to does.
    pub(super) fn combined(&mut self, pair: Pair<'a>, at: &str, reasons: &mut Vec<Reason>) {
        for (index, part) in list(pair.reader, "allOf").iter().enumerate() {
            if !self.is_promised(part, pair) {
                let at = format!("{at}/allOf/{index}");
                reasons.push((at, "this part was added or became narrower".to_owned()));
            }
        }
        for keyword in ["anyOf", "oneOf"] {
            let alternatives = list(pair.reader, keyword);
            if alternatives.is_empty() {
                continue;
            }
            if !alternatives.iter().any(|alternative| self.is_promised(alternative, pair)) {
                let reason = "what was allowed fits none of these alternatives as a whole";
                reasons.push((format!("{at}/{keyword}"), reason.to_owned()));
            }
        }
        if let Some(reference) = pair.reader.get("$ref")
            && pair.writer.get("$ref") != Some(reference)
        {
            let reason = "a reference beside other keywords was added or changed";
            reasons.push((format!("{at}/$ref"), reason.to_owned()));
        }
    }

    /// Whether the writer's schema as a whole, or one of the parts that it always keeps, lies inside
    /// a part of the reader's.
    fn is_promised(&mut self, part: &'a Value, pair: Pair<'a>) -> bool {
        if list(pair.writer, "allOf").iter().any(|promised| self.holds(part, promised)) {
            return true;
        }
        let Some(part) = follow(self.reader, part) else { return false };
        let Some(part) = part.as_object() else { return part == &Value::Bool(true) };
        // The writer's keywords side by side with the part's.
        let pair = Pair { reader: part, writer: pair.writer };
        !part.contains_key("$ref") && self.attempt(|at, reasons| at.keywords(pair, "", reasons))
    }

    /// When the writer has alternatives: each one must be allowed by the reader. Says whether the
    /// writer has any.
    pub(super) fn alternatives_of_writer(
        &mut self,
        pair: Pair<'a>,
        at: &str,
        reasons: &mut Vec<Reason>,
    ) -> bool {
        for keyword in ["anyOf", "oneOf"] {
            let written = list(pair.writer, keyword);
            // Keywords beside the alternatives narrow them; only lone alternatives are compared.
            if written.is_empty() || pair.writer.contains_key("type") {
                continue;
            }
            for (index, alternative) in written.iter().enumerate() {
                if !self.fits(pair.reader, alternative) {
                    let reason = format!("alternative {index} of '{keyword}' is no longer allowed");
                    reasons.push((format!("{at}/{keyword}"), reason));
                }
            }
            return true;
        }
        false
    }

    fn fits(&mut self, reader: &'a Map<String, Value>, alternative: &'a Value) -> bool {
        let Some(alternative) = follow(self.writer, alternative) else { return false };
        let Some(writer) = alternative.as_object() else {
            return alternative == &Value::Bool(false);
        };
        self.attempt(|at, reasons| at.keywords(Pair { reader, writer }, "", reasons))
    }
}
