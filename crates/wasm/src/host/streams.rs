//! Streams as guests see them. Those whose pieces depend on the network are journaled; standard
//! streams and files are in memory, always ready, and follow from the guest's own actions.

use std::time::Instant;

use bytes::Bytes;
use nexus_exec::journal::{Fault, Function, Outcome, hash_arguments};
use nexus_model::limits;
use nexus_model::record::Stream;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::bodies::Buffer;
use super::faults;
use crate::ledger::{Ledger, Shared, lock};

/// What one write may hold on streams that are in memory.
pub(super) const WRITE_BYTES_MAX: usize = 64 << 10;

/// Whose body an [`Incoming`] stream reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// The invocation's own input: its bytes are kept in the record's input.
    Input,
    /// The response to an outbound request: its bytes are kept in the journal.
    Response,
}

/// A body that comes from outside. In a replay nothing lies beneath it.
pub(super) struct Incoming {
    pub(super) inner: Option<Box<dyn InputStream>>,
    pub(super) number: u32,
    pub(super) source: Source,
    pub(super) ledger: Shared,
}

impl Incoming {
    fn arguments(&self, size: usize) -> u64 {
        u64::from(self.number) << 32 | size.min(u32::MAX as usize) as u64
    }

    fn play(
        &self,
        ledger: &mut Ledger,
        function: Function,
        outcome: Outcome,
    ) -> StreamResult<Bytes> {
        ledger.watch(|witness| witness.read(self.number, &outcome));
        match outcome {
            Outcome::Bytes(bytes) => Ok(bytes),
            Outcome::Taken(length) => {
                let length = (length as usize).min(ledger.whole_input.len());
                let bytes = ledger.whole_input.split_to(length);
                ledger.input.push(&bytes);
                Ok(bytes)
            }
            Outcome::Closed => Err(StreamError::Closed),
            Outcome::Failed(fault) => Err(faults::stream_error(&fault)),
            other => Err(StreamError::Trap(ledger.unexpected(function, &other))),
        }
    }

    /// Turns what the network gave into an outcome, and the outcome into what the guest gets: the
    /// same on both sides of a replay.
    fn keep(
        &self,
        call: (Function, u64),
        began: Option<Instant>,
        result: StreamResult<Bytes>,
    ) -> StreamResult<Bytes> {
        let outcome = match (result, self.source) {
            (Ok(bytes), Source::Response) => Outcome::Bytes(bytes),
            (Ok(bytes), Source::Input) => {
                let mut ledger = lock(&self.ledger);
                ledger.input.push(&bytes);
                record(&mut ledger, call, began, &Outcome::Taken(bytes.len() as u64));
                return Ok(bytes);
            }
            (Err(StreamError::Closed), _) => Outcome::Closed,
            (Err(StreamError::LastOperationFailed(error)), _) => {
                Outcome::Failed(faults::stream_fault(&error))
            }
            (Err(StreamError::Trap(error)), _) => return Err(StreamError::Trap(error)),
        };
        record(&mut lock(&self.ledger), call, began, &outcome);
        match outcome {
            Outcome::Bytes(bytes) => Ok(bytes),
            Outcome::Failed(fault) => Err(faults::stream_error(&fault)),
            _ => Err(StreamError::Closed),
        }
    }
}

fn record(ledger: &mut Ledger, call: (Function, u64), began: Option<Instant>, outcome: &Outcome) {
    match began {
        Some(began) => ledger.record_wait((call.0, call.1, ""), began, outcome),
        None => ledger.record(call.0, call.1, "", outcome),
    }
}

#[async_trait]
impl InputStream for Incoming {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let call = (Function::Read, self.arguments(size));
        {
            let mut ledger = lock(&self.ledger);
            if let Some(outcome) = ledger.replayed(call.0, call.1, "").map_err(StreamError::Trap)? {
                return self.play(&mut ledger, call.0, outcome);
            }
        }
        let Some(inner) = &mut self.inner else { return Err(StreamError::Closed) };
        let result = inner.read(size);
        self.keep(call, None, result)
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        let call = (Function::BlockingRead, self.arguments(size));
        {
            let mut ledger = lock(&self.ledger);
            if let Some(outcome) = ledger.replayed(call.0, call.1, "").map_err(StreamError::Trap)? {
                return self.play(&mut ledger, call.0, outcome);
            }
            ledger.in_flight = Some(call.0);
        }
        let began = Instant::now();
        let Some(inner) = &mut self.inner else { return Err(StreamError::Closed) };
        let result = inner.blocking_read(size).await;
        self.keep(call, Some(began), result)
    }
}

#[async_trait]
impl Pollable for Incoming {
    async fn ready(&mut self) {
        if let Some(inner) = &mut self.inner {
            inner.ready().await;
        }
    }
}

/// Where an [`Outgoing`] stream leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    /// To the caller: compared byte by byte at the end.
    Answer,
    /// To another server: every write is compared by its hash.
    Request,
}

/// A body that the guest writes. In a replay nothing lies beneath it.
pub(super) struct Outgoing {
    pub(super) inner: Option<Box<dyn OutputStream>>,
    pub(super) number: u32,
    pub(super) target: Target,
    /// Counts what waits for the network, for a request.
    pub(super) buffer: Option<Buffer>,
    pub(super) ledger: Shared,
}

impl Outgoing {
    fn arguments(&self, bytes: &[u8]) -> u64 {
        match self.target {
            Target::Answer => u64::from(self.number) << 32 | bytes.len() as u64,
            Target::Request => hash_arguments(&[&self.number.to_le_bytes(), bytes]),
        }
    }

    fn replay(&self, call: (Function, u64), bytes: &[u8]) -> Option<StreamResult<u64>> {
        let mut ledger = lock(&self.ledger);
        let outcome = match ledger.replayed(call.0, call.1, "") {
            Ok(None) => return None,
            Ok(Some(outcome)) => outcome,
            Err(stop) => return Some(Err(StreamError::Trap(stop))),
        };
        Some(match outcome {
            Outcome::Number(number) => Ok(number),
            Outcome::Done => {
                ledger.watch(|witness| witness.wrote(self.number, bytes));
                self.passed(&mut ledger, bytes);
                Ok(0)
            }
            Outcome::Closed => Err(StreamError::Closed),
            Outcome::Failed(fault) => Err(faults::stream_error(&fault)),
            other => Err(StreamError::Trap(ledger.unexpected(call.0, &other))),
        })
    }

    fn passed(&self, ledger: &mut Ledger, bytes: &[u8]) {
        if self.target == Target::Answer {
            ledger.output.push(bytes);
        }
    }

    fn keep(
        &self,
        call: (Function, u64),
        began: Option<Instant>,
        (result, bytes): (StreamResult<Option<usize>>, &[u8]),
    ) -> StreamResult<u64> {
        let outcome = match result {
            Ok(Some(permit)) => Outcome::Number(permit as u64),
            Ok(None) => Outcome::Done,
            Err(StreamError::Closed) if self.is_taken(call.0, bytes) => match call.0 {
                Function::CheckWrite | Function::WriteReady => {
                    Outcome::Number(WRITE_BYTES_MAX as u64)
                }
                _ => Outcome::Done,
            },
            Err(StreamError::Closed) => Outcome::Closed,
            Err(StreamError::LastOperationFailed(error)) => {
                Outcome::Failed(faults::stream_fault(&error))
            }
            Err(StreamError::Trap(error)) => return Err(StreamError::Trap(error)),
        };
        let mut ledger = lock(&self.ledger);
        record(&mut ledger, call, began, &outcome);
        match outcome {
            Outcome::Number(permit) => Ok(permit),
            Outcome::Done => {
                self.passed(&mut ledger, bytes);
                Ok(0)
            }
            Outcome::Failed(fault) => Err(faults::stream_error(&fault)),
            _ => Err(StreamError::Closed),
        }
    }

    /// Whether the caller has all of the answer that was announced to it. It reads no further then, and
    /// that is no failure of the guest's.
    fn is_taken(&self, function: Function, bytes: &[u8]) -> bool {
        let written = match function {
            Function::Write => return false,
            Function::BlockingWrite => bytes.len() as u64,
            _ => 0,
        };
        let ledger = lock(&self.ledger);
        let announced = ledger.answer.head.as_ref().and_then(|(_, headers)| {
            headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse::<u64>().ok()
        });
        self.target == Target::Answer
            && announced.is_some_and(|size| ledger.output.size + written >= size)
    }

    fn begin(&self, function: Function) -> Instant {
        lock(&self.ledger).in_flight = Some(function);
        Instant::now()
    }
}

/// Counts what is about to be written before the network can take it.
fn count(buffer: &Option<Buffer>, bytes: usize) -> StreamResult<()> {
    let Some(buffer) = buffer else { return Ok(()) };
    buffer.add(bytes).map_err(|code| StreamError::LastOperationFailed(wasmtime::Error::new(code)))
}

/// What a write came to, where nothing was written after all.
fn written(
    buffer: &Option<Buffer>,
    bytes: usize,
    result: StreamResult<()>,
) -> StreamResult<Option<usize>> {
    if let (Some(buffer), Err(_)) = (buffer, &result) {
        buffer.remove(bytes);
    }
    result.map(|()| None)
}

#[async_trait]
impl OutputStream for Outgoing {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let call = (Function::Write, self.arguments(&bytes));
        if let Some(replayed) = self.replay(call, &bytes) {
            return replayed.map(drop);
        }
        let Some(inner) = &mut self.inner else { return Err(StreamError::Closed) };
        let counted = count(&self.buffer, bytes.len());
        let result = counted.and_then(|()| inner.write(bytes.clone()));
        let result = written(&self.buffer, bytes.len(), result);
        self.keep(call, None, (result, &bytes)).map(drop)
    }

    fn flush(&mut self) -> StreamResult<()> {
        let call = (Function::Flush, u64::from(self.number));
        if let Some(replayed) = self.replay(call, &[]) {
            return replayed.map(drop);
        }
        let Some(inner) = &mut self.inner else { return Err(StreamError::Closed) };
        let result = inner.flush().map(|()| None);
        self.keep(call, None, (result, &[])).map(drop)
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let call = (Function::CheckWrite, u64::from(self.number));
        if let Some(replayed) = self.replay(call, &[]) {
            return replayed.map(|permit| permit as usize);
        }
        let Some(inner) = &mut self.inner else { return Err(StreamError::Closed) };
        let result = inner.check_write().map(Some);
        self.keep(call, None, (result, &[])).map(|permit| permit as usize)
    }

    async fn write_ready(&mut self) -> StreamResult<usize> {
        let call = (Function::WriteReady, u64::from(self.number));
        if let Some(replayed) = self.replay(call, &[]) {
            return replayed.map(|permit| permit as usize);
        }
        let began = self.begin(call.0);
        let Some(inner) = &mut self.inner else { return Err(StreamError::Closed) };
        let result = inner.write_ready().await.map(Some);
        self.keep(call, Some(began), (result, &[])).map(|permit| permit as usize)
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        let call = (Function::BlockingWrite, self.arguments(&bytes));
        if let Some(replayed) = self.replay(call, &bytes) {
            return replayed.map(drop);
        }
        let began = self.begin(call.0);
        let Some(inner) = &mut self.inner else { return Err(StreamError::Closed) };
        let result = match count(&self.buffer, bytes.len()) {
            Ok(()) => inner.blocking_write_and_flush(bytes.clone()).await,
            Err(error) => Err(error),
        };
        let result = written(&self.buffer, bytes.len(), result);
        self.keep(call, Some(began), (result, &bytes)).map(drop)
    }
}

#[async_trait]
impl Pollable for Outgoing {
    async fn ready(&mut self) {
        if let Some(inner) = &mut self.inner {
            inner.ready().await;
        }
    }
}

/// Bytes that are all there.
pub(super) struct FixedInput {
    bytes: Bytes,
}

impl FixedInput {
    pub(super) fn new(bytes: Bytes) -> Self {
        FixedInput { bytes }
    }
}

#[async_trait]
impl InputStream for FixedInput {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if self.bytes.is_empty() {
            return Err(StreamError::Closed);
        }
        Ok(self.bytes.split_to(size.min(self.bytes.len())))
    }
}

#[async_trait]
impl Pollable for FixedInput {
    async fn ready(&mut self) {}
}

/// The body of a durable invocation's input: it was read before the guest began.
pub(super) struct InputBody {
    pub(super) ledger: Shared,
}

#[async_trait]
impl InputStream for InputBody {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let mut ledger = lock(&self.ledger);
        let length = size.min(ledger.whole_input.len());
        match length {
            0 if size > 0 => Err(StreamError::Closed),
            length => Ok(ledger.whole_input.split_to(length)),
        }
    }
}

#[async_trait]
impl Pollable for InputBody {
    async fn ready(&mut self) {}
}

/// Standard output or standard error.
pub(super) struct LogOutput {
    pub(super) stream: Stream,
    /// What is written is the invocation's result.
    pub(super) collect: bool,
    pub(super) ledger: Shared,
}

/// The guest wrote more than an output may hold.
#[derive(Debug, thiserror::Error)]
#[error("the output exceeds the limit of {limit} bytes")]
pub(crate) struct OutputTooLarge {
    pub(crate) limit: usize,
}

#[async_trait]
impl OutputStream for LogOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut ledger = lock(&self.ledger);
        if !self.collect {
            let operations = ledger.operations();
            ledger.logs.write(self.stream, &bytes, operations);
        } else {
            ledger.output.push_result(&bytes);
            let limit = limits::OUTPUT_BYTES_MAX;
            if ledger.output.size > limit as u64 {
                return Err(StreamError::Trap(wasmtime::Error::new(OutputTooLarge { limit })));
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[async_trait]
impl Pollable for LogOutput {
    async fn ready(&mut self) {}
}

/// A fault whose text alone matters.
pub(super) fn text_fault(text: String) -> Fault {
    Fault { code: 0, text, number: None }
}
