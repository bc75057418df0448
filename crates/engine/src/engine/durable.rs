//! Signals to durable invocations.

use nexus_model::record::{Record, SignalRecord};
use nexus_model::{InvocationId, limits};

use super::Engine;
use crate::Error;
use crate::shard::Receiver;

/// A signal that nobody has taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WaitingSignalAt {
    /// Where its record stands in the log.
    pub sequence: u64,
    /// Its name.
    pub name: String,
}

impl Engine {
    /// Sends a signal to a durable invocation, or to an asynchronous one that waits for its turn:
    /// durable when it returns. It wakes the invocation when that waits for this name; otherwise it
    /// waits until it is asked for.
    ///
    /// # Errors
    /// There is no such unfinished invocation; too many signals wait for it; the log refuses.
    pub async fn signal(&self, signal: SignalRecord) -> Result<(), Error> {
        let unknown = || InvocationId::from_bytes([0; 16]);
        let invocation =
            InvocationId::try_from(&signal.invocation[..]).unwrap_or_else(|_| unknown());
        self.settled().await?;
        match self.ask(move |driver| driver.receiver(invocation)).await? {
            Receiver::Open => {}
            Receiver::Full => {
                return Err(Error::SignalsFull { invocation, limit: limits::SIGNALS_WAITING_MAX });
            }
            Receiver::None => return Err(Error::NoInvocation { invocation }),
        }
        let record = vec![Record::Signal(signal)];
        self.inner.log.append(record).await.map(drop).map_err(Error::Append)
    }

    /// The signals to an unfinished invocation that no piece of its journal has taken, the oldest
    /// first.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn signals(&self, invocation: InvocationId) -> Result<Vec<WaitingSignalAt>, Error> {
        self.settled().await?;
        let found = self.ask(move |driver| driver.signals(invocation)).await?;
        Ok(found.into_iter().map(|(sequence, name)| WaitingSignalAt { sequence, name }).collect())
    }
}
