//! Pure decisions over the content of events: which subscriptions an event meets, which key orders
//! it, what a delivery makes of its data, whether the data follows a schema. No I/O, no clock.
//!
//! What users write is hostile until proven otherwise: every expression is bounded when it is
//! compiled (length, nesting, estimated work), so that nothing here runs long or recurses deep.

mod cesql;
mod content;
mod diff;
mod filter;
mod index;
mod key;
mod schema;
mod transform;

pub use cesql::{ErrorKind, Evaluation, EvaluationError, Expression, ParseError, Value};
pub use content::Content;
pub use diff::{DiffRules, DiffRulesError, Difference, differences};
pub use filter::{CompiledFilter, DataPattern, Filter, FilterError};
pub use index::{CompiledSelector, Index, Selector};
pub use key::{KeyError, KeyExpression};
pub use schema::{
    Compatibility, Direction, Incompatibility, Inference, Schema, SchemaError, Violation,
    incompatibilities,
};
pub use transform::{TransformError, Transformation};
