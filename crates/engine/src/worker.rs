//! The seam to what runs functions.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use nexus_model::record::{Body, EventRecord, StartedRecord};
use nexus_model::{EventId, InvocationId};

use crate::{DeliveryKey, Early};

/// An attempt to make.
#[derive(Clone, PartialEq, Debug)]
pub struct Delivery {
    /// What, to whom; of a batch the first event.
    pub key: DeliveryKey,
    /// 1 for the first; of a batch that of its first event.
    pub attempt: u32,
    /// The further events of a batch, in the order in which they stand in it.
    pub batch: Vec<EventId>,
    /// The function gets a batch, even of one event.
    pub batched: bool,
    /// The events, `key.event` first; `None` where one is not in the log where it was (any more).
    pub events: Vec<Option<Arc<EventRecord>>>,
    /// The id that the invocation must have; otherwise a fresh one.
    pub invocation: Option<InvocationId>,
    /// Its journal is to be kept in pieces while it runs.
    pub durable: bool,
    /// It waits since before the start of this engine, so that it may be what stopped the server:
    /// its begin must be on disk before it runs, or it could do so for ever.
    pub suspect: bool,
    /// A jq expression that makes the data that the function gets.
    pub transform: Option<Arc<str>>,
    /// Why it waited, the longest wait first: for the record of the attempt.
    pub waited_for: Vec<String>,
}

impl Delivery {
    /// All events in order.
    pub fn members(&self) -> impl Iterator<Item = EventId> {
        std::iter::once(self.key.event).chain(self.batch.iter().copied())
    }
}

/// A durable invocation that goes on where its journal ends.
#[derive(Clone, PartialEq, Debug)]
pub struct Resume {
    /// What, to whom.
    pub key: DeliveryKey,
    /// The invocation: its id stays.
    pub invocation: InvocationId,
    /// The record of its begin. Attempt, trace and version stay.
    pub started: StartedRecord,
    /// Where the pieces of its journal stand in the log, in order.
    pub pieces: Vec<u64>,
    /// What the record of going on must say.
    pub resumes: u32,
    /// How long it had run when it lay down to sleep; 0 after a crash.
    pub ran_ns: u64,
    /// Its input is a batch, even of one event.
    pub batched: bool,
    /// The jq expression that made the data of its input when it began.
    pub transform: Option<Arc<str>>,
    /// Why it goes on.
    pub wake: Wake,
}

/// Why a durable invocation goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wake {
    /// Its node stopped while it ran.
    Crash,
    /// It slept long enough.
    Timer,
    /// The signal that it waited for did not come in time.
    TimedOut,
    /// The signal came: its record stands there in the log. The next piece of the journal must name
    /// it in `signals`; until then it waits, and the next resume gives it again.
    Signal {
        /// Where.
        sequence: u64,
    },
}

/// What became of an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Made {
    /// What it came to is on disk.
    Recorded,
    /// The node cannot run the function now, and why. Nothing was done and nothing is on disk: it is
    /// no attempt, and the engine tries again in a moment.
    NotNow(String),
}

/// Makes attempts.
///
/// - [`deliver`](Self::deliver) appends the `Invocation` record (trigger `Event`, cause the event,
///   batch, the delivery's trigger and attempt, the events of the batch that failed) when the
///   attempt ended, durably, before it returns. Where the function cannot even begin, its status is
///   `Rejected` (or `Refused` where trying again is useless).
/// - A `Started` record precedes it, unless the attempt ended before anything was seen of it: it is
///   durable before the function does anything outside of its sandbox, it is appended when the
///   function first waits, and where the delivery is `suspect` it is durable before the function
///   runs.
/// - A durable invocation may end with a `Suspended` record instead. The `Started` record of one
///   holds what its input was made with (`transform`, `batched`).
/// - [`resume`](Self::resume) does the same with a `Started` record of the same id and one more
///   `resumes`.
/// - Called from many tasks at once, at most `running_max`.
#[async_trait]
pub trait Worker: Send + Sync + 'static {
    /// Makes the attempt.
    ///
    /// # Errors
    /// A record could not be appended: the engine tries again.
    async fn deliver(&self, delivery: Delivery) -> Result<Made, nexus_log::Error>;

    /// Makes the first attempt at a call that is not in the log yet. Whatever is appended of it goes
    /// through `early` first. The engine accepts the call the ordinary way where it is not made now.
    ///
    /// # Errors
    /// As of [`deliver`](Self::deliver).
    async fn call(&self, delivery: Delivery, early: Arc<Early>) -> Result<Made, nexus_log::Error> {
        drop((delivery, early));
        Ok(Made::NotNow(String::new()))
    }

    /// Lets a durable invocation go on.
    ///
    /// # Errors
    /// A record could not be appended: the engine tries again.
    async fn resume(&self, resume: Resume) -> Result<(), nexus_log::Error>;

    /// Stops a running invocation, which then ends with the status `Cancelled`; one that it does
    /// not know has ended. Never blocks.
    fn cancel(&self, invocation: InvocationId);

    /// The bytes of a body that lies in the blob store; `None` where it is gone.
    async fn fetch(&self, body: &Body) -> Option<Bytes>;
}
