//! Calls that begin before they are in the log: event and begin, or event and end, are one append.

use bytes::Bytes;
use nexus_model::InvocationId;
use nexus_model::record::{EventRecord, Meta, Record, StartedRecord, Status};

use super::{Running, World};
use crate::scheduler::Ticket;
use crate::shard::Id;

/// Functions whose calls begin early, as long as they say nothing of when.
pub(super) const FUNCTIONS: [&str; 2] = ["calm", "lasting"];

impl World {
    pub(super) fn call_early(&mut self) {
        let target = FUNCTIONS[self.random.below(2) as usize];
        let limited = ["concurrency", "rate", "queue", "breaker", "deduplicate", "transform"];
        let spec = &self.specs[target]["delivery"];
        if limited.iter().any(|limit| !spec[limit].is_null()) {
            return;
        }
        let mut event = self.event();
        event.target = target.to_owned();
        event.event.ty = crate::INVOKE_TYPE.to_owned();
        let id = event.event_id().unwrap();
        if self.random.one_in(8) {
            // A crash came before: nobody knows of it.
            return;
        }
        self.checks.reach("begun early");
        let started = self.started_early(&event);
        let begun_ns = self.now_ns;
        let record = match self.random.one_in(2) {
            true => self.end(&started, Status::Succeeded),
            false => {
                self.running.push(Running {
                    ticket: None,
                    members: self
                        .shard
                        .lanes
                        .find("shop", target, "")
                        .map_or_else(Vec::new, |lane| vec![Id { event: id, lane }]),
                    invocation: InvocationId::from_bytes(*id.as_bytes()),
                    durable: started.durable,
                    struck: false,
                    pieces: 0,
                    begin: None,
                    begun_ns,
                });
                Record::Started(started)
            }
        };
        self.early.insert(id);
        self.log.extend([Record::Event(event), record]);
        match self.random.one_in(2) {
            true => self.catch_up(),
            // The driver read no further.
            false => {
                while self.shard.position() as usize + 1 < self.log.len() {
                    self.apply_next();
                }
                self.checks.reach("seen half");
                if self.random.one_in(3)
                    && let Some(lane) = self.shard.lanes.find("shop", target, "")
                {
                    self.cancel(Id { event: id, lane });
                    self.flush();
                }
            }
        }
    }

    fn started_early(&self, event: &EventRecord) -> StartedRecord {
        StartedRecord {
            id: event.id.clone(),
            meta: Meta { project: "shop".into(), cause_event: event.id.clone(), ..Meta::default() },
            function: event.target.clone(),
            attempt: 1,
            started_ns: self.now_ns,
            durable: event.target == "lasting",
            ..StartedRecord::default()
        }
    }

    /// The scheduler's turn came to what runs already: whether that is so.
    pub(super) fn runs_already(&mut self, ticket: Ticket, id: Id) -> Option<Ticket> {
        if !self.early.remove(&id.event) {
            return Some(ticket);
        }
        self.checks.reach("runs already");
        let run = InvocationId::from_bytes(*id.event.as_bytes());
        match self.running.iter_mut().find(|at| at.invocation == run) {
            Some(running) => running.ticket = Some(ticket),
            None => {
                self.catch_up();
                self.scheduler.release(ticket);
            }
        }
        None
    }

    /// A begin or an end is about to be applied.
    pub(super) fn met(&mut self, record: &Record) {
        let id: &Bytes = match record {
            Record::Started(record) => &record.id,
            Record::Invocation(record) => &record.id,
            _ => return,
        };
        if let Ok(id) = nexus_model::EventId::try_from(&id[..]) {
            self.early.remove(&id);
        }
    }

    pub(super) fn release(&mut self, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket {
            self.scheduler.release(ticket);
        }
    }
}
