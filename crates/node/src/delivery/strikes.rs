//! Running attempts that somebody may cancel.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use nexus_exec::Cancel;
use nexus_model::InvocationId;

use crate::node::lock;

/// By invocation.
#[derive(Clone, Default)]
pub(crate) struct Strikes(Arc<Mutex<HashMap<InvocationId, Cancel>>>);

/// Forgets an attempt when dropped.
pub(crate) struct Watched {
    strikes: Strikes,
    id: InvocationId,
}

impl Drop for Watched {
    fn drop(&mut self) {
        lock(&self.strikes.0).remove(&self.id);
    }
}

impl Strikes {
    /// Lets an attempt be cancelled as long as the answer lives.
    pub(crate) fn watch(&self, id: InvocationId, cancel: &Cancel) -> Watched {
        lock(&self.0).insert(id, cancel.clone());
        Watched { strikes: self.clone(), id }
    }

    /// Cancels an attempt; one that is not here has ended.
    pub(crate) fn strike(&self, id: InvocationId) {
        if let Some(cancel) = lock(&self.0).get(&id) {
            cancel.cancel();
        }
    }
}
