//! The forms in which values are written in a manifest; each error says what may stand there.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};

use crate::resource::{CronTrigger, EnvValue, EventTrigger, HttpRoute, WebhookTrigger};
use crate::{Name, limits, units};

/// A quantity that is written as a text with a unit, or as a number.
struct Quantity {
    expected: &'static str,
    text: fn(&str) -> Result<u64, String>,
    number: fn(i64) -> Result<u64, String>,
}

impl Visitor<'_> for Quantity {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<u64, E> {
        (self.text)(text).map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<u64, E> {
        (self.number)(number).map_err(E::custom)
    }
}

/// The limits are the server's; told here, they are told with the key and the words of the file.
pub(super) fn timeout_ms<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    fn text(text: &str) -> Result<u64, String> {
        let duration = units::parse_duration(text)?;
        if duration.as_millis() == 0 || duration > limits::TIMEOUT_MAX {
            let max = units::exact_duration(limits::TIMEOUT_MAX);
            return Err(format!("'{text}' is not between 1ms and {max}"));
        }
        u64::try_from(duration.as_millis()).map_err(|error| error.to_string())
    }

    let number = |number| {
        Err(format!(
            "{number} has no unit: write \"{number}s\", or another duration such as \"250ms\""
        ))
    };
    let timeout = Quantity { expected: "a duration such as \"30s\"", text, number };
    deserializer.deserialize_any(timeout).map(Some)
}

pub(super) fn memory_bytes<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    fn text(text: &str) -> Result<u64, String> {
        let bytes = units::parse_size(text)?;
        let (min, max) = (limits::MEMORY_BYTES_MIN as u64, limits::MEMORY_BYTES_MAX as u64);
        if !(min..=max).contains(&bytes) {
            let (min, max) = (units::exact_size(min), units::exact_size(max));
            return Err(format!("'{text}' is not between {min} and {max}"));
        }
        Ok(bytes)
    }

    let expected = "a size such as \"64MiB\", or a number of bytes";
    let memory = Quantity { expected, text, number: |bytes| text(&bytes.to_string()) };
    deserializer.deserialize_any(memory).map(Some)
}

/// An [`EnvValue`] whose errors say what may stand there.
struct Variable(EnvValue);

impl<'de> Deserialize<'de> for Variable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Reference {
            secret: Name,
        }

        struct VariableVisitor;

        fn no_text<E: serde::de::Error>(value: impl fmt::Display) -> Result<Variable, E> {
            Err(E::custom(format!("variables are texts: write \"{value}\"")))
        }

        impl<'de> Visitor<'de> for VariableVisitor {
            type Value = Variable;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text such as \"EUR\", or { secret = \"name\" }")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Variable, E> {
                Ok(Variable(EnvValue::Plain(text.to_owned())))
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Variable, E> {
                no_text(number)
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Variable, E> {
                no_text(number)
            }

            fn visit_bool<E: serde::de::Error>(self, word: bool) -> Result<Variable, E> {
                no_text(word)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Variable, A::Error> {
                let Reference { secret } = Reference::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Variable(EnvValue::Secret { secret }))
            }
        }

        deserializer.deserialize_any(VariableVisitor)
    }
}

pub(super) fn environment<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, EnvValue>, D::Error> {
    let variables = BTreeMap::<String, Variable>::deserialize(deserializer)?;
    Ok(variables.into_iter().map(|(name, value)| (name, value.0)).collect())
}

/// Something by one text alone, or by a table with all its fields.
struct Short<T>(T);

/// What a text alone means.
trait FromText: Sized {
    const EXPECTED: &'static str;
    fn from_text(text: &str) -> Self;
}

impl FromText for HttpRoute {
    const EXPECTED: &'static str = "a path such as \"/hello\", or a table with a path";
    fn from_text(path: &str) -> Self {
        HttpRoute { path: path.to_owned(), methods: Vec::new(), host: None, auth: None }
    }
}

impl FromText for EventTrigger {
    const EXPECTED: &'static str =
        "an event type such as \"com.shop.order.created\", or a table with type, source or filters";
    fn from_text(ty: &str) -> Self {
        EventTrigger::of_type(ty)
    }
}

impl FromText for CronTrigger {
    const EXPECTED: &'static str = "a schedule such as \"*/5 * * * *\", or a table with a schedule";
    fn from_text(schedule: &str) -> Self {
        CronTrigger { schedule: schedule.to_owned(), ..CronTrigger::default() }
    }
}

impl<'de, T: FromText + Deserialize<'de>> Deserialize<'de> for Short<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShortVisitor<T>(std::marker::PhantomData<T>);

        impl<'de, T: FromText + Deserialize<'de>> Visitor<'de> for ShortVisitor<T> {
            type Value = Short<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::EXPECTED)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Short<T>, E> {
                Ok(Short(T::from_text(text)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Short<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Short)
            }
        }

        deserializer.deserialize_any(ShortVisitor(std::marker::PhantomData))
    }
}

/// One thing, or a list of them.
struct Many<T>(std::marker::PhantomData<T>, &'static str);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Many<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<T>, E> {
        T::deserialize(serde::de::value::StrDeserializer::new(text)).map(|one| vec![one])
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|one| vec![one])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = seq.next_element()? {
            all.push(one);
        }
        Ok(all)
    }
}

fn many<'de, T, D>(deserializer: D, expected: &'static str) -> Result<Vec<T>, D::Error>
where
    T: FromText + Deserialize<'de>,
    D: Deserializer<'de>,
{
    let all = deserializer.deserialize_any(Many::<Short<T>>(std::marker::PhantomData, expected))?;
    Ok(all.into_iter().map(|one| one.0).collect())
}

pub(super) fn routes<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<HttpRoute>, D::Error> {
    many(deserializer, "a path such as \"/hello\", a table with a path, or a list of these")
}

pub(super) fn events<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<EventTrigger>, D::Error> {
    many(deserializer, "an event type such as \"com.shop.order.created\", or a list of these")
}

pub(super) fn crons<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<CronTrigger>, D::Error> {
    many(deserializer, "a schedule such as \"*/5 * * * *\", or a list of these")
}

pub(super) fn webhooks<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<WebhookTrigger>, D::Error> {
    let expected = "a table with path, verify and secret, or a list of these";
    deserializer.deserialize_any(Many::<WebhookTrigger>(std::marker::PhantomData, expected))
}
