//! A recording as the outside world of a guest that is debugged. As long as nothing was edited it is
//! as strict as a replay. Once an answer was edited the guest may do other things than it did: what
//! the recording has is answered from there, in whatever order; what it does not have is reported
//! and never performed.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use nexus_exec::journal::{Divergence, Ending, Entry, Fault, Function, Outcome, Stop};
use nexus_model::view::OperationView;

/// How far from its place an operation is looked for once the guest has left the recording.
const LOOKED_AT_MAX: usize = 10_000;
/// An HTTP failure as the journal numbers it: none of the known ones.
const INTERNAL_ERROR: u8 = 67;
const WRITE_BYTES_MAX: u64 = 64 << 10;
const NOT_RECORDED: &str = "not in the recording: it was not performed";

/// Answers that are edited, by the number of the operation.
pub(super) type Edits = BTreeMap<u32, Outcome>;

/// An operation with its answer in this run.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    pub(super) entry: Entry,
    pub(super) edited: bool,
    pub(super) new: bool,
}

impl Answered {
    pub(super) fn view(&self, operation: u32) -> OperationView {
        let Entry { function, outcome, at_ns, duration_ns, .. } = &self.entry;
        OperationView {
            operation,
            function: function.name().to_owned(),
            arguments: self.entry.described(),
            summary: outcome.summary(),
            result: outcome.to_value(),
            at_ns: *at_ns,
            duration_ns: *duration_ns,
            edited: self.edited,
            new: self.new,
        }
    }
}

/// Plays a recording to a guest that is debugged.
#[derive(Debug)]
pub(crate) struct Explorer {
    entries: Arc<Vec<Entry>>,
    ending: Ending,
    edits: Arc<Edits>,
    /// The entry that is expected next.
    at: usize,
    /// Which entries were answered out of order.
    used: Vec<bool>,
    /// All answers of this run.
    answered: Vec<Answered>,
    /// An edited answer was given: the guest may leave the recording.
    loose: bool,
}

impl Explorer {
    pub(super) fn new(entries: Arc<Vec<Entry>>, ending: Ending, edits: Arc<Edits>) -> Self {
        let used = vec![false; entries.len()];
        Explorer { entries, ending, edits, at: 0, used, answered: Vec::new(), loose: false }
    }

    /// How many operations were answered.
    pub(crate) fn operations(&self) -> u32 {
        self.answered.len() as u32
    }

    pub(super) fn answered(&self) -> &[Answered] {
        &self.answered
    }

    /// The answer to the next operation, which must be the recorded one while nothing was edited.
    pub(crate) fn next(
        &mut self,
        function: Function,
        arguments: u64,
        text: &str,
    ) -> Result<Outcome, Stop> {
        let found = self.find(function, arguments, text);
        let number = self.operations();
        let (mut entry, new) = match found {
            Some(at) => {
                self.used[at] = true;
                while self.used.get(self.at) == Some(&true) {
                    self.at += 1;
                }
                (self.entries[at].clone(), false)
            }
            None if self.loose => {
                let (outcome, effect) = self.invented(function, arguments);
                let text = text.to_owned();
                let entry = Entry { function, arguments, text, outcome, at_ns: 0, duration_ns: 0 };
                (entry, effect)
            }
            None => return Err(self.differs(function, arguments, text)),
        };
        let mut edited = false;
        if let Some(outcome) = self.edits.get(&number) {
            entry.outcome = outcome.clone();
            (edited, self.loose) = (true, true);
        }
        let outcome = entry.outcome.clone();
        self.answered.push(Answered { entry, edited, new });
        Ok(outcome)
    }

    fn find(&self, function: Function, arguments: u64, text: &str) -> Option<usize> {
        let matches = |at: &usize| {
            let entry = &self.entries[*at];
            !self.used[*at]
                && entry.function == function
                && entry.arguments == arguments
                && entry.text == text
        };
        let end = match self.loose {
            true => self.entries.len().min(self.at.saturating_add(LOOKED_AT_MAX)),
            false => self.entries.len().min(self.at + 1),
        };
        (self.at..end).find(matches)
    }

    /// An answer that the recording does not have, and whether the guest wanted something from
    /// outside. What only waits or writes goes well.
    fn invented(&self, function: Function, arguments: u64) -> (Outcome, bool) {
        use Function as F;
        let failed = || {
            let text = NOT_RECORDED.to_owned();
            Outcome::Failed(Fault { code: INTERNAL_ERROR, text, number: None })
        };
        match function {
            F::WallNow | F::MonotonicNow | F::Deadline => (self.last(function), false),
            F::Poll => (Outcome::Indices((0..arguments.min(1_000) as u32).collect()), false),
            F::PollableReady => (Outcome::Number(1), false),
            F::CheckWrite | F::WriteReady => (Outcome::Number(WRITE_BYTES_MAX), false),
            F::Read | F::BlockingRead => (Outcome::Closed, false),
            F::HttpTrailers => (Outcome::Trailers(None), false),
            F::HttpResponse => (failed(), false),
            F::SubscribeDuration
            | F::SubscribeInstant
            | F::RandomBytes
            | F::RandomNumber
            | F::InsecureBytes
            | F::InsecureNumber
            | F::InsecureSeed
            | F::PollableBlock
            | F::Write
            | F::Flush
            | F::BlockingWrite
            | F::HttpFinish
            | F::HttpRespond
            | F::Progress
            | F::GrowRefused
            | F::TableRefused
            | F::Woken => (Outcome::Done, false),
            F::Sleep => (self.last(F::WallNow), false),
            F::HttpHandle
            | F::Emit
            | F::WaitSignal
            | F::Signal
            | F::Invoke
            | F::InvokeAll
            | F::Start
            | F::CallOutcome
            | F::StateGet
            | F::StatePut
            | F::StateDelete
            | F::StateScan
            | F::StreamAppend
            | F::StreamRead => (failed(), true),
        }
    }

    /// The last answer of a function, or one that the recording has.
    fn last(&self, function: Function) -> Outcome {
        let answered = self.answered.iter().rev().map(|answered| &answered.entry);
        let recorded = self.entries.iter();
        let known = answered.chain(recorded).find(|entry| entry.function == function);
        known.map_or(Outcome::Clock(0), |entry| entry.outcome.clone())
    }

    fn differs(&self, function: Function, arguments: u64, text: &str) -> Stop {
        let operation = self.operations();
        let described = |entry: &Entry| match entry.described() {
            text if text.is_empty() => entry.function.name().to_owned(),
            text => format!("{} {text}", entry.function.name()),
        };
        let outcome = Outcome::Done;
        let text = text.to_owned();
        let actual = Entry { function, arguments, text, outcome, at_ns: 0, duration_ns: 0 };
        let recorded = self.entries.get(self.at);
        if recorded.is_none() && self.ending.is_struck() {
            return Stop::Struck { operations: operation };
        }
        Stop::Diverged(Divergence {
            operation,
            what: recorded.map_or("end", |entry| entry.function.name()).to_owned(),
            expected: recorded.map_or_else(|| "the end of the function".to_owned(), described),
            actual: described(&actual),
        })
    }
}

/// The bytes of an answer must fit into what the guest asked for.
pub(super) fn fits(entry: &Entry, outcome: &Outcome) -> Result<(), String> {
    let (Function::Read | Function::BlockingRead, Outcome::Bytes(bytes)) =
        (entry.function, outcome)
    else {
        return Ok(());
    };
    let asked = (entry.arguments & 0xffff_ffff) as usize;
    match Bytes::len(bytes) {
        0 => Err("a piece of a body must not be empty; {\"end\": true} ends it".to_owned()),
        length if length > asked => {
            Err(format!("{length} bytes are more than the {asked} that the guest asked for"))
        }
        _ => Ok(()),
    }
}
