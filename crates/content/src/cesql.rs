//! CloudEvents SQL 1.0: expressions over the attributes of an event.
//!
//! The text is parsed once into a tree whose depth is bounded, so neither parsing nor evaluating can
//! exhaust the stack. Chains of operators of one precedence (`a AND b AND c`) are one flat node.
//!
//! Two places where the specification leaves a choice, and what is chosen:
//! - `AND`, `OR` and `XOR` have one precedence and are read from left to right (section 3.6).
//! - `NOT` of an integer is a cast error, as the specification's conformance cases say.

mod evaluate;
mod functions;
mod lexer;
mod like;
mod parser;

pub(crate) use evaluate::parse_boolean;
pub(crate) use like::{Pattern, Whole};

use crate::Content;

/// A parsed expression.
#[derive(Clone, PartialEq, Debug)]
pub struct Expression {
    pub(crate) root: Expr,
}

/// Why a text is not an expression.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseError {
    /// The text breaks the grammar.
    #[error("at character {position}: expected {expected}, found {found}")]
    Syntax {
        /// Where, in characters from 1.
        position: usize,
        /// What could have stood there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// An integer that 32 bits cannot hold.
    #[error("at character {position}: the integer {found} is outside -2147483648 to 2147483647")]
    Integer {
        /// Where, in characters from 1.
        position: usize,
        /// The digits.
        found: String,
    },
    /// More text than allowed.
    #[error("the expression has {size} bytes, the limit is {limit}", limit = nexus_model::limits::CESQL_BYTES_MAX)]
    TooLong {
        /// Its size in bytes.
        size: usize,
    },
    /// More nesting than allowed.
    #[error("at character {position}: more than {limit} levels of nesting", limit = nexus_model::limits::CESQL_DEPTH_MAX)]
    TooDeep {
        /// Where, in characters from 1.
        position: usize,
    },
}

/// A value of the language.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// A boolean.
    Boolean(bool),
    /// An integer of 32 bits.
    Integer(i32),
    /// A string.
    String(String),
}

/// The kinds of errors that the specification names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// Division by zero or overflow.
    Math,
    /// A value cannot be read as the needed type.
    Cast,
    /// The event has no such attribute.
    MissingAttribute,
    /// There is no such function.
    MissingFunction,
    /// A function refuses its arguments.
    FunctionEvaluation,
}

/// Something that went wrong while an expression was evaluated; there is a value all the same.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct EvaluationError {
    /// Which kind.
    pub kind: ErrorKind,
    /// For people.
    pub detail: String,
}

/// What an expression makes of an event: always a value, and the errors on the way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evaluation {
    /// The value.
    pub value: Value,
    /// The errors, in the order in which they arose.
    pub errors: Vec<EvaluationError>,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Expr {
    Literal(Value),
    /// By its name in lowercase.
    Attribute(String),
    Exists(String),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Like {
        operand: Box<Expr>,
        pattern: Pattern,
        negated: Negated,
    },
    In {
        operand: Box<Expr>,
        set: Vec<Expr>,
        negated: Negated,
    },
    /// Operators of one precedence, applied from left to right.
    Chain {
        first: Box<Expr>,
        rest: Vec<(Operator, Expr)>,
    },
    Call {
        name: String,
        arguments: Vec<Expr>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Negated {
    No,
    Yes,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operator {
    Multiply,
    Divide,
    Remainder,
    Add,
    Subtract,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Xor,
}

impl Expression {
    /// Parses a text.
    ///
    /// # Errors
    /// The text breaks the grammar or a limit; the error says where and what was expected.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parser::parse(text).map(|root| Expression { root })
    }

    /// The value for an event with all errors on the way (the specification's "complete" mode).
    pub fn evaluate(&self, content: &Content<'_>) -> Evaluation {
        evaluate::evaluate(&self.root, content)
    }

    /// Whether the event passes the expression as a filter: the value is `true` and there were no
    /// errors.
    pub fn matches(&self, content: &Content<'_>) -> bool {
        let evaluation = self.evaluate(content);
        evaluation.value == Value::Boolean(true) && evaluation.errors.is_empty()
    }

    /// The first function that does not exist with so many arguments. An expression that calls it
    /// can be evaluated but never passes as a filter.
    pub(crate) fn unknown_function(&self) -> Option<String> {
        functions::unknown(&self.root)
    }
}
