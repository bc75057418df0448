//! Turns of a connection's task: one that is woken while it runs goes on at once.
//!
//! A protocol wakes its own task: hyper does whenever a handler asks for the body of a request. The
//! scheduler puts such a task behind all others and wakes another thread for it. Mostly there is nothing
//! left to do, but the next request is then served by a processor that has nothing of the function in its
//! caches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;

/// Turns in a row: whatever wakes itself again and again lets others go on in between.
const TURNS_MAX: usize = 4;

/// Who wakes the task of a connection.
pub(super) struct Turns {
    own: Arc<Own>,
    waker: Waker,
}

#[derive(Default)]
struct Own {
    task: AtomicWaker,
    /// Whether it runs.
    runs: AtomicBool,
    /// Whether it was woken since its turn began.
    woken: AtomicBool,
}

impl Wake for Own {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Either this sees that the turn is over, or the end of the turn sees that it was woken.
        self.woken.store(true, Ordering::SeqCst);
        if !self.runs.load(Ordering::SeqCst) {
            self.task.wake();
        }
    }
}

impl Turns {
    pub(super) fn new() -> Self {
        let own = Arc::<Own>::default();
        let waker = Waker::from(Arc::clone(&own));
        Turns { own, waker }
    }

    /// Polls until there is nothing left to do; what it polls tells with `Err` that others are to go on
    /// first.
    pub(super) fn take<T>(
        &self,
        cx: &Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Result<Poll<T>, StepsBack>,
    ) -> Poll<T> {
        self.own.task.register(cx.waker());
        let mut own = Context::from_waker(&self.waker);
        for _ in 0..TURNS_MAX {
            self.own.woken.store(false, Ordering::SeqCst);
            self.own.runs.store(true, Ordering::SeqCst);
            let polled = poll(&mut own);
            self.own.runs.store(false, Ordering::SeqCst);
            match polled {
                Ok(Poll::Ready(done)) => return Poll::Ready(done),
                Ok(Poll::Pending) if !self.own.woken.load(Ordering::SeqCst) => {
                    return Poll::Pending;
                }
                Ok(Poll::Pending) => {}
                Err(StepsBack) => break,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Others are to go on first.
#[derive(Debug)]
pub(super) struct StepsBack;

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// How often a turn polls and wakes its task, where the first `wakes` polls wake themselves.
    fn polls(turns: &Turns, wakes: usize, steps_back: bool) -> (usize, usize) {
        let counted = Arc::<Counted>::default();
        let waker = Waker::from(Arc::clone(&counted));
        let mut polls = 0;
        let taken = turns.take(&Context::from_waker(&waker), |cx| {
            polls += 1;
            if polls <= wakes {
                cx.waker().wake_by_ref();
            }
            if steps_back { Err(StepsBack) } else { Ok(Poll::<()>::Pending) }
        });
        assert!(taken.is_pending());
        (polls, counted.0.load(Ordering::SeqCst))
    }

    #[test]
    fn whoever_wakes_itself_goes_on_at_once_but_not_for_ever() {
        let turns = Turns::new();
        assert_eq!(polls(&turns, 0, false), (1, 0));
        assert_eq!(polls(&turns, 1, false), (2, 0));
        assert_eq!(polls(&turns, usize::MAX, false), (TURNS_MAX, 1));
        assert_eq!(polls(&turns, 1, true), (1, 1));
    }

    #[test]
    fn between_its_turns_the_task_is_woken() {
        let (turns, counted) = (Turns::new(), Arc::<Counted>::default());
        let waker = Waker::from(Arc::clone(&counted));
        let mut kept = None;
        let taken = turns.take(&Context::from_waker(&waker), |cx| {
            kept = Some(cx.waker().clone());
            Ok(Poll::<()>::Pending)
        });
        assert!(taken.is_pending());
        kept.take().unwrap().wake();
        assert_eq!(counted.0.load(Ordering::SeqCst), 1);
        let taken = turns.take(&Context::from_waker(&waker), |_| Ok(Poll::Ready(7)));
        assert_eq!(taken, Poll::Ready(7));
    }

    #[test]
    fn no_wake_of_another_thread_is_lost() {
        let (turns, counted) = (Turns::new(), Arc::<Counted>::default());
        let waker = Waker::from(Arc::clone(&counted));
        let (send, receive) = std::sync::mpsc::channel::<Waker>();
        let told = Arc::new(AtomicUsize::new(0));
        let teller = std::thread::spawn({
            let told = Arc::clone(&told);
            move || {
                for waker in receive {
                    told.fetch_add(1, Ordering::SeqCst);
                    waker.wake();
                }
            }
        });
        for round in 1..=10_000 {
            let mut sent = false;
            loop {
                let before = counted.0.load(Ordering::SeqCst);
                let taken = turns.take(&Context::from_waker(&waker), |cx| {
                    if !std::mem::replace(&mut sent, true) {
                        send.send(cx.waker().clone()).unwrap();
                    }
                    Ok(match told.load(Ordering::SeqCst) >= round {
                        true => Poll::Ready(()),
                        false => Poll::Pending,
                    })
                });
                if taken.is_ready() {
                    break;
                }
                // For ever, where a wake is lost.
                while counted.0.load(Ordering::SeqCst) == before {
                    std::thread::yield_now();
                }
            }
        }
        drop(send);
        teller.join().unwrap();
    }
}
