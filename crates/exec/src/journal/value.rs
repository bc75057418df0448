//! Outcomes as JSON: what a debugger shows, and what people give it to answer otherwise.
//!
//! | outcome | JSON |
//! |---|---|
//! | nothing | `null` |
//! | a number | `65536` |
//! | a clock | `"1795000000.000000500"`, seconds |
//! | bytes | `{"text": "…"}` or `{"base64": "…"}` |
//! | a response's head | `{"status": 200, "headers": [["name", "value"]]}` |
//! | a failure | `{"error": "…", "code": 6}` |
//! | the end of a stream, not yet, taken before | `{"end": true}`, `{"pending": true}`, `{"consumed": true}` |

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Fault, Item, Outcome};

impl Outcome {
    /// The outcome as JSON; [`from_value`](Self::from_value) reads it again.
    pub fn to_value(&self) -> Value {
        match self {
            Outcome::Done => Value::Null,
            Outcome::Number(number) => json!(number),
            Outcome::Clock(ns) => {
                let (seconds, rest) = (ns.div_euclid(NS), ns.rem_euclid(NS));
                json!(format!("{seconds}.{rest:09}"))
            }
            Outcome::Indices(indices) => json!({ "ready": indices }),
            Outcome::Bytes(bytes) => blob(bytes),
            Outcome::Taken(length) => json!({ "taken": length }),
            Outcome::Pending => json!({ "pending": true }),
            Outcome::Consumed => json!({ "consumed": true }),
            Outcome::Closed => json!({ "end": true }),
            Outcome::Failed(fault) => {
                let mut value = json!({ "error": fault.text, "code": fault.code });
                if let Some(number) = fault.number {
                    value["number"] = number.into();
                }
                value
            }
            Outcome::Head { status, headers } => {
                json!({ "status": status, "headers": fields(headers) })
            }
            Outcome::Trailers(None) => json!({ "trailers": null }),
            Outcome::Trailers(Some(trailers)) => json!({ "trailers": fields(trailers) }),
            Outcome::Texts(texts) => json!(texts),
            Outcome::Payload { content_type, data } => {
                let mut value = blob(data);
                value["content_type"] = content_type.as_str().into();
                value
            }
            Outcome::Exchange { status, headers, body, trailers } => {
                let mut value = blob(body);
                value["status"] = (*status).into();
                value["headers"] = fields(headers);
                value["trailers"] = fields(trailers);
                value
            }
            Outcome::Many(outcomes) => {
                json!({ "all": outcomes.iter().map(Outcome::to_value).collect::<Vec<_>>() })
            }
            Outcome::Items(items) => {
                let item = |item: &Item| {
                    let mut value = blob(&item.value);
                    value["key"] = item.key.as_str().into();
                    value["version"] = item.version.into();
                    value
                };
                json!({ "items": items.iter().map(item).collect::<Vec<_>>() })
            }
        }
    }

    /// The outcome that a piece of JSON means where `like` was the recorded one.
    ///
    /// # Errors
    /// The JSON is no outcome, or none that the operation can have: what is expected.
    pub fn from_value(value: &Value, like: &Outcome) -> Result<Self, String> {
        let parsed = parse(value, like)
            .ok_or_else(|| format!("the result must have the form {}", like.to_value()))?;
        let may_differ = |outcome: &Outcome| {
            use Outcome::{Bytes, Closed, Exchange, Failed, Head, Pending};
            matches!(
                outcome,
                Bytes(_) | Closed | Exchange { .. } | Failed(_) | Head { .. } | Pending
            )
        };
        let same = std::mem::discriminant(&parsed) == std::mem::discriminant(like);
        let fails = matches!(parsed, Outcome::Failed(_)) || matches!(like, Outcome::Failed(_));
        if matches!(like, Outcome::Taken(_)) {
            return Err("this is the input of the invocation; its pieces cannot be edited".into());
        }
        if same || fails || (may_differ(&parsed) && may_differ(like)) {
            return Ok(parsed);
        }
        Err(format!("the operation cannot give {value}; it gave {}", like.to_value()))
    }
}

const NS: i64 = 1_000_000_000;

fn blob(bytes: &Bytes) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!({ "text": text }),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

fn fields(fields: &[(String, Bytes)]) -> Value {
    fields.iter().map(|(name, value)| json!([name, String::from_utf8_lossy(value)])).collect()
}

fn parse(value: &Value, like: &Outcome) -> Option<Outcome> {
    match value {
        Value::Null => Some(Outcome::Done),
        Value::Number(number) => match like {
            Outcome::Clock(_) => seconds(&number.to_string()).map(Outcome::Clock),
            _ => number.as_u64().map(Outcome::Number),
        },
        Value::Bool(flag) => Some(Outcome::Number(u64::from(*flag))),
        Value::String(text) => match like {
            Outcome::Clock(_) => seconds(text).map(Outcome::Clock),
            Outcome::Bytes(_) | Outcome::Closed => Some(Outcome::Bytes(text.clone().into())),
            _ => None,
        },
        Value::Array(texts) => {
            let text = |text: &Value| text.as_str().map(ToOwned::to_owned);
            texts.iter().map(text).collect::<Option<_>>().map(Outcome::Texts)
        }
        Value::Object(object) => object_outcome(object, like),
    }
}

fn object_outcome(object: &Map<String, Value>, like: &Outcome) -> Option<Outcome> {
    let is = |name: &str| object.get(name).and_then(Value::as_bool) == Some(true);
    if let Some(text) = object.get("error") {
        let before = match like {
            Outcome::Failed(fault) => fault.code,
            _ => INTERNAL_ERROR,
        };
        let code = match object.get("code") {
            Some(code) => u8::try_from(code.as_u64()?).ok()?,
            None => before,
        };
        let number = object.get("number").and_then(Value::as_u64);
        return Some(Outcome::Failed(Fault { code, text: text.as_str()?.to_owned(), number }));
    }
    if is("end") {
        return Some(Outcome::Closed);
    }
    if is("pending") {
        return Some(Outcome::Pending);
    }
    if is("consumed") {
        return Some(Outcome::Consumed);
    }
    if let Some(ready) = object.get("ready") {
        let index = |index: &Value| index.as_u64().and_then(|index| u32::try_from(index).ok());
        return Some(Outcome::Indices(ready.as_array()?.iter().map(index).collect::<Option<_>>()?));
    }
    if let Some(all) = object.get("all") {
        let Outcome::Many(like) = like else { return None };
        let outcome = |(value, like)| parse(value, like);
        let all = all.as_array()?;
        let outcomes = all.iter().zip(like).map(outcome).collect::<Option<Vec<_>>>()?;
        return (outcomes.len() == all.len()).then_some(Outcome::Many(outcomes));
    }
    if let Some(items) = object.get("items") {
        return Some(Outcome::Items(items.as_array()?.iter().map(item).collect::<Option<_>>()?));
    }
    if let Some(status) = object.get("status") {
        let status = u16::try_from(status.as_u64()?).ok().filter(|it| (100..1000).contains(it))?;
        let headers = take_fields(object.get("headers"))?;
        return Some(match unblob(object) {
            Some(body) => {
                let trailers = take_fields(object.get("trailers"))?;
                Outcome::Exchange { status, headers, body, trailers }
            }
            None => Outcome::Head { status, headers },
        });
    }
    if let Some(trailers) = object.get("trailers") {
        return Some(Outcome::Trailers(match trailers {
            Value::Null => None,
            trailers => Some(take_fields(Some(trailers))?),
        }));
    }
    let bytes = unblob(object)?;
    Some(match object.get("content_type") {
        Some(ty) => Outcome::Payload { content_type: ty.as_str()?.to_owned(), data: bytes },
        None => Outcome::Bytes(bytes),
    })
}

/// An HTTP failure that is none of the known ones.
const INTERNAL_ERROR: u8 = 67;

fn unblob(object: &Map<String, Value>) -> Option<Bytes> {
    if let Some(text) = object.get("text") {
        return Some(text.as_str()?.to_owned().into());
    }
    if let Some(value) = object.get("json") {
        return Some(value.to_string().into());
    }
    STANDARD.decode(object.get("base64")?.as_str()?).ok().map(Bytes::from)
}

fn take_fields(value: Option<&Value>) -> Option<Vec<(String, Bytes)>> {
    let pair = |pair: &Value| {
        let (name, value) = (pair.get(0)?.as_str()?, pair.get(1)?.as_str()?);
        Some((name.to_owned(), Bytes::from(value.to_owned())))
    };
    value.map_or(Some(Vec::new()), |value| value.as_array()?.iter().map(pair).collect())
}

fn item(value: &Value) -> Option<Item> {
    let object = value.as_object()?;
    Some(Item {
        key: object.get("key").and_then(Value::as_str).unwrap_or_default().to_owned(),
        version: object.get("version").and_then(Value::as_u64).unwrap_or_default(),
        value: unblob(object)?,
    })
}

/// Seconds with up to nine decimals, in nanoseconds.
fn seconds(text: &str) -> Option<i64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 9 || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let rest: i64 = format!("{decimals:0<9}").parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(NS)?.checked_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes() -> Vec<Outcome> {
        let pair = || vec![("a".to_owned(), Bytes::from_static(b"b"))];
        vec![
            Outcome::Done,
            Outcome::Number(65_536),
            Outcome::Clock(1_795_000_000_000_000_500),
            Outcome::Clock(700),
            Outcome::Indices(vec![1, 0]),
            Outcome::Bytes(Bytes::from_static(b"text")),
            Outcome::Bytes(Bytes::from_static(b"\xff\x00")),
            Outcome::Pending,
            Outcome::Consumed,
            Outcome::Closed,
            Outcome::Failed(Fault { code: 6, text: "no".into(), number: Some(3) }),
            Outcome::Head { status: 200, headers: pair() },
            Outcome::Trailers(None),
            Outcome::Trailers(Some(pair())),
            Outcome::Texts(vec!["evt_1".into()]),
            Outcome::Payload { content_type: "text/plain".into(), data: Bytes::from_static(b"x") },
            Outcome::Exchange {
                status: 404,
                headers: pair(),
                body: Bytes::from_static(b"{}"),
                trailers: Vec::new(),
            },
            Outcome::Many(vec![Outcome::Done, Outcome::Number(1)]),
            Outcome::Items(vec![Item { key: "k".into(), version: 2, value: Bytes::new() }]),
        ]
    }

    #[test]
    fn outcomes_are_read_as_they_are_shown() {
        for outcome in outcomes() {
            let value = outcome.to_value();
            assert_eq!(Outcome::from_value(&value, &outcome).as_ref(), Ok(&outcome), "{value}");
        }
    }

    #[test]
    fn a_result_of_another_kind_is_refused() {
        let number = Outcome::Number(1);
        for wrong in [json!({ "status": 200 }), json!("x"), json!({ "nothing": 1 }), json!(-1)] {
            assert!(Outcome::from_value(&wrong, &number).is_err(), "{wrong}");
        }
        let head = Outcome::Head { status: 200, headers: Vec::new() };
        let failed = Outcome::from_value(&json!({ "error": "down" }), &head).unwrap();
        assert!(matches!(failed, Outcome::Failed(fault) if fault.text == "down"));
        assert!(Outcome::from_value(&json!({ "text": "x" }), &Outcome::Taken(3)).is_err());
    }
}
