//! How things look as text. Each function writes to a [`Terminal`](crate::Terminal); colours are
//! always in the text and stripped where not wanted.

mod event;
mod exchange;
mod function;
mod invocation;
mod report;
mod table;
mod trigger;
mod value;

pub(crate) use event::{event_line, event_row, event_table, show_event};
pub(crate) use exchange::show_exchange;
pub(crate) use function::{auth, function_table, show_function, version_table};
pub use invocation::invocation_line;
pub(crate) use invocation::{invocation_row, invocation_table, show_invocation};
pub use report::{log_report, verify_report};
pub(crate) use table::{Cell, Column, Table};
pub use trigger::calls;
pub(crate) use trigger::describe;
pub use value::counted;
pub(crate) use value::{block, log_line, payload, status_tone, text_or_base64};
