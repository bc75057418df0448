//! What is kept of one running invocation: its journal (written or played), the bodies as they
//! passed, and the log lines. One lock guards it; only the invocation itself ever takes it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use nexus_exec::journal::{Divergence, Function, Header, Outcome, Player, Recorder, Stop};
use nexus_exec::rehearsal::Script;
use nexus_exec::{CapturedBody, Piece};
use nexus_model::limits;
use tokio::sync::watch;

use crate::debug::Explorer;
use crate::logs::Logs;
use crate::witness::Witness;

/// The journal as one invocation uses it.
#[derive(Debug)]
pub(crate) enum Tape {
    /// Operations are counted and forgotten.
    Off(u32),
    /// Operations are written.
    Record(Box<Recorder>),
    /// Operations are answered from a recording.
    Replay(Box<Player>),
    /// Operations are answered for a debugger: from a recording, with answers edited.
    Explore(Box<Explorer>),
    /// Operations are answered from what was persisted, until that ends; then they are written.
    Resume(Box<Resuming>),
    /// Operations are answered by what a recording of another version knows.
    Rehearse(Box<Script>),
}

/// The persisted part of a journal while it is repeated.
#[derive(Debug)]
pub(crate) struct Resuming {
    pub(crate) player: Player,
    pub(crate) header: Header,
    /// How long the guest had run when it was persisted.
    pub(crate) ran: Duration,
}

/// What ended a durable invocation although its guest did nothing wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the journal of {operations} operations exceeds the limit of {} bytes",
    limits::JOURNAL_BYTES_MAX
)]
pub(crate) struct JournalTooLarge {
    operations: u32,
}

/// A body that is collected up to a limit.
#[derive(Debug)]
pub(crate) struct Captured {
    keep: bool,
    bytes: BytesMut,
    pieces: Vec<u32>,
    pub(crate) size: u64,
    dropped: bool,
}

impl Captured {
    pub(crate) fn new(keep: bool) -> Self {
        Captured { keep, bytes: BytesMut::new(), pieces: Vec::new(), size: 0, dropped: false }
    }

    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.push_within(piece, limits::RECORD_BODY_BYTES_MAX);
    }

    /// Like [`push`](Self::push), up to another limit.
    fn push_within(&mut self, piece: &[u8], limit: usize) {
        self.size += piece.len() as u64;
        if !self.keep || self.dropped || piece.is_empty() {
            return;
        }
        if self.bytes.len() + piece.len() > limit {
            self.dropped = true;
            self.bytes = BytesMut::new();
            self.pieces = Vec::new();
            return;
        }
        self.bytes.extend_from_slice(piece);
        self.pieces.push(piece.len() as u32);
    }

    /// A piece of a result, which is kept whatever is recorded: somebody waits for it.
    pub(crate) fn push_result(&mut self, piece: &[u8]) {
        self.push_within(piece, limits::OUTPUT_BYTES_MAX);
    }

    /// What was kept until now.
    pub(crate) fn bytes(&self) -> Bytes {
        Bytes::copy_from_slice(&self.bytes)
    }

    pub(crate) fn finish(self) -> CapturedBody {
        CapturedBody {
            bytes: self.bytes.freeze(),
            pieces: self.pieces,
            size: self.size,
            dropped: self.dropped,
        }
    }
}

/// The head and trailers of the guest's HTTP answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) head: Option<(u16, http::HeaderMap)>,
    /// The guest writes a body, and whether it said that it is whole.
    pub(crate) has_body: bool,
    pub(crate) finished: bool,
    pub(crate) refused: Option<String>,
    pub(crate) trailers: Option<http::HeaderMap>,
    pub(crate) at: Option<Instant>,
}

impl Answer {
    /// Whether the guest left its body before it was whole.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.has_body && !self.finished
    }
}

/// Everything that is kept of one invocation while it runs.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) tape: Tape,
    pub(crate) input: Captured,
    /// The body of the input that is left to be read, where it is there as a whole: in a replay, and
    /// in durable invocations.
    pub(crate) whole_input: Bytes,
    pub(crate) output: Captured,
    pub(crate) answer: Answer,
    pub(crate) logs: Logs,
    pub(crate) in_flight: Option<Function>,
    pub(crate) stop: Option<Stop>,
    pub(crate) emitted: usize,
    /// Signals that were recorded and are in no piece yet.
    pub(crate) signals: Vec<[u8; 16]>,
    /// Watches a replay for what it asks of the world.
    pub(crate) witness: Option<Box<Witness>>,
    /// The zero of the guest's monotonic clock. It moves when a journal was repeated: the time in
    /// which the guest was not there does not count.
    pub(crate) origin: Instant,
    /// Where a journal is repeated first: whether operations reach the world by now.
    live: Option<watch::Sender<bool>>,
}

/// The ledger, shared by a store and the streams in it.
pub(crate) type Shared = Arc<Mutex<Ledger>>;

/// Takes the lock. A panic while it was held cannot leave it inconsistent: entries are appended
/// whole.
pub(crate) fn lock(shared: &Shared) -> MutexGuard<'_, Ledger> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// `origin` is the zero of the guest's monotonic clock.
    pub(crate) fn new(tape: Tape, keep: bool, (logs, origin): (Logs, Instant)) -> Self {
        let live = matches!(tape, Tape::Resume(_)).then(|| watch::channel(false).0);
        let mut ledger = Ledger {
            tape,
            input: Captured::new(keep),
            whole_input: Bytes::new(),
            output: Captured::new(keep),
            answer: Answer::default(),
            logs,
            in_flight: None,
            stop: None,
            emitted: 0,
            signals: Vec::new(),
            witness: None,
            origin,
            live,
        };
        ledger.go_live_at_the_end();
        ledger
    }

    /// A ledger that keeps nothing, to put in the place of one that is taken apart.
    pub(crate) fn empty(logs: Logs) -> Self {
        Ledger::new(Tape::Off(0), false, (logs, Instant::now()))
    }

    /// How many operations were recorded, counted or played.
    pub(crate) fn operations(&self) -> u32 {
        match &self.tape {
            Tape::Off(count) => *count,
            Tape::Record(recorder) => recorder.operations(),
            Tape::Replay(player) => player.operations(),
            Tape::Explore(explorer) => explorer.operations(),
            Tape::Resume(resuming) => resuming.player.operations(),
            Tape::Rehearse(script) => script.operations(),
        }
    }

    /// Tells when operations reach the world; nothing where they always do.
    pub(crate) fn live(&self) -> Option<watch::Receiver<bool>> {
        Some(self.live.as_ref()?.subscribe())
    }

    pub(crate) fn is_resuming(&self) -> bool {
        matches!(self.tape, Tape::Resume(_))
    }

    /// The guest's monotonic clock. While a journal is repeated it stands at its last reading.
    pub(crate) fn monotonic(&self) -> Duration {
        match &self.tape {
            Tape::Resume(resuming) => Duration::from_nanos(resuming.player.monotonic_ns()),
            Tape::Rehearse(script) => Duration::from_nanos(script.monotonic_ns()),
            _ => self.origin.elapsed(),
        }
    }

    /// Goes on recording once the last persisted operation was repeated.
    fn go_live_at_the_end(&mut self) {
        if let Tape::Resume(resuming) = &self.tape
            && resuming.player.is_at_end()
        {
            self.go_live();
        }
    }

    /// Goes on recording behind the persisted journal, of which no more is repeated.
    pub(crate) fn go_live(&mut self) {
        let Tape::Resume(resuming) = &mut self.tape else { return };
        let ran = Duration::from_nanos(resuming.player.monotonic_ns()).max(resuming.ran);
        let now = Instant::now();
        self.origin = now.checked_sub(ran).unwrap_or(now);
        let limit = limits::JOURNAL_BYTES_MAX;
        let recorder = resuming.player.go_on(&resuming.header, self.origin, limit);
        self.tape = Tape::Record(Box::new(recorder));
        if let Some(live) = &self.live {
            live.send_replace(true);
        }
    }

    /// What is recorded and not yet persisted.
    pub(crate) fn take_piece(
        &mut self,
        secrets: &[(u32, &[u8])],
    ) -> Result<Option<Piece>, JournalTooLarge> {
        let running = self.origin.elapsed();
        match &mut self.tape {
            Tape::Record(recorder) if recorder.overflowed() => {
                Err(JournalTooLarge { operations: recorder.operations() })
            }
            Tape::Record(recorder) => {
                let bytes = recorder.take_piece(running, secrets);
                let signals = &mut self.signals;
                Ok(bytes.map(|bytes| Piece { bytes, signals: std::mem::take(signals) }))
            }
            _ => Ok(None),
        }
    }

    /// What the guest left undone of a persisted journal, if it ended before that did.
    pub(crate) fn left_undone(&self) -> Option<Divergence> {
        match &self.tape {
            Tape::Resume(resuming) => resuming.player.left_over(),
            _ => None,
        }
    }

    pub(crate) fn is_replay(&self) -> bool {
        matches!(self.tape, Tape::Replay(_) | Tape::Explore(_))
    }

    /// In a replay, and while a journal is repeated, the recorded outcome of this operation;
    /// otherwise nothing, and the caller asks the world and then calls [`record`](Self::record).
    pub(crate) fn replayed(
        &mut self,
        function: Function,
        arguments: u64,
        text: &str,
    ) -> wasmtime::Result<Option<Outcome>> {
        if let Tape::Rehearse(script) = &mut self.tape {
            return Ok(script.local(function, arguments, text));
        }
        let next = match &mut self.tape {
            Tape::Explore(explorer) => explorer.next(function, arguments, text),
            _ => match self.player() {
                Some(player) => player.next(function, arguments, text),
                None => return Ok(None),
            },
        };
        match next {
            Ok(outcome) => {
                self.go_live_at_the_end();
                Ok(Some(outcome))
            }
            Err(stop) => {
                self.stop = Some(stop.clone());
                Err(wasmtime::Error::new(stop))
            }
        }
    }

    fn player(&mut self) -> Option<&mut Player> {
        match &mut self.tape {
            Tape::Replay(player) => Some(player),
            Tape::Resume(resuming) => Some(&mut resuming.player),
            Tape::Off(_) | Tape::Record(_) | Tape::Explore(_) | Tape::Rehearse(_) => None,
        }
    }

    /// Keeps what the world answered.
    pub(crate) fn record(
        &mut self,
        function: Function,
        arguments: u64,
        text: &str,
        outcome: &Outcome,
    ) {
        self.in_flight = None;
        match &mut self.tape {
            Tape::Off(count) => *count += 1,
            Tape::Record(recorder) => recorder.push(function, arguments, text, outcome),
            Tape::Rehearse(script) => script.count(),
            Tape::Replay(_) | Tape::Explore(_) | Tape::Resume(_) => {}
        }
    }

    /// Tells the witness of a replay, if there is one.
    pub(crate) fn watch(&mut self, tell: impl FnOnce(&mut Witness)) {
        if let Some(witness) = &mut self.witness {
            tell(witness);
        }
    }

    /// In a rehearsal, the guest waits for whatever comes first.
    pub(crate) fn idle(&mut self) {
        if let Tape::Rehearse(script) = &mut self.tape {
            script.idle();
        }
    }

    /// In a rehearsal, a request is about to go. Said before it goes: it may arrive at once.
    /// Whether it is a rehearsal.
    pub(crate) fn sends(&mut self) -> bool {
        let Tape::Rehearse(script) = &mut self.tape else { return false };
        script.send();
        true
    }

    /// In a rehearsal, the request did not go.
    pub(crate) fn not_sent(&mut self) {
        if let Tape::Rehearse(script) = &mut self.tape {
            script.take_back();
        }
    }

    /// In a rehearsal, the guest has the answer to a request.
    pub(crate) fn arrived(&mut self) {
        if let Tape::Rehearse(script) = &mut self.tape {
            script.arrive();
        }
    }

    /// Like [`record`](Self::record), for an operation that waited since `began`.
    pub(crate) fn record_wait(
        &mut self,
        (function, arguments, text): (Function, u64, &str),
        began: Instant,
        outcome: &Outcome,
    ) {
        self.record(function, arguments, text, outcome);
        if let Tape::Record(recorder) = &mut self.tape {
            recorder.waited_since(began);
        }
    }

    /// An operation whose result follows from what is known: it is only noted, or compared.
    pub(crate) fn note(
        &mut self,
        function: Function,
        arguments: u64,
        text: &str,
    ) -> wasmtime::Result<()> {
        if self.replayed(function, arguments, text)?.is_none() {
            self.record(function, arguments, text, &Outcome::Done);
        }
        Ok(())
    }

    /// A recorded outcome that the function cannot have given.
    pub(crate) fn unexpected(&mut self, function: Function, outcome: &Outcome) -> wasmtime::Error {
        let Some(player) = self.player() else {
            return wasmtime::Error::msg(format!(
                "the journal has an outcome of {} that does not belong there: {}",
                function.name(),
                outcome.summary()
            ));
        };
        let stop = player.unexpected(function, outcome);
        self.stop = Some(stop.clone());
        wasmtime::Error::new(stop)
    }
}
