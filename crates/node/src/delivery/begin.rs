//! The record of an attempt's begin, and who has to wait for it.
//!
//! What an attempt does inside of its sandbox nobody sees: it can be forgotten and done again. So
//! its begin is put on disk only when it first waits for something, and before it does anything
//! outside. An attempt that ends before that is one record, its end, and waits for the disk once.

use nexus_exec::Unavailable;
use tokio::sync::watch;

/// What a function's use of the world waits for.
#[derive(Clone, Default)]
pub(crate) struct Begin(Option<watch::Receiver<bool>>);

/// Tells those who wait.
pub(super) struct Note(watch::Sender<bool>);

impl Note {
    /// Whether it is on disk already.
    pub(super) fn new(noted: bool) -> (Note, Begin) {
        let (tell, told) = watch::channel(noted);
        (Note(tell), Begin(Some(told)))
    }

    pub(super) fn is_made(&self) -> bool {
        *self.0.borrow()
    }

    /// It is on disk.
    pub(super) fn make(&self) {
        self.0.send_replace(true);
    }
}

impl Begin {
    /// Returns when the begin is on disk; at once for calls that have no such record.
    ///
    /// # Errors
    /// It could not be put there: the attempt is over.
    pub(crate) async fn on_disk(&self) -> Result<(), Unavailable> {
        let Some(told) = &self.0 else { return Ok(()) };
        let lost = |_| Unavailable("the begin of the attempt could not be recorded".to_owned());
        told.clone().wait_for(|made| *made).await.map(drop).map_err(lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_goes_on_when_the_begin_is_on_disk() {
        assert!(Begin::default().on_disk().await.is_ok());
        let (note, begin) = Note::new(false);
        let waits = crate::Tasks::default().work({
            let begin = begin.clone();
            async move { begin.on_disk().await }
        });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished() && !note.is_made());
        note.make();
        assert!(waits.await.unwrap().is_ok());
        assert!(note.is_made() && begin.on_disk().await.is_ok());
    }

    #[tokio::test]
    async fn an_attempt_that_is_over_lets_nobody_wait() {
        let (note, begin) = Note::new(false);
        drop(note);
        assert!(begin.on_disk().await.is_err());
    }
}
