//! What the log has no record of: it never was, or retention has removed it.

use std::fmt;

use nexus_model::{Code, Timestamp};

use crate::{Error, Node};

impl Node {
    /// Why there is no record of `what`, whose id is of the moment `at`.
    pub(crate) fn missing(&self, what: impl fmt::Display, at: Timestamp) -> Error {
        match self.parts.log.removed_before() {
            Some(oldest) if at < oldest => {
                let since = Timestamp::from_unix_ms(oldest.unix_ms());
                let detail = format!(
                    "{what} is of {at}, and the log holds what happened since {since}: what is \
                     older was removed by retention"
                );
                Error::new(Code::Gone, detail).with_hint(
                    "`log.retention` in the server's configuration says how much is kept",
                )
            }
            _ => Error::not_found(what),
        }
    }
}
