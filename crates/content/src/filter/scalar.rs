//! Values that patterns compare for equality.

use serde_json::{Number, Value};

/// A JSON value that is no array and no object. Numbers are equal when they are the same number,
/// however they are written: `300`, `300.0` and `3e2`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Scalar {
    Null,
    Boolean(bool),
    Integer(i128),
    /// The bits of a number that is no integer.
    Float(u64),
    Text(String),
}

/// Beyond it a float is no longer compared as an integer.
const INTEGER_FLOAT_MAX: f64 = 1e36;

impl Scalar {
    pub(crate) fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null => Scalar::Null,
            Value::Bool(value) => Scalar::Boolean(*value),
            Value::Number(number) => Scalar::number(number),
            Value::String(text) => Scalar::Text(text.clone()),
            Value::Array(_) | Value::Object(_) => return None,
        })
    }

    fn number(number: &Number) -> Self {
        if let Some(integer) = number.as_i128() {
            return Scalar::Integer(integer);
        }
        let float = number.as_f64().unwrap_or(f64::NAN);
        match float.fract() == 0.0 && float.abs() < INTEGER_FLOAT_MAX {
            true => Scalar::Integer(float as i128),
            false => Scalar::Float(float.to_bits()),
        }
    }

    /// Whether it is the same as a value, without copying the value's text.
    pub(super) fn equals(&self, value: &Value) -> bool {
        match (self, value) {
            (Scalar::Text(expected), Value::String(found)) => expected == found,
            (Scalar::Text(_), _) | (_, Value::String(_)) => false,
            (expected, value) => Scalar::of(value).as_ref() == Some(expected),
        }
    }

    /// For numbers: their order; `None` for everything else.
    pub(super) fn compare(&self, other: &Scalar) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Scalar::Integer(one), Scalar::Integer(other)) => Some(one.cmp(other)),
            _ => self.as_f64()?.partial_cmp(&other.as_f64()?),
        }
    }

    fn as_f64(&self) -> Option<f64> {
        match self {
            Scalar::Integer(value) => Some(*value as f64),
            Scalar::Float(bits) => Some(f64::from_bits(*bits)),
            _ => None,
        }
    }
}
