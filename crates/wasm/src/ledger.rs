//! What is kept of one running invocation: its journal (written or played), the bodies as they
//! passed, and the log lines. One lock guards it; only the invocation itself ever takes it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use nexus_exec::CapturedBody;
use nexus_exec::journal::{Function, Outcome, Player, Recorder, Stop};
use nexus_model::limits;

use crate::logs::Logs;

/// The journal as one invocation uses it.
#[derive(Debug)]
pub(crate) enum Tape {
    /// Operations are counted and forgotten.
    Off(u32),
    /// Operations are written.
    Record(Box<Recorder>),
    /// Operations are answered from a recording.
    Replay(Box<Player>),
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
        self.size += piece.len() as u64;
        if !self.keep || self.dropped || piece.is_empty() {
            return;
        }
        if self.bytes.len() + piece.len() > limits::RECORD_BODY_BYTES_MAX {
            self.dropped = true;
            self.bytes = BytesMut::new();
            self.pieces = Vec::new();
            return;
        }
        self.bytes.extend_from_slice(piece);
        self.pieces.push(piece.len() as u32);
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
    pub(crate) refused: Option<String>,
    pub(crate) trailers: Option<http::HeaderMap>,
    pub(crate) at: Option<Instant>,
}

/// Everything that is kept of one invocation while it runs.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) tape: Tape,
    pub(crate) input: Captured,
    /// The recorded input that a replay hands out.
    pub(crate) replay_input: Bytes,
    pub(crate) output: Captured,
    pub(crate) answer: Answer,
    pub(crate) logs: Logs,
    pub(crate) in_flight: Option<Function>,
    pub(crate) stop: Option<Stop>,
    pub(crate) emitted: usize,
}

/// The ledger, shared by a store and the streams in it.
pub(crate) type Shared = Arc<Mutex<Ledger>>;

/// Takes the lock. A panic while it was held cannot leave it inconsistent: entries are appended
/// whole.
pub(crate) fn lock(shared: &Shared) -> MutexGuard<'_, Ledger> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    pub(crate) fn new(tape: Tape, keep: bool, logs: Logs) -> Self {
        Ledger {
            tape,
            input: Captured::new(keep),
            replay_input: Bytes::new(),
            output: Captured::new(keep),
            answer: Answer::default(),
            logs,
            in_flight: None,
            stop: None,
            emitted: 0,
        }
    }

    /// How many operations were recorded, counted or played.
    pub(crate) fn operations(&self) -> u32 {
        match &self.tape {
            Tape::Off(count) => *count,
            Tape::Record(recorder) => recorder.operations(),
            Tape::Replay(player) => player.operations(),
        }
    }

    pub(crate) fn is_replay(&self) -> bool {
        matches!(self.tape, Tape::Replay(_))
    }

    /// In a replay the recorded outcome of this operation; otherwise nothing, and the caller asks
    /// the world and then calls [`record`](Self::record).
    pub(crate) fn replayed(
        &mut self,
        function: Function,
        arguments: u64,
        text: &str,
    ) -> wasmtime::Result<Option<Outcome>> {
        let Tape::Replay(player) = &mut self.tape else { return Ok(None) };
        match player.next(function, arguments, text) {
            Ok(outcome) => Ok(Some(outcome)),
            Err(stop) => {
                self.stop = Some(stop.clone());
                Err(wasmtime::Error::new(stop))
            }
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
            Tape::Replay(_) => {}
        }
    }

    /// Like [`record`](Self::record), for an operation that waited since `began`.
    pub(crate) fn record_wait(
        &mut self,
        (function, arguments): (Function, u64),
        began: Instant,
        outcome: &Outcome,
    ) {
        self.record(function, arguments, "", outcome);
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
        let Tape::Replay(player) = &self.tape else {
            return wasmtime::Error::msg("an outcome outside of a replay");
        };
        let stop = player.unexpected(function, outcome);
        self.stop = Some(stop.clone());
        wasmtime::Error::new(stop)
    }
}
