//! Chains: functions and events that lead to one another. What comes from outside begins one; what a
//! function sends is one link further. They are bounded, so that a loop that nobody meant comes to an
//! end.

use nexus_exec::CallContext;
use nexus_model::{Code, EventId, InvocationId, Timestamp, limits};

use crate::record::Facts;
use crate::{Error, Node};

/// Functions that an error names, the last ones of a chain.
const TOLD_MAX: usize = 6;
/// How often a chain that was stopped is worth a line of the server's log.
const TOLD_EVERY_NS: i64 = 1_000_000_000;

/// Where an invocation stands in its chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// How many links led to it.
    pub(crate) links: u32,
    /// The event that it handles.
    event: Option<EventId>,
    /// When it began to run.
    begun: Timestamp,
}

impl Place {
    pub(crate) fn of(facts: &Facts) -> Self {
        let waited = std::time::Duration::from_nanos(facts.queue_ns);
        Place { links: facts.chain, event: facts.cause_event, begun: facts.accepted.after(waited) }
    }

    /// How many links lead to a function that is called and waited for. How deep that goes is limited
    /// by itself (`limits::CALL_DEPTH_MAX`).
    pub(crate) fn called(&self) -> u32 {
        self.links.saturating_add(1)
    }
}

impl Node {
    /// How many links lead to what an invocation sends now. What was there for
    /// [`limits::CHAIN_AGE_MIN`] begins a new chain: so seldom, nothing runs away.
    ///
    /// # Errors
    /// The chain would be longer than its limit.
    pub(crate) async fn next_link(
        &self,
        context: &CallContext,
        place: &Place,
    ) -> Result<u32, Error> {
        let now = self.parts.clock.now();
        if now.since(place.begun) >= limits::CHAIN_AGE_MIN {
            return Ok(0);
        }
        let (next, limit) = (place.links.saturating_add(1), self.config.chain_max);
        if next <= limit {
            return Ok(next);
        }
        let last = self.last_of_chain(context, place.event).await.join(" → ");
        self.parts.metrics.chain_stopped();
        if self.chains.may_tell(now) {
            tracing::warn!(
                project = %context.project,
                function = %context.function,
                invocation = %context.id,
                limit,
                last,
                "a chain of functions and events was stopped: events.chain-max"
            );
        }
        let detail = format!(
            "{limit} links of functions and events led to this one, which is the limit of a chain; the \
             last of them: {last}. Where it is meant to go on, raise `events.chain-max` of the server"
        );
        Err(Error::new(Code::ChainTooLong, detail).with_invocation(context.id))
    }

    /// The functions at the end of a chain, the last one last, as far as the log knows them.
    async fn last_of_chain(&self, context: &CallContext, event: Option<EventId>) -> Vec<String> {
        // The ends of those before it are recorded just now.
        let _ = self.parts.log.flush().await;
        let mut names = vec![context.function.to_string()];
        let mut event = event;
        while let Some(id) = event.take() {
            let Ok(Some(record)) = self.parts.log.event(id).await else { break };
            let Some(sender) = sender_of(&record.meta.principal) else { break };
            if names.len() == TOLD_MAX {
                names.push("…".to_owned());
                break;
            }
            names.push(sender.to_owned());
            if let Ok(sent_by) = InvocationId::try_from(&record.meta.cause_invocation[..])
                && let Ok(Some(invocation)) = self.parts.log.invocation(sent_by).await
            {
                event = EventId::try_from(&invocation.meta.cause_event[..]).ok();
            }
        }
        names.reverse();
        names
    }
}

/// The name of the function that sent an event; `None` where it was none.
pub(crate) fn sender_of(principal: &str) -> Option<&str> {
    principal.strip_prefix("function:")?.rsplit('/').next()
}

/// When a line of the server's log told last of a chain that was stopped.
#[derive(Debug, Default)]
pub(crate) struct Chains(std::sync::atomic::AtomicI64);

impl Chains {
    fn may_tell(&self, now: Timestamp) -> bool {
        use std::sync::atomic::Ordering::Relaxed;
        let (last, now_ns) = (self.0.load(Relaxed), now.unix_ns());
        let due = !(last..last.saturating_add(TOLD_EVERY_NS)).contains(&now_ns);
        due && self.0.compare_exchange(last, now_ns, Relaxed, Relaxed).is_ok()
    }
}
