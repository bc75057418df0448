//! The seam to the part of a shard that is still being written, and its embedded implementation.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use nexus_model::record::Record;
use tokio::sync::{oneshot, watch};

use crate::batch::{Batch, PayloadKey, prepare};
use crate::shared::{Pending, QUEUE_BYTES_MAX, Shared, State, lock};
use crate::writer::append_bytes_max;
use crate::{Entry, Error, query};

/// The part of one shard that is still being written.
///
/// Contract:
/// - **Durable**: records survive a crash of the process and of the machine once `append` returned.
/// - **Atomic**: of a batch all records are kept or none, also when `append` failed or nobody waited
///   for its answer. After an error that is not [`Error::Stopped`] none is; after `Stopped` a crash
///   may still bring the whole batch to light.
/// - **Ordered**: the records of a batch are neighbours; a batch whose `append` began after another
///   one's returned comes after it. Sequences count from 1, without gaps, and are never used again.
/// - **Fenced**: an append with an epoch older than the shard's fails with [`Error::Fenced`] and
///   leaves nothing behind.
/// - **Group-committed**: appends that wait at the same time share one sync.
/// - **Cancel safe**: dropping the future of `append` loses the answer, nothing else.
/// - **Bounded**: a batch has a limit of bytes and records, waiting batches together as well; what is
///   beyond fails with an error that names the limit.
/// - **Reads never block appends** and see durable records only.
#[async_trait]
pub trait Tail: Send + Sync + 'static {
    /// Makes records ready on the caller's thread: encodes, checksums and hashes them.
    ///
    /// # Errors
    /// A record that cannot be stored, or too many of them.
    fn prepare(&self, records: &[Record]) -> Result<Batch, Error>;

    /// Writes a batch and waits until it is durable; returns the sequence of its first record. An
    /// empty batch returns the next sequence, after everything that was recorded before.
    async fn append(&self, batch: Batch, epoch: u32) -> Result<u64, Error>;

    /// Up to `max` durable records after the sequence `after`, in order; fewer when they are large.
    /// Empty at the end.
    ///
    /// # Errors
    /// [`Error::Retained`] when records after `after` were removed.
    async fn read(&self, after: u64, max: usize) -> Result<Vec<Entry>, Error>;

    /// The sequence of the last durable record, now and whenever it changes. Never goes back.
    fn watch(&self) -> watch::Receiver<u64>;

    /// The epoch of the shard's present owner.
    fn epoch(&self) -> u32;
}

/// The embedded tail: preallocated local files.
#[derive(Clone)]
pub(crate) struct LocalTail {
    pub(crate) shared: Arc<Shared>,
}

impl LocalTail {
    pub(crate) fn key(&self) -> &PayloadKey {
        &self.shared.key
    }

    fn enqueue(
        &self,
        batch: Batch,
        epoch: u32,
    ) -> Result<oneshot::Receiver<Result<u64, Error>>, Error> {
        let size_bytes = batch.group_bytes() as u64;
        let limit_bytes = append_bytes_max(self.shared.config.segment_bytes);
        if size_bytes > limit_bytes {
            return Err(Error::TooLarge { size_bytes, limit_bytes });
        }
        let (reply, answer) = oneshot::channel();
        let mut queue = lock(&self.shared.queue);
        match &queue.state {
            State::Open => {}
            State::Stopped(error) => return Err(error.clone()),
            State::Closing | State::Closed => return Err(Error::Closed),
        }
        if queue.bytes + size_bytes > QUEUE_BYTES_MAX {
            return Err(Error::Busy { waiting_bytes: queue.bytes, limit_bytes: QUEUE_BYTES_MAX });
        }
        queue.bytes += size_bytes;
        let idle = queue.pending.is_empty();
        queue.pending.push_back(Pending { batch, epoch, reply });
        drop(queue);
        if idle {
            self.shared.wake.notify_one();
        }
        Ok(answer)
    }
}

#[async_trait]
impl Tail for LocalTail {
    fn prepare(&self, records: &[Record]) -> Result<Batch, Error> {
        prepare(records, self.key())
    }

    async fn append(&self, batch: Batch, epoch: u32) -> Result<u64, Error> {
        let began = Instant::now();
        let first = self.enqueue(batch, epoch)?.await.unwrap_or(Err(Error::Closed))?;
        if let Some(observer) = self.shared.observer.get() {
            observer(began.elapsed());
        }
        Ok(first)
    }

    async fn read(&self, after: u64, max: usize) -> Result<Vec<Entry>, Error> {
        Ok(query::read_from(self.shared.clone(), (after, max), |_| true).await?.0)
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.shared.durable.subscribe()
    }

    fn epoch(&self) -> u32 {
        self.shared.epoch
    }
}
