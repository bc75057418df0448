//! Values for expressions. Every operator is total: where it cannot do its work it adds an error and
//! yields the zero value of its type, and the evaluation goes on.

use super::functions;
use super::{ErrorKind, Evaluation, EvaluationError, Expr, Negated, Operator, Value};
use crate::Content;
use crate::content::Attribute;

pub(super) fn evaluate(root: &Expr, content: &Content<'_>) -> Evaluation {
    let mut evaluator = Evaluator { content, errors: Vec::new() };
    // The type of a lone missing attribute is unknown: then it counts as a boolean.
    let value = evaluator.value(root).unwrap_or(Value::Boolean(false));
    Evaluation { value, errors: evaluator.errors }
}

/// What an operand is when it is an attribute that the event does not have: the operator around it
/// yields the zero value of its type.
pub(super) struct Missing;

pub(super) struct Evaluator<'a> {
    content: &'a Content<'a>,
    errors: Vec<EvaluationError>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Type {
    Boolean,
    Integer,
    String,
}

impl Type {
    pub(super) fn zero(self) -> Value {
        match self {
            Type::Boolean => Value::Boolean(false),
            Type::Integer => Value::Integer(0),
            Type::String => Value::String(String::new()),
        }
    }

    fn of(value: &Value) -> Type {
        match value {
            Value::Boolean(_) => Type::Boolean,
            Value::Integer(_) => Type::Integer,
            Value::String(_) => Type::String,
        }
    }
}

/// `true` or `false` in any case.
pub(crate) fn parse_boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        return Some(true);
    }
    text.eq_ignore_ascii_case("false").then_some(false)
}

impl Evaluator<'_> {
    pub(super) fn fail(&mut self, kind: ErrorKind, detail: String) {
        self.errors.push(EvaluationError { kind, detail });
    }

    /// The value; `Err` only for a lone attribute that is missing, whose error is noted already.
    pub(super) fn value(&mut self, expr: &Expr) -> Result<Value, Missing> {
        Ok(match expr {
            Expr::Literal(value) => value.clone(),
            Expr::Attribute(name) => return self.attribute(name),
            Expr::Exists(name) => Value::Boolean(self.content.attribute(name).is_some()),
            Expr::Not(operand) => Value::Boolean(self.not(operand)),
            Expr::Negate(operand) => Value::Integer(self.negate(operand)),
            Expr::Like { operand, pattern, negated } => {
                Value::Boolean(self.value(operand).is_ok_and(|value| {
                    pattern.matches(&self.string(value)) != (*negated == Negated::Yes)
                }))
            }
            Expr::In { operand, set, negated } => {
                let found = self.is_in(operand, set);
                Value::Boolean(found.is_some_and(|found| found != (*negated == Negated::Yes)))
            }
            Expr::Chain { first, rest } => self.chain(first, rest)?,
            Expr::Call { name, arguments } => functions::call(self, name, arguments),
        })
    }

    fn attribute(&mut self, name: &str) -> Result<Value, Missing> {
        match self.content.attribute(name) {
            Some(Attribute::Text(text)) => Ok(Value::String(text.into_owned())),
            Some(Attribute::Integer(value)) => Ok(Value::Integer(value)),
            Some(Attribute::Boolean(value)) => Ok(Value::Boolean(value)),
            None => {
                let detail = format!("the event has no attribute '{name}'");
                self.fail(ErrorKind::MissingAttribute, detail);
                Err(Missing)
            }
        }
    }

    fn not(&mut self, operand: &Expr) -> bool {
        match self.value(operand) {
            Err(Missing) => false,
            Ok(Value::Integer(value)) => {
                self.fail(ErrorKind::Cast, format!("NOT needs a boolean, not the integer {value}"));
                true
            }
            Ok(value) => !self.boolean(value),
        }
    }

    fn negate(&mut self, operand: &Expr) -> i32 {
        let Ok(value) = self.value(operand) else { return 0 };
        let value = self.integer(value);
        value.checked_neg().unwrap_or_else(|| {
            self.fail(ErrorKind::Math, format!("-({value}) does not fit 32 bits"));
            0
        })
    }

    /// `None` when an operand is missing.
    fn is_in(&mut self, operand: &Expr, set: &[Expr]) -> Option<bool> {
        let operand = self.value(operand).ok()?;
        for item in set {
            let item = self.value(item).ok()?;
            if self.cast(item, Type::of(&operand)) == operand {
                return Some(true);
            }
        }
        Some(false)
    }

    fn chain(&mut self, first: &Expr, rest: &[(Operator, Expr)]) -> Result<Value, Missing> {
        let before = self.errors.len();
        let mut left = self.value(first);
        for (operator, right) in rest {
            use Operator::{And, Or, Xor};
            left = Ok(match operator {
                And | Or | Xor => Value::Boolean(self.logic(left, *operator, right)),
                _ => {
                    let right = self.value(right);
                    // An operand that failed has no value to go on with: the result is zero, as for
                    // an operand that is missing. (`1 != 1 / 0` is false.)
                    match (left, right) {
                        (Ok(left), Ok(right)) if self.errors.len() == before => {
                            self.binary(left, *operator, right)
                        }
                        _ => operator.result().zero(),
                    }
                }
            });
        }
        left
    }

    fn binary(&mut self, left: Value, operator: Operator, right: Value) -> Value {
        match operator {
            Operator::Equal | Operator::NotEqual => {
                let left = self.cast(left, Type::of(&right));
                Value::Boolean((left == right) == (operator == Operator::Equal))
            }
            _ => {
                let (left, right) = (self.integer(left), self.integer(right));
                self.arithmetic(left, operator, right)
            }
        }
    }

    fn logic(&mut self, left: Result<Value, Missing>, operator: Operator, right: &Expr) -> bool {
        let Ok(left) = left else { return false };
        let left = self.boolean(left);
        match (operator, left) {
            (Operator::And, false) => return false,
            (Operator::Or, true) => return true,
            _ => {}
        }
        let Ok(right) = self.value(right) else { return false };
        let right = self.boolean(right);
        if operator == Operator::Xor { left != right } else { right }
    }

    fn arithmetic(&mut self, left: i32, operator: Operator, right: i32) -> Value {
        let (symbol, result) = match operator {
            Operator::Less => return Value::Boolean(left < right),
            Operator::LessOrEqual => return Value::Boolean(left <= right),
            Operator::Greater => return Value::Boolean(left > right),
            Operator::GreaterOrEqual => return Value::Boolean(left >= right),
            Operator::Multiply => ("*", left.checked_mul(right)),
            Operator::Divide => ("/", left.checked_div(right)),
            Operator::Remainder if right == 0 => ("%", None),
            Operator::Remainder => ("%", Some(left.wrapping_rem(right))),
            Operator::Subtract => ("-", left.checked_sub(right)),
            _ => ("+", left.checked_add(right)),
        };
        Value::Integer(result.unwrap_or_else(|| {
            let why = if right == 0 { "divides by zero" } else { "does not fit 32 bits" };
            self.fail(ErrorKind::Math, format!("{left} {symbol} {right} {why}"));
            0
        }))
    }

    pub(super) fn cast(&mut self, value: Value, to: Type) -> Value {
        match to {
            Type::Boolean => Value::Boolean(self.boolean(value)),
            Type::Integer => Value::Integer(self.integer(value)),
            Type::String => Value::String(self.string(value)),
        }
    }

    pub(super) fn boolean(&mut self, value: Value) -> bool {
        match value {
            Value::Boolean(value) => value,
            Value::Integer(value) => value != 0,
            Value::String(text) => parse_boolean(&text).unwrap_or_else(|| {
                self.fail(ErrorKind::Cast, format!("'{text}' is no boolean"));
                false
            }),
        }
    }

    pub(super) fn integer(&mut self, value: Value) -> i32 {
        match value {
            Value::Boolean(value) => i32::from(value),
            Value::Integer(value) => value,
            Value::String(text) => text.parse().unwrap_or_else(|_| {
                self.fail(ErrorKind::Cast, format!("'{text}' is no integer of 32 bits"));
                0
            }),
        }
    }

    pub(super) fn string(&mut self, value: Value) -> String {
        match value {
            Value::Boolean(value) => value.to_string(),
            Value::Integer(value) => value.to_string(),
            Value::String(text) => text,
        }
    }
}

impl Operator {
    fn result(self) -> Type {
        use Operator::{Add, Divide, Multiply, Remainder, Subtract};
        match self {
            Multiply | Divide | Remainder | Add | Subtract => Type::Integer,
            _ => Type::Boolean,
        }
    }
}
