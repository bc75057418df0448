//! What a journaled host function gave back.

use bytes::Bytes;

use super::{Cursor, put_bytes, put_number, put_signed};

/// The result of one operation.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// It returned, without a value or with one that follows from what is known.
    Done,
    /// A number: a permit, a boolean.
    Number(u64),
    /// A reading of a clock, in nanoseconds. Stored as the difference from the last one.
    Clock(i64),
    /// Which of the things asked for are ready.
    Indices(Vec<u32>),
    /// Bytes from outside.
    Bytes(Bytes),
    /// So many bytes of the input, which the record keeps elsewhere.
    Taken(u64),
    /// Not there yet.
    Pending,
    /// It was taken before.
    Consumed,
    /// The stream has ended.
    Closed,
    /// It failed.
    Failed(Fault),
    /// The head of an HTTP response.
    Head {
        /// The status.
        status: u16,
        /// Header fields in order.
        headers: Vec<(String, Bytes)>,
    },
    /// Trailer fields, or none.
    Trailers(Option<Vec<(String, Bytes)>>),
    /// Texts: ids of events.
    Texts(Vec<String>),
    /// A result with its media type.
    Payload {
        /// The media type.
        content_type: String,
        /// The bytes.
        data: Bytes,
    },
    /// A whole HTTP response: what a durable function sees of one.
    Exchange {
        /// The status.
        status: u16,
        /// Header fields in order.
        headers: Vec<(String, Bytes)>,
        /// The body.
        body: Bytes,
        /// Trailer fields.
        trailers: Vec<(String, Bytes)>,
    },
    /// Several results, in the order of the calls. They hold no clock readings.
    Many(Vec<Outcome>),
    /// Stored values.
    Items(Vec<Item>),
}

/// A stored value as an outcome.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Item {
    /// Its key; empty where the arguments name it.
    pub key: String,
    /// Its version.
    pub version: u64,
    /// The value.
    pub value: Bytes,
}

/// A failure as a guest sees it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fault {
    /// Which error: a number that belongs to the function.
    pub code: u8,
    /// Its text.
    pub text: String,
    /// Its number, if it has one.
    pub number: Option<u64>,
}

impl Outcome {
    fn tag(&self) -> u8 {
        match self {
            Outcome::Done => 0,
            Outcome::Number(_) => 1,
            Outcome::Clock(_) => 2,
            Outcome::Indices(_) => 3,
            Outcome::Bytes(_) => 4,
            Outcome::Taken(_) => 5,
            Outcome::Pending => 6,
            Outcome::Consumed => 7,
            Outcome::Closed => 8,
            Outcome::Failed(_) => 9,
            Outcome::Head { .. } => 10,
            Outcome::Trailers(None) => 11,
            Outcome::Trailers(Some(_)) => 12,
            Outcome::Texts(_) => 13,
            Outcome::Payload { .. } => 14,
            Outcome::Exchange { .. } => 15,
            Outcome::Many(_) => 16,
            Outcome::Items(_) => 17,
        }
    }

    /// `clock` is the last reading of the same clock.
    pub(crate) fn put(&self, buffer: &mut Vec<u8>, clock: &mut i64) {
        buffer.push(self.tag());
        match self {
            Outcome::Number(number) | Outcome::Taken(number) => put_number(buffer, *number),
            Outcome::Clock(ns) => {
                put_signed(buffer, ns.wrapping_sub(*clock));
                *clock = *ns;
            }
            Outcome::Indices(indices) => {
                put_number(buffer, indices.len() as u64);
                for index in indices {
                    put_number(buffer, u64::from(*index));
                }
            }
            Outcome::Bytes(bytes) => put_bytes(buffer, bytes),
            Outcome::Failed(fault) => {
                buffer.push(fault.code);
                put_bytes(buffer, fault.text.as_bytes());
                put_number(buffer, fault.number.map_or(0, |number| number.saturating_add(1)));
            }
            Outcome::Head { status, headers } => {
                put_number(buffer, u64::from(*status));
                put_fields(buffer, headers);
            }
            Outcome::Trailers(Some(fields)) => put_fields(buffer, fields),
            Outcome::Texts(texts) => {
                put_number(buffer, texts.len() as u64);
                for text in texts {
                    put_bytes(buffer, text.as_bytes());
                }
            }
            Outcome::Payload { content_type, data } => {
                put_bytes(buffer, content_type.as_bytes());
                put_bytes(buffer, data);
            }
            Outcome::Exchange { status, headers, body, trailers } => {
                put_number(buffer, u64::from(*status));
                put_fields(buffer, headers);
                put_bytes(buffer, body);
                put_fields(buffer, trailers);
            }
            Outcome::Many(outcomes) => {
                put_number(buffer, outcomes.len() as u64);
                for outcome in outcomes {
                    outcome.put(buffer, clock);
                }
            }
            Outcome::Items(items) => {
                put_number(buffer, items.len() as u64);
                for item in items {
                    put_bytes(buffer, item.key.as_bytes());
                    put_number(buffer, item.version);
                    put_bytes(buffer, &item.value);
                }
            }
            Outcome::Done
            | Outcome::Pending
            | Outcome::Consumed
            | Outcome::Closed
            | Outcome::Trailers(None) => {}
        }
    }

    pub(crate) fn take(cursor: &mut Cursor, clock: &mut i64) -> Option<Self> {
        Some(match cursor.byte()? {
            14 => Outcome::Payload { content_type: cursor.text()?, data: cursor.blob()? },
            15 => Outcome::Exchange {
                status: u16::try_from(cursor.number()?).ok()?,
                headers: take_fields(cursor)?,
                body: cursor.blob()?,
                trailers: take_fields(cursor)?,
            },
            16 => {
                let count = cursor.length()?;
                let nested = |_| match cursor.bytes.get(cursor.at)? {
                    // One level only: a forged journal must not recurse without end.
                    16 => None,
                    _ => Outcome::take(cursor, clock),
                };
                Outcome::Many((0..count).map(nested).collect::<Option<_>>()?)
            }
            17 => {
                let count = cursor.length()?;
                let item = |_| {
                    Some(Item {
                        key: cursor.text()?,
                        version: cursor.number()?,
                        value: cursor.blob()?,
                    })
                };
                Outcome::Items((0..count).map(item).collect::<Option<_>>()?)
            }
            0 => Outcome::Done,
            1 => Outcome::Number(cursor.number()?),
            2 => {
                *clock = clock.wrapping_add(cursor.signed()?);
                Outcome::Clock(*clock)
            }
            3 => {
                let count = cursor.length()?;
                let indices = (0..count).map(|_| u32::try_from(cursor.number()?).ok());
                Outcome::Indices(indices.collect::<Option<_>>()?)
            }
            4 => Outcome::Bytes(cursor.blob()?),
            5 => Outcome::Taken(cursor.number()?),
            6 => Outcome::Pending,
            7 => Outcome::Consumed,
            8 => Outcome::Closed,
            9 => Outcome::Failed(Fault {
                code: cursor.byte()?,
                text: cursor.text()?,
                number: cursor.number()?.checked_sub(1),
            }),
            10 => Outcome::Head {
                status: u16::try_from(cursor.number()?).ok()?,
                headers: take_fields(cursor)?,
            },
            11 => Outcome::Trailers(None),
            12 => Outcome::Trailers(Some(take_fields(cursor)?)),
            13 => {
                let count = cursor.length()?;
                Outcome::Texts((0..count).map(|_| cursor.text()).collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }

    /// Shows every value that came from outside to `change`.
    pub(crate) fn each_bytes(&mut self, change: &mut dyn FnMut(&mut Bytes)) {
        let fields = |fields: &mut Vec<(String, Bytes)>, change: &mut dyn FnMut(&mut Bytes)| {
            fields.iter_mut().for_each(|(_, value)| change(value));
        };
        match self {
            Outcome::Bytes(bytes) | Outcome::Payload { data: bytes, .. } => change(bytes),
            Outcome::Head { headers, .. } | Outcome::Trailers(Some(headers)) => {
                fields(headers, change);
            }
            Outcome::Exchange { headers, body, trailers, .. } => {
                fields(headers, change);
                change(body);
                fields(trailers, change);
            }
            Outcome::Many(outcomes) => outcomes.iter_mut().for_each(|at| at.each_bytes(change)),
            Outcome::Items(items) => items.iter_mut().for_each(|item| change(&mut item.value)),
            Outcome::Failed(_)
            | Outcome::Texts(_)
            | Outcome::Done
            | Outcome::Number(_)
            | Outcome::Clock(_)
            | Outcome::Indices(_)
            | Outcome::Taken(_)
            | Outcome::Pending
            | Outcome::Consumed
            | Outcome::Closed
            | Outcome::Trailers(None) => {}
        }
    }

    /// For people; long values are shortened.
    pub fn summary(&self) -> String {
        match self {
            Outcome::Done => String::new(),
            Outcome::Number(number) => number.to_string(),
            Outcome::Clock(ns) => format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000),
            Outcome::Indices(indices) => format!("ready: {indices:?}"),
            Outcome::Bytes(bytes) => {
                format!("{} bytes: {}", bytes.len(), shorten(&String::from_utf8_lossy(bytes)))
            }
            Outcome::Taken(length) => format!("{length} bytes of the input"),
            Outcome::Pending => "not yet".to_owned(),
            Outcome::Consumed => "taken before".to_owned(),
            Outcome::Closed => "end".to_owned(),
            Outcome::Failed(fault) => format!("failed: {}", shorten(&fault.text)),
            Outcome::Head { status, headers } => format!("{status}, {} headers", headers.len()),
            Outcome::Trailers(None) => "no trailers".to_owned(),
            Outcome::Trailers(Some(fields)) => format!("{} trailers", fields.len()),
            Outcome::Texts(texts) => shorten(&texts.join(", ")),
            Outcome::Payload { content_type, data } => {
                let text = shorten(&String::from_utf8_lossy(data));
                format!("{} bytes of {content_type}: {text}", data.len())
            }
            Outcome::Exchange { status, headers, body, .. } => {
                let text = shorten(&String::from_utf8_lossy(body));
                format!("{status}, {} headers, {} bytes: {text}", headers.len(), body.len())
            }
            Outcome::Many(outcomes) => {
                let all: Vec<String> = outcomes.iter().map(Outcome::summary).collect();
                shorten(&all.join("; "))
            }
            Outcome::Items(items) => match &items[..] {
                [item] => {
                    let text = shorten(&String::from_utf8_lossy(&item.value));
                    format!("version {}, {} bytes: {text}", item.version, item.value.len())
                }
                items => format!("{} values", items.len()),
            },
        }
    }
}

fn shorten(text: &str) -> String {
    const SHOWN: usize = 120;
    let mut short: String = text
        .chars()
        .take(SHOWN)
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        short.push('…');
    }
    short
}

fn put_fields(buffer: &mut Vec<u8>, fields: &[(String, Bytes)]) {
    put_number(buffer, fields.len() as u64);
    for (name, value) in fields {
        put_bytes(buffer, name.as_bytes());
        put_bytes(buffer, value);
    }
}

fn take_fields(cursor: &mut Cursor) -> Option<Vec<(String, Bytes)>> {
    let count = cursor.length()?;
    (0..count).map(|_| Some((cursor.text()?, cursor.blob()?))).collect()
}
