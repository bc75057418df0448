//! Writing a journal while a guest runs.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{
    CHECKSUM_BYTES, Ending, EnvEntry, Function, Header, Journal, MAGIC, Mask, MaskPlace, Outcome,
    VERSION, mask, piece::Piece, put_bytes, put_number, put_signed,
};

/// Waits shorter than this are not kept: reading them would tell nothing.
const WAIT_SHOWN_MIN: Duration = Duration::from_micros(1);
/// What is kept of waits, in bytes. They are shown to people and mean nothing to a replay.
const WAITS_BYTES_MAX: usize = 4 << 20;

pub(super) const FLAG_VERIFY: u8 = 1;
pub(super) const FLAG_DURABLE: u8 = 2;

/// How far a journal is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    pub(super) operations: u32,
    pub(super) clocks: [i64; 2],
}

/// Collects the entries of one invocation. Grows by amortised doubling; no allocation per entry.
#[derive(Debug)]
pub struct Recorder {
    buffer: Vec<u8>,
    entries_start: usize,
    operations: u32,
    clocks: [i64; 2],
    waits: Vec<u8>,
    waits_count: u64,
    started: Instant,
    limit_bytes: usize,
    overflowed: bool,
    /// Up to which byte and operation the journal was given out in pieces.
    given: (usize, u32),
}

impl Recorder {
    /// Begins a journal that may grow to `limit_bytes`; `started` is when the guest was called.
    pub fn new(header: &Header, started: Instant, limit_bytes: usize) -> Self {
        let mut buffer = Vec::with_capacity(512);
        buffer.extend_from_slice(MAGIC);
        buffer.push(VERSION);
        put_header(&mut buffer, header);
        let entries_start = buffer.len() + 4;
        buffer.extend_from_slice(&[0; 4]);
        Recorder {
            buffer,
            entries_start,
            operations: 0,
            clocks: [header.started_ns, 0],
            waits: Vec::new(),
            waits_count: 0,
            started,
            limit_bytes,
            overflowed: false,
            given: (0, 0),
        }
    }

    /// Goes on with a journal that was given out in pieces before.
    pub(super) fn go_on(
        (header, entries): (&Header, &[u8]),
        progress: Progress,
        origin: Instant,
        limit_bytes: usize,
    ) -> Self {
        let mut recorder = Recorder::new(header, origin, limit_bytes);
        recorder.buffer.extend_from_slice(entries);
        recorder.operations = progress.operations;
        recorder.clocks = progress.clocks;
        recorder.given = (recorder.buffer.len(), progress.operations);
        recorder
    }

    /// What was added since the last piece, to be kept durably; nothing when nothing was. The first
    /// piece also holds the header. `running` is how long the guest ran until now, `secrets` are as
    /// for [`finish`](Self::finish).
    pub fn take_piece(&mut self, running: Duration, secrets: &[(u32, &[u8])]) -> Option<Bytes> {
        let (from, operation) = self.given;
        if self.overflowed || (from > 0 && from == self.buffer.len()) {
            return None;
        }
        self.given = (self.buffer.len(), self.operations);
        let header = match from {
            0 => &self.buffer[MAGIC.len() + 1..self.entries_start - 4],
            _ => &[],
        };
        let piece = Piece {
            operations: operation..self.operations,
            running,
            header,
            entries: &self.buffer[from.max(self.entries_start)..],
        };
        Some(piece.encode(secrets))
    }

    /// How many operations were recorded.
    pub fn operations(&self) -> u32 {
        self.operations
    }

    /// Whether the limit was exceeded: the journal is useless and has been dropped.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Adds one operation. `text` is kept for functions that are described.
    pub fn push(&mut self, function: Function, arguments: u64, text: &str, outcome: &Outcome) {
        self.operations += 1;
        if self.overflowed {
            return;
        }
        self.buffer.push(function as u8);
        put_arguments(&mut self.buffer, function, arguments, text);
        outcome.put(&mut self.buffer, &mut self.clocks[clock_of(function)]);
        if self.buffer.len() > self.limit_bytes {
            self.overflowed = true;
            self.buffer = Vec::new();
        }
    }

    /// Says when the operation added last began to wait.
    pub fn waited_since(&mut self, began: Instant) {
        let waited = began.elapsed();
        if waited < WAIT_SHOWN_MIN || self.overflowed || self.waits.len() > WAITS_BYTES_MAX {
            return;
        }
        put_number(&mut self.waits, u64::from(self.operations.saturating_sub(1)));
        put_number(&mut self.waits, nanoseconds(began.duration_since(self.started)));
        put_number(&mut self.waits, nanoseconds(waited));
        self.waits_count += 1;
    }

    /// Ends the journal. `secrets` are pairs of a variable's place in the header and its value:
    /// their bytes are masked here and put back by a replay. `input` are the masked places of the
    /// input body. Empty when it overflowed.
    pub fn finish(
        mut self,
        ending: Ending,
        in_flight: Option<Function>,
        secrets: &[(u32, &[u8])],
        input: &[Mask],
    ) -> Bytes {
        if self.overflowed {
            return Bytes::new();
        }
        let mut masks = input.to_vec();
        for &(env, secret) in secrets {
            mask(&mut self.buffer[self.entries_start..], secret, |offset| {
                masks.push(Mask { place: MaskPlace::Entries, offset: offset as u32, env });
            });
        }
        let length = (self.buffer.len() - self.entries_start) as u32;
        self.buffer[self.entries_start - 4..self.entries_start]
            .copy_from_slice(&length.to_le_bytes());
        let end = End { ending, in_flight, operations: self.operations, masks: &masks };
        put_end(&mut self.buffer, end, (self.waits_count, &self.waits));
        Bytes::from(self.buffer)
    }
}

impl Journal {
    /// The journal as bytes: what [`decode`](Journal::decode) read, or a journal that was cut since.
    pub fn encode(&self) -> Bytes {
        let mut buffer = Vec::with_capacity(512 + self.entries.len());
        buffer.extend_from_slice(MAGIC);
        buffer.push(VERSION);
        put_header(&mut buffer, &self.header);
        buffer.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        buffer.extend_from_slice(&self.entries);
        let mut waits = Vec::new();
        for &(operation, began, waited) in &self.waits {
            put_number(&mut waits, u64::from(operation));
            put_number(&mut waits, began);
            put_number(&mut waits, waited);
        }
        let end = End {
            ending: self.ending,
            in_flight: self.in_flight,
            operations: self.operations,
            masks: &self.masks,
        };
        put_end(&mut buffer, end, (self.waits.len() as u64, &waits));
        Bytes::from(buffer)
    }
}

/// What stands behind the entries, besides the waits.
struct End<'a> {
    ending: Ending,
    in_flight: Option<Function>,
    operations: u32,
    masks: &'a [Mask],
}

fn put_end(buffer: &mut Vec<u8>, end: End<'_>, (waits_count, waits): (u64, &[u8])) {
    buffer.push(end.ending as u8);
    buffer.push(end.in_flight.map_or(0, |function| function as u8));
    put_number(buffer, u64::from(end.operations));
    put_number(buffer, end.masks.len() as u64);
    for mask in end.masks {
        buffer.push(u8::from(mask.place == MaskPlace::Input));
        put_number(buffer, u64::from(mask.offset));
        put_number(buffer, u64::from(mask.env));
    }
    put_number(buffer, waits_count);
    buffer.extend_from_slice(waits);
    let checksum = blake3::hash(buffer);
    buffer.extend_from_slice(&checksum.as_bytes()[..CHECKSUM_BYTES]);
}

/// Which of the two clocks a function reads; functions without one use the first.
pub(super) fn clock_of(function: Function) -> usize {
    usize::from(function == Function::MonotonicNow)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn put_arguments(buffer: &mut Vec<u8>, function: Function, arguments: u64, text: &str) {
    if function.hashes_arguments() {
        buffer.extend_from_slice(&arguments.to_le_bytes());
    } else {
        put_number(buffer, arguments);
    }
    if function.is_described() {
        put_bytes(buffer, text.as_bytes());
    }
}

fn put_header(buffer: &mut Vec<u8>, header: &Header) {
    buffer.extend_from_slice(&header.semantics);
    buffer.extend_from_slice(&header.component);
    buffer.extend_from_slice(&header.invocation);
    put_signed(buffer, header.started_ns);
    put_signed(buffer, header.deadline_ns);
    put_number(buffer, u64::from(header.attempt));
    buffer.extend_from_slice(&header.seed);
    let verify = if header.verify { FLAG_VERIFY } else { 0 };
    let durable = if header.durable { FLAG_DURABLE } else { 0 };
    buffer.push(verify | durable);
    put_bytes(buffer, header.traceparent.as_bytes());
    put_number(buffer, header.env.len() as u64);
    for entry in &header.env {
        match entry {
            EnvEntry::Plain { name, value } => {
                buffer.push(0);
                put_bytes(buffer, name.as_bytes());
                put_bytes(buffer, value.as_bytes());
            }
            EnvEntry::Secret { name, secret, version } => {
                buffer.push(1);
                put_bytes(buffer, name.as_bytes());
                put_bytes(buffer, secret.as_bytes());
                put_number(buffer, u64::from(*version));
            }
        }
    }
}
