//! Who may run now: slots for the node, a limit per function, and a bounded number of waiting calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nexus_model::Code;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Error;
use crate::catalog::{Counts, Function};
use crate::memory::Memory;

/// The slots of a node.
pub(crate) struct Admission {
    memory: Arc<Memory>,
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
}

/// A place to run in; given back when dropped.
pub(crate) struct Slot {
    /// Nothing where it runs in the place of its caller.
    _node: Option<OwnedSemaphorePermit>,
    _function: FunctionSlot,
}

struct FunctionSlot(Option<Arc<Counts>>);

impl Drop for FunctionSlot {
    fn drop(&mut self) {
        if let Some(counts) = &self.0 {
            counts.running.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admission {
    pub(crate) fn new(slots: usize, waiting_max: usize, memory: Arc<Memory>) -> Self {
        let slots = Arc::new(Semaphore::new(slots.clamp(1, Semaphore::MAX_PERMITS)));
        Admission { memory, slots, waiting: AtomicUsize::new(0), waiting_max }
    }

    /// A slot for one call, at once when there is one, else in the order of arrival.
    ///
    /// # Errors
    /// The function's own limit is reached; the queue is full; nothing came free within `patience`;
    /// memory is short.
    pub(crate) async fn enter(
        &self,
        function: &Function,
        patience: Duration,
    ) -> Result<Slot, Error> {
        let slot = self.enter_queue(function, patience).await?;
        self.memory.check()?;
        Ok(slot)
    }

    async fn enter_queue(&self, function: &Function, patience: Duration) -> Result<Slot, Error> {
        let own = function_slot(function)?;
        if let Ok(node) = Arc::clone(&self.slots).try_acquire_owned() {
            return Ok(Slot { _node: Some(node), _function: own });
        }
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if waiting >= self.waiting_max {
            return Err(Error::new(
                Code::Overloaded,
                format!("{waiting} calls are waiting, the limit is {}", self.waiting_max),
            ));
        }
        match tokio::time::timeout(patience, Arc::clone(&self.slots).acquire_owned()).await {
            Ok(Ok(node)) => Ok(Slot { _node: Some(node), _function: own }),
            Ok(Err(_)) => Err(Error::new(Code::ShuttingDown, "the server is shutting down")),
            Err(_) => Err(Error::new(Code::Overloaded, "no slot came free before the deadline")),
        }
    }

    /// A slot for a function that another one calls and waits for. Where none is free it runs in the
    /// place of its caller: callers that wait for slots which callers hold would wait for ever.
    ///
    /// # Errors
    /// The function's own limit is reached.
    pub(crate) fn enter_nested(&self, function: &Function) -> Result<Slot, Error> {
        let own = function_slot(function)?;
        Ok(Slot { _node: Arc::clone(&self.slots).try_acquire_owned().ok(), _function: own })
    }

    /// Calls that wait for a slot.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

fn function_slot(function: &Function) -> Result<FunctionSlot, Error> {
    if function.concurrency == 0 {
        return Ok(FunctionSlot(None));
    }
    let before = function.counts.running.fetch_add(1, Ordering::Relaxed);
    // Made before the check, so that the count goes down again in either case.
    let slot = FunctionSlot(Some(Arc::clone(&function.counts)));
    if before >= function.concurrency {
        return Err(Error::new(
            Code::Throttled,
            format!(
                "{before} calls of function '{}' are running, its limit is {}",
                function.name, function.concurrency
            ),
        ));
    }
    Ok(slot)
}
