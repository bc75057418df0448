//! Items of arrays.

use serde_json::{Map, Value};

use super::scalar::concerns;
use super::{Containment, Pair, Reason};

impl<'a> Containment<'a> {
    pub(super) fn array(&mut self, pair: Pair<'a>, at: &str, reasons: &mut Vec<Reason>) {
        if !concerns(pair.writer, "array") {
            return;
        }
        let named = |schema: &'a Map<String, Value>| -> &'a [Value] {
            schema.get("prefixItems").and_then(Value::as_array).map_or(&[], Vec::as_slice)
        };
        let (reader, writer) = (named(pair.reader), named(pair.writer));
        let (others_read, others_written) = (pair.reader.get("items"), pair.writer.get("items"));
        for index in 0..reader.len().max(writer.len()) {
            let at = match reader.get(index) {
                Some(_) => format!("{at}/prefixItems/{index}"),
                None => format!("{at}/items"),
            };
            let (read, written) =
                (reader.get(index).or(others_read), writer.get(index).or(others_written));
            self.compare(read, written, &at, reasons);
        }
        self.compare(others_read, others_written, &format!("{at}/items"), reasons);
    }
}
