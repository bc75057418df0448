//! What a guest writes to standard output, standard error and the log interface, as lines.

mod structured;

use std::sync::Arc;

use nexus_model::record::{LogLine, Stream};
use nexus_model::{Clock, limits};

pub(crate) use structured::structure;

/// Collects lines within the limits of an invocation.
pub(crate) struct Logs {
    clock: Arc<dyn Clock>,
    lines: Vec<LogLine>,
    bytes: usize,
    dropped: u64,
    open: [Vec<u8>; 2],
    /// How much of the line that is being written was cut off.
    cut: [usize; 2],
}

impl std::fmt::Debug for Logs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logs").field("lines", &self.lines.len()).finish_non_exhaustive()
    }
}

impl Logs {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Logs {
            clock,
            lines: Vec::new(),
            bytes: 0,
            dropped: 0,
            open: [Vec::new(), Vec::new()],
            cut: [0; 2],
        }
    }

    /// Takes what was written to a stream; whole lines become log lines.
    pub(crate) fn write(&mut self, stream: Stream, mut bytes: &[u8], operations: u32) {
        let at = usize::from(stream == Stream::Stderr);
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.extend(at, &bytes[..end]);
            self.end_line(stream, operations);
            bytes = &bytes[end + 1..];
        }
        self.extend(at, bytes);
    }

    fn extend(&mut self, at: usize, bytes: &[u8]) {
        let room = limits::LOG_LINE_BYTES_MAX.saturating_sub(self.open[at].len());
        let kept = bytes.len().min(room);
        self.open[at].extend_from_slice(&bytes[..kept]);
        self.cut[at] += bytes.len() - kept;
    }

    fn end_line(&mut self, stream: Stream, operations: u32) {
        let at = usize::from(stream == Stream::Stderr);
        let line = std::mem::take(&mut self.open[at]);
        let mut text = match String::from_utf8(line) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        if text.ends_with('\r') {
            text.pop();
        }
        let cut = std::mem::take(&mut self.cut[at]);
        if cut > 0 {
            text.push_str(&format!("… ({cut} bytes cut)"));
        }
        // Limits count what was written, whatever is made of it.
        let size = text.len();
        let mut line = LogLine {
            stream: stream as i32,
            text,
            after_operation: operations,
            ..LogLine::default()
        };
        structure(&mut line);
        self.keep(line, size);
    }

    /// Adds a whole line; its time is filled in here.
    pub(crate) fn push(&mut self, line: LogLine) {
        let size = line.text.len() + line.fields.len();
        self.keep(line, size);
    }

    fn keep(&mut self, mut line: LogLine, size: usize) {
        if self.lines.len() >= limits::LOG_LINES_MAX || self.bytes + size > limits::LOG_BYTES_MAX {
            self.dropped += 1;
            return;
        }
        self.bytes += size;
        line.at_ns = self.clock.now().unix_ns();
        self.lines.push(line);
    }

    /// The whole lines until now.
    pub(crate) fn lines(&self) -> &[LogLine] {
        &self.lines
    }

    /// Ends open lines and gives all, with the number of those that were dropped.
    pub(crate) fn finish(mut self, operations: u32) -> (Vec<LogLine>, u64) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if !self.open[usize::from(stream == Stream::Stderr)].is_empty() {
                self.end_line(stream, operations);
            }
        }
        (self.lines, self.dropped)
    }
}
