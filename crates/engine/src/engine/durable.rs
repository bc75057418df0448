//! Signals to durable invocations.

use nexus_model::record::{Record, SignalRecord};
use nexus_model::{InvocationId, limits};

use tokio::sync::oneshot;

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

fn taken(receiver: Receiver, invocation: InvocationId) -> Result<(), Error> {
    match receiver {
        Receiver::Open => Ok(()),
        Receiver::Full => {
            Err(Error::SignalsFull { invocation, limit: limits::SIGNALS_WAITING_MAX })
        }
        Receiver::None => Err(Error::NoInvocation { invocation }),
    }
}

impl Engine {
    /// Sends a signal to a durable invocation, or to an asynchronous one that waits for its turn:
    /// durable when it returns. It wakes the invocation when that waits for this name; otherwise it
    /// waits until it is asked for.
    ///
    /// # Errors
    /// There is no such unfinished invocation, or it ended just before the signal came: then nobody
    /// has got it. Too many signals wait for it; the log refuses.
    pub async fn signal(&self, signal: SignalRecord) -> Result<(), Error> {
        let unknown = || InvocationId::from_bytes([0; 16]);
        let invocation =
            InvocationId::try_from(&signal.invocation[..]).unwrap_or_else(|_| unknown());
        let id = <[u8; 16]>::try_from(&signal.id[..]).unwrap_or_default();
        let (reply, applied) = oneshot::channel();
        let receiver =
            self.ask_settled(move |driver| driver.await_signal((id, invocation), reply)).await?;
        taken(receiver, invocation)?;
        let record = vec![Record::Signal(signal)];
        self.inner.log.append(record).await.map_err(Error::Append)?;
        // What stands before it in the log may be the end of the invocation.
        taken(applied.await.map_err(|_| Error::Stopped)?, invocation)
    }

    /// The signals to an unfinished invocation that no piece of its journal has taken, the oldest
    /// first.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn signals(&self, invocation: InvocationId) -> Result<Vec<WaitingSignalAt>, Error> {
        let found = self.ask_settled(move |driver| driver.signals(invocation)).await?;
        Ok(found.into_iter().map(|(sequence, name)| WaitingSignalAt { sequence, name }).collect())
    }
}
